"""Promise: whoever is left agrees how an attempt failed, also if one dies while they agree, whatever it had said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mpc.agent.ending import Agreement
from mpc.agent.failure import CODES, OF_ITSELF, Failure, Told, least
from mpc.agent.table import ONCE, Times
from plans.errors import LinkBroken, PartyFailed, PeerLost, PreflightFailed
from plans.joint import Step

PARTIES = ("nm/civil", "nm/health", "nm/office", "nm/tax")
STEPS = st.sampled_from([Step.CHECK, Step.EXTRACT, Step.COMPUTE, Step.OPEN])


class Died(BaseException):
    """A party's process is gone."""


class Line:
    """A table whose messages arrive at once; a party may die within what it says, heard by some only."""

    def __init__(self, own: str, lines: dict[str, Line], dies: tuple[int, frozenset[str]] | None) -> None:
        self.own, self._lines, self._dies = own, lines, dies
        self.peers = tuple(party for party in PARTIES if party != own)
        self.said: dict[str, dict[str, Mapping[str, Any]]] = {kind: {} for kind in ONCE}
        self.times, self.step = Times(), Step.COMPUTE
        self.gone: set[str] = set()
        self._count = 0

    def reach(self) -> None:
        """Everybody is there."""

    def missing(self, kind: str) -> list[str]:
        return sorted(set(self.peers) - set(self.said[kind]))

    async def say(self, kind: str, content: Mapping[str, Any]) -> None:
        last = self._dies is not None and self._count == self._dies[0]
        self._count += 1
        for peer in self.peers:
            if not last or self._dies and peer in self._dies[1]:
                self._lines[peer].said[kind].setdefault(self.own, content)
        if last:
            raise Died

    async def hear(self, until: Callable[[], bool], timeout_s: float | None, *, strict: bool) -> bool:
        for _ in range(20):  # a round: everybody else runs several times meanwhile
            if until():
                return True
            await asyncio.sleep(0)
        return until()


async def agreed(
    own: Mapping[str, Failure], dies: tuple[str, int, frozenset[str]] | None = None
) -> dict[str, Failure]:
    """Return what each living party ends with."""
    lines: dict[str, Line] = {}
    for party in PARTIES:
        lines[party] = Line(party, lines, dies[1:] if dies and dies[0] == party else None)
    found: dict[str, Failure] = {}

    async def end(party: str) -> None:
        told = Told(own[party], "why") if party in own else None
        try:
            found[party] = (await Agreement(lines[party]).reach(told)).failure  # type: ignore[arg-type]
        except Died:
            return

    await asyncio.gather(*(end(party) for party in PARTIES))
    return found


def true_failure(party: str) -> st.SearchStrategy[Failure]:
    """What an honest party may have found: something of its own, or that another is lost."""
    own = st.builds(Failure, st.sampled_from([kind.code for kind in CODES]), st.just(party), STEPS)
    lost = st.builds(Failure, st.just(PeerLost.code), st.sampled_from(PARTIES), STEPS)
    return own | lost


FOUND = st.fixed_dictionaries({}, optional={party: true_failure(party) for party in PARTIES}).filter(bool)


@given(FOUND)
def test_all_end_with_the_least_of_what_was_found(own: dict[str, Failure]) -> None:
    found = asyncio.run(agreed(own))
    assert set(found) == set(PARTIES)
    assert set(found.values()) == {least(own.values())}


@given(FOUND, st.sampled_from(PARTIES), st.integers(0, 1), st.frozensets(st.sampled_from(PARTIES)))
def test_one_that_dies_half_heard_leaves_the_others_agreed(
    own: dict[str, Failure], victim: str, when: int, heard_by: frozenset[str]
) -> None:
    found = asyncio.run(agreed(own, (victim, when, heard_by)))
    assert set(found) == set(PARTIES) - {victim}
    assert len(set(found.values())) == 1


def test_one_round_would_not_do() -> None:
    """The control: what the first round left some parties with differs, if one dies half heard."""
    own = {"nm/tax": Failure(PreflightFailed.code, "nm/tax", Step.EXTRACT)}

    async def first_round() -> set[Failure]:
        lines: dict[str, Line] = {}
        for party in PARTIES:
            dies = (0, frozenset({"nm/civil"})) if party == "nm/tax" else None
            lines[party] = Line(party, lines, dies)
        firsts = set()

        async def end(party: str) -> None:
            agreement = Agreement(lines[party])  # type: ignore[arg-type]
            try:
                await agreement.reach(Told(own[party], "") if party in own else None)
            except Died:
                return
            firsts.add(agreement._first())

        await asyncio.gather(*(end(party) for party in PARTIES))
        return firsts

    assert len(asyncio.run(first_round())) == 2
    found = asyncio.run(agreed(own, ("nm/tax", 0, frozenset({"nm/civil"}))))
    assert len(set(found.values())) == 1


@given(
    st.sampled_from(PARTIES[:3]),
    st.sampled_from(OF_ITSELF),
    STEPS.filter(lambda step: step is not Step.CHECK),
)
def test_nobody_is_talked_into_a_failure(victim: str, code: str, step: Step) -> None:
    """`tax` says that another failed; that one says no, and all name `tax`."""
    lie = Failure(code, victim, step)
    found = asyncio.run(agreed({"nm/tax": lie}))
    assert {failure for party, failure in found.items() if party != "nm/tax"} == {
        Failure(LinkBroken.code, "nm/tax", Step.COMPUTE)
    }


def test_what_a_party_closed_with_counts() -> None:
    async def late() -> Failure:
        line = Line("nm/civil", {}, None)
        closed = Failure(PartyFailed.code, "nm/tax", Step.COMPUTE)
        for peer in line.peers:
            line.said["closed"][peer] = closed.plain()
            line._lines[peer] = Line(peer, {}, None)
        lost = Failure(PeerLost.code, "nm/civil", Step.CHECK)
        return (await Agreement(line).reach(Told(lost, "asleep"))).failure  # type: ignore[arg-type]

    assert asyncio.run(late()).code == PartyFailed.code
