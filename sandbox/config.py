"""A launcher's settings: one JSON file, written by whoever composes the platform."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from keys.signing import SigningKey
from plans import names
from plans.errors import SettingsWrong


@dataclass(frozen=True, slots=True)
class LauncherConfig:
    """Whose boxes these are, where things lie, and which user ids boxes may have.

    `home` holds plans, results, collected outputs and the folders of living boxes; `key_file` 32 bytes in
    hex, readable by nobody else; `keeper_socket` is none for a launcher whose boxes need no keys (the
    centre's, for `check`).
    """

    domain: str
    node: str
    home: Path
    socket: Path
    key_file: Path
    keeper_socket: Path | None
    data_folder: Path
    images_folder: Path
    first_uid: int
    uid_count: int

    @classmethod
    def load(cls, path: Path) -> LauncherConfig:
        """Read the file.

        Raises:
            SettingsWrong: it is missing, is no JSON object, or has a member too many, too few or of the wrong
                type.
        """
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):
            raise SettingsWrong("the launcher's settings cannot be read as JSON", str(path)) from None
        known = [field.name for field in fields(cls)]
        if not isinstance(content, dict) or sorted(content) != sorted(known):
            raise SettingsWrong(
                f"the launcher's settings have exactly the members {', '.join(known)}", str(path)
            )
        config = cls(**{name: _value(name, content[name], path) for name in known})
        names.require("domain", config.domain, "launcher.domain")
        return config

    def signing_key(self) -> SigningKey:
        """Return the launcher's key.

        Raises:
            SettingsWrong: it is missing, not 32 bytes in hex, or others may read it.
        """
        try:
            if stat.S_IMODE(os.stat(self.key_file).st_mode) & 0o077:
                raise SettingsWrong(
                    "others may read the launcher's key", str(self.key_file), "Set its mode to 0600."
                )
            return SigningKey.from_bytes(bytes.fromhex(self.key_file.read_text().strip()))
        except (OSError, ValueError):
            raise SettingsWrong("the launcher's key is not 32 bytes in hex", str(self.key_file)) from None


def _value(name: str, value: Any, path: Path) -> Any:
    if name in ("first_uid", "uid_count"):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif name == "keeper_socket" and value is None:
        return None
    elif isinstance(value, str) and value:
        return value if name in ("domain", "node") else Path(value)
    raise SettingsWrong(f"the launcher's setting {name} has the wrong type or is empty", str(path))
