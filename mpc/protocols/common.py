"""Persons in common: one owner, the finder, learns which of its own rows all others have, and nobody learns more.

There are no servers, no numbers and no sums: owners send pseudonyms of their rows, rows that stand for nobody among
them up to a public number, each in a secret order of its own.

**With a helper.** Owners agree on a key K (`pseudonyms.agree`) and send the helper AES_K(identifier). The helper sends
the finder one bit for each row that it sent, in its order: whether all other lists have it.

- *The helper* lacks K: it sees which rows of which lists are equal, so the size of the intersection (with three
  owners of each two lists), and not who anybody is.
- *The finder* knows its own order, and so who its rows are. It sees a bit for each of them and nothing else: no place
  in another's list, no size of one, and with three owners not which of them lacks a person.
- *Another owner* receives its part of the key, and nothing that depends on anybody's rows.

**Without one, with two owners** (Huberman, Franklin and Hogg, "Enhancing Privacy and Trust in Electronic Communities",
EC 1999). The finder F sends H(a)^α. The other owner O returns them as H(a)^αβ *in the same order*, with its own H(b)^β
in a secret one. F raises these to α, and compares: its own row is in both lists where the points are equal.

- *O* sees H(a)^α, random points to it under the decisional Diffie–Hellman assumption, in an order that it does not
  know.
- *F* sees O's points under β, which it lacks, in O's secret order: those that are equal to none of its own are random
  points to it. It could *test* no other person than those whom it put into its list, which its bound limits.

**Who opens what together:** helper and any owner: the key, so all identifiers of all lists. The finder and all
other owners but one: of every person whom they all have, whether that one has it, too; alone, the finder does not see
which owner lacks a person.

All of this holds for parties that follow the protocol. A finder may put persons into its list whom it only suspects:
each is then tested. That is why its owner's own box reads the rows from the data that the plan names, why a quota
bounds how many it may be told (`JointRules.members`), and why the plan names the finder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keys.exchange import EXPONENT, POINT, Exponent
from keys.randomness import MaskStream, permute
from mpc.protocols.channel import Channel
from mpc.protocols.comparing import Blocks, common_rows
from mpc.protocols.diffie_hellman import hash_tag, pieces_of, pool_for, pseudonyms_of
from mpc.protocols.helper import receive_blocks
from mpc.protocols.layout import Attempt
from mpc.protocols.pseudonyms import BLOCK, agree, hide
from plans.errors import LinkBroken, Malformed, TooLarge
from plans.joint import JointPlan

PSEUDONYMS, FOUND = "common/pseudonyms", "common/found"
OWN_POINTS, RAISED_POINTS, OTHER_POINTS = "common/points/own", "common/points/raised", "common/points/other"

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Seeking:
    """What is public about one search: owners and how many rows each sends, who finds, and how many it may find."""

    owners: tuple[str, ...]
    rows: tuple[int, ...]
    finder: str
    most: int

    @property
    def bound(self) -> int:
        """How many rows the finder sends."""
        return self.rows_of(self.finder)

    def rows_of(self, owner: str) -> int:
        """Return how many rows an owner sends."""
        return self.rows[self.owners.index(owner)]

    def other(self) -> str:
        """Return the one other owner.

        Raises:
            Malformed: there are several.
        """
        if len(self.owners) != 2:
            raise Malformed("without a helper there are two owners", "joint-task.matching", "Name a helper.")
        return next(owner for owner in self.owners if owner != self.finder)


def seeking_of(joint: JointPlan) -> Seeking:
    """Return what is public about a plan's search."""
    portions = joint.reading.portions
    return Seeking(
        tuple(portion.domain for portion in portions),
        tuple(portion.bound for portion in portions),
        joint.learner,
        joint.scheme.matched,
    )


# ------------------------------------------------------------------------------------------- with a helper


def seek_with_helper(
    channel: Channel, joint: JointPlan, me: str, keys: Blocks, attempt: Attempt, coins: MaskStream
) -> Flags | None:
    """Do an owner's part; return at the finder which of its rows all others have, in their own order.

    Args:
        keys: packed identifiers `[n × 16]`, all different.
        coins: this owner's own fresh randomness.

    Raises:
        TooLarge: there are more rows than the plan's public number, or more are in common.
        LinkBroken, PeerLost: see `Channel`.
    """
    seeking, helper = seeking_of(joint), joint.task.helper
    key = agree(channel, me, seeking.owners, attempt, coins)
    hidden, order = hide(keys, seeking.rows_of(me), me, coins)
    channel.send(helper, PSEUDONYMS, permute(key, hidden).data.cast("B"))
    if me != seeking.finder:
        return None
    raw = channel.receive(helper, FOUND, -(-seeking.bound // 8))
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))
    if bits[seeking.bound :].any():
        raise LinkBroken("a bit stands for no row", helper)
    return _own(bits[: seeking.bound].astype(bool), order, len(keys), seeking)


def help_seeking(channel: Channel, joint: JointPlan) -> None:
    """Do the helper's part: compare all lists, and tell the finder of its own rows.

    Raises:
        KeyRepeated: an owner's list holds a pseudonym twice.
        TooLarge: more persons are in common than the plan's public number.
        LinkBroken, PeerLost: see `Channel`.
    """
    seeking = seeking_of(joint)
    lists = [
        receive_blocks(channel, owner, PSEUDONYMS, rows, BLOCK)
        for owner, rows in zip(seeking.owners, seeking.rows, strict=True)
    ]
    found = _flags(lists, seeking.owners.index(seeking.finder), seeking)
    channel.send(seeking.finder, FOUND, np.packbits(found).data.cast("B"))


# ---------------------------------------------------------------------------------------- without a helper


def seek_alone(
    channel: Channel, joint: JointPlan, me: str, keys: Blocks, attempt: Attempt, coins: MaskStream
) -> Flags | None:
    """Do an owner's part without a helper; arguments, result and errors as for `seek_with_helper`.

    Raises:
        LinkBroken: also: points came that are no points.
        Malformed: there are more than two owners.
    """
    seeking = seeking_of(joint)
    hidden, order = hide(keys, seeking.rows_of(me), me, coins)
    lists = raised(channel, seeking, me, hidden, attempt, coins)
    return None if lists is None else _own(_flags(lists, 0, seeking), order, len(keys), seeking)


def raised(
    channel: Channel, seeking: Seeking, me: str, hidden: Blocks, attempt: Attempt, coins: MaskStream
) -> list[Blocks] | None:
    """Exchange points of two owners' lists; return both under both exponents at who compares them, its own list first.

    Args:
        seeking: whose finder is who compares.
        hidden: this owner's list in its secret order (`hide`).

    Raises:
        LinkBroken, PeerLost: see `Channel`; or points came that are no points.
        Malformed: there are more than two owners.
    """
    other = seeking.other()
    exponent = Exponent(coins.draw(EXPONENT).tobytes())
    with pool_for(exponent, sum(seeking.rows)) as pool:
        if me != seeking.finder:
            for piece in pieces_of(len(hidden)):
                points = pool.of_identifiers(hidden[piece], hash_tag(attempt))
                channel.send(seeking.finder, OTHER_POINTS, points.data.cast("B"))
            for size in _sizes(seeking.bound):
                points = pool.of_points(receive_blocks(channel, seeking.finder, OWN_POINTS, size, POINT))
                channel.send(seeking.finder, RAISED_POINTS, pseudonyms_of(points).data.cast("B"))
            return None
        for piece in pieces_of(len(hidden)):
            points = pool.of_identifiers(hidden[piece], hash_tag(attempt))
            channel.send(other, OWN_POINTS, points.data.cast("B"))
        theirs = [
            pseudonyms_of(pool.of_points(receive_blocks(channel, other, OTHER_POINTS, size, POINT)))
            for size in _sizes(seeking.rows_of(other))
        ]
    mine = [receive_blocks(channel, other, RAISED_POINTS, size, BLOCK) for size in _sizes(seeking.bound)]
    return [np.concatenate(mine), np.concatenate(theirs)]


# ------------------------------------------------------------------------------------------------- both


def _sizes(rows: int) -> list[int]:
    return [piece.stop - piece.start for piece in pieces_of(rows)]


def _flags(lists: list[Blocks], finder: int, seeking: Seeking) -> Flags:
    """Return of each row of the finder's list whether all lists have it."""
    common = common_rows(lists)[finder]
    if common.size > seeking.most:
        raise TooLarge("more persons are in common than the plan's public number", "match.rows")
    found = np.zeros(seeking.bound, dtype=bool)
    found[common] = True
    return found


def _own(found: Flags, order: NDArray[np.int64], count: int, seeking: Seeking) -> Flags:
    """Return bits in the secret order as bits of the finder's own `count` rows, without those that stand for nobody.

    Raises:
        TooLarge: they are more than the plan's public number.
    """
    mine = np.zeros(seeking.bound, dtype=bool)
    mine[order] = found
    if np.count_nonzero(mine[:count]) > seeking.most:
        raise TooLarge("more persons are in common than the plan's public number", "match.rows")
    return mine[:count]
