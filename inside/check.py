"""The checker box: two readers look at a statement, and must find the same.

The guard (`policies.reading`) reads the member's text and writes the counted statement of each table that runs
over rows. The engine's binder (`inside.bound`) then reads both. A reading is given out only if

* both readers found the same columns in the same clauses, and the same functions;
* the binder finds each counted statement to compute the outputs of its table, as the same expressions over the
  same rows;
* where enterprises are counted, they are those of every relation that the shadows say (`inside.contributed`);
* the statement of what each person adds computes from the same rows, and from the same arguments
  (`inside.contributed`);
* the binder finds no column in the member's whole statement that the tables do not use;
* a `finish` can be bound where there is nothing but its tables of figures (`inside.rows`).

A statement whose columns may all be seen is read at the level of rows (`inside.rows`).

No key and no row comes into this box. The same statement and shadows give the same bytes, here and in the
owner's own checker box, which is what the keeper compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inside.bound import Bound, Connection, bind, empty_engine, planned, scanned, shadow_engine
from inside.check_joint import check_joint
from inside.contributed import require_contributions, require_enterprises
from inside.rows import check_rows, finish_outputs
from inside.session import Session
from plans import canonical, names
from plans.box import Entry, Limits
from plans.errors import Malformed, SqlUnsupported
from plans.joint_shadows import JointShadow
from plans.reading import Cells, Level, Output, Reading, Role, Shadow, ShadowColumn
from policies.reading import Forms, read_forms

PERSONS_TYPE = "BIGINT"


def warm(limits: Limits) -> Connection:
    """Read a statement that nobody asked, so that parser and engine have loaded what they load when first used, and
    return an engine that is open for the one that will be asked.
    """
    columns = (ShadowColumn(names.PERSON, "BIGINT", False), ShadowColumn("a", "INTEGER", True))
    check(
        "select a, count(*) as n from b.c where a > 1 group by a", (Shadow("b.c", columns),), limits.memory_mb
    )
    return empty_engine(limits.memory_mb)


def run(session: Session) -> dict[str, Any]:
    """Return `{"reading": …}` or, when the statement is refused, `{"refused": problem document}`.

    A statement over several owners' relations is read by `inside.check_joint`.

    Raises:
        Malformed: the plan's material is not a statement with shadows.
    """
    word, statement, shadows = _material(session.plan.material)
    memory = session.plan.stage(Entry.CHECK).limits.memory_mb
    joint = tuple(JointShadow.read(shadow) for shadow in shadows if word == "joint")
    plain = tuple(Shadow.read(shadow) for shadow in shadows if word != "joint")
    try:
        if word == "joint":
            return {"reading": check_joint(statement, joint, memory, session.warmed).plain()}
        return {"reading": check(statement, plain, memory, session.warmed).plain()}
    except Malformed as refused:
        return {"refused": refused.problem()}


def check(
    statement: str, shadows: tuple[Shadow, ...], memory_mb: int, opened: Connection | None = None
) -> Reading:
    """Return the reading on which both readers agree; `opened` is an engine without tables, if there is one.

    Raises:
        SqlSyntax, SqlUnsupported, TooLarge: the statement is refused.
    """
    forms = read_forms(statement, shadows)
    reading = forms.reading
    if reading.level is Level.ROWS:
        return check_rows(reading, statement, shadows, memory_mb, opened)
    known = {shadow.relation: shadow for shadow in shadows}
    connection = shadow_engine(tuple(known[relation] for relation in reading.relations), memory_mb, opened)
    try:
        asked = [bind(connection, plain) for plain in forms.plain]
        counted = [bind(connection, table.counted) for table in reading.tables]
        _require_covered(forms, statement, connection)
        _require_agreement(reading, asked)
        firms = {name: known[name].enterprise for name in reading.relations}
        tables = tuple(
            _checked(table, plain, bound, firms)
            for table, plain, bound in zip(reading.tables, asked, counted, strict=True)
        )
        for table, bound in zip(tables, counted, strict=True):
            require_enterprises(table, bound, firms)
            require_contributions(connection, table, bound)
    finally:
        connection.close()
    if not reading.finish:
        return replace(reading, outputs=tables[0].outputs, tables=tables)
    return replace(reading, outputs=finish_outputs(reading.finish, tables, memory_mb), tables=tables)


def _material(text: str) -> tuple[str, str, list[Any]]:
    """Return whether the statement is an ordinary one (`statement`) or `joint`, the statement, and the shadows."""
    content = canonical.decode(text.encode())
    if not isinstance(content, dict) or set(content) not in ({"statement", "shadows"}, {"joint", "shadows"}):
        raise Malformed("the material of a check is a statement and shadows", "plan.material")
    word = "joint" if "joint" in content else "statement"
    statement, shadows = content[word], content["shadows"]
    if not isinstance(statement, str) or not isinstance(shadows, list):
        raise Malformed("the material of a check is a statement and shadows", "plan.material")
    return word, statement, shadows


def _require_covered(forms: Forms, statement: str, connection: Connection) -> None:
    """The engine finds no column in the member's own statement that the tables do not use.

    A column that a definition mentions and that nobody reads from it is none: no table computes it.
    """
    if forms.plain == (statement,):
        return
    used = {(use.relation, use.column) for use in forms.reading.uses} | forms.mentioned
    persons = {(relation, names.PERSON) for relation in forms.reading.relations}
    if not scanned(planned(connection, statement)) <= used | persons:
        raise _disagreement("columns")


def _require_agreement(reading: Reading, asked: list[Bound]) -> None:
    """Both readers saw the same columns, clauses and functions."""
    for what, ours, theirs in (
        ("relations", set(reading.relations), {name for bound in asked for name in bound.relations}),
        ("columns", set(reading.uses), {use for bound in asked for use in bound.uses}),
        ("functions", set(reading.functions), {name for bound in asked for name in bound.functions}),
    ):
        if ours != theirs:
            raise _disagreement(what)


def _checked(table: Cells, asked: Bound, counted: Bound, firms: Mapping[str, str | None]) -> Cells:
    """Return a table with its types; the counted statement yields what was asked, from the same rows, then numbers of
    persons and of enterprises (`firms` are the columns that name them, by relation), and nothing else.
    """
    shown = len(table.outputs)
    if len(asked.outputs) < shown or len(counted.outputs) != shown + table.hidden + table.enterprises:
        raise _disagreement("outputs")
    if asked.outputs[:shown] != counted.outputs[:shown] or asked.types[:shown] != counted.types[:shown]:
        raise _disagreement("outputs")
    if asked.rows != counted.rows:
        raise _disagreement("rows")
    beside = {(name, column) for name, column in firms.items()} if table.enterprises else set()
    if set(counted.types[shown:]) != {PERSONS_TYPE} or _columns(asked) - beside != _columns(counted) - beside:
        raise _disagreement("persons")
    return replace(table, outputs=_typed(table.outputs, asked.types))


def _columns(bound: Bound) -> set[tuple[str, str]]:
    return {(use.relation, use.column) for use in bound.uses} - {
        (name, names.PERSON) for name in bound.relations
    }


def _disagreement(what: str) -> SqlUnsupported:
    return SqlUnsupported(
        f"the two readers disagree about the {what} of the statement",
        "statement",
        "Write it more plainly, as in docs/sql.md; if it is plain already, report it as a defect.",
    )


_KEY_TYPES = {"BOOLEAN", "DATE", "DOUBLE", "FLOAT", "TIMESTAMP", "VARCHAR"}
_NUMBER_PREFIXES = ("DECIMAL", "DOUBLE", "FLOAT")
_WHOLE_TYPES = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")} | {
    "INTEGER",
    "UINTEGER",
}


def _typed(outputs: tuple[Output, ...], types: tuple[str, ...]) -> tuple[Output, ...]:
    typed = []
    for output, kind in zip(outputs, types, strict=False):
        number = kind in _WHOLE_TYPES or kind.startswith(_NUMBER_PREFIXES)
        if not number and (output.role is Role.FIGURE or kind not in _KEY_TYPES):
            raise SqlUnsupported(
                f"the output {output.name} has the type {kind}, which cannot leave",
                "SELECT",
                "Cast the key to text.",
            )
        typed.append(replace(output, type=kind))
    return tuple(typed)
