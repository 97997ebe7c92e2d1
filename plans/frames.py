"""Frames: how processes of one side speak over pipes and Unix sockets.

A frame is a 4-byte big-endian length and that many bytes of canonical JSON (an object). A length beyond
`LARGEST` is refused before a byte of it is read. A question is `{"op": name, …}`; the answer is `{"ok": {…}}`
or `{"error": <problem document>}`.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any, BinaryIO

from plans import canonical
from plans.errors import DarkroomError, Malformed, TooLarge, Unreachable, from_problem

LARGEST = 16 * 2**20
"""Bytes of one frame at the most."""

_LENGTH = struct.Struct(">I")
HEAD_BYTES = _LENGTH.size


def pack(message: dict[str, Any]) -> bytes:
    """Return the frame of a message.

    Raises:
        TooLarge: the message is larger than a frame may be.
    """
    body = canonical.encode(message)
    if len(body) > LARGEST:
        raise TooLarge(f"a message of {len(body):,} bytes is larger than a frame may be", "frame")
    return _LENGTH.pack(len(body)) + body


def unpack(body: bytes) -> dict[str, Any]:
    """Return the message of a frame's body; raises `Malformed` if it is not a canonical object."""
    message = canonical.decode(body)
    if not isinstance(message, dict):
        raise Malformed("a frame holds an object", "frame")
    return message


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """Return the next message of a blocking stream, or none at its end."""
    head = stream.read(_LENGTH.size)
    if not head:
        return None
    length = length_of(head)
    body = stream.read(length)
    if len(body) < length:
        raise Malformed("the stream ended within a frame", "frame")
    return unpack(body)


def write(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message to a blocking stream."""
    stream.write(pack(message))
    stream.flush()


def ask(path: Path, question: dict[str, Any], timeout_s: float = 30.0) -> dict[str, Any]:
    """Ask a process behind a Unix socket one question and return its answer.

    Raises:
        Unreachable: nobody answers there within `timeout_s`.
        DarkroomError: whatever the process answered with.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(pack(question))
            with connection.makefile("rb") as stream:
                answer = read(stream)
    except OSError as problem:
        raise Unreachable(
            f"nobody answers at this socket ({problem.strerror or 'no answer in time'})", path.name
        ) from None
    return settle(answer, path.name)


def settle(answer: dict[str, Any] | None, where: str) -> dict[str, Any]:
    """Return the good answer, or raise the error that the other process answered with."""
    if answer is None:
        raise Unreachable("the connection ended without an answer", where)
    problem, result = answer.get("error"), answer.get("ok")
    if isinstance(problem, dict):
        raise from_problem(problem)
    if "error" in answer or not isinstance(result, dict):
        raise Malformed("an answer is either ok or an error", where)
    return result


def refusal(problem: DarkroomError) -> dict[str, Any]:
    """Return the answer that carries an error."""
    return {"error": problem.problem()}


def length_of(head: bytes) -> int:
    """Return the length that a frame's first four bytes announce.

    Raises:
        Malformed: there are fewer than four.
        TooLarge: it is more than a frame may have.
    """
    if len(head) < _LENGTH.size:
        raise Malformed("the stream ended within a frame", "frame")
    length: int = _LENGTH.unpack(head)[0]
    if length > LARGEST:
        raise TooLarge(f"a frame announces {length:,} bytes, more than it may have", "frame")
    return length
