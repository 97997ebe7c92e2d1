"""Rows over a link: whoever carries them learns nothing, and can make nothing else of them than all or an error."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside import streams
from inside.streams import CONTENT, RECORD
from keys import sealing
from plans.errors import EvidenceBroken, Malformed

KEY, OTHER = "a1" * 32, "b2" * 32
CANARY = b"canary-7391-income-48211"
Carry = Callable[[list[bytes]], list[bytes]]


def records_of(*parts: bytes, key: str = KEY, name: str = "rows-0") -> list[bytes]:
    """What a sender puts on the wire, in records; its peer closes at the end of the last."""
    ours, theirs = socket.socketpair()
    sender = threading.Thread(target=streams.send, args=(ours, key, name, parts))
    sender.start()
    found, opened = [], 0
    while not opened:
        record = b""
        while len(record) < RECORD:
            record += theirs.recv(RECORD - len(record))
        found.append(record)
        bound = f"darkroom/v1/link/{name}/".encode() + (len(found) - 1).to_bytes(8, "big")
        opened = sealing.decrypt(bytes.fromhex(key), record, bound)[0]
    theirs.close()
    sender.join()
    return found


def read(wire: list[bytes], key: str = KEY, name: str = "rows-0") -> bytes:
    """What a receiver makes of bytes on the wire, after which the carrier hangs up."""
    ours, theirs = socket.socketpair()

    def carry() -> None:
        with ours, contextlib.suppress(OSError):
            for record in wire:
                ours.sendall(record)

    carrier = threading.Thread(target=carry)
    carrier.start()
    try:
        with theirs, streams.receive(theirs, key, name) as reader:
            return reader.read()
    finally:
        carrier.join(120)


@given(st.lists(st.integers(0, 2 * CONTENT), max_size=3), st.integers(1, 10**6))
@settings(max_examples=15, deadline=None)
def test_what_is_sent_is_what_is_read_however_it_is_cut(sizes: list[int], seed: int) -> None:
    parts = [bytes([(seed + place) % 251]) * size for place, size in enumerate(sizes)]
    wire = records_of(*parts)
    assert read(wire) == b"".join(parts)
    assert {len(record) for record in wire} == {RECORD}


def test_nothing_is_something_and_is_not_taken_for_a_peer_that_is_gone() -> None:
    assert read(records_of()) == b""
    with pytest.raises(EvidenceBroken):
        read([])


THREE = [CANARY * 10, os.urandom(2 * CONTENT)]


def dropped(wire: list[bytes]) -> list[bytes]:
    return [wire[0], *wire[2:]]


def flipped(wire: list[bytes]) -> list[bytes]:
    return [wire[0][:99] + bytes([wire[0][99] ^ 1]) + wire[0][100:], *wire[1:]]


ATTACKS: dict[str, Carry] = {
    "the last record is missing": lambda wire: wire[:-1],
    "the last record is cut": lambda wire: [*wire[:-1], wire[-1][:-1]],
    "a record is missing": dropped,
    "two records changed places": lambda wire: [wire[1], wire[0], *wire[2:]],
    "a record comes twice": lambda wire: [wire[0], *wire],
    "the last comes first": lambda wire: [wire[-1]],
    "a bit is another": flipped,
    "nothing comes": lambda wire: [],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_carrier_can_make_an_error_of_a_stream_and_nothing_else(attack: str) -> None:
    """70, and a launcher that is not honest. The control: carried as it is, it is read."""
    wire = records_of(*THREE)
    assert read(wire) == b"".join(THREE)
    with pytest.raises(EvidenceBroken):
        read(ATTACKS[attack](wire))


def test_records_of_another_link_or_attempt_do_not_open() -> None:
    """Another attempt has another key (`keeper`); another link of the same plan another name too."""
    wire, again = records_of(*THREE), records_of(*THREE, key=OTHER)
    for carried in (again, [wire[0], *again[1:]], records_of(*THREE, name="rows-1")):
        with pytest.raises(EvidenceBroken):
            read(carried)
    assert read(again, key=OTHER) == b"".join(THREE), "the control"


def test_a_carrier_sees_noise_and_how_many_mebibytes_passed() -> None:
    """The control: what goes in is full of the canary."""
    wire = b"".join(records_of(CANARY * 1000))
    assert CANARY not in wire and len(wire) == RECORD == len(b"".join(records_of(b"")))


def test_a_receiver_that_wants_no_more_ends_the_sender_without_an_error() -> None:
    ours, theirs = socket.socketpair()
    taken: list[bool] = []
    parts = (bytes(CONTENT) for _ in range(1000))
    sender = threading.Thread(target=lambda: taken.append(streams.send(ours, KEY, "rows-0", parts)))
    sender.start()
    with theirs, streams.receive(theirs, KEY, "rows-0") as reader:
        assert reader.read(10) == bytes(10)
    sender.join(120)
    assert taken == [False]


def test_a_sender_does_not_end_before_its_peer_has_taken_all() -> None:
    ours, theirs = socket.socketpair()
    taken: list[bool] = []
    sender = threading.Thread(target=lambda: taken.append(streams.send(ours, KEY, "rows-0", [b"x"])))
    sender.start()
    with theirs, streams.receive(theirs, KEY, "rows-0") as reader:
        assert reader.read() == b"x"
        sender.join(0.2)
        assert sender.is_alive() and taken == []
    sender.join(120)
    assert taken == [True]


def test_a_key_that_is_none_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for bad in ("", "aa" * 16):
            with pytest.raises(Malformed):
                streams.receive(theirs, bad, "rows-0")
