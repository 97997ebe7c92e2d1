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

**Other shapes.** A table that its holders have in parts is put together by UNION ALL (`joint_stacked`). A statement
whose one output is the column by which persons are joined asks who is at every owner (`_read_common`):

    SELECT person FROM residents.register r JOIN pension.members m USING (person)

There is no figure then, and each owner's stand-in counts its rows; the finder's, if it has a condition, shows the
columns in it, since whoever is found meets it. Nor is there one where rows are scored by a model (CROSS JOIN,
`joint_scored`) or persons looked up in a register (LEFT JOIN, `joint_lookup`).
"""

from __future__ import annotations

from sqlglot import exp

from plans.joint import MOST_OWNERS, JointReading, Shape
from plans.joint_shadows import JointShadow
from plans.names import PERSON
from plans.request import statement_digest
from policies.reading import joint_select, refusal
from policies.reading.bounds import parse
from policies.reading.joint_figures import Sums
from policies.reading.joint_lookup import read_lookup
from policies.reading.joint_ranges import Facts
from policies.reading.joint_scored import read_scored
from policies.reading.joint_stacked import parts_of, read_stacked
from policies.reading.sources import Scope, Source, read_sources


def read_joint(text: str, shadows: tuple[JointShadow, ...]) -> JointReading:
    """Return what a statement over several owners' relations is.

    Raises:
        TooLarge: the statement is longer than the bounds.
        SqlSyntax: it does not parse, is not one statement, or names what is not there.
        SqlUnsupported: it cannot be cut into what each owner computes by itself.
        Malformed: it has no figure, or too many cells.
    """
    tree = parse(text)
    looked_up = _without_figures(tree, "side", "LEFT")
    root = joint_select.require_clauses(tree, limited=looked_up)
    if _without_figures(root, "kind", "CROSS"):
        return read_scored(text, root, shadows)
    if looked_up:
        return read_lookup(text, root, *_sources(root, shadows, "LEFT"), root.args.get("limit"))
    parts = parts_of(root)
    if parts:
        return read_stacked(text, root, parts, shadows)
    scope, facts = _sources(root, shadows)
    if _asks_who(root, scope, facts):
        return _read_common(text, root, scope, facts)
    found = joint_select.read_select(root, scope, facts)
    return JointReading(
        statement=statement_digest(text),
        portions=found.portions(),
        sums=tuple(found.sums.sums),
        figures=found.figures,
        outputs=found.names,
    )


def _without_figures(root: exp.Expression, part: str, word: str) -> bool:
    """Return whether a statement has a join of a kind, and no figure: what it tells, it tells row by row."""
    joins = root.args.get("joins") or () if isinstance(root, exp.Select) else ()
    kinds = {str(join.args.get(part) or "").upper() for join in joins}
    return word in kinds and not any(item.find(exp.AggFunc) for item in root.expressions)


def _asks_who(root: exp.Select, scope: Scope, facts: Facts) -> bool:
    """Return whether a statement asks for nothing but the persons whom all owners have."""
    if len(root.expressions) != 1 or root.args.get("group"):
        return False
    node = joint_select.inner(root.expressions[0])
    if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
        return False
    column = scope.column(node)
    return column.name in (PERSON, facts[column.source].key)


def _read_common(text: str, root: exp.Select, scope: Scope, facts: Facts) -> JointReading:
    sums = Sums.over(scope, facts)
    parts = list(zip(scope.sources, joint_select.conditions_of(root, scope), strict=True))
    return JointReading(
        statement=statement_digest(text),
        portions=tuple(
            joint_select.chosen(joint_select.portion_of(place, source, sums, own, []), source, own)
            for place, (source, own) in enumerate(parts)
        ),
        sums=(),
        figures=(),
        outputs=(joint_select.name_of(root.expressions[0], 1, []),),
        shape=Shape.COMMON,
    )


# --- FROM -----------------------------------------------------


def _sources(
    root: exp.Select, shadows: tuple[JointShadow, ...], wanted: str = ""
) -> tuple[Scope, dict[str, JointShadow]]:
    """Return the relations, one of each owner, all joined by the persons in them; `wanted` is the side of joins."""
    for join in root.args.get("joins") or ():
        side, kind = (str(join.args.get(part) or "").upper() for part in ("side", "kind"))
        if side != wanted or kind not in ("", "OUTER" if wanted else "INNER"):
            raise refusal.unsupported(
                join,
                f"{' '.join(filter(None, (side, kind)))} JOIN is not in the subset of joint statements",
                "Use JOIN … USING (person): only rows of persons whom all owners have are matched.",
            )
    scope = read_sources(root, tuple(each.shadow for each in shadows))
    by_relation = {each.shadow.relation: each for each in shadows}
    facts = {source.alias: by_relation[source.shadow.relation] for source in scope.sources}
    _require_persons(root, facts)
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
    _require_one_code(root, facts)
    return scope, facts


def _require_persons(root: exp.Expression, facts: dict[str, JointShadow]) -> None:
    for known in facts.values():
        if not known.key:
            raise refusal.unsupported(
                root,
                f"{known.shadow.relation} is about nobody, and owners are joined by persons",
                "Join such data at their owner; a model of one row goes with CROSS JOIN (docs/joint-sql.md).",
            )


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


def _require_one_code(root: exp.Expression, facts: dict[str, JointShadow]) -> None:
    """People and enterprises are not joined, where owners said which code names them: hardly one has both."""
    codes = {each.shadow.relation: each.declared_of(each.key).code for each in facts.values()}
    if len(set(codes.values()) - {""}) > 1:
        said = ", ".join(f"{relation} by {code}" for relation, code in sorted(codes.items()) if code)
        raise refusal.unsupported(
            root,
            f"relations name their persons by different codes: {said}",
            "Join people with people, and enterprises with enterprises.",
        )
