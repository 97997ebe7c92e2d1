"""Scores and lookups that the guard takes for something else than the engine's binder does are caught."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside import check_joint
from plans.errors import DarkroomError, SqlUnsupported
from plans.joint import JointReading, ScoreFunction
from policies.reading import read_joint
from tests.policies.joint_cases import CURVE, LINEAR, LOOKED_UP, RECORD, SCORED

Change = Callable[[JointReading], JointReading]


def _portion(place: int, **changes: Any) -> Change:
    def change(found: JointReading) -> JointReading:
        portions = list(found.portions)
        portions[place] = replace(portions[place], **changes)
        return replace(found, portions=tuple(portions))

    return change


def _operand(place: int, number: int, **changes: Any) -> Change:
    def change(found: JointReading) -> JointReading:
        operands = list(found.portions[place].operands)
        operands[number] = replace(operands[number], **changes)
        return _portion(place, operands=tuple(operands))(found)

    return change


def _score(**changes: Any) -> Change:
    return lambda found: replace(found, score=replace(found.score, **changes))  # type: ignore[type-var]


def _fewer(found: JointReading) -> JointReading:
    register = replace(found.portions[1], fields=found.portions[1].fields[:2])
    return replace(found, outputs=found.outputs[:3], portions=(found.portions[0], register))


WRONG: list[tuple[str, Change, str]] = [
    (LINEAR, _portion(0, where=""), "conditions"),
    (LINEAR, _portion(0, where='("age" > 16)'), "conditions"),
    (LINEAR, _portion(1, where='("base" > 0)'), "relations"),
    (LINEAR, _score(decimals=3), "score"),
    (LINEAR, _score(function=ScoreFunction.LOGISTIC), "score"),
    (LINEAR, _score(terms=((-1, 0), (0, 1))), "score"),
    (LINEAR, _score(terms=((-1, 0), (1, 1), (0, 2))), "score"),
    (LINEAR, _score(terms=((-1, 0), (-1, 1), (1, 2))), "score"),
    (LINEAR, _operand(0, 1, expression='CAST("age" AS BIGINT)'), "score"),
    (LINEAR, _operand(0, 0, expression='"income" * 1.0'), "decimals"),
    (LINEAR, _operand(1, 1, decimals=4), "decimals"),
    (LINEAR, _portion(0, stand_in='SELECT "income" FROM "bank"."applicants"'), "columns"),
    (LINEAR, _portion(1, stand_in='SELECT count(*) FROM "tax"."risk_model"'), "columns"),
    (CURVE, _score(function=ScoreFunction.LINEAR), "score"),
    (CURVE, _operand(1, 0, expression='(- "base")'), "score"),
    (RECORD, _portion(0, bound=6), "number of persons"),
    (RECORD, _portion(0, where=""), "conditions"),
    (RECORD, _fewer, "outputs"),
    (RECORD, lambda found: _portion(1, fields=(replace(found.portions[1].fields[0], column="status"),
                                               *found.portions[1].fields[1:]))(found), "outputs"),
    (RECORD, _portion(1, stand_in='SELECT "region" FROM "civil"."register"'), "columns"),
    (RECORD, lambda found: replace(found, portions=found.portions), ""),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "change", "what"), WRONG)
def test_a_guard_that_errs_is_caught_by_the_binder(
    statement: str, change: Change, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadows = (*SCORED, *LOOKED_UP)
    read = read_joint(statement, shadows)
    monkeypatch.setattr(check_joint, "read_joint", lambda text, shadows: change(read))
    if not what:  # the control: what is not changed is agreed upon
        assert check_joint.check_joint(statement, shadows, 256) == read
        return
    with pytest.raises(SqlUnsupported, match=f"disagree about the {what}"):
        check_joint.check_joint(statement, shadows, 256)


@pytest.mark.parametrize(
    "statement",
    [
        RECORD.replace("limit 5", ""),
        RECORD.replace("limit 5", "limit 5 offset 1"),
        RECORD.replace("left join", "join"),
        RECORD.replace("r.region", "r.since"),
        RECORD.replace("r.region", "lower(r.region)"),
        RECORD.replace("using (person)", "on c.kind = r.status"),
        RECORD.replace("where", "where r.alive and"),
    ],
)
def test_the_binder_finds_a_lookup_that_the_statement_is_not(
    statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_joint(RECORD, LOOKED_UP)
    monkeypatch.setattr(check_joint, "read_joint", lambda text, shadows: read)
    with pytest.raises(SqlUnsupported):
        check_joint.check_joint(statement, LOOKED_UP, 256)


WORDS = [re.findall(r"\w+|[^\s\w]", text) for text in (LINEAR, CURVE, RECORD)]
OTHERS = sorted(
    {word for words in WORDS for word in words} | {"debt", "coalesce", "case", "cast", "0", "cross", "*"}
)


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """A statement of which some words were left out, put in, or exchanged."""
    words = list(draw(st.sampled_from(WORDS)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(words) - 1))
        words[place : place + draw(st.integers(0, 1))] = draw(st.lists(st.sampled_from(OTHERS), max_size=1))
    return " ".join(words)


@settings(max_examples=150, deadline=None)
@given(spoilt())
def test_a_spoilt_statement_is_read_alike_by_both_or_refused_in_words(statement: str) -> None:
    with contextlib.suppress(DarkroomError):
        read = read_joint(statement, (*SCORED, *LOOKED_UP))
        assert check_joint.check_joint(statement, (*SCORED, *LOOKED_UP), 256) == read
