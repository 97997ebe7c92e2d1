"""Working days: by when people of the owner's have to answer.

Days are those of the owner's office. Statutory holidays, and the workdays that make up for them, are those that the
State Council announces each year for the next; the library `chinesecalendar` keeps the list. A year that is not
announced yet (or not in the installed version) counts Monday to Friday, and whoever shows the day says so.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import chinese_calendar

OFFICE = ZoneInfo("Asia/Shanghai")
"""Where the owner's office keeps its days."""

REVIEW_WORKDAYS = 3
"""Working days that reviewers have for a held output. RULES: the region's own setting; no text of law gives one."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last moment, in Unix seconds, the day in words, and whether the holidays of that year are known."""

    at: int
    day: str
    certain: bool

    def overdue(self, now: int) -> bool:
        """Return whether it has passed."""
        return now > self.at


def after_workdays(begun: int, workdays: int) -> Deadline:
    """Return the end of the n-th working day after the day of `begun`, which itself does not count."""
    day = datetime.datetime.fromtimestamp(begun, OFFICE).date()
    left, certain = workdays, True
    while left > 0:
        day += datetime.timedelta(days=1)
        working, known = is_workday(day)
        left -= working
        certain = certain and known
    last = datetime.datetime.combine(day, datetime.time(23, 59, 59), OFFICE)
    return Deadline(int(last.timestamp()), day.isoformat(), certain)


@lru_cache(maxsize=2_000)
def is_workday(day: datetime.date) -> tuple[bool, bool]:
    """Return whether a day is a working day, and whether the holidays of its year are known."""
    try:
        return bool(chinese_calendar.is_workday(day)), True
    except NotImplementedError:
        return day.weekday() < 5, False
