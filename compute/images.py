"""What images have for code of members: the modules that it can import, read off the image's own folders."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from compute.planning import House
from plans.box import Entry
from plans.errors import NotFound
from sandbox import api as sandbox

CHOSEN = (Entry.PYTHON, Entry.COMPONENT)
"""The stages whose image a task names."""

_OURS = frozenset({"plans", "keys", "inside"})
"""The house's own packages in a box: what talks with the launcher, which no program of a member can import."""

_ENDINGS = (".py", ".pyc", ".so")


def described(house: House) -> tuple[dict[str, Any], ...]:
    """Return each image that a task may name: its name, digest, the stage that it is for, and its modules."""
    return tuple(
        {
            "name": house.names.get(digest, digest[7:19]),
            "digest": digest,
            "stage": stage.value,
            "modules": list(modules(digest)),
        }
        for stage in CHOSEN
        for digest in house.work_images.get(stage, ())
    )


def modules(digest: str) -> tuple[str, ...]:
    """Return the top-level modules that a program can import in an image; none if the image is not here, at this
    moment: it can disappear, and be built again.
    """
    try:
        return _modules(sandbox.by_digest(digest).root)
    except NotFound:
        return ()


@lru_cache(maxsize=32)
def _modules(root: Path) -> tuple[str, ...]:
    folders = [root / "box", *(root / "python" / "lib").glob("python3.*")]
    folders += [folder / "lib-dynload" for folder in folders]
    found = {name for folder in folders if folder.is_dir() for name in _names(folder.iterdir())}
    return tuple(sorted((found | set(sys.builtin_module_names)) - _OURS))


def _names(entries: Iterable[Path]) -> Iterable[str]:
    """Yield the names under which what lies in a folder is imported."""
    for entry in entries:
        name = entry.name.partition(".")[0]
        if name.isidentifier() and (entry.is_dir() and "." not in entry.name or entry.suffix in _ENDINGS):
            yield name
