"""Person tokens: who a row is about, without saying who.

The token of an identifier x under the owner's key K is the first 64 bits, big-endian, of HMAC-SHA256(K,
canon(x)) (RFC 2104; truncation as in its section 5), where canon trims blanks at both ends and turns letters
into capitals. The same person has the same token in all of an owner's datasets, and another one in every
other owner's.

64 bits are enough to tell apart, not to be certain: among n persons two share a token with probability n² /
2^65, that is 3 in 100,000,000 for a million. So every ingest counts, and refuses when it happens.

Two passes of the engine's own `sha256` make the HMAC: its inner and outer pads are constants of a key.
Hashing distinct identifiers only, and once, is what makes an ingest about as fast as a plain conversion.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inside.engine import Connection, identifier
from inside.ingest_checks import may_round
from inside.ingest_source import Source
from inside.ingest_task import Task
from inside.session import BoxFailure

BLOCK = 64
"""Bytes of a block of SHA-256 (FIPS 180-4), to which RFC 2104 pads the key."""

BLANKS = " \u3000"
"""Blanks at the ends of an identifier mean nothing: the plain one, and the wide one of Chinese text."""

TOKEN = "person"
KEY = "_key"


@dataclass(frozen=True, slots=True)
class Pads:
    """A token key in the two forms in which HMAC uses it, as SQL constants.

    Not as parameters: the engine folds a constant once, and was seen to compute with a parameter twice.
    """

    inner: str = field(repr=False)
    outer: str = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> Pads:
        """Return the pads of a key of at most one block (RFC 2104 section 2)."""
        if not 32 <= len(key) <= BLOCK:
            raise ValueError("a token key has 32 to 64 bytes")
        block = key.ljust(BLOCK, b"\0")
        inner, outer = (bytes(byte ^ pad for byte in block).hex() for pad in (0x36, 0x5C))
        return cls(f"unhex('{inner}')", f"unhex('{outer}')")


def canonical(column: str) -> str:
    """Return the SQL of an identifier's canonical text; blanks are looked for before they are cut, as few have any."""
    blank = " OR ".join(f"contains({column}, '{blank}')" for blank in BLANKS)
    return f"upper(CASE WHEN {blank} THEN trim({column}, '{BLANKS}') ELSE {column} END)"


def token(text: str, pads: Pads) -> str:
    """Return the SQL of the token of a SQL text."""
    inner = f"unhex(sha256({pads.inner} || encode({text})))"
    return f"('0x' || left(sha256({pads.outer} || {inner}), 16))::UBIGINT"


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows there are, about how many persons, and in how many a whole number holds a decimal point."""

    rows: int
    persons: int
    pointed: int


def make_persons(connection: Connection, source: Source, task: Task, pads: Pads) -> Count:
    """Make the table `persons`: for every distinct text of the person column its token.

    Raises:
        BoxFailure: `ingest.token-collision`, which another token key would help.
        EmptyKey, RepeatedKey: a person column without a value, or one that repeats though it must not.
    """
    key, whole = identifier(task.person), tuple(c for c in source.whole if c.name != task.person)
    distinct = (
        f"SELECT {key}::VARCHAR AS {KEY}, count(*) AS times, count(*) FILTER ({may_round(whole)}) AS pointed"
        f" FROM {source.relation(unrounded=whole)} GROUP BY 1"
    )
    hashed = f"SELECT {KEY}, times, pointed, {token(canonical(KEY), pads)} AS {TOKEN} FROM ({distinct})"
    connection.execute(f"CREATE TEMP TABLE persons AS {hashed}")
    counted = connection.execute(
        f"SELECT coalesce(sum(times), 0)::BIGINT, count(*), count(DISTINCT {TOKEN}), coalesce(max(times), 0),"
        f" count(*) FILTER (coalesce({canonical(KEY)}, '') = ''), coalesce(sum(pointed), 0)::BIGINT FROM persons"
    ).fetchone()
    rows, texts, tokens, most, empty, pointed = counted or (0,) * 6
    if rows == 0:
        raise BoxFailure("ingest.empty")
    if empty:
        raise EmptyKey
    if task.unique and (most > 1 or tokens < texts):
        raise RepeatedKey(_repeated(connection))
    if tokens < texts:
        _refuse_collision(connection, tokens)
    return Count(rows, tokens, pointed)


class EmptyKey(Exception):
    """Some row has no value in the person column."""


class RepeatedKey(Exception):
    """A value of the person column repeats. It is kept to find its rows, and never told."""

    def __init__(self, canonical_text: str) -> None:
        super().__init__()
        self.canonical_text = canonical_text


def row_token(source_sha256: str, pads: Pads) -> str:
    """Return the SQL of the token of `_row` when every row is its own person: bound to this very file."""
    return token(f"'row/{source_sha256}/' || _row", pads)


def _repeated(connection: Connection) -> str:
    grouped = (
        f"SELECT {canonical(KEY)} AS text FROM persons GROUP BY 1 HAVING sum(times) > 1 ORDER BY 1 LIMIT 1"
    )
    row = connection.execute(grouped).fetchone()
    return str(row[0]) if row else ""


def _refuse_collision(connection: Connection, tokens: int) -> None:
    """Fewer tokens than texts are right only when texts differ in blanks or case alone."""
    row = connection.execute(f"SELECT count(DISTINCT {canonical(KEY)}) FROM persons").fetchone()
    if row != (tokens,):
        raise BoxFailure("ingest.token-collision")
