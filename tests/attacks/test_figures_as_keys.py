"""Attacks by honest mistake: figures of a member's table that are taken for keys leave exact, however small (ATTACKS
53, 55).

The control is that other whole numbers, which do name groups, still leave as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airlock.outputs.sheet import lay_out
from airlock.outputs.tables import read_table
from airlock.outputs.values import Unfit
from plans.artifacts import Artifact, Form
from plans.verdict import Finding
from tests.inside import output_cases as cases
from tests.inside.output_cases import Left, inspected

TABLE = Artifact("t.csv", Form.TABLE, persons="persons")
LEFT_BY_MISTAKE = {
    "the oldest person": "region,persons,max_age\nHohhot,500,117\nBaotou,900,101\n",
    "the newest year": "region,persons,year_max\nHohhot,500,2117\nBaotou,900,2023\n",
    "counts by bands, side by side": "region,persons,age_0_17,age_18_up\nHohhot,517,6,511\nBaotou,900,387,513\n",
    "counts by month": "region,persons,month_1,month_2\nHohhot,517,6,511\nBaotou,900,387,513\n",
    "the same in Chinese": "region,persons,年龄0-17岁,年龄18岁以上\nHohhot,517,6,511\nBaotou,900,387,513\n",
    "a sum of ages": "region,persons,total_age\nHohhot,500,23117\nBaotou,900,40117\n",
    "one person's age": "region,persons,age\nHohhot,500,117\nBaotou,900,101\n",
    "totals whose key was forgotten": "persons,income_total\n500,1234117\n900,7654117\n",
    "counts whose key was forgotten": "persons,poor,rich\n517,6,511\n900,387,513\n",
    "tiny counts whose key was forgotten": "persons,poor\n517,0\n900,1\n811,2\n",
    "the last day of anybody": "region,persons,last_visit\nHohhot,500,2023-11-17\nBaotou,900,2023-11-18\n",
}
EXACT = (
    b'"1"',
    b'"2"',
    b'"117"',
    b'"101"',
    b'"2117"',
    b'"6"',
    b'"511"',
    b'"387"',
    b'"23117"',
    b'"1234117"',
    b"2023-11-17",
)


def left_of(folder: Path, text: str) -> Left:
    return inspected(folder, {"files/t.csv": text.encode()}, cases.python_task(TABLE))


def leaves_by_itself(left: Left) -> bytes:
    """What leaves without anybody looking at it."""
    return left.content("t.csv") if left.released is not None else b""


@pytest.mark.parametrize("mistake", LEFT_BY_MISTAKE)
def test_53_no_figure_leaves_exact_because_of_its_name_or_place(tmp_path: Path, mistake: str) -> None:
    left = left_of(tmp_path, LEFT_BY_MISTAKE[mistake])
    assert not left.error
    assert not any(exact in leaves_by_itself(left) for exact in EXACT), mistake


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("year,age,persons\n2022,20,500\n2022,90,600\n", ["year", "age"]),
        ("region,code,persons\nHohhot,150100,500\nBaotou,150200,600\n", ["region", "code"]),
        ("region,income_band,persons\nHohhot,1,500\nHohhot,2,600\n", ["region", "income_band"]),
        ("region,age_group,persons\nHohhot,1,500\nHohhot,2,600\n", ["region", "age_group"]),
        ("year,age_0_17,age_18_up,persons\n2022,6,511,517\n2023,387,513,900\n", ["year"]),
        ("household_code,persons,poor\n1,500,30\n2,600,40\n3,700,50\n", ["household_code"]),
        ("region,household,persons\na,1,500\na,2,600\nb,1,700\n", ["region", "household"]),
    ],
)
def test_whole_numbers_that_name_groups_are_still_keys(text: str, keys: list[str]) -> None:
    """The control of the rule: it does not refuse, or round, what tells groups apart."""
    assert [key.name for key in lay_out(read_table("t.csv", text.encode()), "persons", None).keys] == keys


@pytest.mark.parametrize("rows", ["517,6\n900,387\n", "517,0\n900,1\n811,2\n"])
def test_rows_that_only_counts_tell_apart_have_no_key(rows: str) -> None:
    with pytest.raises(Unfit, match="no-keys"):
        lay_out(read_table("t.csv", f"persons,poor\n{rows}".encode()), "persons", None)


def test_a_table_without_such_a_name_passes_by_itself(tmp_path: Path) -> None:
    left = left_of(tmp_path, "region,persons,visits\nHohhot,500,11117\nBaotou,900,20117\n")
    assert left.verdict is not None
    assert left.verdict.finding is Finding.REPAIRED


def test_53_a_count_of_persons_is_no_setting_for_the_words_beside_it(tmp_path: Path) -> None:
    artifact = Artifact("m.json", Form.METRICS)
    said = b'{"persons_in_leaf": 3, "cluster_persons": 1237, "min_age_in_clusters": 17, "max_depth": 7, "auc": 0.8}'
    left = inspected(tmp_path, {"files/m.json": said}, cases.python_task(artifact))
    metrics = json.loads(left.content("m.json"))
    assert metrics["persons_in_leaf"] is False
    assert metrics["cluster_persons"] == "1235"
    assert metrics["min_age_in_clusters"] is False
    assert metrics["max_depth"] == "7", "the control: a setting stays as it is"
