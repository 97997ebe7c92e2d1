"""The classes of rules that verdicts and notes name, and what somebody reads whose output was refused by one.

Pure, and the same whatever the data are.
"""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """The rule classes that verdicts and notes name."""

    SMALL_GROUP = "small-group"
    ROUNDING = "rounding"
    TOO_MANY_CELLS = "too-many-cells"
    NOT_A_FIGURE = "not-a-figure"
    NOTHING_LEFT = "nothing-left"
    TOO_MANY_ROWS = "too-many-rows"
    FINISHED = "finished"
    ROW_LEVEL = "row-level"
    MASKED = "masked"
    DOMINANCE = "dominance"
    LEDGER = "ledger"
    ENTERPRISES = "enterprises"
    BY_PEOPLE = "by-people"

    @property
    def sentence(self) -> str:
        """Why an output was refused by this rule; empty for a rule that refuses none."""
        return _REFUSALS.get(self, ("", ""))[0]

    @property
    def help(self) -> str:
        """What would make it pass; the same whatever the data are."""
        return _REFUSALS.get(self, ("", ""))[1]


_REFUSALS = {
    Rule.SMALL_GROUP: (
        "No group can be shown: too few persons are in it, or between it and an earlier answer.",
        "Group by fewer or coarser columns, or filter less, or ask for what was answered before.",
    ),
    Rule.ROUNDING: ("Figures leave rounded only.", "Ask for figures that make sense when rounded."),
    Rule.TOO_MANY_CELLS: (
        "The result has more cells than may leave at once.",
        "Group by fewer or coarser columns; LIMIT does not help, it is applied afterwards.",
    ),
    Rule.NOT_A_FIGURE: (
        "A figure is neither a number nor a key of its group.",
        "Ask for the number itself, and compare on your own side.",
    ),
    Rule.NOTHING_LEFT: (
        "Of what the statement computes from the protected figures no row is left.",
        "Group by fewer or coarser columns, filter less, or loosen the outer conditions.",
    ),
    Rule.TOO_MANY_ROWS: (
        "The result has more cells than may leave at once.",
        "Ask for fewer rows or columns.",
    ),
}
