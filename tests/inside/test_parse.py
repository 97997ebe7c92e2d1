"""The parse box accepts exactly the tables of the plan's program, and writes each in one spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inside import parse, table
from inside.session import Session, handover, padded, unpadded
from keys import sealing
from plans import canonical
from plans.box import Entry
from plans.errors import OutputRefused
from plans.key import BoxKeys
from plans.reading import Cells, Output, Role
from tests.plans import examples

KEY, NEXT = "aa" * 32, "bb" * 32


def program(*kinds: str) -> Cells:
    """A table whose outputs have these types, and one number of persons."""
    outputs = tuple(Output(f"c{n}", kind, Role.KEY, "", 0) for n, kind in enumerate(kinds))
    return examples.direct(outputs, 1).tables[0]


def content(shape: Cells, *rows: list[Any]) -> bytes:
    return canonical.encode({"tables": [{"columns": table.columns(shape), "rows": list(rows)}]})


def only(data: bytes, shape: Cells) -> table.Table:
    """The one table in what a query box wrote."""
    (found,) = table.read_tables(data, [shape], salted=False).tables
    return found


def value(kind: str, given_value: Any) -> Any:
    """What one value of a type is read as."""
    shape = program(kind)
    return only(content(shape, [given_value, 12]), shape).rows[0][0]


# --------------------------------------------------------------------------------------- one value each


@pytest.mark.parametrize(
    ("kind", "found", "read"),
    [
        ("BIGINT", -3, -3), ("BIGINT", "12", 12), ("HUGEINT", "9" * 38, "9" * 38), ("UTINYINT", None, None),
        ("DECIMAL(18,2)", "1.50", "1.5"), ("DECIMAL(18,2)", "-0.00", "0"), ("DECIMAL(38,0)", "100", "100"),
        ("DOUBLE", "52300.0", "52300.0"), ("DOUBLE", "1e+300", "1e+300"), ("DOUBLE", "-0.0", "0.0"),
        ("DOUBLE", "0.1000000000000000055", "0.1"), ("DOUBLE", "1E5".lower(), "100000.0"),
        ("DOUBLE", "nan", "nan"), ("DOUBLE", "-inf", "nan"), ("DOUBLE", "1e999", "nan"),
        ("FLOAT", "inf", "nan"),
        ("BOOLEAN", True, True), ("VARCHAR", "东区", "东区"), ("VARCHAR", "", ""),
        ("DATE", "2024-02-29", "2024-02-29"), ("DATE", "infinity", None), ("DATE", "12024-01-01", None),
        ("DATE", "0044-03-15 (BC)", None),
        ("TIMESTAMP", "2024-02-29 08:00:00", "2024-02-29 08:00:00"),
        ("TIMESTAMP", "2024-02-29 08:00:00.5", "2024-02-29 08:00:00.500000"),
    ],
)  # fmt: skip
def test_each_type_has_one_spelling(kind: str, found: Any, read: Any) -> None:
    assert value(kind, found) == read and type(value(kind, found)) is type(read)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("BIGINT", "012"), ("BIGINT", "1.0"), ("BIGINT", " 1"), ("BIGINT", "1_000"), ("BIGINT", True),
        ("BIGINT", []), ("BIGINT", "9" * 79), ("BIGINT", "٣"),
        ("DECIMAL(18,2)", "1e5"), ("DECIMAL(18,2)", "NaN"), ("DECIMAL(18,2)", 5), ("DECIMAL(18,2)", "1."),
        ("DOUBLE", "0x1p3"), ("DOUBLE", "1_0.0"), ("DOUBLE", "Infinity"), ("DOUBLE", 5), ("DOUBLE", "1.0\n"),
        ("BOOLEAN", 1), ("BOOLEAN", "true"), ("VARCHAR", 5), ("VARCHAR", {"a": 1}),
        ("DATE", "2024-02-30"), ("DATE", "20240229"), ("DATE", "2024-W09-4"), ("DATE", "income 5200"),
        ("TIMESTAMP", "2024-02-29T08:00:00"), ("TIMESTAMP", "2024-02-29 25:00:00"),
    ],
)  # fmt: skip
def test_what_an_engine_never_writes_is_refused(kind: str, found: Any) -> None:
    """ATTACKS 55: odd spellings fail closed, and the refusal names a row and no value."""
    with pytest.raises(OutputRefused) as refused:
        value(kind, found)
    assert (refused.value.what, refused.value.where) == (
        "a value does not have the form of its column's type",
        "row 1",
    )


@pytest.mark.parametrize(
    "kind",
    ["BLOB", "JSON", "VARCHAR[]", "DECIMAL(18,2)[]", "STRUCT(a INTEGER)", "INTERVAL", "UUID", "BIT", ""],
)
def test_types_that_could_carry_anything_cannot_leave_whatever_the_rows(kind: str) -> None:
    shape = program(kind)
    with pytest.raises(OutputRefused, match="type"):
        only(content(shape), shape)


@pytest.mark.parametrize("bad", [-1, True, "3", None, []])
def test_a_number_of_persons_is_a_number(bad: Any) -> None:
    shape = program("BIGINT")
    with pytest.raises(OutputRefused):
        only(content(shape, [1, bad]), shape)


def test_what_terminals_act_on_or_what_hides_is_replaced_and_never_a_reason_to_refuse() -> None:
    """ATTACKS 44: a refusal would tell of a value in a row that is about to be left out."""
    assert value("VARCHAR", "a\x1b[2Jb\nc\u202ed\u200b") == "a\ufffd[2Jb\ufffdc\ufffdd\ufffd"
    assert value("VARCHAR", "x" * 5_000) == "x" * table.LONGEST_TEXT


@given(st.text(max_size=30))
def test_reading_a_text_again_changes_nothing(text: str) -> None:
    once = value("VARCHAR", text)
    assert value("VARCHAR", once) == once
    assert all(character.isprintable() or character.isspace() or ord(character) > 159 for character in once)


@given(st.floats())
def test_a_double_keeps_its_size_and_has_one_spelling(number: float) -> None:
    read = value("DOUBLE", repr(number))
    assert read == "nan" or float(read) == number
    assert value("DOUBLE", read) == read


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**30), max_value=10**30))
def test_a_decimal_keeps_its_size_and_has_one_spelling(number: Any) -> None:
    read = value("DECIMAL(38,4)", format(number, "f"))
    assert type(number)(read) == number
    assert value("DECIMAL(38,4)", read) == read


# -------------------------------------------------------------------------------------------- the table

SHAPE = program("VARCHAR", "BIGINT")
GOOD: dict[str, Any] = {"columns": table.columns(SHAPE), "rows": [["a", 1, 12]]}
WHOLE = {"tables": [GOOD]}


def test_the_control_a_good_table_is_read() -> None:
    assert only(canonical.encode(WHOLE), SHAPE).rows == (("a", 1, 12),)


@pytest.mark.parametrize(
    "bad",
    [
        {**GOOD, "rows": {}},
        {**GOOD, "rows": [["a", 1]]},
        {**GOOD, "rows": [["a", 1, 12, 12]]},
        {**GOOD, "rows": ["a"]},
        {**GOOD, "comment": "income of person 7 is 5200"},
        {**GOOD, "salt": "ab" * 16},
        {**GOOD, "columns": GOOD["columns"][:2]},
        {**GOOD, "columns": GOOD["columns"][::-1]},
        {**GOOD, "columns": [{"name": "c0; 5200", "type": "VARCHAR"}, *GOOD["columns"][1:]]},
        {**GOOD, "columns": [{**GOOD["columns"][0], "hint": "5200"}, *GOOD["columns"][1:]]},
        {"rows": []},
        [],
        "table",
        None,
    ],
)
def test_a_table_with_anything_more_less_or_else_is_refused(bad: Any) -> None:
    """ATTACKS 23: names and types carry nothing that the plan did not say."""
    with pytest.raises(OutputRefused):
        only(canonical.encode({"tables": [bad]}), SHAPE)


@pytest.mark.parametrize(
    "bad",
    [
        GOOD,
        [GOOD],
        {"tables": []},
        {"tables": [GOOD, GOOD]},
        {"tables": GOOD},
        {"tables": {"0": GOOD}},
        {"tables": [GOOD], "comment": "income of person 7 is 5200"},
        {"tables": [GOOD], "salt": "ab" * 16},
        None,
    ],
)
def test_as_many_tables_as_the_plan_says_and_nothing_beside_them(bad: Any) -> None:
    with pytest.raises(OutputRefused):
        only(canonical.encode(bad), SHAPE)


def test_several_tables_are_read_in_the_order_of_the_plan() -> None:
    other = program("DATE")
    dates = {"columns": table.columns(other), "rows": [["2024-02-29", 7]]}
    content_of_both = canonical.encode({"tables": [GOOD, dates]})
    first, second = table.read_tables(content_of_both, [SHAPE, other], salted=False).tables
    assert first.rows == (("a", 1, 12),) and second.rows == (("2024-02-29", 7),)
    with pytest.raises(OutputRefused, match="columns"):
        table.read_tables(content_of_both, [other, SHAPE], salted=False)


def test_all_tables_together_have_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    both = canonical.encode({"tables": [GOOD, GOOD]})
    monkeypatch.setattr(table, "MOST_CELLS", 6)
    assert len(table.read_tables(both, [SHAPE, SHAPE], salted=False).tables) == 2
    monkeypatch.setattr(table, "MOST_CELLS", 5)
    with pytest.raises(OutputRefused, match="cells"):
        table.read_tables(both, [SHAPE, SHAPE], salted=False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04K\x05.",
        b"a,1,12\n",
        json.dumps(WHOLE).encode(),
        canonical.encode(WHOLE) + b"\n",
        canonical.encode(WHOLE)[:-1],
        canonical.encode(WHOLE).decode().encode("utf-16"),
        b"[" * 100_000,
        canonical.encode(WHOLE).replace(b"12", b"12.0"),
    ],
)
def test_bytes_that_are_not_the_canonical_ones_are_refused(data: bytes) -> None:
    with pytest.raises(OutputRefused):
        only(data, SHAPE)


def test_a_table_beyond_the_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    good = canonical.encode(WHOLE)
    monkeypatch.setattr(table, "MOST_CELLS", 2)
    with pytest.raises(OutputRefused, match="cells"):
        only(good, SHAPE)
    monkeypatch.setattr(table, "LARGEST_BYTES", len(good) - 1)
    with pytest.raises(OutputRefused, match="larger"):
        only(good, SHAPE)


# ---------------------------------------------------------------------------------------------- the box


def session(folder: Path, result: bytes) -> Session:
    """A parse box whose input holds `result`, encrypted as the query box does."""
    plan = examples.PLAN
    path = folder / "result.bin"
    path.write_bytes(sealing.encrypt(bytes.fromhex(KEY), padded(result), handover(plan, 1, "result.bin")))
    out = folder / "out"
    out.mkdir()
    keys = BoxKeys({"result.bin": KEY}, {"table.bin": NEXT}, "")
    return Session(plan, Entry.PARSE, 1, {"result.bin": path}, keys, out, folder)


def handed_over(box: Session) -> bytes:
    sealed = (box.out / "table.bin").read_bytes()
    return unpadded(sealing.decrypt(bytes.fromhex(NEXT), sealed, handover(box.plan, 1, "table.bin")))


def test_the_box_hands_over_the_same_table_under_a_salt_and_reports_nothing(tmp_path: Path) -> None:
    rows = [["east", 12, "52300.123", 12, 12], ["CANARY-7", 1, "nan", 1, 1]]
    box = session(tmp_path, content(examples.CELLS, *rows))
    assert parse.run(box) == {}
    read = table.read_tables(handed_over(box), [examples.CELLS], salted=True)
    assert [list(row) for row in read.tables[0].rows] == rows and len(read.salt) == 32
    assert [path.name for path in box.out.iterdir()] == ["table.bin"]
    assert b"CANARY-7" not in (box.out / "table.bin").read_bytes()


def test_two_parse_boxes_never_use_the_same_salt(tmp_path: Path) -> None:
    tables = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        box = session(tmp_path / name, content(examples.CELLS))
        parse.run(box)
        tables.append(handed_over(box))
    assert tables[0] != tables[1]


def test_a_result_that_is_not_a_table_leaves_nothing_behind(tmp_path: Path) -> None:
    box = session(tmp_path, b"CANARY-7")
    with pytest.raises(OutputRefused) as refused:
        parse.run(box)
    assert "CANARY-7" not in str(refused.value) and list(box.out.iterdir()) == []
