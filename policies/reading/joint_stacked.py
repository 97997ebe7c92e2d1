"""One table that its holders have in parts: a SELECT over UNION ALL, cut into the same SELECT over each part.

    SELECT region, sum(income) AS total FROM (
        SELECT region, income FROM east.income
        UNION ALL SELECT region, wage AS income FROM west.income WHERE year = 2025
    ) t GROUP BY region

Sums over all rows are the sums over each holder's, added up; so nobody is matched, and each holder adds up its own rows
by itself. The outer SELECT is written over each part's own relation, conditions of both together, and read there like
any other (`joint_select`): from this come the holder's conditions, codes and stand-in, and refusals that name its own
columns. Sums and figures are those of the whole table, whose columns lie between the ends that any holder declared, so
that they are the same for all; each holder computes the same operands, of its own columns.

How many rows a person has among all holders nobody knows, since nobody looks: thresholds count for that
(`plans.joint_guards`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from sqlglot import exp

from plans.joint import MOST_HOLDERS, Grouping, JointReading, Operand, Portion, Shape
from plans.joint_shadows import DeclaredColumn, JointShadow
from plans.manifest import Declared
from plans.names import PERSON
from plans.reading import Shadow, ShadowColumn
from plans.request import statement_digest
from policies.reading import joint_select, refusal
from policies.reading.joint_figures import Sums
from policies.reading.joint_ranges import mapped, numbers_of
from policies.reading.sources import Scope, Source, read_sources, refuse_extra, require_name
from policies.reading.tree import Column
from policies.reading.writer import write

_PARTS = {
    "by_name": "UNION BY NAME",
    "side": "this kind of UNION",
    "kind": "this kind of UNION",
    "on": "this kind of UNION",
    "order": "ORDER BY",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "with_": "WITH",
}
_NOT_IN_A_PART = {
    "joins": "JOIN",
    "group": "GROUP BY",
    "having": "HAVING",
    "qualify": "QUALIFY",
    "windows": "WINDOW",
    "distinct": "DISTINCT",
    "order": "ORDER BY",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "sample": "SAMPLE",
    "with_": "WITH",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """One holder's part: its SELECT, its relation, what is known of that, and its columns by the table's names."""

    node: exp.Select
    source: Source
    known: JointShadow
    columns: dict[str, Column]


def parts_of(root: exp.Select) -> tuple[exp.Expression, ...]:
    """Return the parts of the table over which a statement is; none where it is over relations.

    Raises:
        SqlUnsupported: they are put together in another way than by UNION ALL.
    """
    clause = root.args.get("from_")
    if clause is None or not isinstance(clause.this, exp.Subquery):
        return ()
    inside = _unwrapped(clause.this.this)
    return tuple(_all(inside)) if isinstance(inside, exp.SetOperation) else ()


def _unwrapped(node: exp.Expression) -> exp.Expression:
    while isinstance(node, exp.Subquery) and not node.args.get("alias"):
        refuse_extra(node, {"this"})
        node = node.this
    return node


def _all(node: exp.Expression) -> Iterator[exp.Expression]:
    node = _unwrapped(node)
    if not isinstance(node, exp.SetOperation):
        yield node
        return
    if not isinstance(node, exp.Union) or node.args.get("distinct") is not False:
        raise refusal.unsupported(
            node,
            f"{refusal.word(node).upper()} compares rows of different owners, which nobody sees side by side",
            "Put the parts of one table together by UNION ALL.",
        )
    for part, word in _PARTS.items():
        if node.args.get(part):
            raise refusal.unsupported(
                node, f"{word} is not in the subset of joint statements", "Leave it out."
            )
    refuse_extra(node, {"this", "expression", "distinct"})
    yield from _all(node.this)
    yield from _all(node.expression)


# --- reading -----------------------------------------------------


def read_stacked(
    text: str, root: exp.Select, nodes: tuple[exp.Expression, ...], shadows: tuple[JointShadow, ...]
) -> JointReading:
    """Return what a statement over the parts of one table is.

    Raises:
        SqlSyntax: it names what is not there.
        SqlUnsupported: it cannot be cut into what each holder computes by itself, or the parts do not fit together.
    """
    alias = _alias(root)
    parts = _parts(root, nodes, shadows)
    scope = Scope((Source(alias, _whole_shadow(alias, parts), False),))
    keys = joint_select.keys_of(root, joint_select.items_of(root), scope)
    own = [joint_select.read_select(_over(root, part, scope, list(keys)), *_known(part)) for part in parts]
    portions = [found.portions()[0] for found in own]
    found = joint_select.read_select(root, scope, {alias: _whole(alias, parts, portions)})
    listed = [group for groups in found.groups for group in groups]
    _require_same_codes(root, parts, portions, listed)
    return JointReading(
        statement=statement_digest(text),
        portions=tuple(
            replace(portion, operands=_operands(found.sums, part))
            for portion, part in zip(portions, parts, strict=True)
        ),
        sums=tuple(found.sums.sums),
        figures=found.figures,
        outputs=found.names,
        shape=Shape.STACKED,
    )


def _alias(root: exp.Select) -> str:
    if root.args.get("joins"):
        raise refusal.unsupported(
            root, "JOIN beside UNION ALL is not in the subset of joint statements",
            "A statement is over one table in parts, or over relations that persons join.",
        )  # fmt: skip
    table = root.args["from_"].this
    refuse_extra(table, {"this", "alias"})
    alias = table.args.get("alias")
    if alias is None:
        raise refusal.wrong(table, "the table in parts has no name", "Write FROM (… UNION ALL …) t.")
    refuse_extra(alias, {"this"})
    return require_name(alias.this, "an alias")


def _parts(
    root: exp.Select, nodes: Sequence[exp.Expression], shadows: tuple[JointShadow, ...]
) -> tuple[_Part, ...]:
    if len(nodes) > MOST_HOLDERS:
        raise refusal.unsupported(root, f"a table in parts has at most {MOST_HOLDERS} holders")
    found: list[_Part] = []
    for node in nodes:
        part = _part(node, shadows, list(found[0].columns) if found else None)
        _require_other_owner(node, part, found)
        if found:
            _require_one_type(node, found[0], part)
        found.append(part)
    return tuple(found)


def _part(node: exp.Expression, shadows: tuple[JointShadow, ...], names: list[str] | None) -> _Part:
    """Return one part; `names` are those of the columns of the first."""
    if not isinstance(node, exp.Select):
        raise refusal.unsupported(node, f"a part of a table is a SELECT, and this is a {refusal.word(node)}")
    for clause, word in _NOT_IN_A_PART.items():
        if node.args.get(clause):
            raise refusal.unsupported(
                node,
                f"{word} in a part of a table is not in the subset of joint statements",
                "A part is columns of one relation as they stand, with a WHERE of its own.",
            )
    refuse_extra(node, {"expressions", "from_", "where"})
    scope = read_sources(node, tuple(each.shadow for each in shadows))
    (source,) = scope.sources
    known = next(each for each in shadows if each.shadow.relation == source.shadow.relation)
    if not known.key:
        raise refusal.unsupported(
            node,
            f"{source.shadow.relation} is about nobody, and a table in parts is about persons",
            "Ask its owner by itself.",
        )
    columns: dict[str, Column] = {}
    for item in node.expressions:
        name, column = _column(item, scope, known)
        if name in columns or column in columns.values():
            raise refusal.unsupported(
                item, f"a part has the column {name} twice", "Name different columns of the relation."
            )
        columns[name] = column
    if not columns:
        raise refusal.unsupported(node, "a part of a table has no column", "Name at least one.")
    if names is not None and list(columns) != names:
        raise refusal.unsupported(
            node,
            f"the parts of a table have the same columns in the same order, and {known.domain} has others:"
            f" {', '.join(columns)} instead of {', '.join(names)}",
            "Give columns the names of the first part with AS.",
        )
    return _Part(node, source, known, columns)


def _column(item: exp.Expression, scope: Scope, known: JointShadow) -> tuple[str, Column]:
    node = joint_select.inner(item)
    if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
        raise refusal.unsupported(
            item,
            "a part of a table yields columns as they stand",
            "Compute with them in the outer SELECT, for all parts alike.",
        )
    column = scope.column(node)
    name = (
        require_name(item.args["alias"], "the name of a column")
        if isinstance(item, exp.Alias)
        else column.name
    )
    if column.name in (PERSON, known.key) or name == PERSON:
        raise refusal.unsupported(
            item,
            f"row-level output: {column.relation}.{column.name} names persons, whom nobody matches in one table",
            "Leave it out; who is in several parts counts in each.",
        )
    return name, column


def _require_other_owner(node: exp.Expression, part: _Part, before: Sequence[_Part]) -> None:
    if part.known.domain in {each.known.domain for each in before}:
        raise refusal.unsupported(
            node,
            f"two parts are of {part.known.domain}",
            "Each holder has one part; ask it for one relation of both.",
        )


def _require_one_type(node: exp.Expression, first: _Part, part: _Part) -> None:
    for name, column in part.columns.items():
        wanted = first.columns[name].type
        if column.type != wanted:
            raise refusal.unsupported(
                node,
                f"{name} is {wanted} at {first.known.domain} and {column.type} at {part.known.domain}",
                "Columns of one table have one type; ask the owners for that.",
            )


# --- the outer SELECT over one part -----------------------------------------------------


def _known(part: _Part) -> tuple[Scope, dict[str, JointShadow]]:
    return Scope((part.source,)), {part.source.alias: part.known}


def _over(root: exp.Select, part: _Part, scope: Scope, keys: Sequence[Column]) -> exp.Select:
    """Return the outer SELECT with a part's relation in the place of the table, under the conditions of both."""

    def own(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Query):
            raise refusal.unsupported(
                node, "a subquery is not in the subset of joint statements", "Put conditions into the parts."
            )
        if not isinstance(node, exp.Column) or not isinstance(node.this, exp.Identifier):
            return node
        return _written(part, part.columns[scope.column(node).name], node)

    items: list[exp.Expression] = []
    names: list[str] = []
    for item in joint_select.items_of(root):
        names.append(joint_select.name_of(item, len(names) + 1, names))
        written = joint_select.inner(item).transform(own)
        items.append(exp.Alias(this=written, alias=exp.to_identifier(names[-1])))
    conditions = [each.this for each in (part.node.args.get("where"),) if each]
    conditions += [each.this.transform(own) for each in (root.args.get("where"),) if each]
    found = exp.Select(expressions=items)
    if conditions:
        both = (
            conditions[0] if len(conditions) == 1 else exp.And(this=conditions[0], expression=conditions[1])
        )
        found.set("where", exp.Where(this=both))
    if keys:
        grouped = [_written(part, part.columns[key.name], root) for key in keys]
        found.set("group", exp.Group(expressions=grouped))
    return found


def _written(part: _Part, column: Column, node: exp.Expression) -> exp.Column:
    """Return a column of a part's relation, at the place where the statement has the table's."""
    name = exp.to_identifier(column.name)
    if isinstance(node, exp.Column):
        name.meta.update(node.this.meta)
    return exp.Column(this=name, table=exp.to_identifier(part.source.alias))


# --- the whole table -----------------------------------------------------


def _whole_shadow(alias: str, parts: Sequence[_Part]) -> Shadow:
    return Shadow(
        alias,
        tuple(
            ShadowColumn(name, column.type, any(part.columns[name].nullable for part in parts))
            for name, column in parts[0].columns.items()
        ),
    )


def _whole(alias: str, parts: Sequence[_Part], portions: Sequence[Portion]) -> JointShadow:
    """Return what is known of the whole table: its values lie between the ends that any holder declared.

    Its key and owner are nobody's: holders are asked by themselves, and nobody is matched.
    """
    shadow = _whole_shadow(alias, parts)
    declared = tuple(DeclaredColumn(name, _declared(name, parts)) for name in parts[0].columns)
    rows = sum(portion.bound for portion in portions)
    return JointShadow(parts[0].known.domain, shadow.columns[0].name, rows, shadow, declared)


def _declared(name: str, parts: Sequence[_Part]) -> Declared:
    each = [part.known.declared_of(part.columns[name].name) for part in parts]
    ends = [numbers_of(declared) for declared in each]
    if not all(ends):
        return Declared(values=each[0].values)
    numbers = [text for found in ends for text in found]
    return Declared(min(numbers, key=Fraction), max(numbers, key=Fraction), each[0].values)


def _require_same_codes(
    root: exp.Select, parts: Sequence[_Part], portions: Sequence[Portion], listed: Sequence[Grouping]
) -> None:
    for part, portion in zip(parts, portions, strict=True):
        for group, own in zip(listed, portion.groups, strict=True):
            if own.codes != group.codes:
                raise refusal.unsupported(
                    root,
                    f"{parts[0].known.domain} and {part.known.domain} have declared different lists of values of"
                    f" {group.column}",
                    "Ask the owners for one list, in one order, or leave the key out.",
                )


def _operands(sums: Sums, part: _Part) -> tuple[Operand, ...]:
    """Return the operands of the whole table, computed of a part's own columns."""

    def own(column: Column) -> Column:
        return replace(part.columns[column.name], source="")

    return tuple(
        replace(operand, expression=write(mapped(expression, own)))
        for operand, expression in zip(sums.operands[0], sums.computed[0], strict=True)
    )
