"""What is public about one matching before it begins: who sends how much, who is whose partner, how much comes out.

Every size that a protocol sends or expects follows from a `Layout`, which is made from the joint plan. So a message
of another size is a broken link, and no size depends on the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from keys.randomness import Masks
from mpc.protocols.replicated import SERVERS
from mpc.protocols.ring import Ring
from mpc.protocols.shuffling import MOST_CODES, MOST_ROWS
from plans.errors import Malformed

STAGE = "match"  # the stage under which masks are derived
_PIECE = 1 << 24  # bytes of one component of the one-hots of a piece of rows


@dataclass(frozen=True, slots=True)
class Sent:
    """What one owner sends: rows (those that stand for nobody included), columns of numbers, sizes of its code lists.

    `partner` is the server that shares the masks with it, and is another party than the owner.
    """

    owner: str
    partner: str
    rows: int
    columns: int
    codes: tuple[int, ...] = ()

    @property
    def aligned(self) -> bool:
        """Whether anything but the fact of a match is used of its rows."""
        return self.columns > 0 or bool(self.codes)


@dataclass(frozen=True, slots=True)
class Layout:
    """One matching. `matcher` compares pseudonyms: the helper, or a server that owns nothing (Diffie–Hellman).

    `rows` is the public number of rows that come out. `columns` of the result are numbers in `ring`, and `cells` is
    the product of all code lists, of which the last one turns fastest.
    """

    sent: tuple[Sent, ...]
    servers: tuple[str, str, str]
    matcher: str
    rows: int
    ring: Ring

    def __post_init__(self) -> None:
        owners = [sent.owner for sent in self.sent]
        if len(owners) < 2 or len(set(owners)) != len(owners) or len(set(self.servers)) != SERVERS:
            raise Malformed("matching has two or more owners and three servers, all different", "match")
        if self.matcher in owners:
            raise Malformed("whoever compares pseudonyms owns none of the rows", "match.matcher")
        if any(sent.partner not in self.servers for sent in self.sent):
            raise Malformed("a partner is one of the servers", "match.partner")
        if any(sent.partner in (sent.owner, self.matcher) for sent in self.sent):
            raise Malformed("a partner is neither the owner itself nor the matcher", "match.partner")
        if not 0 < self.rows <= min(sent.rows for sent in self.sent) <= MOST_ROWS:
            raise Malformed("as many rows come out as the smallest owner sends, or fewer", "match.rows")
        if any(not 0 < size <= MOST_CODES for size in self.sizes):
            raise Malformed(f"a list of codes has 1 to {MOST_CODES} of them", "match.codes")

    @property
    def owners(self) -> tuple[str, ...]:
        """The names of all owners, in their order."""
        return tuple(sent.owner for sent in self.sent)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of all code lists, owner by owner."""
        return tuple(size for sent in self.sent for size in sent.codes)

    @property
    def cells(self) -> int:
        """How many cells the one-hots have; 1 without groups, which then says whether the row counts."""
        return prod(self.sizes)

    @property
    def helped(self) -> bool:
        """Whether the matcher is a helper, no server."""
        return self.matcher not in self.servers

    def of(self, owner: str) -> Sent:
        """Return what an owner sends."""
        return self.sent[self.owners.index(owner)]

    def place(self, party: str) -> int:
        """Return the place of a server."""
        return self.servers.index(party)

    def pieces(self) -> Iterator[slice]:
        """Return the rows that come out in pieces, so that every message of a piece has a bounded size."""
        width = self.cells + sum(sent.columns for sent in self.sent)
        step = max(1, min(self.rows, _PIECE // (width * self.ring.size)))
        for start in range(0, self.rows, step):
            yield slice(start, min(start + step, self.rows))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a plan: its masks and keys are those of no other attempt."""

    digest: str
    number: int

    def masks(self, seed: bytes) -> Masks:
        """Return the mask streams of a seed within this attempt's matching."""
        return Masks(seed, self.digest, self.number, STAGE)
