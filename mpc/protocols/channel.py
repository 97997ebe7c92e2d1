"""Messages between the parties of one joint computation: who, what kind, in which order, of which size.

A protocol of `mpc.protocols` never sees a socket. It is given a `Channel`, on which it sends and receives; the
size of whatever it receives follows from public shapes, so it is the *receiver* who states it. `Conversation`
is the pure rule that every channel keeps, the one between threads (`memory.py`) and the one between boxes: each
message carries a tag and its number in this direction, and anything else than the next expected message ends
the conversation. Nothing is ever reordered, dropped or repeated in silence.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from plans.errors import LinkBroken

Payload = bytes | bytearray | memoryview
_HEADER = struct.Struct("<QQH")  # number of the message in its direction, bytes of payload, bytes of tag
LONGEST_TAG = 200  # bytes of UTF-8
HEADER_ROOM = _HEADER.size + LONGEST_TAG


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went to one peer and came from it: messages, and bytes of payload without headers."""

    sent_messages: int = 0
    sent_bytes: int = 0
    received_messages: int = 0
    received_bytes: int = 0


class Channel(Protocol):
    """A party's end of its links with named peers.

    `send` hands a message over and does *not* wait until the peer receives it: in most protocols all parties
    send first and receive afterwards. The caller may change the buffer once `send` has returned.
    """

    def send(self, peer: str, tag: str, payload: Payload) -> None:
        """Send one message.

        Raises:
            PeerLost: the link is closed, or the peer takes nothing any more.
        """
        ...

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        """Return the next message of `peer`, which must have this tag and exactly this many bytes.

        Raises:
            LinkBroken: it has another tag, number or size, or is damaged.
            PeerLost: the link closed, or nothing came in time.
        """
        ...

    def traffic(self) -> Mapping[str, Traffic]:
        """Return what was sent and received so far, by peer."""
        ...


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a payload."""

    number: int
    size: int
    tag: str

    def pack(self) -> bytes:
        """Return the header as bytes: number and size as u64, length of the tag as u16, the tag."""
        tag = self.tag.encode()
        if len(tag) > LONGEST_TAG:
            raise LinkBroken(f"a tag may have {LONGEST_TAG} bytes", "tag")
        return _HEADER.pack(self.number, self.size, len(tag)) + tag

    @staticmethod
    def unpack(raw: bytes) -> Header:
        """Return the header that `pack` wrote.

        Raises:
            LinkBroken: these bytes are no header.
        """
        if len(raw) < _HEADER.size:
            raise LinkBroken("a message has no complete header")
        number, size, length = _HEADER.unpack_from(raw)
        tag = raw[_HEADER.size :]
        if length != len(tag) or length > LONGEST_TAG:
            raise LinkBroken("a message's header has another length than it says")
        try:
            return Header(number, size, tag.decode())
        except UnicodeDecodeError:
            raise LinkBroken("a message's tag is no text") from None


class Conversation:
    """The order of messages with one peer, both directions, and their count."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self._sent = self._received = 0
        self._sent_bytes = self._received_bytes = 0
        self._broken = False

    def next_out(self, tag: str, size: int) -> Header:
        """Return the header of the next message to the peer, `size` bytes of payload."""
        header = Header(self._sent, size, tag)
        self._sent += 1
        self._sent_bytes += size
        return header

    def expect(self, header: Header, tag: str, size: int) -> None:
        """Accept the header of a message that came, before its payload is read.

        Raises:
            LinkBroken: it is not the next message, or has another tag or size than the plan makes it; the
                conversation is over then, and every later message is refused as well.
        """
        if self._broken:
            raise LinkBroken("this link has failed before", self.peer)
        wrong = self._fault(header, tag, size)
        if wrong:
            self._broken = True
            raise LinkBroken(wrong, self.peer)
        self._received += 1
        self._received_bytes += size

    def _fault(self, header: Header, tag: str, size: int) -> str:
        if header.number != self._received:
            return f"message {header.number} came where message {self._received} is due ({tag})"
        if header.tag != tag:
            return f"a message of another kind came where {tag} is due"  # the foreign tag is not repeated
        if header.size != size:
            return f"message {tag} has {header.size} bytes and must have {size}"
        return ""

    def traffic(self) -> Traffic:
        """Return what went and came so far."""
        return Traffic(self._sent, self._sent_bytes, self._received, self._received_bytes)
