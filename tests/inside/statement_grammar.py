"""Random SELECT statements over three small relations, from a seeded grammar, with references that evade readers.

Most statements are meant to bind: names are taken from what is in scope, and types fit. `Grammar.statement`
also draws from `EVASIVE`, forms in which a column is read without being named, or named without looking like it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from plans.reading import Shadow, ShadowColumn

NUMBER, TEXT, DAY, TRUTH = "number", "text", "day", "truth"
_TYPES = {
    "INTEGER": NUMBER,
    "DOUBLE": NUMBER,
    "DECIMAL(9,2)": NUMBER,
    "VARCHAR": TEXT,
    "DATE": DAY,
    "BOOLEAN": TRUTH,
}
_RELATIONS = {
    "s.sale": {"id": "INTEGER", "shop": "INTEGER", "price": "DECIMAL(9,2)", "qty": "INTEGER", "day": "DATE"},
    "s.shop": {"shop": "INTEGER", "city": "VARCHAR", "area": "DOUBLE", "open": "BOOLEAN", "day": "DATE"},
    "s.good": {"id": "INTEGER", "kind": "VARCHAR", "city": "VARCHAR", "weight": "DOUBLE", "fresh": "BOOLEAN"},
}


def shadows(hidden: frozenset[tuple[str, str]] = frozenset()) -> tuple[Shadow, ...]:
    """Return the three relations; every column is shown but those that are named."""
    return tuple(
        Shadow(
            relation,
            tuple(
                ShadowColumn(name, kind, True, (relation, name) not in hidden)
                for name, kind in columns.items()
            ),
        )
        for relation, columns in _RELATIONS.items()
    )


Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Something in FROM: its text, the name it goes by, its columns and their kinds."""

    text: str
    alias: str
    columns: Columns


@dataclass(frozen=True, slots=True)
class Query:
    """A query that yields columns."""

    text: str
    columns: Columns


Scope = tuple[Source, ...]

EVASIVE = (
    "select {a} from {r} as {a}",
    "select {a}.* from {r} as {a}",
    "select count({a}) from {r} as {a}",
    "select to_json({a}) from {r} as {a}",
    "select first({a}) from {r} as {a}",
    "select unnest({a}) from {r} as {a}",
    "select unnest({a}, recursive := true) from {r} as {a}",
    "select columns('.*') from {r}",
    "select columns(*) from {r}",
    "select min(columns(c -> c like '%i%')) from {r}",
    "select columns({a}.*) from {r} as {a}",
    "select * exclude ({c}) from {r}",
    "select * replace ({c} as {c}) from {r}",
    "select * like '%a%' from {r}",
    "select *columns(*) from {r}",
    "from {r}",
    "from {r} select {c}",
    "from {r} as {a} select {a}",
    "table {r}",
    "select #1 from {r}",
    "select 1 from {r} order by #1",
    "select {c} as q, q as p from {r}",
    "select 1 from {r} order by {c}",
    "select 1 from {r} group by {c}",
    "select count(*) from {r} group by all",
    "select {c} from {r} order by all",
    "select distinct on ({c}) 1 from {r}",
    "select count(*) over (order by {c}) from {r}",
    "select count(*) over w from {r} window w as (partition by {c})",
    "select 1 from {r} qualify row_number() over (order by {c}) = 1",
    "select count(*) filter (where {c} is null) from {r}",
    "select string_agg('x', ',' order by {c}) from {r}",
    "select 1 from {r} limit (select count({c}) from {r})",
    "select {c}.abs() from {r}",
    "select s.{t}.{c} from {r}",
    "select memory.s.{t}.{c} from {r}",
    "select {a}['{c}'] from {r} as {a}",
    "select struct_extract({a}, '{c}') from {r} as {a}",
    "select ({a}).{c} from {r} as {a}",
    "select [x for x in [{c}]] from {r}",
    "select list_transform([1], lambda x: {c}) from {r}",
    "select list_transform([1], x -> hash({c})) from {r}",
    "select {{'q': {c}}} from {r}",
    "select map {{1: {c}}} from {r}",
    "select row({c}) from {r}",
    "select ({c}, 1) in (select ({c}, 2) from {r}) from {r}",
    "select q: {c} from {r}",
    "select * from {r} natural join s.shop",
    "select 1 from {r} natural join s.good",
    "select * from {r} positional join s.good",
    "select 1 from s.sale asof join s.shop on sale.shop = shop.shop and sale.day >= shop.day",
    "select 1 from s.sale semi join s.shop using (shop)",
    "select id from s.sale anti join s.good using (id)",
    "select shop from s.sale full join s.shop using (shop)",
    "select x from {r}, lateral (select {c} as x) as l",
    "select x from {r}, (select {c} as x) as l",
    "select 1 from {r}, unnest([{c}]) as u",
    "with {t} as (select 1 as {c}) select {c} from {t}",
    "with {t} as (select {c} from {r}) select * from {t}",
    "with w as (select * from {r}), v as (select * from w) select 1 from v order by {c}",
    "with w as (from {r}) from w select count(*) where {c} is not null",
    "with w(z) as (select {c} from {r}) select z from w",
    "with recursive w as (select {c} as z from {r} union select z from w) select z from w",
    "select * from (values (1)) as v(z), {r}",
    "select * from query('from {r}')",
    "select * from query_table('{r}')",
    "select * from duckdb_tables()",
    "summarize {r}",
    "describe {r}",
    "pivot {r} on {c} using count(*)",
    "unpivot {r} on {c}",
    "select * from {r} using sample 1",
    "select rowid from {r}",
    "select {a}.rowid from {r} as {a}",
    "select exists (from {r} where {c} is null)",
    "select 1 where 1 in (select length({c}::varchar) from {r})",
    "select (select {c} from {r} limit 1)",
    "select 1 from {r} as {a}(p, q) where p is null",
    "select any_value(q) from {r} as {a}(p, q)",
    "select {c} from {r} union by name select 1 as z from {r}",
    "select 1 from {r} where ({c}) is null group by cube ({c})",
    "select grouping({c}) from {r} group by rollup ({c})",
    "select case when {c} is null then 1 end from {r}",
    'select "{C}" from {r}',
    "select {c} collate nocase from {r} where '{c}' = 'x'",
    "select try_cast({c} as varchar), cast({c} as varchar) from {r}",
    "select {c} is distinct from {c}, {c} between {c} and {c} from {r}",
    "select alias({c}), typeof({c}) from {r}",
    "select array_agg({c} order by {c}), list({c}), arg_max({c}, {c}) from {r}",
    "select lag({c}, 1, {c}) over (order by 1 rows between 1 preceding and current row) from {r}",
    "select coalesce(null, {c}), nullif({c}, {c}), ifnull({c}, {c}) from {r}",
    "select 1 from {r} having count({c}) > 1",
    "select extract(year from date '2020-01-01') from {r} where {c} is not null",
    "select * from {r} where columns(*) is not null",
    "select greatest(columns('{c}')) from {r}",
)
"""Forms with `{r}` relation, `{t}` its table, `{a}` an alias, `{c}` a column, `{C}` the same in capitals."""


class Grammar:
    """A stream of statements; equal seeds give equal streams."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = 0
        self._ctes: list[Source] = []

    def statement(self) -> str:
        """Return the next statement."""
        self._names, self._ctes = 0, []
        if self._random.random() < 0.25:
            return self._evasive()
        return self._query(3, ()).text

    def _evasive(self) -> str:
        relation = self._random.choice(tuple(_RELATIONS))
        column = self._random.choice(tuple(_RELATIONS[relation]))
        form = self._random.choice(EVASIVE)
        table = relation.partition(".")[2]
        alias = self._random.choice(("x", table, column, "s"))
        return form.format(r=relation, t=table, a=alias, c=column, C=column.upper())

    # --- queries

    def _query(self, depth: int, outer: Scope) -> Query:
        chance = self._random.random()
        if depth > 0 and chance < 0.15:
            return self._with(depth, outer)
        if depth > 0 and chance < 0.27:
            return self._set_operation(depth, outer)
        return self._grouped(depth, outer) if chance < 0.5 else self._plain(depth, outer)

    def _with(self, depth: int, outer: Scope) -> Query:
        inner, kept = self._query(depth - 1, ()), list(self._ctes)
        name = self._random.choice((self._fresh("w"), "sale", "shop"))
        renamed = self._random.random() < 0.3
        columns = tuple((self._fresh("c"), kind) for _, kind in inner.columns) if renamed else inner.columns
        listed = f"({', '.join(column for column, _ in columns)})" if renamed else ""
        hint = self._random.choice(("", "", "materialized ", "not materialized "))
        self._ctes.append(Source(name, name, columns))
        query = self._query(depth - 1, outer)
        self._ctes = kept
        text = f"({query.text})" if query.text.startswith("with") else query.text
        return Query(f"with {name}{listed} as {hint}({inner.text}) {text}", query.columns)

    def _set_operation(self, depth: int, outer: Scope) -> Query:
        sign = self._random.choice(("union", "union all", "intersect", "except", "except all"))
        source = self._relation()
        kinds = self._random.sample(source.columns, self._random.randint(1, 3))
        sides = []
        for _ in range(2):
            scope = (self._source(depth - 1),)
            items = [self._value(kind, scope, 1) for _, kind in kinds]
            names = [self._fresh("u") for _ in items]
            listed = ", ".join(f"{item} as {name}" for item, name in zip(items, names, strict=True))
            where = self._where(scope + outer, depth - 1) if self._random.random() < 0.4 else ""
            sides.append((f"select {listed} from {scope[0].text}{where}", names))
        names = sides[0][1]
        order = f" order by {self._random.choice(names)}" if self._random.random() < 0.3 else ""
        text = f"{sides[0][0]} {sign} {sides[1][0]}{order}"
        return Query(text, tuple((name, kind) for name, (_, kind) in zip(names, kinds, strict=True)))

    def _plain(self, depth: int, outer: Scope) -> Query:
        scope = self._sources(depth)
        reach, chance = scope.sources + outer, self._random.random
        items, columns = self._items(scope, reach, depth)
        text = f"select {'distinct ' if chance() < 0.15 else ''}{', '.join(items)} from {scope.text}"
        if chance() < 0.5:
            text += self._where(reach, depth)
        if chance() < 0.15:
            text += f" qualify {self._window(scope.sources)} >= 1"
        if chance() < 0.3:
            text += f" order by {self._order(reach, columns, 'distinct' in text)}"
        if chance() < 0.15:
            text += f" limit {self._random.randint(0, 9)} offset 1"
        return Query(text, columns)

    def _grouped(self, depth: int, outer: Scope) -> Query:
        scope = self._sources(depth)
        reach, chance = scope.sources + outer, self._random.random
        keys = [self._any_value(scope.sources, 1) for _ in range(self._random.randint(0, 2))]
        names = [(self._fresh("k"), kind) for _, kind in keys]
        figures = [self._aggregate(reach) for _ in range(self._random.randint(1, 2))]
        figured = [(self._fresh("f"), NUMBER) for _ in figures]
        shown = list(zip([text for text, _ in keys], [name for name, _ in names], strict=True))
        shown += list(zip(figures, [name for name, _ in figured], strict=True))
        self._random.shuffle(shown)
        text = f"select {', '.join(f'{item} as {name}' for item, name in shown)} from {scope.text}"
        if chance() < 0.4:
            text += self._where(reach, depth)
        if keys:
            text += f" group by {self._group_by([text for text, _ in keys], [name for name, _ in names])}"
        if chance() < 0.3:
            alias = self._random.choice([name for name, _ in figured])
            text += f" having {self._random.choice((self._aggregate(reach), alias))} > 0"
        if chance() < 0.3:
            text += f" order by {self._random.choice((self._aggregate(reach), '1', figured[0][0]))}"
        kinds = dict(names + figured)
        return Query(text, tuple((name, kinds[name]) for _, name in shown))

    def _group_by(self, keys: list[str], names: list[str]) -> str:
        form = self._random.choice(("keys", "keys", "aliases", "all", "rollup", "cube", "sets"))
        listed = ", ".join(keys)
        if form == "sets":
            return f"grouping sets (({listed}), ())"
        return {"keys": listed, "aliases": ", ".join(names), "all": "all"}.get(form, f"{form} ({listed})")

    def _items(self, scope: _From, reach: Scope, depth: int) -> tuple[list[str], Columns]:
        every = [column for source in scope.sources for column in source.columns]
        names = [name for name, _ in every]
        if len(names) == len(set(names)) and not scope.merged and self._random.random() < 0.2:
            return ["*"], tuple(every)
        if self._random.random() < 0.1:
            source = self._random.choice(scope.sources)
            return [f"{source.alias}.*"], source.columns
        items, columns = [], []
        for _ in range(self._random.randint(1, 3)):
            text, kind = self._any_value(reach, depth)
            name = self._random.choice((self._fresh("o"), self._fresh("o"), text.rpartition(".")[2]))
            name = name if name.isidentifier() and name not in dict(columns) else self._fresh("o")
            items.append(f"{text} as {name}")
            columns.append((name, kind))
        return items, tuple(columns)

    def _order(self, reach: Scope, columns: Columns, distinct: bool) -> str:
        own = [name for name, _ in columns]
        item = (
            self._random.choice(own)
            if distinct
            else self._random.choice((self._any_value(reach, 1)[0], own[0], "1"))
        )
        return item + self._random.choice(("", " desc", " nulls first"))

    # --- FROM

    def _sources(self, depth: int) -> _From:
        first = self._source(depth)
        sources, text, merged = [first], first.text, False
        for _ in range(self._random.choice((0, 0, 1, 1, 2))):
            new = self._source(depth - 1)
            common = {name for name, _ in new.columns} & {
                name for each in sources for name, _ in each.columns
            }
            counted = [name for each in sources for name, _ in each.columns]
            usable = [name for name in sorted(common) if counted.count(name) == 1]
            kind = self._random.choice(("join", "left join", "inner join", "right join", "full join", ","))
            if kind == ",":
                text += f", {new.text}"
            elif usable and self._random.random() < 0.4:
                text += f" {kind} {new.text} using ({self._random.choice(usable)})"
                merged = True
            else:
                text += f" {kind} {new.text} on {self._link(tuple(sources), new)}"
            sources.append(new)
        return _From(text, tuple(sources), merged)

    def _link(self, sources: Scope, new: Source) -> str:
        kind = self._random.choice(new.columns)[1]
        left, right = (self._column(kind, side, (*sources, new)) for side in (sources, (new,)))
        sign = self._random.choice(("=", "=", "=", "<>", "<="))
        more = f" and {self._condition((*sources, new), 0)}" if self._random.random() < 0.25 else ""
        return f"{left} {sign} {right}{more}"

    def _source(self, depth: int) -> Source:
        chance = self._random.random()
        if self._ctes and chance < 0.5:
            cte = self._random.choice(self._ctes)
            alias = self._fresh("t")
            return Source(f"{cte.text} as {alias}", alias, cte.columns)
        if depth > 0 and chance < 0.65:
            query, alias = self._query(depth - 1, ()), self._fresh("t")
            return Source(f"({query.text}) as {alias}", alias, query.columns)
        return self._relation()

    def _relation(self) -> Source:
        relation = self._random.choice(tuple(_RELATIONS))
        alias = self._fresh("t")
        columns = tuple((name, _TYPES[kind]) for name, kind in _RELATIONS[relation].items())
        return Source(f"{relation} as {alias}", alias, columns)

    # --- expressions

    def _where(self, scope: Scope, depth: int) -> str:
        return f" where {self._condition(scope, depth)}"

    def _condition(self, scope: Scope, depth: int) -> str:
        chance = self._random.random()
        if chance < 0.2:
            return f"({self._condition(scope, 0)} {self._random.choice(('and', 'or'))} {self._condition(scope, 0)})"
        if depth > 0 and chance < 0.45:
            return self._subquery_condition(scope, depth)
        text, kind = self._any_value(scope, 1)
        if chance < 0.55:
            return f"{text} is {self._random.choice(('', 'not '))}null"
        if chance < 0.65:
            return f"{text} in ({self._constant(kind)}, {self._value(kind, scope, 0)})"
        if chance < 0.7:
            return f"{text} between {self._value(kind, scope, 0)} and {self._constant(kind)}"
        if chance < 0.75 and kind == TEXT:
            return f"{text} {self._random.choice(('like', 'ilike', 'not like'))} '%a%'"
        sign = self._random.choice(("=", "<>", "<", ">=", "is distinct from"))
        return f"{text} {sign} {self._random.choice((self._constant(kind), self._value(kind, scope, 1)))}"

    def _subquery_condition(self, scope: Scope, depth: int) -> str:
        source = self._source(depth - 1)
        name, kind = self._random.choice(source.columns)
        inner = f"{source.alias}.{name}"
        form = self._random.choice(("exists", "not exists", "in", "not in", "scalar", "any"))
        reach = (source, *scope) if self._random.random() < 0.6 else (source,)
        where = self._where(reach, 0)
        if form in ("exists", "not exists"):
            shown = self._random.choice(("1", "*", inner))
            return f"{form} (select {shown} from {source.text}{where})"
        outer = self._value(kind, scope, 0)
        if form == "scalar":
            return f"{outer} = (select max({inner}) from {source.text}{where})"
        sign = "= any" if form == "any" else form
        return f"{outer} {sign} (select {inner} from {source.text}{where})"

    def _any_value(self, scope: Scope, depth: int) -> tuple[str, str]:
        source = self._random.choice(scope)
        kind = self._random.choice(source.columns)[1]
        return self._value(kind, scope, depth), kind

    def _value(self, kind: str, scope: Scope, depth: int) -> str:
        """Return an expression of a kind; a column is named with or without its source."""
        column = self._column(kind, scope)
        chance = self._random.random()
        if depth <= 0 or chance < 0.5:
            return column
        other = self._column(kind, scope)
        if chance < 0.6:
            return f"case when {self._condition(scope, 0)} then {column} else {other} end"
        if chance < 0.7:
            return f"coalesce({column}, {other})"
        if chance < 0.75 and depth > 1:
            source = self._source(depth - 2)
            name = next((name for name, each in source.columns if each == kind), None)
            if name:
                return f"(select max({source.alias}.{name}) from {source.text}{self._where((source, *scope), 0)})"
        forms = {
            NUMBER: ("({c} + {o})", "abs({c})", "({c} * 2)", "round({c}, 1)", "-{c}"),
            TEXT: ("upper({c})", "({c} || {o})", "substring({c}, 1, 2)", "trim({c})", "concat({c}, {o})"),
            DAY: ("date_trunc('month', {c})::date", "({c} + interval 1 day)::date", "greatest({c}, {o})"),
            TRUTH: ("(not {c})", "({c} and {o})", "({c} or {o})"),
        }
        return self._random.choice(forms[kind]).format(c=column, o=other)

    def _column(self, kind: str, scope: Scope, reach: Scope = ()) -> str:
        """Return a column of a kind in `scope`, bare now and then where its name is alone within `reach`."""
        fitting = [(source, name) for source in scope for name, each in source.columns if each == kind]
        if not fitting:
            return self._constant(kind)
        source, name = self._random.choice(fitting)
        everywhere = [each for one in reach or scope for each, _ in one.columns]
        bare = everywhere.count(name) == 1 and self._random.random() < 0.5
        return name if bare else f"{source.alias}.{name}"

    def _aggregate(self, scope: Scope) -> str:
        text, kind = self._any_value(scope, 1)
        number = self._value(NUMBER, scope, 1)
        form = self._random.choice(
            (
                "count(*)",
                "count({v})",
                "count(distinct {v})",
                "sum({n})",
                "avg({n})",
                "stddev({n})",
                "sum({n} * 2)",
            )
        )
        aggregate = form.format(v=text, n=number)
        if self._random.random() < 0.2:
            aggregate += f" filter (where {self._condition(scope, 0)})"
        return aggregate

    def _window(self, scope: Scope) -> str:
        name = self._random.choice(
            ("row_number()", "rank()", "count(*)", f"count({self._any_value(scope, 0)[0]})")
        )
        partition = f"partition by {self._any_value(scope, 0)[0]} " if self._random.random() < 0.5 else ""
        return f"{name} over ({partition}order by {self._any_value(scope, 0)[0]})"

    def _constant(self, kind: str) -> str:
        constants = {
            NUMBER: ("0", "1.5", "42"),
            TEXT: ("'a'", "'hohhot'"),
            DAY: ("date '2020-02-29'",),
            TRUTH: ("true", "false"),
        }
        return self._random.choice(constants[kind])

    def _fresh(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"


@dataclass(frozen=True, slots=True)
class _From:
    """A FROM clause; `merged` says that USING makes one column of two."""

    text: str
    sources: Scope
    merged: bool
