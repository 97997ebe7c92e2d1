"""A joint statement becomes one plan that every party derives again, or is refused with what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mpc import scheme
from mpc.api import (
    Owner,
    SignedRequest,
    compile_joint,
    opened_numbers,
    party_plan,
    require_own_shadow,
    require_same,
    require_terms,
    tier_of,
)
from plans.box import Entry
from plans.checks import Checks
from plans.decision import Decision, Outcome, Tier
from plans.errors import DarkroomError, Malformed, PolicyDenied, RangeTooWide, RederivationMismatch
from plans.joint import JointPlan, Part, Trust
from plans.joint_guards import largest_number
from plans.joint_rules import Matching, Opening
from plans.manifest import Declared
from policies.reading import read_joint
from tests.inside.sql_cases import LIMITS
from tests.mpc.compile_cases import (
    DOMAINS,
    MAKING,
    RULES,
    STATEMENT,
    TASK,
    Asked,
    asked,
    owner,
    party,
    request,
    with_obligations,
    with_rules,
)
from tests.plans import examples
from tests.policies.joint_cases import FROM, INCOME, SCHOOL, SHADOWS, VISITS, between, joint_shadow

EVERY = dict.fromkeys(Entry, LIMITS)


def test_every_party_derives_the_same_plan_again() -> None:
    plan = Asked().plan()
    assert JointPlan.decode(plan.canonical()) == plan
    assert [each.domain for each in plan.parties] == ["nm/civil", "nm/health", "nm/office", "nm/tax"]
    require_same(plan)
    require_same(plan, RULES)
    require_own_shadow(plan, VISITS)
    require_own_shadow(plan, INCOME)


def test_the_scheme_keeps_what_the_strictest_owner_demands() -> None:
    change = with_obligations(minimum_group=25, tier=Tier.T2, checks=Checks(dominance_percent=80))
    plan = replace(Asked(), change=change).plan()
    assert (plan.scheme.minimum_group, plan.scheme.dominance, plan.scheme.matched) == (25, 80, 1_000)
    assert all(party_plan(plan, each.domain, EVERY).stages[-1].tier is Tier.T2 for each in plan.parties)
    assert tier_of([each.decision for each in plan.decisions]) is Tier.T2


@pytest.mark.parametrize("percent", [1, 50, 80, 90, 99, 100])
@pytest.mark.parametrize("p", [0, 5, 10, 50, 100])
def test_what_passes_the_test_of_dominance_passes_the_owners_rules_whoever_the_persons_are(
    percent: int, p: int
) -> None:
    demanded = replace(Asked().plan().decisions[0].decision.obligations, checks=Checks(  # type: ignore[type-var]
        dominance_percent=percent, p_percent=p
    ))  # fmt: skip
    tested = scheme.dominance_of(demanded)
    assert 1 <= tested <= percent
    for cap in (1, 7, 1_000):
        total = -(-200 * cap // tested)  # the smallest that passes
        for largest, second in ((cap, cap), (cap, 0), (cap, cap // 2)):
            if largest + second > total:
                continue  # no such persons
            assert 100 * (largest + second) <= percent * total
            assert 100 * (total - largest - second) >= p * largest


# ------------------------------------------------------------------------------------------ rings (ATTACKS 75)


@pytest.mark.parametrize(("largest", "bits"), [(0, 64), (2**63 - 1, 64), (2**63, 128), (2**127 - 1, 128)])
def test_the_ring_is_the_narrowest_in_which_no_sum_wraps_around(largest: int, bits: int) -> None:
    assert scheme.ring_bits(largest) == bits


def test_wider_sums_take_a_wider_ring_and_the_widest_are_refused() -> None:
    narrow = asked(f"select sum(days) as s {FROM}").plan()
    wide = asked(f"select var_samp(income) as s {FROM}").plan()
    assert (narrow.scheme.ring_bits, wide.scheme.ring_bits) == (64, 128)
    assert largest_number(wide.reading, wide.scheme.matched) < 2**127
    many = 100_000_000
    huge = joint_shadow(
        "tax.income", "nm/tax", many, income=("DECIMAL(18,2)", between("0", "90000000000000"))
    )
    statement = f"select var_samp(income) as s {FROM}"
    with pytest.raises(RangeTooWide, match="more than 128"):
        Asked(replace(TASK, statement=statement), shadows=(replace(VISITS, rows=many), huge)).plan()
    assert Asked(replace(TASK, statement=statement), shadows=(VISITS, huge)).plan().scheme.ring_bits == 128


def test_a_sum_without_the_ring_check_would_wrap_around() -> None:
    """The control: in the narrow ring the same numbers give another sum."""
    plan = asked(f"select var_samp(income) as s {FROM}").plan()
    largest = largest_number(plan.reading, plan.scheme.matched)
    assert largest % 2**64 != largest


# ------------------------------------------------------------------------------------------ refusals


def _deny(one: Owner) -> Owner:
    denied = Decision(Outcome.DENY, (examples.REASON,), 3, 2, (), (), None)
    return replace(one, decision=replace(one.decision, decision=denied))


def _sole(domain: str, administration: str) -> tuple[Any, ...]:
    return tuple(
        party(each, administration=administration) if each == domain else party(each) for each in DOMAINS
    )


BY_TAX = " Bureau of  nm/TAX"
REFUSED: list[tuple[Asked, str]] = [
    (replace(Asked(), parties=tuple(map(party, DOMAINS[:3]))), "nm/office, nm/tax has not described itself"),
    (replace(Asked(), change=_deny), "nm/health does not allow its part of the statement: grant.missing"),
    (replace(Asked(), change=lambda one: replace(one, rules=None)), "nm/health has no terms"),
    (replace(Asked(), change=with_rules(cells=5)), "the answer has 9 cells, every sum counted, and an owner opens"),
    (replace(Asked(), parties=_sole("nm/civil", BY_TAX)), "nm/civil and nm/tax have the same"),
    (replace(Asked(), parties=_sole("nm/office", "bureau of nm/civil")), "nm/civil and nm/office have the same"),
    (asked(helper="nm/tax", servers=("nm/civil", "nm/health", "nm/edu")), "must not know their key"),
    (asked(opening=Opening.INSPECTED, inspector="nm/civil"), "only an owner may be its inspector"),
    (
        asked(
            f"select count(*) as n {FROM} join edu.pupils e using (person)", matching=Matching.DIFFIE_HELLMAN,
            helper="", servers=("nm/edu", "nm/health", "nm/tax"),
        ),
        "every server owns some",
    ),
    (replace(Asked(), change=with_obligations(largest_result=5)), "an owner lets at most 5 leave in one result"),
    (replace(Asked(), shadows=(replace(VISITS, rows=99), INCOME)), "health.visits is about fewer than 100 persons"),
    (replace(Asked(), reading=read_joint(STATEMENT + " ", SHADOWS)), "another statement"),
    (replace(Asked(), change=lambda one: replace(one, shadow=SCHOOL)), "is no answer about nm/health"),
    (
        replace(Asked(), change=with_rules(), shadows=(joint_shadow("health.visits", "nm/health", 400_000_000,
            region=("VARCHAR", Declared(values=("a",))), icd=("VARCHAR", None)), INCOME)),
        "sends 400,000,000 rows",
    ),
]  # fmt: skip


def test_every_sum_that_a_figure_opens_counts_for_the_quota_and_once() -> None:
    """Of a correlation the recipient gets six numbers, of which other figures can be made."""
    both = "avg(t.tax) as a, stddev_samp(t.tax) as b, corr(h.days, t.tax) as c"
    for figures, numbers in (("avg(t.tax)", 2), (both, 6), ("count(*) as a, count(*) as b", 2)):
        plan = asked(f"select {figures} {FROM}").plan()
        assert opened_numbers(plan) == numbers
    with pytest.raises(PolicyDenied, match="every sum counted"):
        replace(asked(f"select {both} {FROM}"), change=with_rules(cells=5)).plan()


@pytest.mark.parametrize(("wrong", "sentence"), REFUSED, ids=[sentence[:40] for _, sentence in REFUSED])
def test_what_cannot_be_is_refused_with_what_to_do(wrong: Asked, sentence: str) -> None:
    with pytest.raises(DarkroomError) as refused:
        wrong.plan()
    assert sentence in refused.value.what
    assert refused.value.next_step or isinstance(refused.value, RederivationMismatch | RangeTooWide)


def test_one_administration_is_allowed_where_no_owner_demands_separate_ones() -> None:
    """The control of the two refusals above (ATTACKS 96); the plan says who could make whom collude."""
    world = Asked(parties=_sole("nm/civil", BY_TAX))
    reading = read_joint(STATEMENT, SHADOWS)
    lenient = [replace(owner(shadow), rules=replace(RULES, separate=False)) for shadow in (VISITS, INCOME)]
    plan = compile_joint(SignedRequest(request(TASK), "4" * 128), reading, lenient, world.parties, MAKING)
    assert (
        "nm/civil, nm/tax have the same administrators, who could make them collude" in plan.trust.collusions
    )
    with pytest.raises(PolicyDenied):
        require_terms(plan, RULES)


# ------------------------------------------------------------------------------------------ noise

COUNTED = replace(TASK, statement=f"select count(*) as n, sum(t.tax) as tax {FROM}")


def test_the_smallest_rate_of_noise_that_an_owner_asks_for_is_in_the_plan_and_in_its_table() -> None:
    plan = Asked(COUNTED, change=with_rules(noise_micro=300_000, exact=False)).plan()
    assert plan.scheme.noise_micro == 300_000
    assert plan.scheme.ring_bits >= Asked(COUNTED).plan().scheme.ring_bits
    require_same(plan, replace(RULES, noise_micro=300_000))
    require_same(plan, replace(RULES, noise_micro=1_000_000))  # a weaker demand is kept as well
    opened = [sight.what for sight in plan.sights if sight.part is Part.RECIPIENT]
    assert "with discrete noise on every sum, of a rate of 300,000 millionths" in opened[0]
    assert (
        "exactly" in [sight.what for sight in Asked(COUNTED).plan().sights if sight.part is Part.RECIPIENT][0]
    )


@pytest.mark.parametrize("rate", [0, 300_001])
def test_an_owner_gives_no_key_for_less_noise_than_it_asks_for(rate: int) -> None:
    plan = Asked(COUNTED, change=with_rules(noise_micro=rate)).plan()
    require_same(plan)
    with pytest.raises(PolicyDenied, match="the plan has less"):
        require_same(plan, replace(RULES, noise_micro=300_000))


def test_figures_that_noise_cannot_be_added_to_are_refused() -> None:
    wide = replace(TASK, statement=f"select stddev(t.tax) as s {FROM}")
    assert Asked(wide).plan()
    with pytest.raises(PolicyDenied, match="stddev_samp has no noised form"):
        Asked(wide, change=with_rules(noise_micro=300_000)).plan()


def test_without_a_helper_a_server_that_owns_nothing_compares() -> None:
    plan = asked(matching=Matching.DIFFIE_HELLMAN, helper="").plan()
    assert plan.matcher == "nm/civil"
    assert {plan.partner(0), plan.partner(1)} == {"nm/health", "nm/tax"}


# ------------------------------------------------------------------------------------------ derived again

EDITS: dict[str, Callable[[JointPlan], JointPlan]] = {
    "scheme": lambda plan: replace(plan, scheme=replace(plan.scheme, minimum_group=1)),
    "wider dominance": lambda plan: replace(plan, scheme=replace(plan.scheme, dominance=100)),
    "narrow ring": lambda plan: replace(plan, scheme=replace(plan.scheme, matched=plan.scheme.matched - 1)),
    "a line less": lambda plan: replace(plan, sights=plan.sights[1:]),
    "lines in another order": lambda plan: replace(plan, sights=plan.sights[::-1]),
    "a line milder": lambda plan: replace(plan, sights=(replace(plan.sights[0], what="nothing"), *plan.sights[1:])),
    "trust": lambda plan: replace(plan, trust=Trust("malicious", (), "nobody")),
    "a collusion less": lambda plan: replace(
        plan, trust=replace(plan.trust, collusions=plan.trust.collusions[1:])
    ),
    "another helper": lambda plan: replace(
        plan, task=replace(plan.task, helper="nm/land"),
        parties=tuple(party(d) for d in ("nm/civil", "nm/health", "nm/land", "nm/tax")),
    ),
    "another statement": lambda plan: replace(plan, task=replace(plan.task, statement="select 1")),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_plan_is_not_the_one_that_a_party_derives(edit: str) -> None:
    """ATTACKS 72: whatever code makes of a plan is made again and compared."""
    plan = Asked().plan()
    require_same(plan)
    with pytest.raises(RederivationMismatch):
        require_same(EDITS[edit](plan))


def test_a_statement_read_on_another_likeness_is_noticed_by_its_owner() -> None:
    plan = Asked().plan()
    wider = replace(INCOME, declared=(replace(INCOME.declared[0], declared=between("0", "1")),))
    for other in (wider, replace(INCOME, rows=INCOME.rows + 1), SCHOOL):
        with pytest.raises(RederivationMismatch):
            require_own_shadow(plan, other)


# ------------------------------------------------------------------------------------------ boxes


def test_boxes_of_all_parties_are_linked_in_pairs_and_only_extract_reads_files() -> None:
    plan = Asked().plan()
    plans = {each.domain: party_plan(plan, each.domain, EVERY) for each in plan.parties}
    ends = set()
    for domain, own in plans.items():
        box = own.stage(Entry.PARTY)
        assert box.inputs == () and box.image == plan.party_image
        assert box.outputs.names == (("opened.bin",) if domain in TASK.servers else ())
        for link in box.links:
            kind, _, other = link.peer.partition(":")
            if kind == "party":
                assert link.name == f"peer-{[each.domain for each in plan.parties].index(other)}"
                ends.add((domain, other))
    assert ends == {(a, b) for a in plans for b in plans if a != b}
    assert [spec.entry for spec in plans["nm/office"].stages] == [Entry.PARTY]
    extract = plans["nm/tax"].stage(Entry.EXTRACT)
    assert [item.name for item in extract.inputs] == [
        "income-v1-attributes.parquet",
        "income-v1-identifiers.parquet",
    ]
    assert [item.sha256 for item in extract.inputs] == [examples.digest("2"), examples.digest("5")]
    assert plans["nm/tax"].batches == ((Entry.EXTRACT, Entry.PARTY),)
    assert plan.canonical().decode() == plans["nm/civil"].material


def test_a_domain_that_takes_no_part_has_no_boxes() -> None:
    with pytest.raises(Malformed, match="takes no part"):
        party_plan(Asked().plan(), "nm/land", EVERY)
