"""Rows from one box to another: one direction of a link, sealed so that whoever carries it carries noise.

The launcher joins links and could read, cut, swap and repeat what passes; so a stream is records of one size, each

    12 bytes   nonce
    2^20       encrypted: 1 byte (is it the last?), 4 bytes (how many of content), content, zeros
    16 bytes   tag

under AES-256-GCM with the key of the link (`BoxKeys.links`), which the keeper derives from plan, attempt and name, and
gives to the two ends alone. Name and number of the record are associated data: a record that is missing, comes twice,
in another place, or from another attempt does not open. A stream is over with the record that says so: a peer that was
killed never looks like the end of the data. What a carrier learns is how many MiB passed.

The receiver closes the link when it has taken all, or wants no more; the sender waits for that, so it does not end
before its peer has what it sent.
"""

from __future__ import annotations

import contextlib
import io
import socket
import struct
from collections.abc import Iterable
from typing import Any

from keys import sealing
from plans.errors import EvidenceBroken, Malformed

PLAIN = 2**20
"""Bytes of a record before it is encrypted."""

RECORD = PLAIN + 28
_HEAD = struct.Struct(">BI")
CONTENT = PLAIN - _HEAD.size
"""Bytes of content that a record has room for."""


class Sender(io.RawIOBase):
    """The writing end, as a file; pyarrow writes an IPC stream to it. `finish` says that this was all."""

    def __init__(self, stream: socket.socket, key: str, name: str) -> None:
        self._stream, self._key, self._name = stream, _key(key), name
        self._number, self._filled = 0, 0
        self._record = bytearray(PLAIN)
        self._room = memoryview(self._record)[_HEAD.size :]

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any, /) -> int:
        """Take some bytes, and send every record that is full.

        Raises:
            OSError: the peer wants no more, or is gone.
        """
        left = memoryview(content).cast("B")
        size = len(left)
        while left:
            part = left[: CONTENT - self._filled]
            self._room[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            left = left[len(part) :]
            if self._filled == CONTENT:
                self._send(last=False)
        return size

    def finish(self) -> None:
        """Send what is left as the last record, and wait until the peer has taken it; raises `OSError` as `write`."""
        self._send(last=True)
        while self._stream.recv(1024):
            pass

    def _send(self, last: bool) -> None:
        _HEAD.pack_into(self._record, 0, last, self._filled)
        self._room[self._filled :] = bytes(CONTENT - self._filled)
        self._stream.sendall(sealing.encrypt(self._key, self._record, _bound(self._name, self._number)))
        self._number, self._filled = self._number + 1, 0


class Receiver(io.RawIOBase):
    """The reading end, as a file. What it gives out has been verified; it ends only where the sender said so."""

    def __init__(self, stream: socket.socket, key: str, name: str) -> None:
        self._stream, self._key, self._name = stream, _key(key), name
        self._number, self._over = 0, False
        self._record = bytearray(RECORD)
        self._content = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill some of a buffer; 0 is the end.

        Raises:
            EvidenceBroken: the stream ended before its end, or is not what the sender sent.
        """
        if self.peek():
            part = self._content[: len(buffer)]
            buffer[: len(part)] = part
            self._content = self._content[len(part) :]
            return len(part)
        return 0

    def content(self) -> memoryview:
        """Return what there is of content, at least a byte, or nothing at the end; raises as `readinto`."""
        found = self._content if self.peek() else memoryview(b"")
        self._content = memoryview(b"")
        return found

    def peek(self) -> bool:
        """Wait for content if there is none yet, and return whether there is some; raises as `readinto`."""
        while not self._content and not self._over:
            self._take()
        return bool(self._content)

    def _take(self) -> None:
        view, filled = memoryview(self._record), 0
        while filled < RECORD:
            got = 0
            with contextlib.suppress(OSError):  # a stream that breaks off is one that ends too early
                got = self._stream.recv_into(view[filled:])
            if not got:
                raise EvidenceBroken("the stream of rows ended before its end", self._name)
            filled += got
        plain = sealing.decrypt(self._key, self._record, _bound(self._name, self._number))
        last, size = _HEAD.unpack_from(plain)
        self._number += 1
        self._over = bool(last)
        self._content = memoryview(plain)[_HEAD.size : _HEAD.size + size]


def send(stream: socket.socket, key: str, name: str, parts: Iterable[bytes]) -> bool:
    """Send all parts and that this was all; return whether the peer took it to the end.

    `key` is hex, as in `BoxKeys.links`. A peer that ends before, or wants no more, is no error of the sender's.
    """
    with stream:
        sender = Sender(stream, key, name)
        try:
            for part in parts:
                sender.write(part)
            sender.finish()
        except OSError:
            return False
    return True


def receive(stream: socket.socket, key: str, name: str) -> io.BufferedReader:
    """Return the reading end as a buffered file, which `pyarrow.ipc.open_stream` reads; close the link when it is read.

    Reading raises `EvidenceBroken` where the stream is not what was sent, or not all of it.
    """
    return io.BufferedReader(Receiver(stream, key, name), PLAIN)


def _key(key: str) -> bytes:
    secret = bytes.fromhex(key)
    if len(secret) != 32:
        raise Malformed("the key of a link has 256 bits", "box keys")
    return secret


def _bound(name: str, number: int) -> bytes:
    return b"darkroom/v1/link/" + name.encode() + b"/" + number.to_bytes(8, "big")
