"""What other rooms use of `sharing`."""

from __future__ import annotations

from sharing.applications import apply, decline, gone, listed, visible
from sharing.office import Keepers, Office
from sharing.rules import Wish
from sharing.statements import grants, hand_in, is_revoked

__all__ = [
    "Keepers",
    "Office",
    "Wish",
    "apply",
    "decline",
    "gone",
    "grants",
    "hand_in",
    "is_revoked",
    "listed",
    "visible",
]
