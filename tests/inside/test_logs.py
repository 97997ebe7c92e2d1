"""A log is cut, and holds nothing that a terminal acts on (ATTACKS 44)."""

from __future__ import annotations

import time

import pytest

from inside import logs
from plans.trial import LONGEST_LOG


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"plain \xe4\xb8\x9c\xe5\x8c\xba\t1\n", "plain 东区\t1\n"),
        (b"\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1H", "red "),
        (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", "ab"),
        (b"\x1bPq#0\x1b\\c\x1bcd", "cd"),
        (b"one\r\ntwo\rthree", "one\ntwo\nthree"),
        (b"a\x00b\x08c\x7fd\xc2\x9b31me", "abcd31me"),
        ("a\u202eb\u2066c\u200bd\ufeffe\u2028f\U000e0041g".encode(), "abcdefg"),
        ("a\u3000b\u00a0c".encode(), "a b c"),
        (b"\xff\xfe\xf0", "\ufffd\ufffd\ufffd"),
        (b"\x1b", ""),
        (b"x" * 10_000_000, "x" * logs.LONGEST_LINE + "…"),
    ],
)
def test_a_log_holds_nothing_that_a_terminal_acts_on_or_that_hides(printed: bytes, shown: str) -> None:
    """44. The control: the bytes that were printed hold it."""
    assert logs.clean(printed) == shown


@pytest.mark.parametrize("unit", [b"\x1b[", b"\x1b]", b"\x1b[0;", b"\x1bP\x1b", b"\r\n", "\u202e".encode()])
def test_cleaning_takes_no_longer_for_what_was_made_to_take_long(unit: bytes) -> None:
    """Milliseconds. Patterns that are read again from every place would take five minutes for some of these."""
    began = time.process_time()
    logs.clean(unit * (2**18 // len(unit)))
    assert time.process_time() - began < 20


def test_a_log_keeps_its_beginning_and_end_in_whatever_pieces_it_comes() -> None:
    content = b"".join(b"line %07d\n" % n for n in range(60_000))
    for size in (1_000, 65_536, len(content)):
        log = logs.Log()
        for start in range(0, len(content), size):
            log.add(content[start : start + size])
        text = log.text()
        assert (
            text.startswith("line 0000000\n") and text.endswith("line 0059999\n") and len(text) <= LONGEST_LOG
        )
    small = logs.Log()
    small.add(b"all")
    assert small.text() == "all"
