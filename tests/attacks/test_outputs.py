"""ATTACKS D and the parts of B, I about what leaves: an attacker who writes statements, one who broke the engine,
one who carries bytes.

Each runs the parse and the judge box's programs one after the other, on what a query box would hand over, and
looks for canaries in everything that leaves: the released table, the report, the names of files, the errors.
"""

from __future__ import annotations

import gzip
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from inside import judge, parse, table
from inside.session import Session, handover, padded
from keys import sealing
from plans import canonical
from plans.box import Entry
from plans.decision import Obligations
from plans.errors import DarkroomError
from plans.key import BoxKeys
from plans.plan import Plan, Program
from plans.reading import Order, Output, Role
from plans.release import RELEASE_INFO
from plans.released import Released
from plans.verdict import Verdict
from tests.plans import examples

CANARY = "张金丝雀"
CANARY_NUMBER = 987_654_321
KEYS = BoxKeys(
    {"result.bin": "aa" * 32, "table.bin": "bb" * 32}, {"table.bin": "bb" * 32, "record.bin": "cc" * 32}, ""
)


@dataclass(frozen=True)
class Left:
    """All that leaves the two boxes for one result."""

    report: dict[str, Any] | None
    released: Released | None
    size: int
    files: tuple[str, ...]
    error: str

    def everything(self) -> str:
        content = self.released.canonical().decode() if self.released else ""
        return f"{self.report} {content} {self.files} {self.error}"


@pytest.fixture
def inspectors(tmp_path: Path) -> Any:
    """Return a function that takes a result through both boxes, as the recipient sees the end of it."""
    recipient = sealing.OpeningKey.fresh()
    runs = iter(range(1_000))

    def inspect(result: bytes, program: Program, obligations: Obligations = examples.OBLIGATIONS) -> Left:
        folder = tmp_path / f"run{next(runs)}"
        plan = _plan(recipient, program, obligations)
        report, error = None, ""
        try:
            parsed = _box(folder / "parse", plan, Entry.PARSE, "result.bin", _encrypted(plan, result))
            parse.run(parsed)
            handed = (parsed.out / "table.bin").read_bytes()
            judging = _box(folder / "judge", plan, Entry.JUDGE, "table.bin", handed)
            report = judge.run(judging)
        except DarkroomError as problem:
            error = f"{problem!r} {problem}"
        out = folder / "judge" / "out"
        files = tuple(sorted(path.name for path in out.iterdir())) if out.exists() else ()
        sealed = (out / "release.bin").read_bytes() if "release.bin" in files else b""
        released = recipient.open(sealed, RELEASE_INFO, plan.digest.encode()) if sealed else b""
        return Left(report, Released.decode(released) if released else None, len(sealed), files, error)

    return inspect


def _plan(recipient: sealing.OpeningKey, program: Program, obligations: Obligations) -> Plan:
    assert examples.PLAN.request and examples.PLAN.decision
    return replace(
        examples.PLAN,
        request=replace(examples.PLAN.request, recipient=recipient.public),
        decision=replace(examples.PLAN.decision, obligations=obligations),
        program=program,
    )


def _encrypted(plan: Plan, result: bytes) -> bytes:
    return sealing.encrypt(
        bytes.fromhex(KEYS.inputs["result.bin"]), padded(result), handover(plan, 1, "result.bin")
    )


def _box(folder: Path, plan: Plan, stage: Entry, name: str, data: bytes) -> Session:
    out = folder / "out"
    out.mkdir(parents=True)
    (folder / name).write_bytes(data)
    return Session(plan, stage, 1, {name: folder / name}, KEYS, out, folder)


def result(program: Program, *rows: list[Any]) -> bytes:
    return canonical.encode({"tables": [{"columns": table.columns(program.tables[0]), "rows": list(rows)}]})


NAME = Output("name", "VARCHAR", Role.KEY, "", 0)
COUNT = Output("n", "BIGINT", Role.FIGURE, "count", 0)
SUM = Output("total", "DOUBLE", Role.FIGURE, "sum", 1)
BY_NAME = examples.direct((NAME, COUNT, SUM), 2)
TOTAL = examples.direct((COUNT, SUM), 2)
UNPROTECTED = replace(examples.OBLIGATIONS, minimum_group=1, rounding=1)
CROWD: list[Any] = ["east", 5_000, "1e+08", 4_000, 4_000]


def canary_in(left: Left) -> bool:
    return CANARY in left.everything() or str(CANARY_NUMBER) in left.everything()


# ------------------------------------------------------------------------- the member's statement attacks


def test_24_a_single_persons_row_leaves_by_no_channel(inspectors: Any) -> None:
    single: list[Any] = [CANARY, 1, f"{CANARY_NUMBER}.0", 1, 1]
    left = inspectors(result(BY_NAME, CROWD, single), BY_NAME)
    assert left.released is not None and not canary_in(left)


def test_the_control_without_a_minimum_group_the_canary_leaves(inspectors: Any) -> None:
    single: list[Any] = [CANARY, 1, f"{CANARY_NUMBER}.0", 1, 1]
    assert canary_in(inspectors(result(BY_NAME, CROWD, single), BY_NAME, UNPROTECTED))


def test_28_many_rows_of_one_person_are_one_person(inspectors: Any) -> None:
    visits: list[Any] = [CANARY, 10_000, "1.0", 1, 1]
    assert not canary_in(inspectors(result(BY_NAME, CROWD, visits), BY_NAME))


@pytest.mark.parametrize(
    ("nobody", "somebody"),
    [
        ([[0, None, 0, 0]], [[1, f"{CANARY_NUMBER}.0", 1, 1]]),
        ([], [[1, f"{CANARY_NUMBER}.0", 1, 1]]),
        ([[0, None, 0, 0]], [[9, "9.0", 9, 9]]),
        ([[500, "1.0", 500, 0]], [[500, "1.0", 500, 9]]),
        ([[500, "nan", 500, 500]], [[500, f"{CANARY_NUMBER}.0", 500, 1]]),
    ],
)
def test_90_whether_anybody_is_behind_a_withheld_figure_shows_nowhere(
    inspectors: Any, nobody: list[Any], somebody: list[Any]
) -> None:
    """`… where name = '…' and income > 50000` must not be a question with an answer."""
    first, second = inspectors(result(TOTAL, *nobody), TOTAL), inspectors(result(TOTAL, *somebody), TOTAL)
    assert seen(first) == seen(second)


def test_the_control_two_outputs_that_differ_are_told_apart(inspectors: Any) -> None:
    first, second = (inspectors(result(TOTAL, [n, "1.0", n, n]), TOTAL) for n in (500, 600))
    assert seen(first) != seen(second)


def seen(left: Left) -> Any:
    """What recipient and centre can tell apart: all but salts, commitments and random keys."""
    verdict = Verdict.read(left.report["verdict"]) if left.report else None
    content = replace(left.released, salt="00" * 16, plan=examples.digest("0")) if left.released else None
    return (verdict and (verdict.finding, verdict.reasons), content, left.size, left.files, left.error)


def test_90_row_order_and_limit_tell_nothing_about_rounded_away_differences(inspectors: Any) -> None:
    program = replace(BY_NAME, order=(Order(1, True, False),), limit=1)
    rows: list[list[Any]] = [["a", 5_001, "1.0", 4_000, 4_000], ["b", 5_002, "1.0", 4_000, 4_000]]
    swapped = [["a", 5_002, "1.0", 4_000, 4_000], ["b", 5_001, "1.0", 4_000, 4_000]]
    assert seen(inspectors(result(program, *rows), program)) == seen(
        inspectors(result(program, *swapped), program)
    )


def test_low_bits_of_a_figure_carry_nothing(inspectors: Any) -> None:
    """A sum in another order, or a message added below the last digit, is the same output."""
    shown = {
        inspectors(result(TOTAL, [5_000, total, 4_000, 4_000]), TOTAL).released.rows
        for total in ("123456789.0", "123456789.00000002", "123456788.71823712")
    }
    assert len(shown) == 1


# ------------------------------------------------------------- somebody who broke the engine writes anything


@pytest.mark.parametrize(
    "hostile",
    [
        pickle.dumps({"rows": [CANARY]}),
        gzip.compress(b"\0" * 1_000_000),
        b"PAR1" + CANARY.encode() + b"PAR1",
        b"ARROW1\0\0" + CANARY.encode(),
        f"name,n\n{CANARY},1\n".encode("gb18030"),
        f"name,n\n{CANARY}\n".encode(),
        f"<svg onload='{CANARY}'/>".encode(),
        f'=HYPERLINK("{CANARY}")'.encode(),
        b'{"rows":' * 50_000,
        b"",
    ],
)
def test_53_54_55_whatever_is_no_table_fails_closed_and_is_not_quoted(
    inspectors: Any, hostile: bytes
) -> None:
    left = inspectors(hostile, BY_NAME)
    assert left.error and left.report is None and left.files == () and not canary_in(left)


@pytest.mark.parametrize(
    "carrier",
    [
        lambda plain: {**plain, "metadata": CANARY},
        lambda plain: {
            **plain,
            "columns": [{**plain["columns"][0], "comment": CANARY}, *plain["columns"][1:]],
        },
        lambda plain: {**plain, "columns": [{**plain["columns"][0], "name": CANARY}, *plain["columns"][1:]]},
        lambda plain: {**plain, "columns": [{**plain["columns"][0], "type": CANARY}, *plain["columns"][1:]]},
        lambda plain: {**plain, "rows": [[*row, CANARY] for row in plain["rows"]]},
        lambda plain: {**plain, "rows": [[row[0], CANARY, *row[2:]] for row in plain["rows"]]},
        lambda plain: {**plain, "rows": [[*row[:3], str(CANARY_NUMBER), *row[4:]] for row in plain["rows"]]},
    ],
)
def test_23_54_names_types_metadata_and_extra_cells_carry_nothing(inspectors: Any, carrier: Any) -> None:
    (honest,) = canonical.decode(result(BY_NAME, CROWD))["tables"]
    left = inspectors(canonical.encode({"tables": [carrier(honest)]}), BY_NAME)
    assert left.error and left.files == () and not canary_in(left)


def test_94_the_second_box_never_sees_the_bytes_of_the_first(inspectors: Any) -> None:
    """Two spellings of a result are one table, so no trick in the spelling reaches the judge."""
    spelled = [
        inspectors(result(BY_NAME, ["east", 5_000, total, 4_000, 4_000]), BY_NAME).released.rows
        for total in ("0100000000.0", "1e8", "100000000.00000000")
    ]
    assert spelled[0] == spelled[1] == spelled[2]


def test_94_an_engine_that_lies_about_persons_is_outside_this_promise_but_cannot_lie_about_the_shape(
    inspectors: Any,
) -> None:
    """The number of persons comes from the query box, whose wall is the sandbox; here only its form is checked."""
    for persons in (-1, "4000", None, 4_000.5, True):
        row = ["east", 5_000, "1.0", persons, 4_000]
        if isinstance(persons, float):
            data = result(BY_NAME, CROWD).replace(b",4000,", b",4000.5,", 1)
        else:
            data = result(BY_NAME, row)
        left = inspectors(data, BY_NAME)
        assert left.error and left.files == ()


def test_44_control_sequences_in_a_key_do_not_reach_the_recipients_terminal(inspectors: Any) -> None:
    left = inspectors(result(BY_NAME, ["\x1b]0;owned\x07\u202eeast", *CROWD[1:]]), BY_NAME)
    assert left.released is not None
    assert left.released.rows[0][0].v == "\ufffd]0;owned\ufffd\ufffdeast"


def test_56_84_bytes_changed_on_the_way_between_the_boxes_are_refused(
    inspectors: Any, tmp_path: Path
) -> None:
    """A launcher's host that changes what it carries; `tests/airlock/test_api.py` attacks what comes after."""
    recipient = sealing.OpeningKey.fresh()
    plan = _plan(recipient, BY_NAME, examples.OBLIGATIONS)
    parsed = _box(tmp_path / "p", plan, Entry.PARSE, "result.bin", _encrypted(plan, result(BY_NAME, CROWD)))
    parse.run(parsed)
    handed = (parsed.out / "table.bin").read_bytes()
    changed = handed[:40] + bytes([handed[40] ^ 1]) + handed[41:]
    with pytest.raises(DarkroomError) as refused:
        judge.run(_box(tmp_path / "changed", plan, Entry.JUDGE, "table.bin", changed))
    assert refused.value.code == "evidence.broken"
    assert "verdict" in judge.run(_box(tmp_path / "honest", plan, Entry.JUDGE, "table.bin", handed))
