"""One SELECT of a joint statement over given relations: conditions, keys, figures, and what each owner brings.

Rows of several owners that persons join are read like this (`policies.reading.joint`), and so is each part of a table
that its holders have in parts (`policies.reading.joint_stacked`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from plans.joint import MOST_JOINT_CELLS, Grouping, JointFigure, Portion
from plans.joint_shadows import JointShadow, public_bound
from policies.reading import grammar, joint_figures, joint_ranges, listed, refusal, translate
from policies.reading.attempts import attempt_condition
from policies.reading.joint_figures import Sums, bare
from policies.reading.joint_ranges import Facts, mapped
from policies.reading.sources import NAME, Scope, Source, identifier, refuse_extra, require_name
from policies.reading.statement import MOST_OUTPUTS
from policies.reading.tree import Column, Expression, Operation, columns
from policies.reading.writer import quoted, write

_CLAUSES = {
    "with_": ("WITH", "Write one SELECT over the owners' relations."),
    "distinct": (
        "DISTINCT",
        "Use GROUP BY with keys of public code lists; a person is at most once at each owner.",
    ),
    "having": ("HAVING", "Leave cells out on your own side, after they are opened."),
    "qualify": ("QUALIFY", "Leave cells out on your own side, after they are opened."),
    "windows": ("WINDOW", "Compute with figures on your own side."),
    "order": ("ORDER BY", "Cells come in the order of their code lists; order them on your own side."),
    "limit": ("LIMIT", "All cells are opened; take those that you need on your own side."),
    "offset": ("OFFSET", "All cells are opened; take those that you need on your own side."),
    "sample": ("SAMPLE", "Leave it out."),
}
_BOOLEANS = ("false", "true")
_KEY_TYPES = ("VARCHAR", "DATE")


@dataclass(frozen=True, slots=True)
class Selected:
    """What a SELECT yields, `names` in its order; conditions and keys of groups by the place of their relation."""

    names: tuple[str, ...]
    figures: tuple[JointFigure, ...]
    sums: Sums
    conditions: list[list[Expression]]
    groups: list[list[Grouping]]

    def portions(self) -> tuple[Portion, ...]:
        """Return what each owner brings, by the place of its relation."""
        sources = enumerate(self.sums.scope.sources)
        return tuple(
            portion_of(place, source, self.sums, self.conditions[place], self.groups[place])
            for place, source in sources
        )


def require_clauses(root: exp.Expression, *, limited: bool = False) -> exp.Select:
    """Return the statement as the one SELECT that it is, without clauses that joint statements have not; LIMIT is one
    of these but where it may be `limited`.

    Raises:
        SqlUnsupported: it is something else, or has such a clause.
    """
    if not isinstance(root, exp.Select):
        raise refusal.unsupported(
            root, f"{refusal.word(root).upper()} is no single SELECT, which a joint statement is", ""
        )
    for part, (word, instead) in _CLAUSES.items():
        found = root.args.get(part)
        if found and not (limited and part == "limit"):
            node = found if isinstance(found, exp.Expression) else root
            raise refusal.unsupported(node, f"{word} is not in the subset of joint statements", instead)
    refuse_extra(root, {"expressions", "from_", "joins", "where", "group", *(("limit",) if limited else ())})
    return root


def read_select(root: exp.Select, scope: Scope, facts: Facts) -> Selected:
    """Return what a SELECT asks of the relations in its scope.

    Raises:
        SqlSyntax: it names what is not there.
        SqlUnsupported: it cannot be cut into what each owner computes by itself, or yields no figure.
    """
    conditions = conditions_of(root, scope)
    sums = Sums.over(scope, facts)
    items = items_of(root)
    keys = keys_of(root, items, scope)
    names: list[str] = []
    figures: list[JointFigure] = []
    for item in items:
        name = name_of(item, len(names) + 1, names)
        names.append(name)
        column = _key_of(item, keys, scope)
        if column is None:
            figures.append(joint_figures.read_figure(inner(item), name, sums))
        else:
            keys[column] = name
    groups = _groups(root, keys, sums)
    if not figures:
        raise refusal.unsupported(
            root, "the statement yields no figure", "Add count(*), sum, avg or another."
        )
    return Selected(tuple(names), tuple(figures), sums, conditions, groups)


# --- WHERE -----------------------------------------------------


def conditions_of(root: exp.Select, scope: Scope) -> list[list[Expression]]:
    """Return the terms of WHERE, each with the owner whose columns it is about, by the place of the relation.

    Raises:
        SqlSyntax: a term names what is not there.
        SqlUnsupported: a term is about no column, or about several owners', or has something that is not listed.
    """
    found: list[list[Expression]] = [[] for _ in scope.sources]
    where = root.args.get("where")
    aliases = [source.alias for source in scope.sources]
    for term in _terms(where.this) if where is not None else ():
        mentioned = joint_figures.sources_of(term, scope)
        if len(mentioned) > 1:
            relations = {scope.sources[aliases.index(alias)].shadow.relation for alias in mentioned}
            raise joint_ranges.refused_mixture(term, relations, "a condition in WHERE")
        condition = translate.condition(term, listed.rows(scope))
        joint_figures.require_no_cohort(condition, term)
        if not columns(condition):
            raise refusal.unsupported(term, "a condition in WHERE is about no column", "Leave it out.")
        found[aliases.index(columns(condition)[0].source)].append(condition)
    return found


def _terms(condition: exp.Expression) -> Iterator[exp.Expression]:
    if isinstance(condition, exp.Paren):
        yield from _terms(condition.this)
    elif isinstance(condition, exp.And):
        yield from _terms(condition.this)
        yield from _terms(condition.expression)
    else:
        yield condition


# --- GROUP BY and the SELECT list -----------------------------------------------------


def items_of(root: exp.Select) -> list[exp.Expression]:
    """Return the outputs of a SELECT as they are written.

    Raises:
        SqlUnsupported: there are none, or too many.
    """
    if not 0 < len(root.expressions) <= MOST_OUTPUTS:
        raise refusal.unsupported(root, f"a statement yields 1 to {MOST_OUTPUTS} columns")
    return list(root.expressions)


def inner(item: exp.Expression) -> exp.Expression:
    """Return an output without its name and the parentheses around it."""
    node = item.this if isinstance(item, exp.Alias) else item
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def keys_of(root: exp.Select, items: list[exp.Expression], scope: Scope) -> dict[Column, str]:
    """Return the columns of GROUP BY, in their order, each to be given the name of its output.

    Raises:
        SqlSyntax: a key is not there.
        SqlUnsupported: a key is no column as it stands.
    """
    group = root.args.get("group")
    if group is None:
        return {}
    refuse_extra(group, {"expressions"})
    found: dict[Column, str] = {}
    for item in group.expressions:
        node = _meant(item, items, scope)
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            raise refusal.unsupported(
                item,
                "a GROUP BY key of a joint statement is a column as it stands",
                "Ask the owner for a column of the coarser codes, or add up cells on your own side.",
            )
        found[scope.column(node)] = ""
    return found


def _meant(item: exp.Expression, items: list[exp.Expression], scope: Scope) -> exp.Expression:
    """Return what an item of GROUP BY means: an output by position or name, or itself."""
    if isinstance(item, exp.Literal) and not item.is_string and str(item.this).isdigit():
        place = int(str(item.this)[:4]) - 1
        if not 0 <= place < len(items):
            raise refusal.wrong(item, f"there are {len(items)} outputs, numbered from 1")
        return inner(items[place])
    if (
        isinstance(item, exp.Column)
        and item.args.get("table") is None
        and isinstance(item.this, exp.Identifier)
    ):
        name = identifier(item.this)
        named = (each for each in items if isinstance(each, exp.Alias) and each.alias.lower() == name)
        alias = next(named, None)
        if alias is not None and not scope.has(name):
            return inner(alias)
    return item


def _key_of(item: exp.Expression, keys: dict[Column, str], scope: Scope) -> Column | None:
    """Return the key that an output is, or none where it is a figure."""
    node = inner(item)
    if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
        return None
    column = scope.column(node)
    if column not in keys:
        raise refusal.unsupported(
            item,
            f"row-level output: {column.relation}.{column.name} is neither a figure nor a GROUP BY key",
            "Add it to GROUP BY, or aggregate it.",
        )
    if keys[column]:
        raise refusal.unsupported(item, "a GROUP BY key is an output twice", "Name it once.")
    return column


def name_of(item: exp.Expression, number: int, taken: list[str]) -> str:
    """Return what an output is called: the one of this number, beside names that are taken.

    Raises:
        SqlSyntax: the name is taken.
        SqlUnsupported: nothing may be called so.
    """
    node = inner(item)
    if isinstance(item, exp.Alias):
        name = require_name(item.args["alias"], "the name of an output")
    elif isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
        name = identifier(node.this)
    else:
        used = {
            identifier(each.this)
            for each in node.find_all(exp.Column)
            if isinstance(each.this, exp.Identifier)
        }
        function = joint_figures.FUNCTIONS.get(type(node), "count" if isinstance(node, exp.Count) else "")
        name = "_".join([function, *used]) if function and len(used) <= 1 else ""
        name = name if NAME.fullmatch(name) and name not in taken else f"column_{number}"
    if name in taken:
        raise refusal.wrong(item, f"two outputs are called {name!r}", "Name them with AS.")
    return name


def _groups(root: exp.Expression, keys: dict[Column, str], sums: Sums) -> list[list[Grouping]]:
    found: list[list[Grouping]] = [[] for _ in sums.scope.sources]
    aliases = [source.alias for source in sums.scope.sources]
    cells = 1
    for column, name in keys.items():
        if not name:
            raise refusal.unsupported(
                root, f"the GROUP BY key {column.name} is no output", "Add it to the SELECT list."
            )
        codes = _codes(root, column, sums.facts[column.source])
        found[aliases.index(column.source)].append(Grouping(name, column.name, codes))
        cells *= len(codes)
    if cells > MOST_JOINT_CELLS:
        raise refusal.unsupported(
            root,
            f"the code lists of the GROUP BY keys have {cells:,} combinations, more than {MOST_JOINT_CELLS:,}",
            "Group by fewer or coarser keys.",
        )
    return found


def _codes(root: exp.Expression, column: Column, known: JointShadow) -> tuple[str, ...]:
    if column.type == "BOOLEAN":
        return _BOOLEANS
    codes = known.declared_of(column.name).values
    if column.type not in _KEY_TYPES and not grammar.INTEGERS.fullmatch(column.type):
        raise refusal.unsupported(
            root, f"{column.relation}.{column.name} has the type {column.type}, which has no list of codes"
        )
    if not codes:
        raise refusal.unsupported(
            root,
            f"{known.domain} has declared no list of values of {column.relation}.{column.name}, or a mask covers it;"
            " the cells of a joint statement are known before anybody looks at data",
            "Ask the owner to declare the column's values (docs/joint-sql.md), or leave the key out.",
        )
    return codes


# --- portions -----------------------------------------------------


def portion_of(
    place: int, source: Source, sums: Sums, conditions: list[Expression], groups: list[Grouping]
) -> Portion:
    """Return what the owner of one relation brings."""
    known = sums.facts[source.alias]
    kept = [attempt_condition(mapped(condition, bare)) for condition in conditions]
    for group in groups:
        column = source.column(group.column)
        if column is not None and column.nullable:
            kept.append(Operation("not", (Operation("is null", (bare(column),)),)))
    return Portion(
        domain=known.domain,
        relation=source.shadow.relation,
        key=known.key,
        where=" AND ".join(map(write, kept)),
        groups=tuple(groups),
        operands=tuple(sums.operands[place]),
        stand_in=_stand_in(source, conditions, groups, sums.alone[place]),
        bound=public_bound(known.rows),
    )


def _stand_in(source: Source, conditions: list[Expression], groups: list[Grouping], alone: list[str]) -> str:
    keys = [quoted(group.column) for group in groups]
    figures = [f"{text} AS figure_{number}" for number, text in enumerate(["count(*)", *alone])]
    text = _selected([*keys, *figures], source, conditions)
    return f"{text} GROUP BY {', '.join(keys)}" if keys else text


def shown(source: Source, names: list[str], conditions: list[Expression]) -> str:
    """Return the stand-in of what is told row by row: these columns of the rows that conditions let through."""
    return _selected(list(map(quoted, names)), source, conditions)


def chosen(portion: Portion, source: Source, conditions: list[Expression]) -> Portion:
    """Return the portion of an owner of whose persons something is told: whoever is told of a person knows that it
    meets the conditions, so its stand-in shows the columns in these row by row; without any it counts the rows.
    """
    names = dict.fromkeys(column.name for condition in conditions for column in columns(condition))
    return replace(portion, stand_in=shown(source, list(names), conditions)) if names else portion


def _selected(items: list[str], source: Source, conditions: list[Expression]) -> str:
    schema, _, table = source.shadow.relation.partition(".")
    text = f"SELECT {', '.join(items)} FROM {quoted(schema)}.{quoted(table)}"
    if conditions:
        text += f" WHERE {' AND '.join(write(mapped(condition, bare)) for condition in conditions)}"
    return text
