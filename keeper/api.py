"""What other rooms use of `keeper`."""

from __future__ import annotations

from keeper.client import DeskClient, KeeperClient
from keeper.config import KeeperConfig
from keeper.keyring import Keyring

__all__ = ["DeskClient", "KeeperClient", "KeeperConfig", "Keyring"]
