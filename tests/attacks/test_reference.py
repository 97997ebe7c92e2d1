"""Attacks with data about nobody: persons called codes, and codes that tell about persons. Each has a control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inside import relations
from plans.errors import Malformed, SqlUnsupported, StateConflict
from plans.manifest import FileRole, Kind, Manifest
from plans.statements import Duty, Erasure, Type
from tests.keeper import house
from tests.spec.town import Town

# --- persons who are called codes (83) -----------------------------------------------------

POLICY = """
["nm/tax/house"]
minimum_group = 10
rounding = 1

["nm/tax/house".columns]
town = ["group"]
region = ["join"]

["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["join"]
income = ["avg"]
"""
TABLES = {
    "tax.house": "person | region | town\n1-20 | r | blue",
    "tax.income": "person | region | income\n1 | r | 777",
}
ONE_INCOME = (
    "select h.town, avg(i.income) as mean from tax.house h join tax.income i using (region) group by h.town"
)


def relabelled(manifest: Manifest) -> Manifest:
    """The same version as one about nobody."""
    columns = tuple(column for column in manifest.columns if column.kind is not Kind.IDENTIFIER)
    return replace(manifest, person="", persons=0, columns=columns, files=(manifest.attributes,))


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """An owner whose manifest of incomes says that they are about nobody, as no keeper would sign it."""
    made = Town(tmp_path, TABLES, POLICY)
    made.manifests = (made.manifests[0], relabelled(made.manifests[1]))
    return made


def test_83_data_about_persons_cannot_run_as_data_about_nobody(town: Town) -> None:
    """Even with the keeper's own signature on the label: the file bears tokens, and the box sees them."""
    with pytest.raises(Malformed, match="bears the tokens of persons"):
        town.ask(ONE_INCOME)


def test_the_control_if_it_could_one_persons_income_would_leave(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    believed = relations._names
    monkeypatch.setattr(relations, "_names", lambda relation, types: believed(relation, {}))
    answer = town.ask(ONE_INCOME)
    assert answer.released is not None
    assert [cell.v for cell in answer.released.rows[0]] == ["blue", "780"], (
        "777, to the digits of twenty persons"
    )


def test_the_control_with_the_right_label_it_does_not_leave(tmp_path: Path) -> None:
    assert Town(tmp_path, TABLES, POLICY).ask(ONE_INCOME).released is None


def manifest(**changes: object) -> Manifest:
    return replace(house.manifest(version=2), **changes)  # type: ignore[arg-type]


LABELS: dict[str, Callable[[], Manifest]] = {
    "persons are counted": lambda: replace(relabelled(manifest()), persons=90),
    "a column identifies": lambda: replace(relabelled(manifest()), columns=manifest().columns),
    "a file of identifiers": lambda: replace(relabelled(manifest()), files=manifest().files),
}


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS.keys())
def test_83_what_knows_persons_is_not_about_nobody(label: Callable[[], Manifest]) -> None:
    with pytest.raises(Malformed, match="about no persons"):
        label()
    assert {file.role for file in manifest().files} == set(FileRole), (
        "the control: about persons it may have them"
    )


def test_83_a_dataset_about_persons_has_no_version_about_nobody() -> None:
    """Its rules and grants allow figures that count persons; the next version would be joined without counting."""
    trusted = house.trusted(*house.house_statements())
    label = relabelled(manifest())
    with pytest.raises(StateConflict, match="stays so"):
        trusted.add(house.signed_manifest(label), house.NOW)
    erasure = Erasure(house.INCOME, 1, house.manifest().digest, (), house.NOW, house.NOW)
    trusted.add(house.signed(Type.ERASURE, Duty.KEEPER, erasure, "keeper"), house.NOW)
    with pytest.raises(StateConflict, match="stays so"):
        trusted.add(house.signed_manifest(label), house.NOW)
    trusted.add(house.signed_manifest(replace(label, dataset="nm/tax/code", version=1)), house.NOW)
    trusted.add(house.signed_manifest(manifest()), house.NOW)
    assert [m.dataset for m in trusted.current_manifests()] == ["nm/tax/code", house.INCOME, house.PROPERTY]


def test_data_about_nobody_may_turn_out_to_be_about_persons() -> None:
    trusted = house.trusted(*house.house_statements())
    code = replace(relabelled(manifest()), dataset="nm/tax/code", version=1)
    trusted.add(house.signed_manifest(code), house.NOW)
    trusted.add(house.signed_manifest(replace(manifest(), dataset="nm/tax/code")), house.NOW)
    with pytest.raises(StateConflict):
        trusted.add(house.signed_manifest(replace(code, version=3)), house.NOW)


# --- codes that tell about persons (24, 28, 30) -----------------------------------------------------

CODES = """
["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["group", "join"]
age = ["join"]
income = ["sum", "avg"]

["nm/tax/code"]
minimum_group = 1
rounding = 1

["nm/tax/code".columns]
region = ["group", "join", "count"]
area = ["group", "filter"]
age = ["group", "join"]
houses = ["sum", "avg", "filter", "count"]
"""
PEOPLE = "person | region | age | income\n1 | r | 31 | 777\n2-20 | r | 40 | 100"
ONE_OF_ALL = {
    "a key that is a person's": (
        "select c.age, sum(i.income) as x from tax.income i join tax.code c using (age) group by 1",
        "region | area | age | houses\nr | a | 31 | 1",
    ),
    "a group that is a person's": (
        "select c.area, sum(i.income) as x from tax.income i join tax.code c using (age) group by c.area",
        "region | area | age | houses\nr | a | 31 | 1",
    ),
    "a condition": (
        "select sum(i.income) as x from tax.income i join tax.code c using (age) where c.houses = 1",
        "region | area | age | houses\nr | a | 31 | 1\nr | b | 40 | 0",
    ),
    "a branch": (
        "select sum(case when c.area = 'a' then i.income else 0 end) as x"
        " from tax.income i join tax.code c using (age)",
        "region | area | age | houses\nr | a | 31 | 1\nr | b | 40 | 0",
    ),
    "a weight of 0": (
        "select sum(i.income * c.houses) as x from tax.income i join tax.code c using (age)",
        "region | area | age | houses\nr | a | 31 | 1\nr | b | 40 | 0",
    ),
    "a number of 0": (
        "select sum(c.houses) as x from tax.income i join tax.code c using (age)",
        "region | area | age | houses\nr | a | 31 | 1\nr | b | 40 | 0",
    ),
    "a missing value": (
        "select count(c.houses) as x from tax.income i join tax.code c using (age)",
        "region | area | age | houses\nr | a | 31 | 1\nr | b | 40 |",
    ),
    "a missing row": (
        "select count(c.region) as x from tax.income i left join tax.code c using (age)",
        "region | area | age | houses\nr | a | 31 | 1",
    ),
    "many rows of one code": (
        "select c.area, count(*) as x from tax.income i join tax.code c using (age) group by c.area",
        "region | area | age | houses" + "\nr | a | 31 | 1" * 30,
    ),
    "rows that meet nobody": (
        "select c.area, count(*) as x from tax.code c left join tax.income i using (age) group by c.area",
        "region | area | age | houses\nr | a | 31 | 1" + "\nr | a | 99 | 1" * 30,
    ),
}


@pytest.mark.parametrize(("statement", "codes"), ONE_OF_ALL.values(), ids=ONE_OF_ALL.keys())
def test_24_28_30_no_code_picks_the_figure_of_one_person(tmp_path: Path, statement: str, codes: str) -> None:
    answer = Town(tmp_path, {"tax.income": PEOPLE, "tax.code": codes}, CODES).ask(statement)
    assert answer.decision.reasons == () and answer.failure == ""
    assert answer.released is None or all(row[-1].suppressed for row in answer.released.rows)


@pytest.mark.parametrize(("statement", "codes"), ONE_OF_ALL.values(), ids=ONE_OF_ALL.keys())
def test_the_control_where_ten_persons_have_the_code_it_leaves(
    tmp_path: Path, statement: str, codes: str
) -> None:
    people = PEOPLE.replace("1 | r | 31", "1-12 | r | 31").replace("2-20", "13-40")
    answer = Town(tmp_path, {"tax.income": people, "tax.code": codes}, CODES).ask(statement)
    assert answer.released is not None and not any(row[-1].suppressed for row in answer.released.rows)


def test_28_persons_are_those_of_the_data_about_persons_and_of_nothing_else(tmp_path: Path) -> None:
    codes = "region | area | age | houses\nr | a | 31 | 1"
    town = Town(tmp_path, {"tax.income": PEOPLE, "tax.code": codes}, CODES)
    counted = town.read(
        "select c.area, count(*) as n from tax.code c join tax.income i using (age) group by 1"
    ).counted
    assert counted.count("person") == 2 and 'count(DISTINCT "i"."person") AS "_persons_0"' in counted


@pytest.mark.parametrize(
    "statement",
    [
        "select area, count(*) as n from tax.code group by area",
        "select c.area, sum(d.houses) as n from tax.code c join tax.code d using (age) group by c.area",
        "with x as (select area, count(*) as n from tax.code group by 1),"
        " y as (select region, count(*) as m from tax.income group by 1) select x.area, x.n, y.m from x, y",
    ],
)
def test_19_what_is_about_nobody_is_no_figure_about_persons(tmp_path: Path, statement: str) -> None:
    """Nobody can be counted behind it, so nothing would ever be suppressed."""
    codes = "region | area | age | houses\nr | a | 31 | 1"
    with pytest.raises(SqlUnsupported, match="no relation of this statement is about persons"):
        Town(tmp_path, {"tax.income": PEOPLE, "tax.code": codes}, CODES).ask(statement)
