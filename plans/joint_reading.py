"""What a joint statement is, as readers find it: what each owner brings, which sums are made, of which figures.

A reading has one of five shapes. *Joined*: rows of one person at several owners become one row, of which shares are
added up. *Stacked*: owners hold one table in parts (`UNION ALL`), each adds up its own rows, and nobody is matched.
*Common*: no figure, but which persons all owners have. *Scored*: the rows of one owner, by a model of another.
*Lookup*: what a register has of a few persons of another owner, who does not say which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.record import Record

MOST_OWNERS, MOST_HOLDERS, MOST_JOINT_CELLS = 8, 16, 4096
"""Owners that join, holders of one table, and cells of an answer, at the most."""


MOST_WIDTH, MOST_SCORE_DECIMALS, MOST_THRESHOLDS = 200, 6, 64
"""Bytes of the text of a field, decimals of a score, and values that a threshold may have, at the most."""


class Shape(StrEnum):
    """How the owners' rows come together: `joined` by persons, `stacked` as parts of one table, `common`: only who is
    everywhere, `scored`: by a model, or `lookup`: records of the persons who are asked for.
    """

    JOINED = "joined"
    STACKED = "stacked"
    COMMON = "common"
    SCORED = "scored"
    LOOKUP = "lookup"


class ScoreFunction(StrEnum):
    """What becomes of the sum of a model's terms: nothing, or 1 / (1 + exp(−sum))."""

    LINEAR = "linear"
    LOGISTIC = "logistic"


class Measure(StrEnum):
    """What the servers add up over the rows of a cell, on shares.

    `rows` counts them, `present` those where an operand has a value, `total` adds an operand, `magnitude` its
    absolute values (for the test of dominance), `square` its squares, `product` two operands of two owners.
    """

    ROWS = "rows"
    PRESENT = "present"
    TOTAL = "total"
    MAGNITUDE = "magnitude"
    SQUARE = "square"
    PRODUCT = "product"


@dataclass(frozen=True, slots=True)
class Grouping(Record):
    """A key of GROUP BY: the output's name, the column, and its public code list, in the order of the cells."""

    name: str
    column: str
    codes: tuple[str, ...]

    def check(self) -> None:
        names.require("column", self.column, "grouping")
        if not self.codes or len(set(self.codes)) != len(self.codes):
            raise Malformed("a key of groups has a public list of different codes", self.name)


@dataclass(frozen=True, slots=True)
class Operand(Record):
    """A number that one owner computes for each of its rows, over its own relation alone.

    `expression` is SQL over the relation's columns. Its values are whole after multiplication by 10^`decimals` and
    then between `low` and `high`, both included; rows without a value count as 0 with `present` 0. The owner's own
    box refuses to begin where one is outside.
    """

    expression: str
    low: int
    high: int
    decimals: int
    nullable: bool

    def check(self) -> None:
        if self.low > self.high or not 0 <= self.decimals <= 18:
            raise Malformed("a range has a low and a high end, and at most 18 decimals", "operand")

    @property
    def cap(self) -> int:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    @property
    def flag(self) -> bool:
        """Whether it is 0 or 1."""
        return self.decimals == 0 and self.low >= 0 and self.high <= 1


@dataclass(frozen=True, slots=True)
class Field(Record):
    """A column of a record that is looked up: the output's name, column and type, and the most bytes of its text."""

    name: str
    column: str
    type: str
    width: int

    def check(self) -> None:
        names.require("column", self.column, "field")
        if not 1 <= self.width <= MOST_WIDTH:
            raise Malformed(f"a field has 1 to {MOST_WIDTH} bytes of text", self.name)


@dataclass(frozen=True, slots=True)
class Portion(Record):
    """What one owner brings: its relation, the key by which rows find each other, and what it computes by itself.

    `where` is a condition over the relation (empty: none). `stand_in` is the statement on which this owner's
    decision rests: figures over its own relation alone, that use every column as the joint statement does. `bound` is
    how many rows it sends, rows that stand for nobody included, so that sizes after filters stay hidden. `fields` are
    what a register tells of a person who is looked up. A model is a relation of one row about nobody, without a key.
    """

    domain: str
    relation: str
    key: str
    where: str
    groups: tuple[Grouping, ...]
    operands: tuple[Operand, ...]
    stand_in: str
    bound: int
    fields: tuple[Field, ...] = ()

    def check(self) -> None:
        names.require("domain", self.domain, "portion.domain")
        names.require("relation", self.relation, "portion.relation")
        if self.key:
            names.require("column", self.key, "portion.key")
        if self.bound < 1:
            raise Malformed("an owner sends at least one row", self.relation)


@dataclass(frozen=True, slots=True)
class Sum(Record):
    """One vector of sums, a number for each cell; `operands` are (place of portion, place of operand) in pairs."""

    measure: Measure
    operands: tuple[tuple[int, int], ...]

    def check(self) -> None:
        wanted = {Measure.ROWS: 0, Measure.PRODUCT: 2}.get(self.measure, 1)
        if len(self.operands) != wanted:
            raise Malformed(f"a sum of the measure {self.measure} has {wanted} operands", "joint.sums")


@dataclass(frozen=True, slots=True)
class JointFigure(Record):
    """An output that is a number: its function, and of which sums it is made after opening.

    `persons` is the place of the sum that counts the persons behind it; it is opened where that is at least the
    minimum group and every total in `sums` and `beside` passes the test of dominance. What stands in `beside` is tested
    alone and never opened: summands of a value, that a known one must not hide. Nor is what stands in `rest`: how many
    persons a CASE leaves out, as many as the minimum group at least, since a figure over all shows them by subtraction.
    """

    name: str
    function: str
    sums: tuple[int, ...]
    persons: int
    beside: tuple[int, ...] = ()
    rest: tuple[int, ...] = ()


_OF_PERSONS = (Shape.COMMON, Shape.SCORED, Shape.LOOKUP)


@dataclass(frozen=True, slots=True)
class ScoreNode(Record):
    """A question of a tree: whether a feature of the rows is at least a threshold of the model.

    `feature` and `threshold` are places of operands of the first and the second portion. `values` are all that the
    threshold may be, as its owner declared them, from the lowest to the highest, at its operand's scale: they are
    public, and which of them it is, is not.
    """

    feature: int
    threshold: int
    values: tuple[int, ...]

    def check(self) -> None:
        if not 1 <= len(self.values) <= MOST_THRESHOLDS or list(self.values) != sorted(set(self.values)):
            raise Malformed(
                f"a threshold has 1 to {MOST_THRESHOLDS} values, from the lowest to the highest", "score-node"
            )


@dataclass(frozen=True, slots=True)
class ScoreTree(Record):
    """A tree of one or two levels: a question at the root, and perhaps one below each answer, `low` below no, and
    `high` below yes. `leaves` are places of the model's operands, those below no before those below yes.
    """

    root: ScoreNode
    low: ScoreNode | None
    high: ScoreNode | None
    leaves: tuple[int, ...]

    def check(self) -> None:
        if len(self.leaves) != len(self.nodes) + 1:
            raise Malformed("a tree has one leaf more than it has questions", "score-tree.leaves")

    @property
    def nodes(self) -> tuple[ScoreNode, ...]:
        """All questions."""
        return (self.root, *(node for node in (self.low, self.high) if node is not None))

    @property
    def four(self) -> tuple[int, int, int, int]:
        """Leaves as if both answers had a question below: low-low, low-high, high-low, high-high."""
        below = 2 if self.low else 1
        low, high = self.leaves[:below], self.leaves[below:]
        return low[0], low[-1], high[0], high[-1]


@dataclass(frozen=True, slots=True)
class Score(Record):
    """A score of every row of the first portion by the model that is the second: Σ feature · coefficient.

    `terms` are (place of an operand of the first portion, place of one of the second) in pairs; −1 as the first stands
    for 1, the model's constant. Where there are `trees`, the leaf to which a row comes in each is added, and all terms
    are constants. The result is rounded to `decimals`.
    """

    name: str
    function: ScoreFunction
    terms: tuple[tuple[int, int], ...]
    decimals: int
    trees: tuple[ScoreTree, ...] = ()

    def check(self) -> None:
        if not (self.terms or self.trees) or len(set(self.coefficients)) != len(self.coefficients):
            raise Malformed("a score has terms or trees, each with coefficients of its own", self.name)
        if self.trees and any(feature >= 0 for feature, _ in self.terms):
            raise Malformed("a score is linear, or of trees and constants", self.name)
        if not 0 <= self.decimals <= MOST_SCORE_DECIMALS:
            raise Malformed(f"a score is rounded to 0 to {MOST_SCORE_DECIMALS} decimals", self.name)

    @property
    def nodes(self) -> tuple[ScoreNode, ...]:
        """All questions of all trees."""
        return tuple(node for tree in self.trees for node in tree.nodes)

    @property
    def features(self) -> tuple[int, ...]:
        """Places of features in terms and questions, −1 for constants."""
        return (*(feature for feature, _ in self.terms), *(node.feature for node in self.nodes))

    @property
    def coefficients(self) -> tuple[int, ...]:
        """Places of all numbers of the model: of terms, thresholds and leaves."""
        leaves = (place for tree in self.trees for place in tree.leaves)
        return (*(place for _, place in self.terms), *(node.threshold for node in self.nodes), *leaves)


@dataclass(frozen=True, slots=True)
class JointReading(Record):
    """What a statement over several owners' relations is, as the reader in a checker box finds it.

    `outputs` are the names in the order of the statement, each of a grouping (of any portion) or of a figure. Bounds
    and ranges come from what owners declared (`plans.manifest.Declared`), which is public. In the shape `stacked` all
    portions have the same groups and as many operands of the same scale, and sums name those of the first for all
    (`alike`). In the shape `common` there are no sums, and the one output is the identifier. In the shape `scored` the
    outputs are identifier and score, in the shape `lookup` the identifier and the fields of the second portion.
    """

    KIND: ClassVar[str] = "joint-reading"

    statement: str
    portions: tuple[Portion, ...]
    sums: tuple[Sum, ...]
    figures: tuple[JointFigure, ...]
    outputs: tuple[str, ...]
    shape: Shape = Shape.JOINED
    score: Score | None = None

    def check(self) -> None:
        names.require("digest", self.statement, "joint-reading.statement")
        most = MOST_HOLDERS if self.shape is Shape.STACKED else MOST_OWNERS
        if not 2 <= len(self.portions) <= most:
            raise Malformed(f"a joint statement is over 2 to {most} owners", "joint-reading.portions")
        if len({portion.domain for portion in self.portions}) != len(self.portions):
            raise Malformed("each portion is another owner's", "joint-reading.portions")
        if any(not portion.key for portion in self.portions) != (self.shape is Shape.SCORED):
            raise Malformed("every relation but a model has a key", "joint-reading.portions")
        if self.shape in _OF_PERSONS:
            self._check_persons()
            return
        if self.score is not None or any(portion.fields for portion in self.portions):
            raise Malformed("figures have no scores and no fields beside them", "joint-reading")
        if not self.figures or self.cells > MOST_JOINT_CELLS:
            raise Malformed(f"an answer has figures, and at most {MOST_JOINT_CELLS} cells", "joint-reading")
        if self.shape is Shape.STACKED:
            self._check_stacked()
        self._check_sums()
        named = [*(group.name for group in self.groups), *(figure.name for figure in self.figures)]
        if sorted(self.outputs) != sorted(named):
            raise Malformed("outputs are the keys and the figures, each once", "joint-reading.outputs")

    def _check_persons(self) -> None:
        """Check what tells something of single persons of the first portion's owner (of a `common`, any owner's)."""
        first, second = self.portions[:2]
        if self.sums or self.figures or self.groups:
            raise Malformed("what is told person by person has no figures and no groups", "joint-reading")
        if self.shape is not Shape.COMMON and len(self.portions) != 2:
            raise Malformed("a model or a register is asked by one owner", "joint-reading.portions")
        outputs = {
            Shape.COMMON: 1,
            Shape.SCORED: 2,
            Shape.LOOKUP: 1 + len(second.fields),
        }[self.shape]
        if len(self.outputs) != outputs or len(set(self.outputs)) != outputs:
            raise Malformed("outputs are the identifier and what is told of it", "joint-reading.outputs")
        if (self.score is not None) != (self.shape is Shape.SCORED) or (
            self.score and not self._fits(self.score)
        ):
            raise Malformed(
                "a score is made of features and coefficients that are there", "joint-reading.score"
            )
        told = any(portion.fields for portion in self.portions)
        if told != (self.shape is Shape.LOOKUP) or first.fields:
            raise Malformed("what is looked up are fields of the register", "joint-reading.portions")
        if self.shape is not Shape.SCORED and any(portion.operands for portion in self.portions):
            raise Malformed(
                "nothing is computed where persons are found or looked up", "joint-reading.portions"
            )

    def _fits(self, score: Score) -> bool:
        features, coefficients = (len(portion.operands) for portion in self.portions)
        if any(not 0 <= node.feature < features for node in score.nodes):
            return False
        return all(-1 <= feature < features for feature in score.features) and all(
            0 <= place < coefficients for place in score.coefficients
        )

    def _check_stacked(self) -> None:
        first = self.portions[0]
        for portion in self.portions[1:]:
            keys = [(group.name, group.codes) for group in portion.groups]
            scales = [operand.decimals for operand in portion.operands]
            if keys != [(group.name, group.codes) for group in first.groups]:
                raise Malformed(
                    "holders of one table have the same keys and lists of codes", portion.relation
                )
            if scales != [operand.decimals for operand in first.operands]:
                raise Malformed("holders of one table bring the same numbers at one scale", portion.relation)
        if any(portion for total in self.sums for portion, _ in total.operands):
            raise Malformed("sums of one table name the operands of its first holder", "joint-reading.sums")

    def _check_sums(self) -> None:
        places = [place for total in self.sums for place in total.operands]
        if any(not self._has(*place) for place in places):
            raise Malformed("a sum is over an operand that is not there", "joint-reading.sums")
        used = {
            place
            for figure in self.figures
            for place in (*figure.sums, figure.persons, *figure.beside, *figure.rest)
        }
        if not used <= set(range(len(self.sums))):
            raise Malformed("a figure is made of sums that are not there", "joint-reading.figures")

    def _has(self, portion: int, operand: int) -> bool:
        return 0 <= portion < len(self.portions) and 0 <= operand < len(self.portions[portion].operands)

    @property
    def groups(self) -> tuple[Grouping, ...]:
        """All keys of groups, portion by portion (of one table once); the last one turns fastest in the order of
        cells.
        """
        counted = self.portions[:1] if self.shape is Shape.STACKED else self.portions
        return tuple(group for portion in counted for group in portion.groups)

    @property
    def cells(self) -> int:
        """How many cells the answer has: the product of the code lists."""
        found = 1
        for group in self.groups:
            found *= len(group.codes)
        return found

    @property
    def rows_of_a_person(self) -> int:
        """How many rows of an answer one person may be: nobody knows whether holders of one table share persons."""
        return len(self.portions) if self.shape is Shape.STACKED else 1

    def alike(self, portion: int, operand: int) -> Iterator[Operand]:
        """Yield what a sum's operand means: that of one owner, or the one at this place of every holder."""
        if self.shape is Shape.STACKED:
            yield from (each.operands[operand] for each in self.portions)
        else:
            yield self.portions[portion].operands[operand]
