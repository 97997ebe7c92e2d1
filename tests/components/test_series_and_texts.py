"""Forecasts and texts: periods, words and topics of a group of persons only; names and numbers in texts stay inside."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from components.errors import NoFit
from plans.errors import Malformed
from tests.components.cases import OFF, dominated, run, table

pytestmark = pytest.mark.filterwarnings(
    "ignore:Maximum Likelihood"
)  # lines without noise have no best likelihood
MONTHS = 24


def monthly(persons: int = 40, months: int = MONTHS, step: float = 10.0) -> dict[str, np.ndarray]:
    """As many persons in every month, each with a value that grows by the month."""
    place = np.repeat(np.arange(months), persons)
    return {
        "who": np.arange(len(place)),
        "day": np.array([date(2022 + m // 12, 1 + m % 12, 5) for m in place]),
        "value": 100 + step * place,
    }


def series(parts: dict[str, np.ndarray]) -> pa.Table:
    return table(parts["who"], day=parts["day"].tolist(), value=parts["value"])


ASKED = {"period": "day", "unit": "month", "figure": "value", "measure": "mean", "horizon": 4}


def test_a_straight_line_goes_on_as_a_straight_line() -> None:
    left = run("time-series-forecast", series(monthly()), **ASKED)
    assert left.keyed("history.csv", "day", "value")["2023-12"] == 100 + 10 * 23
    assert left.column("forecast.csv", "forecast") == pytest.approx([340, 350, 360, 370], rel=0.01)


def test_a_season_comes_again() -> None:
    parts = monthly(months=48, step=0)
    wave = 20 * np.sin(2 * np.pi * np.arange(48) / 12)
    parts["value"] = parts["value"] + np.repeat(wave, 40)
    left = run("time-series-forecast", series(parts), **{**ASKED, "season": 12, "horizon": 12})
    assert left.column("forecast.csv", "forecast") == pytest.approx(list(100 + wave[:12]), abs=3)


def test_persons_are_counted_where_no_figure_is_named() -> None:
    parts = monthly()
    twice = {name: np.concatenate([values, values]) for name, values in parts.items()}
    left = run("time-series-forecast", series(twice), period="day", unit="month")
    assert set(left.column("history.csv", "count")) == {40}


def test_a_period_of_few_persons_is_not_there_and_the_forecast_begins_after_it() -> None:
    parts = monthly()
    small = np.flatnonzero(parts["day"] == date(2022, 3, 5))[3:]
    parts = {name: np.delete(values, small) for name, values in parts.items()}
    left = run("time-series-forecast", series(parts), **ASKED)
    assert "2022-03" not in left.keyed("history.csv", "day", "value")
    assert left.rows("forecast.csv")[0]["persons"] == str(40 * 21)
    assert "2022-03" in run("time-series-forecast", series(parts), rules=OFF, **ASKED).keyed(
        "history.csv", "day", "value"
    )


def test_a_period_that_one_person_makes_up_is_seen_by_the_dominance_rule() -> None:
    parts = monthly()
    parts["value"][5] = 1e7
    seen = dominated(run("time-series-forecast", series(parts), **ASKED).evidence("history.csv"), "value")
    assert seen == [True] + [False] * (MONTHS - 1)


def test_few_periods_are_not_gone_on_with() -> None:
    with pytest.raises(NoFit):
        run("time-series-forecast", series(monthly(months=10)), **ASKED)


# --- texts --------------------------------------------------------------------------------------------------

HEATING = "小区供暖温度太低"
ROADS = "道路积水严重"


def texts(*parts: tuple[str, int]) -> pa.Table:
    """So many persons with each text."""
    said = [text for text, count in parts for _ in range(count)]
    return table(range(len(said)), text=said)


def test_words_are_those_of_many_persons_with_their_weight() -> None:
    rows = run("keywords", texts((HEATING, 30), (ROADS, 20)), text="text").rows("words.csv")
    found = {row["word"]: (int(row["texts"]), int(row["persons"]), float(row["weight"])) for row in rows}
    assert found["供暖"] == pytest.approx((30, 30, 30 * np.log(50 / 30)))
    assert found["积水"] == pytest.approx((20, 20, 20 * np.log(50 / 20)))


def test_a_word_that_one_person_writes_a_hundred_times_is_not_there() -> None:
    who = np.concatenate([np.arange(40), np.full(100, 999)])
    data = table(who, text=[HEATING] * 40 + ["拆迁补偿纠纷"] * 100)
    guarded = run("keywords", data, text="text").keyed("words.csv", "word", "persons")
    control = run("keywords", data, rules=OFF, text="text").keyed("words.csv", "word", "persons")
    assert "拆迁" not in guarded and control["拆迁"] == 1


def test_names_of_persons_and_numbers_are_no_words_however_many_write_them() -> None:
    shown = run(
        "keywords", texts((HEATING + "，王小明，电话13812345678，编号150102199003077777", 50)), text="text"
    )
    words = set(shown.keyed("words.csv", "word", "persons"))
    assert "供暖" in words and not any("王" in word or any(map(str.isdigit, word)) for word in words)


def test_words_can_be_left_out_and_only_the_weightiest_are_shown() -> None:
    data = texts((HEATING, 30), (ROADS, 20))
    assert "供暖" not in run("keywords", data, text="text", left_out=["供暖"]).keyed(
        "words.csv", "word", "persons"
    )
    assert len(run("keywords", data, text="text", top=2).rows("words.csv")) == 2


TOPICS = ["heating=供暖|物业", "roads=道路|公交"]


def test_topics_count_persons_whose_texts_speak_of_them() -> None:
    data = texts((HEATING, 30), (ROADS, 20), (HEATING + "，" + ROADS, 15), ("其他事情", 10))
    assert run("topic-counts", data, text="text", topics=TOPICS).keyed("topics.csv", "topic", "persons") == {
        "heating": 45, "roads": 35,
    }  # fmt: skip


def test_a_topic_of_few_persons_is_not_there() -> None:
    data = texts((HEATING, 30), (ROADS, 9))
    assert set(
        run("topic-counts", data, text="text", topics=TOPICS).keyed("topics.csv", "topic", "persons")
    ) == {"heating"}
    control = run("topic-counts", data, rules=OFF, text="text", topics=TOPICS)
    assert control.keyed("topics.csv", "topic", "persons")["roads"] == 9


@pytest.mark.parametrize("topic", ["13812345678", "phone=13812345678", "one=暖", "=供暖", "none="])
def test_a_topic_that_looks_for_a_number_or_a_single_character_is_refused(topic: str) -> None:
    with pytest.raises(Malformed, match="name=word"):
        run("topic-counts", texts((HEATING, 30)), text="text", topics=[topic])
