"""The extracting box: an owner's own part of a joint computation, and the identifiers by which its rows find others.

It is the only box, apart from ingest, that opens identifiers, and it has no link but one: to the box of the same party
that speaks with others (`inside.party`). There go the rows that the owner's filter and the statement's condition let
through: the key, the operands as whole numbers, the place of the row among the public groups.

Whatever the statement says of this owner alone is computed here, by the engine, after the relation is there as the
asker may see it, filtered and masked (`inside.relations`), and after the engine is locked. Before a row leaves:

- there are no more than the public bound (`extract.rows`);
- each has a key (`extract.keys`; that keys are different, the other box sees, before it speaks to anybody);
- each operand is whole at its declared scale and in its declared range, and is there where none may miss
  (`extract.range`);
- each group is on the public list (`extract.codes`);
- each text of a record is no longer than its field (`extract.width`).

A model is one row without a key, and has no file of identifiers (`extract.rows`: there is none, or more than one).

Else the computation does not begin. The code is for the owner; others learn that this party was not ready. Whatever the
engine says is dropped (`extract.failed`), since its messages quote values.

That a computation does not begin must not answer a question that a member wrote as a condition. So before any of it is
computed, the whole relation is held against what its owner declared of the columns in use, whatever the condition: a
value outside, which an ingest refuses, stops every statement over its column alike. From what was declared it follows
that operands and groups are as the plan says, and the checks on these are for flaws. One thing is left that a condition
decides: whether it leaves a person with two rows (`docs/joint-boxes.md`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb
import pyarrow as pa

from inside import portions
from inside.engine import (
    NO_INFINITIES,
    Connection,
    add_key,
    encryption,
    identifier,
    literal,
    lock,
    open_engine,
)
from inside.ingest_tokens import canonical
from inside.relations import create_relation
from inside.session import SPILL, BoxFailure, Session
from inside.streams import Sender
from plans import names
from plans.box import Limits
from plans.errors import HashMismatch, Malformed
from plans.handover import OWN_ROWS
from plans.joint import JointPlan, Operand, Portion, PortionDecision, joint_of
from plans.joint_shadows import JointShadow
from plans.plan import Relation

BATCH_ROWS = 2**17

_PERSON, _KEY, _GROUP = "_token", "_key", "_group"
"""Columns of our own; the person token keeps another name than any column of a relation may have."""


def warm(limits: Limits) -> Connection:
    """Open the engine before there is a plan."""
    return open_engine(SPILL, limits)


def run(session: Session) -> dict[str, Any]:
    """Compute, check and stream this owner's rows; the report says nothing.

    Raises:
        BoxFailure: `extract.keys`, `extract.rows`, `extract.range`, `extract.codes`, `extract.width`, or
            `extract.failed` for whatever the engine says.
        HashMismatch: a file that the joint plan names is not among the inputs.
        Malformed: the plan gives this domain no portion, or calls data about persons a model.
    """
    joint = joint_of(session.plan.material)
    place = joint.owns(session.plan.domain)
    if place is None:
        raise Malformed("this domain brings no rows to the computation", "joint-plan")
    portion = joint.reading.portions[place]
    try:
        connection = _opened(session, joint, place)
        rows = _checked(connection, portion)
        _stream(session, connection, portion, rows)
    except (duckdb.Error, pa.ArrowException, MemoryError, OverflowError):
        raise BoxFailure("extract.failed") from None
    return {}


def _opened(session: Session, joint: JointPlan, place: int) -> Connection:
    """Return a locked engine with the relation, its keys, and the table of rows that go out."""
    portion, part = joint.reading.portions[place], joint.decisions[place]
    limits = session.plan.stage(session.stage).limits
    connection = session.warmed or open_engine(session.spill, limits)
    if part.relation.about_persons != bool(portion.key):
        raise Malformed("rows about persons have a key, and a model's row has none", part.relation.name)
    attributes = session.file_of(part.relation)
    identifiers = _identifiers(session, part) if portion.key else ""
    files = tuple(filter(None, (attributes, identifiers)))
    for name in files:
        add_key(connection, name, session.keys.inputs[name])
    connection.execute(NO_INFINITIES)
    pseudonyms = session.keys.pseudonyms.get(part.relation.name, "")
    create_relation(connection, part.relation, session.inputs[attributes], attributes, pseudonyms)
    if portion.key:
        connection.execute(_keys(portion, str(session.inputs[identifiers]), identifiers))
    for number, group in enumerate(portion.groups):
        connection.execute(f"CREATE TEMP TABLE _codes{number} (code VARCHAR, place INTEGER)")
        listed = ", ".join(f"({literal(code)}, {place})" for place, code in enumerate(group.codes))
        connection.execute(f"INSERT INTO _codes{number} VALUES {listed}")
    lock(connection, readable=[session.inputs[name] for name in files])
    for shadow in joint.shadows:
        if shadow.domain == portion.domain:
            _require_declared(connection, shadow, part.relation)
    _make_rows(connection, portion, part.relation.name)
    return connection


def _require_declared(connection: Connection, shadow: JointShadow, relation: Relation) -> None:
    """Check the columns in use of the whole relation, as the asker may see it, by what was declared of them.

    Raises:
        BoxFailure: `extract.range`, `extract.codes`: a value is outside of it.
    """
    schema, _, table = relation.name.partition(".")
    outside, unlisted = ["false"], ["false"]
    for column in shadow.shadow.columns:
        if column.name not in relation.columns:
            continue
        name, declared = identifier(column.name), shadow.declared_of(column.name)
        for operator, bound in (("<", declared.low), (">", declared.high)):
            if bound:
                outside.append(f"{name} {operator} CAST({literal(bound)} AS {column.type})")
        if declared.values:
            listed = ", ".join(f"CAST({literal(value)} AS {column.type})" for value in declared.values)
            unlisted.append(f"{name} NOT IN ({listed})")
    wanted = (f"count(*) FILTER ({' OR '.join(broken)})" for broken in (outside, unlisted))
    source = f"{identifier(schema)}.{identifier(table)}"
    counted = connection.execute(f"SELECT {', '.join(wanted)} FROM {source}").fetchone() or (0, 0)
    for code, rows in zip(("extract.range", "extract.codes"), counted, strict=True):
        if rows:
            raise BoxFailure(code, rows=rows)


def _make_rows(connection: Connection, portion: Portion, relation: str) -> None:
    """Make the table of rows that go out.

    A person has several rows of identifiers where another identifier, or the spelling, differs. Few tables have such,
    and making keys distinct costs as much as all else; so it is done where rows were doubled.
    """
    connection.execute(f"CREATE TEMP TABLE _rows AS {statement(portion, relation)}")
    if not portion.key:
        return
    counted = f"SELECT count(*) FROM {_source(portion, relation)}"
    own, joined = (connection.execute(each).fetchone() for each in (counted, "SELECT count(*) FROM _rows"))
    if joined != own:
        connection.execute("DROP TABLE _rows")
        distinct = statement(portion, relation, "(SELECT DISTINCT * FROM _keys) AS _keys")
        connection.execute(f"CREATE TEMP TABLE _rows AS {distinct}")


def _source(portion: Portion, relation: str) -> str:
    """Return the relation with the statement's condition, as FROM and WHERE have it."""
    schema, _, table = relation.partition(".")
    where = f" WHERE ({portion.where})" if portion.where else ""
    return f"{identifier(schema)}.{identifier(table)}{where}"


def _identifiers(session: Session, part: PortionDecision) -> str:
    for item in session.plan.stage(session.stage).inputs:
        if item.sha256 == part.identifiers:
            return item.name
    raise HashMismatch("the file of identifiers is not among the inputs", part.relation.name)


def _keys(portion: Portion, path: str, key: str) -> str:
    """Return the view of tokens and keys; keys that tokens take for one are one (`inside.ingest_tokens`)."""
    text = canonical(f"CAST({identifier(portion.key)} AS VARCHAR)")
    source = f"read_parquet({literal(path)}, encryption_config = {encryption(key)})"
    token = identifier(names.PERSON)
    return (
        f"CREATE TEMP VIEW _keys AS SELECT {token} AS {_PERSON}, nullif({text}, '') AS {_KEY} FROM {source}"
    )


def statement(portion: Portion, relation: str, keys: str = "_keys") -> str:
    """Return the SELECT of the rows that go out: key, operands `v0` …, whether each broke its type, the group, and the
    texts of fields `t0` …

    The condition and the expressions are the statement's, over the relation alone, in a SELECT of their own: nothing of
    ours is in their scope.
    """
    asked = [f"{identifier(names.PERSON)} AS {_PERSON}"] if portion.key else []
    asked += [f"({operand.expression}) AS e{place}" for place, operand in enumerate(portion.operands)]
    asked += [
        f"CAST({identifier(group.column)} AS VARCHAR) AS g{place}"
        for place, group in enumerate(portion.groups)
    ]
    asked += [
        f"CAST({identifier(field.column)} AS VARCHAR) AS t{place}"
        for place, field in enumerate(portion.fields)
    ]
    own = f"SELECT {', '.join(asked)} FROM {_source(portion, relation)}"
    listed = [_KEY] if portion.key else []
    for place, operand in enumerate(portion.operands):
        listed += [f"{_whole(operand, place)} AS v{place}", f"{_broken(operand, place)} AS b{place}"]
    listed += [f"{_place(portion)} AS {_GROUP}", *(f"t{place}" for place in range(len(portion.fields)))]
    joins = [f" LEFT JOIN {keys} USING ({_PERSON})"] if portion.key else []
    joins += [f" LEFT JOIN _codes{n} AS c{n} ON g{n} = c{n}.code" for n in range(len(portion.groups))]
    return f"SELECT {', '.join(listed)} FROM ({own}) AS own{''.join(joins)}"


def _exact(operand: Operand, place: int) -> str:
    width = 18 if operand.cap < 10**18 else 38
    return f"TRY_CAST(e{place} AS DECIMAL({width}, {operand.decimals}))"


def _whole(operand: Operand, place: int) -> str:
    """Return the operand times 10^decimals as a whole number, or null where it does not fit."""
    return f"TRY(CAST({_exact(operand, place)} * {10**operand.decimals} AS BIGINT))"


def _broken(operand: Operand, place: int) -> str:
    """Return whether there is a value, and it is not whole at this scale, or beyond every range."""
    kept = f"CAST({_exact(operand, place)} AS VARCHAR)"
    lost = f"TRY({_exact(operand, place)} = e{place})"
    return f"(e{place} IS NOT NULL AND ({kept} IS NULL OR NOT coalesce({lost}, false)))"


def _place(portion: Portion) -> str:
    """Return the place of a row among the owner's groups, the last key turning fastest; null if one is not listed."""
    found = "0"
    for number, group in enumerate(portion.groups):
        found = f"({found} * {len(group.codes)} + c{number}.place)"
    return found


def _checked(connection: Connection, portion: Portion) -> int:
    """Return how many rows there are, once all are as the plan says."""
    keyed = f"count({_KEY})" if portion.key else "count(*)"
    wanted = ["count(*)", keyed, f"count({_GROUP})", f"count(*) FILTER ({_long(portion)})"]
    for place in range(len(portion.operands)):
        wanted += [f"count(v{place})", f"min(v{place})", f"max(v{place})", f"count(*) FILTER (b{place})"]
    found: tuple[Any, ...] = connection.execute(f"SELECT {', '.join(wanted)} FROM _rows").fetchone() or ()
    rows, keyed_rows, grouped, long = found[:4]
    if rows > portion.bound or (rows < 1 and not portion.key):
        raise BoxFailure("extract.rows", rows=rows, bound=portion.bound)
    if keyed_rows < rows:
        raise BoxFailure("extract.keys", missing=rows - keyed_rows)
    if grouped < rows:
        raise BoxFailure("extract.codes", rows=rows - grouped)
    if long:
        raise BoxFailure("extract.width", rows=long)
    for place, operand in enumerate(portion.operands):
        present, least, most, broken = found[4 + 4 * place : 8 + 4 * place]
        missing = not operand.nullable and present < rows
        outside = present and (least < operand.low or most > operand.high)
        if broken or missing or outside:
            raise BoxFailure("extract.range", operand=place)
    return int(rows)


def _long(portion: Portion) -> str:
    """Return whether a row has a text that is longer than its field, in bytes of UTF-8."""
    broken = (f"strlen(t{place}) > {field.width}" for place, field in enumerate(portion.fields))
    return " OR ".join(broken) or "false"


def _stream(session: Session, connection: Connection, portion: Portion, rows: int) -> None:
    """Send the rows to this party's other box, and wait until it has them."""
    count = len(portion.operands)
    listed = [_KEY] if portion.key else []
    listed += [f"coalesce(v{n}, 0)::BIGINT" for n in range(count)]
    listed += [f"(v{n} IS NOT NULL)::UTINYINT" for n in range(count)]
    listed.append(f"{_GROUP}::USMALLINT")
    for place, field in enumerate(portion.fields):
        text = f"coalesce(t{place}, '')"
        listed.append(f"coalesce(strlen(t{place}) + 1, 0)::USMALLINT")
        listed.append(f"encode({text}) || repeat('\\x00'::BLOB, {field.width} - strlen({text}))")
    reader = connection.execute(f"SELECT {', '.join(listed)} FROM _rows").to_arrow_reader(BATCH_ROWS)
    try:
        with session.links[OWN_ROWS].open() as stream:
            sender = Sender(stream, session.keys.links[OWN_ROWS], OWN_ROWS)
            portions.write_head(sender, portions.head_of(portion, rows))
            for batch in reader:
                for part in _parts(batch, bool(portion.key)):
                    sender.write(part)
            sender.write(portions.BATCH.pack(0, 0))
            sender.finish()
    except OSError:
        return  # the other box is gone, and says why by itself


def _parts(batch: Any, keyed: bool) -> Iterable[Any]:
    """Yield a batch as `inside.portions` has it, without a copy of the columns."""
    if not len(batch):
        return
    columns = list(batch.columns)
    if keyed:
        offsets, text = _texts(columns.pop(0))
        yield portions.BATCH.pack(len(batch), len(text))
        yield offsets if offsets[0] == 0 else _moved(offsets, offsets[0])
        yield text
    else:
        yield portions.BATCH.pack(len(batch), 0)
    for column in columns:
        yield _texts(column)[1] if pa.types.is_binary(column.type) else _numbers(column)


def _texts(column: Any) -> tuple[memoryview, memoryview]:
    """Return where each of a column's texts begins and ends, and their bytes."""
    start, end = column.offset, column.offset + len(column)
    offsets = memoryview(column.buffers()[1]).cast("i")[start : end + 1]
    return offsets, memoryview(column.buffers()[2] or b"")[offsets[0] : offsets[-1]]


def _numbers(column: Any) -> memoryview:
    size = column.type.bit_width // 8
    return memoryview(column.buffers()[1])[column.offset * size : (column.offset + len(column)) * size]


def _moved(offsets: memoryview, first: int) -> memoryview:
    found = pa.array([offset - first for offset in offsets], type=pa.int32())
    return memoryview(found.buffers()[1])[: 4 * len(found)]
