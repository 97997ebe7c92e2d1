"""What the readers of a joint statement may know of each owner's relation: its likeness, and what was declared of it.

A range of numbers or a list of codes that an owner declared was written down before anybody looked at the data, so it
is public, and bounds of sums and lists of cells may be made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.manifest import Declared
from plans.reading import Shadow
from plans.record import Record


@dataclass(frozen=True, slots=True)
class DeclaredColumn(Record):
    """A column, and what its owner declared about its values."""

    name: str
    declared: Declared


@dataclass(frozen=True, slots=True)
class JointShadow(Record):
    """An empty relation of one owner. `key` is the column by which its rows find those of others, `rows` how many it
    can send, one of each person in the version; columns of which nothing was declared, and those that a mask covers,
    are not in `declared`. A relation about nobody, such as a model, has no key and as many rows as the version.
    """

    KIND: ClassVar[str] = "joint-shadow"

    domain: str
    key: str
    rows: int
    shadow: Shadow
    declared: tuple[DeclaredColumn, ...]

    def check(self) -> None:
        names.require("domain", self.domain, "joint-shadow.domain")
        if (self.key and self.key not in {column.name for column in self.shadow.columns}) or self.rows < 0:
            raise Malformed("the key is a column of the relation", self.shadow.relation)

    def declared_of(self, column: str) -> Declared:
        """Return what was declared of a column; nothing, where nothing was."""
        found = (each.declared for each in self.declared if each.name == column)
        return next(found, Declared())


_FINEST = 100


def public_bound(rows: int) -> int:
    """Return how many rows an owner sends: as many as the version has persons, rounded up to two significant digits,
    and 100 at least. So neither a filter nor a few persons more or less show in what is sent.
    """
    step: int = max(_FINEST, 10 ** max(0, len(str(rows)) - 2))
    return max(1, -(-rows // step)) * step
