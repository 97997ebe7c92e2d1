"""The level of rows in the checker box: the engine's binder reads the very text that will run.

At this level every column that a statement uses is one whose values the asker may see as they are, so the
statement may compute whatever it likes with them. What has to be certain is therefore *which* columns it uses,
and that it calls nothing but listed functions. The first reader (`policies.reading.rows`) finds them in the
text, the second (`inside.plan_columns`) in the engine's bound plan of that text, and a reading is given out only
if

* the first found every relation and column that the second found;
* each of them is shown, and no row number is read;
* every function in the plan is in the table of functions (`policies.reading.functions`);
* the plan yields as many outputs, each from columns that the first reader found behind it, of types that may leave;
* the text means the same on the relations as they will be made for it: with the person and the used columns
  only, in the order of their names (`policies.derive`). What counts columns, or leaves some out, may not.

The uses are those that either reader found. What each output is computed from is the binder's finding.

A `finish` is bound in the same way, on empty tables of cells: it can read nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from inside.bound import Connection, create_tables, planned, shadow_engine
from inside.plan_columns import PlanColumns, read_plan
from inside.plan_values import Columns, Value
from inside.relations import ROWS_ALONE
from inside.table import reader
from plans import names
from plans.errors import OutputRefused, SqlUnsupported
from plans.reading import Cells, ColumnUse, Level, Output, Reading, Role, Shadow, ShadowColumn
from plans.request import statement_digest
from policies.reading.functions import allowed
from policies.reading.rows import may_be_seen
from policies.reading.sources import NAME

_SCHEMA = "main"


def check_rows(
    reading: Reading,
    statement: str,
    shadows: tuple[Shadow, ...],
    memory_mb: int,
    opened: Connection | None = None,
) -> Reading:
    """Return the first reader's finding about `statement`, with types and sources, if the second one agrees.

    `opened` is an engine without tables, if there is one.

    Raises:
        SqlSyntax, SqlUnsupported: the statement is refused.
    """
    if reading.level is not Level.ROWS or reading.statement != statement_digest(statement):
        raise _disagreement("statement")
    known = {shadow.relation: shadow for shadow in shadows}
    read = tuple(known[relation] for relation in reading.relations)
    connection = shadow_engine(read, memory_mb, opened)
    try:
        found = read_plan(planned(connection, reading.counted))
        _require_agreement(reading, found)
        _require_shown(found, reading, read)
        _require_origins(reading, found)
        require_listed(found)
        create_tables(connection, _as_made(read, reading))
        _require_same(found, read_plan(planned(connection, reading.counted)))
    finally:
        connection.close()
    outputs = tuple(
        replace(output, type=_type(output.name, value), sources=_named(value.sources))
        for output, value in zip(reading.outputs, found.outputs, strict=True)
    )
    (table,) = reading.tables
    return replace(
        reading,
        uses=in_order(found.uses | set(reading.uses)),
        functions=tuple(sorted(found.functions | set(reading.functions))),
        tables=(replace(table, outputs=outputs),),
        outputs=outputs,
    )


def finish_outputs(finish: str, tables: tuple[Cells, ...], memory_mb: int) -> tuple[Output, ...]:
    """Return what `finish` yields, by binding it on empty tables `cells_0` …; nothing else is there to be read.

    Its outputs' sources are those of the cells' outputs that they are computed from.

    Raises:
        SqlSyntax, SqlUnsupported: the finish is refused.
    """
    cells = {f"{_SCHEMA}.cells_{number}": table for number, table in enumerate(tables)}
    likenesses = tuple(Shadow(relation, _columns(table)) for relation, table in cells.items())
    connection = shadow_engine(likenesses, memory_mb)
    try:
        found = read_plan(planned(connection, finish))
        require_listed(found, finish=True)
        called = [str(row[0]) for row in connection.execute(f"DESCRIBE {finish}").fetchall()]
    finally:
        connection.close()
    if not found.relations <= set(cells) or len(called) != len(found.outputs):
        raise _disagreement("tables of cells")
    sources = {
        (relation, output.name): output.sources
        for relation, table in cells.items()
        for output in table.outputs
    }
    _require_harmless(called)
    return tuple(
        Output(name, _type(name, value), Role.DERIVED, "", 0, _through(value, sources))
        for name, value in zip(called, found.outputs, strict=True)
    )


def require_listed(found: PlanColumns, *, finish: bool = False) -> None:
    """Refuse a plan that calls a function which is not in the table of functions.

    Raises:
        SqlUnsupported: it does.
    """
    for name in sorted(found.functions):
        if not allowed(name, finish=finish):
            raise SqlUnsupported(
                f"the function {name} in the engine's plan is not listed",
                "statement",
                "docs/functions.md lists those that a statement may call.",
            )


def in_order(uses: Iterable[ColumnUse]) -> tuple[ColumnUse, ...]:
    """Return every use once, in the order that readings have."""
    return tuple(
        sorted(set(uses), key=lambda use: (use.relation, use.column, use.clause.value, use.function))
    )


def _require_agreement(reading: Reading, found: PlanColumns) -> None:
    """The first reader found at least what the second did; more only asks for more permissions."""
    if not found.relations <= set(reading.relations):
        raise _disagreement("relations")
    if not found.pairs <= {(use.relation, use.column) for use in reading.uses}:
        raise _disagreement("columns")
    if len(found.outputs) != len(reading.outputs):
        raise _disagreement("outputs")


def _require_origins(reading: Reading, found: PlanColumns) -> None:
    """The first reader found every column behind its output: none stands under another's name."""
    for output, value in zip(reading.outputs, found.outputs, strict=True):
        if not set(_named(value.columns)) <= set(output.sources):
            raise _disagreement("outputs")


def _as_made(shadows: tuple[Shadow, ...], reading: Reading) -> tuple[Shadow, ...]:
    """Return the relations as the query box will make them."""
    used = {(use.relation, use.column) for use in reading.uses if use.column != names.PERSON}
    made = []
    for shadow in shadows:
        columns = [column for column in shadow.columns if (shadow.relation, column.name) in used]
        columns.sort(key=lambda column: column.name)
        if any(column.name == names.PERSON for column in shadow.columns):
            columns.insert(0, ShadowColumn(names.PERSON, "UBIGINT", False))
        made.append(Shadow(shadow.relation, tuple(columns or [ROWS_ALONE])))
    return tuple(made)


def _require_same(found: PlanColumns, made: PlanColumns) -> None:
    if (found.uses, found.outputs) != (made.uses, made.outputs):
        raise SqlUnsupported(
            "what the statement means depends on columns that it does not use",
            "statement",
            "Name the columns one by one: no *, EXCLUDE or NATURAL, and no alias with a list of columns.",
        )


def _require_shown(found: PlanColumns, reading: Reading, shadows: tuple[Shadow, ...]) -> None:
    """Every used column is shown, and something of every relation; a token links or is counted, and is seen nowhere."""
    shown = {(each.relation, column.name) for each in shadows for column in each.columns if column.shown}
    visible = {relation for relation, column in shown if column != names.PERSON}
    seen = all(may_be_seen(use, shown) for use in found.uses | set(reading.uses))
    if not seen or not found.relations <= visible:
        raise _disagreement("columns that may be shown")


def _disagreement(what: str) -> SqlUnsupported:
    return SqlUnsupported(
        f"the two readers disagree about the {what} of the statement",
        "statement",
        "Write it more plainly, as in docs/sql.md; if it is plain already, report it as a defect.",
    )


# --- outputs -----------------------------------------------------


def _type(name: str, value: Value) -> str:
    """Return the output's type, if a table that leaves can hold it."""
    try:
        reader(value.type)
    except OutputRefused:
        raise SqlUnsupported(
            f"the output {name} has the type {value.type}, which cannot leave", "SELECT", "Cast it to text."
        ) from None
    return value.type


def _named(columns: Columns) -> tuple[str, ...]:
    return tuple(sorted({f"{relation}.{column}" for _, relation, column in columns}))


def _through(value: Value, sources: dict[tuple[str, str], tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(
        sorted({base for _, relation, column in value.sources for base in sources[relation, column]})
    )


def _columns(table: Cells) -> tuple[ShadowColumn, ...]:
    return tuple(ShadowColumn(output.name, output.type, True, True) for output in table.outputs)


def _require_harmless(called: list[str]) -> None:
    for name in called:
        if not NAME.fullmatch(name) or called.count(name) > 1:
            raise SqlUnsupported(
                "an output has no name of its own, of small letters, digits and _",
                "SELECT",
                "Give each output a name: AS total.",
            )
