"""A twin has the names, types and bounds that an owner declared, and not one value of anybody's data."""

from __future__ import annotations

import datetime
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inside import twin
from plans.errors import Malformed, TooLarge
from plans.manifest import Column, Kind, Manifest
from plans.trial import TWIN_ROWS, Declared, TwinColumn, TwinTable, twin_of, value_of
from tests.plans import examples

NUMBERS = [f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")]
TYPES = [
    *NUMBERS, "DOUBLE", "FLOAT", "DATE", "TIMESTAMP", "BOOLEAN", "VARCHAR", "DECIMAL(18,2)", "DECIMAL(3,2)",
    "DECIMAL(38,0)", "DECIMAL(38,38)", "DECIMAL(38,19)", "DECIMAL(1,1)",
]  # fmt: skip


def manifest(*columns: Column) -> Manifest:
    return replace(examples.MANIFEST, columns=columns)


def column(kind: str, nulls: int = 0) -> Column:
    return Column("a", kind, "", Kind.PLAIN, nulls)


def rows(table: TwinTable, folder: Path, seed: int = 7) -> list[tuple[Any, ...]]:
    """What a program finds in the twin's file."""
    path = folder / "twin.arrows"
    twin.write(table, seed, path)
    found = pa.ipc.open_stream(path.read_bytes()).read_all()
    return duckdb.from_arrow(found).fetchall()


def made(kind: str, folder: Path, declared: Declared | None = None, nulls: int = 0) -> list[Any]:
    table = twin_of(manifest(column(kind, nulls)), {"a": declared or Declared()}, rows=300)
    return [row[1] for row in rows(table, folder)]


# ------------------------------------------------------------------------------------ names, types, bounds


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_has_a_twin_of_that_type_within_its_bounds(kind: str, tmp_path: Path) -> None:
    table = twin_of(manifest(column(kind)), rows=300)
    values = [row[1] for row in rows(table, tmp_path)]
    found = pa.ipc.open_stream((tmp_path / "twin.arrows").read_bytes()).read_all()
    described = duckdb.from_arrow(found).query("made", "DESCRIBE SELECT a FROM made").fetchall()
    assert described[0][1] == kind and len(values) == 300 and None not in values and len(set(values)) > 1
    shape = table.columns[1]
    if shape.low:
        low, high = value_of(kind, shape.low), value_of(kind, shape.high)
        assert all(low <= value <= high for value in values)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("kind", "declared", "low", "high"),
    [
        ("BIGINT", Declared("-3", "2"), -3, 2),
        ("BIGINT", Declared("5000", ""), 5000, 6000),
        ("BIGINT", Declared("", "-5000"), -6000, -5000),
        ("UTINYINT", Declared("250", ""), 250, 255),
        ("BIGINT", Declared(str(-(2**63)), str(2**63 - 1)), -(2**63), 2**63 - 1),
        ("DECIMAL(18,2)", Declared("-0.05", "0.05"), Decimal("-0.05"), Decimal("0.05")),
        ("DECIMAL(38,2)", Declared("-" + "9" * 36, "9" * 36), Decimal("-" + "9" * 36), Decimal("9" * 36)),
        ("DOUBLE", Declared("0.25", "0.5"), 0.25, 0.5),
        ("DATE", Declared("2030-02-28", ""), datetime.date(2030, 2, 28), datetime.date(2030, 2, 28)),
        ("DATE", Declared("2024-02-28", "2024-03-01"), datetime.date(2024, 2, 28), datetime.date(2024, 3, 1)),
        (
            "TIMESTAMP",
            Declared("2024-02-29 23:59:58", "2024-03-01 00:00:01"),
            datetime.datetime.fromisoformat("2024-02-29 23:59:58"),
            datetime.datetime.fromisoformat("2024-03-01 00:00:01"),
        ),
    ],
)
def test_declared_bounds_are_kept(kind: str, declared: Declared, low: Any, high: Any, tmp_path: Path) -> None:
    values = made(kind, tmp_path, declared)
    assert low <= min(values) and max(values) <= high


def test_declared_categories_are_all_that_appears(tmp_path: Path) -> None:
    regions = ("东区", "o'clock", "", "a\nb")
    assert set(made("VARCHAR", tmp_path, Declared(values=regions))) == set(regions)
    assert set(made("BIGINT", tmp_path, Declared(values=("7", "9")))) == {7, 9}


def test_a_column_has_missing_values_only_where_it_may(tmp_path: Path) -> None:
    assert None in made("BIGINT", tmp_path, nulls=1) and None not in made("BIGINT", tmp_path)


# ---------------------------------------------------------------------------------------- nothing of the data


def test_what_a_manifest_counted_does_not_change_its_twin() -> None:
    """Rows, persons and missing values are counted in the data. Whether there are missing values at all is what
    statements are read with already; the control: it is the one thing that does make a difference.
    """
    base = manifest(column("BIGINT", 12))
    other = replace(
        base, rows=17, persons=3, source_sha256=examples.digest("0"), columns=(column("BIGINT", 99),)
    )
    assert twin_of(base) == twin_of(other) and twin_of(base).rows == TWIN_ROWS
    assert twin_of(base) != twin_of(manifest(column("BIGINT", 0)))


def test_identifiers_are_not_in_a_twin_as_they_are_not_in_a_jobs_file() -> None:
    assert [each.name for each in twin_of(examples.MANIFEST).columns] == ["person", "income"]


def test_the_same_declaration_and_seed_give_the_same_rows_and_another_seed_others(tmp_path: Path) -> None:
    """What fails on a twin must fail there again."""
    table = twin_of(examples.MANIFEST, rows=50)
    assert rows(table, tmp_path) == rows(table, tmp_path) != rows(table, tmp_path, seed=8)


def test_persons_of_a_twin_are_told_apart(tmp_path: Path) -> None:
    assert len({row[0] for row in rows(twin_of(examples.MANIFEST), tmp_path)}) == TWIN_ROWS


# --------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    "kind",
    [
        "BLOB",
        "JSON",
        "BIGINT[]",
        "STRUCT(a INTEGER)",
        "DECIMAL(39,0)",
        "DECIMAL(2,3)",
        "BIGINT) --",
        "HUGEINT",
        "",
    ],
)
def test_a_type_that_has_no_twin_is_refused_by_name(kind: str) -> None:
    with pytest.raises(Malformed):
        twin_of(manifest(column(kind)))


@pytest.mark.parametrize(
    ("kind", "low", "high", "values"),
    [
        ("BIGINT", "2", "1", ()), ("BIGINT", "1e3", "2000", ()), ("BIGINT", " 1", "2", ()), ("BIGINT", "١", "2", ()),
        ("BIGINT", "1.5", "2", ()), ("BIGINT", "0", str(2**63), ()), ("BIGINT", "", "", ()),
        ("BIGINT", "1_0", "20", ()), ("VARCHAR", "", "", ("a\0b",)),
        ("DATE", "20240101", "2024-02-02", ()), ("DATE", "2024-02-30", "2024-03-01", ()), ("DATE", "", "", ()),
        ("TIMESTAMP", "2024-02-28T00:00:00", "2025-01-01 00:00:00", ()),
        ("DOUBLE", "nan", "1", ()), ("DOUBLE", "0", "inf", ()), ("DECIMAL(3,2)", "0", "10", ()),
        ("VARCHAR", "a", "b", ("a",)), ("VARCHAR", "", "", ()), ("BOOLEAN", "", "", ("yes",)),
        ("BIGINT", "1", "2", ("x",)),
    ],
)  # fmt: skip
def test_bounds_and_values_that_are_none_of_the_type_are_refused(
    kind: str, low: str, high: str, values: tuple[str, ...]
) -> None:
    with pytest.raises(Malformed):
        TwinColumn("a", kind, low, high, values, False)


def test_a_table_beyond_the_limits_is_refused() -> None:
    good = twin_of(examples.MANIFEST)
    for change in (
        {"rows": 0},
        {"rows": 10**7},
        {"columns": ()},
        {"columns": good.columns * 2},
        {"name": "../x.y"},
    ):
        with pytest.raises(Malformed):
            replace(good, **change)
    with pytest.raises(TooLarge):
        replace(good.columns[0], values=tuple(str(number) for number in range(1001)))


@given(st.text(max_size=40).filter(lambda text: "\0" not in text), st.integers(0, 2**53 - 1))
def test_no_category_becomes_part_of_a_statement(value: str, seed: int) -> None:
    """A category is text of the owner's; whatever it says, it is a value and nothing else."""
    shape = TwinColumn("a", "VARCHAR", "", "", (value,), False)
    found = duckdb.sql(f"SELECT {twin.expression(shape, str(seed))} FROM range(2) AS made(n)").fetchall()
    assert found == [(value,), (value,)]
