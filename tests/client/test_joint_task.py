"""Which joint computation it is follows from who is named; what is missing is said before anything is sent."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from darkroom.joint_task import Named, finding_of, in_python, is_stacked, task_of
from plans.errors import Malformed
from plans.joint_rules import Matching, Opening

JOINED = "select count(*) as n from a.x join b.y using (person)"
STACKED = "select sum(v) as s from (select v from a.x UNION  all select v from b.y) t"
SCORED = "select a.person, round(m.base + a.x * m.x, 2) as score from a.x a cross  join b.m m"
LOOKUP = "select c.person, r.v from a.x c left join b.y r using (person) limit 5"
SERVERS = ("nm/a", "nm/b", "nm/c")
ALL = Named(SERVERS, "nm/office", "nm/a", "nm/b", "nm/adder")


@pytest.mark.parametrize(
    ("statement", "named", "matching", "opening"),
    [
        (JOINED, Named(SERVERS, helper="nm/office"), Matching.HELPER, Opening.OBLIVIOUS),
        (JOINED, Named(SERVERS), Matching.DIFFIE_HELLMAN, Opening.OBLIVIOUS),
        (JOINED, Named(SERVERS, inspector="nm/a"), Matching.DIFFIE_HELLMAN, Opening.INSPECTED),
        (JOINED, Named(finder="nm/a"), Matching.DIFFIE_HELLMAN, Opening.INTERSECTION),
        (JOINED, Named(finder="nm/a", helper="nm/office"), Matching.HELPER, Opening.INTERSECTION),
        (JOINED, Named(inspector="nm/a", collector="nm/b"), Matching.DIFFIE_HELLMAN, Opening.INSPECTED),
        (SCORED, Named(finder="nm/a"), Matching.NONE, Opening.SCORES),
        (LOOKUP, Named(finder="nm/a"), Matching.NONE, Opening.RECORDS),
        (STACKED, Named(SERVERS), Matching.NONE, Opening.OBLIVIOUS),
        (STACKED, Named(SERVERS, inspector="nm/a"), Matching.NONE, Opening.INSPECTED),
        (STACKED, Named(inspector="nm/a", collector="nm/adder"), Matching.NONE, Opening.INSPECTED),
    ],
)
def test_matching_and_opening_follow_from_who_is_named(
    statement: str, named: Named, matching: Matching, opening: Opening
) -> None:
    task = task_of(statement, named)
    assert (task.matching, task.opening, task.servers) == (matching, opening, named.servers)
    assert set(task.others) == {*filter(None, (named.helper, named.inspector, named.finder, named.collector))}


@pytest.mark.parametrize(
    ("statement", "named", "told"),
    [
        (JOINED, Named(), "three servers; a finder"),
        (STACKED, Named(), "a collector and an inspector"),
        (STACKED, Named(SERVERS, helper="nm/office"), "Leave --helper out"),
        (STACKED, Named(finder="nm/a"), "using \\(person\\)"),
        (STACKED, Named(collector="nm/adder"), "Name an inspector"),
        (STACKED, Named(SERVERS, inspector="nm/a", collector="nm/adder"), "leave --servers and --helper out"),
        (
            JOINED,
            Named(helper="nm/office", inspector="nm/a", collector="nm/b"),
            "leave --servers and --helper out",
        ),
        (JOINED, Named(collector="nm/b"), "Name an inspector"),
        (SCORED, Named(), "three servers; a finder"),
        (SCORED, Named(finder="nm/a", helper="nm/office"), "Leave --helper out"),
        (LOOKUP, Named(finder="nm/a", helper="nm/office"), "Leave --helper out"),
        (JOINED, Named(SERVERS, finder="nm/a"), "Leave --servers"),
        (JOINED, Named(("nm/a", "nm/b")), "three different servers"),
    ],
)
def test_who_is_missing_or_has_no_part_in_it_is_said(statement: str, named: Named, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        task_of(statement, named)


def test_of_all_ways_to_name_parties_each_makes_a_task_or_is_refused_in_words() -> None:
    """What a person types is never an error of the program, and what is taken is a task that may be signed."""
    fields = ("servers", "helper", "inspector", "finder", "collector")
    for statement in (JOINED, STACKED, SCORED, LOOKUP):
        for chosen in itertools.product((False, True), repeat=len(fields)):
            left_out = {
                name: () if name == "servers" else ""
                for name, on in zip(fields, chosen, strict=True)
                if not on
            }
            named = replace(ALL, **left_out)  # type: ignore[arg-type]
            try:
                task = task_of(statement, named)
            except Malformed as problem:
                assert str(problem)
            else:
                assert type(task).decode(task.canonical()) == task


@pytest.mark.parametrize(
    ("statement", "stacked"),
    [
        (STACKED, True),
        ("select 1\nunion\n all select 2", True),
        ("select count(*) from a.x where note = 'union all'", False),
        ('select count(*) as "union all" from a.x -- union all', False),
        ("select 1 /* union all */", False),
        ("select 1 union select 2", False),
    ],
)
def test_a_table_in_parts_is_told_by_its_words_and_not_by_a_text_in_quotes(
    statement: str, stacked: bool
) -> None:
    assert is_stacked(statement) is stacked


@pytest.mark.parametrize(
    ("statement", "opening"),
    [
        (SCORED, Opening.SCORES),
        (LOOKUP, Opening.RECORDS),
        (LOOKUP.replace("left join", "LEFT OUTER\n JOIN"), Opening.RECORDS),
        (
            "select person from a.x join b.y using (person) where note = 'left join' -- cross join",
            Opening.INTERSECTION,
        ),
    ],
)
def test_what_a_finder_is_told_follows_from_the_join(statement: str, opening: Opening) -> None:
    assert finding_of(statement) is opening


@pytest.mark.parametrize("named", [Named(), Named(finder="nm/a", servers=SERVERS), Named(collector="nm/b")])
def test_in_python_arguments_are_named_and_no_options(named: Named) -> None:
    with pytest.raises(Malformed) as plain:
        task_of(JOINED, named)
    with pytest.raises(Malformed) as told, in_python():
        task_of(JOINED, named)
    assert "--" in str(plain.value), "the control"
    assert "--" not in str(told.value) and told.value.where == plain.value.where.removeprefix("--")
