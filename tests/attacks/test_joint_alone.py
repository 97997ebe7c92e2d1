"""Attacks by those who are told something on purpose: whoever has enough scores, and whoever opens sums of two parts.

What they would reach is computed from real runs of the protocols; that no plan lets them comes after (ATTACKS 29, 73).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from keeper.joint_quota import costs
from mpc.api import require_same, require_terms
from mpc.encrypted import crypto_box
from mpc.protocols import stacked
from mpc.protocols.computation import Scores, Totals
from mpc.protocols.ring import RINGS
from plans.errors import PolicyDenied
from plans.joint import Measure, Party, Scheme, ScoreFunction
from tests.inside.joint_cases import operand
from tests.mpc.form_cases import ALL_RULES, EDU, FORMS, NOISED, SCORED, SCORED_READING, THREE_PARTS, formed
from tests.mpc.joint_world import Model, Owner, run, scored_plan, stacked_plan
from tests.plans.joint_forms import HEALTH, STACKED_INSPECTED, STACKED_READING, TAX

BANK, BUREAU, EAST, WEST, NORTH = "nm/bank", "nm/bureau", "nm/east", "nm/west", "nm/north"
SERVERS = ("nm/civil", "nm/tax", "nm/land")
TERMS = ((-1, 0), (0, 1), (1, 2))
COEFFICIENTS = (-317, 42, 1905)


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parties are threads of this process, which is no box."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


# ------------------------------------------------------------------------------------------ scores


def scored(rows: list[tuple[int, int]]) -> list[int]:
    """What the finder is told of rows that it made up."""
    columns = tuple(np.ma.array(column) for column in zip(*rows, strict=True))
    features = tuple(operand(f"f{place}", -1_000, 1_000, 0) for place in range(2))
    owner = Owner(BANK, np.arange(len(rows)), features, columns, spare=0)
    ranges = tuple(operand(f"c{place}", -5_000, 5_000, 0) for place in range(3))
    model = Model(BUREAU, np.arange(1), ranges, tuple(np.ma.array([each]) for each in COEFFICIENTS), spare=0)
    told = run(scored_plan(owner, model, TERMS, decimals=0), [owner, model], patience=60).handed[BANK]
    assert isinstance(told, Scores)
    return list(told.numbers)


def solved(rows: list[tuple[int, int]], told: list[int]) -> tuple[Fraction, ...] | None:
    """The one model with these scores; nothing if several have them (Gauss)."""
    table = [
        [Fraction(1), *map(Fraction, row), Fraction(score)] for row, score in zip(rows, told, strict=True)
    ]
    for place in range(3):
        pivot = next((at for at in range(place, len(table)) if table[at][place]), None)
        if pivot is None:
            return None
        table[place], table[pivot] = table[pivot], table[place]
        table[place] = [each / table[place][place] for each in table[place]]
        for at, line in enumerate(table):
            if at != place:
                table[at] = [a - line[place] * b for a, b in zip(line, table[place], strict=True)]
    return tuple(line[-1] for line in table[:3])


MADE_UP = [(0, 0), (1, 0), (0, 1)]


def test_73_control_three_scores_are_the_three_coefficients_and_two_are_not() -> None:
    assert solved(MADE_UP, scored(MADE_UP)) == tuple(map(Fraction, COEFFICIENTS))
    assert solved(MADE_UP[:2], scored(MADE_UP[:2])) is None


def asked(rows: int, **terms: Any) -> Any:
    first, model = SCORED_READING.portions
    reading = replace(SCORED_READING, portions=(replace(first, bound=rows), model))
    return formed(SCORED, reading, rules=replace(ALL_RULES, **terms))


def test_73_no_plan_gives_that_many_of_a_model_that_its_owner_keeps() -> None:
    with pytest.raises(PolicyDenied, match="can work it out"):
        asked(3, members=3, given_away=False).plan()
    asked(2, members=2, given_away=False).plan()
    asked(3, members=3, given_away=True).plan()


def test_73_nor_do_several_plans_of_few_rows() -> None:
    """Terms that let so many persons be scored within a period are refused as they stand, for a plan of one."""
    with pytest.raises(PolicyDenied, match="can work it out"):
        asked(1, members=50, given_away=False).plan()


def test_73_a_centre_that_leaves_the_owners_terms_out_gets_no_key() -> None:
    plan = asked(3, members=3, given_away=True).plan()
    require_same(plan)
    with pytest.raises(PolicyDenied, match="can work it out"):
        require_terms(plan, replace(ALL_RULES, given_away=False), TAX)


WIDE = tuple(operand(f"f{place}", 0, 10**8, 0) for place in range(2))


def one_score() -> tuple[Any, int]:
    """A plan of one row whose features are 10^4 and 10^8, and its score."""
    owner = Owner(BANK, np.arange(1), WIDE, (np.ma.array([10**4]), np.ma.array([10**8])), spare=0)
    ranges = tuple(operand(f"c{place}", -4_999, 4_999, 0) for place in range(3))
    model = Model(BUREAU, np.arange(1), ranges, tuple(np.ma.array([each]) for each in COEFFICIENTS), spare=0)
    plan = scored_plan(owner, model, TERMS, decimals=0)
    told = run(plan, [owner, model], patience=60).handed[BANK]
    assert isinstance(told, Scores)
    return plan, int(told.numbers[0])


def test_98_control_one_score_of_features_that_stand_like_digits_is_all_coefficients() -> None:
    _, score = one_score()
    digits = []
    for _ in range(3):
        digits.append((score + 5_000) % 10**4 - 5_000)
        score = (score - digits[-1]) // 10**4
    assert tuple(digits) == COEFFICIENTS


def test_98_a_score_counts_for_as_many_coefficients_as_it_has_room_for() -> None:
    plan, _ = one_score()
    kept = replace(ALL_RULES, members=1, given_away=False)
    with pytest.raises(PolicyDenied, match="room for 3 coefficients side by side"):
        require_terms(plan, kept, BUREAU)
    assert costs(plan, 1, "nm/bureau/model")["joint-model/nm/bureau/model"] == 3
    score = plan.reading.score
    assert score is not None
    coarse = replace(score, function=ScoreFunction.LOGISTIC, decimals=3)
    require_terms(replace(plan, reading=replace(plan.reading, score=coarse)), kept, BUREAU)
    require_terms(plan, replace(kept, given_away=True), BUREAU)


# ------------------------------------------------------------------------------------------ parts


def holder(domain: str, amounts: list[int], first: int) -> Owner:
    persons = np.arange(len(amounts)) + first
    cells = np.minimum(np.arange(len(amounts)), 1)  # the first person is alone in its cell
    return Owner(domain, persons, (operand("v0", 0, 10**6),), (np.ma.array(amounts),), (2,), (cells,))


def left_over(owners: list[Owner]) -> int:
    """What the east's box is left with of the first cell's total when it takes its own part away."""
    plan = stacked_plan(owners, SERVERS, Scheme(64, 100, 10, 100), inspector=EAST)
    opened = run(plan, owners).handed[EAST]
    assert isinstance(opened, Totals)
    total = next(place for place, each in enumerate(plan.reading.sums) if each.measure is Measure.TOTAL)
    ring = RINGS[64]
    own = ring.decode(stacked.own_sums(owners[0].rows(), plan.reading, 0, ring)[total])
    return opened.sums[total][0] - own[0]


PARTS = [holder(EAST, [50, *range(30)], 0), holder(WEST, [77_123, *range(20)], 100)]


def test_29_control_of_two_parts_one_is_left_with_one_persons_amount_and_of_three_it_is_not() -> None:
    assert left_over(PARTS) == 77_123
    assert left_over([*PARTS, holder(NORTH, [4_242, *range(25)], 200)]) == 77_123 + 4_242


def test_29_no_holder_of_one_of_two_parts_opens_their_sums() -> None:
    with pytest.raises(PolicyDenied, match="small ones too"):
        formed(STACKED_INSPECTED, STACKED_READING).plan()
    formed(STACKED_INSPECTED, THREE_PARTS).plan()
    noised = formed(STACKED_INSPECTED, STACKED_READING, rules=NOISED).plan()
    assert noised.scheme.noise_micro
    with pytest.raises(PolicyDenied, match="small ones too"):
        require_same(replace(noised, scheme=replace(noised.scheme, noise_micro=0)))
    require_same(FORMS["ciphertexts"].plan())


def in_one_hand(parties: tuple[Party, ...], one: str, other: str) -> tuple[Party, ...]:
    """The same parties, of which two say of themselves that the same people administer them."""
    halls = {one: "one hall", other: " One  HALL"}
    return tuple(
        replace(each, administration=halls.get(each.domain, each.administration)) for each in parties
    )


@pytest.mark.parametrize("form", ["stacked and inspected", "ciphertexts"])
def test_29_nor_does_one_hand_that_has_two_of_three_parts(form: str) -> None:
    """The inspector's administrators employ another holder's, too: what is left is the third one's alone."""
    asked = FORMS[form]
    inspector = asked.task.inspector
    other, left = sorted({HEALTH, EDU, TAX} - {inspector})
    with pytest.raises(PolicyDenied, match=f"every sum of {left}, small ones too"):
        replace(asked, parties=in_one_hand(asked.parties, inspector, other)).plan()
    plan = asked.plan()  # the control: three administrations
    with pytest.raises(PolicyDenied, match="small ones too"):
        require_same(replace(plan, parties=in_one_hand(plan.parties, inspector, other)))
