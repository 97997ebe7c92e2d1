"""The extracting box sends exactly the rows, keys and numbers of its own part, and begins with nothing wrong."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from inside.engine import NO_INFINITIES
from inside.session import BoxFailure
from mpc.protocols.identifiers import pack_texts
from mpc.protocols.joint_rows import OwnRows
from plans.errors import KeyRepeated
from plans.joint import Grouping, JointFigure, Measure, Portion, Sum
from plans.joint_shadows import DeclaredColumn, JointShadow
from plans.manifest import Declared
from plans.reading import Shadow, ShadowColumn
from policies.reading.joint import read_joint
from tests.inside.joint_cases import Files, Table, extracted, joint_plan, operand, reading
from tests.policies import joint_meaning
from tests.policies.joint_cases import FROM, REGIONS, SHADOWS, VISITS
from tests.policies.joint_cases import INCOME as INCOMES
from tests.policies.test_joint_reading import CONDITIONS, FIGURES, KEYS, filled

COLUMNS = {"region": "VARCHAR", "income": "DECIMAL(12,2)", "age": "INTEGER", "icd": "VARCHAR"}
ROWS = [
    (f"15010219800101{n:04d}", "east" if n % 3 else "west", None if n % 5 == 0 else Decimal(n * 100 + 1) / 100,
     20 + n % 50, "E11.9" if n % 2 else "I10")
    for n in range(1, 401)
]  # fmt: skip
REGION = Grouping("region", "region", ("east", "west", "north"))
AGED = Grouping("old", "aged", ("false", "true"))
INCOME = operand('"income"', 0, 100_000, 2, nullable=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("owner"), Table("tax.income", COLUMNS, ROWS))


def other_files(folder: Path, rows: Any, columns: dict[str, str] = COLUMNS) -> Files:
    return Files(folder / "files", Table("tax.income", columns, rows))


def run(files: Files, **changes: Any) -> OwnRows:
    """Extract an owner's rows, and return them as the party's box has them; raises what the extracting box raised."""
    files, shadows = copy.copy(files), changes.pop("shadows", ())
    files.table = replace(files.table, row_filter=changes.pop("row_filter", ""))
    made: dict[str, Any] = {"where": "", "groups": (REGION,), "operands": (INCOME,), "bound": 500} | changes
    mine = Portion("nm/tax", "tax.income", "id_number", stand_in="SELECT 1", **made)
    other = Portion("nm/health", "health.visits", "id_number", "", (), (), "SELECT 1", 500)
    figures = (JointFigure("n", "count", (0,), 0),)
    joint = joint_plan(reading((mine, other), (Sum(Measure.ROWS, ()),), figures), (files, files))
    return extracted(replace(joint, shadows=shadows), "nm/tax", files)


def as_rows(found: OwnRows) -> set[tuple[Any, ...]]:
    return {
        (
            bytes(found.keys[n]),
            *found.values[:, n].tolist(),
            *found.present[:, n].tolist(),
            int(found.groups[n]),
        )
        for n in range(len(found.keys))
    }


def expected(rows: Any) -> set[tuple[Any, ...]]:
    blocks = pack_texts([row[0] for row in rows]).blocks
    places = {"east": 0, "west": 1, "north": 2}
    return {
        (bytes(block), int((row[2] or 0) * 100), int(row[2] is not None), places[row[1]])
        for block, row in zip(blocks, rows, strict=True)
    }


def test_keys_operands_presence_and_groups_are_those_of_the_rows(files: Files) -> None:
    assert as_rows(run(files)) == expected(ROWS)


def test_the_statements_condition_and_the_owners_filter_both_hold(files: Files) -> None:
    found = run(files, where="\"icd\" LIKE 'E11%'", row_filter="age < 40")
    assert as_rows(found) == expected([row for row in ROWS if row[4] == "E11.9" and row[3] < 40])


def test_no_rows_are_an_answer_like_any_other(files: Files) -> None:
    assert len(run(files, where='"age" > 1000').keys) == 0


def test_two_keys_of_groups_have_one_place_and_the_last_turns_fastest(tmp_path: Path) -> None:
    columns = COLUMNS | {"aged": "BOOLEAN"}
    rows = [(*row, row[3] > 40) for row in ROWS]
    found = run(other_files(tmp_path, rows, columns), groups=(REGION, AGED))
    places = {bytes(found.keys[n]): int(found.groups[n]) for n in range(len(found.keys))}
    for block, row in zip(pack_texts([row[0] for row in rows]).blocks, rows, strict=True):
        assert places[bytes(block)] == {"east": 0, "west": 2}[row[1]] + (row[3] > 40)


@pytest.mark.parametrize(
    ("expression", "changes"),
    [
        ("CASE WHEN \"icd\" LIKE 'E11%' THEN 1 ELSE 0 END", {"low": 0, "high": 1}),
        ('"income" * 2 - "age"', {"low": -10_000, "high": 100_000, "decimals": 2, "nullable": True}),
        ('"age" > 30', {"low": 0, "high": 1}),
    ],
)
def test_expressions_are_whole_numbers_at_their_scale(
    files: Files, expression: str, changes: dict[str, Any]
) -> None:
    found = run(files, operands=(operand(expression, **changes),))
    scale = 10 ** changes.get("decimals", 0)
    formulas = {
        "C": lambda row: int(row[4] == "E11.9"),
        '"income': lambda row: None if row[2] is None else row[2] * 2 - row[3],
        '"age" >': lambda row: int(row[3] > 30),
    }
    formula = next(made for start, made in formulas.items() if expression.startswith(start))
    wanted = sorted(int((formula(row) or 0) * scale) for row in ROWS)
    assert sorted(found.values[0].tolist()) == wanted


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("extract.rows", {"bound": 399}),
        ("extract.codes", {"groups": (Grouping("region", "region", ("east", "north")),)}),
        ("extract.range", {"operands": (operand('"income"', 0, 39_000, 2, nullable=True),)}),
        ("extract.range", {"operands": (operand('"income"', 102, 100_000, 2, nullable=True),)}),
        ("extract.range", {"operands": (operand('"income"', 0, 100_000, 1, nullable=True),)}),
        ("extract.range", {"operands": (operand('"income"', 0, 100_000, 2),)}),
        ("extract.range", {"operands": (operand('"age" * 1000000000000000000000', 0, 100),)}),
        ("extract.failed", {"operands": (operand('CAST("icd" AS INTEGER)', 0, 100),)}),
    ],
)
def test_what_was_not_declared_does_not_begin(files: Files, code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(BoxFailure) as caught:
        run(files, **changes)
    assert caught.value.code == code
    assert "I10" not in repr(caught.value.facts)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_outside_of_every_range(tmp_path: Path, value: str) -> None:
    """SQL takes NaN for a number, and the greatest one. Where the range was declared, no condition on the column lets
    the statement begin, either. The control: without that one row all begin, and a condition alone would leave it out.
    """
    columns = {"region": "VARCHAR", "weight": "DOUBLE"}
    rows = [(str(n), "east", n / 2) for n in range(100)]
    listed = tuple(
        ShadowColumn(name, kind, True) for name, kind in {"id_number": "VARCHAR", **columns}.items()
    )
    shadow = JointShadow("nm/tax", "id_number", 400, Shadow("tax.income", listed), ())
    within = replace(shadow, declared=(DeclaredColumn("weight", Declared("0", "100")),))
    weight = (operand('"weight"', 0, 1000, 1, nullable=True),)
    files = other_files(tmp_path / "well", rows, columns)
    spoilt = other_files(tmp_path, [*rows, ("100", "east", float(value))], columns)
    few = '"weight" BETWEEN 1 AND 2'
    assert len(run(files, operands=weight, shadows=(within,)).keys) == 100
    assert len(run(spoilt, operands=weight, where=few, shadows=(shadow,)).keys) == 3
    for where, known_as in (("", shadow), ("", within), (few, within), ('NOT "weight" >= 0', within)):
        with pytest.raises(BoxFailure) as caught:
            run(spoilt, operands=weight, where=where, shadows=(known_as,))
        assert caught.value.code == "extract.range"


def known(**declared: Declared) -> tuple[JointShadow, ...]:
    """What readers know of the relation, and what its owner declared."""
    columns = tuple(
        ShadowColumn(name, kind, True) for name, kind in {"id_number": "VARCHAR", **COLUMNS}.items()
    )
    each = tuple(DeclaredColumn(name, what) for name, what in declared.items())
    return (JointShadow("nm/tax", "id_number", 400, Shadow("tax.income", columns), each),)


ASKED = ("", '"age" = 69', '"age" <> 69', "\"icd\" LIKE 'E11%'")
"""Conditions of which some leave out every row with a value outside."""


@pytest.mark.parametrize(
    ("code", "shadows"),
    [
        ("extract.range", known(age=Declared("20", "68"))),
        ("extract.range", known(age=Declared("21", "69"))),
        ("extract.codes", known(region=Declared(values=("east", "north")))),
    ],
)
def test_90_whether_a_computation_begins_is_no_answer_to_a_condition(
    files: Files, code: str, shadows: tuple[JointShadow, ...]
) -> None:
    """A value outside of what was declared, which no ingest lets in, stops every statement over its column alike. The
    control: looked for in the rows of the statement alone, it would say whether the condition holds for somebody.
    """
    age = operand('"age"', 20, 68)
    for where in ASKED:
        with pytest.raises(BoxFailure) as caught:
            run(files, where=where, shadows=shadows)
        assert caught.value.code == code
    begun = []
    for where in ASKED[1:3]:
        try:
            run(files, where=where, operands=(age,))
            begun.append(True)
        except BoxFailure:
            begun.append(False)
    assert begun == [False, True]


def test_what_is_as_declared_begins(files: Files) -> None:
    """Missing values are outside of nothing, and columns that the statement does not use are not looked at."""
    declared = {
        "age": Declared("20", "69"),
        "income": Declared("0", "1000.5"),
        "region": Declared(values=("east", "west")),
    }
    assert as_rows(run(files, shadows=known(**declared))) == expected(ROWS)
    used = copy.copy(files)
    assert "icd" in used.part.columns
    with pytest.raises(BoxFailure):
        run(files, shadows=known(icd=Declared(values=("I10",))))


def test_a_person_with_two_rows_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(KeyRepeated):
        run(other_files(tmp_path, [*ROWS, ROWS[0]]))


def test_a_person_with_two_telephones_has_one_row_where_the_filter_leaves_one(tmp_path: Path) -> None:
    """The file of identifiers then has two rows for one person; the control: without a filter it is refused."""
    columns = COLUMNS | {"phone": "VARCHAR"}
    rows = [(*row, "1") for row in ROWS] + [(*row[:3], 99, row[4], "2") for row in ROWS[:20]]
    files = Files(tmp_path / "files", Table("tax.income", columns, rows, also="phone"))
    assert as_rows(run(files, where='"age" < 99')) == expected(ROWS)
    with pytest.raises(KeyRepeated):
        run(files)


def test_a_row_without_an_identifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BoxFailure) as caught:
        run(other_files(tmp_path, [*ROWS, ("", *ROWS[0][1:])]))
    assert caught.value.code == "extract.keys"


# --------------------------------------------------------------------- what the reader of statements makes of them

FIGURES_AT_ONCE = 7


@pytest.fixture(scope="module")
def owners(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Files], duckdb.DuckDBPyConnection]:
    """Both owners' encrypted files, and the same rows in clear."""
    rng = random.Random(5)

    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.2 else value

    visits = [
        (n, f"id{n}", rng.choice(REGIONS), maybe(rng.choice(["E11.9", "I10"])), maybe(n % 2 == 0),
         maybe(rng.randrange(500_000) / 100), rng.choice([0, 1, 2, 3, 9, 365]), maybe(rng.randrange(3_000) / 10),
         maybe(rng.randrange(-5, 6)), None)
        for n in range(80)
    ]  # fmt: skip
    incomes = [
        (n, f"id{n}", maybe(rng.randrange(1, 4)), maybe(rng.randrange(-1_000_000, 100_000_000) / 100),
         rng.choice([0, 7, 90, 500_000]), n % 3 == 0)
        for n in range(20, 100)
    ]  # fmt: skip
    found = {}
    for likeness, rows in ((VISITS, visits), (INCOMES, incomes)):
        columns = {column.name: column.type for column in likeness.shadow.columns[2:]}
        table = Table(likeness.shadow.relation, columns, [row[1:] for row in rows])
        found[likeness.domain] = Files(tmp_path_factory.mktemp("owner"), table)
    database = filled((visits, incomes))
    database.execute(NO_INFINITIES)
    return found, database


@pytest.mark.parametrize("start", range(0, len(FIGURES), FIGURES_AT_ONCE))
def test_statements_are_extracted_as_they_are_meant(
    owners: tuple[dict[str, Files], duckdb.DuckDBPyConnection], start: int
) -> None:
    """The reader's expressions, conditions and lists, by the box on encrypted files and plainly on rows in clear."""
    files, database = owners
    turn = start // FIGURES_AT_ONCE
    listed = ", ".join(
        f"{figure} as f{n}" for n, figure in enumerate(FIGURES[start : start + FIGURES_AT_ONCE])
    )
    conditions = " and ".join(CONDITIONS[place] for place in (turn, turn + 4))
    keys = ", ".join((KEYS[turn % 4], KEYS[(turn + 2) % 4]))
    asked = read_joint(f"select {keys}, {listed} {FROM} where {conditions} group by {keys}", SHADOWS)
    joint = joint_plan(asked, [files[portion.domain] for portion in asked.portions])
    joint = replace(joint, shadows=SHADOWS)
    for portion in asked.portions:
        found = extracted(joint, portion.domain, files[portion.domain])
        plain = joint_meaning.portion_rows(database, portion)
        blocks = pack_texts([key.upper() for key in plain]).blocks
        wanted = set()
        for block, (codes, numbers) in zip(blocks, plain.values(), strict=True):
            place = 0
            for group, code in zip(portion.groups, codes, strict=True):
                place = place * len(group.codes) + group.codes.index(code)
            present = tuple(int(number is not None) for number in numbers)
            wanted.add((bytes(block), *(number or 0 for number in numbers), *present, place))
        assert as_rows(found) == wanted
