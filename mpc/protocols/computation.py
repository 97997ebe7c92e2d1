"""A joint computation from one party's chair: what it does in each of its parts, in one order for all parties.

    owner  ══ match/… ══►  helper  ══ dealt rows ══►  server 0, 1, 2  ── opened ──►  recipient
       └──── match/seed ──► its partner (a server) ◄── match/order ──┘

1. Each server sends the next one the seed of what the two have in common (`seed/servers`).
2. An owner sends its covered rows (`helper.send_rows`, or `diffie_hellman`). Of one table in parts it sends shares of
   its own sums and votes, and 3 falls away (`stacked`).
3. The helper matches, and shares what matched (`helper.help_matching`).
4. A server adds up the rows of each cell, and adds its part of the noise, if there is any (`joint_server`).
5. It tests what may be opened, and hands over its shares of that; or it hands the sums to an inspector, whose airlock
   judges them (`inspected`).

Other forms have no servers. Persons in common are found by owners, and a helper if there is one (`common`). A collector
adds up ciphertexts of holders' sums for an inspector, who has the key (`ciphers`), or, of two owners, multiplies them
with its own numbers (`two_owners`). One owner has its rows scored by another's model (`scored`), or looks a few persons
up in another's register (`looked_up`).

A domain that has several parts does them in this order, and every part sends before it waits, so that nobody waits for
somebody who waits for it: each message that a part waits for was sent in an earlier part, or in the same one by a party
that is not further on. What is said at each step is public but for what the messages hold; which form that has,
`mpc.visibility` prints, and a test compares the table with the tags of all messages.

Everything is pure: rows in, what is handed over out, and a channel. Boxes run it (`inside.party`), and tests and
benchmarks run all parties as threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keys.randomness import KEY, Masks, MaskStream
from mpc.protocols import common, diffie_hellman, helper, inspected, joint_server, replicated, stacked
from mpc.protocols.channel import Channel
from mpc.protocols.joint_rows import OwnRows, columns_of, table_of, turning_codes
from mpc.protocols.layout import Attempt, Layout, Sent
from mpc.protocols.replicated import SERVERS, Server, Shared
from mpc.protocols.ring import RINGS
from mpc.protocols.rows import Source, from_helper, matched_rows
from mpc.protocols.shuffling import fresh
from plans.errors import Malformed
from plans.joint import JointPlan, Opened, Shape
from plans.joint_rules import Opening

if TYPE_CHECKING:
    from mpc.encrypted.key_process import KeyProcess
    from mpc.protocols import ciphers, two_owners

SERVING = "servers"
"""The stage under which the servers' common randomness is derived."""


@dataclass(slots=True)
class Account:
    """What a box can say of its part once it has ended well, for its signed record (`plans.joint_reports`).

    Attributes:
        decryptions: how often the key that it made decrypted, failures included; 0 where it made none.
        table: digest of the record of the table that was asked, at both sides of lookups; empty for none.
    """

    decryptions: int = 0
    table: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """One party's share of one attempt: the plan, who it is, and its links with every other party of the plan; and what
    it can say of its part afterwards.
    """

    joint: JointPlan
    domain: str
    attempt: int
    channel: Channel
    account: Account = field(default_factory=Account)

    @property
    def numbered(self) -> Attempt:
        """Plan and attempt, by which all masks are derived."""
        return Attempt(self.joint.digest, self.attempt)


@dataclass(frozen=True, slots=True)
class Totals:
    """What an inspector opens: every sum of the reading in every cell, and added votes of holders of one table behind
    them (`plans.joint_guards`), `[vectors][cells]`, as signed whole numbers.
    """

    sums: tuple[tuple[int, ...], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a finder learns: of each of its own rows, in their own order, whether all others have it, `[n]`."""

    everywhere: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a finder learns of a model: the score of each of its own rows, in their order, in units of 10^-decimals."""

    numbers: tuple[int, ...] = field(repr=False)
    decimals: int

    @property
    def texts(self) -> tuple[str, ...]:
        """All scores in plain notation, each with as many decimals."""
        return tuple(format(Decimal(number).scaleb(-self.decimals), "f") for number in self.numbers)


@dataclass(frozen=True, slots=True)
class Records:
    """What a finder learns of a register: for each of its own rows, in their order, the texts of the fields (None where
    one has no value), or nothing where the register has no such person.
    """

    records: tuple[tuple[str | None, ...] | None, ...] = field(repr=False)


Handed = Opened | Totals | Found | Scores | Records
"""What a domain has to hand over: a server's shares, an inspector's sums, or what a finder learns of its persons."""


def reads_ciphertexts(joint: JointPlan) -> bool:
    """Return whether boxes of a plan read ciphertexts of others, so that they enter a crypto box first."""
    return bool(joint.task.collector) or joint.reading.shape is Shape.SCORED


def layout_of(joint: JointPlan) -> Layout:
    """Return what is public about the matching of a plan.

    Raises:
        Malformed: the plan's parties cannot match so.
    """
    first, second, third = joint.task.servers
    sent = [
        Sent(
            portion.domain,
            joint.partner(place),
            portion.bound,
            len(columns_of(joint.reading, place)),
            turning_codes(portion),
        )
        for place, portion in enumerate(joint.reading.portions)
    ]
    ring = RINGS[joint.scheme.ring_bits]
    return Layout(tuple(sent), (first, second, third), joint.matcher, joint.scheme.matched, ring)


def take_part(work: Work, rows: OwnRows | None = None, coins: MaskStream | None = None) -> Handed | None:
    """Do all that a domain does in a joint computation, and return what it has to hand over (`JointPlan.handing`).

    Args:
        work: the party's share.
        rows: an owner's, checked against its portion; nobody else has any.
        coins: randomness of this party alone; fresh if there are none.

    Raises:
        Malformed: the plan asks for what these protocols cannot do, or an owner has no rows.
        KeyRepeated, TooLarge, RangeTooWide: an owner's rows are not what the plan says.
        SharesDisagree: at an inspector: two servers say different things about a share.
        EvidenceBroken: what was decrypted, or looked up, is not what the plan names.
        LinkBroken, PeerLost: see `Channel`.
    """
    joint, coins = work.joint, coins or fresh()
    if joint.owns(work.domain) is not None and rows is None:
        raise Malformed("an owner has no rows", work.domain)
    if not joint.task.shared:
        return _WAYS[joint.reading.shape](work, rows, coins)
    place = joint.serves(work.domain)
    server = _server(work, place, coins) if place is not None else None
    add_up = _stacked if joint.reading.shape is Shape.STACKED else _joined
    sums = add_up(work, server, rows, coins)
    if server is not None and sums is not None:
        sums = joint_server.noised(server, joint, sums, coins)
    if joint.task.opening is Opening.INSPECTED:
        return _inspected(work, server, sums)
    if server is None or sums is None:
        return None
    first, second = joint_server.handed_blind(server, joint, sums)
    return Opened(joint.digest, work.attempt, server.place, first, second)


def _seek(work: Work, rows: OwnRows | None, coins: MaskStream) -> Found | None:
    """Do a part in finding persons in common."""
    joint, domain = work.joint, work.domain
    if rows is None:
        common.help_seeking(work.channel, joint)
        return None
    seek = common.seek_with_helper if joint.task.helper else common.seek_alone
    everywhere = seek(work.channel, joint, domain, rows.keys, work.numbered, coins)
    return None if everywhere is None else Found(everywhere)


def _encrypted(work: Work, rows: OwnRows | None, coins: MaskStream) -> Totals | None:
    """Do a part in adding up ciphertexts; the inspector returns what it opened."""
    from mpc.protocols import (
        ciphers,
    )  # the engine of ciphertexts takes a second to import, and few plans need it

    part = ciphers.Part(work.channel, work.joint, work.domain, work.numbered, coins)
    if rows is None:
        part.collect()
        return None
    if work.domain == work.joint.task.inspector:
        return _inspect(work, part, rows)
    part.hold(rows)
    return None


def _of_two(work: Work, rows: OwnRows | None, coins: MaskStream) -> Totals | None:
    """Do a part in sums over rows that two owners have in common; the inspector returns what it opened."""
    from mpc.protocols import two_owners  # imports the engine of ciphertexts

    part = two_owners.Part(work.channel, work.joint, work.domain, work.numbered, coins)
    mine = _rows_of(work, rows)
    if work.domain == work.joint.task.inspector:
        return _inspect(work, part, mine)
    part.collect(mine)
    return None


def _inspect(work: Work, part: ciphers.Part | two_owners.Part, rows: OwnRows) -> Totals:
    """Do the part of the inspector, who has the key, and account for its use."""
    totals = Totals(part.inspect(rows))
    work.account.decryptions = _decrypted(part.owner)
    return totals


def _score(work: Work, rows: OwnRows | None, coins: MaskStream) -> Scores | None:
    """Do a part in scoring rows by a model; the finder returns the scores."""
    from mpc.protocols import scored  # imports the engine of ciphertexts

    part = scored.Part(work.channel, work.joint, work.domain, work.numbered, coins)
    mine = _rows_of(work, rows)
    if work.domain != work.joint.task.finder:
        part.answer(mine)
        return None
    scores = part.ask(mine)
    work.account.decryptions = _decrypted(part.owner)
    return Scores(*scored.rounded(work.joint, scores))


def _look_up(work: Work, rows: OwnRows | None, coins: MaskStream) -> Records | None:
    """Do a part in looking persons up; the finder returns their records."""
    from mpc.protocols import looked_up  # imports the compiler of its products

    mine = _rows_of(work, rows)
    if work.domain != work.joint.task.finder:
        work.account.table = looked_up.serve(work.channel, work.joint, mine, coins).digest
        return None
    records, table = looked_up.seek(work.channel, work.joint, mine, coins)
    work.account.table = table.digest
    return Records(records)


def _decrypted(owner: KeyProcess | None) -> int:
    """Return how often a key was used, by its own log."""
    return len(owner.log) if owner is not None else 0


def _rows_of(work: Work, rows: OwnRows | None) -> OwnRows:
    if rows is None:
        raise Malformed("everybody who takes part in this form owns rows", work.domain)
    return rows


_WAYS: Mapping[Shape, Callable[[Work, OwnRows | None, MaskStream], Handed | None]] = {
    Shape.JOINED: _of_two,
    Shape.STACKED: _encrypted,
    Shape.COMMON: _seek,
    Shape.SCORED: _score,
    Shape.LOOKUP: _look_up,
}
"""Forms in which nothing is computed on shares."""


def _stacked(work: Work, server: Server | None, rows: OwnRows | None, coins: MaskStream) -> Shared | None:
    """Return a server's shares of all sums over a table in parts."""
    joint, kept = work.joint, None
    owned = joint.owns(work.domain)
    if owned is not None and rows is not None:
        mine = stacked.own_vectors(rows, joint, owned)
        kept = stacked.share_vectors(work.channel, joint, work.domain, mine, work.numbered, coins)
    return None if server is None else stacked.sums_of_all(server, joint, kept)


def _joined(work: Work, server: Server | None, rows: OwnRows | None, coins: MaskStream) -> Shared | None:
    """Return a server's shares of all sums over rows that are matched."""
    joint, domain = work.joint, work.domain
    layout, owned = layout_of(joint), joint.owns(domain)
    if owned is not None and rows is not None:
        table = table_of(rows, joint.reading, owned, layout.ring)
        matching = helper if layout.helped else diffie_hellman
        matching.send_rows(work.channel, layout, domain, table, work.numbered, coins)
    if domain == joint.task.helper:
        helper.help_matching(work.channel, layout, domain, work.numbered, coins)
    if server is None:
        return None
    matched = matched_rows(server, layout, work.numbered, _source(work, layout, server, coins))
    return joint_server.add_up(server, joint.reading, layout.ring, matched)


def _inspected(work: Work, server: Server | None, sums: Shared | None) -> Totals | None:
    """Hand an inspector the sums, and return them there."""
    joint, mine = work.joint, None
    inspector = joint.task.inspector
    if server is not None and sums is not None:
        mine = inspected.hand_to(server, inspector, work.domain, sums)
    if work.domain != inspector:
        return None
    return Totals(inspected.open_sums(work.channel, joint, mine))


def _source(work: Work, layout: Layout, server: Server, coins: MaskStream) -> Source:
    """Return where a server's shares of what matched come from; the server that compares matches here."""
    if layout.helped:
        return from_helper(server, layout, work.numbered)
    dealt = diffie_hellman.compare(work.channel, layout, coins) if work.domain == layout.matcher else None
    return diffie_hellman.FromServer(layout, dealt)


def _server(work: Work, place: int, coins: MaskStream) -> Server:
    """Return a server that has what it needs in common with the others."""
    own = coins.draw(KEY).tobytes()
    first, second, third = work.joint.task.servers
    parties = (first, second, third)
    following, preceding = (parties[(place + step) % SERVERS] for step in (1, -1))
    work.channel.send(following, "seed/servers", own)
    other = work.channel.receive(preceding, "seed/servers", KEY)
    digest, attempt = work.joint.digest, work.attempt
    seeds = Masks(own, digest, attempt, SERVING), Masks(other, digest, attempt, SERVING)
    return replicated.server(place, parties, work.channel, seeds)
