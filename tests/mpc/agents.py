"""Four agents of one joint plan in one process: real TLS, real sockets, played keepers and launchers."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from keys import tls
from mpc.agent.agent import Agent
from mpc.agent.attempt import Attempt, Outcome, State
from mpc.agent.doors import Doors
from mpc.agent.table import Times
from mpc.links import Beat
from plans.joint import JointPlan
from tests.mpc.proxy import Proxy
from tests.mpc.sides import PlayedKeeper, PlayedLauncher, side_of
from tests.plans.examples import DECISION, REQUEST
from tests.plans.joint_examples import joint_plan

CIVIL, HEALTH, OFFICE, TAX = DOMAINS = ("nm/civil", "nm/health", "nm/office", "nm/tax")

TIMES = Times(grace=0.5, news=3.0, beat=Beat(0.5, 10.0))
"""As the agents' own, but for what passes in full wherever a box is ended or has lost its link, or a line is broken."""

SHORT = Times(
    connect=6.0, preflight=12.0, meet=12.0, receipts=4.0, round=3.0, grace=0.5, news=6.0, beat=Beat(0.5, 4.0)
)
"""For attempts that end because somebody is silent: shorter, and longer than a machine that is busy stands still."""


@dataclass(slots=True)
class Party:
    """One party: its agent and what is played around it."""

    domain: str
    folder: Path
    identity: tls.Identity
    agent: Agent
    keeper: PlayedKeeper
    launcher: PlayedLauncher
    doors: Doors
    port: int = 0
    log: list[str] = field(default_factory=list)

    async def die(self) -> None:
        """End as a process that is killed: no word to anybody."""
        running = list(self.agent._running.values())
        for task in running:
            task.cancel()
        await self.agent.listener.close()
        await asyncio.gather(*running, return_exceptions=True)
        for attempt in self.agent._attempts.values():
            for ending in attempt.work.plan.stages:
                self.launcher.cancel(attempt.work.plan.digest, ending.entry, attempt.work.number)

    async def start_anew(self, times: Times = TIMES) -> None:
        """Die, and be there again with an agent that remembers nothing; nobody dials it."""
        await self.die()
        await self.doors.close()
        self.agent = Agent(self.agent.side, self.identity, "1.0", times, self.log.append)
        self.doors = Doors(self.agent)
        await self.doors.open(self.folder / "door", self.folder / "links", (), ())


@dataclass(slots=True)
class Town:
    """All parties, the joint plan, and the proxy before `tax`, whom everybody else dials."""

    parties: dict[str, Party]
    joint: JointPlan
    proxy: Proxy

    def __getitem__(self, domain: str) -> Party:
        return self.parties[domain]

    def begin(self, number: int = 1) -> dict[str, Attempt]:
        """Order an attempt at every party."""
        return {domain: self[domain].agent.run(self.joint.digest, number) for domain in self.domains}

    @property
    def domains(self) -> tuple[str, ...]:
        """Those that take part."""
        return tuple(party.domain for party in self.joint.parties)

    async def ended(self, number: int = 1, within_s: float = 60.0) -> dict[str, Outcome]:
        """Return how an attempt ended at each party that still lives."""
        async with asyncio.timeout(within_s):
            while any((self.joint.digest, number) in party.agent._running for party in self.parties.values()):
                await asyncio.sleep(0.02)
        found = {}
        for domain, party in self.parties.items():
            attempt = party.agent._attempts.get((self.joint.digest, number))
            if attempt is not None and attempt.outcome is not None:
                found[domain] = attempt.outcome
        return found

    def at(self, domain: str, state: State, then: Callable[[], None], number: int = 1) -> asyncio.Task[None]:
        """Do something as soon as a party's attempt is in a state."""

        async def wait() -> None:
            heard = self[domain].agent.attempt(self.joint.digest, number).listen()
            while (found := await heard.get()) is not state:
                if found is State.CLOSED:
                    return
            then()

        return asyncio.create_task(wait())


@contextlib.asynccontextmanager
async def town(
    times: Times = TIMES, form: Callable[[JointPlan], JointPlan] = lambda plan: plan
) -> AsyncIterator[Town]:
    """Four parties that listen; those that take part in the joint plan, of this form, have it."""
    proxy = Proxy()
    front = await proxy.start()
    with tempfile.TemporaryDirectory(prefix="dr-", dir="/tmp") as made:
        parties = {domain: await _party(domain, Path(made), times) for domain in DOMAINS}
        proxy.target = ("127.0.0.1", parties[TAX].port)
        example = form(joint_plan(DECISION, REQUEST))
        joint = replace(
            example,
            parties=tuple(
                replace(
                    party,
                    agent=parties[party.domain].identity.fingerprint,
                    address=f"127.0.0.1:{front if party.domain == TAX else parties[party.domain].port}",
                )
                for party in example.parties
            ),
        )
        for party in parties.values():
            party.keeper.known = {domain: each.keeper.key.public for domain, each in parties.items()}
            party.launcher.images = [joint.extract_image, joint.party_image]
            if party.domain in {each.domain for each in joint.parties}:
                party.agent.put(joint)
        try:
            yield Town(parties, joint, proxy)
        finally:
            await asyncio.gather(*(party.die() for party in parties.values()))
            for party in parties.values():
                await party.doors.close()
            await proxy.close()


async def _party(domain: str, folder: Path, times: Times) -> Party:
    own = folder / domain.rpartition("/")[2]
    own.mkdir()
    identity = tls.make_identity(own / "tls.pem", domain)
    side, keeper, launcher = side_of(domain, own)
    log: list[str] = []
    agent = Agent(side, identity, "1.0", times, log.append)
    party = Party(domain, own, identity, agent, keeper, launcher, Doors(agent), log=log)
    party.port = await agent.listener.start("127.0.0.1", 0)
    await party.doors.open(own / "door", own / "links", (), ())
    return party
