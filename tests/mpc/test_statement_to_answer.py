"""From one SQL statement to the recipient's answer, through every pure part, beside DuckDB on the joined rows."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from mpc.protocols.computation import Work, take_part
from mpc.protocols.identifiers import pack_texts
from mpc.protocols.joint_rows import OwnRows
from mpc.protocols.memory import MemoryChannel, together
from plans import joint_guards
from plans.joint import JointFigure, JointPlan, JointReading, SeenAs, Shape, Step
from plans.joint_answer import Value, answer_of
from plans.joint_rules import Matching
from tests.mpc.compile_cases import TASK, Asked
from tests.policies import joint_meaning
from tests.policies.joint_cases import FROM, INCOME, REGIONS, VISITS
from tests.policies.test_joint_reading import STATEMENTS, filled, tables

SMALL = tuple(replace(each, rows=100) for each in (VISITS, INCOME))
MINIMUM = 3

Message = tuple[str, str, int]
"""Who received it, its tag, its size."""


def own_rows(reading: JointReading, place: int, rows: Mapping[str, joint_meaning.Row]) -> OwnRows:
    """What an owner's box hands on, as `inside.extract` computes it."""
    portion = reading.portions[place]
    listed = sorted(rows)
    values = [[number or 0 for number in rows[key][1]] for key in listed]
    present = [[number is not None for number in rows[key][1]] for key in listed]
    groups = []
    for key in listed:
        at = 0
        for group, code in zip(portion.groups, rows[key][0], strict=True):
            at = at * len(group.codes) + group.codes.index(code)
        groups.append(at)
    width = len(portion.operands)
    return OwnRows(
        pack_texts(listed).blocks,
        np.array(values, dtype=np.int64).reshape(len(listed), width).T.copy(),
        np.array(present, dtype=np.uint8).reshape(len(listed), width).T.copy(),
        np.array(groups, dtype=np.uint16),
    )


@dataclass
class Heard:
    """A channel that writes down who received which message."""

    channel: MemoryChannel
    me: str
    log: list[Message]
    lock: Any = field(default_factory=threading.Lock)

    def send(self, peer: str, tag: str, payload: Any) -> None:
        self.channel.send(peer, tag, payload)

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        with self.lock:
            self.log.append((self.me, tag, size))
        return self.channel.receive(peer, tag, size)

    def traffic(self) -> Any:
        return self.channel.traffic()


def computed(joint: JointPlan, rows: Mapping[str, OwnRows]) -> tuple[list[Any], set[Message]]:
    """What is handed over, and who received which message."""
    log: list[Message] = []

    def program(domain: str) -> Any:
        return lambda channel: take_part(
            Work(joint, domain, 1, Heard(channel, domain, log)), rows.get(domain)
        )

    found, _ = together({party.domain: program(party.domain) for party in joint.parties})
    return [each for each in found.values() if each is not None], set(log)


def plan_of(statement: str, matching: Matching = Matching.HELPER) -> JointPlan:
    """The plan of a statement over small relations, with a small minimum group."""
    helper = TASK.helper if matching is Matching.HELPER else ""
    task = replace(TASK, statement=statement, matching=matching, helper=helper)
    plan = Asked(task, shadows=SMALL).plan()
    return replace(plan, scheme=replace(plan.scheme, minimum_group=MINIMUM))


def all_rows(plan: JointPlan, database: joint_meaning.Database) -> dict[str, OwnRows]:
    """Every owner's rows."""
    reading = plan.reading
    return {
        portion.domain: own_rows(reading, place, joint_meaning.portion_rows(database, portion))
        for place, portion in enumerate(reading.portions)
    }


def answered(
    plan: JointPlan, database: joint_meaning.Database
) -> tuple[dict[tuple[str, ...], dict[str, Value]], set[Message]]:
    """Every figure of every cell as the recipient opens it, by codes and name; and the messages."""
    reading = plan.reading
    opened, messages = computed(plan, all_rows(plan, database))
    answer = answer_of(plan, 1, opened)
    places = [answer.columns.index(group.name) for group in reading.groups]
    return {
        tuple(str(row[place]) for place in places): dict(zip(answer.columns, row, strict=True))
        for row in answer.rows
    }, messages


def _passes(plan: JointPlan, figure: JointFigure, cell: joint_meaning.Cell) -> bool:
    return cell.behind >= MINIMUM and all(
        cell.magnitudes[place] * plan.scheme.dominance >= 200 * cap
        for place, cap in joint_guards.tested(plan.reading, figure)
    )


def require_right(plan: JointPlan, database: joint_meaning.Database, found: Any) -> None:
    """Each figure is DuckDB's where it may be opened, and withheld elsewhere; of one table, where every part may."""
    expected = joint_meaning.cells(database, plan.reading)
    assert set(found) == set(expected)
    stacked = plan.reading.shape is Shape.STACKED
    parts = [
        joint_meaning.own_cells(database, plan.reading, place)
        for place in range(len(plan.reading.portions))
        if stacked
    ]
    for codes, cells in expected.items():
        for figure in plan.reading.figures:
            ours, cell = found[codes][figure.name], cells[figure.name]
            own = [part[codes][1][figure.name] for part in parts]
            if not all(_passes(plan, figure, each) for each in (cell, *own)):
                assert ours is None
            elif cell.value is None:
                assert ours is None or figure.function.startswith(("corr", "var", "stddev"))
            elif figure.function in ("sum", "count"):
                assert Fraction(str(ours)) == cell.value
            else:
                assert isinstance(ours, float)
                assert math.isclose(ours, float(cell.value), rel_tol=1e-9, abs_tol=1e-12)


@settings(max_examples=12, deadline=None)
@given(tables(), STATEMENTS)
def test_the_recipient_opens_what_duckdb_says_of_the_joined_rows_or_nothing(
    rows: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]], asked: tuple[list[str], list[str], list[str]]
) -> None:
    figures, conditions, keys = asked
    listed = ", ".join([*keys, *(f"{figure} as f{n}" for n, figure in enumerate(figures))])
    where = f" where {' and '.join(conditions)}" if conditions else ""
    plan = plan_of(f"select {listed} {FROM}{where}" + (f" group by {', '.join(keys)}" if keys else ""))
    with filled(rows) as database:
        found, _ = answered(plan, database)
        require_right(plan, database, found)


MANY = (
    [
        (n, f"id{n}", REGIONS[n % 3], "E11.9", n % 2 == 0, 100 + n, n % 7, 70.5, n % 5, None)
        for n in range(40)
    ],
    [(n, f"id{n}", 1 + n % 3, 1_000 * n, 400_000 + n, False) for n in range(4, 44)],
)
STATEMENT = (
    f"select h.region, avg(h.cost) as cost, sum(t.tax) as tax, count(*) as n {FROM} where h.icd like 'E11%' "
    "group by h.region"
)


@pytest.mark.parametrize("matching", [Matching.HELPER, Matching.DIFFIE_HELLMAN])
def test_whoever_receives_a_message_has_a_line_in_the_table_for_it(matching: Matching) -> None:
    plan = plan_of(STATEMENT, matching)
    with filled(MANY) as database:
        found, messages = answered(plan, database)
        require_right(plan, database, found)
    assert any(each["tax"] is not None for each in found.values())
    told = {(sight.party, sight.step, sight.form) for sight in plan.sights}
    for receiver, tag, _ in messages:
        assert (receiver, *seen_in(tag)) in told, (receiver, tag)
    received = {receiver for receiver, tag, _ in messages if tag == "match/pseudonyms"}
    assert received == {plan.matcher}


@pytest.mark.parametrize(("out", "found"), [("h.cost = 110", None), ("h.urgent", 18)])
def test_the_servers_keep_back_a_case_that_leaves_out_few(out: str, found: int | None) -> None:
    plan = plan_of(f"select count(case when {out} then null else 1 end) as part, count(*) as n {FROM}")
    with filled(MANY) as database:
        answer, _ = answered(plan, database)
    assert answer == {(): {"part": found, "n": 36}}


FORMS = {
    "pseudonyms": SeenAs.PSEUDONYM,
    "points": SeenAs.PSEUDONYM,
    "numbers": SeenAs.MASKED,
    "codes": SeenAs.MASKED,
    "order": SeenAs.MASKED,
    "turns": SeenAs.MASKED,
    "turned": SeenAs.MASKED,
    "key": SeenAs.CLEAR,
    "seed": SeenAs.CLEAR,
}
"""What the messages of matching hold, by the second word of their tag."""


def seen_in(tag: str) -> tuple[Step, SeenAs]:
    """Where the table speaks about a message: shares are all that is sent after matching."""
    words = tag.split("/")
    return (
        (Step.MATCH, FORMS[words[1]])
        if words[0] == "match" and words[1] in FORMS
        else (Step.SHARE, SeenAs.SHARE)
    )


def test_no_message_has_a_length_that_depends_on_the_data() -> None:
    """ATTACKS 99: another filter's rows, another intersection, no intersection: the same messages."""
    plan = plan_of(STATEMENT)
    few = (MANY[0][:3], [(n + 900, f"id{n + 900}", *rest) for n, _, *rest in MANY[1]])
    went = []
    for rows in (MANY, few):
        with filled(rows) as database:
            went.append(answered(plan, database))
    (many, messages), (none, others) = went
    assert messages == others
    assert many != none  # the control: the data do differ
