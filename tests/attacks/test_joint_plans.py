"""Attacks on joint statements and plans, before anything runs (ATTACKS 74, 75, 96, 98), each with a control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pytest

from mpc import scheme
from mpc.api import joint_shadow as shadow_of
from mpc.api import require_same
from plans import joint_guards
from plans.errors import PolicyDenied, RangeTooWide, RederivationMismatch, SqlUnsupported
from plans.joint import JointReading
from plans.joint_rules import Matching
from plans.manifest import Declared
from policies.reading import joint_ranges, joint_summands, read_joint
from tests.inside.sql_cases import create
from tests.keeper import house
from tests.mpc.compile_cases import DOMAINS, RULES, TASK, Asked, party
from tests.mpc.form_cases import ALL_RULES, FORMS, formed
from tests.policies import joint_meaning
from tests.policies.joint_cases import FROM, INCOME, VISITS, between, joint_shadow

PERSONS, BASE = 5, 1_000
"""So many persons, each with a secret below the base."""

CODED = joint_shadow(
    "health.visits",
    "nm/health",
    factor=("BIGINT", between("0", str(BASE ** (PERSONS - 1)))),
    name=("VARCHAR", Declared(values=("li", "wu"))),
)
SECRET = joint_shadow("tax.income", "nm/tax", amount=("INTEGER", between("0", str(BASE - 1))))
AMOUNTS = [20 + 191 * place for place in range(PERSONS)]
POSITIONAL = f"select sum(h.factor * t.amount) as s {FROM}"


@pytest.fixture
def database() -> Iterator[joint_meaning.Database]:
    """The attacker's factors 1, 1000, 1000000 …, and the other owner's amounts."""
    with duckdb.connect(":memory:") as made:
        factors = [(n, f"id{n}", BASE**n, "li" if n == 0 else "wu") for n in range(PERSONS)]
        create(made, CODED.shadow, factors)
        create(made, SECRET.shadow, [(n, f"id{n}", amount) for n, amount in enumerate(AMOUNTS)])
        yield made


def opened(
    reading: JointReading, database: joint_meaning.Database, dominance: int, least: int = 1
) -> list[int | None]:
    """What the recipient opens of the one cell: the figures that pass the tests on shares, as whole numbers."""
    (cells,) = joint_meaning.cells(database, reading).values()
    found: list[int | None] = []
    for figure in reading.figures:
        cell = cells[figure.name]
        passes = cell.behind >= least and all(
            cell.magnitudes[place] * dominance >= 200 * cap
            for place, cap in joint_guards.tested(reading, figure)
        )
        found.append(int(cell.value or 0) if passes else None)
    return found


def digits(total: int) -> list[int]:
    """The amounts that a sum with factors 1000^i holds side by side."""
    return [total // BASE**place % BASE for place in range(PERSONS)]


# ------------------------------------------------------------------------------------------ 98


def test_98_wide_factors_over_two_owners_are_refused() -> None:
    with pytest.raises(SqlUnsupported, match="wide factors could write single values"):
        read_joint(POSITIONAL, (CODED, replace(SECRET, declared=(replace(
            SECRET.declared[0], declared=between("0", "5000000")
        ),))))  # fmt: skip


def test_98_control_one_exact_sum_with_chosen_factors_holds_every_amount(
    database: joint_meaning.Database,
) -> None:
    reading = read_joint(POSITIONAL, (CODED, SECRET))
    (cells,) = joint_meaning.cells(database, reading).values()
    assert digits(int(cells["s"].value or 0)) == AMOUNTS


@pytest.mark.parametrize("dominance", [60, 90, 100])
def test_98_such_a_sum_is_withheld_because_its_largest_term_dominates(
    database: joint_meaning.Database, dominance: int
) -> None:
    """Whatever base is chosen, all other terms together are smaller than the largest by that base."""
    reading = read_joint(POSITIONAL, (CODED, SECRET))
    assert opened(reading, database, dominance) == [None]


def test_98_a_case_that_chooses_one_person_is_withheld(database: joint_meaning.Database) -> None:
    one = "sum(case when h.name = 'li' then 1 else 0 end * t.amount)"
    statement = f"select {one} as one, sum(t.amount) as total {FROM}"
    reading = read_joint(statement, (CODED, SECRET))
    (cells,) = joint_meaning.cells(database, reading).values()
    assert cells["one"].value == AMOUNTS[0]  # the control: what it would tell
    assert opened(reading, database, dominance=100, least=3) == [None, sum(AMOUNTS)]


@pytest.mark.parametrize(
    "hidden",
    [
        "sum(1 + case when h.name = 'li' then 1 else 0 end)",
        "sum(case when h.name = 'li' then 1 else 2 end)",
        "avg(case when h.name = 'li' then h.factor else 7 end)",
        "sum(h.factor - cast(h.factor as smallint))",
        "sum(h.factor * h.factor)",
    ],
)
def test_98_one_persons_part_is_not_hidden_among_everybodys(hidden: str) -> None:
    with pytest.raises(SqlUnsupported):
        read_joint(f"select {hidden} as f {FROM}", (CODED, SECRET))


# ------------------------------------------------------------------------------------------ 29, 98

PROFIT = joint_shadow(
    "tax.income",
    "nm/tax",
    amount=("DECIMAL(18, 2)", between("0", "1000000")),
    other=("DECIMAL(18, 2)", between("0", "1000000")),
    profit=("DECIMAL(18, 2)", between("-10000", "10000")),
    late=("BOOLEAN", Declared()),
)
HIDDEN = [
    ("sum(amount)", "sum(amount + 1000000)"),
    ("sum(amount)", "avg(7000000 - amount)"),
    ("sum(amount)", "sum(amount + other)"),
    ("sum(amount)", "sum((amount + 500000) * 100)"),
    ("sum(case when late then amount end)", "sum(case when late then amount + 1000000 end)"),
    ("sum(profit)", "var_samp(profit)"),
    ("sum(profit)", "corr(h.factor, profit)"),
    ("sum(profit)", "corr(other, profit)"),
]


@pytest.fixture
def dominated() -> Iterator[joint_meaning.Database]:
    """One person has nearly all of amount and of profit; of all else everybody has much."""
    coded = replace(CODED, declared=(replace(CODED.declared[0], declared=between("0", "1000")),))
    with duckdb.connect(":memory:") as made:
        create(made, coded.shadow, [(n, f"id{n}", 400 + n, "wu") for n in range(30)])
        rows = [(n, f"id{n}", 5 if n else 900_000, 990_000, 5 if n else 9_000, True) for n in range(30)]
        create(made, PROFIT.shadow, rows)
        yield made


@pytest.mark.parametrize(("plain", "hidden"), HIDDEN)
def test_29_a_known_summand_hides_nobody_who_makes_up_the_rest(
    dominated: joint_meaning.Database, plain: str, hidden: str
) -> None:
    coded = replace(CODED, declared=(replace(CODED.declared[0], declared=between("0", "1000")),))
    reading = read_joint(f"select {plain} as a, {hidden} as b, sum(other) as c {FROM}", (coded, PROFIT))
    assert opened(reading, dominated, 90, 10) == [None, None, 30 * 990_000]
    # the control: without the totals that are tested beside it, the sum would be opened, and be worth as much
    bare = replace(reading, figures=tuple(replace(each, beside=(), rest=()) for each in reading.figures))
    assert opened(bare, dominated, 90, 10)[1] is not None


def test_brackets_do_not_multiply_out_without_end() -> None:
    flags = {f"f{n}": ("INTEGER", between("0", "1")) for n in range(30)}
    wide = joint_shadow("tax.income", "nm/tax", **flags)
    for count, refused in ((4, False), (5, True), (30, True)):
        value = " * ".join(f"(f{n} + 1)" for n in range(count))
        if refused:
            with pytest.raises(SqlUnsupported, match="more than 16 terms"):
                read_joint(f"select sum({value}) as s {FROM}", (CODED, wide))
        else:
            assert len(read_joint(f"select sum({value}) as s {FROM}", (CODED, wide)).figures[0].beside) == 15


def test_98_a_constant_does_not_lift_a_product_of_few_over_the_minimum() -> None:
    """Three persons have a share; of everybody else the product is 0, and nobody dominates among three."""
    shares = joint_shadow(
        "tax.income",
        "nm/tax",
        amount=("DECIMAL(9, 2)", between("0", "1000")),
        share=("DECIMAL(4, 2)", between("0", "1")),
    )
    with duckdb.connect(":memory:") as made:
        create(made, CODED.shadow, [(n, f"id{n}", 1, "wu") for n in range(30)])
        create(made, shares.shadow, [(n, f"id{n}", 990, n < 3) for n in range(30)])
        for hidden in ("amount * share", "amount * share + 7", "7 - (3 - share * amount)"):
            reading = read_joint(f"select sum({hidden}) as f {FROM}", (CODED, shares))
            assert opened(reading, made, 90, least=10) == [None]
            assert opened(reading, made, 90, least=3) != [None]  # the control: three are asked for
        plain = read_joint(f"select sum(amount + 7) as f {FROM}", (CODED, shares))
        assert opened(plain, made, 90, least=10) != [None]


@pytest.mark.parametrize(
    "hidden",
    [
        "stddev_samp(amount + 1000000)",
        "sum(amount - other + 1000000)",
        "sum(amount + other - profit)",
        "sum(h.factor * (amount + 1000000))",
        "corr(h.factor, amount + 1000000)",
    ],
)
def test_29_what_would_take_more_totals_than_are_tested_is_refused(hidden: str) -> None:
    coded = replace(CODED, declared=(replace(CODED.declared[0], declared=between("0", "1000")),))
    with pytest.raises(SqlUnsupported, match="could hide that one person"):
        read_joint(f"select {hidden} as f {FROM}", (coded, PROFIT))


@pytest.fixture
def scored() -> Iterator[joint_meaning.Database]:
    """Scores of which three are high, and a share that the same three have."""
    with duckdb.connect(":memory:") as made:
        rows = [(n, f"id{n}", 0.9 if n < 3 else 0.1, "1.0" if n < 3 else "0.0") for n in range(PERSONS)]
        create(made, SCORES.shadow, rows)
        create(made, SECRET.shadow, [(n, f"id{n}", 900) for n in range(PERSONS)])
        yield made


SCORES = joint_shadow(
    "health.visits",
    "nm/health",
    score=("DOUBLE", between("0", "1")),
    share=("DECIMAL(4,1)", between("0", "1")),
)
FEW = [
    ("sum(cast(h.score as decimal(3,0)))", 3),
    ("sum(cast(h.score as integer) * t.amount)", 2_700),
    ("sum(h.share * t.amount)", 2_700),
]


@pytest.mark.parametrize(("figure", "value"), FEW)
def test_98_what_a_cast_or_a_sparse_factor_chooses_is_withheld_where_few_stand_behind_it(
    scored: joint_meaning.Database, monkeypatch: pytest.MonkeyPatch, figure: str, value: int
) -> None:
    """Rounding is the condition `score >= 0.5`; a fraction that most persons have not is one as well."""
    statement = f"select {figure} as few, count(*) as n {FROM}"
    reading = read_joint(statement, (SCORES, SECRET))
    assert opened(reading, scored, dominance=100, least=4) == [None, PERSONS]
    assert opened(reading, scored, dominance=100, least=3) == [value, PERSONS]
    monkeypatch.setattr(joint_ranges, "apart", lambda *_, **__: None)
    loose = read_joint(statement, (SCORES, SECRET))
    assert opened(loose, scored, dominance=100, least=4) == [value, PERSONS], "the control"


@pytest.mark.parametrize(
    ("figure", "value", "two"),
    [
        ("count(case when h.score > 0.5 then 0 end)", 3, 3),
        ("sum(case when h.score > 0.5 then 1 else 0 end * t.amount)", 2_700, None),
        ("sum(case when h.score <= 0.5 then null else 1 end)", 3, 3),
    ],
)
def test_25_whom_a_case_leaves_out_is_not_found_by_subtraction_from_the_whole(
    scored: joint_meaning.Database, figure: str, value: int, two: int | None
) -> None:
    """Three of five are chosen: beside the whole, two others are told by one answer. What two add to a sum is tested as
    a sum of theirs would be.
    """
    reading = read_joint(f"select {figure} as part, count(*) as n {FROM}", (SCORES, SECRET))
    assert opened(reading, scored, dominance=100, least=3) == [None, PERSONS]
    assert opened(reading, scored, dominance=100, least=2) == [two, PERSONS]
    bare = replace(reading, figures=tuple(replace(each, beside=(), rest=()) for each in reading.figures))
    assert opened(bare, scored, dominance=100, least=3) == [value, PERSONS], "the control"


@pytest.mark.parametrize(
    "part",
    [
        "sum(case when amount = 0 or late then 0 else amount end)",
        "sum(amount * case when amount = 0 or late then 0 else 1 end)",
        "avg(case when amount > 0 and not late then amount end)",
        "sum(case when amount = 0 then null when late then 0 else amount end)",
    ],
)
def test_25_29_one_person_is_not_found_among_many_whom_a_case_leaves_out_with_nothing_to_add(
    part: str,
) -> None:
    """Twelve are left out, of whom eleven add nothing: beside the whole, the part tells what the twelfth adds."""
    rows = [(n, f"id{n}", 0 if n < 11 else 900_000, 1, 1, n == 11) for n in range(60)]
    with duckdb.connect(":memory:") as made:
        create(made, CODED.shadow, [(n, f"id{n}", 1, "wu") for n in range(60)])
        create(made, PROFIT.shadow, rows)
        reading = read_joint(f"select {part} as part, sum(amount) as whole {FROM}", (CODED, PROFIT))
        whole = 49 * 900_000
        assert opened(reading, made, 90, 10) == [None, whole]
        counted = tuple(replace(each, beside=(), rest=each.rest[:1]) for each in reading.figures)
        shown = opened(replace(reading, figures=counted), made, 90, 10)[0]
        assert shown is not None, "the control: who is left out is counted, and nothing else is looked at"
        plain = part.replace("amount = 0 or ", "").replace("amount > 0 and ", "")
        assert opened(read_joint(f"select {plain} as part {FROM}", (CODED, PROFIT)), made, 90, 1) == [None]


# ------------------------------------------------------------------------------------------ 75


def test_75_a_ring_that_is_too_narrow_for_the_declared_range_is_never_chosen() -> None:
    plan = Asked(replace(TASK, statement=f"select var_samp(income) as v {FROM}")).plan()
    largest = joint_guards.largest_number(plan.reading, plan.scheme.matched)
    assert largest >= 2**63 and plan.scheme.ring_bits == 128
    narrow = replace(plan, scheme=replace(plan.scheme, ring_bits=64))
    with pytest.raises(RederivationMismatch, match="scheme"):
        require_same(narrow)
    with pytest.raises(RangeTooWide):
        scheme.ring_bits(2**127)


def test_75_control_in_the_narrow_ring_the_sum_would_be_another_number() -> None:
    total = 101_000_000**2 * 10_000
    assert total % 2**64 != total and total % 2**128 == total


# ------------------------------------------------------------------------------------------ 96


def _administered(domain: str, administration: str) -> Asked:
    parties = (
        party(each, administration=administration if each == domain else party(each).administration)
        for each in DOMAINS
    )
    return Asked(parties=tuple(parties))


@pytest.mark.parametrize(
    ("domain", "administration"),
    [
        ("nm/civil", "bureau of nm/tax"),
        ("nm/civil", "  Bureau of NM/TAX "),
        ("nm/office", "bureau of nm/health"),
    ],
)
def test_96_two_servers_or_a_helper_under_one_administration_are_refused(
    domain: str, administration: str
) -> None:
    with pytest.raises(PolicyDenied, match="have the same"):
        _administered(domain, administration).plan()


def test_96_control_parties_under_administrations_of_their_own_are_accepted() -> None:
    plan = Asked().plan()
    require_same(plan, RULES)
    assert not any("administrators" in line for line in plan.trust.collusions)


BY_LEVEL = f"select e.level, sum(t.tax) as s {FROM} join edu.pupils e using (person) group by 1"
THREE = replace(TASK, statement=BY_LEVEL)
ALONE = replace(THREE, matching=Matching.DIFFIE_HELLMAN, helper="")


def _one_hand(asked: Asked, first: str, second: str) -> Asked:
    """The same parties, two of which the same people administer."""
    hand = "one hand"
    parties = (
        party(each, administration=hand) if each in (first, second) else party(each) for each in DOMAINS
    )
    return replace(asked, parties=tuple(parties))


TOGETHER = [
    (formed(ALONE), "nm/civil", "nm/edu", "whoever matches is an owner's: it learns which of its rows match"),
    (formed(THREE), "nm/edu", "nm/office", "the helper is an owner's: it has the key of all identifiers"),
    (formed(THREE), "nm/edu", "nm/tax", "an owner is its own partner: it learns which of its rows match"),
    (FORMS["common"], "nm/edu", "nm/office", "the helper of persons in common has the key"),
    (FORMS["stacked"], "nm/civil", "nm/tax", "two servers have every holder's sums"),
    (FORMS["ciphertexts"], "nm/office", "nm/tax", "who adds up ciphertexts has the key to each of them"),
]


@pytest.mark.parametrize(("asked", "first", "second", "_why"), TOGETHER, ids=[each[3] for each in TOGETHER])
def test_96_of_no_form_are_two_parties_one_hand_that_open_more_together(
    asked: Asked, first: str, second: str, _why: str
) -> None:
    plan = asked.plan()
    assert {first, second} <= {each.domain for each in plan.parties}
    bad = _one_hand(asked, first, second)
    with pytest.raises(PolicyDenied, match="have the same"):
        bad.plan()
    lenient = replace(bad, rules=replace(ALL_RULES, separate=False)).plan()  # the control: nobody demands it
    assert any(f"{first}, {second} have the same administrators" in line for line in lenient.trust.collusions)


def test_96_holders_of_one_table_may_be_one_hand() -> None:
    """What they see together is theirs: only who computes must be somebody else's."""
    for form in ("stacked and inspected", "ciphertexts"):
        assert _one_hand(FORMS[form], "nm/edu", "nm/health").plan()


# ------------------------------------------------------------------------------------------ the guards of the guards


def test_the_bound_of_factors_and_of_widths_are_what_the_page_says() -> None:
    assert joint_summands.MOST_COEFFICIENT == 1_000_000
    assert (joint_ranges.LARGEST, joint_ranges.MOST_DECIMALS) == (2**53 - 1, 18)


# ------------------------------------------------------------------------------------------ 74


def test_74_a_tiny_set_is_not_used_to_probe_who_is_in_the_others() -> None:
    """Twelve known persons, more than the minimum group: a count of those with a diagnosis would tell about them."""
    tiny = replace(VISITS, rows=12)
    asked = replace(TASK, statement=f"select count(*) as n {FROM} where h.icd like 'E11%'")
    with pytest.raises(PolicyDenied, match="fewer than 100 persons"):
        Asked(asked, shadows=(tiny, INCOME)).plan()
    plan = Asked(asked).plan()  # the control: the same statement over a whole register
    with pytest.raises(PolicyDenied):  # and no party runs a plan in which somebody slipped it in
        require_same(replace(plan, shadows=(tiny, INCOME)))


@pytest.mark.parametrize("form", ["stacked", "stacked and inspected", "ciphertexts"])
def test_29_a_holder_may_ask_for_exact_figures_since_each_holder_tests_its_own_part(form: str) -> None:
    """What it is left with without its own part is in tests/attacks/test_joint_own_parts.py; approvers read it."""
    plan = replace(FORMS[form], member="wang@nm/health").plan()
    require_same(plan)
    assert joint_guards.votes_of(plan) == len(plan.reading.figures)
    (told,) = [sight.what for sight in plan.sights if "its own domain's part" in sight.what]
    assert "each part passes all tests by itself" in told
    assert any("with all holders but one" in line for line in plan.trust.collusions)


def test_29_with_noise_a_holder_may_ask_since_noise_hides_the_others_rows_too() -> None:
    noised = replace(ALL_RULES, noise_micro=500_000)
    plan = replace(FORMS["stacked"], member="wang@nm/health", rules=noised).plan()
    assert any(sight.what.startswith("by subtraction of its own") for sight in plan.sights)
    assert not joint_guards.votes_of(plan), "a vote is made from exact numbers, and would not be private"


def test_74_few_persons_with_many_rows_each_are_a_tiny_set_too() -> None:
    """Twelve persons with 500 visits each: a condition that leaves one visit of each makes a register of twelve."""
    visits = house.manifest(VISITS.shadow.relation.replace("health.", "nm/health/"), rows=6_000, persons=12)
    found = shadow_of(visits, VISITS.shadow)
    assert found is not None
    likeness = replace(VISITS, rows=found.rows)
    asked = replace(TASK, statement=f"select count(*) as n {FROM} where h.icd like 'E11%'")
    with pytest.raises(PolicyDenied, match="fewer than 100 persons"):
        Asked(asked, shadows=(likeness, INCOME)).plan()
    by_rows = replace(VISITS, rows=visits.rows)  # the control: counted by rows it passes for a large one
    assert Asked(asked, shadows=(by_rows, INCOME)).plan().scheme.matched == 2_400
