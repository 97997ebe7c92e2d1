"""What `%load_ext darkroom` adds to IPython and Jupyter: the magic, completion, cards for errors, and the drawings of
records that are not the client's own classes. Everything of the client works without it.
"""

from __future__ import annotations

from typing import Any

from darkroom import completion, listing, magic, tracebacks
from darkroom.display import bundle

_RECORDS = (("plans.trial", "TrialReport"),)
"""Records of the house that notebooks show, by module and class."""

_LISTS = (
    "Datasets", "Grants", "Applications", "Application", "Components", "Budget", "Jobs", "Packages", "Description",
)  # fmt: skip
"""Lists and dictionaries of `darkroom.listing`, which a terminal would print as any list."""


def load(ip: Any) -> None:
    """Add everything to a shell; doing it twice is doing it once."""
    magic.install(ip)
    completion.install(ip)
    tracebacks.install(ip)
    formatter = ip.display_formatter.mimebundle_formatter
    for module, name in _RECORDS:
        formatter.for_type_by_name(module, name, _bundle)
    for name in _LISTS:
        ip.display_formatter.formatters["text/plain"].for_type_by_name("darkroom.listing", name, _printed)


def unload(ip: Any) -> None:
    """Take everything away again."""
    magic.uninstall(ip)
    completion.uninstall(ip)
    tracebacks.uninstall(ip)
    formatter = ip.display_formatter.mimebundle_formatter
    for module, name in _RECORDS:
        formatter.deferred_printers.pop((module, name), None)
    plain = ip.display_formatter.formatters["text/plain"]
    for name in _LISTS:
        plain.deferred_printers.pop(("darkroom.listing", name), None)
        plain.type_printers.pop(getattr(listing, name), None)


load_ipython_extension, unload_ipython_extension = load, unload


def _printed(thing: Any, printer: Any, cycle: bool) -> None:
    printer.text(bundle(thing)["text/plain"])


def _bundle(thing: Any, include: Any = None, exclude: Any = None) -> dict[str, str]:
    return bundle(thing)
