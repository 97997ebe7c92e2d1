"""Survival curves and hazards against their definitions, and attacked: times of single persons, events of few."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from components.errors import NoFit
from tests.components.cases import OFF, RULES, run, table

CHANCE = np.random.default_rng(21)
PERSONS = 600
AGE = CHANCE.normal(0, 1, PERSONS)
FALLS = CHANCE.exponential(20 * np.exp(-0.5 * AGE))
SEEN = np.minimum(FALLS, 40.0)
CAME = FALLS <= 40
DATA = table(range(PERSONS), time=SEEN, came=CAME, age=AGE)
ASKED = {"time": "time", "event": "came", "width": "5"}


def alive(times: np.ndarray, came: np.ndarray, until: float) -> float:
    """Kaplan and Meier 1958: the product over all times of events of one less the share that had it."""
    product = 1.0
    for moment in np.unique(times[came & (times <= until)]):
        product *= 1 - ((times == moment) & came).sum() / (times >= moment).sum()
    return product


def test_the_curve_is_that_of_kaplan_and_meier_at_the_steps_that_are_shown() -> None:
    rows = run("survival", DATA, **ASKED).rows("curve.csv")
    assert len(rows) >= 5
    for row in rows:
        assert float(row["survival"]) == pytest.approx(alive(SEEN, CAME, float(row["time"])))


def test_steps_are_joined_until_a_group_of_persons_has_the_event() -> None:
    rows = run("survival", DATA, **{**ASKED, "width": "0.01"}).rows("curve.csv")
    assert min(int(row["events"]) for row in rows) >= RULES.minimum_group
    # the control: with the protection off the times of single persons' events are there
    control = run("survival", DATA, rules=OFF, **{**ASKED, "width": "0.01"}).rows("curve.csv")
    assert len(control) > 5 * len(rows) and "1" in {row["events"] for row in control}


def test_persons_at_risk_differ_from_step_to_step_by_a_group_and_so_do_those_lost_from_sight() -> None:
    time = np.concatenate([np.full(50, 1.0), np.full(3, 1.5), np.full(40, 2.0), np.full(30, 3.0)])
    came = np.concatenate([np.ones(50), np.zeros(3), np.ones(40), np.ones(30)]).astype(bool)
    data = table(range(len(time)), time=time, came=came)
    asked = {"time": "time", "event": "came", "width": "1"}
    rows = run("survival", data, **asked).rows("curve.csv")
    # after the second step three were lost; it is joined with what comes after, and nothing comes of it
    assert [(row["time"], row["events"], row["persons"]) for row in rows] == [("1", "50", "123")]
    assert len(run("survival", data, rules=OFF, **asked).rows("curve.csv")) == 3


def test_of_a_person_with_several_rows_one_counts() -> None:
    who = np.concatenate([np.arange(PERSONS), np.full(400, 7)])
    more = table(
        who, time=np.concatenate([SEEN, np.full(400, 0.5)]), came=np.concatenate([CAME, np.ones(400, bool)])
    )
    assert run("survival", more, **ASKED).rows("curve.csv") == run("survival", DATA, **ASKED).rows(
        "curve.csv"
    )


def test_a_group_of_few_persons_has_no_curve() -> None:
    group = np.where(np.arange(PERSONS) < 9, "few", "many")
    data = table(range(PERSONS), time=SEEN, came=CAME, banner=group)
    assert {row["banner"] for row in run("survival", data, **ASKED, by="banner").rows("curve.csv")} == {
        "many"
    }
    control = run("survival", data, rules=OFF, **ASKED, by="banner").rows("curve.csv")
    assert {row["banner"] for row in control} == {"few", "many"}


def test_hazards_are_those_that_minimise_the_partial_likelihood() -> None:
    """Cox 1972, without ties: each event's share of the risk of all who could have had it."""

    def loss(slope: np.ndarray) -> float:
        risk = np.exp(AGE * slope[0])
        return float(
            sum(np.log(risk[SEEN[i] <= SEEN].sum()) - AGE[i] * slope[0] for i in np.flatnonzero(CAME))
        )

    best = optimize.minimize_scalar(lambda slope: loss(np.array([slope])), bounds=(-2, 2), method="bounded")
    (row,) = run("survival", DATA, **ASKED, features=["age"]).rows("hazards.csv")
    assert float(row["coefficient"]) == pytest.approx(best.x, rel=1e-3)
    assert float(row["hazard_ratio"]) == pytest.approx(np.exp(best.x), rel=1e-3)


def test_hazards_with_few_events_for_their_features_are_refused() -> None:
    came = np.arange(PERSONS) < 15
    data = table(
        range(PERSONS), time=SEEN, came=came, **{f"x{n}": CHANCE.normal(size=PERSONS) for n in range(6)}
    )
    asked = {**ASKED, "width": "100", "features": [f"x{n}" for n in range(6)]}
    with pytest.raises(NoFit):
        run("survival", data, **asked)
    assert len(run("survival", data, rules=OFF, **asked).rows("hazards.csv")) == 6


def test_times_before_the_beginning_and_events_that_are_no_truths_are_refused() -> None:
    for time, came in ((-SEEN, CAME), (SEEN, AGE)):
        with pytest.raises(NoFit):
            run("survival", table(range(PERSONS), time=time, came=came), **ASKED)
