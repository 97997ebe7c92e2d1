"""The visibility table says of each party what it sees, and leaves out no message that it gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mpc.api import sights, trust
from mpc.protocols.joint_rows import columns_of
from plans.joint import JointPlan, Part, SeenAs, Sight, Step
from plans.joint_guards import vectors_of
from plans.joint_rules import Matching
from plans.joint_sights import together
from tests.mpc.compile_cases import Asked, asked, with_obligations
from tests.mpc.form_cases import FORMS
from tests.policies.joint_cases import FROM

HELPED = Asked().plan()
ALONE = asked(matching=Matching.DIFFIE_HELLMAN, helper="").plan()
THREE = asked(
    f"select e.level, corr(h.days, t.tax) as r, count(*) as n {FROM} join edu.pupils e using (person) group by 1"
).plan()
JOINED = {"helper": HELPED, "diffie-hellman": ALONE, "three owners": THREE}
PLANS = JOINED | {form: made.plan() for form, made in FORMS.items()}
BOTH = pytest.mark.parametrize("plan", JOINED.values(), ids=JOINED)
EACH = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
STACKED, OF_THREE, OF_TWO = PLANS["stacked"], PLANS["stacked and inspected"], PLANS["inspected by one of two"]
SECRET, COMMON, COMMON_OF_TWO = PLANS["ciphertexts"], PLANS["common"], PLANS["common of two"]


def of(plan: JointPlan, domain: str, step: Step) -> list[Sight]:
    """What a domain sees at a step."""
    return [sight for sight in plan.sights if (sight.party, sight.step) == (domain, step)]


@EACH
def test_it_is_in_the_plan_and_made_anew_from_it(plan: JointPlan) -> None:
    assert plan.sights == sights(plan)
    assert plan.trust == trust(plan)
    order = [list(Step).index(sight.step) for sight in plan.sights]
    assert order == sorted(order)


@EACH
def test_everybody_sees_the_statement_who_failed_and_how_long_things_take(plan: JointPlan) -> None:
    for party in plan.parties:
        forms = {(sight.step, sight.form) for sight in plan.sights if sight.party == party.domain}
        assert {(Step.ASK, SeenAs.CLEAR), (Step.CHECK, SeenAs.CLEAR), (Step.OPEN, SeenAs.TIMING)} <= forms


@EACH
def test_everybody_is_told_what_a_plan_shows_of_the_owners_and_what_a_failure_tells(plan: JointPlan) -> None:
    """A plan goes to all parties whole; that an owner cannot begin is about its rows under the conditions."""
    for party in plan.parties:
        (asked_for, *_), (checked,) = of(plan, party.domain, Step.ASK), of(plan, party.domain, Step.CHECK)
        assert "row filter" in asked_for.what and "rows and persons" in asked_for.what
        assert "a person is there twice" in checked.what


@EACH
def test_rows_in_clear_are_seen_by_their_owner_alone(plan: JointPlan) -> None:
    clear = {sight.party for sight in plan.sights if sight.step is Step.EXTRACT}
    assert clear == {portion.domain for portion in plan.reading.portions}
    assert not [
        s
        for s in plan.sights
        if s.step in (Step.SHARE, Step.COMPUTE, Step.GUARD)
        and s.form not in (SeenAs.SHARE, SeenAs.CIPHERTEXT)
    ]


@BOTH
def test_the_size_of_the_intersection_is_seen_by_whoever_matches_and_nobody_else(plan: JointPlan) -> None:
    sized = {(sight.party, sight.step) for sight in plan.sights if sight.form is SeenAs.SIZE}
    assert sized == {(plan.matcher, Step.MATCH)}
    assert plan.matcher not in {portion.domain for portion in plan.reading.portions}


@BOTH
def test_no_owner_and_no_partner_sees_who_matched(plan: JointPlan) -> None:
    for place, portion in enumerate(plan.reading.portions):
        assert plan.partner(place) not in (portion.domain, plan.matcher)
        forms = {sight.form for sight in of(plan, plan.partner(place), Step.MATCH)}
        assert SeenAs.SIZE not in forms


@BOTH
def test_the_recipient_sees_as_many_numbers_as_are_opened(plan: JointPlan) -> None:
    line, *_ = of(plan, plan.request.member, Step.OPEN)
    assert line.part is Part.RECIPIENT
    reading = plan.reading
    assert line.bound == reading.cells * sum(1 + len(figure.sums) for figure in reading.figures)


@BOTH
def test_servers_get_as_many_shares_as_owners_share_columns(plan: JointPlan) -> None:
    columns = sum(len(columns_of(plan.reading, place)) for place in range(len(plan.reading.portions)))
    for server in plan.task.servers:
        (line,) = of(plan, server, Step.SHARE)
        assert line.bound == plan.scheme.matched * (columns + plan.reading.cells)


@BOTH
def test_whoever_could_open_more_together_is_named(plan: JointPlan) -> None:
    text = "\n".join(plan.trust.collusions)
    assert "any two of" in text
    for portion in plan.reading.portions:
        assert portion.domain in text
    assert plan.matcher in text
    assert "Semi-honest" in plan.trust.adversary


def test_with_a_helper_one_owner_more_opens_all_identifiers_and_without_one_it_does_not() -> None:
    assert any("the identifiers of all owners" in line for line in HELPED.trust.collusions)
    assert not any("identifiers" in line for line in ALONE.trust.collusions)
    assert ALONE.matcher in ALONE.task.servers


@EACH
def test_the_table_as_people_read_it_says_the_same_of_everybody(plan: JointPlan) -> None:
    read = together(plan.sights)
    apart = [replace(seen.sight, party=party, part=part) for seen in read for party, part in seen.parties]
    assert sorted(apart, key=repr) == sorted(plan.sights, key=repr), "no line is lost, and none is added"
    assert len(read) < len(plan.sights), "parties that see the same stand together"
    order = [list(Step).index(seen.sight.step) for seen in read]
    assert order == sorted(order)


# ------------------------------------------------------------------------------------------ inspected


@pytest.mark.parametrize(
    "form", ["inspected", "stacked and inspected", "inspected by one of two", "ciphertexts"]
)
def test_an_inspector_sees_every_sum_before_the_recipient_sees_figures_without_any(form: str) -> None:
    plan = PLANS[form]
    first, second, *_ = [sight for sight in plan.sights if sight.step is Step.OPEN]
    reading = plan.reading
    assert (first.part, first.party, first.bound) == (
        Part.INSPECTOR, plan.task.inspector, reading.cells * vectors_of(plan),
    )  # fmt: skip
    assert (second.part, second.bound) == (Part.RECIPIENT, reading.cells * len(reading.figures))
    assert "without the sums" in second.what and "rounded to multiples of 5" in second.what
    assert not [sight for sight in plan.sights if sight.step is Step.GUARD], "nothing is tested on shares"


@pytest.mark.parametrize("form", ["inspected", "joined by two owners"])
def test_what_an_inspector_could_work_out_of_its_own_rows_is_told(form: str) -> None:
    plan = PLANS[form]
    lines = [s for s in of(plan, plan.task.inspector, Step.OPEN) if "which few of its own rows" in s.what]
    assert [line.part for line in lines] == [Part.INSPECTOR]


def test_exact_totals_are_spoken_of_where_nothing_rounds_them() -> None:
    def told(plan: JointPlan) -> bool:
        return any("exact totals" in sight.what for sight in plan.sights)

    assert told(HELPED) and told(STACKED)
    assert not told(PLANS["inspected"]) and not told(SECRET)
    exact = replace(FORMS["inspected"], change=with_obligations(rounding=1)).plan()
    assert not told(exact), "the other owner rounds"
    noised = replace(FORMS["stacked"], rules=replace(FORMS["stacked"].rules, noise_micro=300_000)).plan()
    assert not told(noised)


# ------------------------------------------------------------------------------------------ one table in parts


@pytest.mark.parametrize("plan", [STACKED, OF_THREE, SECRET], ids=["shares", "inspected", "ciphertexts"])
def test_of_one_table_in_parts_nobody_sees_a_size_a_pseudonym_or_another_holders_row(plan: JointPlan) -> None:
    assert not [
        sight for sight in plan.sights if sight.form in (SeenAs.SIZE, SeenAs.PSEUDONYM, SeenAs.MASKED)
    ]
    assert not [sight for sight in plan.sights if sight.step is Step.MATCH]


def test_servers_get_shares_of_every_holders_sums_and_of_no_row() -> None:
    for server in STACKED.task.servers:
        (line,) = of(STACKED, server, Step.SHARE)
        assert (line.form, line.bound) == (SeenAs.SHARE, 2 * (2 + 2) * 3)  # holders, sums and figures, cells
        (added,) = of(STACKED, server, Step.COMPUTE)
        assert (added.form, added.bound) == (SeenAs.SHARE, (2 + 2) * 3)


def test_a_collector_sees_ciphertexts_and_the_key_is_the_inspectors() -> None:
    key, collected = of(SECRET, "nm/office", Step.ENCRYPT)
    assert "the public key" in key.what
    assert (collected.form, collected.part, collected.bound) == (
        SeenAs.CIPHERTEXT,
        Part.COLLECTOR,
        3 * (2 + 2) * 3,
    )
    keyed = [
        sight.party for sight in SECRET.sights if sight.step is Step.ENCRYPT and sight.part is Part.OWNER
    ]
    assert keyed == ["nm/health", "nm/edu"]
    (total,) = of(SECRET, SECRET.task.inspector, Step.COMPUTE)
    assert (total.form, total.bound) == (SeenAs.CIPHERTEXT, (2 + 2) * 3)
    assert SECRET.trust.collusions[0].startswith(
        "nm/office with nm/tax: every sum of every cell of each single holder"
    )
    assert not [sight for sight in SECRET.sights if sight.form is SeenAs.SHARE]


def test_who_may_subtract_its_own_part_is_told() -> None:
    """What all have together, less one's own: of two holders that is the other's, small cells too."""

    def subtracting(plan: JointPlan) -> dict[str, Part]:
        return {sight.party: sight.part for sight in plan.sights if sight.what.startswith("by subtraction")}

    assert subtracting(STACKED) == {}, "who asks has no part"
    assert subtracting(OF_TWO) == {"nm/tax": Part.INSPECTOR}
    noised = replace(FORMS["stacked"].rules, noise_micro=300_000)
    for rules in (noised, FORMS["stacked"].rules):
        own = replace(FORMS["stacked"], member="wang@nm/tax", rules=rules).plan()
        assert subtracting(own) == {"wang@nm/tax": Part.RECIPIENT}
    for plan, words in ((OF_TWO, "the other holder's"), (OF_THREE, "that of the other holders together")):
        assert any(words in sight.what for sight in plan.sights)
    (left,) = (line for line in OF_THREE.trust.collusions if "with all other holders but one" in line)
    assert "where conditions leave them no rows" in left
    for plan in (STACKED, OF_THREE, SECRET):
        assert any("with all holders but one: that one's part" in line for line in plan.trust.collusions)


@pytest.mark.parametrize("plan", [STACKED, OF_THREE, SECRET])
def test_29_one_plan_and_an_answer_about_the_other_holders_are_a_holders_part(plan: JointPlan) -> None:
    """Approvers read that other answers leave it, and that its holder has tested it by itself."""
    told = [sight.part for sight in plan.sights if "what other answers leave of it" in sight.what]
    assert told == [Part.RECIPIENT]
    assert any("what other answers" in s.what and "by itself" in s.what for s in plan.sights)
    with_noise = replace(FORMS["stacked"], rules=replace(FORMS["stacked"].rules, noise_micro=300_000)).plan()
    assert not any("by itself" in sight.what for sight in with_noise.sights), "nobody tests its own part"


@pytest.mark.parametrize("form", ["common", "looked up", "joined by two owners"])
def test_whoever_is_told_of_persons_is_told_that_they_pass_the_others_row_filter(form: str) -> None:
    plan = FORMS[form].plan()

    def filtered(*domains: str) -> str:
        decisions = tuple(
            replace(
                each, relation=replace(each.relation, row_filter="alive" if each.domain in domains else "")
            )
            for each in plan.decisions
        )
        return "; ".join(
            sight.what for sight in sights(replace(plan, decisions=decisions)) if sight.step is not Step.ASK
        )

    others = [each.domain for each in plan.decisions if each.domain != plan.learner]
    assert "row filter" in filtered(*others)
    assert "row filter" not in filtered(plan.learner), "its own tells it nothing"


# ------------------------------------------------------------------------------------------ persons in common


def test_of_persons_in_common_a_helper_sees_pseudonyms_and_sizes_and_the_finder_its_own_persons() -> None:
    seen = {sight.form for sight in of(COMMON, "nm/office", Step.MATCH)}
    assert seen == {SeenAs.PSEUDONYM, SeenAs.SIZE}
    found = [sight for sight in COMMON.sights if sight.part is Part.FINDER]
    assert [(each.party, each.step, each.bound) for each in found] == [("nm/tax", Step.OPEN, 2_000)]
    for owner in ("nm/health", "nm/edu"):
        others = [sight for sight in COMMON.sights if sight.party == owner and sight.step is Step.MATCH]
        assert [(each.form, each.bound) for each in others] == [(SeenAs.CLEAR, 1)], (
            "the key, and nothing else"
        )
    assert any("office with any of" in line for line in COMMON.trust.collusions)


def test_two_owners_without_a_helper_see_each_others_points_and_no_size_but_the_finders() -> None:
    for owner, other in (("nm/health", 2_000), ("nm/tax", 1_000)):
        first, *_ = of(COMMON_OF_TWO, owner, Step.MATCH)
        assert (first.form, first.bound) == (SeenAs.PSEUDONYM, other)
    assert [sight.part for sight in of(COMMON_OF_TWO, "nm/tax", Step.MATCH)] == [Part.OWNER, Part.FINDER]
    assert not [sight for sight in COMMON_OF_TWO.sights if sight.form is SeenAs.SIZE]


@pytest.mark.parametrize("plan", [COMMON, COMMON_OF_TWO], ids=["helper", "two owners"])
def test_the_recipient_of_persons_in_common_gets_identifiers_and_is_told_what_two_answers_tell(
    plan: JointPlan,
) -> None:
    first, second = [sight for sight in plan.sights if sight.part is Part.RECIPIENT]
    assert (first.party, first.bound) == ("wang@nm/tax", plan.scheme.matched)
    assert "who came and who went" in second.what
    assert "may have put there to ask about them" in plan.trust.adversary
    assert not [sight for sight in plan.sights if sight.form is SeenAs.SHARE]


def test_no_other_owner_sees_who_was_found() -> None:
    for plan in (COMMON, COMMON_OF_TWO):
        opened = {
            sight.party for sight in plan.sights if sight.step is Step.OPEN and sight.form is SeenAs.CLEAR
        }
        assert opened == {plan.task.finder, plan.request.member}


# ------------------------------------------------------------------------------------------ two owners alone

SCORED, LOOKED_UP, OF_TWO_OWNERS = (PLANS[form] for form in ("scored", "looked up", "joined by two owners"))
TWO_ALONE = pytest.mark.parametrize(
    "plan", [SCORED, LOOKED_UP, OF_TWO_OWNERS], ids=["scored", "looked up", "joined"]
)


def forms_of(plan: JointPlan, domain: str) -> set[SeenAs]:
    """In which forms a domain sees anything of the other's data, before something is opened."""
    steps = (Step.MATCH, Step.SHARE, Step.ENCRYPT, Step.COMPUTE)
    return {sight.form for step in steps for sight in of(plan, domain, step)}


@TWO_ALONE
def test_who_learns_is_told_so_and_with_whom_nobody_could_collude(plan: JointPlan) -> None:
    first, second = (portion.domain for portion in plan.reading.portions)
    assert plan.trust.collusions[0].startswith(f"{first} with {second}: nothing that is anybody else's")
    assert not [sight for sight in plan.sights if sight.form is SeenAs.SHARE]
    (opener,) = plan.handing
    opened = {s.party for s in plan.sights if s.step is Step.OPEN and s.form is SeenAs.CLEAR}
    assert opened == {opener, plan.request.member}


def test_a_models_owner_sees_ciphertexts_and_how_many_rows_and_no_score() -> None:
    assert forms_of(SCORED, "nm/tax") == {SeenAs.CLEAR, SeenAs.CIPHERTEXT}
    key, features = of(SCORED, "nm/tax", Step.ENCRYPT)
    assert "the public key" in key.what and (features.form, features.bound) == (SeenAs.CIPHERTEXT, 100 * 2)
    (scores,) = of(SCORED, "nm/health", Step.COMPUTE)
    assert (scores.form, scores.bound) == (SeenAs.CIPHERTEXT, 100)


def test_that_scores_give_a_model_away_is_told_with_how_many() -> None:
    assert any(
        "by 3 independent ones it is known" in sight.what for sight in of(SCORED, "nm/health", Step.OPEN)
    )
    assert any(line.startswith("whoever has 3 scores") for line in SCORED.trust.collusions)
    assert "made up to learn of the model" in SCORED.trust.adversary


def test_a_register_sees_how_many_are_looked_up_and_nothing_that_says_whom() -> None:
    blinded, *_ = of(LOOKED_UP, "nm/tax", Step.ENCRYPT)
    assert (blinded.form, blinded.bound) == (SeenAs.MASKED, 5)
    assert not {SeenAs.PSEUDONYM, SeenAs.SIZE} & forms_of(LOOKED_UP, "nm/tax")
    _, condition = of(LOOKED_UP, "nm/tax", Step.ASK)
    assert "a constant that names a person" in condition.what
    first, second = [s for s in LOOKED_UP.sights if s.step is Step.OPEN and s.form is SeenAs.CLEAR]
    assert (first.party, first.bound, second.party, second.bound) == ("nm/health", 5, "wang@nm/health", 5)
    assert "region, status" in first.what and "not there" in first.what


def test_a_small_register_is_fetched_whole_and_a_large_one_is_asked_for_columns() -> None:
    portions = LOOKED_UP.reading.portions
    large = replace(
        LOOKED_UP,
        reading=replace(LOOKED_UP.reading, portions=(portions[0], replace(portions[1], bound=5_000_000))),
    )
    assert not [sight for sight in sights(LOOKED_UP) if sight.step is Step.COMPUTE]
    asked, answered = [sight for sight in sights(large) if sight.step is Step.COMPUTE]
    assert (asked.party, asked.form, asked.bound) == ("nm/tax", SeenAs.CIPHERTEXT, 5)
    assert (answered.party, answered.form, answered.part) == ("nm/health", SeenAs.CIPHERTEXT, Part.FINDER)


def test_of_two_owners_the_collector_learns_who_matches_and_the_inspector_sums() -> None:
    found = [sight for sight in OF_TWO_OWNERS.sights if "which of its own rows match" in sight.what]
    assert [(each.party, each.part, each.form) for each in found] == [
        ("nm/health", Part.COLLECTOR, SeenAs.CLEAR)
    ]
    key, columns = of(OF_TWO_OWNERS, "nm/health", Step.ENCRYPT)
    assert "nm/tax's box alone" in key.what and columns.form is SeenAs.CIPHERTEXT
    assert columns.bound % OF_TWO_OWNERS.reading.portions[1].bound == 0
    (total,) = of(OF_TWO_OWNERS, "nm/tax", Step.COMPUTE)
    assert (total.form, total.bound) == (SeenAs.CIPHERTEXT, 3 * len(OF_TWO_OWNERS.reading.sums))
    assert forms_of(OF_TWO_OWNERS, "nm/tax") == {SeenAs.PSEUDONYM, SeenAs.CIPHERTEXT}
    assert any("nm/health with whoever gets the answer" in line for line in OF_TWO_OWNERS.trust.collusions)


def test_every_way_in_which_a_number_is_seen_is_met_by_some_form() -> None:
    met = {sight.form for plan in PLANS.values() for sight in plan.sights}
    assert met == set(SeenAs)
    parts = {sight.part for plan in PLANS.values() for sight in plan.sights}
    assert parts == set(Part)
    assert {sight.step for plan in PLANS.values() for sight in plan.sights} == set(Step)
