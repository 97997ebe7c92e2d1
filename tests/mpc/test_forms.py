"""Plans of every form are compiled, derived again, and refused where they cannot be or an owner does not want them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mpc.api import (
    opened_numbers,
    party_plan,
    require_own_shadow,
    require_same,
    require_terms,
    told_persons,
)
from plans.box import Entry
from plans.errors import DarkroomError, PolicyDenied, RederivationMismatch
from plans.joint import JointPlan, JointReading, JointTask, Operand, Shape
from plans.joint_guards import cap_of
from plans.joint_rules import JointRules, Matching, Opening
from plans.joint_shadows import JointShadow
from plans.manifest import Declared
from policies.reading import read_joint
from tests.inside.sql_cases import LIMITS
from tests.mpc.compile_cases import TASK, Asked, party, request
from tests.mpc.form_cases import (
    ALL_RULES,
    BY_TREES,
    FORMS,
    INSPECTED,
    LOOKUP,
    LOOKUP_READING,
    SCORED,
    SCORED_READING,
    SHADOWS,
    THREE_REGISTERS,
    TREES_READING,
    TWO_OWNERS,
    formed,
)
from tests.plans.joint_forms import (
    CIPHERTEXTS,
    COMMON,
    COMMON_OF_TWO,
    COMMON_READING,
    OFFICE,
    STACKED,
    STACKED_INSPECTED,
    STACKED_READING,
    TAX,
)
from tests.policies.joint_cases import between, joint_shadow

EVERY = dict.fromkeys(Entry, LIMITS)
EACH = pytest.mark.parametrize("form", FORMS)


@EACH
def test_a_plan_of_every_form_is_derived_again_by_every_party(form: str) -> None:
    plan = FORMS[form].plan()
    assert JointPlan.decode(plan.canonical()) == plan
    require_same(plan)
    require_same(plan, ALL_RULES)
    boxes = {each.domain: party_plan(plan, each.domain, EVERY) for each in plan.parties}
    leaving = {domain for domain, own in boxes.items() if own.stages[-1].outputs.names}
    assert leaving == set(plan.handing)
    owners = {portion.domain for portion in plan.reading.portions}
    assert {domain for domain, own in boxes.items() if own.stages[0].entry is Entry.EXTRACT} == owners
    for domain, own in boxes.items():
        linked = {link.peer.partition(":")[2] for link in own.stages[-1].links if link.name != "rows-0"}
        assert linked == set(boxes) - {domain}


@EACH
def test_a_table_or_a_model_of_trust_of_another_form_is_not_what_a_party_makes(form: str) -> None:
    plan = FORMS[form].plan()
    milder = replace(plan.trust, collusions=plan.trust.collusions[1:])
    for edited in (replace(plan, sights=plan.sights[:-1]), replace(plan, trust=milder)):
        with pytest.raises(RederivationMismatch):
            require_same(edited)


def test_what_quotas_count_is_numbers_of_figures_and_persons_of_an_intersection() -> None:
    assert (opened_numbers(FORMS["stacked"].plan()), told_persons(FORMS["stacked"].plan())) == (6, 0)
    assert opened_numbers(FORMS["inspected"].plan()) == opened_numbers(Asked().plan())
    common = FORMS["common"].plan()
    assert (opened_numbers(common), told_persons(common)) == (0, common.scheme.matched)


TOGETHER: dict[Shape, Callable[[list[int]], int]] = dict.fromkeys(
    (Shape.SCORED, Shape.LOOKUP), lambda bounds: bounds[0]
) | {Shape.STACKED: sum}


@EACH
def test_the_ring_holds_what_all_rows_together_may_add_up_to(form: str) -> None:
    """ATTACKS 75: of one table in parts these are the rows of every holder."""
    plan = FORMS[form].plan()
    bounds = [portion.bound for portion in plan.reading.portions]
    assert plan.scheme.matched == TOGETHER.get(plan.reading.shape, min)(bounds)
    caps = [cap_of(plan.reading, total) for total in plan.reading.sums]
    assert max(caps, default=1) * plan.scheme.matched < 2 ** (plan.scheme.ring_bits - 1)
    narrow = replace(plan.scheme, ring_bits=192 - plan.scheme.ring_bits)
    with pytest.raises(RederivationMismatch, match="scheme"):
        require_same(replace(plan, scheme=narrow))


def test_of_one_table_in_parts_the_widest_part_decides_on_the_ring() -> None:
    wide = replace(STACKED_READING.portions[1], operands=(Operand("income", 0, 2**60, 2, False),))
    reading = replace(STACKED_READING, portions=(STACKED_READING.portions[0], wide))
    assert FORMS["stacked"].plan().scheme.ring_bits == 64
    assert formed(STACKED, reading).plan().scheme.ring_bits == 128


UNION = (
    "select region, sum(income) as total, count(*) as n from (select region, income from health.wages union all "
    "select region, amount as income from tax.wages where year = 2025{more}) t group by region"
)
OF_THREE = UNION.format(more=" union all select region, income from edu.wages")
PARTS = (
    joint_shadow("health.wages", "nm/health", region=("VARCHAR", Declared(values=("a", "b"))),
        income=("DECIMAL(12,2)", between("0", "1000000"))),
    joint_shadow("tax.wages", TAX, region=("VARCHAR", Declared(values=("a", "b"))),
        amount=("DECIMAL(12,2)", between("0", "2000000")), year=("INTEGER", None)),
    joint_shadow("edu.wages", "nm/edu", region=("VARCHAR", Declared(values=("a", "b"))),
        income=("DECIMAL(12,2)", between("0", "1000000"))),
)  # fmt: skip
EVERYWHERE = "select person from health.visits h join tax.income t using (person)"


@pytest.mark.parametrize(
    ("task", "shadows"),
    [
        (replace(STACKED, statement=UNION.format(more="")), PARTS[:2]),
        (replace(STACKED_INSPECTED, statement=OF_THREE), PARTS),
        (replace(CIPHERTEXTS, statement=OF_THREE), PARTS),
        (replace(COMMON, statement=EVERYWHERE), SHADOWS),
        (replace(COMMON, statement=f"{EVERYWHERE} where t.tax > 5"), SHADOWS),
        (replace(COMMON_OF_TWO, statement=EVERYWHERE), SHADOWS),
        (SCORED, SHADOWS),
        (BY_TREES, SHADOWS),
        (LOOKUP, SHADOWS),
        (TWO_OWNERS, SHADOWS),
    ],
)
def test_from_a_statement_to_its_plan(task: JointTask, shadows: tuple[JointShadow, ...]) -> None:
    plan = formed(task, shadows=shadows).plan()
    require_same(plan, ALL_RULES)
    for place, shadow in enumerate(plan.shadows):
        assert plan.reading.portions[place].domain == shadow.domain
        require_own_shadow(plan, shadow)


def test_readers_find_what_the_examples_of_scores_and_lookups_say() -> None:
    assert read_joint(SCORED.statement, SHADOWS) == SCORED_READING
    assert read_joint(BY_TREES.statement, SHADOWS) == TREES_READING
    assert read_joint(LOOKUP.statement, SHADOWS) == LOOKUP_READING


def test_a_statement_with_a_condition_on_another_owners_rows_finds_nobody() -> None:
    asked = formed(replace(COMMON, statement=f"{EVERYWHERE} where h.icd = 'B20'"))
    with pytest.raises(PolicyDenied, match="something of every person that it finds"):
        asked.plan()


# ------------------------------------------------------------------------------------------ what cannot be


def changed(task: JointTask, reading: JointReading | None, **changes: object) -> Asked:
    return formed(replace(task, **changes), reading)  # type: ignore[arg-type]


def _with_condition(reading: JointReading, place: int) -> JointReading:
    portions = list(reading.portions)
    portions[place] = replace(portions[place], where="icd LIKE 'B20%'")
    return replace(reading, portions=tuple(portions))


OTHERS_CONDITION, OWN_CONDITION = _with_condition(COMMON_READING, 0), _with_condition(COMMON_READING, 1)
TO_HELPER = {"matching": Matching.HELPER, "helper": OFFICE}
FIGURES = {"opening": Opening.OBLIVIOUS, "finder": "", "servers": TASK.servers}
FINDER = {"opening": Opening.INTERSECTION, "finder": TAX, "servers": ()}
IMPOSSIBLE: dict[str, tuple[Asked, str]] = {
    "parts of one table matched": (changed(STACKED, STACKED_READING, **TO_HELPER), "nobody is matched"),
    "persons not matched": (changed(TASK, None, matching=Matching.NONE, helper=""), "have to be matched"),
    "persons opened as figures": (changed(COMMON, COMMON_READING, **FIGURES), "asks for persons"),
    "figures for a finder": (changed(TASK, None, **FINDER), "asks for figures"),
    "an inspector without data": (changed(INSPECTED, None, inspector="nm/civil"), "may be its inspector"),
    "a finder without data": (changed(COMMON, COMMON_READING, finder="nm/civil"), "may be its finder"),
    "a helper with data": (changed(COMMON, COMMON_READING, helper="nm/health"), "must not know their key"),
    "a collector with data": (
        changed(CIPHERTEXTS, STACKED_READING, collector="nm/health"), "has neither key nor data",
    ),
    "a condition on another's rows": (formed(COMMON, OTHERS_CONDITION), "something of every person that it finds"),
    "a member of another domain": (
        formed(COMMON, COMMON_READING, member="wang@nm/health"), "is no member of it",
    ),
    "three owners without a helper": (formed(COMMON_OF_TWO, THREE_REGISTERS), "between exactly two owners"),
}  # fmt: skip


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_computed_so_is_refused_with_what_would_help(case: str) -> None:
    asked, sentence = IMPOSSIBLE[case]
    with pytest.raises(PolicyDenied) as refused:
        asked.plan()
    assert sentence in refused.value.what and refused.value.next_step


def test_a_condition_on_the_finders_own_rows_is_its_own_affair() -> None:
    """The control of the condition above."""
    assert formed(COMMON, OWN_CONDITION).plan().reading.portions[1].where


@pytest.mark.parametrize("case", ["condition", "member", "owners"])
def test_a_centre_that_makes_such_a_plan_for_persons_in_common_gets_no_key(case: str) -> None:
    """The maker of a plan is not believed: its parties ask again (ATTACKS 72, 78)."""
    plan = formed(COMMON, COMMON_READING).plan()
    require_same(plan)
    forged: dict[str, Callable[[], JointPlan]] = {
        "condition": lambda: replace(plan, reading=OTHERS_CONDITION),
        "member": lambda: replace(plan, request=request(COMMON, "wang@nm/health")),
        "owners": lambda: _without_helper(formed(COMMON, THREE_REGISTERS).plan()),
    }
    with pytest.raises(PolicyDenied):
        require_same(forged[case]())


def _without_helper(plan: JointPlan) -> JointPlan:
    parties = tuple(each for each in plan.parties if each.domain != OFFICE)
    return replace(plan, task=COMMON_OF_TWO, request=request(COMMON_OF_TWO), parties=parties)


# ------------------------------------------------------------------------------------------ what an owner does not want


def test_an_owner_that_does_not_let_sums_be_added_up_as_ciphertexts_gives_no_key() -> None:
    asked = FORMS["ciphertexts"]
    plan = asked.plan()
    without = replace(ALL_RULES, ciphertexts=False)
    with pytest.raises(PolicyDenied, match="under the key of another"):
        replace(asked, rules=without).plan()
    with pytest.raises(PolicyDenied, match="under the key of another"):
        require_terms(plan, without)
    require_terms(FORMS["stacked"].plan(), without)  # the control: shares are something else


def test_of_more_persons_than_an_owner_allows_nobody_is_told() -> None:
    asked = formed(COMMON, COMMON_READING)
    plan = asked.plan()
    few = replace(ALL_RULES, members=told_persons(plan) - 1)
    with pytest.raises(PolicyDenied, match="up to 1,000 persons"):
        replace(asked, rules=few).plan()
    require_terms(plan, replace(few, members=told_persons(plan)), "nm/health")
    with pytest.raises(PolicyDenied):
        require_terms(plan, few, "nm/health")
    require_terms(plan, few, TAX)  # its own persons: nobody is told of the finder's others


def test_one_number_less_than_an_answer_has_is_refused_whoever_opens() -> None:
    for form, numbers in (("stacked", 6), ("stacked and inspected", 6), ("ciphertexts", 6)):
        plan = FORMS[form].plan()
        require_terms(plan, replace(ALL_RULES, cells=numbers))
        with pytest.raises(PolicyDenied, match="every sum counted"):
            require_terms(plan, replace(ALL_RULES, cells=numbers - 1))
    require_terms(FORMS["common"].plan(), replace(ALL_RULES, cells=1))


NOISED: JointRules = replace(ALL_RULES, noise_micro=300_000)


def test_noise_is_added_on_shares_and_nowhere_else() -> None:
    assert replace(FORMS["stacked"], rules=NOISED).plan().scheme.noise_micro == 300_000
    assert replace(FORMS["stacked and inspected"], rules=NOISED).plan().scheme.noise_micro == 300_000
    with pytest.raises(PolicyDenied, match="as ciphertexts nobody adds any"):
        replace(FORMS["ciphertexts"], rules=NOISED).plan()
    common = replace(FORMS["common"], rules=NOISED).plan()  # there is no sum
    assert common.scheme.noise_micro == 0
    require_same(common, NOISED)
    for form in ("ciphertexts", "common"):
        plan = FORMS[form].plan()
        with pytest.raises((PolicyDenied, RederivationMismatch)):
            require_same(replace(plan, scheme=replace(plan.scheme, noise_micro=300_000)))


def test_the_parties_of_a_plan_are_owners_and_whom_the_task_names() -> None:
    found = {form: {each.domain for each in asked.plan().parties} for form, asked in FORMS.items()}
    owners = {"nm/health", TAX}
    assert found["stacked"] == {*owners, "nm/civil"}
    assert found["ciphertexts"] == {*owners, "nm/edu", OFFICE}
    assert found["common"] == {*owners, "nm/edu", OFFICE}
    assert found["common of two"] == owners
    with pytest.raises(DarkroomError, match="has not described itself"):
        replace(FORMS["ciphertexts"], parties=tuple(map(party, ("nm/edu", *owners)))).plan()


FEW = {"scored": (0, 1), "scored by trees": (0, 1), "looked up": (0,)}
"""Whose persons may be few: they are the own ones of who learns; a model is about nobody."""


@EACH
@pytest.mark.parametrize("place", [0, 1])
def test_a_tiny_register_takes_part_in_no_form_but_that_of_who_is_told_of_its_own(
    form: str, place: int
) -> None:
    """ATTACKS 74: one would ask about the few who are in it."""
    asked = FORMS[form]
    reading = asked.reading or asked.plan().reading
    relation = reading.portions[place].relation
    tiny = tuple(
        replace(each, rows=9) if each.shadow.relation == relation else each for each in asked.shadows
    )
    if place in FEW.get(form, ()):
        require_same(replace(asked, reading=reading, shadows=tiny).plan())
        return
    with pytest.raises(PolicyDenied, match="fewer than 100 persons"):
        replace(asked, reading=reading, shadows=tiny).plan()


def test_a_person_in_several_parts_counts_for_one() -> None:
    """With noise nobody tests its own part, so there are more rows; without, every part is tested."""
    two, three = (replace(FORMS[form], rules=NOISED).plan() for form in ("stacked", "stacked and inspected"))
    for plan, rows in ((two, 20), (three, 30)):
        first = next(sight for sight in plan.sights if sight.what.startswith("figures behind which"))
        assert f"at least {rows} rows" in first.what
    assert not any("rows, for a person" in sight.what for sight in Asked().plan().sights)
    for form in ("stacked", "stacked and inspected", "ciphertexts"):
        told = [sight.what for sight in FORMS[form].plan().sights if "figures behind which" in sight.what]
        assert told and all("so of each single part" in what for what in told)
