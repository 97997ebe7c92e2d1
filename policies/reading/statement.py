"""One plain SELECT as a whole: its keys and figures, their names, the order and limit, and the counted statement.

It is an answer of its own, or one of the tables from which `policies.reading.splitting` has an answer computed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import exp

from plans.reading import Cells, ColumnUse, Order, Output, Role, Shadow
from policies.reading import attempts, cohorts, contributions, listed, persons, refusal, translate
from policies.reading.grammar import COUNTS
from policies.reading.sources import NAME, Scope, identifier, read_sources, refuse_extra, require_name
from policies.reading.tree import Aggregate, Column, Expression, aggregates, columns
from policies.reading.uses import functions, uses
from policies.reading.writer import quoted, write, write_from

MOST_OUTPUTS = 100
LARGEST_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Select:
    """A statement of the subset: what it reads, which rows, how it groups them, what it yields."""

    scope: Scope
    where: Expression | None
    keys: tuple[Expression, ...]
    outputs: tuple[Expression, ...]
    names: tuple[str, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Everything that it computes from rows."""
        return (*(() if self.where is None else (self.where,)), *self.keys, *self.outputs)


@dataclass(frozen=True, slots=True)
class Found:
    """The finding about one plain SELECT; the types of its outputs are empty, for the engine to fill in."""

    cells: Cells
    relations: tuple[str, ...]
    uses: tuple[ColumnUse, ...]
    functions: tuple[str, ...]
    order: tuple[Order, ...]
    limit: int | None


def read_plain(root: exp.Expression, shadows: tuple[Shadow, ...], keys_suffice: bool = False) -> Found:
    """Return what one SELECT uses and yields. With `keys_suffice` it may yield keys of groups and no figure.

    Raises:
        SqlSyntax: it names what is not there.
        SqlUnsupported: it uses something that is not in the subset, or yields rows.
    """
    if not isinstance(root, exp.Select):
        raise refusal.unsupported(None, "this is no single SELECT")
    refuse_extra(root, {"expressions", "from_", "joins", "where", "group", "order", "limit"})
    select = _read_select(root, shadows, keys_suffice)
    read = cohorts.require_few(select.scope, select.expressions)
    enterprises = persons.enterprise_columns(select.scope, read)
    figures = tuple(map(attempts.attempt_figures, select.outputs))
    counts = persons.count_persons(figures, select.scope, enterprises)
    filters = () if select.where is None else (select.where,)
    counted = cohorts.require_affordable(_counted(select, counts))
    attempts.require_few((counted,))
    return Found(
        cells=Cells(
            counted,
            _outputs(select, counts),
            len(counts.hidden),
            contributions.contributions(
                contributions.Asked(select.scope, select.where, select.keys, select.outputs, select.names),
                enterprises,
            ),
            alone=len(persons.distinct_people(select.scope)) == 1,
            enterprises=len(counts.enterprises),
        ),
        relations=tuple(sorted({source.relation for source in read})),
        uses=uses(select.scope, filters, select.keys, select.outputs),
        functions=functions(select.expressions),
        order=_order(root.args.get("order"), select),
        limit=_limit(root.args.get("limit")),
    )


def _read_select(root: exp.Select, shadows: tuple[Shadow, ...], keys_suffice: bool) -> Select:
    scope = read_sources(root, shadows)
    where = root.args.get("where")
    condition = translate.condition(where.this, listed.rows(scope)) if where is not None else None
    if not 0 < len(root.expressions) <= MOST_OUTPUTS:
        raise refusal.unsupported(root, f"a statement yields 1 to {MOST_OUTPUTS} columns")
    outputs = tuple(_output(item, scope) for item in root.expressions)
    names = _names(root.expressions, outputs)
    keys = _keys(root.args.get("group"), outputs, names, scope)
    _require_aggregate(root, outputs, keys, keys_suffice)
    if not set(keys) <= set(outputs):
        raise refusal.unsupported(root, "a GROUP BY key is no output", "Add it to the SELECT list.")
    return Select(scope, condition, keys, outputs, names)


def _output(item: exp.Expression, scope: Scope) -> Expression:
    node = item.this if isinstance(item, exp.Alias) else item
    return translate.value(node, listed.groups(scope))


def _require_aggregate(
    root: exp.Select, outputs: tuple[Expression, ...], keys: tuple[Expression, ...], keys_suffice: bool
) -> None:
    """Refuse a statement that yields rows instead of figures about groups (ATTACKS 19)."""
    if not any(aggregates(output) for output in outputs) and not (keys and keys_suffice):
        raise refusal.unsupported(
            root,
            "row-level output: the statement yields no figure about a group",
            "Use count, sum, avg or stddev.",
        )
    for item, output in zip(root.expressions, outputs, strict=True):
        outside = _outside(output)
        if aggregates(output) and outside:
            raise refusal.unsupported(
                item,
                f"row-level output: {outside[0].name} stands beside an aggregate",
                "Make it an output and a GROUP BY key of its own.",
            )
        if not aggregates(output) and output not in keys:
            raise refusal.unsupported(
                item,
                "row-level output: a column is neither a figure nor a GROUP BY key",
                "Add it to GROUP BY, or aggregate it.",
            )


def _outside(expression: Expression) -> list[Column]:
    """Return the columns that no aggregate encloses."""
    if isinstance(expression, Aggregate):
        return []
    if isinstance(expression, Column):
        return [expression]
    return [column for part in expression.parts for column in _outside(part)]


# --- GROUP BY, ORDER BY, LIMIT -----------------------------------------------------


def _keys(
    group: exp.Group | None, outputs: tuple[Expression, ...], names: tuple[str, ...], scope: Scope
) -> tuple[Expression, ...]:
    if group is None:
        return ()
    refuse_extra(group, {"expressions"})
    keys = tuple(_key(item, outputs, names, scope) for item in group.expressions)
    for item, key in zip(group.expressions, keys, strict=True):
        if not columns(key) or aggregates(key):
            raise refusal.unsupported(item, "a GROUP BY key is computed from columns, without aggregates")
    return tuple(dict.fromkeys(keys))


def _key(
    item: exp.Expression, outputs: tuple[Expression, ...], names: tuple[str, ...], scope: Scope
) -> Expression:
    """Return the key that an item of GROUP BY means: a position, a column, the name of an output, an expression."""
    position = _position(item, len(outputs))
    if position is not None:
        return outputs[position]
    name = _bare_name(item)
    if name is not None and not scope.has(name) and name in names:
        return outputs[names.index(name)]
    return translate.value(item, listed.rows(scope))


def _order(order: exp.Order | None, select: Select) -> tuple[Order, ...]:
    if order is None:
        return ()
    refuse_extra(order, {"expressions"})
    return tuple(_term(item, select) for item in order.expressions)


def _term(item: exp.Expression, select: Select) -> Order:
    if not isinstance(item, exp.Ordered):
        raise refusal.unsupported(item, "ORDER BY takes names or positions of outputs")
    refuse_extra(item, {"this", "desc", "nulls_first"})
    position = _position(item.this, len(select.outputs))
    name = _bare_name(item.this)
    if position is None and name in select.names:
        position = select.names.index(name)
    if position is None:
        wanted = translate.value(item.this, listed.groups(select.scope))
        if wanted not in select.outputs:
            raise refusal.unsupported(
                item,
                "ORDER BY takes names or positions of outputs: what is not released cannot order",
                "Add it to the SELECT list.",
            )
        position = select.outputs.index(wanted)
    return Order(position, bool(item.args.get("desc")), bool(item.args.get("nulls_first")))


def _limit(limit: exp.Expression | None) -> int | None:
    if limit is None:
        return None
    if not isinstance(limit, exp.Limit):
        raise refusal.unsupported(limit, "FETCH is not in the subset", "Use LIMIT with a number.")
    refuse_extra(limit, {"expression"})
    count = limit.expression
    if not isinstance(count, exp.Literal) or count.is_string or not re.fullmatch(r"\d{1,7}", str(count.this)):
        raise refusal.unsupported(limit, "LIMIT takes a whole number", "For example: LIMIT 20.")
    if int(count.this) > LARGEST_LIMIT:
        raise refusal.unsupported(limit, f"LIMIT is at most {LARGEST_LIMIT:,}")
    return int(count.this)


def _position(item: exp.Expression, count: int) -> int | None:
    """Return the output that a number in GROUP BY or ORDER BY means, from 0, or none when it is no number."""
    if not isinstance(item, exp.Literal) or item.is_string:
        return None
    if not re.fullmatch(r"\d{1,3}", str(item.this)) or not 1 <= int(item.this) <= count:
        raise refusal.wrong(
            item, f"there are {count} outputs, numbered from 1", "Give one of these numbers, or a name."
        )
    return int(item.this) - 1


def _bare_name(item: exp.Expression) -> str | None:
    if (
        isinstance(item, exp.Column)
        and isinstance(item.this, exp.Identifier)
        and item.args.get("table") is None
    ):
        return identifier(item.this)
    return None


# --- outputs -----------------------------------------------------


def _names(items: list[exp.Expression], outputs: tuple[Expression, ...]) -> tuple[str, ...]:
    """Return the outputs' names: the member's, or one that says what is computed from which column."""
    names: list[str] = []
    for item, output in zip(items, outputs, strict=True):
        if isinstance(item, exp.Alias):
            name = require_name(item.args["alias"], "the name of an output")
            if name in names:
                raise refusal.wrong(item, f"two outputs are called {name!r}", "Give each a name of its own.")
        else:
            name = _derived_name(output, len(names) + 1)
            name = name if name not in names else f"column_{len(names) + 1}"
        names.append(name)
    if len(set(names)) != len(names):
        raise refusal.wrong(items[0], "two outputs have the same name", "Name them with AS.")
    return tuple(names)


def _derived_name(output: Expression, number: int) -> str:
    used = {column.name for column in columns(output)}
    function = getattr(output, "function", "")
    if isinstance(output, Column):
        return output.name
    if function and len(used) <= 1:
        name = "_".join([function, *used])
        if NAME.fullmatch(name):
            return name
    return f"column_{number}"


def _outputs(select: Select, counts: persons.Counts) -> tuple[Output, ...]:
    return tuple(
        Output(
            name,
            "",
            Role.FIGURE if aggregates(output) else Role.KEY,
            _figure(output),
            position,
            _sources(output),
            _argument(output),
            isinstance(output, Aggregate) and output.function == "count_distinct",
        )
        for name, output, position in zip(select.names, select.outputs, counts.positions, strict=True)
    )


def _sources(output: Expression) -> tuple[str, ...]:
    return tuple(sorted({f"{column.relation}.{column.name}" for column in columns(output)}))


def _argument(output: Expression) -> str:
    """Return the base column that a key or an aggregate's argument is as it stands, or nothing."""
    inner = output.argument if isinstance(output, Aggregate) else output
    return f"{inner.relation}.{inner.name}" if isinstance(inner, Column) else ""


def _figure(output: Expression) -> str:
    """Return the function of a figure; counts of every sort are `count`, since all are rounded like one."""
    if not isinstance(output, Aggregate):
        return "ratio" if aggregates(output) else ""
    return "count" if output.function in COUNTS else output.function


def _counted(select: Select, counts: persons.Counts) -> str:
    items = [
        f"{write(attempts.attempt_figures(output))} AS {quoted(name)}"
        for output, name in zip(select.outputs, select.names, strict=True)
    ]
    items += [f"{text} AS {quoted(f'_persons_{k}')}" for k, text in enumerate(counts.hidden)]
    items += [f"{text} AS {quoted(f'_enterprises_{k}')}" for k, text in enumerate(counts.enterprises)]
    text = f"SELECT {', '.join(items)} FROM {write_from(source.joined for source in select.scope.sources)}"
    if select.where is not None:
        text += f" WHERE {write(attempts.attempt_condition(select.where))}"
    if select.keys:
        text += f" GROUP BY {', '.join(write(attempts.attempt(key)) for key in select.keys)}"
    return text
