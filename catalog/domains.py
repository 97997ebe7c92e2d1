"""The domain tree: who stands under whom, read off the names.

A domain's name is its path, `nm/hohhot/xincheng`, so the tree needs no table. Only names are compared here, segment by
segment; `nm/tax` is not above `nm/taxi`.
"""

from __future__ import annotations

from collections.abc import Iterable

from plans import names


def parent(domain: str) -> str | None:
    """Return the domain directly above, or none for a root."""
    return names.require("domain", domain).rpartition("/")[0] or None


def ancestors(domain: str) -> tuple[str, ...]:
    """Return the domains above, nearest first."""
    above = parent(domain)
    return (above, *ancestors(above)) if above else ()


def children(domain: str, among: Iterable[str]) -> tuple[str, ...]:
    """Return those of `among` that lie directly below, sorted."""
    return tuple(sorted(other for other in set(among) if parent(other) == domain))


def below(domain: str, among: Iterable[str]) -> tuple[str, ...]:
    """Return those of `among` that lie anywhere below, sorted; the domain itself is not among them."""
    return tuple(sorted(other for other in set(among) if other != domain and names.within(other, domain)))
