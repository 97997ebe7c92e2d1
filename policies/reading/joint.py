"""The reader of joint statements: one SELECT over relations of several owners, cut into what each computes by itself.

    SELECT h.region, avg(t.income) AS mean, count(*) AS n
    FROM health.visits h JOIN tax.income t USING (person)
    WHERE h.icd LIKE 'E11%' GROUP BY h.region

No place sees rows of two owners. So every condition and every value is over one relation, and runs in that owner's own
box; keys of groups have public lists of codes, so that the cells are known before anybody looks; and what crosses is
one row for each person, in shares, of which sums are made (`joint_figures`), within ranges that follow from what owners
declared (`joint_ranges`). What cannot be cut like this is refused, by the name of the clause, with what to do.

**The stand-in.** For each owner the reader writes a statement over its relation alone, of figures that use every column
in the clauses in which the joint statement does. It is read and decided like any other; so an owner's rules about
columns hold for joint statements without a second set of rules.

A row without a key of its group is in no cell, and every relation holds a person once: rows of DuckDB's plain join that
a missing key would put into a group of their own are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from plans.joint import MOST_JOINT_CELLS, MOST_OWNERS, Grouping, JointFigure, JointReading, Portion
from plans.joint_shadows import JointShadow, public_bound
from plans.names import PERSON
from plans.request import statement_digest
from policies.reading import grammar, joint_figures, joint_ranges, listed, refusal, translate
from policies.reading.attempts import attempt_condition
from policies.reading.bounds import parse
from policies.reading.joint_figures import Sums, bare
from policies.reading.joint_ranges import mapped
from policies.reading.sources import NAME, Scope, Source, identifier, read_sources, refuse_extra, require_name
from policies.reading.statement import MOST_OUTPUTS
from policies.reading.tree import Column, Expression, Operation, columns
from policies.reading.writer import quoted, write

_CLAUSES = {
    "with_": ("WITH", "Write one SELECT over the owners' relations."),
    "distinct": ("DISTINCT", "Use GROUP BY with keys of public code lists."),
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


def read_joint(text: str, shadows: tuple[JointShadow, ...]) -> JointReading:
    """Return what a statement over several owners' relations is.

    Raises:
        TooLarge: the statement is longer than the bounds.
        SqlSyntax: it does not parse, is not one statement, or names what is not there.
        SqlUnsupported: it cannot be cut into what each owner computes by itself.
        Malformed: it has no figure, or too many cells.
    """
    root = parse(text)
    _require_clauses(root)
    assert isinstance(root, exp.Select)
    scope, facts = _sources(root, shadows)
    conditions = _conditions(root, scope)
    sums = Sums(scope, facts, [[] for _ in scope.sources], [[] for _ in scope.sources])
    items = _items(root)
    keys = _keys(root, items, scope)
    names: list[str] = []
    figures: list[JointFigure] = []
    for item in items:
        name = _name(item, len(names) + 1, names)
        names.append(name)
        column = _key_of(item, keys, scope)
        if column is None:
            figures.append(joint_figures.read_figure(_inner(item), name, sums))
        else:
            keys[column] = name
    groups = _groups(root, keys, sums)
    return JointReading(
        statement=statement_digest(text),
        portions=tuple(
            _portion(place, source, sums, conditions[place], groups[place])
            for place, source in enumerate(scope.sources)
        ),
        sums=tuple(sums.sums),
        figures=_some(figures, root),
        outputs=tuple(names),
    )


def _some(figures: list[JointFigure], root: exp.Expression) -> tuple[JointFigure, ...]:
    if not figures:
        raise refusal.unsupported(
            root, "the statement yields no figure", "Add count(*), sum, avg or another."
        )
    return tuple(figures)


def _require_clauses(root: exp.Expression) -> None:
    if not isinstance(root, exp.Select):
        raise refusal.unsupported(
            root, f"{refusal.word(root).upper()} is no single SELECT, which a joint statement is", ""
        )
    for part, (word, instead) in _CLAUSES.items():
        found = root.args.get(part)
        if found:
            node = found if isinstance(found, exp.Expression) else root
            raise refusal.unsupported(node, f"{word} is not in the subset of joint statements", instead)
    refuse_extra(root, {"expressions", "from_", "joins", "where", "group"})


# --- FROM -----------------------------------------------------


def _sources(root: exp.Select, shadows: tuple[JointShadow, ...]) -> tuple[Scope, dict[str, JointShadow]]:
    """Return the relations, one of each owner, all joined by the persons in them."""
    for join in root.args.get("joins") or ():
        side, kind = (str(join.args.get(part) or "").upper() for part in ("side", "kind"))
        if side or kind not in ("", "INNER"):
            raise refusal.unsupported(
                join,
                f"{' '.join(filter(None, (side, kind)))} JOIN is not in the subset of joint statements",
                "Use JOIN … USING (person): only rows of persons whom all owners have are matched.",
            )
    scope = read_sources(root, tuple(each.shadow for each in shadows))
    by_relation = {each.shadow.relation: each for each in shadows}
    facts = {source.alias: by_relation[source.shadow.relation] for source in scope.sources}
    owners = [facts[source.alias].domain for source in scope.sources]
    if not 2 <= len(owners) <= MOST_OWNERS:
        raise refusal.unsupported(
            root,
            f"a joint statement is over relations of 2 to {MOST_OWNERS} owners",
            "A statement over one owner's relations is an ordinary one: darkroom.sql.",
        )
    if len(set(owners)) < len(owners):
        twice = next(owner for owner in owners if owners.count(owner) > 1)
        raise refusal.unsupported(
            root,
            f"two relations are of {twice}",
            "Use one relation of each owner, or ask the owner for a joined one.",
        )
    for source in scope.sources[1:]:
        _require_key(root, source, facts)
    _require_one_type(root, facts)
    return scope, facts


def _require_key(root: exp.Expression, source: Source, facts: dict[str, JointShadow]) -> None:
    for pair in source.links:
        for column in pair:
            if column.name not in (PERSON, facts[column.source].key):
                raise refusal.unsupported(
                    root,
                    f"relations of different owners are joined on {column.relation}.{column.name}, which is not the"
                    " column that names its persons",
                    "Join them USING (person).",
                )
    if len(source.links) != 1:
        raise refusal.unsupported(root, "owners are joined on one key", "Join them USING (person).")


def _require_one_type(root: exp.Expression, facts: dict[str, JointShadow]) -> None:
    """Keys are compared as they are written, so a number and a text never meet."""
    types = {
        each.shadow.relation: next(c.type for c in each.shadow.columns if c.name == each.key)
        for each in facts.values()
    }
    if len(set(types.values())) > 1:
        said = ", ".join(f"{relation} {kind}" for relation, kind in sorted(types.items()))
        raise refusal.unsupported(
            root, f"the keys have different types: {said}", "Ask the owners for keys of one type."
        )


# --- WHERE -----------------------------------------------------


def _conditions(root: exp.Select, scope: Scope) -> list[list[Expression]]:
    """Return the terms of WHERE, each with the owner whose columns it is about, by the place of the relation."""
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


def _items(root: exp.Select) -> list[exp.Expression]:
    if not 0 < len(root.expressions) <= MOST_OUTPUTS:
        raise refusal.unsupported(root, f"a statement yields 1 to {MOST_OUTPUTS} columns")
    return list(root.expressions)


def _inner(item: exp.Expression) -> exp.Expression:
    node = item.this if isinstance(item, exp.Alias) else item
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _keys(root: exp.Select, items: list[exp.Expression], scope: Scope) -> dict[Column, str]:
    """Return the columns of GROUP BY, in their order, each to be given the name of its output."""
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
        return _inner(items[place])
    if (
        isinstance(item, exp.Column)
        and item.args.get("table") is None
        and isinstance(item.this, exp.Identifier)
    ):
        name = identifier(item.this)
        named = (each for each in items if isinstance(each, exp.Alias) and each.alias.lower() == name)
        alias = next(named, None)
        if alias is not None and not scope.has(name):
            return _inner(alias)
    return item


def _key_of(item: exp.Expression, keys: dict[Column, str], scope: Scope) -> Column | None:
    """Return the key that an output is, or none where it is a figure."""
    node = _inner(item)
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


def _name(item: exp.Expression, number: int, taken: list[str]) -> str:
    node = _inner(item)
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


def _portion(
    place: int, source: Source, sums: Sums, conditions: list[Expression], groups: list[Grouping]
) -> Portion:
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
    schema, _, table = source.shadow.relation.partition(".")
    keys = [quoted(group.column) for group in groups]
    figures = [f"{text} AS figure_{number}" for number, text in enumerate(["count(*)", *alone])]
    text = f"SELECT {', '.join([*keys, *figures])} FROM {quoted(schema)}.{quoted(table)}"
    if conditions:
        text += f" WHERE {' AND '.join(write(mapped(condition, bare)) for condition in conditions)}"
    return f"{text} GROUP BY {', '.join(keys)}" if keys else text
