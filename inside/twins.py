"""Makes the recipe of a twin from noisy marginals (McKenna, Miklau, Sheldon, "Winning the NIST contest", 2021: MST).

    one row of each person ──► fine bins ──► noisy marginals ──► coarse bins ──► a noisy tree ──► noisy pairs ──► recipe

Every person counts with one row, chosen by a keyed hash of what the row says. So one person with all rows changes a
marginal, or a pair's table, by one in one place: sensitivity 1 in L2; and the score by which a pair is chosen, its
distance in L1 from what its noisy marginals alone would make of it, by at most 1. Noise is OpenDP's: discrete Gaussian,
and the noisy maximum, accounted under zero-concentrated differential privacy. Counts and scores are whole numbers.

One person in ten is held out of all of that; by them the owner's report says whether made rows are closer to those who
were used.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import opendp.prelude as dp

from inside import engine, relations, twin
from inside.engine import Connection, identifier, literal
from inside.session import BoxFailure, Session
from inside.twin_model import Model, alone, coarse, models_of, normalised, spread
from plans import names
from plans.box import Entry
from plans.errors import Malformed
from plans.plan import Relation
from plans.trial import TWIN_ROWS, WHOLE, TwinColumn, TwinTable, twin_of
from plans.twins import (
    MILLION,
    RECIPE,
    REPORT,
    ColumnDistance,
    Dependence,
    Imitation,
    Making,
    Recipe,
    TwinReport,
    reasons_against,
)
from plans.verdict import Finding, Verdict

dp.enable_features("contrib")

HELD_OUT = 10
"""One person in so many is held out."""

MOST_DEPENDENT, MOST_CELLS = 40, 4096
"""Columns among which dependence is looked for, and cells of a pair's table."""

SHARES = {"marginals": 4, "choices": 1, "pairs": 5}
"""How the price is parted, in tenths."""

MADE, COMPARED = 500, 4000
"""Rows that are made, and records of either kind with which each is compared, for the owner's report."""

BITS, WORD = 10, 6
"""Bits of a fine bin, of which there are a thousand and one at the most, and bins of a word of the engine."""

Edge = tuple[int, int]
Table = list[list[int]]


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise that a part of the price buys for each of `times` questions of sensitivity 1, its scale in persons."""

    rho: float
    times: int

    @property
    def scale(self) -> float:
        """Gaussian and noisy maximum alike: one question at this scale costs 1 / (2 scale²)."""
        return math.sqrt(max(self.times, 1) / (2 * self.rho)) * (1 + 1e-9)

    def counts(self, values: Sequence[int]) -> list[int]:
        """Return counts with discrete Gaussian noise."""
        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
        measure = dp.m.make_gaussian(*space, self.scale)
        self._require_paid(measure.map(1.0))
        return list(measure(list(values)))

    def best(self, scores: Sequence[int]) -> int:
        """Return the place of the highest score, the scores noised."""
        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.linf_distance(T="i64", monotonic=False)
        measure = dp.m.make_noisy_max(*space, dp.zero_concentrated_divergence(), scale=self.scale)
        self._require_paid(measure.map(1))
        return int(measure(list(scores)))

    def _require_paid(self, cost: float) -> None:
        if cost * max(self.times, 1) > self.rho:
            raise Malformed("the noise would cost more than was paid for it", "twin")


@dataclass(frozen=True, slots=True)
class Prices:
    """The noise of each kind of question."""

    marginals: Noise
    choices: Noise
    pairs: Noise

    @classmethod
    def of(cls, rho_micro: int, columns: int, dependent: int) -> Prices:
        """Part a price among so many columns, of which so many may depend on each other."""
        shares = {name: rho_micro / MILLION * tenths / 10 for name, tenths in SHARES.items()}
        edges = max(dependent - 1, 0)
        return cls(
            Noise(shares["marginals"], columns),
            Noise(shares["choices"], edges),
            Noise(shares["pairs"], edges),
        )


def run(session: Session) -> dict[str, Any]:
    """Write recipe and report, and return `{"verdict": …}` about the recipe.

    Raises:
        BoxFailure: `twin.failed`; what an engine says could tell of a row, so nobody hears it.
        Malformed: the plan's material asks for something else.
    """
    asked = Imitation.decode(session.plan.material.encode())
    try:
        recipe, report = made(session, asked)
    except duckdb.Error:
        raise BoxFailure("twin.failed") from None
    session.write(RECIPE, recipe.canonical())
    session.write(REPORT, report.canonical())
    reasons = reasons_against(recipe, asked.manifest, asked.rho_micro)
    sealed = hashlib.sha256((session.out / RECIPE).read_bytes()).hexdigest()
    finding = Finding.REFUSED if reasons else Finding.PASS
    verdict = Verdict(
        session.plan.digest,
        finding,
        reasons,
        recipe.digest,
        recipe.digest,
        "" if reasons else f"sha256:{sealed}",
    )
    return {"verdict": verdict.plain()}


def made(session: Session, asked: Imitation) -> tuple[Recipe, TwinReport]:
    """Return the recipe of what was asked for, and what its owner may know of it."""
    table = replace(twin_of(asked.manifest, rows=TWIN_ROWS), seed=asked.seed, repeats=asked.repeats)
    declared = {column.name: column.declared for column in asked.manifest.columns}
    models = alone(models_of(table, asked.columns), declared)
    if not models:
        raise BoxFailure("twin.nothing")
    limits = session.plan.stage(Entry.TWIN).limits
    with engine.open_engine(session.spill, limits) as connection:
        rows = _rows(connection, session, asked)
        persons = Persons(connection, models, session.keys.signs, asked.manifest.about_persons)
        persons.choose(rows)
        return _measured(persons, asked, table)


def _measured(persons: Persons, asked: Imitation, table: TwinTable) -> tuple[Recipe, TwinReport]:
    models = persons.models
    first = Prices.of(asked.rho_micro, len(models), 0)
    exact = [persons.marginal(place) for place in range(len(models))]
    noisy = [first.marginals.counts(counts) for counts in exact]
    models = coarse(models, noisy)
    persons.make_coarse(models)
    dependent = [place for place, model in enumerate(models) if model.bins < MOST_CELLS // 2][:MOST_DEPENDENT]
    prices = Prices.of(asked.rho_micro, len(models), len(dependent))
    ones = [
        [max(0, count) for count in model.folded(counts)] for model, counts in zip(models, noisy, strict=True)
    ]
    tree = _tree(persons, ones, dependent, prices)
    columns = _columns(models, ones, tree)
    made = replace(table, columns=tuple(columns.get(each.name, each) for each in table.columns))
    recipe = Recipe(asked.manifest.dataset, Making.NOISED, asked.rho_micro, made)
    truth = [model.folded(counts) for model, counts in zip(models, exact, strict=True)]
    return recipe, _report(persons, recipe, truth, prices)


class Persons:
    """One row of each person, in bins: table `fine`, then `wide`; `held` marks those held out."""

    def __init__(self, connection: Connection, models: list[Model], key: str, about_persons: bool) -> None:
        self.connection, self.models = connection, models
        self._key, self._about_persons = key, about_persons

    def choose(self, rows: str) -> None:
        """Fill `fine` from rows. Which row of a person counts depends on nothing but that person's rows and the key."""
        bins = ", ".join(f"{model.binned()} AS b{place}" for place, model in enumerate(self.models))
        columns = ", ".join(f"b{place}" for place in range(len(self.models)))
        if not self._about_persons:
            held = f"md5_number_lower({self._salted('held')} || row_number() OVER ()) % {HELD_OUT} = 0"
            self.connection.execute(f"CREATE TEMP TABLE fine AS SELECT {held} AS held, {bins} FROM {rows}")
            return
        token = f"md5_number_lower({self._salted('held')} || who)"
        drawn = f"md5_number_lower({self._salted('row')} || concat_ws('/', {columns}))"
        words = range(-(-len(self.models) // WORD))
        packed = ", ".join(f"{self._packed(word)} AS p{word}" for word in words)
        chosen = ", ".join(f"arg_min(p{word}, drawn) AS p{word}" for word in words)
        self.connection.execute(
            f"CREATE TEMP TABLE fine AS SELECT {token} % {HELD_OUT} = 0 AS held, {self._unpacked()} FROM ("
            f"SELECT who, {chosen} FROM (SELECT who, {drawn} AS drawn, {packed}"
            f" FROM (SELECT {identifier(names.PERSON)} AS who, {bins} FROM {rows})) GROUP BY who)"
        )

    def _packed(self, word: int) -> str:
        """Return the SQL of a word of bins: numbers are what the engine can put on disk while it looks for a minimum,
        and there are as many of them as persons.
        """
        places = range(word * WORD, min((word + 1) * WORD, len(self.models)))
        return " + ".join(f"(b{place}::BIGINT << {BITS * (place % WORD)})" for place in places)

    def _unpacked(self) -> str:
        return ", ".join(
            f"CAST((p{place // WORD} >> {BITS * (place % WORD)}) & {2**BITS - 1} AS USMALLINT) AS b{place}"
            for place in range(len(self.models))
        )

    def marginal(self, place: int) -> list[int]:
        """Return how many used persons have each fine bin of a column, the last for missing."""
        counts = [0] * (self.models[place].fine + 1)
        for key, count in self._grouped("fine", (place,)):
            counts[key] = count
        return counts

    def make_coarse(self, models: list[Model]) -> None:
        """Fill `wide` with coarse bins."""
        self.models = models
        columns = ", ".join(
            f"CAST([{', '.join(map(str, model.kept))}][1 + b{place}] AS USMALLINT) AS b{place}"
            for place, model in enumerate(models)
        )
        self.connection.execute(f"CREATE TEMP TABLE wide AS SELECT held, {columns} FROM fine")
        self.connection.execute("DROP TABLE fine")

    def pair(self, edge: Edge) -> Table:
        """Return how many used persons have each pair of coarse bins of two columns."""
        one, two = edge
        table = [[0] * (self.models[two].bins + 1) for _ in range(self.models[one].bins + 1)]
        for first, second, count in self._grouped("wide", edge):
            table[first][second] = count
        return table

    def _grouped(self, table: str, places: tuple[int, ...]) -> list[tuple[int, ...]]:
        keys = ", ".join(f"b{place}" for place in places)
        return self.connection.execute(
            f"SELECT {keys}, count(*) FROM {table} WHERE NOT held GROUP BY {keys}"
        ).fetchall()

    def closeness(self, made: str) -> tuple[int, int]:
        """Return how many made rows are closer to persons used than to as many held out (twice; a tie once), of how
        many. `made` is SQL of rows in coarse bins.
        """
        differ = " + ".join(f"(m.b{place} <> w.b{place})::INT" for place in range(len(self.models)))
        count = self.connection.execute(
            "SELECT count(*) FILTER (held), count(*) FILTER (NOT held) FROM wide"
        ).fetchone()
        among = min(*(count or (0, 0)), COMPARED)
        if among < HELD_OUT:
            return 0, 0
        sides = " UNION ALL ".join(
            f"(SELECT * FROM wide WHERE {side} ORDER BY hash(rowid) LIMIT {among})"
            for side in ("held", "NOT held")
        )
        found = self.connection.execute(
            f"WITH w AS MATERIALIZED ({sides}), m AS MATERIALIZED ({made}),"
            f" d AS (SELECT m.n, min({differ}) FILTER (w.held) AS h, min({differ}) FILTER (NOT w.held) AS u"
            " FROM m, w GROUP BY m.n)"
            " SELECT sum(CASE WHEN u < h THEN 2 WHEN u = h THEN 1 ELSE 0 END), count(*) FROM d"
        ).fetchone()
        return (int(found[0]), int(found[1])) if found else (0, 0)

    def _salted(self, use: str) -> str:
        return literal(f"{self._key}/{use}/")


def _rows(connection: Connection, session: Session, asked: Imitation) -> str:
    """Return the SQL of the owner's rows, without those that the policy hides from everybody."""
    file = asked.manifest.attributes
    engine.add_key(connection, "data", session.keys.inputs[file.name])
    engine.lock(connection, [session.inputs[file.name]])
    relation = Relation(
        asked.manifest.relation,
        asked.manifest.digest,
        file.sha256,
        asked.columns,
        asked.row_filter,
        about_persons=asked.manifest.about_persons,
    )
    return f"({relations.selection(connection, relation, Path(session.inputs[file.name]), 'data')})"


def _tree(persons: Persons, ones: list[list[int]], dependent: list[int], prices: Prices) -> dict[Edge, Table]:
    """Choose pairs until they join all columns that may depend, and measure each: edges from parent to child."""
    scores = {
        (one, two): _score(persons.pair((one, two)), ones[one], ones[two])
        for one in dependent
        for two in dependent
        if one < two and len(ones[one]) * len(ones[two]) <= MOST_CELLS
    }
    group = {place: place for place in dependent}
    edges: list[Edge] = []
    while open_ := [edge for edge in scores if group[edge[0]] != group[edge[1]]]:
        edge = open_[prices.choices.best([scores[each] for each in open_])]
        edges.append(edge)
        joined, other = group[edge[0]], group[edge[1]]
        group = {place: joined if name == other else name for place, name in group.items()}
    return {edge: _noised(persons.pair(edge), prices.pairs) for edge in _directed(edges)}


def _score(table: Table, one: list[int], two: list[int]) -> int:
    """Return the L1 distance of a pair's table from what its noisy marginals say, whole: one person changes it by 1."""
    total = max(sum(one), 1)
    return sum(
        abs(count - first * second // total)
        for row, first in zip(table, one, strict=True)
        for count, second in zip(row, two, strict=True)
    )


def _noised(table: Table, noise: Noise) -> Table:
    width = len(table[0])
    flat = noise.counts([count for row in table for count in row])
    return [[max(count, 0) for count in flat[at : at + width]] for at in range(0, len(flat), width)]


def _directed(edges: list[Edge]) -> list[Edge]:
    """Return edges as (parent, child), each tree from its lowest column down."""
    found: list[Edge] = []
    left, reached = list(edges), set[int]()
    while left:
        begun = [edge for edge in left if set(edge) & reached]
        if not begun:
            reached.add(min(min(edge) for edge in left))
            continue
        for edge in begun:
            found.append(edge if edge[0] in reached else (edge[1], edge[0]))
        reached |= {place for edge in begun for place in edge}
        left = [edge for edge in left if edge not in begun]
    return found


def _columns(models: list[Model], ones: list[list[int]], tree: dict[Edge, Table]) -> dict[str, TwinColumn]:
    """Return the columns with their weights, by name."""
    parents = {child: (parent, table) for (parent, child), table in tree.items()}
    found = {}
    for place, model in enumerate(models):
        alone = normalised(spread(model, ones[place]))
        if place not in parents:
            found[model.column.name] = replace(model.column, given=(alone,))
            continue
        parent, table = parents[place]
        above = models[parent]
        rows = [normalised(spread(model, row)) if sum(row) else alone for row in table]
        rows = above.unfolded(rows)
        found[model.column.name] = replace(model.column, parent=above.column.name, given=tuple(rows))
    return found


def _report(persons: Persons, recipe: Recipe, truth: list[list[int]], prices: Prices) -> TwinReport:
    """Return what the owner may know: distances of the columns, and of made rows from persons."""
    columns = {column.name: column for column in recipe.table.columns}
    implied: dict[str, list[float]] = {}
    for step in recipe.table.order():
        for column in step:
            above = implied[column.parent] if column.parent else [1.0]
            implied[column.name] = [
                sum(part * row[choice] for part, row in zip(above, column.given, strict=True)) / WHOLE
                for choice in range(column.choices + 1)
            ]
    distances = []
    for model, counts in zip(persons.models, truth, strict=True):
        real = spread(model, counts)
        total = max(sum(real), 1)
        apart = sum(abs(a - b / total) for a, b in zip(implied[model.column.name], real, strict=True)) / 2
        distances.append(ColumnDistance(model.column.name, round(apart * MILLION)))
    prefix = f"{recipe.table.seed}/{recipe.table.name}"
    rows = twin.picked(replace(recipe.table, rows=MADE), prefix)
    bins = ", ".join(
        f"{model.refolded(twin.pick(model.column.name))} AS b{place}"
        for place, model in enumerate(persons.models)
    )
    twice, tried = persons.closeness(f"SELECT n, {bins} FROM {rows}")
    return TwinReport(
        recipe.digest,
        *(round(noise.scale * 1000) for noise in (prices.marginals, prices.choices, prices.pairs)),
        tuple(distances),
        tuple(Dependence(each.parent, each.name) for each in columns.values() if each.parent),
        twice * MILLION // (2 * tried) if tried else 0,
        tried,
    )
