"""A bundle that does not fit its datasets is told what is wrong with it, all at once, before it is in force."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plans.checks import Checks, Mode, Privacy
from plans.constraints import Mask, MaskKind, Reveal, Share, Tag, Tagged, Use
from plans.manifest import Grade
from plans.statements import Bundle
from policies.api import Grants, short
from policies.checking import grant_problems, look, problems
from tests.keeper import house
from tests.policies.cases import MANIFESTS, TAGS, bundle, denied, granted, shown


def of(*constraints: object, **changes: object) -> Bundle:
    policy = replace(
        house.INCOME_POLICY, constraints=constraints or house.INCOME_POLICY.constraints, **changes
    )
    return bundle(policy)


def told(checked: Bundle) -> str:
    return "\n".join(map(str, problems(checked, MANIFESTS)))


def test_a_good_bundle_has_no_problem() -> None:
    assert problems(bundle(), MANIFESTS) == ()


@pytest.mark.parametrize("enterprise", ["region", "person", ""])
def test_enterprises_by_a_column_that_stays_or_by_the_persons_themselves_are_well(enterprise: str) -> None:
    """With none named people look at every answer, which an owner may want."""
    assert problems(of(enterprise=enterprise, checks=Checks(enterprises=3)), MANIFESTS) == ()


TWO_MASKS = (
    shown("region", Reveal.MASKED, mask=Mask("region", MaskKind.LAST, "2")),
    shown("region", Reveal.MASKED, mask=Mask("region", MaskKind.PLACE, "2")),
)
CIRCLE = (
    Tag("one", "two", Grade.GENERAL_1, (), (), Reveal.NEVER),
    Tag("two", "one", Grade.GENERAL_1, (), (), Reveal.NEVER),
)
WRONG = {
    "an empty bundle": (replace(bundle(), policies=()), "it has no policy"),
    "a foreign dataset": (bundle(replace(house.INCOME_POLICY, dataset="nm/health/visit")), "does not belong to nm/tax"),
    "a dataset that is not there": (bundle(replace(house.INCOME_POLICY, dataset="nm/tax/gone")), "no current version"),
    "a column that is not there": (of(short("salary", ["avg"])), "has no such column"),
    "a column that looks alike": (of(short("lncome", ["avg"])), "though income looks like it"),
    "a tag on a column that is not there": (of(tagged=(Tagged("salary", ("pay",)),)), "has no such column"),
    "an unknown class": (of(tagged=(Tagged("income", ("pay",)),)), "class pay is not described"),
    "classes in a circle": (replace(bundle(), tags=CIRCLE), "lies above itself"),
    "a class below an unknown one": (replace(bundle(), tags=TAGS[1:]), "class money is not described"),
    "classes that look alike": (
        replace(bundle(), tags=(TAGS[0], replace(TAGS[0], name="m0ney"))), "the class looks like m0ney"),
    "enterprises by a column that is not there": (of(enterprise="employer"), "has no such column"),
    "enterprises by an identifier": (of(enterprise="id_number"), "nobody can count them"),
    "enterprises in the mode private": (
        of(mode=Mode.PRIVATE, privacy=Privacy(1_000, 30), checks=Checks(enterprises=3)), "cannot promise"),
    "two masks": (of(*TWO_MASKS), "mask it in different ways"),
    "two masks of which one is for a member": (
        of(TWO_MASKS[0], replace(TWO_MASKS[1], parties=("lin@nm/uni",))), "mask it in different ways"),
    "two masks for a domain and one below": (
        of(replace(TWO_MASKS[0], parties=("nm",)), replace(TWO_MASKS[1], parties=("nm/uni",))),
        "mask it in different ways"),
    "a mask that does not fit": (
        of(shown("region", Reveal.MASKED, mask=Mask("region", MaskKind.BUCKET, "10"))), "not fit the type VARCHAR"),
    "an identifier that is allowed": (of(short("id_number", ["group"])), "identifies people directly"),
    "a prohibition of nothing": (of(denied("region")), "forbids nothing"),
    "a prohibition for nobody": (of(denied("region", Use.GROUP, parties=())), "speaks about nobody"),
    "values over ten persons": (of(shown("region", minimum=10)), "nothing meets both"),
    "no rule": (bundle(replace(house.INCOME_POLICY, constraints=())), "no column may be used"),
    "no access": (of(access=()), "nobody may do anything"),
    "access for nobody": (of(access=(replace(house.EVERYBODY, parties=()),)), "speaks about nobody"),
    "no legal basis": (of(share=Share.NONE), "no legal basis"),
}  # fmt: skip


@pytest.mark.parametrize(("checked", "what"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_with_the_place_and_the_next_step(checked: Bundle, what: str) -> None:
    assert what in told(checked)
    assert all(each.next_step.endswith(".") for each in problems(checked, MANIFESTS))


APART = {
    "parties": (("nm/uni",), ("nm/health",)),
    "members": (("lin@nm/uni",), ("wu@nm/uni",)),
    "a member of elsewhere": (("lin@nm/uni",), ("nm/health",)),
}


@pytest.mark.parametrize("parties", APART.values(), ids=APART.keys())
def test_different_masks_for_different_askers_are_no_contradiction(parties: tuple) -> None:
    rules = (replace(mask, parties=who) for mask, who in zip(TWO_MASKS, parties, strict=True))
    assert told(of(*rules)) == ""


def test_masks_told_apart_by_role_or_purpose_are_no_contradiction() -> None:
    for member, words in {"roles": ("researcher", "operator"), "purposes": ("one", "two")}.items():
        rules = (replace(mask, **{member: (word,)}) for mask, word in zip(TWO_MASKS, words, strict=True))
        assert told(of(*rules)) == ""


def test_all_problems_are_told_at_once_in_the_same_order() -> None:
    checked = of(short("salary", ["avg"]), shown("region", minimum=10), access=(), share=Share.NONE)
    turned = replace(checked, policies=tuple(
        replace(policy, constraints=policy.constraints[::-1]) for policy in checked.policies[::-1]
    ))  # fmt: skip
    assert len(problems(checked, MANIFESTS)) == 4
    assert problems(checked, MANIFESTS) == problems(turned, MANIFESTS[::-1])


@pytest.mark.parametrize(
    ("one", "other"), [("income", "lncome"), ("o1", "ol"), ("x_1", "x1"), ("farm", "farrn"), ("b0", "bo")]
)
def test_names_that_a_reader_takes_for_one_another_look_alike(one: str, other: str) -> None:
    assert look(one) == look(other)
    assert look("income") != look("outcome")


def test_a_grant_that_outlives_its_dataset_or_column_is_named() -> None:
    gone = granted(replace(house.GRANT, dataset="nm/tax/gone"), "gone")
    renamed = granted(replace(house.GRANT, columns=("income", "salary")), "renamed")
    found = grant_problems(Grants((granted(), gone, renamed)), MANIFESTS)
    assert [(problem.dataset, problem.subject) for problem in found] == [
        ("nm/tax/gone", gone.digest), (house.INCOME, renamed.digest),
    ]  # fmt: skip
