"""What a keeper remembers of twins: those that it released, and what was charged for them. It lives in the journal.

A lineage (a dataset in all its versions) is charged before a box counts anything, and once for each measurement. What
was charged and not released, because something failed between, pays for the next try: nobody but this keeper could read
what such a box left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plans.statements import Signed
from plans.twins import Twin

TWIN, CHARGE = "twin", "twin-charge"
"""Kinds of lines of the journal."""


class Twins:
    """The twins of one keeper's datasets. Changed by `take_in` alone, which the journal's replay calls as well."""

    def __init__(self) -> None:
        self._released: dict[str, list[Signed]] = {}
        self._charged: dict[str, int] = {}

    def take_in(self, kind: str, entry: Mapping[str, Any]) -> None:
        """Remember a line of the journal; lines of other kinds are not about twins."""
        dataset = entry.get("dataset", "")
        if kind == TWIN:
            self._released.setdefault(dataset, []).append(Signed.read(entry["signed"]))
        elif kind == CHARGE:
            self._charged[dataset] = self.charged(dataset) + int(entry["rho_micro"])

    def latest(self, dataset: str) -> tuple[Signed, Twin] | None:
        """Return the newest release of a twin of a dataset, or none."""
        released = self._released.get(dataset)
        return (released[-1], Twin.read(released[-1].statement.body)) if released else None

    def charged(self, dataset: str) -> int:
        """Return what was charged to a lineage for twins, in millionths of rho."""
        return self._charged.get(dataset, 0)

    def released(self, dataset: str) -> int:
        """Return what the twins that were released have cost, each measurement once."""
        found = [Twin.read(signed.statement.body) for signed in self._released.get(dataset, ())]
        return sum({twin.plan: twin.recipe.rho_micro for twin in found if twin.plan}.values())
