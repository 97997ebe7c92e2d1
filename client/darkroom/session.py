"""The one connection that the functions of `darkroom` use: made when it is first needed, and kept."""

from __future__ import annotations

import threading

from darkroom.connection import Connection, connect

_open: dict[str, Connection] = {}
_opening = threading.RLock()


def connection() -> Connection:
    """Return this session's connection: the lab's, or that of `darkroom login`; of the last one, if there were several.

    Raises:
        NotSignedIn: there is neither.
        Unreachable: the portal does not answer.
    """
    with _opening:
        if "default" not in _open or _open["default"].outdated:
            _open["default"] = connect()
        return _open["default"]


def forget() -> None:
    """Make a new connection at the next call: keys and twins are read anew."""
    _open.clear()
