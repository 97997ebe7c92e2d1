"""The log: many threads and a few processes append, and each is told only after its event is durable.

Group commit: threads put their events into a queue. One of them leads: it takes everything that waits, and
makes it durable with one `fdatasync` under the log's lock (`audit.tail`), while the next events gather in the
queue; then it wakes the others, and one whose event is still waiting leads next. At least every `HEAD_EVERY`
events a batch ends with a signed head.

**Who can rewrite what.** Somebody who can write the files but has not the log's key can change events behind
the last signed head unnoticed, if the leaf hashes are changed too; up to that head `verify` finds it, and
locates it exactly by the leaf hashes, or, if those were forged to fit, between two signed heads. Somebody who
has the key can rewrite what no witness has cosigned. Hence: sign a head often (`head`), have it cosigned at
once, and let witnesses remember.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit import events, files, heads, merkle, salts
from audit.events import Draft, Event
from audit.files import SEGMENT_EVENTS, Layout
from audit.nodes import Nodes
from audit.tail import Tail
from keys import api as keys
from plans.errors import DarkroomError, LogBroken, NotFound, StateConflict, Unreachable
from plans.statements import Duty, Head, Signed

HEAD_EVERY = 1024
LOCK_PATIENCE_S = 10
_LOCK_PAUSE_S = 0.0005


@dataclass(frozen=True, slots=True)
class Receipt:
    """What whoever appended is told: the event's number and time (Unix milliseconds). It is durable."""

    sequence: int
    time: int


class _Ticket:
    """An event in the queue, encoded as far as it can be without its number."""

    def __init__(self, draft: Draft) -> None:
        self.salt = secrets.token_bytes(salts.SALT_BYTES) if draft.personal else b""
        made = {name: events.commitment(name, text, self.salt) for name, text in draft.personal.items()}
        self.start = events.beginning(draft, made)
        self.receipt: Receipt | None = None
        self.problem: DarkroomError | None = None

    @property
    def done(self) -> bool:
        return self.receipt is not None or self.problem is not None

    def result(self) -> Receipt:
        if self.receipt is not None:
            return self.receipt
        raise self.problem or Unreachable("the event was not written", "audit log")


class Log:
    """An open log. May be shared by threads; other processes open their own, not a copy of this one by fork."""

    def __init__(self, layout: Layout, key: keys.SigningKey | None) -> None:
        self._layout, self._key = layout, key
        self._tail, self._nodes = Tail(layout), Nodes(layout)
        self._last_head: Signed | None = None
        self._heads_bytes = -1
        self._queue: list[_Ticket] = []
        self._led = False
        self._queueing, self._turn = threading.Condition(), threading.Lock()
        self._lock_file = files.open_file(layout.folder / "lock")

    @classmethod
    def open(
        cls,
        folder: Path,
        key: keys.SigningKey | None = None,
        name: str = "centre",
        segment: int = SEGMENT_EVENTS,
    ) -> Log:
        """Open the log in `folder`, and make it when there is none.

        Args:
            key: the log's signing key; a process without it can append but makes no heads.
            name: the log's name in its heads, formed like a domain.
            segment: events in a segment of a new log, a power of two.

        Raises:
            LogBroken: the log is not as it was left; nothing is changed.
            StateConflict: the log there has another name.
            DiskFull, Unreachable: the folder cannot be used.
        """
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            log = cls(Layout(folder, name, segment), key)
        with log._locked():
            if not (folder / "log.json").exists():
                files.make_layout(log._layout)
            layout = files.read_layout(folder)
            if layout.name != name:
                raise StateConflict(f"the log here is named {layout.name!r}", str(folder))
            log._layout, log._tail, log._nodes = layout, Tail(layout), Nodes(layout)
            log._refresh()
            log._check_last_head()
        return log

    def append(self, draft: Draft) -> Receipt:
        """Write an event; return when it is durable.

        Raises:
            DiskFull, Unreachable: it cannot be written; the action must not go on.
            LogBroken: somebody else changed the log.
        """
        return self.append_all([draft])[0]

    def append_all(self, drafts: Sequence[Draft]) -> tuple[Receipt, ...]:
        """Write several events in this order, others' perhaps between them; return when all are durable.

        Raises:
            DiskFull, Unreachable, LogBroken: as `append`; the first of them may be in the log.
        """
        tickets = [_Ticket(draft) for draft in drafts]
        if self._leads_with(tickets):
            try:
                self._commit_waiting()
            finally:
                self._step_down()
        return tuple(ticket.result() for ticket in tickets)

    def head(self) -> Signed:
        """Sign the present head, durably; the last one again if nothing was added within the last minute.

        Raises:
            StateConflict: this process does not hold the log's key.
        """
        with self._turn, self._locked():
            self._refresh()
            last = self._last_head
            if last and self._head_size() == self._tail.size and time.time() - _made_at(last) < 60:
                return last
            return self._sign_head()

    def add_cosignature(self, signed: Signed) -> None:
        """Keep a witness's signature beside the heads.

        Raises:
            SignatureWrong, EvidenceBroken: it is no signature of a head of this log as it is now.
        """
        head = heads.read_head(signed, signed.statement.signer, Duty.KEEPER)
        with self._turn, self._locked():
            self._refresh()
            if head.log != self._layout.name or head.size > self._tail.size:
                raise LogBroken("this is no head of this log", f"size {head.size}")
            if self._nodes.root(head.size).hex() != head.root:
                raise LogBroken("the witness signed another past than this log's", f"size {head.size}")
            files.append_line(self._layout.cosignatures, signed.canonical())

    def inclusion(self, sequence: int, size: int) -> tuple[str, ...]:
        """Return the proof that the head of `size` includes an event, in hex.

        Raises:
            NotFound: there is no such event or size.
        """
        self._require_size(size)
        if not 0 <= sequence < size:
            raise NotFound("there is no such event under this head", f"event {sequence} of {size}")
        return tuple(each.hex() for each in merkle.inclusion_proof(sequence, size, self._nodes))

    def consistency(self, older: int, newer: int) -> tuple[str, ...]:
        """Return the proof that the head of size `newer` only added to that of `older`, in hex.

        Raises:
            NotFound: the log has no such sizes.
        """
        self._require_size(newer)
        if not 0 <= older <= newer:
            raise NotFound("the log has no such size", f"size {older}")
        return tuple(each.hex() for each in merkle.consistency_proof(older, newer, self._nodes))

    def events(self, first: int, limit: int = 100) -> tuple[Event, ...]:
        """Return up to `limit` events from number `first` on; those that the last segments hold are quick to
        find.
        """
        found: list[Event] = []
        segment = max(first, 0) // self._layout.segment_events
        while len(found) < limit and segment < self._layout.segments():
            lines = files.read_lines(self._layout.events(segment))
            start = max(0, first - segment * self._layout.segment_events)
            found += [Event.decode(line) for line in lines[start : start + limit - len(found)]]
            segment += 1
        return tuple(found)

    def matches(self, event: Event, name: str, text: str) -> bool | None:
        """Return whether an event's commitment `name` is to this text; none if its salt was erased."""
        if name not in event.commitments:
            return False
        salt = salts.read(self._layout.folder / "salts", event.salt)
        return None if salt is None else events.commitment(name, text, salt) == event.commitments[name]

    def erase_salt(self, event: Event) -> None:
        """Destroy the salt of an event's commitments: no guess can be tried against them any more."""
        with self._turn, self._locked():
            salts.erase(self._layout.folder / "salts", event.salt)

    @property
    def size(self) -> int:
        """How many events this process has seen in the log."""
        return self._tail.size

    def close(self) -> None:
        """Close the files."""
        with self._turn:
            self._tail.close()
            os.close(self._lock_file)

    # ------------------------------------------------------------------------------ under the turn and lock

    def _leads_with(self, tickets: list[_Ticket]) -> bool:
        """Queue events; return whether this thread has to write what waits, or else once its own are done."""
        with self._queueing:
            self._queue += tickets
            while self._led and not all(ticket.done for ticket in tickets):
                self._queueing.wait()
            if all(ticket.done for ticket in tickets):
                return False
            self._led = True
            return True

    def _step_down(self) -> None:
        with self._queueing:
            self._led = False
            self._queueing.notify_all()

    def _commit_waiting(self) -> None:
        with self._queueing:
            batch, self._queue = self._queue, []
        try:
            with self._turn, self._locked():
                self._refresh()
                self._write(batch)
                if self._key and self._tail.size - self._head_size() >= HEAD_EVERY:
                    self._sign_head()
        except DarkroomError as problem:
            for ticket in batch:
                ticket.problem = ticket.problem if ticket.done else problem

    def _write(self, batch: list[_Ticket]) -> None:
        place = self._place_salts([ticket for ticket in batch if ticket.salt])
        while batch:
            self._tail.begin_segment()
            part, batch = batch[: self._tail.room], batch[self._tail.room :]
            # Time never runs backwards in the log, whatever the machine's clock does.
            now = max(int(time.time() * 1000), self._tail.time)
            first = self._tail.size
            lines = [
                events.line(ticket.start, place.get(id(ticket), events.NO_SALT), first + n, now)
                for n, ticket in enumerate(part)
            ]
            self._tail.extend(lines)
            self._tail.time = now
            for n, ticket in enumerate(part):
                ticket.receipt = Receipt(first + n, now)

    def _place_salts(self, salted: list[_Ticket]) -> dict[int, int]:
        if not salted:
            return {}
        first = salts.add(self._layout.folder / "salts", [ticket.salt for ticket in salted])
        return {id(ticket): first + n for n, ticket in enumerate(salted)}

    def _sign_head(self) -> Signed:
        if self._key is None:
            raise StateConflict("this process does not hold the log's key", "head")
        head = Head(self._layout.name, self._tail.size, self._tail.frontier.root().hex(), int(time.time()))
        signed = heads.sign_head(head, self._key)
        files.append_line(self._layout.heads, signed.canonical())
        self._last_head, self._heads_bytes = signed, self._layout.heads.stat().st_size
        return signed

    def _refresh(self) -> None:
        """Learn what other processes have added: heads first, since the events must not fall behind them."""
        size = self._layout.heads.stat().st_size if self._layout.heads.exists() else 0
        if size != self._heads_bytes:
            line = files.last_line(self._layout.heads)
            self._last_head = heads.parse(line) if line else None
            self._heads_bytes = size
        self._tail.refresh(self._head_size())

    def _head_size(self) -> int:
        return int(self._last_head.statement.body["size"]) if self._last_head else 0

    def _check_last_head(self) -> None:
        """Refuse to go on with a log that its own last head does not describe."""
        if (
            self._last_head
            and self._nodes.root(self._head_size()).hex() != self._last_head.statement.body["root"]
        ):
            raise LogBroken(
                "the log was changed since its last signed head",
                str(self._layout.folder),
                "Verify it; start no new events.",
            )

    def _require_size(self, size: int) -> None:
        if size > self._tail.size:
            with self._turn, self._locked():
                self._refresh()
        if not 0 <= size <= self._tail.size:
            raise NotFound("the log has no such size", f"size {size}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that all processes share.

        Raises:
            Unreachable: another process has held it for too long.
        """
        until = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Unreachable(
                        "another process holds the audit log's lock", str(self._layout.folder)
                    ) from None
                time.sleep(_LOCK_PAUSE_S)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)


def _made_at(signed: Signed) -> int:
    return int(signed.statement.body["made_at"])
