"""What `%load_ext darkroom` adds to IPython and Jupyter: the magic, completion, cards for errors, and the drawings of
records that are not the client's own classes. Everything of the client works without it.
"""

from __future__ import annotations

from typing import Any

from darkroom import completion, magic, tracebacks
from darkroom.display import bundle

_RECORDS = (("plans.trial", "TrialReport"),)
"""Records of the house that notebooks show, by module and class."""


def load(ip: Any) -> None:
    """Add everything to a shell; doing it twice is doing it once."""
    magic.install(ip)
    completion.install(ip)
    tracebacks.install(ip)
    formatter = ip.display_formatter.mimebundle_formatter
    for module, name in _RECORDS:
        formatter.for_type_by_name(module, name, _bundle)


def unload(ip: Any) -> None:
    """Take everything away again."""
    magic.uninstall(ip)
    completion.uninstall(ip)
    tracebacks.uninstall(ip)
    formatter = ip.display_formatter.mimebundle_formatter
    for module, name in _RECORDS:
        formatter.deferred_printers.pop((module, name), None)


load_ipython_extension, unload_ipython_extension = load, unload


def _bundle(thing: Any, include: Any = None, exclude: Any = None) -> dict[str, str]:
    return bundle(thing)
