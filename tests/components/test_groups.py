"""Describing, tabulating, clustering, finding what stands apart: against oracles, and attacked."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from components.errors import NoFit
from plans.errors import Malformed
from tests.components.cases import OFF, dominated, run, table

CHANCE = np.random.default_rng(5)
PERSONS = 400
WHO = np.concatenate([np.arange(PERSONS), np.arange(0, PERSONS, 2)])
GROUP = np.where(np.arange(PERSONS) < 5, "rare", np.where(np.arange(PERSONS) % 3 == 0, "a", "b"))[WHO]
INCOME = CHANCE.gamma(2, 1000, len(WHO))
PEOPLE = table(WHO, income=INCOME, banner=GROUP, sex=np.where(WHO % 2 == 0, "f", "m"))


def test_a_description_says_what_sql_says() -> None:
    left = run("describe", PEOPLE, columns=["income"], by="banner")
    expected = duckdb.sql(
        "SELECT banner, count(*), avg(income), stddev_samp(income), count(DISTINCT person) FROM PEOPLE"
        " WHERE banner <> 'rare' GROUP BY banner ORDER BY banner"
    ).fetchall()
    found = [(row["banner"], *(float(row[c]) for c in ("rows", "mean", "deviation", "persons")))
             for row in left.rows("summary.csv")]  # fmt: skip
    assert [row[0] for row in found] == [row[0] for row in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[1:] == pytest.approx(theirs[1:])


def test_quartiles_are_means_over_a_group_of_persons_and_no_persons_value() -> None:
    left = run("describe", PEOPLE, columns=["income"], by="banner")
    values = {f"{value:.12g}" for value in INCOME}
    for row in left.rows("summary.csv"):
        exact = np.quantile(INCOME[row["banner"] == GROUP], (0.25, 0.5, 0.75))
        quartiles = [float(row[name]) for name in ("p25", "p50", "p75")]
        assert quartiles == pytest.approx(list(exact), rel=0.06)
        assert not values & {row["p25"], row["p50"], row["p75"]}
    # the control: a group of one is the value of one
    assert values & {
        row["p50"]
        for row in run("describe", PEOPLE, rules=OFF, columns=["income"], by="banner").rows("summary.csv")
    }


def test_the_quartile_around_a_person_with_many_rows_spans_other_persons() -> None:
    who = np.concatenate([np.zeros(300, int), np.arange(1, 60)])
    value = np.concatenate([np.full(300, 777.25), np.arange(1.0, 60.0)])
    data = table(who, income=value)
    assert run("describe", data, columns=["income"]).rows("summary.csv")[0]["p50"] != "777.25"
    assert run("describe", data, rules=OFF, columns=["income"]).rows("summary.csv")[0]["p50"] == "777.25"


def test_a_group_of_few_persons_is_not_described_however_many_rows_it_has() -> None:
    who = np.concatenate([np.repeat(np.arange(9), 100), np.arange(100, 150)])
    data = table(who, income=np.ones(len(who)), banner=np.where(who < 9, "nine", "fifty"))
    assert {
        row["banner"] for row in run("describe", data, columns=["income"], by="banner").rows("summary.csv")
    } == {"fifty"}
    control = run("describe", data, rules=OFF, columns=["income"], by="banner").rows("summary.csv")
    assert {row["banner"] for row in control} == {"fifty", "nine"}


def test_one_who_makes_up_a_mean_is_seen_by_the_dominance_rule() -> None:
    value = np.ones(60)
    value[0] = 1e6
    rich, even = table(range(60), income=value), table(range(60), income=np.ones(60))
    for figure in ("mean", "deviation"):
        assert dominated(run("describe", rich, columns=["income"]).evidence("summary.csv"), figure) == [True]
    assert dominated(run("describe", even, columns=["income"]).evidence("summary.csv"), "mean") == [False]


def test_a_cross_table_says_what_sql_says() -> None:
    left = run("cross-tabulate", PEOPLE, row="banner", column="sex", figure="income")
    expected = duckdb.sql(
        "SELECT banner, sex, count(*), sum(income), avg(income), count(DISTINCT person) FROM PEOPLE"
        " WHERE banner <> 'rare' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    found = [list(row.values()) for row in left.rows("cells.csv")]
    assert [row[:2] for row in found] == [list(row[:2]) for row in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert [float(each) for each in ours[2:]] == pytest.approx(theirs[2:])


def test_a_cross_table_has_no_margin_from_which_a_small_cell_could_be_taken() -> None:
    """The rare banner is nowhere, and no row adds up over it (ATTACKS 27); without protection it is there."""
    shown = run("cross-tabulate", PEOPLE, row="banner", column="sex").rows("cells.csv")
    assert {(row["banner"], row["sex"]) for row in shown} == {(b, s) for b in "ab" for s in "fm"}
    control = run("cross-tabulate", PEOPLE, rules=OFF, row="banner", column="sex").rows("cells.csv")
    assert "rare" in {row["banner"] for row in control}


def test_a_total_that_one_person_makes_up_is_seen_by_the_dominance_rule() -> None:
    value = np.ones(60)
    value[3] = 5e5
    data = table(range(60), income=value, banner=["a"] * 60)
    evidence = run("cross-tabulate", data, row="banner", figure="income").evidence("cells.csv")
    assert dominated(evidence, "income_total") == [True] and dominated(evidence, "income_mean") == [True]
    assert dominated(evidence, "rows") == [False]


def test_a_column_that_is_called_as_one_of_the_outputs_is_refused() -> None:
    data = table(range(60), column=["a"] * 60, persons=np.ones(60), rows=["b"] * 60, x=np.ones(60))
    for name, asked in (
        ("describe", {"columns": ["x"], "by": "column"}),
        ("describe", {"columns": ["x"], "by": "rows"}),
        ("cross-tabulate", {"row": "column", "column": "column"}),
    ):
        with pytest.raises(Malformed, match="the same name"):
            run(name, data, **asked)


# --- clusters -----------------------------------------------------------------------------------------------


def clusters(small: int) -> tuple[np.ndarray, np.ndarray]:
    sizes = (120, 80, small)
    centre = np.repeat([[0.0, 0.0], [50.0, 0.0], [0.0, 500.0]], sizes, axis=0)
    return centre + np.random.default_rng(3).normal(0, 1, centre.shape), np.repeat(range(3), sizes)


def test_centres_are_the_means_of_clusters_that_are_there() -> None:
    points, truth = clusters(40)
    left = run("k-means", table(range(240), x=points[:, 0], y=points[:, 1]), features=["x", "y"], clusters=3)
    found = [(float(row["x"]), float(row["y"]), int(row["persons"])) for row in left.rows("centres.csv")]
    for ours, cluster in zip(found, range(3), strict=True):
        assert ours == pytest.approx((*points[truth == cluster].mean(axis=0), (truth == cluster).sum()))
    assert left.measure()["explained"] > 0.99


def test_a_cluster_of_few_persons_has_no_centre() -> None:
    """Six persons far from all others: their mean would be nearly theirs."""
    points, _ = clusters(6)
    data = table(range(206), x=points[:, 0], y=points[:, 1])
    guarded = run("k-means", data, features=["x", "y"], clusters=3).column("centres.csv", "y")
    control = run("k-means", data, rules=OFF, features=["x", "y"], clusters=3).column("centres.csv", "y")
    assert len(guarded) == 2 and max(guarded) < 100 and max(control) > 400


def test_a_cluster_of_one_person_with_many_rows_has_no_centre() -> None:
    who = np.concatenate([np.arange(100), np.full(60, 999)])
    data = table(who, x=np.where(who == 999, 1000.0, who % 7))
    assert max(run("k-means", data, features=["x"], clusters=2).column("centres.csv", "x")) < 10
    assert max(run("k-means", data, rules=OFF, features=["x"], clusters=2).column("centres.csv", "x")) == 1000


def test_as_many_clusters_as_would_hold_few_persons_each_are_not_made() -> None:
    with pytest.raises(NoFit):
        run("k-means", table(range(100), x=np.arange(100.0)), features=["x"], clusters=50)


# --- anomalies ----------------------------------------------------------------------------------------------


def test_who_stands_apart_is_counted_in_the_bands_of_high_scores() -> None:
    value = np.concatenate(
        [np.random.default_rng(1).normal(0, 1, 300), np.random.default_rng(2).normal(40, 1, 15)]
    )
    rows = run("anomaly-detection", table(range(315), x=value), features=["x"], bands=10).rows("bands.csv")
    assert sum(int(row["persons"]) for row in rows) == 315
    assert float(rows[-1]["x"]) > 5 > float(rows[0]["x"])


def test_a_band_of_few_persons_is_counted_with_the_next_one() -> None:
    """One person a thousand deviations away has no band, with the control in which there is one."""
    value = np.concatenate([np.random.default_rng(1).normal(0, 1, 300), [1000.0]])
    data = table(range(301), x=value)
    rows = run("anomaly-detection", data, features=["x"], bands=20).rows("bands.csv")
    control = run("anomaly-detection", data, rules=OFF, features=["x"], bands=20).rows("bands.csv")
    assert min(int(row["persons"]) for row in rows) >= 10 and sum(int(row["persons"]) for row in rows) == 301
    assert control[-1]["persons"] == "1" and float(control[-1]["x"]) == 1000
