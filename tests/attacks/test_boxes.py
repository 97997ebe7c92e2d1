"""The suite of attacks on boxes (`sandbox.attacks`): T1, T2 a sample, and a control for every attack and wall.

`make attack` carries it out whole on both tiers; `make test` leaves out of T1's what another attack of the same kind
shows in less time (`SLOW`), and `make test-long` carries that out. An attack shows nothing unless it can succeed: the
controls take off exactly the walls that it names, and it must gain something then.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from plans.decision import Tier
from plans.errors import TierMissing
from sandbox import images, recipes
from sandbox.attacks import probing, reporting, running, table
from sandbox.attacks.attack import Absence, Attack, Finding, Outcome, Verdict
from sandbox.attacks.catalogue import ATTACKS, PROOFS, TEXTS, by_name
from sandbox.attacks.ground import ground
from sandbox.attacks.texts import calls, checklist, surroundings
from sandbox.contract import Wall
from sandbox.identities import Identities

pytestmark = [
    pytest.mark.box,
    pytest.mark.timeout(900),
]  # the suite runs in fixtures, for minutes on a busy machine

NOT_HERE = {"memory-of-a-gpu"}
"""Attacks that need what no machine of CI has."""

NEEDS_ROOT = {"memory-from-outside", "same-user"}
WEAK_WITHOUT_ROOT = {"limit-of-processes"}
SLOW = {
    "endless-cross-join": "endless-recursion",
    "endless-regular-expression": "endless-recursion",
    "processor-time-in-turns": "processor-time",
    "flood-folders": "flood-files",
    "flood-descent": "flood-files",
    "memory-engine-array": "memory-engine-range",
    "error-date": "error-cast",
    "error-json": "error-cast",
    "error-overflow": "error-cast",
    "error-regular-expression": "error-cast",
    "error-condition": "error-cast",
}
"""Attacks that take long, and which quicker one has the same number and is ended, or answered, by the same code. Turns
of processor time are also in tests/sandbox/test_contract.py, deep trees in test_crashes.py and test_launcher.py there.
"""
T1_ATTACKS = [attack for attack in ATTACKS if Tier.T1 in attack.tiers]
QUICK_ATTACKS = [attack for attack in T1_ATTACKS if attack.name not in SLOW]
SLOW_ATTACKS = [attack for attack in T1_ATTACKS if attack.name in SLOW]
CONTROLLED = [attack for attack in T1_ATTACKS if attack.walls]


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    images.build(recipes.CHECKOUT / "images" / "sql")


@pytest.fixture(scope="module")
def first_tier() -> dict[str, Finding]:
    return {found.attack.name: found for found in running.carry_out(Tier.T1, QUICK_ATTACKS)}


@pytest.fixture(scope="module")
def slowly() -> dict[str, Finding]:
    return {found.attack.name: found for found in running.carry_out(Tier.T1, SLOW_ATTACKS)}


@pytest.fixture(scope="module")
def second_tier() -> dict[str, Finding]:
    try:
        found = running.carry_out(Tier.T2, running.wanted(Tier.T2, sample=True))
    except TierMissing as problem:
        pytest.skip(problem.what)
    return {each.attack.name: each for each in found}


@pytest.fixture(scope="module")
def controls() -> dict[str, Verdict | str]:
    async def carry_out() -> dict[str, Verdict | str]:
        async with ground(Tier.T1) as made:
            return await running.controls(made, CONTROLLED)

    return asyncio.run(carry_out())


@pytest.fixture(scope="module")
def proofs() -> dict[str, Verdict | str]:
    """Each wall's own attack, with every other wall of its control taken off and this one left standing."""
    spared = {name: frozenset({wall}) for wall, name in PROOFS.items()}

    async def carry_out() -> dict[str, Verdict | str]:
        async with ground(Tier.T1) as made:
            return await running.controls(made, [by_name(name) for name in spared], spared)

    return asyncio.run(carry_out())


def may_be_missing(attack: Attack) -> bool:
    return attack.name in NOT_HERE or (attack.name in NEEDS_ROOT and not separate())


def separate() -> bool:
    return Identities(64001, 1).separate


# ------------------------------------------------------------------------------------------- the attacks


@pytest.mark.parametrize("attack", QUICK_ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_on_the_first_tier_gains_nothing(attack: Attack, first_tier: dict[str, Finding]) -> None:
    found = first_tier[attack.name]
    if found.outcome is Outcome.NOT_HERE:
        assert may_be_missing(attack), found.how
        pytest.skip(found.how)
    if found.outcome is Outcome.KNOWN:
        assert attack.known and attack.number == 0
        return
    assert found.outcome is Outcome.REFUSED, found.how


@pytest.mark.long
@pytest.mark.parametrize("attack", SLOW_ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_that_takes_long_gains_nothing(attack: Attack, slowly: dict[str, Finding]) -> None:
    found = slowly[attack.name]
    assert found.outcome is Outcome.REFUSED, found.how


def test_what_is_left_out_has_a_quicker_attack_of_its_number() -> None:
    names = {attack.name for attack in QUICK_ATTACKS}
    for slow, quick in SLOW.items():
        assert quick in names and by_name(slow).number == by_name(quick).number
        assert not by_name(slow).walls, "a wall has its proof and its control in every run"


@pytest.mark.parametrize("name", [attack.name for attack in running.wanted(Tier.T2, sample=True)])
def test_an_attack_of_the_sample_on_the_second_tier_gains_nothing(
    name: str, second_tier: dict[str, Finding]
) -> None:
    found = second_tier[name]
    if found.outcome is Outcome.NOT_HERE:
        assert may_be_missing(found.attack), found.how
        pytest.skip(found.how)
    assert found.outcome is Outcome.REFUSED, found.how


# ------------------------------------------------------------------------------------------ the controls


@pytest.mark.parametrize("attack", CONTROLLED, ids=lambda attack: attack.name)
def test_the_same_attack_succeeds_without_the_walls_that_it_names(
    attack: Attack, controls: dict[str, Verdict | str]
) -> None:
    found = controls[attack.name]
    if not separate() and (Wall.USER in attack.walls or attack.name in WEAK_WITHOUT_ROOT):
        pytest.skip("without root there is no user id to take off")
    assert isinstance(found, Verdict), found
    assert found.gained, found.how


@pytest.mark.parametrize("wall", Wall)
def test_every_wall_is_proved_by_an_attack_that_it_alone_stops(
    wall: Wall, proofs: dict[str, Verdict | str]
) -> None:
    attack = by_name(PROOFS[wall])
    assert wall in attack.walls
    found = proofs[attack.name]
    if not separate() and Wall.USER in attack.walls:
        pytest.skip("without root there is no user id to take off")
    assert isinstance(found, Verdict), found
    assert not found.gained, f"{attack.name} succeeds although {wall} stands: it proves another wall"


def test_behind_landlock_the_other_walls_hold_alone() -> None:
    """A kernel's defect in one mechanism must not be the end of the others."""
    others = [attack for attack in TEXTS if Tier.T1 in attack.tiers and attack.walls != {Wall.LANDLOCK}]

    async def carry_out() -> list[str]:
        async with ground(Tier.T1) as made:
            weaker = made.weaker({Wall.LANDLOCK})
            found = [(attack, verdict) async for attack, verdict in running.outcomes(weaker, tuple(others))]
        return [
            attack.name
            for attack, verdict in found
            if not attack.known and not (isinstance(verdict, Verdict) and not verdict.gained)
        ]

    assert asyncio.run(carry_out()) == []


# ----------------------------------------------------------------------------------------- the catalogue


def test_the_list_of_attacks_is_whole() -> None:
    wanted = {
        "A": {*range(1, 17), 18, 20, 22, 23},
        "C": set(range(35, 50)),
        "D": {50, 51, 52},
        "F": {67, 68, 69},
        "H": {77, 86, 87},
    }
    found = {
        section: {attack.number for attack in ATTACKS if attack.section == section} for section in wanted
    }
    assert found == wanted
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_every_attack_of_a_text_is_in_the_list() -> None:
    """An attack that nobody lists is never carried out."""
    in_texts = {
        "calls": {*calls.SOCKETS, *calls.CALLS},
        "surroundings": {*surroundings.LEFT} - {"neighbours-files"},  # a scenario carries that one out
        "checklist": {*checklist.CHECKLIST},
    }
    listed = {text: {attack.name for attack in TEXTS if attack.text == text} for text in in_texts}
    assert listed == in_texts


def test_an_attack_without_a_control_says_why() -> None:
    with pytest.raises(ValueError, match="control"):
        Attack("x", 0, "checklist", "x", text="calls")
    assert all(bool(attack.walls) != bool(attack.no_control) for attack in ATTACKS)


# -------------------------------------------------------------------------------------------- the report

ONE, REFUSED = TEXTS[0], Outcome.REFUSED


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((), 2),
        ((Outcome.CANNOT_RUN,), 2),
        ((REFUSED, Outcome.CANNOT_RUN), 2),
        ((REFUSED, Outcome.NOT_HERE), 0),
        ((Outcome.NOT_HERE,), 2),
        ((REFUSED, Outcome.KNOWN), 0),
        ((REFUSED, Outcome.LEAK, REFUSED), 1),
        ((Outcome.LEAK,), 1),
    ],
)
def test_a_leak_or_less_than_all_is_no_success(outcomes: tuple[Outcome, ...], code: int) -> None:
    findings = tuple(Finding(ONE, Tier.T1, outcome, "…") for outcome in outcomes)
    assert reporting.Report(findings, ()).exit_code == code


def test_the_table_says_attack_tier_outcome_and_counts() -> None:
    found = (Finding(ONE, Tier.T1, Outcome.LEAK, "x" * 200), Finding(ONE, Tier.T2, REFUSED, "…"))
    assert all(word in table.line(found[0]) for word in ("C 35", "T1", "LEAK", ONE.title))
    assert len(table.line(found[0])) < 160
    assert table.counts(found).splitlines()[0].startswith("T1: 1 attacks, 0 refused, 1 leaks")
    assert table.counts(found).splitlines()[1].startswith("T2: 1 attacks, 1 refused")


def test_a_known_gain_on_the_first_tier_is_a_leak_on_the_second() -> None:
    known = replace(ONE, known="said openly")
    gained = Verdict(True, "it succeeded")
    assert running.finding(Tier.T1, known, gained).outcome is Outcome.KNOWN
    assert running.finding(Tier.T2, known, gained).outcome is Outcome.LEAK
    assert running.finding(Tier.T1, ONE, gained).outcome is Outcome.LEAK
    assert running.finding(Tier.T1, ONE, "went wrong").outcome is Outcome.CANNOT_RUN
    assert running.finding(Tier.T1, ONE, Absence("no GPU")).outcome is Outcome.NOT_HERE


def test_what_could_not_be_carried_out_is_said_again_at_the_end_by_reason() -> None:
    found = [Finding(ONE, Tier.T2, Outcome.CANNOT_RUN, "the box ended")] * 6
    found += [Finding(ONE, Tier.T1, REFUSED, "…"), Finding(ONE, Tier.T1, Outcome.LEAK, "canary")]
    told = table.remarkable(found).splitlines()
    assert len(told) == 2 and "the box ended" in told[0] and "2 more" in told[0] and "LEAK on T1" in told[1]


def test_the_doctor_names_a_protection_that_an_attack_went_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def carry_out(tier: Tier, attacks: list[Attack], image: str) -> tuple[Finding, ...]:
        if tier is Tier.T2:
            raise TierMissing("no runsc", "box.tier")
        bad = {"environment": Outcome.LEAK}
        return tuple(Finding(each, tier, bad.get(each.name, REFUSED), "it succeeded") for each in attacks)

    monkeypatch.setattr(probing.running, "carry_out", carry_out)
    found = {(line.tier, line.protection): line for line in probing.probe()}
    assert not found[Tier.T1, Wall.ENVIRONMENT].held and "SUCC" not in found[Tier.T1, Wall.ENVIRONMENT].how
    assert "environment of the launcher: LEAK" in found[Tier.T1, Wall.ENVIRONMENT].how
    assert found[Tier.T1, Wall.SYSCALLS].held
    assert "no runsc" in found[Tier.T2, "this tier"].how
