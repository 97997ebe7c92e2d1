"""What other rooms use of `keeper`."""

from __future__ import annotations

from keeper.client import DeskClient, KeeperClient, ReleaseAnswer
from keeper.config import KeeperConfig
from keeper.keyring import Keyring
from keeper.rederive import OLDEST_PLAN_S

__all__ = ["OLDEST_PLAN_S", "DeskClient", "KeeperClient", "KeeperConfig", "Keyring", "ReleaseAnswer"]
