"""A cell that runs is use of the lab, however long it says nothing.

Jupyter counts messages of kernels, and the proxy counts what travels: a long computation that prints nothing, its
browser closed, would be idleness to both, and the lab would be ended with all that it has in memory.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

LOOK_S = 60
"""How often it is looked; Jupyter tells the Hub of activity every five minutes."""

SETTING = "darkroom_last_activity"
"""Jupyter takes the newest of all settings whose names end so (`ServerWebApplication.last_activity`)."""


def note(settings: dict[str, Any]) -> None:
    """Note that the lab is used now, if a kernel is busy."""
    kernels = settings["kernel_manager"]
    found = [kernels.get_kernel(name) for name in kernels.list_kernel_ids()]
    if any(getattr(kernel, "execution_state", "") == "busy" for kernel in found):
        settings[SETTING] = datetime.now(UTC)


def watch(settings: dict[str, Any]) -> None:
    """Look again and again, as long as the server runs."""
    from tornado.ioloop import PeriodicCallback

    settings["darkroom_activity"] = watching = PeriodicCallback(lambda: note(settings), 1000 * LOOK_S)
    watching.start()
