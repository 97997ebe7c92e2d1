"""The relations of a query: the member's names over the owner's files, filtered and masked before anything else runs.

A relation with a row filter or a mask is *materialised*: computed completely, and kept by the engine as a table
(what does not fit in memory is spilled encrypted), before the member's statement is begun. So no expression of
the member ever meets a hidden row or a hidden value, however the engine orders its work: one that fails, loops
or branches on such a value does the same whether it is there or not (ATTACKS 20, 21, 90). In a view it would
not: there the engine may compute the member's conditions before the owner's, and hidden rows with them.

A relation with neither is a view where figures are asked for. It is there for speed: the engine reads no column
and no row group that the statement does not need.

**Order.** Where rows may leave, every relation is materialised in an order drawn anew: a file's own order can be
that of a hidden column, and the same persons often stand in the same order in several files, so the place of a
row (`row_number()`, `LIMIT`, `first`, or just the order of the answer) would tell the one and link the others.

**Pseudonyms** are HMAC-SHA256 (RFC 2104) of the value's text under a key that the keeper derives for the dataset,
cut to 128 bits: without the key nobody can compute the pseudonym of a value that they guess, nor go back from
one, and equal values of a dataset, in whatever version, have equal pseudonyms. The engine has no keyed hash, so
both passes are written out with its plain one. The key stands in the one statement that materialises, as a
literal: a table keeps no text of the statement that made it, a view would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from inside.engine import Connection, encryption, identifier, literal
from plans import names
from plans.constraints import Mask, MaskKind
from plans.errors import Malformed
from plans.masks import masked_type
from plans.plan import Relation
from plans.reading import Shadow, ShadowColumn
from policies.reading import read_predicate

ROWS_ALONE = ShadowColumn("_rows", "BOOLEAN", True)
"""What a relation about no persons has where a statement uses none of its columns: a table has at least one."""

MATERIALISED = "TABLE"
"""What a relation of which something is hidden becomes; tests make it a view, to show what a view lets through."""

SHUFFLED = " ORDER BY random()"
"""How rows are put in another order before a statement may look at them; tests leave it out, to show what it hides."""

_BLOCK = 64
"""Bytes of a block of SHA-256."""

_PSEUDONYM_DIGITS = 32
"""Hexadecimal digits of a pseudonym: 128 bits."""


def create_relation(
    connection: Connection,
    relation: Relation,
    path: Path,
    key: str,
    pseudonyms: str = "",
    shuffled: bool = False,
) -> None:
    """Create a relation over its file: a table if the owner filters or masks it or it is shuffled, else a view.

    `key` names the file's key (`engine.add_key`), `pseudonyms` is that of the relation's pseudonyms in hex.

    Raises:
        Malformed: a mask does not fit its column, or its key is missing; or the relation is said to be about no
            persons, and its file bears their tokens.
        SqlSyntax, SqlUnsupported: the row filter is not a condition over the relation.
    """
    schema, _, table = relation.name.partition(".")
    hidden = relation.row_filter or relation.masks
    kind = MATERIALISED if hidden or shuffled else "VIEW"
    chosen = selection(connection, relation, path, key, pseudonyms)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
    connection.execute(
        f"CREATE {kind} {identifier(schema)}.{identifier(table)} AS {chosen}{SHUFFLED if shuffled else ''}"
    )


def selection(connection: Connection, relation: Relation, path: Path, key: str, pseudonyms: str = "") -> str:
    """Return the SELECT of what the asker may see of a relation; the arguments are those of `create_relation`.

    It hides only from whoever does not write SQL around it: for statements of members it is materialised first.

    Raises:
        Malformed, SqlSyntax, SqlUnsupported: as `create_relation`.
    """
    source = f"read_parquet({literal(str(path))}, encryption_config = {encryption(key)})"
    masks = {mask.column: mask for mask in relation.masks}
    likeness = Shadow(relation.name, ())
    if relation.row_filter or masks or not relation.about_persons:
        likeness = _likeness(connection, relation.name, source)
    types = {column.name: column.type for column in likeness.columns}
    listed = (
        ", ".join(_column(name, types, masks.get(name), pseudonyms) for name in _names(relation, types))
        or f"NULL::{ROWS_ALONE.type} AS {identifier(ROWS_ALONE.name)}"
    )
    where = f" WHERE {read_predicate(relation.row_filter, likeness)[0]}" if relation.row_filter else ""
    return f'SELECT {listed} FROM {source} AS "row"{where}'


def _names(relation: Relation, types: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is selected of a file: the token where rows are about persons, and the used columns.

    Whoever calls data about persons reference data would have them joined without counting them (ATTACKS 83).
    """
    if relation.about_persons:
        return (names.PERSON, *relation.columns)
    if names.PERSON in types:
        raise Malformed("the file of a relation about no persons bears the tokens of persons", relation.name)
    return relation.columns


def _likeness(connection: Connection, relation: str, source: str) -> Shadow:
    """Return what a file's columns are called, so that the owner's filter is read like any other condition."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return Shadow(relation, tuple(ShadowColumn(name, kind, True) for name, kind, *_ in described))


def _column(name: str, types: Mapping[str, str], mask: Mask | None, pseudonyms: str) -> str:
    value = f'"row".{identifier(name)}'
    if mask is None:
        return value
    if name not in types:
        raise Malformed("a mask is about a column that the file does not have", name)
    return f"{masked(mask, value, types[name], pseudonyms)} AS {identifier(name)}"


def masked(mask: Mask, value: str, kind: str, pseudonyms: str = "") -> str:
    """Return the expression of what a mask leaves of `value`, an expression of the type `kind`.

    It never fails: where it cannot be computed, it leaves null.

    Raises:
        Malformed: the mask does not fit the type, or the key of pseudonyms is missing.
    """
    if mask.kind is MaskKind.PSEUDONYM:
        found = _pseudonym(value, pseudonyms)
    else:
        found = _EXPRESSIONS[mask.kind](value, mask.argument, kind)
    return f"TRY(CAST({found} AS {masked_type(mask, kind)}))"


def _last(value: str, count: str, _kind: str) -> str:
    """Keep the last characters; of a value that has no more than these, nothing."""
    text = f"CAST({value} AS VARCHAR)"
    return f"CASE WHEN length({text}) > {count} THEN right({text}, {count}) END"


def _bucket(value: str, width: str, kind: str) -> str:
    """Return the largest multiple of the width that is no larger; exact for exact numbers."""
    if kind in ("FLOAT", "DOUBLE"):
        return f"floor({value} / {width}) * {width}"
    scale = kind.partition(",")[2].strip(" )")
    exact = f"DECIMAL(38,{scale})" if scale else "HUGEINT"
    number, size = f"CAST({value} AS {exact})", f"CAST({width} AS {exact})"
    return f"{number} - ((({number} % {size}) + {size}) % {size})"


def _pseudonym(value: str, key: str) -> str:
    secret = bytes.fromhex(key)
    if len(secret) != 32:
        raise Malformed("the key of a relation's pseudonyms is missing", "box keys")
    inner, outer = (_blob(bytes(byte ^ pad for byte in secret.ljust(_BLOCK, b"\0"))) for pad in (0x36, 0x5C))
    first = f"unhex(sha256({inner} || encode(CAST({value} AS VARCHAR))))"
    return f"left(sha256({outer} || {first}), {_PSEUDONYM_DIGITS})"


def _blob(content: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'::BLOB"


_EXPRESSIONS: dict[MaskKind, Callable[[str, str, str], str]] = {
    MaskKind.LAST: _last,
    MaskKind.DATE: lambda value, part, _kind: f"date_trunc('{part}', {value})",
    MaskKind.PLACE: lambda value, count, _kind: f"left({value}, {count})",
    MaskKind.BUCKET: _bucket,
    MaskKind.NULL: lambda _value, _argument, _kind: "NULL",
}
