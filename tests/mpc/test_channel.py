"""Promise: a message of another kind, size or place than the plan makes it ends the conversation (ATTACKS 70)."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.protocols.channel import LONGEST_TAG, Conversation, Header, Traffic
from mpc.protocols.memory import network, together
from plans.errors import LinkBroken, Malformed, PeerLost


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.text(max_size=LONGEST_TAG // 4))
def test_a_header_reads_as_it_was_written(number: int, size: int, tag: str) -> None:
    header = Header(number, size, tag)
    assert Header.unpack(header.pack()) == header


@given(st.binary(max_size=60))
def test_bytes_that_are_no_header_are_refused_and_never_misread(raw: bytes) -> None:
    with suppress(LinkBroken):
        assert Header.unpack(raw).pack() == raw


def test_a_tag_has_a_longest_length() -> None:
    with pytest.raises(LinkBroken):
        Header(0, 0, "x" * (LONGEST_TAG + 1)).pack()


def test_messages_arrive_as_they_were_sent_and_are_counted() -> None:
    ends = network(["a", "b"])
    room = bytearray(b"first")
    ends["a"].send("b", "one", room)
    room[:] = b"XXXXX"  # the sender's buffer is free again once send returned
    ends["a"].send("b", "two", b"")
    assert ends["b"].receive("a", "one", 5) == b"first"
    assert ends["b"].receive("a", "two", 0) == b""
    assert ends["a"].traffic()["b"] == Traffic(sent_messages=2, sent_bytes=5)
    assert ends["b"].traffic()["a"] == Traffic(received_messages=2, received_bytes=5)


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (Header(1, 3, "sum"), "message 1 came where message 0"),  # dropped or reordered
        (Header(0, 4, "sum"), "4 bytes and must have 3"),
        (Header(0, 2, "sum"), "2 bytes and must have 3"),
        (Header(0, 3, "secret-word"), "another kind came where sum is due"),
    ],
)
def test_anything_but_the_next_message_ends_the_conversation(header: Header, fault: str) -> None:
    conversation = Conversation("north")
    with pytest.raises(LinkBroken, match=re.escape(fault)) as refused:
        conversation.expect(header, "sum", 3)
    assert "secret-word" not in str(refused.value) and "north" in str(refused.value)
    with pytest.raises(LinkBroken):  # also what would have been right before
        conversation.expect(Header(0, 3, "sum"), "sum", 3)


def test_a_repeated_message_is_refused() -> None:
    conversation = Conversation("north")
    conversation.expect(Header(0, 3, "sum"), "sum", 3)
    with pytest.raises(LinkBroken):
        conversation.expect(Header(0, 3, "sum"), "sum", 3)


def test_the_control_the_right_messages_are_accepted() -> None:
    conversation = Conversation("north")
    for number in range(3):
        conversation.expect(Header(number, number, f"t{number}"), f"t{number}", number)
    assert conversation.traffic() == Traffic(received_messages=3, received_bytes=3)


def test_a_party_that_is_not_linked_cannot_be_spoken_to() -> None:
    with pytest.raises(LinkBroken):
        network(["a", "b"])["a"].send("c", "x", b"")


def test_waiting_ends_where_nothing_comes() -> None:
    ends = network(["a", "b"], patience=0.05)
    with pytest.raises(PeerLost, match="due"):
        ends["a"].receive("b", "sum", 3)


def test_one_party_that_fails_ends_all_and_its_error_is_the_one_that_is_told() -> None:
    def waits(end) -> bytes:
        return end.receive("c", "sum", 3)

    def fails(end) -> bytes:
        raise Malformed("the data break the range")

    with pytest.raises(Malformed, match="range"):
        together({"a": waits, "b": waits, "c": fails}, patience=30)
