"""Rows under other names: WITH and subqueries in FROM that yield rows are written into the SELECT that reads them.

    WITH old AS (SELECT person, income * 12 AS yearly FROM tax.income WHERE age > 60)
    SELECT avg(yearly) FROM old JOIN med.visit USING (person)

becomes

    SELECT avg(income.income * 12) FROM tax.income JOIN med.visit ON … WHERE income.age > 60

so that the rules about what an aggregate may look through see what it looks at. A name that is read twice is
written in twice, with aliases of its own. Every column comes out with its alias, quoted and in small letters.

Relations that stand side by side (`FROM a, b WHERE a.x = b.y`) are joined by the equalities of WHERE.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlglot import exp

from plans.errors import SqlUnsupported
from plans.reading import Shadow
from policies.reading import flat_cohorts, listed, refusal, scopes, sources, translate
from policies.reading.bounds import BOUNDS
from policies.reading.flat_rows import (
    Aliases,
    Budget,
    Link,
    Rows,
    Scope,
    Table,
    bare,
    column_of,
    enclosed,
    place,
    terms_of,
    unlinked,
)
from policies.reading.scopes import Names
from policies.reading.sources import NAME, Source, identifier, refuse_extra, require_name

_PLAIN_JOINS = {("", ""), ("", "INNER"), ("", "CROSS"), ("LEFT", ""), ("LEFT", "OUTER")}


class Flattener:
    """Writes the rows of one SELECT flat. `mentioned` collects the columns in outputs of definitions, read or not."""

    def __init__(
        self, shadows: tuple[Shadow, ...], mentioned: set[tuple[str, str]], budget: Budget | None = None
    ) -> None:
        self._shadows, self._mentioned, self._budget = shadows, mentioned, budget or Budget()
        self._relations: dict[str, str] = {}

    def scope(self, select: exp.Select, names: Names, aliases: Aliases) -> Scope:
        """Return the scope of a SELECT over rows, its conditions read; `aliases` are its outputs by name.

        Raises:
            SqlUnsupported, SqlSyntax: FROM or WHERE holds something that is not in the subset.
        """
        clause = select.args.get("from_")
        if clause is None:
            raise refusal.unsupported(select, "a statement needs a relation", "Add FROM schema.table.")
        refuse_extra(clause, {"this"})
        scope = Scope(budget=self._budget, names=names)
        written: dict[exp.Expression, exp.Expression] = {}

        def choose(node: exp.Expression) -> exp.Expression:
            """Write a subquery once, so that it is the same wherever it stands."""
            if node not in written:
                written[node] = flat_cohorts.written(node, scope, lambda query: self.rows(query, names, ()))
            return written[node].copy()

        scope.choose = choose
        alias, rows = self._source(clause.this, names)
        self._add(scope, clause.this, alias, rows)
        scope.tables, scope.where = list(rows.tables), list(rows.where)
        for join in select.args.get("joins") or ():
            self._join(scope, join, names)
        where = select.args.get("where")
        terms = (
            [] if where is None else [enclosed(term) for term in terms_of(scope.resolve(where.this, aliases))]
        )
        scope.where += unlinked(scope, terms)
        place(scope)
        if scope.waiting:
            raise refusal.unsupported(
                select,
                "relations stand side by side without a condition that links them",
                "Use JOIN … ON a.x = b.y; cross joins are not in the subset.",
            )
        return scope

    def rows(self, query: exp.Expression, names: Names, columns: tuple[str, ...]) -> Rows:
        """Return the rows that a query of the kind `rows` yields.

        Raises:
            SqlUnsupported: it orders, limits or compares whole rows.
        """
        names = scopes.extended(query, names)
        if isinstance(query, exp.Subquery):
            refuse_extra(query, {"this", "alias", "with_"})
            return self.rows(query.this, names, columns)
        for part in ("distinct", "order", "limit", "offset", "qualify", "having", "windows"):
            if query.args.get(part) is not None:
                word = part.upper().removesuffix("S")
                raise refusal.unsupported(
                    query,
                    f"row-level output: {word} over single rows is not in the subset",
                    "Aggregate first; what groups yield may be ordered, limited and compared.",
                )
        refuse_extra(query, {"expressions", "from_", "joins", "where", "with_"})
        assert isinstance(query, exp.Select)
        aliases = output_aliases(query)
        scope = self.scope(query, names, aliases)
        found = Rows(tuple(scope.tables), tuple(scope.where), tuple(self._columns(query, scope, aliases)))
        found = found.named(columns)
        for _, expression in found.columns:
            if expression is not None:
                self._require_value(expression, found.tables)
                self._mention(expression)
        return _first_names(found)

    def _require_value(self, expression: exp.Expression, tables: tuple[Table, ...]) -> None:
        """Refuse an output that is no value of a row, read or not: `unnest` would make several rows of one."""
        if isinstance(expression, exp.Column):
            return
        known = {shadow.relation: shadow for shadow in self._shadows}
        translate.value(
            expression,
            listed.rows(
                sources.Scope(
                    tuple(Source(each.alias, known[each.relation], False) for each in tables),
                    frozenset(),
                    self._shadows,
                )
            ),
        )

    def _columns(
        self, query: exp.Select, scope: Scope, aliases: Aliases
    ) -> Iterator[tuple[str, exp.Expression | None]]:
        for item in query.expressions:
            star = item.this if isinstance(item, exp.Column) else item
            if isinstance(star, exp.Star):
                yield from _starred(item, star, scope)
                continue
            node = item.this if isinstance(item, exp.Alias) else item
            name = output_name(item)
            if any(isinstance(inner, exp.Window) for inner in scopes.own_nodes(node)):
                raise refusal.unsupported(
                    node,
                    "row-level output: a window over single rows is not in the subset",
                    "Aggregate first; windows over figures are.",
                )
            others = {known: each for known, each in aliases.items() if known != name}
            yield name, bare(scope.resolve(node, others))

    def _mention(self, expression: exp.Expression) -> None:
        for column in expression.find_all(exp.Column):
            self._mentioned.add((self._relations[column.table], column.name))

    # --- FROM -----------------------------------------------------

    def _source(self, node: exp.Expression, names: Names) -> tuple[str, Rows]:
        """Return a source's alias, and its rows under aliases that nothing else in this flat FROM has."""
        if isinstance(node, exp.Subquery):
            refuse_extra(node, {"this", "alias", "with_"})
            alias = node.args.get("alias")
            columns = scopes.column_names(alias) if alias is not None else ()
            name = require_name(alias.this, "an alias") if alias is not None and alias.this else ""
            return name, self.rows(node, names, ()).named(columns)
        defined = scopes.table_name(node, names)
        if not defined:
            return self._relation(node)
        refuse_extra(node, {"this", "alias"})
        definition, alias = names[defined], node.args.get("alias")
        rows = self.rows(definition.query, definition.names, definition.columns)
        if alias is None:
            return defined, rows
        return require_name(alias.this, "an alias"), rows.named(scopes.column_names(alias))

    def _relation(self, node: exp.Expression) -> tuple[str, Rows]:
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            what = "table function" if isinstance(node, exp.Table) else refusal.word(node)
            raise refusal.unsupported(
                node, f"FROM holds a {what} where a relation belongs", "Name a relation: FROM schema.table."
            )
        refuse_extra(node, {"this", "db", "alias"})
        if node.args.get("db") is None:
            known = ", ".join(sorted(shadow.relation for shadow in self._shadows)[:3])
            raise refusal.wrong(
                node,
                f"{refusal.shown(identifier(node.this))!r} is no name of WITH; relations have a schema and a name",
                f"For example: {known}." if known else "",
            )
        relation = f"{identifier(node.args['db'])}.{identifier(node.this)}"
        shadow = next((shadow for shadow in self._shadows if shadow.relation == relation), None)
        if shadow is None:
            raise refusal.unknown(node, "relation", relation, {shadow.relation for shadow in self._shadows})
        alias = node.args.get("alias")
        if alias is not None:
            refuse_extra(alias, {"this"})
        name = identifier(node.this) if alias is None else require_name(alias.this, "an alias")
        own = self._fresh(name, relation)
        columns = tuple((column.name, column_of(own, column.name)) for column in shadow.columns)
        return name, Rows((Table(own, relation),), (), columns)

    def _fresh(self, alias: str, relation: str) -> str:
        own, number = alias, 1
        while own in self._relations or not NAME.fullmatch(own):
            number += 1
            own = f"{alias[:50]}_{number}" if NAME.fullmatch(alias) else f"relation_{number}"
        self._relations[own] = relation
        if len(self._relations) > BOUNDS.relations:
            raise SqlUnsupported(f"a statement joins at most {BOUNDS.relations} relations", "FROM")
        return own

    def _add(self, scope: Scope, node: exp.Expression, alias: str, rows: Rows) -> None:
        if alias in scope.sources:
            raise refusal.wrong(node, f"two relations are called {alias!r}", "Give each an alias of its own.")
        scope.sources[alias] = rows

    def _join(self, scope: Scope, join: exp.Join, names: Names) -> None:
        refuse_extra(join, {"this", "side", "kind", "on", "using"})
        side, kind = (join.args.get("side") or "").upper(), (join.args.get("kind") or "").upper()
        if (side, kind) not in _PLAIN_JOINS:
            raise refusal.unsupported(
                join,
                f"{' '.join(filter(None, (side, kind)))} JOIN is not in the subset",
                "Use JOIN or LEFT JOIN … ON a.x = b.y.",
            )
        before = {table.alias for table in (*scope.tables, *scope.waiting)}
        alias, rows = self._source(join.this, names)
        if side == "LEFT":
            rows = _optional(join, rows)
        links = list(_using(scope, join, rows))
        self._add(scope, join.this, alias, rows)
        links += _on(scope, join, {table.alias for table in rows.tables}, before)
        if side == "LEFT":
            (table,) = rows.tables
            if scope.waiting or not links:
                raise refusal.unsupported(
                    join, "LEFT JOIN needs ON a.x = b.y", "Link the relations before it, too."
                )
            scope.tables.append(replace(table, links=tuple(links)))
            return
        scope.where += rows.where
        scope.links += links
        scope.waiting += rows.tables
        if any(table.optional for table in rows.tables):
            _require_first(join, rows, links)
        if links:
            place(scope)


# --- joins -----------------------------------------------------


def _on(scope: Scope, join: exp.Join, new: set[str], before: set[str]) -> Iterator[Link]:
    """Yield the pairs of equal columns in an ON; anything else in it is refused."""
    condition = join.args.get("on")
    for term in terms_of(condition) if condition is not None else ():
        sides = (term.this, term.expression) if isinstance(term, exp.EQ) else ()
        if not sides or not all(isinstance(side, exp.Column) for side in sides):
            raise refusal.unsupported(
                term,
                "ON may only say which columns are equal",
                "Join on a.x = b.y, and put other conditions into WHERE.",
            )
        left, right = (_linkable(scope, side) for side in sides)
        aliases = Link(left, right).aliases
        if not (aliases & new and aliases & before):
            raise refusal.unsupported(
                term, "this condition does not link a relation with one before it", "Join on a.x = b.y."
            )
        yield Link(left, right)


def _linkable(scope: Scope, node: exp.Column) -> exp.Column:
    found = scope.find(node)
    if found is None:
        raise scope.unknown(node)
    if not isinstance(found, exp.Column):
        raise refusal.unsupported(
            node, "ON may only say which columns are equal, and this one is computed", "Join on a.x = b.y."
        )
    return found


def _using(scope: Scope, join: exp.Join, new: Rows) -> Iterator[Link]:
    for item in join.args.get("using") or ():
        reference = item.this if isinstance(item, exp.Column) else item
        name = identifier(reference)
        column = exp.Column(this=exp.to_identifier(name))
        earlier = _linkable(scope, column)
        later = new.column(name)
        if not isinstance(later, exp.Column):
            raise refusal.unknown(
                item, "column of the joined relation named", name, {n for n, _ in new.columns if n}
            )
        scope.merged[name] = earlier
        yield Link(earlier, later)


def _optional(join: exp.Join, rows: Rows) -> Rows:
    """Return the right side of a LEFT JOIN: one relation, without a condition of its own."""
    if len(rows.tables) != 1 or rows.where:
        raise refusal.unsupported(
            join,
            "LEFT JOIN of a subquery that filters or joins is not in the subset",
            "LEFT JOIN the relation itself, and put conditions into CASE.",
        )
    columns = tuple((name, found if isinstance(found, exp.Column) else None) for name, found in rows.columns)
    return Rows((replace(rows.tables[0], optional=True),), (), columns)


def _require_first(join: exp.Join, rows: Rows, links: list[Link]) -> None:
    first, *rest = (table.alias for table in rows.tables)
    if not links or any(link.aliases & set(rest) for link in links):
        raise refusal.unsupported(
            join,
            "a subquery with a LEFT JOIN is joined by a column that is not of its first relation",
            "Join by a column of the first relation, or write one SELECT.",
        )


# --- expressions -----------------------------------------------------


def output_aliases(select: exp.Expression) -> dict[str, exp.Expression]:
    """Return what the outputs of a SELECT compute, by the names that it gives them; the first of a name counts."""
    found: dict[str, exp.Expression] = {}
    for item in select.expressions:
        if isinstance(item, exp.Alias):
            found.setdefault(require_name(item.args["alias"], "the name of an output"), item.this)
    return found


def output_name(item: exp.Expression) -> str:
    """Return the name of an output: the one it was given, or that of its column; nothing for anything else."""
    if isinstance(item, exp.Alias):
        return require_name(item.args["alias"], "the name of an output")
    if isinstance(item, exp.Column) and isinstance(item.this, exp.Identifier):
        return identifier(item.this)
    return ""


def _starred(
    item: exp.Expression, star: exp.Star, scope: Scope
) -> Iterator[tuple[str, exp.Expression | None]]:
    """Yield what `*` or `alias.*` stands for, without what EXCLUDE names."""
    refuse_extra(star, {"except_"})
    left_out = {identifier(_named(each)) for each in star.args.get("except_") or ()}
    chosen = scope.sources
    if isinstance(item, exp.Column):
        refuse_extra(item, {"this", "table"})
        alias = identifier(item.args["table"])
        if alias not in scope.sources:
            raise refusal.unknown(item, "relation or alias", alias, filter(None, scope.sources))
        chosen = {alias: scope.sources[alias]}
    merged: set[str] = set()
    for rows in chosen.values():
        for name, found in rows.columns:
            if name in left_out or name in merged:
                continue
            if name in scope.merged and not isinstance(item, exp.Column):
                merged.add(name)
            yield name, found


def _named(node: exp.Expression) -> exp.Expression:
    return node.this if isinstance(node, exp.Column) else node


def _first_names(rows: Rows) -> Rows:
    """Return the rows with each name on its first column only, as the engine has it."""
    seen: set[str] = set()
    columns = []
    for name, found in rows.columns:
        columns.append(("" if name in seen else name, found))
        seen.add(name)
    return replace(rows, columns=tuple(columns))
