"""The keyring: the secrets of one domain, in a folder that nobody else may read.

* `kek`    wraps data keys (AES-256-GCM, bound to the file's name); a KMS or HSM can take its place
* `sign`   signs manifests, releases and witnessed heads
* `token`  keys the person tokens of this owner, so that only its own datasets can be joined
* `stage`  is what the keys between the boxes of one plan, and those of pseudonyms, signs and ledger, are derived from
* `data/`  one wrapped key per file of a dataset version; to erase a version is to destroy these

Permissions are checked at every opening: a keyring that others can read is refused, not repaired in silence.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from keeper.journal import replace_durably, sync_folder
from keys import api as keys
from plans import names
from plans.errors import NotFound, SettingsWrong, StateConflict

_SECRETS = ("kek", "sign", "token", "stage")


class Keyring:
    """An open keyring. `signer` signs for the keeper; nothing else of it leaves but to boxes."""

    def __init__(self, folder: Path) -> None:
        _require_private(folder)
        secrets = {name: _read_secret(folder / name) for name in _SECRETS}
        self._folder = folder
        self._kek = secrets["kek"]
        self._stage = secrets["stage"]
        self.token_key = secrets["token"]
        self.signer = keys.SigningKey.from_bytes(secrets["sign"])

    @classmethod
    def create(cls, folder: Path) -> Keyring:
        """Make a new keyring.

        Raises:
            StateConflict: there is one already; it is never overwritten.
        """
        if folder.exists() and any(folder.iterdir()):
            raise StateConflict("there is a keyring already, and it is never overwritten", str(folder))
        (folder / "data").mkdir(parents=True, mode=0o700)
        folder.chmod(0o700)
        for name in _SECRETS:
            replace_durably(folder / name, keys.fresh_key())
        return cls(folder)

    def stage_key(self, plan: str, attempt: int, name: str) -> bytes:
        """Return the key of what one box of a plan hands to the next."""
        return keys.derive(self._stage, f"{plan}/{attempt}/{name}")

    def pseudonym_key(self, dataset: str) -> bytes:
        """Return the key of a dataset's pseudonyms, the same for all its versions: equal values stay equal."""
        return keys.derive(self._stage, f"pseudonyms/{names.require('dataset', dataset)}")

    def signs_key(self) -> bytes:
        """Return the key of the signs of persons: one for all lineages, so that versions and joins can be compared."""
        return keys.derive(self._stage, "signs")

    def ledger_key(self) -> bytes:
        """Return the key under which the disclosure ledger lies on disk."""
        return keys.derive(self._stage, "ledger")

    def twin_secret(self, dataset: str, use: str) -> bytes:
        """Return a secret about a dataset's twins, the same for all its versions."""
        return keys.derive(self._stage, f"twins/{use}/{names.require('dataset', dataset)}")

    def twin_seed(self, dataset: str) -> str:
        """Return the seed of a dataset's twin, public once it is released, and nobody's choice."""
        return self.twin_secret(dataset, "seed").hex()[:32]

    def store_data_key(self, file: str, key: bytes) -> None:
        """Keep the key of a data file, wrapped and durable."""
        replace_durably(self._data_path(file), keys.encrypt(self._kek, key, file.encode()))

    def data_key(self, file: str) -> bytes:
        """Return the key of a data file.

        Raises:
            NotFound: it was erased, or never was here.
            EvidenceBroken: the wrapped key was changed or belongs to another file.
        """
        path = self._data_path(file)
        if not path.exists():
            raise NotFound("this version's key was erased", file, "Ask the owner for a current version.")
        return keys.decrypt(self._kek, path.read_bytes(), file.encode())

    def erase_data_key(self, file: str) -> None:
        """Destroy the key of a data file. Without it the file is noise, wherever copies of it lie."""
        path = self._data_path(file)
        if path.exists():
            with path.open("r+b") as wrapped:
                wrapped.write(b"\0" * path.stat().st_size)
                wrapped.flush()
                os.fsync(wrapped.fileno())
            path.unlink()
            sync_folder(path.parent)

    def _data_path(self, file: str) -> Path:
        return self._folder / "data" / names.require("file", file)


def _require_private(folder: Path) -> None:
    if not folder.is_dir():
        raise SettingsWrong(
            "there is no keyring here", str(folder), "Make one with `darkroom-server keeper init`."
        )
    state = folder.stat()
    if state.st_uid != os.geteuid() or stat.S_IMODE(state.st_mode) & 0o077:
        raise SettingsWrong(
            "the keyring is not private", str(folder), "chown it to the keeper's user and chmod it 0700."
        )


def _read_secret(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        raise SettingsWrong(
            "a secret of the keyring is missing", path.name, "Restore the keyring from its own backup."
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(file.fileno())
        content = file.read(33)
    if stat.S_IMODE(state.st_mode) & 0o077 or state.st_uid != os.geteuid() or len(content) != 32:
        raise SettingsWrong(
            "a secret of the keyring is readable by others or damaged", path.name, "chmod it 0600."
        )
    return content
