"""What other rooms use of `keeper`."""

from __future__ import annotations

from keeper.client import DeskClient, KeeperClient, ReleaseAnswer
from keeper.config import KeeperConfig, load
from keeper.joint_rules import OLDEST_JOINT_S
from keeper.keyring import Keyring
from keeper.rederive import OLDEST_PLAN_S

__all__ = [
    "OLDEST_JOINT_S",
    "OLDEST_PLAN_S",
    "DeskClient",
    "KeeperClient",
    "KeeperConfig",
    "Keyring",
    "ReleaseAnswer",
    "load",
]
