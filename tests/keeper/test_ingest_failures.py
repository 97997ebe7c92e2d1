"""Why an ingest failed, as its owner reads it: the box's own finding, or the limit at which it was killed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from catalog.api import read_text
from keeper import ingest
from keeper.keeper import Keeper
from plans.errors import BoxFailed, BoxLimit, DarkroomError, DiskFull, Malformed, StateConflict, TypeConflict
from plans.manifest import DataFile, Declared, FileRole
from tests.plans import examples


def told(failure: BoxFailed, **facts: Any) -> DarkroomError:
    """What the desk answers when the launcher says this."""

    def run(*_: object) -> None:
        failure.facts = facts  # type: ignore[attr-defined]
        raise failure

    keeper: Any = SimpleNamespace(launcher=SimpleNamespace(put=lambda plan: None, run=run))
    with pytest.raises(DarkroomError) as caught:
        ingest._run(keeper, examples.PLAN)
    return caught.value


def test_what_the_box_found_is_a_sentence_with_its_place() -> None:
    found = told(
        BoxFailed("the box ended without a result", "ingest.type"), column="born", row=7, expected="DATE"
    )
    assert isinstance(found, TypeConflict) and found.where == "column born, row 7"
    assert isinstance(told(BoxFailed("the box ended without a result", "disk.full")), DiskFull)


def test_a_box_that_was_killed_at_a_limit_says_which() -> None:
    found = told(BoxLimit("the box reached its limit of memory", "box.memory"))
    assert (
        isinstance(found, BoxLimit) and "limit of memory" in found.what and "higher limit" in found.next_step
    )


def test_a_limit_that_the_box_met_itself_is_named_by_the_box() -> None:
    found = told(BoxLimit("the box ended without a result", "box.limit"), limit="temporary space")
    assert isinstance(found, BoxLimit) and "temporary space" in found.what


# --- data about nobody -----------------------------------------------------

ABOUT_NOBODY = b"""\
id = "nm/tax/income"
title = "Places"
title_zh = "\xe5\x9c\xb0\xe5\x90\x8d"
source_system = "Statistics"
grade = "general-1"
person = "none"

[[columns]]
name = "code"
type = "code"
kind = "plain"
"""


def test_a_dataset_about_persons_is_refused_at_the_desk_as_one_about_nobody(keeper: Keeper) -> None:
    description = read_text(ABOUT_NOBODY, "description")
    with pytest.raises(StateConflict, match="stays so in every version"):
        ingest._require_here(keeper, description)
    ingest._require_here(keeper, replace(description, dataset="nm/tax/place"))
    ingest._require_here(keeper, replace(description, person="row"))


def test_data_about_nobody_are_ingested_without_the_key_of_tokens(keeper: Keeper) -> None:
    description = read_text(ABOUT_NOBODY, "description")
    assert ingest._fresh_keys(keeper, description).token == ""
    assert (
        ingest._fresh_keys(keeper, replace(description, person="row")).token == keeper.keyring.token_key.hex()
    )


def test_the_manifest_of_data_about_nobody_counts_nobody() -> None:
    description = read_text(ABOUT_NOBODY, "description")
    file = DataFile(FileRole.ATTRIBUTES, "place-v1-attributes.parquet", examples.digest("a"), 9)
    report = {"rows": 3, "persons": 0, "columns": [{"name": "code", "nulls": 1}]}
    made = ingest._manifest(description, 1, (file,), (examples.PLAN, report))
    assert (made.person, made.persons, made.rows, made.about_persons) == ("", 0, 3, False)
    with pytest.raises(Malformed, match="about no persons"):
        ingest._manifest(description, 1, (file,), (examples.PLAN, {**report, "persons": 3}))


def test_the_manifest_says_what_its_owner_declared_about_values() -> None:
    """From it come the values of twins and the bounds of noisy sums; nothing of it was read from the data."""
    described = (
        ABOUT_NOBODY + b'categories = ["a", "b"]\n\n[[columns]]\nname = "price"\ntype = "decimal(8,2)"\n'
    )
    described += b'kind = "plain"\nrange = [0, 1500.5]\n'
    file = DataFile(FileRole.ATTRIBUTES, "place-v1-attributes.parquet", examples.digest("a"), 9)
    columns = [{"name": "code", "nulls": 1}, {"name": "price", "nulls": 0}]
    report = {"rows": 3, "persons": 0, "columns": columns}
    made = ingest._manifest(read_text(described, "description"), 1, (file,), (examples.PLAN, report))
    assert [column.declared for column in made.columns] == [
        Declared(values=("a", "b")),
        Declared("0", "1500.5"),
    ]
