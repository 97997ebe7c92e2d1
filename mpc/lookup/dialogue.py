"""Lookups between two parties of one attempt, over a channel: as many as the plan says, whatever is looked up.

The owner makes a version of its table, sends its record and what is fetched once, and answers a *public number* of
questions. The seeker asks so many however few keys it has: what is missing are keys drawn at random, which are absent,
so that the owner does not learn how many it had. The size of every message follows from the plan.

Both return the table's record: what each side's keeper puts into its receipt, so that it can be seen later that both
had the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from keys.randomness import MaskStream
from mpc.lookup import oprf
from mpc.lookup.layout import WORD
from mpc.lookup.owner import Owner
from mpc.lookup.parameters import CHECKS, COMMITMENT, OPENING, POINTS, REVEALED
from mpc.lookup.plan import Plan, Way
from mpc.lookup.seeker import Lookup, Seeker
from mpc.lookup.table import TableRecord
from mpc.protocols.channel import Channel
from plans.errors import LinkBroken, Malformed, TooLarge

_QUESTIONS = 32  # in a message
_PIECE = 1 << 23  # bytes of what is fetched once, in a message
_PLACE = 4  # bytes of a column's number
_FILLER = 32


@dataclass(frozen=True, slots=True)
class Found:
    """What a seeker found: a record or nothing for each key, in their order, and of which table."""

    records: list[bytes | None] = field(repr=False)
    table: TableRecord


def serve(
    channel: Channel,
    seeker: str,
    rows: tuple[Sequence[bytes], Sequence[bytes]],
    plan: Plan,
    questions: int,
    coins: MaskStream,
) -> TableRecord:
    """Do the owner's part.

    Args:
        channel: a link to the seeker.
        seeker: its name.
        rows: keys and records, as for `table.seal`.
        plan: the same on both sides.
        questions: how many are answered: the most keys that the seeker may look up.
        coins: the owner's own fresh randomness.

    Raises:
        Malformed, KeyRepeated, TooLarge: the rows cannot be looked up.
        LinkBroken, PeerLost: see `Channel`; or what came is no question.
    """
    owner = Owner.of(rows, plan, coins)
    channel.send(seeker, "lookup/table", owner.record.canonical())
    once = owner.hint.astype("<u4", copy=False).tobytes() if owner.record.hint else _whole(owner, plan)
    for place, piece in enumerate(_pieces(len(once), _PIECE)):
        channel.send(seeker, f"lookup/once/{place}", once[piece])
    for place, part in enumerate(_pieces(questions, _QUESTIONS)):
        count = part.stop - part.start
        _evaluate(channel, seeker, place, count, owner)
        if plan.once and plan.way is Way.COLUMNS:
            continue
        asked = channel.receive(seeker, f"lookup/question/{place}", count * _asked(plan))
        each = [asked[piece] for piece in _pieces(len(asked), _asked(plan))]
        channel.send(seeker, f"lookup/answer/{place}", b"".join(_answers(owner, each)))
    return owner.record


def seek(
    channel: Channel, owner: str, keys: Sequence[bytes], plan: Plan, questions: int, coins: MaskStream
) -> Found:
    """Do the seeker's part.

    Args:
        channel: a link to the owner.
        owner: its name.
        keys: what is looked up, at most as many as the questions.
        plan, questions: the same on both sides.
        coins: the seeker's own fresh randomness.

    Raises:
        TooLarge: there are more keys than questions.
        Malformed: a key is empty or too long.
        LinkBroken, PeerLost: see `Channel`.
        EvidenceBroken: the owner did not do what its table's record says.
    """
    if len(keys) > questions:
        raise TooLarge("there are more keys than the plan's public number of questions", "lookup.keys")
    oprf.blocks_of(keys)
    filled = [*keys, *(coins.draw(_FILLER).tobytes() for _ in range(questions - len(keys)))]
    record = _read(channel.receive(owner, "lookup/table", _record_size(plan)), plan)
    pieces = enumerate(_pieces(plan.once, _PIECE))
    once = b"".join(
        [channel.receive(owner, f"lookup/once/{place}", piece.stop - piece.start) for place, piece in pieces]
    )
    seeking = Seeker(record, once if record.hint else b"")
    found: list[bytes | None] = []
    for place, part in enumerate(_pieces(questions, _QUESTIONS)):
        lookups = seeking.ask_several(filled[part], coins)
        _ask(channel, owner, place, lookups)
        found += _opened(channel, owner, place, lookups, plan, once)
    return Found(found[: len(keys)], record)


def _evaluate(channel: Channel, seeker: str, place: int, count: int, owner: Owner) -> None:
    """Evaluate some keys: commit to it, and reveal it when each is seen to be one key with the check keys."""
    raw = channel.receive(seeker, f"lookup/blinded/{place}", count * POINTS)
    made = [owner.evaluate(raw[piece]) for piece in _pieces(len(raw), POINTS)]
    channel.send(seeker, f"lookup/committed/{place}", b"".join([each.commitment for each in made]))
    raw = channel.receive(seeker, f"lookup/opening/{place}", count * OPENING)
    parts = zip(made, _pieces(len(raw), OPENING), strict=True)
    channel.send(
        seeker, f"lookup/revealed/{place}", b"".join([each.revealed(raw[piece]) for each, piece in parts])
    )


def _ask(channel: Channel, owner: str, place: int, lookups: list[Lookup]) -> None:
    """Have some keys evaluated."""
    channel.send(owner, f"lookup/blinded/{place}", b"".join([each.blinded for each in lookups]))
    raw = channel.receive(owner, f"lookup/committed/{place}", len(lookups) * COMMITMENT)
    parts = zip(lookups, _pieces(len(raw), COMMITMENT), strict=True)
    channel.send(
        owner, f"lookup/opening/{place}", b"".join([each.opening(raw[piece]) for each, piece in parts])
    )
    raw = channel.receive(owner, f"lookup/revealed/{place}", len(lookups) * REVEALED)
    for lookup, piece in zip(lookups, _pieces(len(raw), REVEALED), strict=True):
        lookup.evaluated(raw[piece])


def _opened(
    channel: Channel, owner: str, place: int, lookups: list[Lookup], plan: Plan, once: bytes
) -> Iterator[bytes | None]:
    """Ask for the columns of some lookups, and yield what is in them."""
    if plan.once and plan.way is Way.COLUMNS:
        yield from [lookup.opened(once) for lookup in lookups]
        return
    hidden = plan.way is Way.HIDDEN
    asked = [lookup.question if hidden else lookup.place.to_bytes(_PLACE, "little") for lookup in lookups]
    channel.send(owner, f"lookup/question/{place}", b"".join(asked))
    size = plan.layout.height * (WORD if hidden else 1)
    raw = channel.receive(owner, f"lookup/answer/{place}", size * len(lookups))
    for lookup, piece in zip(lookups, _pieces(len(raw), size), strict=True):
        yield lookup.opened(raw[piece])


def _whole(owner: Owner, plan: Plan) -> bytes:
    return owner.column(0) if plan.once else b""


def _asked(plan: Plan) -> int:
    """Return the bytes of one question."""
    return WORD * plan.layout.columns if plan.way is Way.HIDDEN else _PLACE


def _answers(owner: Owner, asked: list[bytes]) -> list[bytes]:
    if owner.record.hint:
        return owner.answers(asked)
    return [owner.column(int.from_bytes(raw, "little")) for raw in asked]


def _pieces(size: int, most: int) -> list[slice]:
    return [slice(start, min(start + most, size)) for start in range(0, size, most)]


def _record_size(plan: Plan) -> int:
    """Return how long the record of a table of this plan is: all its texts have fixed lengths."""
    hint = "00" * 32 if plan.way is Way.HIDDEN else ""
    empty = TableRecord("00" * 16, plan.layout, "00" * 16, "00" * 32, "00" * 32, ("00" * 32,) * CHECKS, hint)
    return len(empty.canonical())


def _read(raw: bytes, plan: Plan) -> TableRecord:
    try:
        record = TableRecord.decode(raw)
    except Malformed:
        raise LinkBroken("what came is no record of a table", "lookup") from None
    if record.layout != plan.layout or bool(record.hint) != (plan.way is Way.HIDDEN):
        raise LinkBroken("a table came that is not of the plan's shape", "lookup")
    return record
