"""Recipes with noisy marginals: close to the data in what was declared, and no closer than their price allows.

The unit is one person with all rows. That a person changes every exact figure by one at most is checked on exact
figures; that the noise has its stated scale, on many draws. Both together are the promise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside import engine, twin, twins
from inside.twin_model import MOST_SPANS, Model, alone, coarse, models_of, normalised
from inside.twins import Noise, Persons, Prices
from plans.errors import Malformed
from plans.manifest import Column, Kind
from plans.trial import TWIN_ROWS, WHOLE, TwinColumn, twin_of
from plans.twins import MILLION, Making, Recipe, grid, narrowed, reasons_against
from tests.inside.twin_cases import LIMITS, SEED, Case, column, rows_of

REGIONS = ("east", "west", "north")
CANARY = "canary-77712"
TOWN = (
    column("region", "VARCHAR", "", "", *REGIONS),
    column("age", "BIGINT", "0", "120"),
    column("income", "BIGINT", "0", "100000", nulls=1),
    column("born", "DATE", "1920-01-01", "2020-12-31"),
    column("share", "DOUBLE", "0", "1"),
)
TOWN_ROWS = """
    SELECT n::UBIGINT AS person,
        CASE n % 4 WHEN 0 THEN 'east' WHEN 1 THEN 'east' WHEN 2 THEN 'west' ELSE 'north' END AS region,
        (20 + n % 50)::BIGINT AS age,
        CASE WHEN n % 5 = 0 THEN NULL WHEN n % 4 < 2 THEN 1000 + n % 1000 ELSE 60000 + n % 9000 END AS income,
        DATE '1950-01-01' + (n % 10000)::INTEGER AS born,
        ((n % 100) / 100.0)::DOUBLE AS share
    FROM range({count}) AS made(n)
"""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Recipe, Any]:
    """A dataset of 20,000 persons, and what was made of it for rho 1."""
    case = Case(tmp_path_factory.mktemp("town"), TOWN_ROWS.format(count=20_000), TOWN)
    return case, *case.made(1.0)


# -------------------------------------------------------------------------------------------------- fidelity


def test_marginals_and_what_depends_on_what_are_those_of_the_data(town: Any, tmp_path: Path) -> None:
    _, recipe, report = town
    assert all(each.variation_micro < 30_000 for each in report.columns)
    by_region = {
        region: (share, missing, rich)
        for region, share, missing, rich in rows_of(
            recipe,
            tmp_path,
            "SELECT region, count(*) / 20000, avg((income IS NULL)::INT), avg((income > 50000)::INT)"
            " FROM made GROUP BY region",
        )
    }
    for region, share, rich in (("east", 0.5, 0), ("west", 0.25, 1), ("north", 0.25, 1)):
        found = by_region[region]
        assert abs(found[0] - share) < 0.04 and abs(found[1] - 0.2) < 0.05 and abs(found[2] - rich) < 0.05


def test_the_same_recipe_makes_the_same_rows_for_anybody(town: Any, tmp_path: Path) -> None:
    _, recipe, _ = town
    select = "SELECT * FROM made ORDER BY ALL"
    again = Recipe.decode(recipe.canonical())
    assert rows_of(recipe, tmp_path, select, 200) == rows_of(again, tmp_path, select, 200)
    other = replace(recipe, table=replace(recipe.table, seed="cd" * 16))
    assert rows_of(recipe, tmp_path, select, 200) != rows_of(other, tmp_path, select, 200)


def test_a_column_has_the_same_values_whatever_is_shown_beside_it(town: Any, tmp_path: Path) -> None:
    _, recipe, _ = town
    for name in ("region", "income", "born"):
        alone = replace(recipe, table=narrowed(recipe.table, (name,)))
        select = f"SELECT person, {name} FROM made"
        assert rows_of(alone, tmp_path, select, 300) == rows_of(recipe, tmp_path, select, 300)
    with pytest.raises(Malformed):
        narrowed(recipe.table, ("id",))


def test_a_program_finds_the_columns_of_its_task_in_an_arrow_stream(town: Any, tmp_path: Path) -> None:
    _, recipe, _ = town
    twin.write(narrowed(recipe.table, ("income", "region")), 0, tmp_path / "town.arrows")
    with pa.ipc.open_stream(tmp_path / "town.arrows") as stream:
        found = stream.read_all()
    assert found.column_names == ["person", "income", "region"] and found.num_rows == TWIN_ROWS
    assert set(found["region"].to_pylist()) == set(REGIONS) and found["income"].null_count > 0


def test_tables_of_a_region_join_by_person_and_by_code(town: Any, tmp_path: Path) -> None:
    case, recipe, _ = town
    other = Case(
        tmp_path,
        "SELECT 1::UBIGINT AS person, 'east' AS place",
        (column("place", "VARCHAR", "", "", *REGIONS),),
    )
    second = replace(twin_of(other.manifest, rows=700), name="test.others", seed="cd" * 16, repeats=True)
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE one AS {twin.select(recipe.table, 0)}")
        connection.execute(f"CREATE TABLE two AS {twin.select(second, 0)}")
        rows, persons, codes = connection.execute(
            "SELECT count(*), count(DISTINCT person), count(DISTINCT place) FROM one JOIN two"
            " USING (person) WHERE place IN (SELECT region FROM one)"
        ).fetchone() or (0, 0, 0)
    assert rows == 700 and persons == 560 and codes == 3, "a person with two rows meets both"


# ------------------------------------------------------------------------------- no value that was not declared


def test_no_value_beside_the_declared_ones_is_in_a_recipe_or_a_row(tmp_path: Path) -> None:
    """Who was declared away is counted as missing, or at the nearest end; the value itself is nowhere."""
    columns = (
        column("region", "VARCHAR", "", "", *REGIONS, nulls=1),
        column("income", "BIGINT", "0", "1000"),
    )
    columns += (column("name", "VARCHAR", nulls=1), column("code", "BIGINT"))
    rows = f"""
        SELECT n::UBIGINT AS person, '{CANARY}' AS region, 77712345 AS income, '{CANARY}' AS name, 77712 AS code
        FROM range(500) AS made(n)
    """
    case = Case(tmp_path, rows, columns)
    recipe, _ = case.made(50.0)
    assert "77712" not in recipe.canonical().decode()
    assert reasons_against(recipe, case.manifest, 50 * MILLION) == ()
    found = rows_of(recipe, tmp_path, "SELECT DISTINCT region, income, name, code FROM made")
    assert {row[0] for row in found} <= {None, *REGIONS} and all(0 <= row[1] <= 1000 for row in found)
    assert not any("77712" in str(row[2:]) for row in found)
    made = {each.name: each for each in recipe.table.columns}
    assert made["region"].given[0][-1] > 0.9 * WHOLE, "the control: they were counted, as missing"


def plain(value: str) -> TwinColumn:
    return TwinColumn("region", "VARCHAR", "", "", (*REGIONS[:2], value), False)


def with_column(recipe: Recipe, changed: TwinColumn) -> Recipe:
    columns = tuple(changed if each.name == changed.name else each for each in recipe.table.columns)
    return replace(recipe, table=replace(recipe.table, columns=columns))


def test_a_recipe_that_says_more_than_was_declared_is_refused(town: Any) -> None:
    case, recipe, _ = town
    columns = {each.name: each for each in recipe.table.columns}
    age, region = columns["age"], columns["region"]
    first = age.spans[0]
    assert reasons_against(recipe, case.manifest, MILLION) == ()
    income, canary = columns["income"], "777"
    told = [
        (replace(region, values=(*REGIONS[:2], CANARY)), "undeclared-value"),
        (replace(age, high="121"), "undeclared-value"),
        (replace(income, low="-1"), "undeclared-value"),
        (replace(age, spans=((first[0], first[0]), *age.spans[1:])), "undeclared-span"),
        (replace(income, spans=(("0", canary), *income.spans[1:])), "undeclared-span"),
    ]
    for changed, reason in told:
        assert reason in reasons_against(with_column(recipe, changed), case.manifest, MILLION)
    reordered = replace(recipe, table=replace(recipe.table, columns=recipe.table.columns[::-1]))
    assert reasons_against(reordered, case.manifest, MILLION) == ("undeclared-value",)
    assert reasons_against(recipe, case.manifest, MILLION - 1) == ("budget",)
    with pytest.raises(Malformed):
        replace(recipe, making=Making.DECLARED, rho_micro=0)


def test_rows_that_the_policy_hides_and_columns_without_rules_are_not_counted(tmp_path: Path) -> None:
    columns = (column("region", "VARCHAR", "", "", *REGIONS), column("age", "BIGINT", "0", "120"))
    rows = """
        SELECT n::UBIGINT AS person, CASE WHEN n < 900 THEN 'east' ELSE 'west' END AS region, 5::BIGINT AS age
        FROM range(1000) AS made(n)
    """
    case = Case(tmp_path, rows, columns)
    recipe, _ = case.made(20.0, columns=("region",), row_filter="region = 'west'")
    made = {each.name: each for each in recipe.table.columns}
    assert not made["age"].given and made["region"].given[0][1] > 0.8 * WHOLE
    everything = {each.name: each for each in case.made(20.0)[0].table.columns}
    assert everything["age"].given and everything["region"].given[0][0] > 0.8 * WHOLE  # the control


# ------------------------------------------------------------------------------------- a person changes little


def exact(rows: list[tuple[int, int, int | None]]) -> Iterator[list[int]]:
    """Yield every exact figure that noise is put on: marginals, then pairs' tables, of persons with rows (a, b)."""
    columns = (
        TwinColumn("a", "BIGINT", "0", "9", (), False),
        TwinColumn("b", "BIGINT", "0", "3", (), True),
    )
    models = [Model(each, len(grid(each)), tuple(range(len(grid(each)) + 1))) for each in columns]
    listed = ", ".join(f"({who}, {a}, {'NULL' if b is None else b})" for who, a, b in rows)
    values = f"(SELECT who::UBIGINT AS person, a::BIGINT AS a, b::BIGINT AS b FROM (VALUES {listed}) AS t(who, a, b))"
    with duckdb.connect(":memory:") as connection:
        persons = Persons(connection, models, "00" * 32, True)
        persons.choose(values)
        yield persons.marginal(0)
        yield persons.marginal(1)
        persons.make_coarse(models)
        yield [count for row in persons.pair((0, 1)) for count in row]


ROWS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(-1, 11), st.none() | st.integers(0, 3)), min_size=2, max_size=24
)


@settings(max_examples=25, deadline=None)
@given(ROWS, st.data())
def test_one_person_with_all_rows_changes_every_exact_figure_by_one_at_most(
    rows: list[tuple[int, int, int | None]], data: Any
) -> None:
    who = data.draw(st.sampled_from(sorted({row[0] for row in rows})))
    left = [row for row in rows if row[0] != who]
    if not left:
        return
    ones = [[3] * 11, [2] * 5]
    for with_all, without in zip(exact(rows), exact(left), strict=True):
        assert sum(abs(one - other) for one, other in zip(with_all, without, strict=True)) <= 1
        if len(with_all) == 55:
            tables = [[flat[at : at + 5] for at in range(0, 55, 5)] for flat in (with_all, without)]
            assert abs(twins._score(tables[0], *ones) - twins._score(tables[1], *ones)) <= 1


def test_without_that_bound_one_person_changes_a_figure_by_all_rows() -> None:
    """The control: the same rows, each as a person of its own."""
    rows = [(1, 5, 2)] * 20 + [(2, 1, 1)]
    bounded = next(iter(exact(rows)))
    unbounded = next(iter(exact([(at, a, b) for at, (_, a, b) in enumerate(rows, start=10)])))
    assert sum(bounded) <= 2 and unbounded[5] > 10


# -------------------------------------------------------------------------------- the noise, as it was paid for

DRAWS = 100_000


def misfit(draws: list[int], scale: float) -> float:
    """Chi-square of draws against the discrete Gaussian of a scale, in standard deviations above its mean."""
    reach = math.ceil(5 * scale)
    weights = {x: math.exp(-(x * x) / (2 * scale * scale)) for x in range(-reach, reach + 1)}
    total = sum(weights.values())
    counts, width = Counter(draws), max(1, round(scale / 2))
    cells: dict[int, list[float]] = {}
    for x, weight in weights.items():
        cell = cells.setdefault(max(-4, min(4, round(x / width / 2))), [0.0, 0.0])
        cell[0] += counts.pop(x, 0)
        cell[1] += len(draws) * weight / total
    statistic = sum((seen - due) ** 2 / due for seen, due in cells.values())
    freedom = len(cells) - 1
    return (statistic - freedom) / math.sqrt(2 * freedom)


def test_the_noise_of_counts_has_the_scale_that_was_paid_for() -> None:
    noise = Noise(rho=0.02, times=4)
    draws = noise.counts([0] * DRAWS)
    assert abs(noise.scale - 10) < 1e-6
    assert misfit(draws, noise.scale) < 12, "9 cells: by chance less than once in 10^8 times"
    assert misfit(draws, noise.scale * 1.3) > 50 and misfit(draws, noise.scale * 0.7) > 50


def test_the_noise_of_a_choice_has_the_scale_that_was_paid_for() -> None:
    """Of two scores that differ by one scale the higher is chosen with the odds e, as of the exponential mechanism."""
    noise = Noise(rho=0.02, times=4)
    chosen = sum(noise.best([10, 0]) == 0 for _ in range(6_000)) / 6_000

    def odds(scale: float) -> float:
        return 1 / (1 + math.exp(-10 / scale))

    near = 0.035  # six standard deviations
    assert abs(chosen - odds(noise.scale)) < near
    assert abs(odds(13) - odds(10)) > near and abs(odds(7) - odds(10)) > near, (
        "other scales would be told apart"
    )


def test_all_noise_of_a_recipe_together_costs_no_more_than_its_price(
    town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent: list[float] = []
    paid = Noise._require_paid

    def count(self: Noise, cost: float) -> None:
        spent.append(cost)
        paid(self, cost)

    monkeypatch.setattr(Noise, "_require_paid", count)
    town[0].made(0.5)
    assert len(spent) == 5 + 4 + 4 and 0.99 * 0.5 < sum(spent) <= 0.5


def test_noise_that_costs_more_than_its_part_is_refused() -> None:
    with pytest.raises(Malformed, match="cost more"):
        Noise(rho=0.02, times=4)._require_paid(0.006)


# --------------------------------------------------------------------------------------------------- attacks


def advantage(noise: Noise) -> float:
    """How much better than guessing the best threshold tells whether somebody is in a cell alone."""
    size = 4_000
    inside, outside = Counter(noise.counts([1] * size)), Counter(noise.counts([0] * size))
    marks = sorted(set(inside) | set(outside))
    above = [
        sum(c for x, c in found.items() if x >= mark) / size for mark in marks for found in (inside, outside)
    ]
    return max(one - other for one, other in zip(above[::2], above[1::2], strict=True))


def test_who_looks_for_a_person_in_a_marginal_finds_no_more_than_the_price_allows() -> None:
    """By Pinsker's inequality nobody tells two neighbouring datasets apart better than by sqrt(rho / 2)."""
    noise = Prices.of(100_000, 8, 8).marginals
    rho_each = 1 / (2 * noise.scale**2)
    assert advantage(noise) <= math.sqrt(rho_each / 2) + 0.06
    assert advantage(Noise(rho=1000, times=1)) > 0.95, "the control: hardly any noise, and everybody is found"


@pytest.mark.long
def test_who_looks_for_a_person_in_recipes_finds_no_more_than_the_price_allows(tmp_path: Path) -> None:
    """The whole way, and the worst case: one person alone in a category, of whom everything else is known."""
    columns = (column("region", "VARCHAR", "", "", *REGIONS), column("age", "BIGINT", "0", "9"))
    others = (
        "SELECT n::UBIGINT AS person, 'east' AS region, (n % 10)::BIGINT AS age FROM range(40) AS made(n)"
    )
    sought = " UNION ALL SELECT 77, 'north', 5 FROM range(3)"
    cases = []
    for name, rows in (("with", others + sought), ("without", others)):
        (tmp_path / name).mkdir()
        cases.append(Case(tmp_path / name, rows, columns, signs="1" * 64))

    def told(rho: float, runs: int) -> float:
        """How often the better half of guesses is right beyond chance, by the weight of the category."""
        weights = []
        for case in cases:
            made = [
                {each.name: each for each in case.made(rho)[0].table.columns}["region"] for _ in range(runs)
            ]
            weights.append(sorted(sum(row[2] for row in each.given) / len(each.given) for each in made))
        marks = sorted(set(weights[0] + weights[1]))
        return max(
            (sum(w >= mark for w in weights[0]) - sum(w >= mark for w in weights[1])) / runs for mark in marks
        )

    assert told(0.02, 150) <= math.sqrt(0.02 / 2) + 0.3  # by chance once in 10^7 times: exp(−150·0.33²)
    assert told(2_000.0, 10) == 1.0, "the control: hardly any noise"


def test_made_rows_are_no_closer_to_who_was_used_than_to_who_was_held_out(town: Any, tmp_path: Path) -> None:
    case, _, report = town
    assert report.tried == 500 and 350_000 < report.closer_micro < 650_000
    declared = {each.name: each.declared for each in TOWN}
    models = alone(models_of(twin_of(case.manifest), tuple(each.name for each in TOWN)), declared)
    with engine.open_engine(tmp_path, LIMITS) as connection:
        persons = Persons(connection, models, "00" * 32, True)
        persons.choose(f"({TOWN_ROWS.format(count=6_000)})")
        persons.make_coarse(models)
        copied = "SELECT rowid AS n, * EXCLUDE held FROM wide WHERE NOT held ORDER BY hash(rowid) LIMIT 100"
        twice, tried = persons.closeness(copied)
    assert twice / (2 * tried) > 0.8, "the control: rows that are copies are found out"


# ----------------------------------------------------------------------------------------------------- bounds


def test_spans_are_joined_by_noisy_counts_alone_and_stay_on_the_grid() -> None:
    shape = TwinColumn("a", "BIGINT", "0", "1000000", (), True)
    model = Model(shape, len(grid(shape)), tuple(range(len(grid(shape)) + 1)))
    noisy = [1_000 if place < 8 else -3 for place in range(model.fine)] + [50]
    found = coarse([model], [noisy])[0]
    assert 8 <= found.bins <= MOST_SPANS and found.column.spans[0] == grid(shape)[0]
    assert sum(found.folded(noisy)) == sum(noisy)


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=40))
def test_weights_add_up_and_keep_their_proportions(weights: list[int]) -> None:
    found = normalised(weights)
    assert sum(found) == WHOLE and min(found) >= 0
    if total := sum(weights):
        assert all(abs(a - b * WHOLE / total) <= 1 for a, b in zip(found, weights, strict=True))


def test_data_about_nobody_have_twins_too(tmp_path: Path) -> None:
    case = Case(
        tmp_path,
        "SELECT CASE WHEN n % 3 = 0 THEN 'east' ELSE 'west' END AS region FROM range(3000) t(n)",
        (column("region", "VARCHAR", "", "", *REGIONS),),
        about_persons=False,
    )
    recipe, _ = case.made(1.0)
    assert [each.name for each in recipe.table.columns] == ["region"]
    assert abs(recipe.table.columns[0].given[0][0] / WHOLE - 1 / 3) < 0.05


def test_a_box_that_is_asked_for_something_else_gives_no_recipe(town: Any) -> None:
    case, _, _ = town
    with pytest.raises(Malformed):
        case.imitation(0)
    hidden = Column("id", "VARCHAR", "", Kind.IDENTIFIER, 0)
    with pytest.raises(Malformed, match="no identifiers"):
        replace(
            case.imitation(1.0), manifest=replace(case.manifest, columns=(*TOWN, hidden)), columns=("id",)
        )
    with pytest.raises(Malformed):
        replace(case.imitation(1.0), seed=SEED[:-1])
