"""The protect box hands on what may leave and nothing else: no small group, no further digit, no number of persons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock import rules
from inside import protect, table
from inside.session import BoxFailure, Session, handover, padded, unpadded
from keys import sealing
from plans import canonical
from plans.box import Entry
from plans.decision import Obligations, Tier
from plans.errors import Malformed, OutputRefused
from plans.handover import PROTECTED, TABLE
from plans.key import BoxKeys
from plans.reading import Cells, Output, Role
from tests.inside.finished import AVERAGE, COUNT, REGION, finished
from tests.plans.examples import NO_DOMINANCE

CANARY = "CANARY-OF-PROTECT"
OBLIGATIONS = Obligations(
    minimum_group=10, rounding=5, largest_result=1_000, tier=Tier.T1, checks=NO_DOMINANCE
)
BY_REGION = Cells("SELECT 1", (REGION, COUNT, AVERAGE), 2)
TOTAL = Cells("SELECT 2", (COUNT,), 1)
KEY, NEXT = "aa" * 32, "bb" * 32


def protected(rows: list[tuple[Any, ...]], cells: Cells = BY_REGION, base: int = 5) -> tuple[rules.Row, ...]:
    obligations = Obligations(
        minimum_group=10, rounding=base, largest_result=1_000, tier=Tier.T1, checks=NO_DOMINANCE
    )
    return rules.protect(rules.Table(tuple(rows)), cells, obligations).rows


# --- one table ------------------------------------------------------------------------------------------------


def test_small_groups_are_gone_and_figures_are_rounded_or_have_no_value() -> None:
    rows = [
        ("west", 777, "48000.5", 700, 3),
        ("east", 1_234, "52349.123", 1_000, 400),
        (CANARY, 1, "9.0", 1, 1),
    ]
    assert protected(rows) == (("east", 1_235, "52000.0"), ("west", 775, None))


def test_what_a_finish_gets_is_what_an_answer_would_show() -> None:
    """One rule for both: a statement cannot choose between two ways to protect its figures."""
    rows = [("a", n, f"{n * 1.37}", n, n // 2) for n in (9, 10, 19, 20, 21, 999, 1_000, 123_456)]
    shown, _ = rules._kept(rules.Table(tuple(rows)), BY_REGION, OBLIGATIONS, ())
    as_text = {tuple(None if cell.v is None else float(cell.v) for cell in row[1:]) for row in shown}
    assert {tuple(None if v is None else float(v) for v in row[1:]) for row in protected(rows)} == as_text


@given(st.permutations([("b", 50, "1.0", 50, 50), ("a", 60, "2.0", 60, 60), (None, 70, None, 70, 70)]))
def test_the_order_of_the_rows_tells_nothing(rows: list[tuple[Any, ...]]) -> None:
    assert [row[0] for row in protected(rows)] == ["a", "b", None]


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("BIGINT", 123_456_789, 123_457_000), ("HUGEINT", "9" * 38, "1" + "0" * 38), ("DOUBLE", "1e+300", "1e+300"),
        ("DOUBLE", "nan", None), ("DECIMAL(18,2)", "1234.5678", "1234.57"),
        ("DECIMAL(18,2)", "0.00", "0"),
    ],
)  # fmt: skip
def test_figures_are_written_in_the_form_of_their_type(kind: str, value: Any, shown: Any) -> None:
    cells = Cells("SELECT 1", (Output("f", kind, Role.FIGURE, "sum", 0),), 1)
    assert protected([(value, 5_000_000)], cells) == ((shown,),)
    written = table.write_tables([rules.Table(((shown,),))], [table.Bare(cells.outputs)], "ab" * 16)
    assert table.read_tables(written, [table.Bare(cells.outputs)], salted=True).tables[0].rows == ((shown,),)


def test_a_double_that_rounding_makes_too_large_has_no_value() -> None:
    cells = Cells("SELECT 1", (Output("f", "DOUBLE", Role.FIGURE, "sum", 0),), 1)
    assert protected([("1.7976931348623157e+308", 5_000)], cells) == ((None,),)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("BOOLEAN", True), ("BOOLEAN", False), ("VARCHAR", "true"), ("DATE", "2024-02-29"), ("BIGINT", -7),
     ("DOUBLE", "nan"), ("DOUBLE", "0.1"), ("DECIMAL(5,2)", "1.5"), ("HUGEINT", "9" * 30)],
)  # fmt: skip
def test_keys_stay_as_they_are(kind: str, value: Any) -> None:
    cells = Cells("SELECT 1", (Output("k", kind, Role.KEY, "", 0), COUNT), 1)
    assert protected([(value, 50, 50)], cells) == ((value, 50),)


def test_a_figure_that_is_no_number_goes_nowhere() -> None:
    """A truth value computed from figures could tell unrounded ones."""
    cells = Cells("SELECT 1", (Output("f", "BOOLEAN", Role.FIGURE, "sum", 0),), 1)
    with pytest.raises(Malformed):
        protected([(True, 500)], cells)


# --- the box --------------------------------------------------------------------------------------------------


def session(folder: Path, content: bytes, obligations: Obligations = OBLIGATIONS) -> Session:
    plan = finished((BY_REGION, TOTAL), "SELECT n FROM cells_1", (COUNT,), obligations)
    path = folder / TABLE
    path.write_bytes(sealing.encrypt(bytes.fromhex(KEY), padded(content), handover(plan, 1, TABLE)))
    (folder / "out").mkdir()
    keys = BoxKeys({TABLE: KEY}, {PROTECTED: NEXT}, "")
    return Session(plan, Entry.PROTECT, 1, {TABLE: path}, keys, folder / "out", folder)


def parsed(*tables: list[list[Any]]) -> bytes:
    forms = (BY_REGION, TOTAL)
    content = [
        {"columns": table.columns(form), "rows": rows} for form, rows in zip(forms, tables, strict=True)
    ]
    return canonical.encode({"tables": content, "salt": "cd" * 16})


EAST: list[Any] = ["east", 1_234, "52349.123", 1_000, 400]


def test_every_table_is_protected_and_the_report_says_nothing(tmp_path: Path) -> None:
    box = session(tmp_path, parsed([EAST, [CANARY, 1, "9.0", 1, 1]], [[1_235, 1_001]]))
    assert protect.run(box) == {}
    assert [path.name for path in box.out.iterdir()] == [PROTECTED]
    sealed = (box.out / PROTECTED).read_bytes()
    plain = unpadded(sealing.decrypt(bytes.fromhex(NEXT), sealed, handover(box.plan, 1, PROTECTED)))
    found = table.read_tables(plain, [table.Bare(BY_REGION.outputs), table.Bare(TOTAL.outputs)], salted=True)
    assert [each.rows for each in found.tables] == [(("east", 1_235, "52000.0"),), ((1_235,),)]
    for canary in (CANARY, "1234,", "52349", "1000", "persons"):
        assert canary.encode() not in plain and canary.encode() not in sealed


def test_an_inner_table_of_too_many_cells_stops_the_plan_whatever_the_finish_would_keep(
    tmp_path: Path,
) -> None:
    """Else `WHERE … OFFSET` outside would take all of it out, page after page."""
    many: list[list[Any]] = [[f"r{n:03}", 50, "1.0", 50, 50] for n in range(334)]
    for name, rows in (("few", many[:333]), ("many", many)):
        (tmp_path / name).mkdir()
        box = session(tmp_path / name, parsed(rows, [[500, 500]]))
        if name == "few":
            protect.run(box)
            continue
        with pytest.raises(BoxFailure) as failure:
            protect.run(box)
        assert (failure.value.code, failure.value.facts) == ("protect.too-large", {})
        assert list(box.out.iterdir()) == []


def test_groups_that_are_left_out_do_not_count_for_the_size(tmp_path: Path) -> None:
    small: list[list[Any]] = [[f"r{n:03}", 5, "1.0", 5, 5] for n in range(334)]
    assert protect.run(session(tmp_path, parsed(small, [[500, 500]]))) == {}


@pytest.mark.parametrize("data", [b"", b"{}", parsed([EAST], [[1]]), parsed([EAST[:4]], [[1, 1]])])
def test_what_no_parse_box_writes_is_refused(tmp_path: Path, data: bytes) -> None:
    box = session(tmp_path, data)
    with pytest.raises(OutputRefused):
        protect.run(box)
    assert list(box.out.iterdir()) == []
