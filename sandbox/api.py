"""What other rooms use of `sandbox`. Boxes are asked for by plan, at a launcher's socket."""

from __future__ import annotations

from pathlib import Path

from sandbox import cgroups, settings
from sandbox.client import LauncherClient, StageResult, facts_of
from sandbox.config import LauncherConfig
from sandbox.fetching import move_output, open_output
from sandbox.images import Image, by_digest, find, lacking, outdated
from sandbox.own_user import OwnIds, step_down
from sandbox.reading import check_joint_plan, check_plan, read_joint_statement, read_statement
from sandbox.recipes import images_folder
from sandbox.shelf import StageName
from sandbox.telling import SENTENCES, Failed, Told, Tried, bucket, told
from sandbox.tiers import not_made_here
from sandbox.trying import Bench, trial_plan
from sandbox.waiting import Waiting

__all__ = [
    "SENTENCES",
    "Bench",
    "Failed",
    "Image",
    "LauncherClient",
    "LauncherConfig",
    "OwnIds",
    "StageName",
    "StageResult",
    "Told",
    "Tried",
    "Waiting",
    "bucket",
    "by_digest",
    "check_joint_plan",
    "check_plan",
    "facts_of",
    "find",
    "forget_groups",
    "images_folder",
    "lacking",
    "move_output",
    "not_made_here",
    "open_output",
    "outdated",
    "read_joint_statement",
    "read_statement",
    "settings",
    "step_down",
    "told",
    "trial_plan",
]


def forget_groups(home: Path) -> None:
    """Remove the control groups of a launcher with this home, once it is gone; it has no right to do so itself."""
    cgroups.forget(cgroups.group_name(home / "boxes"))
