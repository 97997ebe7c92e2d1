"""From keys and records to a sealed table, and from a column back to one record.

Each record is encrypted under a key of its own (AES-256-GCM, `keys.sealing.encrypt_once`), which is part of the
oblivious function's output for its key (`oprf`), and lies in the column that another part of it says. So:

- *Who was not granted a key's evaluation has useless bytes* of its record: to open it needs the owner's exponent.
- *Present and absent look alike*: ciphertexts are random bytes to who lacks the key, so are empty slots, and where in
  its column a record lies is drawn. What a column tells whom it comes to is nothing but its own size.
- *One key encrypts one record*: outputs depend on the table's name, which is drawn when the table is made, and keys are
  all different.

The name of the table, its layout, salt, root, check digests and, if there is one, the digest of the hint are its
`TableRecord`, which the owner's keeper signs: all seekers then have the same table, or know that they have not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from keys.exchange import Exponent
from keys.randomness import MaskStream, permute
from keys.sealing import decrypt_once, encrypt_once
from mpc.lookup import oprf, tree
from mpc.lookup.layout import Layout
from mpc.lookup.parameters import CHECKS
from plans.errors import Defect, KeyRepeated, LinkBroken, Malformed, TooLarge
from plans.record import Record

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

SALT = 16
SEED = 32
_NAME = 16
_KEY = slice(0, 32)  # of an output: the key of a record
_PLACE = slice(32, 48)  # of an output: what its place is made of
_TRIES = 64
_PIECE = 1 << 12  # columns put in order at a time


@dataclass(frozen=True, slots=True)
class TableRecord(Record):
    """What is public about one version of a table; all texts but `name` are hex.

    Attributes:
        name: of this version, drawn when it was made.
        layout: its shape.
        salt: with which outputs become columns.
        seed: from which the public matrix of questions follows.
        root: of the tree over the columns.
        checks: digests of the check keys' outputs.
        hint: digest of the hint, or empty where columns are handed out as they are.
    """

    KIND: ClassVar[str] = "lookup-table"

    name: str
    layout: Layout
    salt: str
    seed: str
    root: str
    checks: tuple[str, ...]
    hint: str

    def check(self) -> None:
        """Refuse what is no such hex.

        Raises:
            Malformed: a text has another length or other characters.
        """
        texts = [(self.name, _NAME), (self.salt, SALT), (self.seed, SEED), (self.root, 32)]
        texts += [(check, 32) for check in self.checks] + ([(self.hint, 32)] if self.hint else [])
        if len(self.checks) != CHECKS or not all(_is_hex(text, size) for text, size in texts):
            raise Malformed("a table's record has hex of fixed lengths", "lookup-table")

    def with_hint(self, digest: str) -> TableRecord:
        """Return the same with the digest of a hint."""
        return replace(self, hint=digest)


@dataclass(frozen=True, slots=True, eq=False)
class SealedTable:
    """A table as its owner keeps it to answer: `matrix` is `[height × columns]`, a column for each place."""

    record: TableRecord
    matrix: Bytes = field(repr=False)


def seal(
    rows: tuple[Sequence[bytes], Sequence[bytes]],
    layout: Layout,
    exponent: Exponent,
    coins: MaskStream,
    workers: int = 1,
) -> SealedTable:
    """Return a sealed table.

    Args:
        rows: keys, all different, and their records, all of the layout's width.
        layout: the public shape.
        exponent: the owner's, drawn for this table.
        coins: the owner's own fresh randomness.
        workers: threads for long tables.

    Raises:
        Malformed: a key is empty or too long, records are ragged, or there are not as many as keys.
        KeyRepeated: a key stands more than once.
        TooLarge: there are more rows than the public bound.
    """
    keys, records = rows
    blocks = _checked(keys, records, layout)
    name = coins.draw(_NAME).tobytes().hex()
    found = oprf.outputs(exponent, blocks, name, workers)
    salt, places = _placed(found, layout, coins)
    contents = _filled(_sealed(found, records, layout, name), places, layout, coins)
    root, paths = tree.grown(contents)
    matrix = np.empty((layout.height, layout.columns), dtype=np.uint8)
    matrix[: layout.content] = contents.T
    matrix[layout.content :] = paths.T
    seed = coins.draw(SEED).tobytes().hex()
    checks = oprf.check_digests(exponent, name)
    return SealedTable(TableRecord(name, layout, salt.hex(), seed, root, checks, ""), matrix)


def place_of(record: TableRecord, output: bytes) -> int:
    """Return the column in which a key's record lies if there is one."""
    block = np.frombuffer(output[_PLACE], dtype=np.uint8).reshape(1, -1)
    return int(_columns(bytes.fromhex(record.salt), block, record.layout.columns)[0])


def opened(record: TableRecord, place: int, column: bytes, output: bytes) -> bytes | None:
    """Return the record of a key from its column, or nothing: there is none.

    All slots are tried, so that how long it takes says nothing of where it was.

    Raises:
        LinkBroken: the column has another height than the table's.
        HashMismatch: it is not the column that the table's record names.
    """
    layout = record.layout
    if len(column) != layout.height:
        raise LinkBroken(f"{len(column):,} bytes came where a column has {layout.height:,}", "lookup")
    content = column[: layout.content]
    tree.require_leaf(record.root, place, content, column[layout.content :])
    found, name, key = None, record.name.encode(), output[_KEY]
    for start in range(0, layout.content, layout.sealed):
        text = decrypt_once(key, content[start : start + layout.sealed], name)
        found = text if text is not None else found
    return found


def fresh_exponent() -> Exponent:
    """Return an exponent for one table."""
    return Exponent(os.urandom(32))


def _checked(keys: Sequence[bytes], records: Sequence[bytes], layout: Layout) -> Bytes:
    """Return hashed keys `[n × 32]`, after all that can be wrong with the rows was looked for."""
    if len(keys) != len(records):
        raise Malformed(f"{len(keys):,} keys have {len(records):,} records", "lookup.records")
    if len(keys) > layout.bound:
        raise TooLarge(
            f"{len(keys):,} rows are more than the public bound of {layout.bound:,}", "lookup.keys"
        )
    ragged = sum(len(record) != layout.width for record in records)
    if ragged:
        raise Malformed(f"{ragged:,} records do not have {layout.width:,} bytes", "lookup.records")
    blocks = oprf.blocks_of(keys)
    repeated = len(keys) - len(set(keys))
    if repeated:
        raise KeyRepeated(f"{repeated:,} rows have a key that another row has", "lookup.keys")
    return blocks


def _placed(found: Bytes, layout: Layout, coins: MaskStream) -> tuple[bytes, Places]:
    """Return a salt with which all rows fit, and their columns; see `layout` for why one of 64 does."""
    blocks = np.ascontiguousarray(found[:, _PLACE])
    for _ in range(_TRIES):
        salt = coins.draw(SALT).tobytes()
        places = _columns(salt, blocks, layout.columns)
        if np.bincount(places, minlength=1).max() <= layout.slots:
            return salt, places
    raise Defect("no salt puts all rows of a table into its columns", "lookup.table")


def _columns(salt: bytes, blocks: Bytes, columns: int) -> Places:
    mixed = permute(salt, blocks)[:, :8].copy().view("<u8").reshape(-1)
    return (mixed & np.uint64(columns - 1)).astype(np.int64)


def _sealed(found: Bytes, records: Sequence[bytes], layout: Layout, name: str) -> Bytes:
    """Return sealed records `[n × sealed]`."""
    aad, joined = name.encode(), np.ascontiguousarray(found[:, _KEY]).tobytes()
    size = _KEY.stop
    texts = [
        encrypt_once(joined[at * size : (at + 1) * size], record, aad) for at, record in enumerate(records)
    ]
    return np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(-1, layout.sealed)


def _filled(sealed: Bytes, places: Places, layout: Layout, coins: MaskStream) -> Bytes:
    """Return the contents of all columns `[columns × content]`: records in drawn slots, random bytes in the others."""
    contents = coins.draw(layout.columns * layout.content).reshape(
        layout.columns, layout.slots, layout.sealed
    )
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    ranks = np.arange(len(order)) - np.searchsorted(ordered, ordered)  # the how-manieth of its column each is
    for start in range(0, layout.columns, _PIECE):
        end = min(start + _PIECE, layout.columns)
        first, last = np.searchsorted(ordered, [start, end])
        drawn = coins.words((end - start) * layout.slots).reshape(end - start, layout.slots)
        slots = np.argsort(drawn, axis=1, kind="stable")  # a random order of the slots of each column
        mine, rank = ordered[first:last], ranks[first:last]
        contents[mine, slots[mine - start, rank]] = sealed[order[first:last]]
    return contents.reshape(layout.columns, layout.content)


def _is_hex(text: str, size: int) -> bool:
    return len(text) == 2 * size and all(each in "0123456789abcdef" for each in text)
