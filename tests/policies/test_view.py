"""A view of a dataset: which columns an asker's statement is read on, with which types, and which are shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.constraints import Mask, MaskKind, Reveal
from plans.manifest import Column, Kind, Manifest
from plans.reading import Clause, Shadow
from policies.api import Case, Grants, program_of, shadows, short
from policies.constraints import Asker
from policies.view import view
from tests.keeper import house
from tests.policies.cases import GOOD, ROWS, ROWS_POLICY, bundle, cases, granted, shown

ASKER = Asker(house.MEMBER, "researcher", house.PURPOSE, house.NOW)


def seen(case: Case) -> Shadow:
    """The shadow of the first dataset."""
    return shadows(case.request, case.bundle, case.manifests, case.index, case.now)[0]


def shown_columns(shadow: Shadow) -> set[str]:
    return {column.name for column in shadow.columns if column.shown}


def test_the_shadow_is_the_manifests_with_those_columns_shown_that_a_rule_shows() -> None:
    shadow = seen(replace(ROWS, bundle=bundle(replace(ROWS_POLICY, row_filter=""))))
    assert shown_columns(shadow) == {"region"}
    hidden = replace(shadow, columns=tuple(replace(column, shown=False) for column in shadow.columns))
    assert hidden == ROWS.manifests[0].shadow()


def test_where_rows_are_hidden_any_column_may_be_without_a_value() -> None:
    """Else the plan, which the asker reads, would tell whether a hidden row has one."""
    token, *columns = seen(ROWS).columns
    assert ROWS_POLICY.row_filter and all(column.nullable for column in columns) and not token.nullable


NOT_SHOWN = {
    "no grant": replace(ROWS, grants=()),
    "a revoked grant": replace(ROWS, grants=(granted(revoked=True),)),
    "no policy": replace(ROWS, bundle=bundle(house.PROPERTY_POLICY)),
    "figures only": GOOD,
    "no access to rows": replace(ROWS, bundle=bundle(replace(ROWS_POLICY, access=(house.EVERYBODY,)))),
    "no access at all": replace(ROWS, bundle=bundle(replace(ROWS_POLICY, access=()))),
    "another role": replace(ROWS, grants=(granted(replace(house.GRANT, role="operator")),)),
    "ten persons": replace(
        ROWS, bundle=bundle(replace(ROWS_POLICY, constraints=(shown("region", minimum=10),)))
    ),
}


@pytest.mark.parametrize("case", NOT_SHOWN.values(), ids=NOT_SHOWN.keys())
def test_nothing_is_shown_without_grant_access_and_rule(case: Case) -> None:
    assert shown_columns(seen(case)) == set()


def test_data_about_nobody_have_no_token_in_the_view_and_none_in_the_program() -> None:
    columns = tuple(column for column in house.manifest().columns if column.kind is not Kind.IDENTIFIER)
    codes = replace(
        house.manifest(), person="", persons=0, columns=columns, files=(house.manifest().attributes,)
    )
    case = replace(ROWS, manifests=(codes, *ROWS.manifests[1:]))
    assert [column.name for column in seen(case).columns] == ["region", "income"]
    assert shown_columns(seen(case)) == {"region"}
    assert [relation.about_persons for relation in program_of(case).relations] == [False]
    assert [relation.about_persons for relation in program_of(ROWS).relations] == [True]


def test_neither_the_token_nor_an_identifier_is_ever_shown_or_masked() -> None:
    every = (shown("id_number", Reveal.MASKED, mask=Mask("id_number", MaskKind.LAST, "4")), shown("region"))
    case = replace(ROWS, bundle=bundle(replace(ROWS_POLICY, constraints=every)))
    assert shown_columns(seen(case)) == {"region"}
    assert view(house.manifest(), case.bundle.policies[0], case.bundle, ASKER).masks == ()


MASKED = [
    (MaskKind.LAST, "4", "VARCHAR", "VARCHAR"),
    (MaskKind.PLACE, "2", "VARCHAR", "VARCHAR"),
    (MaskKind.DATE, "month", "TIMESTAMP", "DATE"),
    (MaskKind.BUCKET, "100", "INTEGER", "INTEGER"),
    (MaskKind.NULL, "", "DOUBLE", "DOUBLE"),
    (MaskKind.PSEUDONYM, "", "BIGINT", "VARCHAR"),
]


@pytest.mark.parametrize(("kind", "argument", "before", "after"), MASKED)
def test_a_masked_column_has_the_type_of_what_is_left_and_may_be_null(
    kind: MaskKind, argument: str, before: str, after: str
) -> None:
    manifest: Manifest = replace(house.manifest(), columns=(Column("x", before, "", Kind.PLAIN, 0),))
    mask = Mask("x", kind, argument)
    policy = replace(ROWS_POLICY, constraints=(shown("x", Reveal.MASKED, mask=mask),))
    made = view(manifest, policy, bundle(policy), ASKER)
    column = made.shadow.columns[1]
    assert (column.type, column.nullable, column.shown) == (after, True, True)
    assert made.masks == (mask,)


def test_a_masked_column_of_figures_is_masked_as_well_and_the_program_says_so() -> None:
    mask = Mask("income", MaskKind.BUCKET, "1000")
    income = replace(short("income", ("avg",)), mask=mask)
    policy = replace(house.INCOME_POLICY, constraints=(income, short("region", ("group",))))
    plain, masked = program_of(GOOD), program_of(replace(GOOD, bundle=bundle(policy, house.PROPERTY_POLICY)))
    assert masked.relations[0].masks == (mask,) and plain.relations[0].masks == ()
    assert masked.digest != plain.digest


def test_a_mask_of_a_column_that_is_not_used_is_not_in_the_program() -> None:
    income = replace(short("income", ("avg",)), mask=Mask("income", MaskKind.NULL, ""))
    policy = replace(house.INCOME_POLICY, constraints=(income, short("region", ("group",))))
    only_region = replace(GOOD.reading, uses=GOOD.reading.uses[:1])
    assert only_region.uses[0].clause is Clause.GROUP
    case = replace(GOOD, bundle=bundle(policy, house.PROPERTY_POLICY), reading=only_region)
    assert program_of(case).relations[0].masks == ()


def test_the_newest_standing_grant_gives_the_role() -> None:
    old = granted(name="old")
    new = granted(replace(house.GRANT, role="operator"), "new", not_before=house.NOW + 100)
    assert shown_columns(seen(replace(ROWS, grants=(old, new)))) == set()
    assert shown_columns(seen(replace(ROWS, grants=(old, replace(new, revoked=True))))) == {"region"}


@given(cases(masks=True), st.randoms(use_true_random=False))
def test_the_order_of_rules_and_grants_makes_no_other_view(case: Case, chance: st.DataObject) -> None:
    policies = tuple(
        replace(p, constraints=tuple(chance.sample(p.constraints, len(p.constraints))))
        for p in case.bundle.policies
    )
    turned = replace(case, bundle=replace(case.bundle, policies=policies), grants=tuple(case.grants)[::-1])
    made = [
        shadows(each.request, each.bundle, each.manifests, Grants(each.grants), each.now)
        for each in (case, turned)
    ]
    assert made[0] == made[1]
