"""Attacks on policies: statements where rows may leave or a finish computes (ATTACKS A), inference as far as it is
decided before anything runs (B), names and rules (E 59 to 61). Each has a control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from inside.check import check
from plans.constraints import (
    ANY,
    Access,
    Action,
    Constraint,
    Effect,
    Reveal,
    Tag,
    Tagged,
    Use,
)
from plans.decision import Outcome
from plans.errors import Malformed, SqlUnsupported
from plans.manifest import Grade
from plans.reading import Level, Reading, Shadow
from plans.statements import Bundle
from policies import api as policies
from policies.api import Case, Grants, short
from tests.attacks.sql_attacks import ATTACKS, CANARY
from tests.drawn import without_drawn
from tests.inside.sql_cases import SHADOWS
from tests.keeper import house
from tests.policies import cases
from tests.spec.town import Answer, Town

LISTED = [
    (int(number), statement.strip().replace("\\n", "\n"))
    for number, _, statement in (line.partition("|") for line in ATTACKS.strip().splitlines())
]


def shown(*hidden: str) -> tuple[Shadow, ...]:
    """Shadows of which every column may be seen, but those that are named and the person."""
    return tuple(
        replace(
            each, columns=tuple(replace(c, shown=c.name not in ("person", *hidden)) for c in each.columns)
        )
        for each in SHADOWS
    )


def ids(listed: list[tuple[int, str]]) -> list[str]:
    return [f"{number}-{n}" for n, (number, _) in enumerate(listed)]


# --- A, where every column may be seen -----------------------------------------------------

OUTSIDE = [(n, statement) for n, statement in LISTED if (n <= 16 or n == 18) and "\n" not in statement]
"""Files, settings, secrets, the network, other statements: nothing that seeing every column would allow."""

WITHIN = [(n, statement) for n, statement in LISTED if n > 16 and n != 18]
"""Ways to rows and values: where the values may be seen, some of them are allowed."""


@pytest.mark.parametrize(("number", "statement"), OUTSIDE, ids=ids(OUTSIDE))
def test_a_whoever_may_see_every_column_reads_nothing_else(number: int, statement: str) -> None:
    with pytest.raises(Malformed) as refused:
        check(statement, shown(), 512)
    assert CANARY not in str(refused.value) and "Error:" not in str(refused.value)


@pytest.mark.parametrize(("number", "statement"), WITHIN, ids=ids(WITHIN))
def test_a_what_is_allowed_over_seen_columns_is_refused_over_one_that_is_not(
    number: int, statement: str
) -> None:
    """Each attack that passes where all may be seen: hide any column that it uses, and no row of it leaves."""
    try:
        reading = check(statement, shown(), 512)
    except Malformed:
        return
    assert reading.level is Level.ROWS and set(reading.relations) <= {each.relation for each in SHADOWS}
    for column in {use.column for use in reading.uses} - {"person"}:
        try:
            other = check(statement, shown(column), 512)
        except Malformed:
            continue
        assert other.level is Level.CELLS and all(table.hidden for table in other.tables), column


@pytest.mark.parametrize("statement", [
    "select income from tax.income",
    "select region, row_number() over (order by income) as n from tax.income",
    "select i.region, v.cost from tax.income i join med.visit v using (region)",
])  # fmt: skip
def test_a_control_rows_of_seen_columns_are_read(statement: str) -> None:
    assert check(statement, shown(), 512).level is Level.ROWS


# --- A, in what surrounds a table of figures -----------------------------------------------------

CELLS = "with t as (select region, count(*) as n from tax.income group by region)"
PLACES = {
    "beside figures": CELLS + " select region, ({}) as x from t",
    "in a condition": CELLS + " select region from t where n > ({})",
    "as a source": CELLS + " select t.region from t, ({}) q",
    "in a union": CELLS + " select n from t union all select * from ({}) q",
    "in a CTE of its own": CELLS + ", q as ({}) select n from t union all select * from q",
    "in HAVING": "select region, count(*) as n from tax.income group by region having count(*) > ({})",
}
WRAPPED = [(n, statement) for n, statement in LISTED if statement.lower().startswith("select") and n != 16]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_no_attack_passes_as_a_part_of_a_finish(place: str) -> None:
    """In every place around a table of figures, each attack of the list is refused, or is figures itself."""
    for number, statement in WRAPPED:
        try:
            reading = check(place.format(statement), SHADOWS, 512)
        except Malformed as refusal:
            assert CANARY not in str(refusal), statement
            continue
        assert number > 16 and reading.level is Level.CELLS, statement
        assert all(table.hidden for table in reading.tables), statement
        assert only_protected(reading), statement


def only_protected(reading: Reading) -> bool:
    """Whether a finish names protected tables and no relation, file or function of the engine."""
    words = reading.finish.lower()
    return not any(
        word in words for word in ("tax", "med", "read_", "glob", "'/", "duckdb_", "pragma", "person")
    )


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_control_figures_pass_in_each_of_these_places(place: str) -> None:
    reading = check(place.format("select count(*) as n from med.visit"), SHADOWS, 512)
    assert reading.finish and len(reading.tables) == 2 and only_protected(reading)


# --- B, inference -----------------------------------------------------

POLICY = """
["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["group", "filter"]
year = ["group", "filter"]
{more}
"""
PEOPLE = """
    person | region | year | age | income
    1-12   | east   | 2023 | 30  | 1000
    13-40  | west   | 2023 | 40  | 2000
    41-43  | north  | 2023 | 50  | 90000
    44     | west   | 2023 | 97  | 987654321
"""


def ask(folder: Path, statement: str, more: str = 'income = ["sum", "avg"]', people: str = PEOPLE) -> Answer:
    return Town(folder, {"tax.income": people}, POLICY.format(more=more)).ask(statement)


def rows(answer: Answer) -> list[list[str | None]]:
    assert answer.released is not None, answer
    return [[cell.v for cell in row] for row in answer.released.rows]


@pytest.mark.parametrize("margins", ["rollup (region)", "cube (region)", "grouping sets ((region), ())"])
def test_27_a_margin_does_not_uncover_a_suppressed_cell(tmp_path: Path, margins: str) -> None:
    """Three persons live in the north. The margin is the sum of what is shown."""
    found = rows(ask(tmp_path, f"select region, count(*) as n from tax.income group by {margins}"))
    total = next(int(n or 0) for region, n in found if region is None)
    assert total == sum(int(n or 0) for region, n in found if region is not None) == 41


def test_27_control_the_true_margin_would(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "parts").mkdir()
    total = rows(ask(tmp_path / "all", "select count(*) as n from tax.income"))[0][0]
    parts = rows(ask(tmp_path / "parts", "select region, count(*) as n from tax.income group by region"))
    assert int(total or 0) - sum(int(n or 0) for _, n in parts) == 3


def test_28_rows_of_one_person_meet_no_threshold(tmp_path: Path) -> None:
    one = "person | region | year | age | income\n" + "1 | east | 2023 | 30 | 1000\n" * 50
    answer = ask(tmp_path, "select region, count(*) as n from tax.income group by region", people=one)
    assert (
        answer.released is None and answer.verdict is not None and answer.verdict.reasons == ("small-group",)
    )


def test_28_control_rows_of_twelve_persons_do(tmp_path: Path) -> None:
    found = rows(
        ask(tmp_path, "select region, count(*) as n from tax.income where region = 'east' group by region")
    )
    assert found == [["east", "12"]]


ONE_HOT = [
    "select sum(case when age = 97 then income else 0 end) as s from tax.income",
    "select sum(income * case when age = 97 then 1 else 0 end) as s from tax.income",
    "with t as (select case when age = 97 then income end as one from tax.income) select sum(one) as s from t",
    "select sum(one) as s from (select case when age > 96 then income end as one from tax.income) q",
]


@pytest.mark.parametrize("statement", ONE_HOT)
def test_30_a_vector_that_picks_one_person_needs_a_condition_that_was_not_given(
    tmp_path: Path, statement: str
) -> None:
    answer = ask(tmp_path, statement)
    assert {reason.subject for reason in answer.decision.reasons if reason.rule == "column-use"} == {
        "tax.income.age"
    }


@pytest.mark.parametrize("statement", ONE_HOT)
def test_30_control_with_the_condition_the_figure_rests_on_one_person_and_is_withheld(
    tmp_path: Path, statement: str
) -> None:
    answer = ask(tmp_path, statement, 'income = ["sum"]\nage = ["filter"]')
    assert answer.decision.outcome is Outcome.ALLOW
    assert "98765" not in without_drawn(str(answer.released))


@pytest.mark.parametrize("own", [
    "(values ('east', 1), ('west', 2)) as mine (region, x)",
    "(select 'east' as region, 1 as x) as mine",
    "(select unnest(['east', 'west']) as region) as mine",
    "generate_series(1, 10) as mine (region)",
])  # fmt: skip
def test_31_a_table_of_the_attackers_own_making_joins_nothing(tmp_path: Path, own: str) -> None:
    with pytest.raises(Malformed):
        ask(tmp_path, f"select count(*) as n from tax.income i join {own} on i.region = mine.region")


def test_31_a_dataset_of_another_owner_joins_nothing() -> None:
    foreign = house.manifest("nm/health/visit", columns=house.manifest().columns)
    joined = replace(
        cases.BOTH,
        manifests=(*cases.MANIFESTS, foreign),
        reading=replace(cases.BOTH.reading, relations=("tax.income", "health.visit")),
    )
    assert "one-owner" in rules(joined)
    assert policies.decide(cases.BOTH).outcome is Outcome.ALLOW


@pytest.mark.parametrize(
    "function", ["regr_slope", "regr_r2", "regr_intercept", "corr", "covar_samp", "covar_pop"]
)
def test_32_regressions_and_covariances_are_no_figures(tmp_path: Path, function: str) -> None:
    with pytest.raises(SqlUnsupported):
        ask(tmp_path, f"select {function}(income, year) as r from tax.income")


def test_32_control_a_mean_is_one(tmp_path: Path) -> None:
    assert rows(ask(tmp_path, "select avg(income) as m from tax.income where region = 'east'")) == [["1000"]]


# --- E, who may -----------------------------------------------------


def rules(case: Case) -> set[str]:
    """The rules by which a case is denied; empty when it is not."""
    decision = policies.decide(case)
    return {reason.rule for reason in decision.reasons} if decision.outcome is Outcome.DENY else set()


def with_policy(**changes: Any) -> Case:
    """The good case under another policy for incomes."""
    policy = replace(house.INCOME_POLICY, **changes)
    return replace(cases.GOOD, bundle=cases.bundle(policy, house.PROPERTY_POLICY))


def test_59_an_approver_does_not_approve_what_they_ask_for_themselves() -> None:
    asked = with_policy(each_plan=True)
    itself = replace(asked, approvers=(asked.request.member, house.APPROVER))
    for case in (asked, itself):
        decision = policies.decide(case)
        assert decision.outcome is Outcome.NEEDS_APPROVAL and case.request.member not in decision.approvers
        assert house.APPROVER in decision.approvers


@pytest.mark.parametrize(
    "role", ["approver", "reviewer", "steward", "auditor", "administrator", ANY, "", "Researcher"]
)
def test_59_no_grant_makes_a_reader_of_whoever_approves_or_administers(role: str) -> None:
    grant = replace(house.GRANT, role=role)
    assert "grant-role" in rules(replace(cases.GOOD, grants=(cases.granted(grant),)))


@pytest.mark.parametrize(
    "changes",
    [
        {"revoked": True},
        {"uses_left": 0},
        {"not_after": cases.GOOD.now},
        {"not_before": cases.GOOD.now + 1},
    ],
)
def test_59_a_grant_that_has_ended_allows_nothing(changes: dict[str, Any]) -> None:
    assert rules(replace(cases.GOOD, grants=(cases.granted(**changes),))) == {"grant-inactive"}


def test_59_control_the_grant_as_it_stands() -> None:
    assert rules(cases.GOOD) == set()


# What a matcher by patterns, prefixes or loose spelling would take for the real one.
SIMILAR = {
    "members": ["lin@nm/un", "lin@nm/unis", "lin@nm/uni/a", "in@nm/uni", "lin@nm"],
    "projects": ["povert", "poverty-2", "p"],
    "purposes": [
        "research on povert", "research on poverty ", "Research on poverty", "research on poverty,x", "*", "any", "",
        "research.*", "research%20on%20poverty", "research on p\u043everty", "research on poverty\n",
    ],
    "datasets": ["nm/tax/incom", "nm/tax/income2", "nm/tax"],
}  # fmt: skip


@pytest.mark.parametrize("member", SIMILAR["members"])
def test_60_a_similar_member_is_another_member(member: str) -> None:
    assert "no-grant" in rules(replace(cases.GOOD, request=replace(house.REQUEST, member=member)))


@pytest.mark.parametrize("project", SIMILAR["projects"])
def test_60_a_similar_project_is_another_project(project: str) -> None:
    assert rules(replace(cases.GOOD, request=replace(house.REQUEST, project=project))) == {"no-grant"}


@pytest.mark.parametrize("purpose", SIMILAR["purposes"])
def test_60_a_similar_purpose_is_another_purpose(purpose: str) -> None:
    request = replace(house.REQUEST, purpose=purpose)
    assert rules(replace(cases.GOOD, request=request)) == {"no-grant"}
    grant = cases.granted(replace(house.GRANT, purpose=purpose))
    bound = replace(short("region", ("group",)), purposes=(house.PURPOSE,))
    limited = with_policy(constraints=(bound, short("income", ("avg",))))
    assert "column-use" in rules(replace(limited, request=request, grants=(grant,)))
    access = with_policy(access=(replace(house.EVERYBODY, purposes=(house.PURPOSE,)),))
    assert "access" in rules(replace(access, request=request, grants=(grant,)))


@pytest.mark.parametrize("party", ["nm/un", "nm/univ", "nm/uni/lab", "lin@nm/un", "in@nm/uni", "nm/tax"])
def test_60_a_rule_for_a_similar_party_is_none_for_this_one(party: str) -> None:
    limited = with_policy(access=(replace(house.EVERYBODY, parties=(party,)),))
    assert rules(limited) == {"access"}


@pytest.mark.parametrize("party", ["nm/uni", "nm", "lin@nm/uni", ANY])
def test_60_control_a_rule_for_the_party_or_what_is_above_it_counts(party: str) -> None:
    assert rules(with_policy(access=(replace(house.EVERYBODY, parties=(party,)),))) == set()


WRONG = ["nm/*", "*", "nm,uni", "nm/uni/", "/nm/uni", "NM/uni", "nm%2funi", "nm/.*", "nm/u?i", "nm/un\u0456", "any ",
         "ANY", "li@*", "@nm/uni", "nm/uni@", "nm/uni\n", "nm//uni", "'nm/uni'", '"nm"', "nm/uni OR 1=1"]  # fmt: skip


@pytest.mark.parametrize("party", WRONG)
@pytest.mark.parametrize("effect", Effect)
def test_60_a_pattern_or_misspelt_party_is_in_no_rule(party: str, effect: Effect) -> None:
    """Neither in a permission, where it might cover too much, nor in a prohibition, where it might cover nothing."""
    with pytest.raises(Malformed):
        Access(effect, (party,), (ANY,), (Action.QUERY,), (ANY,))
    with pytest.raises(Malformed):
        Constraint("region", effect, (party,), (ANY,), (ANY,), 0, (Use.GROUP,), (), Reveal.NEVER)


@pytest.mark.parametrize(
    "column", ["Region", "region ", "reg*", "region,income", "regi\u043en", "", "region\n"]
)
def test_60_a_rule_about_a_misspelt_column_is_none(column: str) -> None:
    with pytest.raises(Malformed):
        short(column, ("group",))


@pytest.mark.parametrize("role", ["RESEARCHER", "researchers", "research", "*", "researcher ", "re.*"])
def test_60_a_rule_for_a_similar_role_is_none_for_this_one(role: str) -> None:
    assert rules(with_policy(access=(replace(house.EVERYBODY, roles=(role,)),))) == {"access"}


DENY = Access(Effect.DENY, (ANY,), (ANY,), (Action.QUERY,), (ANY,))
FORBID = Constraint("income", Effect.DENY, (ANY,), (ANY,), (ANY,), 0, (Use.AGGREGATE,), (), Reveal.NEVER)


@pytest.mark.parametrize("first", [True, False])
def test_61_one_prohibition_wins_over_every_permission_in_whatever_order(first: bool) -> None:
    many = (house.EVERYBODY,) * 3
    assert rules(with_policy(access=(DENY, *many) if first else (*many, DENY))) == {"access"}
    allow = house.INCOME_POLICY.constraints
    assert rules(with_policy(constraints=(FORBID, *allow) if first else (*allow, FORBID))) == {"column-use"}


def test_61_a_prohibition_for_others_or_that_has_ended_is_none() -> None:
    other, ended = replace(DENY, parties=("nm/health",)), replace(DENY, until=cases.GOOD.now)
    assert rules(with_policy(access=(house.EVERYBODY, other, ended))) == set()


NOTHING: dict[str, Callable[[], Case]] = {
    "no policy": lambda: replace(cases.GOOD, bundle=Bundle(house.DOMAIN, 7, ())),
    "no access rule": partial(with_policy, access=()),
    "access for nobody": partial(with_policy, access=(replace(house.EVERYBODY, parties=()),)),
    "access for no purpose": partial(with_policy, access=(replace(house.EVERYBODY, purposes=()),)),
    "access to nothing": partial(with_policy, access=(replace(house.EVERYBODY, actions=()),)),
    "no rule about columns": partial(with_policy, constraints=()),
    "rules for nobody": lambda: with_policy(
        constraints=tuple(replace(rule, parties=()) for rule in house.INCOME_POLICY.constraints)
    ),
    "rules that have ended": lambda: with_policy(
        constraints=tuple(replace(rule, until=cases.GOOD.now) for rule in house.INCOME_POLICY.constraints)
    ),
    "no grant": lambda: replace(cases.GOOD, grants=Grants()),
    "no manifest": lambda: replace(cases.GOOD, manifests=()),
    "classes in a circle": lambda: tagged("a", Tag("a", "b", *_LEAST), Tag("b", "a", *_LEAST)),
    "a class above itself": lambda: tagged("a", Tag("a", "a", *_LEAST)),
    "a class that nobody describes": lambda: tagged("a"),
    "a class that allows nothing": lambda: tagged("a", replace(Tag("a", "", *_LEAST), uses=(), functions=())),
}
_LEAST = (Grade.GENERAL_1, tuple(Use), ("avg", "sum"), Reveal.PLAIN)


def tagged(name: str, *tags: Tag) -> Case:
    """The good case with the column of incomes in a class."""
    policy = replace(house.INCOME_POLICY, tagged=(Tagged("income", (name,)),))
    return replace(cases.GOOD, bundle=Bundle(house.DOMAIN, 7, (policy, house.PROPERTY_POLICY), tags))


@pytest.mark.parametrize("made", NOTHING.values(), ids=NOTHING.keys())
def test_61_nothing_means_no(made: Callable[[], Case]) -> None:
    assert rules(made())


def test_61_control_a_class_that_allows_what_the_rules_do_changes_nothing() -> None:
    assert rules(tagged("a", Tag("a", "", *_LEAST))) == set()


# --- a bundle that was signed without the tool -----------------------------------------------------


@pytest.mark.parametrize("until", [-1, 253_402_300_800, 2**53 - 1])
def test_an_end_that_no_calendar_shows_is_no_rule(until: int) -> None:
    """A page of rules, and the lines of what changes, show ends as days."""
    who = ((ANY,), (ANY,))
    with pytest.raises(Malformed):
        Constraint("region", Effect.ALLOW, *who, (ANY,), until, (Use.GROUP,), (), Reveal.GROUPED)
    with pytest.raises(Malformed):
        Access(Effect.ALLOW, *who, (Action.QUERY,), (ANY,), until)


def test_control_the_last_end_is_shown() -> None:
    rule = Constraint(
        "region", Effect.ALLOW, (ANY,), (ANY,), (ANY,), 253_402_300_799, (Use.GROUP,), (), Reveal.GROUPED
    )
    assert policies.constraint_line(rule).endswith("until 9999-12-31 23:59 UTC")
