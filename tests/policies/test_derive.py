"""What runs follows from reading, bundle and manifests alone, and never reads an identifier."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plans.box import Entry, Input
from plans.decision import Tier
from plans.errors import Malformed
from plans.plan import Program
from plans.reading import Clause
from policies.api import program, sql_boxes
from tests.keeper import house
from tests.policies.cases import BOTH, MANIFESTS, bundle, reading, use


def derived(*uses: object) -> Program:
    return program(reading(*uses), bundle(), MANIFESTS)


def test_a_relation_is_materialised_with_the_used_columns_and_the_owners_filter_only() -> None:
    (relation,) = derived(*house.READING.uses).relations
    manifest = house.manifest()
    assert relation.columns == ("income", "region")
    assert relation.row_filter == house.INCOME_POLICY.row_filter
    assert (relation.manifest, relation.file) == (manifest.digest, manifest.attributes.sha256)


def test_neither_identifiers_nor_the_token_are_among_the_columns() -> None:
    (relation,) = derived(use("id_number", Clause.FILTER), use("person", Clause.JOIN)).relations
    assert relation.columns == ()


def test_the_order_in_which_columns_are_used_changes_nothing() -> None:
    assert derived(*house.READING.uses) == derived(*house.READING.uses[::-1])


def test_the_counted_statement_and_its_outputs_come_from_the_reading() -> None:
    made = derived()
    assert (made.tables, made.outputs, made.finish, made.order, made.limit) == (
        house.READING.tables, house.READING.outputs, house.READING.finish, house.READING.order, house.READING.limit,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("policies", "manifests"), [((house.PROPERTY_POLICY,), MANIFESTS), ((), ()), ((), MANIFESTS)]
)
def test_nothing_runs_on_a_relation_without_a_manifest_and_a_policy(
    policies: tuple, manifests: tuple
) -> None:
    with pytest.raises(Malformed):
        program(reading(), replace(bundle(), policies=policies), manifests)


def test_the_query_box_reads_attribute_files_each_once_and_the_others_what_was_written_before() -> None:
    made = program(BOTH.reading, bundle(), MANIFESTS)
    made = replace(made, relations=(*made.relations, made.relations[0]))
    query, parse, judge = sql_boxes(made, MANIFESTS, house.IMAGE, Tier.T2, house.LIMITS)
    files = [manifest.attributes for manifest in MANIFESTS]
    assert query.inputs == tuple(sorted((Input(f.name, f.sha256) for f in files), key=lambda i: i.name))
    assert parse.inputs == (Input("result.bin", ""),) and judge.inputs == (Input("table.bin", ""),)
    assert [box.entry for box in (query, parse, judge)] == [Entry.QUERY, Entry.PARSE, Entry.JUDGE]
    assert {box.tier for box in (query, parse, judge)} == {Tier.T2}
    assert not any("identifiers" in item.name for item in query.inputs)


def test_boxes_take_the_limits_of_their_own_entry() -> None:
    limits = {entry: replace(house.LIMITS[entry], memory_mb=100 + n) for n, entry in enumerate(Entry)}
    for box in sql_boxes(derived(), MANIFESTS, house.IMAGE, Tier.T1, limits):
        assert box.limits == limits[box.entry]
