"""A statement of several SELECTs, split: tables of cells that run over rows, and a finish that runs over them.

Only the tables touch data, and each is a plain SELECT in the counted form (`policies.reading.statement`). The
airlock protects them: small cells go, figures are rounded. The **finish** is the member's statement with every
SELECT over rows replaced by one over its protected table. So whatever it computes, it computes from figures
that could have been released, and no shape of it needs a rule of its own: HAVING, windows, set operations,
arithmetic between figures.

What comes before the airlock may not depend on a figure. A condition on rows that compares with a figure, a
join of rows with figures, and a query in an expression over rows are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from plans.errors import SqlSyntax, SqlUnsupported
from plans.reading import Shadow
from policies.reading import attempts, cells, finish, flat, refusal, scopes
from policies.reading.bounds import DIALECT, too_deep
from policies.reading.flat_rows import Budget, Scope, plain_select
from policies.reading.scopes import Kind, Names
from policies.reading.sources import identifier, refuse_extra, require_name
from policies.reading.statement import MOST_OUTPUTS, Found, read_plain

MOST_TABLES = 16
"""How many tables of cells one statement may need; each reads its relations once."""

_OVER_CELLS = {
    "expressions", "from_", "joins", "where", "group", "having", "qualify", "windows", "order", "limit", "offset",
    "distinct", "with_",
}  # fmt: skip
_OVER_SETS = {"this", "expression", "distinct", "by_name", "order", "limit", "offset", "with_"}
_PLAIN = {"expressions", "from_", "joins", "where", "group", "order", "limit", "with_"}


@dataclass(frozen=True, slots=True)
class Split:
    """A statement's tables of cells, each with its plain form; the finish over them, empty when the one table is
    the answer; and the columns that outputs of definitions mention, whether anybody reads them or not.
    """

    tables: tuple[Found, ...]
    plain: tuple[str, ...]
    finish: str
    names: tuple[str, ...]
    mentioned: frozenset[tuple[str, str]]


def split(root: exp.Expression, shadows: tuple[Shadow, ...]) -> Split:
    """Return a statement that yields figures, split.

    Raises:
        SqlUnsupported: it yields rows, reads rows beside figures, or uses something that is not in the subset.
        SqlSyntax: it names what is not there.
    """
    if sum(1 for _ in root.find_all(exp.Select, exp.SetOperation)) > scopes.MOST_QUERIES:
        raise refusal.unsupported(root, f"a statement has at most {scopes.MOST_QUERIES} SELECTs")
    try:
        return _Splitter(shadows).split(root)
    except RecursionError:
        raise too_deep() from None


@dataclass
class _Splitter:
    shadows: tuple[Shadow, ...]
    tables: list[Found] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    mentioned: set[tuple[str, str]] = field(default_factory=set)
    made: dict[int, exp.Expression] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)

    def split(self, root: exp.Expression) -> Split:
        kind = scopes.kind(root, {})
        if kind is Kind.ROWS:
            raise refusal.unsupported(
                root,
                "row-level output: the statement yields no figure about a group",
                "Use count, sum, avg or stddev.",
            )
        if kind is Kind.CELLS and (direct := self._direct(root)) is not None:
            return direct
        over = self.query(root, {})
        names = _name_outputs(over)
        if not self.tables:
            raise refusal.unsupported(root, "a statement needs a relation", "Add FROM schema.table.")
        text = finish.write(over, len(self.tables))
        return Split(tuple(self.tables), tuple(self.plain), text, names, frozenset(self.mentioned))

    # --- one plain SELECT, once its definitions are written in -----------------------------------------------------

    def _direct(self, root: exp.Expression) -> Split | None:
        """Return the statement as one table that is the answer, if it is so plain; otherwise none."""
        if not isinstance(root, exp.Select) or not _is_plain(root):
            return None
        names = scopes.extended(root, {})
        aliases = flat.output_aliases(root)
        mentioned: set[tuple[str, str]] = set()
        try:
            scope = flat.Flattener(self.shadows, mentioned).scope(root, names, aliases)
            select = _resolved(root, scope)
            found = read_plain(select, self.shadows)
        except (SqlUnsupported, SqlSyntax):
            return None  # the SELECT is taken apart, and if that fails too, the reason is said there
        return Split((found,), (_sql(select),), "", (), frozenset(mentioned))

    # --- queries -----------------------------------------------------

    def query(self, query: exp.Expression, names: Names) -> exp.Expression:
        """Return a query over rows or cells as one over protected tables of cells."""
        inner = scopes.extended(query, names)
        kind = scopes.kind(query, names)
        if kind is Kind.ROWS:
            raise refusal.unsupported(
                query,
                "row-level output: a query over single rows stands where figures are computed",
                "Aggregate in it.",
            )
        if isinstance(query, exp.Subquery):
            refuse_extra(query, {"this", "alias", "with_"})
            made: exp.Expression = exp.Subquery(
                this=self.query(query.this, inner), alias=query.args.get("alias")
            )
        elif isinstance(query, exp.SetOperation):
            made = self._set_operation(query, inner)
        elif kind is Kind.CELLS:
            assert isinstance(query, exp.Select)
            made = self._cells(query, inner)
        else:
            made = self._outer(query, inner)
        return self._with(query, inner, made)

    def _with(self, query: exp.Expression, names: Names, made: exp.Expression) -> exp.Expression:
        """Add the WITH of a query, as far as it was read and yields figures."""
        clause = query.args.get("with_")
        if clause is None:
            return made
        items = []
        for item in clause.expressions:
            name = identifier(item.args["alias"].this)
            over = self.made.get(id(names[name]))
            if over is not None:
                items.append(exp.CTE(this=over, alias=item.args["alias"].copy()))
        if items:
            made.set("with_", exp.With(expressions=items))
        return made

    def _set_operation(self, query: exp.SetOperation, names: Names) -> exp.Expression:
        refuse_extra(query, _OVER_SETS)
        made = query.copy()
        made.set("with_", None)
        made.set("this", self.query(query.this, names))
        made.set("expression", self.query(query.expression, names))
        for part in ("order", "limit", "offset"):
            if query.args.get(part) is not None:
                made.set(part, self._over(query.args[part], names))
        return made

    def _cells(self, select: exp.Select, names: Names) -> exp.Expression:
        aliases = flat.output_aliases(select)
        scope = flat.Flattener(self.shadows, self.mentioned, self.budget).scope(select, names, aliases)
        taken = cells.take_apart(select, scope, aliases, lambda query: self.query(query, names))
        return taken.numbered(self._table(taken.table))

    def _table(self, select: exp.Select) -> int:
        """Return the number of the table that a plain SELECT yields; equal ones are one."""
        found = read_plain(select, self.shadows, keys_suffice=True)
        for number, known in enumerate(self.tables):
            if known == found:
                return number
        if len(self.tables) == MOST_TABLES:
            raise refusal.unsupported(select, f"a statement needs at most {MOST_TABLES} tables of figures")
        self.tables.append(found)
        attempts.require_few(table.cells.counted for table in self.tables)
        self.plain.append(_sql(select))
        return len(self.tables) - 1

    # --- queries over cells -----------------------------------------------------

    def _outer(self, query: exp.Expression, names: Names) -> exp.Expression:
        refuse_extra(query, _OVER_CELLS)
        if len(query.expressions) > MOST_OUTPUTS:
            raise refusal.unsupported(query, f"a SELECT yields 1 to {MOST_OUTPUTS} columns")
        for source in scopes.sources(query):
            self._require_source(source, names)
        made = self._over(query, names, top=True)
        made.set("with_", None)
        return made

    def _require_source(self, source: exp.Expression, names: Names) -> None:
        if isinstance(source, exp.Subquery):
            return
        name = scopes.table_name(source, names)
        if not name:
            raise refusal.unsupported(
                source,
                f"FROM holds a {refusal.word(source)} where figures belong",
                "Read an aggregated SELECT.",
            )
        refuse_extra(source, {"this", "alias"})

    def _over(self, node: exp.Expression, names: Names, top: bool = False) -> exp.Expression:
        """Return a copy of a node in which every query is one over cells."""

        def replaced(inner: exp.Expression) -> exp.Expression:
            if isinstance(inner, exp.Query) and not (top and inner.parent is None):
                return self.query(inner, names)
            if isinstance(inner, exp.Table) and (name := scopes.table_name(inner, names)):
                self._define(name, names)
            if isinstance(inner, exp.With):
                return exp.With(expressions=[])
            return inner

        return node.transform(replaced)

    def _define(self, name: str, names: Names) -> None:
        """Read a name of WITH when it is first needed."""
        definition = names[name]
        if finish.is_reserved(name):
            raise refusal.wrong(definition.query, f"a name in WITH cannot be {name!r}", "Choose another.")
        if id(definition) not in self.made:
            self.made[id(definition)] = self.query(definition.query, definition.names)


def _is_plain(root: exp.Select) -> bool:
    parts = {name for name, value in root.args.items() if value not in (None, False, [])}
    inside = [*root.expressions, *(root.args[part] for part in ("group", "order") if root.args.get(part))]
    return parts <= _PLAIN and not any(scopes.computes(node) for node in inside)


def _resolved(root: exp.Select, scope: Scope) -> exp.Select:
    """Return a plain SELECT over the flat FROM. In GROUP BY what names of outputs mean is written out: a relation
    behind the flat FROM may have a column of the same name. In ORDER BY they are left as they are.
    """
    outputs = []
    for item, name in zip(root.expressions, cells.output_names(root), strict=True):
        node = item.this if isinstance(item, exp.Alias) else item
        outputs.append(exp.alias_(scope.resolve(node, {}), name))
    select = plain_select(scope, outputs, [])
    names = {flat.output_name(item) for item in root.expressions if isinstance(item, exp.Alias)}
    group, order = root.args.get("group"), root.args.get("order")
    if group is not None:
        refuse_extra(group, {"expressions"})
        keys = [scope.resolve(item, flat.output_aliases(root)) for item in group.expressions]
        select.set("group", exp.Group(expressions=keys))
    if order is not None:
        terms = [item.copy() for item in order.expressions]
        for term in terms:
            if not (_is_name(term.this, names) or isinstance(term.this, exp.Literal)):
                term.set("this", scope.resolve(term.this, {}))
        select.set("order", exp.Order(expressions=terms))
    if root.args.get("limit") is not None:
        select.set("limit", root.args["limit"].copy())
    return select


def _is_name(node: exp.Expression, names: set[str]) -> bool:
    return (
        isinstance(node, exp.Column)
        and isinstance(node.this, exp.Identifier)
        and not node.args.get("table")
        and identifier(node.this) in names
    )


def _name_outputs(query: exp.Expression) -> tuple[str, ...]:
    """Give every output of the answer a name, and return those that are known without the engine."""
    while not isinstance(query, exp.Select):
        query = query.this
    names: list[str] = []
    for number, item in enumerate(list(query.expressions), 1):
        if isinstance(item, exp.Alias):
            name = require_name(item.args["alias"], "the name of an output")
            if name in names:
                raise refusal.wrong(item, f"two outputs are called {name!r}", "Give each a name of its own.")
            names.append(name)
        elif isinstance(item, exp.Star | exp.Column):
            names.append(item.name or f"column_{number}")
        else:
            names.append(f"column_{number}")
            item.replace(exp.alias_(item.copy(), names[-1], quoted=True))
    return tuple(names)


def _sql(select: exp.Select) -> str:
    return str(select.sql(dialect=DIALECT, comments=False))
