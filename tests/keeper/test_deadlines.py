"""Deadlines count working days as the State Council announced them, and say when they do not know a year."""

from __future__ import annotations

import datetime

import pytest

from keeper.deadlines import OFFICE, after_workdays, is_workday


def moment(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=OFFICE).timestamp())


# 国办发明电〔2025〕7号 (holidays of 2026) and 国办发明电〔2024〕12号 (2025).
@pytest.mark.parametrize(
    ("begun", "workdays", "last"),
    [
        ("2026-03-02 09:00", 3, "2026-03-05"),
        ("2026-03-06 17:00", 1, "2026-03-09"),  # over a week's end
        ("2026-09-30 10:00", 3, "2026-10-10"),  # National Day; Saturday the 10th makes up for it
        ("2025-01-27 10:00", 3, "2025-02-07"),  # Spring Festival
        ("2026-02-13 10:00", 2, "2026-02-24"),  # Saturday the 14th is a working day
    ],
)
def test_the_last_day_is_the_nth_working_day(begun: str, workdays: int, last: str) -> None:
    found = after_workdays(moment(begun), workdays)
    assert (found.day, found.certain) == (last, True)
    assert found.at == moment(f"{last} 23:59:59")


def test_a_year_that_is_not_announced_counts_weekdays_and_says_so() -> None:
    assert is_workday(datetime.date(2099, 10, 1)) == (True, False)
    found = after_workdays(moment("2099-10-01 09:00"), 2)
    assert (found.day, found.certain) == ("2099-10-05", False)


def test_overdue_begins_after_the_last_second() -> None:
    found = after_workdays(moment("2026-03-02 00:00"), 1)
    assert not found.overdue(found.at) and found.overdue(found.at + 1)
