"""What outputs are judged by, and the book in which every rule that was applied is written down."""

from __future__ import annotations

from dataclasses import dataclass, field

from airlock.models.rows import Rows
from airlock.outputs.rules import OutputRule
from plans.decision import Obligations
from plans.inspection import Applied, Effect
from plans.verdict import Finding


@dataclass(frozen=True, slots=True)
class Ground:
    """What a set of outputs is judged by: the owner's numbers, whether a member wrote the code, and for models the
    tables that the job read, with everybody who was kept from it.
    """

    obligations: Obligations
    members_code: bool
    tables: tuple[Rows, ...] = ()

    @property
    def minimum(self) -> int:
        """The fewest persons behind a figure."""
        return self.obligations.minimum_group

    @property
    def base(self) -> int:
        """What counts are rounded to."""
        return self.obligations.rounding


@dataclass(slots=True)
class Book:
    """Every rule that was applied, for the owner's record; numbers that are no whole ones are written as text."""

    applied: list[Applied] = field(default_factory=list)

    def note(
        self, rule: OutputRule, subject: str, effect: Effect, cells: int = 0, **numbers: int | str
    ) -> None:
        """Write one rule down."""
        self.applied.append(Applied(rule.value, subject, effect, cells, numbers))

    def withheld(self, rule: OutputRule, subject: str, cells: int, **numbers: int | str) -> None:
        """Write down on how many cells a rule struck, also if on none."""
        self.note(rule, subject, Effect.WITHHELD if cells else Effect.PASSED, cells, **numbers)

    def rules(self, *effects: Effect) -> tuple[str, ...]:
        """Return the rules that had one of these effects, each once, in the order in which they were applied."""
        return tuple(dict.fromkeys(each.rule for each in self.applied if each.effect in effects))

    @property
    def finding(self) -> Finding:
        """The gravest of all effects."""
        effects = {each.effect for each in self.applied}
        if Effect.REFUSED in effects:
            return Finding.REFUSED
        if Effect.HELD in effects:
            return Finding.HELD
        return Finding.REPAIRED if effects & {Effect.REPAIRED, Effect.WITHHELD} else Finding.PASS
