"""Charts: the right one by the columns' types, nothing withheld drawn as a zero, and the data of nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.chart import MIME, MOST_POINTS, chart
from darkroom.twin_result import MadeUp, TwinResult
from plans.errors import Malformed, StateConflict
from plans.released import SUPPRESSED, Cell, ReleasedColumn


class Released(TwinResult):
    """The same table as if it had been released."""

    look_alike = False


def table(kinds: dict[str, str], *rows: tuple[Any, ...], real: bool = True) -> TwinResult:
    columns = tuple(ReleasedColumn(name, kind) for name, kind in kinds.items())
    cells = tuple(
        tuple(each if isinstance(each, Cell) else Cell(each, False) for each in row) for row in rows
    )
    return (Released if real else TwinResult)(MadeUp(columns, cells))


BY_REGION = table(
    {"region": "VARCHAR", "n": "BIGINT"}, ("Baotou", "1250"), ("Hohhot", SUPPRESSED), (None, "35")
)


@pytest.mark.parametrize(
    ("kinds", "row", "kind", "x", "y", "by"),
    [
        ({"region": "VARCHAR", "n": "BIGINT"}, ("a", "1"), "bar", "region", "n", ""),
        ({"year": "INTEGER", "n": "BIGINT"}, ("2020", "1"), "line", "year", "n", ""),
        ({"day": "DATE", "n": "BIGINT"}, ("2020-01-01", "1"), "line", "day", "n", ""),
        (
            {"region": "VARCHAR", "day": "DATE", "n": "BIGINT"},
            ("a", "2020-01-01", "1"),
            "line",
            "day",
            "n",
            "region",
        ),
        (
            {"region": "VARCHAR", "sex": "VARCHAR", "n": "BIGINT"},
            ("a", "f", "1"),
            "bar",
            "region",
            "n",
            "sex",
        ),
        ({"a": "DOUBLE", "b": "DECIMAL(18,2)"}, ("0.5", "1.25"), "point", "a", "b", ""),
        ({"region": "VARCHAR"}, ("a",), "bar", "region", "", ""),
        ({"n": "BIGINT"}, ("5",), "point", "n", "n", ""),
        (
            {"region": "VARCHAR", "n": "BIGINT", "n_error": "BIGINT"},
            ("a", "9", "1"),
            "bar",
            "region",
            "n",
            "",
        ),
        ({"region": "VARCHAR", "n_error": "BIGINT"}, ("a", "1"), "bar", "region", "n_error", ""),
    ],
)
def test_what_is_drawn_follows_from_the_columns(
    kinds: dict[str, str], row: tuple[str, ...], kind: str, x: str, y: str, by: str
) -> None:
    spec = chart(table(kinds, row)).spec
    mark, encoding = spec["layer"][0]["mark"]["type"], spec["layer"][0]["encoding"]
    assert (mark, encoding["x"]["field"], encoding["y"].get("field", "")) == (kind, x, y)
    assert encoding.get("color", {}).get("field", "") == by


def test_a_suppressed_cell_is_marked_and_no_zero() -> None:
    drawn = BY_REGION.plot()
    bars, withheld = drawn.spec["layer"]
    assert bars["transform"] == [{"filter": "!datum._suppressed"}]
    assert withheld["transform"] == [{"filter": "datum._suppressed"}] and withheld["mark"]["shape"] == "cross"
    assert [row["n"] for row in drawn.spec["data"]["values"]] == [1250, None, 35]
    lines = repr(drawn).splitlines()
    assert "× withheld" in lines[2] and "Hohhot" in lines[2] and "1,250" in lines[1]


def test_control_without_suppressed_cells_there_is_one_layer() -> None:
    assert len(table({"region": "VARCHAR", "n": "BIGINT"}, ("a", "0")).plot().spec["layer"]) == 1


def test_what_a_person_says_goes_before() -> None:
    drawn = table({"a": "BIGINT", "b": "BIGINT", "c": "VARCHAR"}, ("1", "2", "x")).plot(
        "line", x="b", y="a", by="c"
    )
    encoding = drawn.spec["layer"][0]["encoding"]
    assert [encoding[each]["field"] for each in ("x", "y", "color")] == ["b", "a", "c"]
    binned = table({"a": "BIGINT"}, ("1",)).plot("histogram").spec["layer"][0]["encoding"]
    assert binned["x"]["bin"] is True and binned["y"]["aggregate"] == "count"


@pytest.mark.parametrize("wrong", [{"kind": "pie"}, {"x": "nothing"}, {"y": "person"}, {"by": "N"}])
def test_what_is_not_there_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        BY_REGION.plot(**wrong)
    with pytest.raises(Malformed):
        table({"n": "BIGINT"}).plot()


def test_a_chart_is_a_bundle_that_fetches_nothing() -> None:
    bundle = BY_REGION.plot()._repr_mimebundle_()
    assert set(bundle) == {MIME, "text/plain"}
    addresses = [word for word in json.dumps(bundle[MIME]).split('"') if "://" in word]
    assert addresses == ["https://vega.github.io/schema/vega-lite/v5.json"], (
        "the name of a version, not a source"
    )


@pytest.mark.parametrize("name", ["a.b", "a[0]", "a'b", 'a"b'])
def test_a_columns_name_is_no_path_into_its_rows(name: str) -> None:
    field = (
        table({name: "VARCHAR", "n": "BIGINT"}, ("x", "1")).plot().spec["layer"][0]["encoding"]["x"]["field"]
    )
    assert "\\" in field


def test_numbers_that_json_has_not_are_left_out_and_rows_are_bounded() -> None:
    odd = table({"a": "DOUBLE", "b": "DOUBLE"}, ("nan", "inf"), ("1", "2"))
    assert odd.plot().to_dict()["data"]["values"][0]["a"] is None
    many = table({"a": "BIGINT", "b": "BIGINT"}, *((str(n), "1") for n in range(MOST_POINTS + 5)))
    assert len(many.plot().spec["data"]["values"]) == MOST_POINTS


def test_text_for_a_terminal_holds_nothing_that_it_acts_on() -> None:
    shown = repr(table({"a": "VARCHAR", "n": "BIGINT"}, ("\x1b[2J\u202ex", "1")).plot())
    assert "\x1b" not in shown and "\u202e" not in shown


def test_look_alike_charts_say_so_and_released_ones_do_not() -> None:
    kinds, row = {"a": "VARCHAR", "n": "BIGINT"}, ("x", "1")
    made_up = table(kinds, row, real=False).plot()
    assert made_up.look_alike and "LOOK-ALIKE" in made_up.spec["title"] and "LOOK-ALIKE" in repr(made_up)
    assert "LOOK-ALIKE" not in table(kinds, row).plot().spec["title"]


def test_saving_writes_once_and_over_nothing(tmp_path: Path) -> None:
    drawn = BY_REGION.plot()
    assert json.loads(drawn.save(tmp_path / "c.vl.json").read_text()) == drawn.to_dict()
    assert "Baotou" in drawn.save(tmp_path / "c.txt").read_text()
    with pytest.raises(StateConflict):
        drawn.save(tmp_path / "c.txt")
    with pytest.raises(Malformed):
        drawn.save(tmp_path / "c.png")


@pytest.mark.parametrize("place", ["x", "y", "by"])
def test_a_column_called_image_is_no_picture_to_fetch(place: str) -> None:
    """What draws tooltips (vega-tooltip) fetches the address that stands under the name `image`."""
    others = {"x": "region", "y": "n", "by": "sex"}
    named = others | {place: "image"}
    kinds = {named["x"]: "VARCHAR", named["by"]: "VARCHAR", named["y"]: "BIGINT"}
    drawn = table(kinds, ("http://evil.example/a.png", "http://evil.example/b.png", "1")).plot("bar", **named)
    encoding = drawn.spec["layer"][0]["encoding"]
    titles = {each["title"] for each in encoding.values() if "title" in each}
    assert "image" not in titles and len(titles) == 3
