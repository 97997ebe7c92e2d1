"""What other rooms use of `sandbox`. Boxes are asked for by plan, at a launcher's socket."""

from __future__ import annotations

from pathlib import Path

from plans.box import Entry
from sandbox import cgroups, shelf
from sandbox.boxes import group_name
from sandbox.client import LauncherClient, StageResult, facts_of
from sandbox.config import LauncherConfig
from sandbox.images import Image, by_digest, find
from sandbox.own_user import OwnIds
from sandbox.reading import check_plan, read_statement
from sandbox.recipes import images_folder

__all__ = [
    "Image",
    "LauncherClient",
    "LauncherConfig",
    "OwnIds",
    "StageResult",
    "by_digest",
    "check_plan",
    "facts_of",
    "find",
    "forget_groups",
    "images_folder",
    "output_path",
    "read_statement",
]


def output_path(home: Path, plan: str, attempt: int, stage: Entry, name: str) -> Path:
    """Return where a launcher with this home keeps the collected output of a stage."""
    return shelf.output_path(home, shelf.StageName(plan, stage, attempt), name)


def forget_groups(home: Path) -> None:
    """Remove the control groups of a launcher with this home, once it is gone; it has no right to do so itself."""
    cgroups.forget(group_name(home / "boxes"))
