"""All parties of a joint computation as threads of this process, on made-up rows, beside DuckDB on the joined data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np

from keys.randomness import MaskStream
from mpc.protocols.channel import Channel
from mpc.protocols.computation import Work, take_part
from mpc.protocols.identifiers import pack_fixed
from mpc.protocols.joint_rows import OwnRows
from mpc.protocols.memory import MemoryChannel, network
from plans.joint import Grouping, JointFigure, JointPlan, JointReading, Measure, Opened, Operand, Portion, Sum
from plans.joint_answer import JointAnswer, answer_of
from tests.inside.joint_cases import joint_plan, reading

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
        listed = [
            [None if np.ma.is_masked(value) else int(value) for value in column]
            for column in columns.values()
        ]
        rows = list(zip(*listed, strict=True))
        if rows:
            connection.register("incoming", _arrow(columns))
            connection.execute(f"INSERT INTO {name} SELECT * FROM incoming")
            connection.unregister("incoming")
        return name


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
    """What came of a run: what each server handed over, and what every party's channel counted."""

    joint: JointPlan
    attempt: int
    opened: list[Opened]
    channels: Mapping[str, Any] = field(repr=False)

    def answer(self) -> JointAnswer:
        return answer_of(self.joint, self.attempt, self.opened)


def run(
    joint: JointPlan,
    owners: Sequence[Owner],
    attempt: int = 1,
    wrap: Wrap = lambda _name, channel: channel,
    coins: Mapping[str, bytes] | None = None,
    patience: float = 20.0,
) -> Went:
    """Run every party in a thread of its own; raises what the first of them raised."""
    links = network([party.domain for party in joint.parties], patience)
    channels = {name: wrap(name, channel) for name, channel in links.items()}
    rows = {owner.domain: owner.rows() for owner in owners}
    opened: list[Opened] = []
    failed: list[Exception] = []

    def work(name: str) -> None:
        try:
            drawn = MaskStream(coins[name]) if coins else None
            found = take_part(Work(joint, name, attempt, channels[name]), rows.get(name), drawn)
            if found is not None:
                opened.append(found)
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
    return Went(joint, attempt, opened, channels)


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
    if len(first) > 1 and all(_crossable(owners[portion]) for portion, _ in first[:2]):
        x, y = first[:2]
        made = [place(Measure.TOTAL, x), place(Measure.TOTAL, y)]
        made += [place(Measure.SQUARE, x), place(Measure.SQUARE, y), place(Measure.PRODUCT, x, y)]
        figures.append(JointFigure("r", "corr", (0, *made), 0))
    return reading([owner.portion() for owner in owners], sums, figures)


def _crossable(owner: Owner) -> bool:
    return owner.operands[0].low >= 0 and not owner.operands[0].nullable


def plan_for(owners: Sequence[Owner], asked: JointReading | None = None, **changes: Any) -> JointPlan:
    return joint_plan(asked or everything(owners), **changes)


def oracle(joint: JointPlan, owners: Sequence[Owner]) -> list[dict[str, Any]]:
    """Every cell by DuckDB on the joined rows in clear: its figures, and by name of figure whether it may be opened."""
    connection = duckdb.connect()
    tables = [owner.table(connection) for owner in owners]
    joined = " JOIN ".join([tables[0], *(f"{name} USING (id)" for name in tables[1:])])
    keys = [f"{tables[p]}.g{k}" for p, owner in enumerate(owners) for k in range(len(owner.sizes))]
    sizes = [size for owner in owners for size in owner.sizes]
    wanted = [_sql(joint, tables, figure) for figure in joint.reading.figures]
    tests = [_tests(joint, tables, place) for place in range(len(joint.reading.figures))]
    listed = ", ".join([*keys, *wanted, *tests])
    group = f" GROUP BY {', '.join(keys)}" if keys else ""
    found = connection.execute(f"SELECT {listed} FROM {joined}{group}").fetchall()
    by_key = {row[: len(keys)]: row[len(keys) :] for row in found}
    cells = []
    names = [figure.name for figure in joint.reading.figures]
    for key in np.ndindex(*sizes):
        row = by_key.get(key)
        figures = dict(zip(names, row[: len(names)], strict=True)) if row else dict.fromkeys(names)
        open_ = dict(zip(names, row[len(names) :], strict=True)) if row else dict.fromkeys(names, False)
        cells.append({"figures": figures, "open": open_})
    return cells


def _value(tables: list[str], at: tuple[int, int]) -> str:
    return f"{tables[at[0]]}.v{at[1]}"


def _sql(joint: JointPlan, tables: list[str], figure: JointFigure) -> str:
    sums = [joint.reading.sums[place] for place in figure.sums]
    if figure.function == "count":
        return "count(*)"
    if figure.function == "corr":
        return f"corr({_value(tables, sums[1].operands[0])}, {_value(tables, sums[2].operands[0])})"
    return f"{figure.function}({_value(tables, sums[0].operands[0])})"


def _tests(joint: JointPlan, tables: list[str], place: int) -> str:
    """The rule in words of SQL, written anew: enough persons, and no two persons could be more than the share."""
    figure, scheme = joint.reading.figures[place], joint.scheme
    persons = joint.reading.sums[figure.persons]
    counted = "count(*)" if not persons.operands else f"count({_value(tables, persons.operands[0])})"
    conditions = [f"{counted} >= {scheme.minimum_group}"]
    for number in figure.sums:
        total = joint.reading.sums[number]
        caps = [joint.reading.portions[p].operands[o].cap for p, o in total.operands]
        values = [f"coalesce({_value(tables, at)}, 0)::HUGEINT" for at in total.operands]
        rules = {
            Measure.TOTAL: lambda values=values, caps=caps: (f"abs({values[0]})", caps[0]),
            Measure.SQUARE: lambda values=values, caps=caps: (f"{values[0]} * {values[0]}", caps[0] ** 2),
            Measure.PRODUCT: lambda values=values, caps=caps: (" * ".join(values), caps[0] * caps[1]),
        }
        if total.measure in rules:
            each, cap = rules[total.measure]()
            conditions.append(f"sum({each})::HUGEINT * {scheme.dominance} >= {200 * cap}::HUGEINT")
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
