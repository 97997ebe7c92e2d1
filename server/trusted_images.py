"""Which images an owner's keeper trusts, beside those that were built here last.

A keeper seals keys to boxes of images that its settings name, and to no others: who builds an image on a machine does
not decide for an owner what sees its rows. So an image that was built anew is refused until the owner's administrator
has said that it is trusted (`darkroom-server keeper images`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keeper.api import load as load_keeper
from plans.box import Entry
from plans.errors import NotFound, StateConflict
from sandbox import api as sandbox
from server.events import record
from server.images import NAMES, work_images
from server.site import Owner

ALL_STATEMENTS = "statements"
"""What stands for SQL in the list of stages."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One image that is here, for one stage: its name, its digest, and whether the keeper was told to trust it.

    Of the image for statements it has to be the first of those trusted, too: in it the keeper checks by itself.
    """

    stage: str
    image: str
    digest: str
    trusted: bool

    def line(self) -> str:
        """Return the standing as a line."""
        return (
            f"{'trusted' if self.trusted else 'NOT YET':<8} {self.stage:<12} {self.image:<12} {self.digest}"
        )

    def plain(self) -> dict[str, Any]:
        """Return the standing as JSON values."""
        return {
            "stage": self.stage,
            "image": self.image,
            "digest": self.digest,
            "trusted": self.trusted,
        }


def standings(owner: Owner) -> tuple[Standing, ...]:
    """Return for every stage whose image is here whether the keeper trusts it."""
    config = load_keeper(owner.keeper_settings)
    return tuple(
        Standing(stage.value if stage else ALL_STATEMENTS, name, digest, digest in trusted)
        for stage, name, digest, trusted in _here(config.images, config.work_images)
    )


def _here(images: Any, work: Any) -> Iterator[tuple[Entry | None, str, str, tuple[str, ...]]]:
    listed = [(None, "sql", images[:1])]
    listed += [(entry, name, work.get(entry, ())) for entry, named in NAMES.items() for name in named]
    for entry, name, trusted in listed:
        try:
            yield entry, name, sandbox.find(name).digest, trusted
        except NotFound:
            continue


def command(domain: str) -> str:
    """Return what an owner's administrator types to have the images that are here trusted."""
    return f"darkroom-server keeper images {domain} --trust"


def trust(owner: Owner, shown: tuple[Standing, ...]) -> None:
    """Have a side's keeper and launcher trust the images that were shown, before those that they trust already.

    It is in the audit log first, and counts once keeper and launcher are started again. What was trusted stays so:
    plans that wait name it.

    Raises:
        NotFound: there is no image for SQL here.
        StateConflict: an image was built since they were shown; nothing was changed.
    """
    if standings(owner) != shown:
        raise StateConflict(
            "an image was built, or removed, while you were asked", owner.domain, "Look at the list again."
        )
    config = load_keeper(owner.keeper_settings)
    here = work_images()
    stages = [*here, *(entry for entry in config.work_images if entry not in here)]
    work = {entry: _first(here.get(entry, ()), config.work_images.get(entry, ())) for entry in stages}
    changed = replace(config, images=_first((sandbox.find("sql").digest,), config.images), work_images=work)
    launcher = sandbox.LauncherConfig.load(owner.launcher_settings)
    known = _first(changed.images, *work.values(), launcher.images)
    named = " ".join(sorted({f"{each.image}={each.digest}" for each in shown if not each.trusted}))
    record(owner.site, "images.trusted", owner.domain, owner.domain, images=named)
    _save(replace(launcher, images=known).save, owner.launcher_settings)
    _save(changed.save, owner.keeper_settings)


def _save(save: Callable[[Path], None], path: Path) -> None:
    """Write settings in one step, for the user and with the mode that they had: half of them would start nothing."""
    new, had = path.with_name(path.name + ".new"), path.stat()
    new.unlink(missing_ok=True)
    save(new)
    with new.open("rb") as written:
        os.fchown(written.fileno(), had.st_uid, had.st_gid)
        os.fchmod(written.fileno(), stat.S_IMODE(had.st_mode))
        os.fsync(written.fileno())
    new.replace(path)


def _first(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return the digests of all groups in their order, each once."""
    return tuple(dict.fromkeys(digest for group in groups for digest in group))
