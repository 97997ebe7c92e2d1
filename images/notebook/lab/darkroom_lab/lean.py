"""Keeps out of the server what JupyterHub and JupyterLab import and no server of a lab uses.

JupyterHub's part for servers imports the Hub's database to know the class of one page, and the Hub's own pages to know
the class of another; a library for checking formats parses a grammar of addresses that nothing here asks for. Together
that is half of the server's memory and two thirds of its start.

The packages are locked, so what is kept out is known exactly; `tests/inside/test_lab_server.py` starts the server
without it, signs in, and uses it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

ABSENT = ("rfc3987_syntax",)
"""Modules without which others do: as if they were not installed."""

HOLLOW = (
    "sqlalchemy", "sqlalchemy.exc", "sqlalchemy.orm", "jupyterhub.orm", "jupyterhub.roles", "jupyterhub.handlers",
    "jupyterhub.handlers.pages",
)  # fmt: skip
"""Modules of which others want the names of classes, to compare with: there is no object of any."""


class Hollow(ModuleType):
    """A module in which every name is a class of which there is nothing."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (Exception,), {})
        setattr(self, name, made)
        return made


def put_on() -> None:
    """Keep them out of this process; before anything of Jupyter is imported."""
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in HOLLOW:
        sys.modules[name] = Hollow(name)
