"""All parties of a joint computation as threads of this process, on made-up rows, beside DuckDB on all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np

from keys.randomness import MaskStream
from mpc.lookup.fields import pack, width_of
from mpc.protocols.channel import Channel
from mpc.protocols.computation import Handed, Work, take_part
from mpc.protocols.identifiers import pack_fixed
from mpc.protocols.joint_rows import OwnRows
from mpc.protocols.memory import MemoryChannel, network
from plans.joint import (
    Field,
    Grouping,
    JointFigure,
    JointPlan,
    JointReading,
    JointTask,
    Measure,
    Opened,
    Operand,
    Portion,
    Scheme,
    Score,
    ScoreFunction,
    Shape,
    Sum,
)
from plans.joint_answer import JointAnswer, answer_of
from plans.joint_rules import Matching, Opening
from plans.request import statement_digest
from tests.inside.joint_cases import SQL, joint_plan, reading
from tests.plans import joint_examples

Wrap = Callable[[str, MemoryChannel], Channel]


@dataclass(frozen=True)
class Owner:
    """An owner's rows: who they are about, one array of whole numbers for each operand (`None` is a masked value), and
    the places of their groups.
    """

    domain: str
    persons: np.ndarray
    operands: tuple[Operand, ...] = ()
    values: tuple[np.ma.MaskedArray, ...] = ()
    sizes: tuple[int, ...] = ()
    groups: tuple[np.ndarray, ...] = ()
    spare: int = 7

    def portion(self) -> Portion:
        name = self.domain.rpartition("/")[2]
        keys = tuple(
            Grouping(f"{name}_{place}", f"g{place}", tuple(f"c{code}" for code in range(size)))
            for place, size in enumerate(self.sizes)
        )
        bound = len(self.persons) + self.spare
        return Portion(self.domain, f"{name}.rows", "id", "", keys, self.operands, "SELECT 1", bound)

    def rows(self) -> OwnRows:
        texts = np.array([f"{15_000_000 + int(person):018d}" for person in self.persons], dtype="S18")
        count = len(self.persons)
        place = np.zeros(count, dtype=np.int64)
        for size, codes in zip(self.sizes, self.groups, strict=True):
            place = place * size + codes
        return OwnRows(
            pack_fixed(texts).blocks,
            np.array([np.ma.filled(column, 0) for column in self.values], dtype=np.int64).reshape(
                len(self.values), count
            ),
            np.array([~np.ma.getmaskarray(column) for column in self.values], dtype=np.uint8).reshape(
                len(self.values), count
            ),
            place.astype(np.uint16),
        )

    def table(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Put the rows in clear where the oracle joins them, and return the table's name."""
        name = self.domain.rpartition("/")[2]
        columns: dict[str, Any] = {"id": self.persons.astype(np.int64)}
        columns |= {f"v{place}": np.ma.asarray(column) for place, column in enumerate(self.values)}
        columns |= {f"g{place}": codes.astype(np.int64) for place, codes in enumerate(self.groups)}
        connection.execute(f"CREATE TABLE {name} ({', '.join(f'{column} BIGINT' for column in columns)})")
        if len(self.persons):
            connection.register("incoming", _arrow(columns))
            connection.execute(f"INSERT INTO {name} SELECT * FROM incoming")
            connection.unregister("incoming")
        return name


@dataclass(frozen=True)
class Model(Owner):
    """A model: one row about nobody, whose values are its coefficients."""

    def portion(self) -> Portion:
        return replace(super().portion(), key="", bound=1)

    def rows(self) -> OwnRows:
        return replace(super().rows(), keys=np.zeros((1, 16), dtype=np.uint8))


@dataclass(frozen=True)
class Register(Owner):
    """A register: a record of texts for each person, `None` where there is no value."""

    fields: tuple[Field, ...] = ()
    texts: tuple[tuple[str | None, ...], ...] = field(default=(), repr=False)

    def portion(self) -> Portion:
        return replace(super().portion(), fields=self.fields)

    def rows(self) -> OwnRows:
        widths = [each.width for each in self.fields]
        packed = b"".join(pack(row, widths) for row in self.texts)
        records = np.frombuffer(packed, dtype=np.uint8).reshape(len(self.texts), width_of(widths))
        return replace(super().rows(), records=records)


def _arrow(columns: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            name: pa.array(np.ma.filled(column, 0), mask=np.ma.getmaskarray(column), type=pa.int64())
            for name, column in columns.items()
        }
    )


@dataclass
class Went:
    """What came of a run: what each server handed over, what anybody did, and what every party's channel counted."""

    joint: JointPlan
    attempt: int
    opened: list[Opened]
    handed: dict[str, Handed | None] = field(repr=False)
    channels: Mapping[str, Any] = field(repr=False)

    def answer(self) -> JointAnswer:
        return answer_of(self.joint, self.attempt, self.opened)


def run(
    joint: JointPlan,
    owners: Sequence[Owner],
    attempt: int = 1,
    wrap: Wrap = lambda _name, channel: channel,
    coins: Mapping[str, bytes] | None = None,
    patience: float = 120.0,
) -> Went:
    """Run every party in a thread of its own; raises what the first of them raised."""
    links = network([party.domain for party in joint.parties], patience)
    channels = {name: wrap(name, channel) for name, channel in links.items()}
    rows = {owner.domain: owner.rows() for owner in owners}
    handed: dict[str, Handed | None] = {}
    failed: list[Exception] = []

    def work(name: str) -> None:
        try:
            drawn = MaskStream(coins[name]) if coins else None
            handed[name] = take_part(Work(joint, name, attempt, channels[name]), rows.get(name), drawn)
        except Exception as problem:  # noqa: BLE001  handed to the test
            failed.append(problem)
            for channel in links.values():
                channel.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in links]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    opened = [found for found in handed.values() if isinstance(found, Opened)]
    return Went(joint, attempt, opened, handed, channels)


# ------------------------------------------------------------------------------------------- all measures


def everything(owners: Sequence[Owner]) -> JointReading:
    """A reading that asks for every function of every operand, and for a correlation of the first two owners' first."""
    sums: list[Sum] = [Sum(Measure.ROWS, ())]
    figures = [JointFigure("n", "count", (0,), 0)]

    def place(measure: Measure, *operands: tuple[int, int]) -> int:
        total = Sum(measure, operands)
        if total not in sums:
            sums.append(total)
        return sums.index(total)

    for portion, owner in enumerate(owners):
        for number, operand in enumerate(owner.operands):
            at = (portion, number)
            count = place(Measure.PRESENT, at) if operand.nullable else 0
            total = place(Measure.TOTAL, at)
            if operand.low < 0:
                place(Measure.MAGNITUDE, at)
            name = f"x{portion}_{number}"
            figures += [
                JointFigure(f"{name}_sum", "sum", (total,), count),
                JointFigure(f"{name}_avg", "avg", (total, count), count),
                JointFigure(f"{name}_var", "var_samp", (place(Measure.SQUARE, at), total, count), count),
            ]
    first = [(portion, 0) for portion, owner in enumerate(owners) if owner.operands]
    if len(first) > 1 and all(_crossable(owners[portion], 0) for portion, _ in first[:2]):
        x, y = first[:2]
        made = [place(Measure.TOTAL, x), place(Measure.TOTAL, y)]
        made += [place(Measure.SQUARE, x), place(Measure.SQUARE, y), place(Measure.PRODUCT, x, y)]
        figures.append(JointFigure("r", "corr", (0, *made), 0))
    return reading([owner.portion() for owner in owners], sums, figures)


def _crossable(owner: Owner, place: int) -> bool:
    return owner.operands[place].low >= 0 and not owner.operands[place].nullable


def plan_for(owners: Sequence[Owner], asked: JointReading | None = None, **changes: Any) -> JointPlan:
    return joint_plan(asked or everything(owners), **changes)


def plan_of(asked: JointReading, task: JointTask, scheme: Scheme | None = None) -> JointPlan:
    """A plan of any shape, whose task says who does what."""
    portions = asked.portions
    few = [replace(each, groups=(), operands=(), fields=(), key="id") for each in portions[:2]]
    base = joint_plan(reading(few, [Sum(Measure.ROWS, ())], [JointFigure("n", "count", (0,), 0)]))
    domains = sorted({*(portion.domain for portion in portions), *task.servers, *task.others})
    bounds = [portion.bound for portion in portions]
    matched = sum(bounds) if asked.shape is Shape.STACKED else min(bounds)
    return replace(
        base,
        request=replace(base.request, statement=task.canonical().decode()),
        task=task,
        parties=tuple(joint_examples.party(domain, place) for place, domain in enumerate(domains)),
        reading=asked,
        decisions=tuple(
            replace(
                base.decisions[0],
                domain=portion.domain,
                identifiers=base.decisions[0].identifiers if portion.key else "",
            )
            for portion in portions
        ),
        scheme=scheme or Scheme(64, matched, 10, 90),
    )


def inspected_by(joint: JointPlan, inspector: str) -> JointPlan:
    """The same plan, with an inspector."""
    task = replace(joint.task, opening=Opening.INSPECTED, inspector=inspector)
    return plan_of(joint.reading, task, joint.scheme)


# --------------------------------------------------------------------------------------- one table in parts


def stacked(owners: Sequence[Owner]) -> JointReading:
    """A reading of one table that these owners hold in parts: every function of every operand, and two products."""
    first = owners[0]
    groups = tuple(
        Grouping(f"g{place}", f"g{place}", tuple(f"c{code}" for code in range(size)))
        for place, size in enumerate(first.sizes)
    )
    portions = tuple(replace(owner.portion(), groups=groups) for owner in owners)
    sums: list[Sum] = [Sum(Measure.ROWS, ())]
    figures = [JointFigure("n", "count", (0,), 0)]

    def place(measure: Measure, *operands: tuple[int, int]) -> int:
        total = Sum(measure, operands)
        if total not in sums:
            sums.append(total)
        return sums.index(total)

    for number in range(len(first.operands)):
        at, alike = (0, number), [owner.operands[number] for owner in owners]
        count = place(Measure.PRESENT, at) if any(each.nullable for each in alike) else 0
        total = place(Measure.TOTAL, at)
        if any(each.low < 0 for each in alike):
            place(Measure.MAGNITUDE, at)
        squares = (place(Measure.SQUARE, at), total, count)
        figures += [
            JointFigure(f"x{number}_sum", "sum", (total,), count),
            JointFigure(f"x{number}_avg", "avg", (total, count), count),
            JointFigure(f"x{number}_var", "var_samp", squares, count),
        ]
    if len(first.operands) > 1 and all(_crossable(owner, place) for owner in owners for place in (0, 1)):
        x, y = (0, 0), (0, 1)
        made = [place(Measure.TOTAL, x), place(Measure.TOTAL, y)]
        made += [place(Measure.SQUARE, x), place(Measure.SQUARE, y), place(Measure.PRODUCT, x, y)]
        figures.append(JointFigure("r", "corr", (0, *made), 0))
    named = (*(group.name for group in groups), *(figure.name for figure in figures))
    digest = statement_digest(SQL)
    return JointReading(digest, portions, tuple(sums), tuple(figures), named, Shape.STACKED)


def stacked_plan(
    owners: Sequence[Owner], servers: tuple[str, ...], scheme: Scheme | None = None, **changes: Any
) -> JointPlan:
    """A plan of one table in parts, oblivious unless `inspector` is named."""
    opening = Opening.INSPECTED if changes.get("inspector") else Opening.OBLIVIOUS
    task = JointTask(SQL, Matching.NONE, opening, servers, **changes)
    return plan_of(stacked(owners), task, scheme)


def common_plan(owners: Sequence[Owner], finder: str, helper: str = "", matched: int = 0) -> JointPlan:
    """A plan in which one owner finds persons in common."""
    portions = tuple(owner.portion() for owner in owners)
    asked = JointReading(statement_digest(SQL), portions, (), (), ("person",), Shape.COMMON)
    matching = Matching.HELPER if helper else Matching.DIFFIE_HELLMAN
    task = JointTask(SQL, matching, Opening.INTERSECTION, (), helper=helper, finder=finder)
    scheme = Scheme(64, matched or min(portion.bound for portion in portions), 1, 100)
    return plan_of(asked, task, scheme)


# --------------------------------------------------------------------------------- what is told of persons


def scored_plan(
    owner: Owner, model: Model, terms: Sequence[tuple[int, int]], decimals: int = 2, logistic: bool = False
) -> JointPlan:
    """A plan in which an owner's rows are scored by a model."""
    function = ScoreFunction.LOGISTIC if logistic else ScoreFunction.LINEAR
    return scored_by(owner, model, Score("score", function, tuple(terms), decimals))


def scored_by(owner: Owner, model: Model, score: Score) -> JointPlan:
    """A plan in which an owner's rows have such a score by a model."""
    portions = (owner.portion(), model.portion())
    asked = JointReading(
        statement_digest(SQL), portions, (), (), ("person", "score"), Shape.SCORED, score=score
    )
    task = JointTask(SQL, Matching.NONE, Opening.SCORES, (), finder=owner.domain)
    return plan_of(asked, task, Scheme(64, portions[0].bound, 1, 100))


def looked_up_plan(owner: Owner, register: Register) -> JointPlan:
    """A plan in which an owner looks its persons up in a register."""
    portions = (owner.portion(), register.portion())
    outputs = ("person", *(each.name for each in register.fields))
    asked = JointReading(statement_digest(SQL), portions, (), (), outputs, Shape.LOOKUP)
    task = JointTask(SQL, Matching.NONE, Opening.RECORDS, (), finder=owner.domain)
    return plan_of(asked, task, Scheme(64, portions[0].bound, 1, 100))


def two_owners_plan(owners: Sequence[Owner], inspector: str, asked: JointReading | None = None) -> JointPlan:
    """A plan in which one of two owners computes on the other's ciphertexts, for that one's airlock."""
    (collector,) = (each.domain for each in owners if each.domain != inspector)
    task = JointTask(
        SQL, Matching.DIFFIE_HELLMAN, Opening.INSPECTED, (), inspector=inspector, collector=collector
    )
    scheme = Scheme(64, min(len(each.persons) + each.spare for each in owners), 4, 90)
    return plan_of(asked or everything(owners), task, scheme)


# ------------------------------------------------------------------------------------------------- oracle


@dataclass(frozen=True)
class Laid:
    """The rows in clear in DuckDB: what stands after FROM, the keys of groups, and how an operand is written."""

    connection: duckdb.DuckDBPyConnection = field(repr=False)
    source: str
    keys: tuple[str, ...]
    value: Callable[[tuple[int, int]], str] = field(repr=False)


def lay(joint: JointPlan, owners: Sequence[Owner]) -> Laid:
    """Put all rows into DuckDB: joined by persons, or one below the other."""
    connection = duckdb.connect()
    tables = [owner.table(connection) for owner in owners]
    if joint.reading.shape is Shape.STACKED:
        source = " UNION ALL BY NAME ".join(f"SELECT * FROM {table}" for table in tables)
        keys = tuple(f"t.g{place}" for place in range(len(owners[0].sizes)))
        return Laid(connection, f"({source}) t", keys, lambda at: f"t.v{at[1]}")
    joined = " JOIN ".join([tables[0], *(f"{name} USING (id)" for name in tables[1:])])
    keys = tuple(f"{tables[p]}.g{k}" for p, owner in enumerate(owners) for k in range(len(owner.sizes)))
    return Laid(connection, joined, keys, lambda at: f"{tables[at[0]]}.v{at[1]}")


def sums_in_clear(joint: JointPlan, owners: Sequence[Owner]) -> tuple[tuple[int, ...], ...]:
    """Every sum of a plan in every cell by DuckDB, `[sums][cells]`."""
    laid = lay(joint, owners)
    wanted = ", ".join(_measured(laid, total) for total in joint.reading.sums)
    listed, group = (
        (", ".join(laid.keys) + ", ", f" GROUP BY {', '.join(laid.keys)}") if laid.keys else ("", "")
    )
    found = laid.connection.execute(f"SELECT {listed}{wanted} FROM {laid.source}{group}").fetchall()
    width = len(laid.keys)
    by_key = {row[:width]: [int(number or 0) for number in row[width:]] for row in found}
    sizes = [len(each.codes) for each in joint.reading.groups]
    nothing = [0] * len(joint.reading.sums)
    rows = [by_key.get(key, nothing) for key in np.ndindex(*sizes)]
    return tuple(zip(*rows, strict=True))


def votes_in_clear(joint: JointPlan, owners: Sequence[Owner]) -> list[list[list[int]]]:
    """What every holder of one table says of its own part by DuckDB on its rows alone, `[holders][figures][cells]`: 1
    where it passes, else 0. Nothing where nobody votes.
    """
    if joint.reading.shape is not Shape.STACKED or joint.scheme.noise_micro:
        return []
    return [_votes_of(joint, place, owner) for place, owner in enumerate(owners)]


def _votes_of(joint: JointPlan, holder: int, owner: Owner) -> list[list[int]]:
    laid, figures = lay(joint, [owner]), joint.reading.figures
    tests = ", ".join(_tests(joint, laid, place, holder) for place in range(len(figures)))
    keys = ", ".join(laid.keys)
    listed, group = (f"{keys}, ", f" GROUP BY {keys}") if keys else ("", "")
    found = laid.connection.execute(f"SELECT {listed}{tests} FROM {laid.source}{group}").fetchall()
    width = len(laid.keys)
    by_key = {row[:width]: row[width:] for row in found}
    sizes = [len(each.codes) for each in joint.reading.groups]
    rows = [by_key.get(key, [False] * len(figures)) for key in np.ndindex(*sizes)]
    return [[int(passed) for passed in said] for said in zip(*rows, strict=True)]


def vectors_in_clear(joint: JointPlan, owners: Sequence[Owner]) -> tuple[tuple[int, ...], ...]:
    """Every sum of a plan in every cell, and all holders' votes on every figure behind them, `[vectors][cells]`."""
    votes = np.array(votes_in_clear(joint, owners), dtype=int)
    added = votes.sum(axis=0).tolist() if votes.size else []
    return (*sums_in_clear(joint, owners), *(tuple(each) for each in added))


def _measured(laid: Laid, total: Sum) -> str:
    values = [f"{laid.value(at)}::HUGEINT" for at in total.operands]
    made: dict[Measure, Callable[[], str]] = {
        Measure.ROWS: lambda: "count(*)",
        Measure.PRESENT: lambda: f"count({values[0]})",
        Measure.TOTAL: lambda: f"sum({values[0]})",
        Measure.MAGNITUDE: lambda: f"sum(abs({values[0]}))",
        Measure.SQUARE: lambda: f"sum({values[0]} * {values[0]})",
        Measure.PRODUCT: lambda: f"sum({' * '.join(values)})",
    }
    return made[total.measure]()


def oracle(joint: JointPlan, owners: Sequence[Owner]) -> list[dict[str, Any]]:
    """Every cell by DuckDB on all rows in clear: its figures, and by name of figure whether it may be opened."""
    laid = lay(joint, owners)
    keys, connection = laid.keys, laid.connection
    sizes = [len(each.codes) for each in joint.reading.groups]
    wanted = [_sql(joint, laid, figure) for figure in joint.reading.figures]
    tests = [_tests(joint, laid, place) for place in range(len(joint.reading.figures))]
    listed = ", ".join([*keys, *wanted, *tests])
    group = f" GROUP BY {', '.join(keys)}" if keys else ""
    found = connection.execute(f"SELECT {listed} FROM {laid.source}{group}").fetchall()
    by_key = {row[: len(keys)]: row[len(keys) :] for row in found}
    cells = []
    names = [figure.name for figure in joint.reading.figures]
    votes = votes_in_clear(joint, owners)
    for cell, key in enumerate(np.ndindex(*sizes)):
        row = by_key.get(key)
        figures = dict(zip(names, row[: len(names)], strict=True)) if row else dict.fromkeys(names)
        open_ = dict(zip(names, row[len(names) :], strict=True)) if row else dict.fromkeys(names, False)
        for place, name in enumerate(names):
            open_[name] = open_[name] and all(each[place][cell] for each in votes)
        cells.append({"figures": figures, "open": open_})
    return cells


def _sql(joint: JointPlan, laid: Laid, figure: JointFigure) -> str:
    sums = [joint.reading.sums[place] for place in figure.sums]
    if figure.function == "count":
        return "count(*)"
    if figure.function == "corr":
        return f"corr({laid.value(sums[1].operands[0])}, {laid.value(sums[2].operands[0])})"
    return f"{figure.function}({laid.value(sums[0].operands[0])})"


def _tests(joint: JointPlan, laid: Laid, place: int, holder: int | None = None) -> str:
    """The rule in words of SQL, written anew: enough persons, and no two persons could be more than the share; of one
    holder's part by its own ranges.
    """
    figure, scheme = joint.reading.figures[place], joint.scheme
    persons = joint.reading.sums[figure.persons]
    stacked = joint.reading.shape is Shape.STACKED
    # as many rows of one person, where holders do not look at their own parts
    rows = len(joint.reading.portions) if stacked and scheme.noise_micro else 1
    counted = "count(*)" if not persons.operands else f"count({laid.value(persons.operands[0])})"
    conditions = [f"{counted} >= {scheme.minimum_group * rows}"]
    for number in figure.sums:
        total = joint.reading.sums[number]
        holders = joint.reading.portions if stacked else ()
        if holder is not None:
            holders = holders[holder : holder + 1]
        caps = [
            max(each.operands[o].cap for each in holders or joint.reading.portions[p : p + 1])
            for p, o in total.operands
        ]
        values = [f"coalesce({laid.value(at)}, 0)::HUGEINT" for at in total.operands]
        rules = {
            Measure.TOTAL: lambda values=values, caps=caps: (f"abs({values[0]})", caps[0]),
            Measure.SQUARE: lambda values=values, caps=caps: (f"{values[0]} * {values[0]}", caps[0] ** 2),
            Measure.PRODUCT: lambda values=values, caps=caps: (" * ".join(values), caps[0] * caps[1]),
        }
        if total.measure in rules:
            each, cap = rules[total.measure]()
            conditions.append(f"sum({each})::HUGEINT * {scheme.dominance} >= {200 * cap * rows}::HUGEINT")
    return f"coalesce({' AND '.join(conditions)}, false)"


def mismatches(answer: JointAnswer, cells: list[dict[str, Any]], figures: Sequence[JointFigure]) -> list[str]:
    """What differs between an answer and the oracle: whole numbers to the last digit, doubles but for rounding."""
    wrong = []
    for number, (row, cell) in enumerate(zip(answer.rows, cells, strict=True)):
        given = dict(zip(answer.columns, row, strict=True))
        for figure in figures:
            ours, theirs = given[figure.name], cell["figures"][figure.name]
            if not cell["open"][figure.name]:
                fits = ours is None
            elif figure.function in ("count", "sum"):
                fits = ours == theirs
            elif ours is None or theirs is None:  # not defined, as the variance of one value
                fits = ours is theirs
            else:
                fits = abs(ours - theirs) <= 1e-9 * max(1.0, abs(theirs))  # DuckDB sums doubles, we do not
            if not fits:
                wrong.append(f"cell {number}, {figure.name}: {ours} and not {theirs}")
    return wrong
