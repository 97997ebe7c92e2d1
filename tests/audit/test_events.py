"""Events: one spelling, no room for values, and personal content that can be forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import api as audit
from audit import events
from plans.errors import Malformed, NotFound, TooLarge

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def draft(**changes: Any) -> audit.Draft:
    fields = {
        "actor": "li@nm", "domain": "nm/tax", "action": "job.submitted", "object": "job-1",
        "retention": audit.Retention.GRANTS,
    }  # fmt: skip
    return audit.Draft(**fields | changes)


@given(
    WORDS,
    st.dictionaries(WORDS, WORDS | st.integers(-9, 9), max_size=3),
    st.integers(-1, 10**6),
    st.integers(0, 10**9),
)
def test_a_line_put_together_is_the_events_canonical_form(
    thing: str, details: dict[str, Any], salt: int, sequence: int
) -> None:
    made, time = draft(object=thing, details=details), 1_700_000_000_000
    whole = made.event({}, salt, sequence, time)
    line = events.line(events.beginning(made, {}), salt, sequence, time)
    assert line == whole.canonical() and b"\n" not in line
    assert audit.Event.decode(line) == whole
    assert events.is_numbered(line, sequence) and not events.is_numbered(line, sequence + 1)
    assert events.time_of(line) == time


def test_text_within_an_event_cannot_stand_for_its_number() -> None:
    made = draft(details={"z": ',"sequence":7,"time":1700000000000}'})
    line = events.line(events.beginning(made, {}), -1, 3, 1_700_000_000_000)
    assert events.is_numbered(line, 3) and not events.is_numbered(line, 7)


@pytest.mark.parametrize(
    "changes",
    [{"action": "submitted"}, {"action": "Job.submitted"}, {"actor": ""}, {"plan": "x"}, {"domain": "NM"},
     {"policy": -1}, {"object": "x" * 301}, {"details": {"x": 0.5}}, {"details": {"x": b"1"}}, {"retention": "grants"}],
)  # fmt: skip
def test_what_is_no_event_is_refused_before_it_reaches_the_log(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        draft(**changes)


def test_details_are_a_few_words_and_never_a_table() -> None:
    with pytest.raises(TooLarge):
        draft(details={"rows": ["x" * 100] * 100})


def test_retention_is_at_least_what_the_law_asks() -> None:
    assert audit.Retention.NETWORK.least_days >= 183
    assert audit.Retention.GRANTS.least_days >= 3 * 365
    assert audit.Retention.STATISTICS.least_days >= 10 * 365 + 3


# ----------------------------------------------------------------------------------------- personal content


def test_personal_content_is_in_no_file_and_can_still_be_confirmed(place: Any) -> None:
    text, log = "select income from tax.income where person = 'Wang 4711'", place.open()
    log.append(draft(personal={"statement": text, "name": "李四"}))
    event = log.events(0)[0]
    assert log.matches(event, "statement", text) is True
    assert log.matches(event, "statement", text + " ") is False
    assert log.matches(event, "name", text) is False and log.matches(event, "other", text) is False
    for path in place.folder.iterdir():
        content = path.read_bytes()
        assert b"Wang" not in content and "李四".encode() not in content and b"\\u674e" not in content
    assert text not in repr(draft(personal={"statement": text}))


def test_equal_texts_have_different_commitments(place: Any) -> None:
    log = place.open()
    for _ in range(2):
        log.append(draft(personal={"statement": "the same"}))
    one, two = log.events(0)
    assert one.commitments != two.commitments and one.salt != two.salt


def test_an_erased_salt_takes_the_meaning_away_and_leaves_the_log_whole(place: Any) -> None:
    log = place.open()
    for n in range(3):
        log.append(draft(personal={"statement": f"statement {n}"}))
    log.head()
    first, second, _ = log.events(0)
    log.erase_salt(first)
    assert log.matches(first, "statement", "statement 0") is None
    assert log.matches(second, "statement", "statement 1") is True
    assert place.verify().ok
    log.append(draft(personal={"statement": "later"}))
    assert log.matches(log.events(3)[0], "statement", "later") is True


def test_an_event_without_personal_content_has_no_salt(place: Any) -> None:
    log = place.open()
    log.append(draft())
    with pytest.raises(NotFound):
        log.erase_salt(log.events(0)[0])
