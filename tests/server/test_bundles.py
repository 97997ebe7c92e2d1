"""A new bundle is held against the datasets that there are, and what it changes is told line by line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from catalog import api as catalog
from plans.errors import Malformed, SettingsWrong
from plans.manifest import Column, Kind, Manifest
from policies.api import short
from server.bundles import changes, require_fitting
from server.policy_files import Written, read_policies
from tests.keeper import house

TEXT = """\
["nm/tax/income"]
minimum_group = 10

["nm/tax/income".columns]
region = ["group", "filter"]

[["nm/tax/income".columns.income]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
functions = ["avg"]
"""


def written(folder: Path, text: str = TEXT) -> Written:
    file = folder / "policies.toml"
    file.write_text(text, encoding="utf-8")
    return read_policies(file)


def fit(folder: Path, text: str, *manifests: Manifest) -> None:
    file = written(folder, text)
    require_fitting(file, file.bundle("nm/tax", 2), manifests or (house.manifest(),))


MASK = 'mask = "{}"\nuses = ["group"]\n'

RULE = TEXT[TEXT.index("[[") :]

UNFIT = {
    "a column that is not there": (TEXT.replace("region =", "regoin ="), "regoin", "no such column"),
    "a column that was renamed in capitals": (TEXT.replace("region =", "reg_ion ="), "reg_ion", "looks like it"),
    "a dataset that is not there": (TEXT.replace("nm/tax/income", "nm/tax/incomes"), '["nm', "no current version"),
    "another domain's dataset": (TEXT.replace("nm/tax/", "nm/health/"), '["nm', "does not belong to nm/tax"),
    "two masks for one asker": (
        TEXT + MASK.format("bucket 10") + RULE.replace('functions = ["avg"]\n', MASK.format("null")),
        "[[",
        "different ways",
    ),
    "a mask that does not fit": (TEXT + MASK.format("date year"), "[[", "does not fit the type"),
    "a share type without a basis": (TEXT.replace("minimum_group = 10", 'share = "none"'), '["nm', "legal basis"),
    "a prohibition of nothing": (
        TEXT.replace('functions = ["avg"]', 'effect = "deny"'), "[[", "forbids nothing"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "begins", "said"), UNFIT.values(), ids=UNFIT.keys())
def test_what_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, text: str, begins: str, said: str
) -> None:
    with pytest.raises(SettingsWrong) as refused:
        fit(tmp_path, text)
    assert said in refused.value.what
    line = int(refused.value.where.rpartition(" ")[2])
    assert text.splitlines()[line - 1].startswith(begins)


def test_control_a_bundle_that_fits_passes(tmp_path: Path) -> None:
    fit(tmp_path, TEXT)


def test_a_column_that_a_new_version_has_no_more_is_refused(tmp_path: Path) -> None:
    """The control is the version before, which has it."""
    columns = (
        Column("area", "VARCHAR", "", Kind.QUASI, 0),
        Column("income", "DOUBLE", "CNY", Kind.SENSITIVE, 0),
    )
    with pytest.raises(SettingsWrong, match="version 1 has no such column"):
        fit(tmp_path, TEXT, house.manifest(columns=columns))


def test_every_change_of_a_bundle_is_a_line(tmp_path: Path) -> None:
    old = written(tmp_path).bundle("nm/tax", 1)
    text = TEXT.replace("minimum_group = 10", "minimum_group = 5").replace(
        '["group", "filter"]', '["filter"]'
    )
    new = written(
        tmp_path, text.replace('functions = ["avg"]', 'functions = ["avg", "max"]\nuntil = 2027-12-31')
    )
    assert changes(old, new.bundle("nm/tax", 2)) == (
        "- nm/tax/income minimum_group: 10",
        "+ nm/tax/income minimum_group: 5",
        "- nm/tax/income.income: allow avg(); reveals after-aggregation",
        "+ nm/tax/income.income: allow avg(), max(); reveals after-aggregation; until 2028-01-01 00:00 UTC",
        "- nm/tax/income.region: allow filter, group; reveals as-group-key",
        "+ nm/tax/income.region: allow filter; reveals never",
    )


def test_the_same_rules_change_nothing_and_a_first_bundle_changes_all(tmp_path: Path) -> None:
    bundle = written(tmp_path).bundle("nm/tax", 1)
    assert changes(bundle, bundle) == ()
    first = changes(None, bundle)
    assert all(line.startswith("+ ") for line in first)
    assert "+ nm/tax/income access: allow query; roles: researcher, operator" in first


@pytest.mark.parametrize("column", ["regoin", "id_number"])
def test_a_bundle_that_does_not_fit_leaves_the_old_one_in_force_at_the_keeper(
    tmp_path: Path, column: str
) -> None:
    """The control is the next bundle, which fits; the refused one does not come back after a restart."""
    settings = house.config(tmp_path)
    house.build(settings)
    keeper = house.start(settings)
    house.believe(keeper, *house.house_statements())
    before = keeper.trusted.bundle
    wrong = replace(house.INCOME_POLICY, constraints=(short(column, ("group",)),))
    with pytest.raises(Malformed, match="the one in force stays"):
        keeper.believe(house.bundle(2, (wrong,)))
    assert keeper.trusted.bundle == before == house.start(settings).trusted.bundle
    keeper.believe(house.bundle(2))
    assert keeper.trusted.bundle is not None and keeper.trusted.bundle.number == 2


EXAMPLES = Path(__file__).parents[2] / "examples"


def filled(file: Path, folder: Path) -> Path:
    """The file as an owner has it: owners of parts of one table share a file, in which a word stands for each."""
    copy = folder / file.name
    copy.write_text(file.read_text("utf-8").replace("{domain}", "nm/place"), encoding="utf-8")
    return copy


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("policies/*.toml")), ids=lambda file: file.stem)
def test_the_examples_fit_the_datasets_that_the_examples_make(tmp_path: Path, file: Path) -> None:
    folders = ("encrypted", "joint", "region")
    files = [each for folder in folders for each in EXAMPLES.joinpath(folder).glob("*.toml")]
    described = [catalog.read_file(filled(each, tmp_path)) for each in files]
    manifests = []
    for each in described:
        columns = tuple(Column(c.name, c.type, "", Kind(c.kind), 0) for c in each.columns)
        manifests.append(house.manifest(each.dataset, columns=columns))
    found = read_policies(filled(file, tmp_path))
    domain = found.policies[0].dataset.rpartition("/")[0]
    require_fitting(found, found.bundle(domain, 1), tuple(manifests))
