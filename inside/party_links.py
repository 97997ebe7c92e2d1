"""A party's links with the boxes of other parties: messages that nobody between the two boxes can read or change.

Launchers and agents on both sides carry the bytes, over TLS between their houses; to all of them they are noise. Each
direction of a link has a key of its own, which only the two boxes can compute: from the key that the one made when it
began and the public half of the other's, for which the keeper vouches (`BoxKeys.peers`), bound to joint plan, attempt,
sender and receiver. So what was recorded in another attempt, on another link or in the other direction opens nowhere.

A direction is a stream of records, each

    4 bytes    length of what follows
    12 bytes   nonce
    encrypted  1 byte (is it a message's last?), then content, 2^20 bytes: of a message's last record at the most
    16 bytes   tag; the number of the record is associated data

A message is one or more records: its header (`mpc.protocols.channel`) behind two bytes of length, and its payload.
Sizes of messages follow from the plan and are public, so nothing is padded. A reader thread per link takes records off
the socket as they come, up to a bound, and beyond it while the box itself is sending: so two boxes that both send never
wait for each other. A message is checked by its header before more of it is taken than the plan allows.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keys import sealing
from mpc.protocols.channel import HEADER_ROOM, Conversation, Header, Payload, Traffic
from plans import canonical
from plans.errors import EvidenceBroken, LinkBroken, PeerLost

CONTENT = 2**20
"""Bytes of content of a record, at the most."""

BUFFERED = 2**26
"""Bytes that a link holds for a box that is not ready for them: whoever sends more waits."""

_LENGTH, _SHORT = struct.Struct("<I"), struct.Struct("<H")
_SEALED = 12 + 1 + 16
_LARGEST = CONTENT + _SEALED
_MOST = 4096


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """The keys of both directions of a link, at one of its ends; `repr` shows none."""

    sending: bytes
    receiving: bytes

    def __repr__(self) -> str:
        return "LinkKeys()"


def link_keys(
    secret: sealing.OpeningKey, peer: str, between: tuple[str, str], joint: str, attempt: int
) -> LinkKeys:
    """Return the keys of a link.

    Args:
        secret: the key that this box made.
        peer: the public half of the key that the box at the other end made.
        between: this domain and the other.
        joint: digest of the joint plan.
        attempt: its number.

    Raises:
        Malformed, SignatureWrong: `peer` is no usable key.
    """

    def one(sender: str, receiver: str) -> bytes:
        bound = {"joint": joint, "attempt": attempt, "from": sender, "to": receiver}
        return secret.agree(peer, canonical.encode(bound))

    mine, other = between
    return LinkKeys(one(mine, other), one(other, mine))


class PartyLinks:
    """A `Channel` over the sockets of a box; one for each peer, which it closes.

    `patience` is for how many seconds nothing may come where something is due. Agents notice a party that is gone much
    sooner; this is for a carrier that holds bytes back and keeps the link open.
    """

    def __init__(self, streams: Mapping[str, tuple[socket.socket, LinkKeys]], patience: float) -> None:
        self._flow = _Flow(patience)
        self._ends = {peer: _End(peer, stream, keys, self._flow) for peer, (stream, keys) in streams.items()}

    def send(self, peer: str, tag: str, payload: Payload) -> None:
        """Send one message (see `Channel`); returns when the socket has it."""
        with self._flow.sending():
            self._end(peer).send(tag, memoryview(payload).cast("B"))

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        """Return the next message of a peer (see `Channel`)."""
        return self._end(peer).receive(tag, size)

    def traffic(self) -> Mapping[str, Traffic]:
        """Return what was sent and received so far, by peer."""
        return {peer: end.conversation.traffic() for peer, end in self._ends.items()}

    def close(self) -> None:
        """Close all links: what was sent still arrives."""
        for end in self._ends.values():
            end.close()

    def _end(self, peer: str) -> _End:
        if peer not in self._ends:
            raise LinkBroken("there is no link to this party", peer)
        return self._ends[peer]


class _Flow:
    """What all links of a box have in common: whether the box is sending, and how long it waits."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.changed = threading.Condition()
        self.busy = False

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Mark the box as one that sends, and so takes nothing off its links: meanwhile they have no bound."""
        with self.changed:
            self.busy = True
            self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                self.busy = False


class _End:
    """One link: what was sent on it, and the records that came and wait."""

    def __init__(self, peer: str, stream: socket.socket, keys: LinkKeys, flow: _Flow) -> None:
        self.conversation = Conversation(peer)
        self._peer, self._stream, self._keys, self._flow = peer, stream, keys, flow
        self._sent = self._opened = 0
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._over = False
        self._changed = flow.changed
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, tag: str, payload: memoryview) -> None:
        header = self.conversation.next_out(tag, len(payload)).pack()
        start = _SHORT.pack(len(header)) + header
        room = CONTENT - len(start)
        self._record(start + bytes(payload[:room]), last=len(payload) <= room)
        for at in range(room, len(payload), CONTENT):
            self._record(payload[at : at + CONTENT], last=at + CONTENT >= len(payload))

    def _record(self, content: bytes | memoryview, last: bool) -> None:
        sealed = sealing.encrypt(self._keys.sending, bytes((last,)) + bytes(content), _bound(self._sent))
        self._sent += 1
        try:
            self._stream.sendall(_LENGTH.pack(len(sealed)))
            self._stream.sendall(sealed)
        except OSError:
            raise PeerLost("the link closed while something was sent", self._peer) from None

    def receive(self, tag: str, size: int) -> bytes:
        last, content = self._next(tag)
        (length,) = _SHORT.unpack_from(content) if len(content) >= _SHORT.size else (HEADER_ROOM + 1,)
        if length > HEADER_ROOM:
            raise LinkBroken("a message has no header", self._peer)
        start = _SHORT.size + length
        self.conversation.expect(Header.unpack(bytes(content[_SHORT.size : start])), tag, size)
        parts, found = [content[start:]], len(content) - start
        while not last and found <= size:
            last, content = self._next(tag)
            parts.append(content)
            found += len(content)
        if found != size or not last:
            raise LinkBroken(f"message {tag} has another size than its header says", self._peer)
        return b"".join(parts)

    def _next(self, tag: str) -> tuple[bool, memoryview]:
        """Return the next record's content, and whether it is a message's last."""
        with self._changed:
            patience = self._flow.patience  # what comes on other links meanwhile makes it no longer
            if not self._changed.wait_for(lambda: self._waiting or self._over, patience):
                raise PeerLost(f"nothing came in {patience:.0f} s where {tag} is due", self._peer)
            if not self._waiting:
                raise PeerLost(f"the link closed where {tag} is due", self._peer)
            sealed = self._waiting.popleft()
            self._held -= len(sealed)
            self._changed.notify_all()
        try:
            plain = sealing.decrypt(self._keys.receiving, sealed, _bound(self._opened))
        except EvidenceBroken:
            raise LinkBroken("a record is not what the other box sent", self._peer) from None
        self._opened += 1
        last, content = bool(plain[0]), memoryview(plain)[1:]
        if not last and len(content) < CONTENT:  # empty records without end would keep this box busy for ever
            raise LinkBroken("a record within a message is not full", self._peer)
        return last, content

    def _read(self) -> None:
        """Take records off the socket until it ends; what is no record ends it too."""
        with contextlib.suppress(OSError):
            while record := self._taken():
                with self._changed:
                    while not self._flow.busy and (self._held > BUFFERED or len(self._waiting) >= _MOST):
                        self._changed.wait()
                    self._waiting.append(record)
                    self._held += len(record)
                    self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _taken(self) -> bytes:
        """Return one record, or nothing at the end."""
        head = self._exactly(_LENGTH.size)
        (length,) = _LENGTH.unpack(head) if head else (0,)
        return self._exactly(length) if _SEALED <= length <= _LARGEST else b""

    def _exactly(self, size: int) -> bytes:
        room = bytearray(size)
        view, filled = memoryview(room), 0
        while filled < size:
            got = self._stream.recv_into(view[filled:])
            if not got:
                return b""
            filled += got
        return bytes(room)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_WR)
        self._stream.close()


def _bound(number: int) -> bytes:
    return b"darkroom/v1/party-link/" + number.to_bytes(8, "big")
