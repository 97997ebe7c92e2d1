"""Rows of joined relations: what a flat FROM holds, in which order it is joined, and what names in it mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from policies.reading import refusal, scopes
from policies.reading.bounds import require_shallow
from policies.reading.sources import identifier, refuse_extra

MOST_NODES = 2_000
"""How large one expression may become by writing definitions into it."""

MOST_WRITTEN = 40_000
"""How many nodes all expressions of a statement may have together, each as often as it is written out."""

Aliases = Mapping[str, exp.Expression]


@dataclass(frozen=True, slots=True)
class Link:
    """Two columns that a join sets equal, of different aliases."""

    left: exp.Column
    right: exp.Column

    @property
    def aliases(self) -> set[str]:
        """The aliases of both."""
        return {self.left.table, self.right.table}


@dataclass(frozen=True, slots=True)
class Table:
    """A relation in the flat FROM. `optional` is the right side of a LEFT JOIN."""

    alias: str
    relation: str
    optional: bool = False
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows: relations, conditions that all hold, and columns as expressions over the relations, by name.

    A column without a name cannot be referred to. One without an expression is computed on the right side of
    a LEFT JOIN, and cannot be used: for a row without a match it is null, whatever its expression says.
    """

    tables: tuple[Table, ...]
    where: tuple[exp.Expression, ...]
    columns: tuple[tuple[str, exp.Expression | None], ...]

    def column(self, name: str) -> exp.Expression | None:
        """Return the first column of this name, as the engine does; or none."""
        return next((found for known, found in self.columns if known == name), None)

    def named(self, names: tuple[str, ...]) -> Rows:
        """Return the same rows, the first columns under these names."""
        renamed = [(name, found) for name, (_, found) in zip(names, self.columns, strict=False)] + list(
            self.columns[len(names) :]
        )
        return replace(self, columns=tuple(renamed))


@dataclass
class Budget:
    """What is left of `MOST_WRITTEN`: names of names double, and what nobody reads is written out as well."""

    left: int = MOST_WRITTEN

    def spend(self, node: exp.Expression, count: int) -> None:
        """Take a number of nodes from it.

        Raises:
            SqlUnsupported: nothing is left.
        """
        self.left -= count
        if self.left < 0:
            raise refusal.unsupported(node, "the statement becomes too large when its names are written out")


@dataclass
class Scope:
    """FROM of one SELECT over rows: what it names, and the relations that are read, in the order of joining.

    `names` are those of WITH; `choose` writes a subquery that chooses persons in its one form.
    """

    sources: dict[str, Rows] = field(default_factory=dict)
    merged: dict[str, exp.Expression] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    waiting: list[Table] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    where: list[exp.Expression] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)
    names: scopes.Names = field(default_factory=dict)
    choose: Callable[[exp.Expression], exp.Expression] | None = None

    def chooses_persons(self, query: exp.Expression) -> bool:
        """Return whether a query in an expression yields rows, and stands behind IN or EXISTS."""
        return scopes.is_asked_about(query) and scopes.kind(query, self.names) is scopes.Kind.ROWS

    def find(self, node: exp.Column) -> exp.Expression | None:
        """Return what a reference to a column means, or none if no relation has a column of this bare name.

        Raises:
            SqlSyntax: several relations have it, or the one that it names has not.
        """
        refuse_extra(node, {"this", "table"})
        name, table = identifier(node.this), node.args.get("table")
        if table is not None:
            alias = identifier(table)
            if alias not in self.sources:
                raise refusal.unknown(node, "relation or alias", alias, filter(None, self.sources))
            return self._of(node, name, [self.sources[alias]])
        if name in self.merged:
            return self.merged[name]
        having = [rows for rows in self.sources.values() if any(known == name for known, _ in rows.columns)]
        if len(having) > 1:
            raise refusal.wrong(node, f"several relations have a column {name!r}", "Write alias.column.")
        return self._of(node, name, having) if having else None

    def _of(self, node: exp.Column, name: str, having: list[Rows]) -> exp.Expression:
        (rows,) = having
        found = rows.column(name)
        if found is not None:
            return found
        if any(known == name for known, _ in rows.columns):
            raise refusal.unsupported(
                node,
                f"{refusal.shown(name)!r} is computed on the right side of a LEFT JOIN",
                "Join the relation itself, and compute in the SELECT that joins.",
            )
        raise refusal.unknown(node, "column named", name, {known for known, _ in rows.columns if known})

    def resolve(self, node: exp.Expression, aliases: Aliases) -> exp.Expression:
        """Return an expression over the relations' columns: definitions written in, names of outputs too.

        Raises:
            SqlSyntax: a name in it is not there.
            SqlUnsupported: a query stands in it, or it becomes too large.
        """
        for inner in scopes.own_nodes(node):
            if isinstance(inner, exp.Query) and (self.choose is None or not self.chooses_persons(inner)):
                raise refusal.unsupported(
                    inner,
                    "a subquery stands in an expression over rows",
                    "Choose rows by person IN (SELECT person …), join the relation, or compare figures in HAVING or in"
                    " a SELECT over the aggregated one.",
                )
        # The parser's transform does not look into what it has put in.
        found = node.transform(lambda inner: self._replaced(inner, aliases))
        nodes = sum(1 for _ in found.walk())
        self.budget.spend(node, nodes)
        if nodes > MOST_NODES:
            raise refusal.unsupported(node, "an expression becomes too large when its names are written out")
        require_shallow(found)
        return found

    def _replaced(self, node: exp.Expression, aliases: Aliases) -> exp.Expression:
        if self.choose is not None and scopes.asks(node):
            return self.choose(node)
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            return node
        found = self.find(node)
        if found is None:
            name = identifier(node.this)
            if name not in aliases:
                raise self.unknown(node)
            rest = {known: item for known, item in aliases.items() if known != name}
            found = self.resolve(aliases[name], rest)
        copied = found.copy()
        if isinstance(copied, exp.Column):
            copied.this.meta.update(node.this.meta)
            return copied
        return exp.Paren(this=copied)

    def unknown(self, node: exp.Column) -> Exception:
        """Return the refusal of a name that nothing in the scope has."""
        known = {name for rows in self.sources.values() for name, _ in rows.columns if name}
        return refusal.unknown(node, "column", identifier(node.this), known)


# --- the order of joining -----------------------------------------------------


def place(scope: Scope) -> None:
    """Move every waiting relation behind one that it is linked with; what links it becomes its ON."""
    moved = True
    while moved and scope.waiting:
        placed = {table.alias for table in scope.tables}
        moved = False
        for table in scope.waiting:
            ready = placed | {table.alias}
            links = [link for link in scope.links if table.alias in link.aliases and link.aliases <= ready]
            own = all(link.aliases <= ready for link in table.links)
            if own and (links or (table.links and _linked(table, placed))):
                scope.links = [link for link in scope.links if link not in links]
                scope.tables.append(replace(table, links=(*table.links, *links)))
                scope.waiting.remove(table)
                moved = True
                break
            if not own and links and not table.optional:
                # A definition's own link waits for a relation that comes later now: it becomes that one's.
                scope.links += table.links
                scope.waiting[scope.waiting.index(table)] = replace(table, links=())
                moved = True
                break


def _linked(table: Table, placed: set[str]) -> bool:
    return any(link.aliases - {table.alias} <= placed for link in table.links)


def unlinked(scope: Scope, terms: list[exp.Expression]) -> list[exp.Expression]:
    """Return the terms of WHERE that remain when relations side by side are linked by its equalities."""
    if not scope.waiting:
        return terms
    optional = {table.alias for table in scope.tables if table.optional}
    rest = []
    for term in terms:
        inner = bare(term)
        sides = (bare(inner.this), bare(inner.expression)) if isinstance(inner, exp.EQ) else ()
        if sides and all(isinstance(side, exp.Column) for side in sides):
            link = Link(*sides)
            waiting = {table.alias for table in scope.waiting}
            if len(link.aliases) == 2 and link.aliases & waiting and not link.aliases & optional:
                scope.links.append(link)
                continue
        rest.append(term)
    return rest


# --- expressions -----------------------------------------------------


def column_of(alias: str, name: str) -> exp.Column:
    """Return a column with its alias, both quoted."""
    return exp.Column(this=exp.to_identifier(name, quoted=True), table=exp.to_identifier(alias, quoted=True))


def conjunction(terms: Iterable[exp.Expression]) -> exp.Expression:
    """Return the terms joined by AND."""
    first, *rest = terms
    for term in rest:
        first = exp.And(this=first, expression=term)
    return first


def from_clause(scope: Scope) -> tuple[exp.From, list[exp.Join]]:
    """Return the flat FROM."""
    first, *rest = scope.tables
    return exp.From(this=_table(first)), [
        exp.Join(
            this=_table(table),
            side="LEFT" if table.optional else None,
            on=conjunction(
                [exp.EQ(this=link.left.copy(), expression=link.right.copy()) for link in table.links]
            ),
        )
        for table in rest
    ]


def plain_select(scope: Scope, outputs: list[exp.Expression], keys: list[exp.Expression]) -> exp.Select:
    """Return a SELECT over the flat FROM of a scope, with its conditions."""
    source, joins = from_clause(scope)
    select = exp.Select(expressions=[output.copy() for output in outputs], from_=source, joins=joins)
    if scope.where:
        select.set("where", exp.Where(this=conjunction([term.copy() for term in scope.where])))
    if keys:
        select.set("group", exp.Group(expressions=[key.copy() for key in keys]))
    return select


def _table(table: Table) -> exp.Table:
    schema, _, name = table.relation.partition(".")
    return exp.Table(
        this=exp.to_identifier(name, quoted=True),
        db=exp.to_identifier(schema, quoted=True),
        alias=exp.TableAlias(this=exp.to_identifier(table.alias, quoted=True)),
    )


def terms_of(condition: exp.Expression) -> Iterator[exp.Expression]:
    """Yield the terms that AND joins."""
    if isinstance(condition, exp.Paren) and isinstance(condition.this, exp.And | exp.Paren):
        yield from terms_of(condition.this)
    elif isinstance(condition, exp.And):
        yield from terms_of(condition.this)
        yield from terms_of(condition.expression)
    else:
        yield condition


def enclosed(term: exp.Expression) -> exp.Expression:
    """Return a term so that it can stand beside AND."""
    return exp.Paren(this=term) if isinstance(term, exp.Connector | exp.Not) else term


def bare(node: exp.Expression) -> exp.Expression:
    """Return a node without the parentheses around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node
