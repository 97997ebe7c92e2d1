"""What stands in a table changes no type and no column of it: who wrote a notebook on look-alike data finds the same on
real ones, whatever was withheld there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

import darkroom
from darkroom.files import OutputCells, OutputTable
from darkroom.joint_table import keys_as_text, types_of
from darkroom.sheets import Sheet
from darkroom.tabular import Tabular
from darkroom.twin_result import MadeUp, TwinResult
from plans.joint import Field, JointFigure, Measure, Score, ScoreFunction, Sum
from plans.released import SUPPRESSED, Cell, ReleasedColumn
from tests.client.conftest import Town
from tests.client.look_alikes import lay
from tests.client.test_joint_result import world

MEI = "mei@nm/centre"
TYPES = {
    "VARCHAR": (st.text(), pyarrow.string(), "str"),
    "BIGINT": (st.integers(-(2**63), 2**63 - 1), pyarrow.int64(), "Int64"),
    "INTEGER": (st.integers(-(2**31), 2**31 - 1), pyarrow.int64(), "Int64"),
    "HUGEINT": (st.integers(-(2**63), 2**63 - 1), pyarrow.int64(), "Int64"),
    "UBIGINT": (st.integers(0, 2**64 - 1), pyarrow.uint64(), "UInt64"),
    "DOUBLE": (st.floats(allow_nan=False, allow_infinity=False), pyarrow.float64(), "float64"),
    "DECIMAL(18,2)": (
        st.decimals(-(10**15), 10**15, places=2).map(lambda value: value + Decimal("0.00")),
        pyarrow.float64(),
        "float64",
    ),
    "BOOLEAN": (st.booleans(), pyarrow.bool_(), "boolean"),
    "DATE": (st.dates(), pyarrow.date32(), "datetime64"),
    "TIMESTAMP": (st.datetimes(), pyarrow.timestamp("us"), "datetime64"),
}
"""Of every declared type: values, the type in Arrow, and the one in pandas."""


def cell_of(value: Any) -> Cell:
    text = str(value)
    return Cell(text.lower() if isinstance(value, bool) else text, False)


def table(kind: str, *cells: Cell, name: str = "n") -> TwinResult:
    return TwinResult(MadeUp((ReleasedColumn(name, kind),), tuple((cell,) for cell in cells)))


def in_pandas(found: Tabular) -> str:
    return str(found.to_pandas().dtypes.iloc[0]).partition("[")[0]


@pytest.mark.parametrize("kind", TYPES)
@given(st.data())
def test_a_column_has_its_type_whatever_stands_in_it(kind: str, data: st.DataObject) -> None:
    values, in_arrow, expected = TYPES[kind]
    drawn = data.draw(st.lists(values, max_size=3))
    shown = [cell_of(value) for value in drawn]
    for cells in (shown, [*shown, SUPPRESSED], [*shown, Cell(None, False)], [SUPPRESSED]):
        found = table(kind, *cells)
        assert found.to_arrow().schema.field("n").type == in_arrow
        assert in_pandas(found) == expected and list(found.to_pandas().columns) == ["n"]
    assert [row[0] for row in table(kind, *shown).rows] == drawn, "and they are the values themselves"


def test_a_withheld_figure_changes_no_number_beside_it() -> None:
    large = 2**53 + 1
    frame = table("BIGINT", Cell(str(large), False), SUPPRESSED).to_pandas()
    assert int(frame.n[0]) == large != int(float(large)), "a double would have lost the last digit"
    assert frame.n[1] is pandas.NA


def test_marks_are_there_on_demand_and_for_every_column() -> None:
    plain, hidden = table("BIGINT", Cell("1", False)), table("BIGINT", Cell("1", False), SUPPRESSED)
    for found in (plain, hidden):
        assert list(found.to_pandas().columns) == ["n"]
        assert list(found.to_pandas(suppressed=True).columns) == ["n", "n_suppressed"]
        assert found.to_arrow(suppressed=True).schema.field("n_suppressed").type == pyarrow.bool_()
    assert list(hidden.to_pandas(suppressed=True).n_suppressed) == [False, True]


def test_a_mark_never_has_the_name_of_a_column() -> None:
    columns = tuple(ReleasedColumn(name, "BIGINT") for name in ("n", "n_suppressed"))
    found = TwinResult(MadeUp(columns, ((SUPPRESSED, Cell("2", False)),)))
    names = found.to_arrow(suppressed=True).column_names
    assert names == ["n", "n_suppressed_", "n_suppressed", "n_suppressed_suppressed"]
    sheet = Sheet((("n", "BIGINT"), ("n_suppressed", "BIGINT")), ((False, "2"),))
    assert sheet.to_csv().decode().splitlines() == ["n,n_suppressed,n_suppressed_", ",2,true"]
    assert sheet.to_arrow().column_names == ["n", "n_suppressed_", "n_suppressed"]


def test_a_file_of_withheld_figures_alone_keeps_their_type() -> None:
    for kind, expected in (("BIGINT", pyarrow.int64()), ("DOUBLE", pyarrow.float64())):
        assert Sheet((("n", kind),), ((False,),)).to_arrow().schema.field("n").type == expected


def test_rows_are_numbers_and_days_that_one_can_reckon_with() -> None:
    kinds = {
        "DOUBLE": "1.5",
        "DECIMAL(18,2)": "0.10",
        "DATE": "2027-01-31",
        "TIMESTAMP": "2027-01-31 08:30:00",
    }
    (row,) = TwinResult(
        MadeUp(
            tuple(map(ReleasedColumn, "abcd", kinds)), (tuple(Cell(text, False) for text in kinds.values()),)
        )
    ).rows
    assert row[0] * 2 == 3.0 and row[1] * 3 == Decimal("0.30")
    assert row[2] == date(2027, 1, 31) and row[3] == datetime.fromisoformat("2027-01-31 08:30")


def test_numbers_beyond_64_bits_stay_exact_numbers() -> None:
    found = table("HUGEINT", Cell(str(2**70), False), Cell("1", False), SUPPRESSED)
    assert list(found.to_pandas().n[:2]) == [2**70, 1] and found.rows[0] == (2**70,)
    rounded = table("BIGINT", Cell("12.5", False), Cell("7", False))
    assert list(rounded.to_pandas().n) == [Decimal("12.5"), 7] and rounded.rows[0] == (Decimal("12.5"),)


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "VARCHAR"])
def test_what_is_no_value_of_its_type_stays_text_and_breaks_nothing(kind: str) -> None:
    """Whoever opened first, or wrote the file, may have made it up."""
    found = table(kind, Cell("no value of this type", False), SUPPRESSED)
    assert found.rows == [("no value of this type",), (None,)]
    assert found.to_arrow().column("n").to_pylist() == ["no value of this type", None]
    assert found.to_pandas().n[0] == "no value of this type"
    assert found.plot()


def test_days_and_moments_are_drawn() -> None:
    found = TwinResult(
        MadeUp(
            (ReleasedColumn("day", "DATE"), ReleasedColumn("n", "DECIMAL(9,1)")),
            ((Cell("2027-01-31", False), Cell("1.5", False)),),
        )
    )
    chart = found.plot()
    assert chart.to_dict()["data"]["values"] == [{"day": "2027-01-31", "n": 1.5, "_suppressed": False}]


def test_outputs_of_a_task_are_read_alike() -> None:
    sheet = Sheet((("n", "BIGINT"), ("mean", "DOUBLE")), (("3", "1.5"), (False, False)))
    released = OutputTable("t.csv", OutputCells.of(sheet))
    made = TwinResult(MadeUp(released.cells.columns, released.cells.rows[:1]))
    assert list(released.to_pandas().dtypes) == list(made.to_pandas().dtypes)
    assert released.rows[0] == made.rows[0] == (3, 1.5)


# ------------------------------------------------------------------------------------ joint answers


@pytest.fixture
def room(town: Town) -> darkroom.Connection:
    lay(town)
    return town.connection(MEI)


JOINED = "from tax.income a join tax.income b using (person)"


def test_a_joint_answer_has_the_interface_and_the_types_of_its_look_alike(room: darkroom.Connection) -> None:
    real = world().opened()
    tried = room.joint_sql(
        f"select a.region, avg(b.income) as mean, count(*) as n {JOINED} group by a.region", on="twin"
    ).result()
    public = {name for name in dir(TwinResult) if not name.startswith("_")} - {"made", "told"}
    assert public <= set(dir(real))
    assert len(real) == len(real.rows) == len(list(real)) == 3 and not real.look_alike
    assert real.columns == tried.columns
    assert real.types == tried.types == ("VARCHAR", "DOUBLE", "BIGINT")
    for suppressed in (False, True):
        ours, made = (each.to_pandas(suppressed=suppressed) for each in (real, tried))
        assert list(ours.dtypes.items()) == list(made.dtypes.items())
    assert [type(value) for value in real.rows[0]] == [type(value) for value in tried.rows[0]]


def test_a_joint_answer_has_its_types_when_everything_is_withheld() -> None:
    made = world()
    result = made.opened()
    nothing = tuple((row[0], None, None) for row in result.answer.rows)
    marks = ((False, True, True),) * len(nothing)
    hidden = replace(result, answer=replace(result.answer, rows=nothing, suppressed=marks))
    assert hidden.types == result.types
    assert list(hidden.to_pandas().dtypes) == list(result.to_pandas().dtypes)


def test_keys_of_a_joint_answer_are_text_on_look_alike_data_too(room: darkroom.Connection) -> None:
    result = room.joint_sql(
        f"select a.birth_year as y, count(*) as n {JOINED} group by a.birth_year", on="twin"
    ).result()
    assert result.types == ("VARCHAR", "BIGINT") and isinstance(result.rows[0][0], str)
    plain = room.sql(
        "select birth_year as y, count(*) as n from tax.income group by birth_year", on="twin"
    ).result()
    assert plain.types[0] != "VARCHAR", "the control: of one owner a number is a number"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select y, count(*) as n from t group by y", ["VARCHAR", "BIGINT"]),
        ("select count(*) as n, a.y as z from t a group by 2", ["BIGINT", "VARCHAR"]),
        (
            "select y, n from (select 1 as y, 2 as n union all select 2, 3) group by all",
            ["VARCHAR", "VARCHAR"],
        ),
        ("select person, n from t", ["BIGINT", "BIGINT"]),
        ("with a as (select 1) select * from a", ["BIGINT", "BIGINT"]),
    ],
)
def test_which_outputs_are_keys(statement: str, expected: list[str]) -> None:
    columns = tuple(ReleasedColumn(name, "BIGINT") for name in "ab")
    assert [each.type for each in keys_as_text(statement, columns)] == expected


def test_types_of_figures_are_those_that_the_engine_gives(room: darkroom.Connection) -> None:
    plan = world().plan
    reading = plan.reading
    total = next(place for place, each in enumerate(reading.sums) if each.measure is Measure.TOTAL)
    decimals = replace(
        plan,
        reading=replace(
            reading,
            figures=(JointFigure("s", "sum", (total,), 1), *reading.figures[1:]),
            outputs=("region", "s", "n"),
        ),
    )
    whole = replace(
        decimals, reading=replace(decimals.reading, sums=(*reading.sums[:total], Sum(Measure.ROWS, ())))
    )
    engine = room.sql("select sum(1.25::decimal(18,2)) as s, sum(2) as t from range(3)", on="twin").result()
    assert (types_of(decimals)[1], types_of(whole)[1]) == engine.types == ("DECIMAL(38,2)", "HUGEINT")


def test_records_and_scores_have_the_types_of_their_columns() -> None:
    plan = world().plan
    fields = (Field("born", "born", "DATE", 10), Field("wage", "wage", "DECIMAL(9,2)", 12))
    portions = (plan.reading.portions[0], replace(plan.reading.portions[1], fields=fields))
    reading = Reading(portions, ("person", "born", "wage"))
    assert types_of(Plan(reading)) == ("VARCHAR", "DATE", "DECIMAL(9,2)")
    for function, expected in ((ScoreFunction.LOGISTIC, "DOUBLE"), (ScoreFunction.LINEAR, "DECIMAL(18,4)")):
        scored = Reading(plan.reading.portions, ("person", "score"), Score("score", function, ((0, 0),), 4))
        assert types_of(Plan(scored)) == ("VARCHAR", expected)


class Reading:
    """Of a reading what says its types."""

    def __init__(self, portions: Any, outputs: tuple[str, ...], score: Score | None = None) -> None:
        self.portions, self.outputs, self.score, self.figures = portions, outputs, score, ()


class Plan:
    """A plan of it."""

    def __init__(self, reading: Any) -> None:
        self.reading = reading
