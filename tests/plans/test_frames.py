"""Frames: whatever a peer sends, it is a message or a clear refusal."""

from __future__ import annotations

import asyncio
import io
import socket
import statistics
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans import frames, frames_async
from plans.errors import DarkroomError, Malformed, NotFound, TooLarge, Unreachable

HOSTILE = [
    b"\0",
    b"\0\0\0",
    b"\0\0\0\x05{}",
    b"\0\0\0\x08{}",
    b"\0\0\0\x02[]",
    b"\0\0\0\x04null",
    b"\0\0\0\0",
    b'\0\0\0\x08{"a": 1}',
    b'\0\0\0\x0d{"b":1,"a":1}',
    b"\0\0\0\x03\xff\xfe\xfd",
    b"\xff\xff\xff\xff",
    struct.pack(">I", frames.LARGEST + 1) + b"{}",
]
MESSAGES = st.dictionaries(
    st.text("abc", max_size=3), st.one_of(st.integers(0, 9), st.text("xyz")), max_size=4
)


@given(st.lists(MESSAGES, max_size=4))
def test_messages_come_back_in_order_and_then_the_end(messages: list[dict[str, Any]]) -> None:
    stream = io.BytesIO()
    for message in messages:
        frames.write(stream, message)
    stream.seek(0)
    assert [frames.read(stream) for _ in messages] == messages
    assert frames.read(stream) is None


@pytest.mark.parametrize("data", HOSTILE)
def test_truncated_oversized_or_other_than_canonical_objects_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        frames.read(io.BytesIO(data))


@pytest.mark.parametrize("data", HOSTILE)
def test_asyncio_streams_refuse_the_same(data: bytes) -> None:
    async def attempt() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        await frames_async.read_async(reader)

    with pytest.raises(Malformed):
        asyncio.run(attempt())


def test_asyncio_streams_give_messages_and_the_end() -> None:
    async def attempt() -> list[Any]:
        reader = asyncio.StreamReader()
        reader.feed_data(frames.pack({"op": "status"}))
        reader.feed_eof()
        return [await frames_async.read_async(reader), await frames_async.read_async(reader)]

    assert asyncio.run(attempt()) == [{"op": "status"}, None]


@given(st.binary(max_size=60))
def test_any_bytes_are_messages_or_refused(data: bytes) -> None:
    stream = io.BytesIO(data)
    try:
        while (message := frames.read(stream)) is not None:
            assert isinstance(message, dict)
    except Malformed:
        pass


def test_an_announced_length_beyond_the_limit_is_refused_before_a_byte_is_read() -> None:
    class Watched(io.BytesIO):
        asked: list[int] = []

        def read(self, size: int | None = -1, /) -> bytes:
            self.asked.append(size or 0)
            return super().read(size)

    stream = Watched(struct.pack(">I", 2**32 - 1) + b"{}")
    with pytest.raises(TooLarge):
        frames.read(stream)
    assert stream.asked == [4]


def test_a_message_larger_than_a_frame_is_refused_by_its_sender() -> None:
    with pytest.raises(TooLarge):
        frames.pack({"text": "x" * frames.LARGEST})


# ------------------------------------------------------------------------------------- questions and answers


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ok": []},
        {"ok": None},
        {"okay": {}},
        {"error": "no"},
        {"error": None},
        {"error": ["rule.refused"]},
    ],
)
def test_an_answer_of_another_form_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        frames.settle(answer, "keeper.sock")


def test_a_good_answer_is_given_and_an_error_raised_as_itself() -> None:
    assert frames.settle({"ok": {"a": 1}}, "keeper.sock") == {"a": 1}
    with pytest.raises(NotFound, match="no such plan"):
        frames.settle(frames.refusal(NotFound("no such plan", "nm/tax")), "keeper.sock")
    with pytest.raises(Unreachable):
        frames.settle(None, "keeper.sock")


def served(path: Path, reply: bytes) -> threading.Thread:
    """A peer that takes one question and sends these bytes."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen(1)

    def serve() -> None:
        with server, server.accept()[0] as connection:
            with connection.makefile("rb") as stream:
                frames.read(stream)
            connection.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("reply", "refusal"),
    [(b"", Unreachable), *((data, DarkroomError) for data in HOSTILE), (frames.pack({"ok": 1}), Malformed)],
)
def test_a_peer_that_answers_with_anything_else_is_refused(
    tmp_path: Path, reply: bytes, refusal: type[DarkroomError]
) -> None:
    thread = served(tmp_path / "s", reply)
    with pytest.raises(refusal):
        frames.ask(tmp_path / "s", {"op": "status"}, timeout_s=60)
    thread.join(60)


def test_a_peer_that_answers_is_heard(tmp_path: Path) -> None:
    thread = served(tmp_path / "s", frames.pack({"ok": {"alive": True}}))
    assert frames.ask(tmp_path / "s", {"op": "status"}, timeout_s=60) == {"alive": True}
    thread.join(60)


def test_nobody_at_the_socket_is_said_without_a_path_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as refused:
        frames.ask(tmp_path / "keeper.sock", {"op": "status"})
    assert "keeper.sock" in str(refused.value) and str(tmp_path) not in str(refused.value)


def test_a_reader_that_expects_little_is_refused_more_before_it_comes() -> None:
    async def steps() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(struct.pack(">I", 101))
        with pytest.raises(TooLarge):
            await frames_async.read_async(reader, 100)
        reader.feed_data(frames.pack({"a": 1}))
        assert await frames_async.read_async(reader, 7) == {"a": 1}

    asyncio.run(steps())


@pytest.mark.parametrize("beside", [True, False])
def test_a_large_frame_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch, beside: bool) -> None:
    """46: many small parts take seconds to read. The control reads them where they arrive."""
    packed = frames.pack({"a": [0] * 500_000})
    if not beside:
        monkeypatch.setattr(frames_async, "READ_AT_ONCE", len(packed))

    async def longest_pause() -> float:
        """As a part of the whole."""
        began = time.monotonic()
        reader, longest = asyncio.StreamReader(limit=2**24), 0.0
        reader.feed_data(packed)
        reading = asyncio.create_task(frames_async.read_async(reader))
        while not reading.done():
            before = asyncio.get_running_loop().time()
            await asyncio.sleep(0)
            longest = max(longest, asyncio.get_running_loop().time() - before)
        assert reading.result() == {"a": [0] * 500_000}
        return longest / (time.monotonic() - began)

    parts = [asyncio.run(longest_pause()) for _ in range(5)]  # this machine may stand still in one of them
    assert (statistics.median(parts) < 1 / 2) is beside
