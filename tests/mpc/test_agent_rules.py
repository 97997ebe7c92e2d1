"""The pure rules of agents: what peers hear of a failure, who is at fault before the start, what boxes need."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.agent import preflight
from mpc.agent.config import AgentConfig
from mpc.agent.failure import CODES, HEARD_OF, Failure, first_hand, least, of_box, relayed
from mpc.agent.preflight import Clock, Greeting
from mpc.estimate import need
from plans.box import Entry
from plans.errors import (
    BoxFailed,
    BoxLimit,
    DarkroomError,
    LinkBroken,
    Malformed,
    PartyFailed,
    PartyStopped,
    PeerLost,
    PolicyDenied,
    PreflightFailed,
    SettingsWrong,
    SharesDisagree,
    Unreachable,
)
from plans.joint import Step
from tests.mpc.sides import plan_of
from tests.plans.examples import DECISION, LIMITS, REQUEST
from tests.plans.joint_examples import joint_plan

JOINT = joint_plan(DECISION, REQUEST)
PARTIES = ("nm/civil", "nm/health", "nm/office", "nm/tax")
FAILURES = st.builds(
    Failure, st.sampled_from([kind.code for kind in CODES]), st.sampled_from(PARTIES), st.sampled_from(Step)
)

# ---------------------------------------------------------------------- failures


@given(st.lists(FAILURES, min_size=1, max_size=6))
def test_which_failure_counts_does_not_depend_on_who_was_heard_first(failures: list[Failure]) -> None:
    found = {least(order) for order in itertools.islice(itertools.permutations(failures), 50)}
    assert len(found) == 1


def test_that_somebody_is_gone_counts_less_than_why() -> None:
    lost = Failure(PeerLost.code, "nm/civil", Step.EXTRACT)
    assert least([lost, Failure(PartyFailed.code, "nm/tax", Step.OPEN)]).party == "nm/tax"
    early = Failure(PreflightFailed.code, "nm/tax", Step.CHECK)
    assert least([Failure(PartyFailed.code, "nm/civil", Step.COMPUTE), early]) == early


@pytest.mark.parametrize(
    ("stage", "problem", "expected"),
    [
        (Entry.EXTRACT, BoxFailed("a key repeats", "extract.key-repeated"), (PreflightFailed, Step.EXTRACT)),
        (Entry.EXTRACT, BoxLimit("memory", "box.memory"), (PreflightFailed, Step.EXTRACT)),
        (Entry.EXTRACT, BoxFailed("revoked", "box.revoked"), (PartyStopped, Step.EXTRACT)),
        (Entry.EXTRACT, BoxFailed("beside", "box.peer-ended"), (PartyFailed, Step.COMPUTE)),
        (Entry.EXTRACT, PolicyDenied("not approved"), (PreflightFailed, Step.EXTRACT)),
        (Entry.PARTY, BoxLimit("memory", "box.memory"), (PartyFailed, Step.COMPUTE)),
        (Entry.PARTY, BoxFailed("empty", "party.anything"), (PartyFailed, Step.COMPUTE)),
        # else peers would hear whether a value is out of range or a person has two rows under a condition of theirs
        (Entry.PARTY, BoxFailed("a key repeats", "extract.keys"), (PreflightFailed, Step.EXTRACT)),
        (Entry.PARTY, BoxFailed("no end", "party.rows"), (PreflightFailed, Step.EXTRACT)),
        (Entry.PARTY, BoxFailed("cancelled", "box.cancelled"), (PartyStopped, Step.COMPUTE)),
        (Entry.PARTY, BoxFailed("0x2a differs", SharesDisagree.code), (SharesDisagree, Step.COMPUTE)),
        (Entry.PARTY, BoxFailed("it said 17", LinkBroken.code), (LinkBroken, Step.COMPUTE)),
        (Entry.PARTY, BoxFailed("it said 17", PeerLost.code), (PeerLost, Step.COMPUTE)),
        (Entry.PARTY, PolicyDenied("not approved"), (PreflightFailed, Step.EXTRACT)),
        (Entry.PARTY, Unreachable("launcher gone"), (PartyStopped, Step.COMPUTE)),
    ],
)
def test_what_peers_hear_of_an_own_failure(
    stage: Entry, problem: DarkroomError, expected: tuple[type[DarkroomError], Step]
) -> None:
    told = of_box(stage, problem, "nm/tax", PARTIES)
    assert (told.failure.code, told.failure.step) == (expected[0].code, expected[1])
    assert told.failure.party == "nm/tax"
    assert problem.what in told.detail and problem.what not in str(told.failure.error())


def test_the_keeper_names_the_party_whose_box_did_not_come() -> None:
    told = of_box(Entry.PARTY, PeerLost("it did not come", "nm/office"), "nm/tax", PARTIES)
    assert (told.failure.code, told.failure.party) == (PeerLost.code, "nm/office")
    stranger = of_box(Entry.PARTY, PeerLost("it did not come", "somewhere"), "nm/tax", PARTIES)
    assert stranger.failure.party == "nm/tax"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"code": "joint.nonsense", "party": "nm/tax", "step": "open"},
        {"code": PeerLost.code, "party": "nm/none", "step": "open"},
        {"code": PeerLost.code, "party": "nm/civil", "step": "never"},
        {"code": PartyFailed.code, "party": "nm/civil", "step": "compute"},
        {"heard": False},
    ],
)
def test_a_peer_that_says_nothing_sensible_is_what_failed(said: dict[str, object]) -> None:
    assert first_hand(said, "nm/tax", PARTIES, Step.MATCH) == Failure(LinkBroken.code, "nm/tax", Step.MATCH)


def test_what_a_peer_says_of_itself_or_noticed_is_taken() -> None:
    assert first_hand(HEARD_OF, "nm/tax", PARTIES, Step.OPEN) is None
    for failure in (
        Failure(PartyFailed.code, "nm/tax", Step.COMPUTE),
        Failure(PeerLost.code, "nm/civil", Step.COMPUTE),
        Failure(PreflightFailed.code, "nm/civil", Step.CHECK),
    ):
        assert first_hand(failure.plain(), "nm/tax", PARTIES, Step.OPEN) == failure
    other = Failure(PartyFailed.code, "nm/civil", Step.COMPUTE)
    assert relayed(other.plain(), "nm/tax", PARTIES, Step.OPEN) == other


# ---------------------------------------------------------------------- preflight

GREETING = Greeting(1, "1.0", JOINT.digest, 1)


def compared(versions: tuple[str, ...], ahead: tuple[float, ...], own: int = 0) -> str:
    """Who is at fault as the party at a place finds it; each hears others' clocks relative to its own."""
    greetings = {
        party: replace(GREETING, platform=version) for party, version in zip(PARTIES, versions, strict=True)
    }
    clocks = {
        party: Clock(ahead[place] - ahead[own], 0.05) for place, party in enumerate(PARTIES) if place != own
    }
    found = preflight.compared(PARTIES[own], greetings, clocks)
    return found.failure.party if found else ""


@pytest.mark.parametrize(
    ("versions", "ahead", "at_fault"),
    [
        (("1.0",) * 4, (0, 0, 0, 0), ""),
        (("1.0",) * 4, (0, 50, -5, 3), ""),
        (("1.0", "1.0", "0.9", "1.0"), (0, 0, 0, 0), "nm/office"),
        (("0.9", "1.0", "1.0", "1.0"), (0, 0, 0, 0), "nm/civil"),
        (("1.0",) * 4, (0, 0, 3_600, 0), "nm/office"),
        (("1.0",) * 4, (-3_600, 0, 0, 0), "nm/civil"),
        (("1.0",) * 4, (-3_600, 0, 1, 3_600), "nm/civil"),
    ],
)
def test_every_party_finds_the_same_one_at_fault(
    versions: tuple[str, ...], ahead: tuple[float, ...], at_fault: str
) -> None:
    assert {compared(versions, ahead, own) for own in range(4)} == {at_fault}


def test_a_clock_is_measured_between_question_and_answer() -> None:
    clock = Clock.measured(asked=100.0, theirs=163.0, heard=104.0)
    assert (clock.ahead_s, clock.unsure_s) == (61.0, 2.0)


def test_what_a_side_lacks_its_owner_is_told() -> None:
    plan = plan_of(JOINT, "nm/tax")
    status = {
        "domain": "nm/tax", "tiers": [{"tier": "T1"}], "images": [JOINT.extract_image, JOINT.party_image],
    }  # fmt: skip
    wants = need(JOINT, "nm/tax")
    assert preflight.own_faults(plan, status, wants) == []
    assert "image" in preflight.own_faults(plan, {**status, "images": [JOINT.party_image]}, wants)[0]
    assert "tier" in preflight.own_faults(plan, {**status, "tiers": []}, wants)[0]
    assert "domain" in preflight.own_faults(plan, {**status, "domain": "nm/civil"}, wants)[0]
    small = replace(plan, stages=tuple(replace(spec, limits=LIMITS) for spec in plan.stages))
    large = replace(
        JOINT.reading, portions=tuple(replace(each, bound=100_000_000) for each in JOINT.reading.portions)
    )
    told = " ".join(preflight.own_faults(small, status, need(replace(JOINT, reading=large), "nm/tax")))
    assert "needs about" in told and "MiB of memory" in told and " s and may have" in told


@given(st.integers(1, 10_000_000), st.sampled_from(PARTIES))
def test_more_rows_never_need_less(bound: int, domain: str) -> None:
    def of(rows: int) -> list[int]:
        portions = tuple(replace(each, bound=rows) for each in JOINT.reading.portions)
        wants = need(replace(JOINT, reading=replace(JOINT.reading, portions=portions)), domain)
        return [*wants.memory_mb.values(), *wants.wall_s.values()]

    assert all(less <= more for less, more in zip(of(bound), of(bound * 2), strict=True))


# ---------------------------------------------------------------------- settings


def settings(folder: Path) -> AgentConfig:
    return AgentConfig(
        "nm/tax", folder / "tls", "127.0.0.1:7000", folder / "door", folder / "links", folder / "k",
        folder / "l", 61_063, (61_000,), (), {Entry.PARTY: LIMITS, Entry.EXTRACT: LIMITS},
    )  # fmt: skip


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    settings(tmp_path).save(tmp_path / "agent.json")
    assert AgentConfig.load(tmp_path / "agent.json") == settings(tmp_path)
    assert settings(tmp_path).place == ("127.0.0.1", 7000)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("domain", "NM"),
        ("domain", 1),
        ("listen", ""),
        ("askers", [True]),
        ("user", "root"),
        ("limits", []),
        ("door", None),
        ("more", 1),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, member: str, value: object) -> None:
    file = tmp_path / "agent.json"
    settings(tmp_path).save(file)
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, member: value}))
    with pytest.raises((SettingsWrong, Malformed)):
        AgentConfig.load(file)
    with pytest.raises(SettingsWrong):
        _ = replace(settings(tmp_path), listen="nowhere").place
