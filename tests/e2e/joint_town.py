"""Agencies of four stories, an office and a bureau, with real processes, real boxes and real TLS; the centre's runner
is in this process, so that no second Ray is started.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compute.joint_running import JointRunner, JointSettings, agent_of
from darkroom import joint_asking as asking
from darkroom import signing
from darkroom.joint_result import JointResult
from examples.joint import region
from examples.joint.data import Sizes
from examples.joint.region import PLAIN, Agencies, Scenery, Writer, of_sizes
from examples.joint.stories import COMMON, DIABETES, PAYROLL, STUDY, Story
from keys.signing import SigningKey
from mpc.api import AgentClient
from plans.box import Entry
from plans.joint import JointTask
from plans.statements import Duty
from sandbox import api as sandbox
from server.enrolment import offer_roster, open_store
from server.images import work_house
from server.running import wait_for_api
from server.settings import box_limits, open_log
from server.supervisor import Role, Supervisor, owner_roles, wait_for
from store import api as store

SIZES = Sizes(persons=3_000, students=1_000, records=2_000, staff=1_500)
STORIES = (DIABETES, STUDY, PAYROLL, COMMON)
PARTIES = DIABETES.parties
END_S = 240.0


class JointTown:
    """What the tests look at."""

    def __init__(self, agencies: Agencies, supervisor: Supervisor, folder: Path) -> None:
        self.agencies, self.supervisor, self.folder = agencies, supervisor, folder

    @property
    def operator(self) -> Any:
        """The bureau's connection."""
        return self.agencies.operator.connection

    def asker(self, story: Story) -> Any:
        """The connection of whoever asks a story's question."""
        return self.agencies.asker(story).connection

    def ask(self, statement: str, story: Story = DIABETES) -> str:
        """Submit a statement as a story's question is asked, and return the number of the computation."""
        task = self.task(statement, story)
        found = self.asker(story).ask_jointly(task, project=story.project, purpose=story.purpose)
        return str(found["id"])

    def task(self, statement: str, story: Story = DIABETES) -> JointTask:
        """Return a statement as it is asked here: by those whom the story names."""
        return replace(story.task, statement=statement)

    def answer(self, story: Story) -> tuple[str, JointResult]:
        """Ask a story's question, let all parties approve, and return the number and the opened answer."""
        number = self.planned(story.statement, story)
        self.approve(number, *story.parties)
        found = self.until(number, "released", "refused", "failed", story=story)
        assert found["state"] == "released", found["problem"]
        return number, self.asker(story).open_jointly(number)

    def until(
        self, number: str, *states: str, seconds: float = END_S, story: Story = DIABETES
    ) -> dict[str, Any]:
        """Wait until a computation is in one of these states, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found: dict[str, Any] = self.asker(story).joint(number)
            if found["state"] in states:
                return found
            time.sleep(0.05)
        raise AssertionError(f"still {found['state']} after {seconds:.0f} s")

    def approve(self, number: str, *domains: str) -> list[str]:
        """Let an approver of each of these parties sign; return the digests of their approvals."""
        signed = []
        for domain in domains:
            connection = self.agencies.people[f"approver of {domain}"].connection
            statement = asking.approval_of(connection.joint_plan(number), domain, connection.signer())
            connection.hand_in(statement)
            signed.append(statement.digest)
        return signed

    def revoke(self, domain: str, digest: str) -> None:
        """Let the approver of a party take an approval back."""
        approver = self.agencies.approver(domain).connection
        approver.hand_in(signing.revocation_statement(domain, digest, approver.signer(), Duty.APPROVER))

    def until_computing(self, domain: str, number: str) -> None:
        """Wait until a party's boxes compute, as its agent sees it."""
        found = self._until_stands(domain, number, "computing", "closed")
        assert found["state"] == "computing", f"it ended before anybody looked: {found['failure']}"

    def until_rows_are_read(self, domain: str) -> None:
        """Wait until the box that reads an owner's rows has ended well, and the one that computes is left."""
        launcher = sandbox.LauncherClient(self.agencies.site.owner(domain).launcher_socket)
        end = time.monotonic() + END_S
        while time.monotonic() < end:
            if {str(box["stage"]) for box in launcher.status()["boxes"]} == {Entry.PARTY.value}:
                return
            time.sleep(0.02)
        raise AssertionError(f"the rows of {domain} are not read")

    def until_over(self, domain: str, number: str) -> None:
        """Wait until a party computes no more."""
        self._until_stands(domain, number, "ending", "closed")

    def _until_stands(self, domain: str, number: str, *states: str) -> dict[str, Any]:
        digest = self.operator.joint(number)["plan_digest"]
        agent = AgentClient(self.agencies.site.owner(domain).agent_door)
        end = time.monotonic() + END_S
        while time.monotonic() < end:
            for each in agent.status()["attempts"]:
                if each["joint"] == digest and each["state"] in states:
                    return dict(each)
            time.sleep(0.02)
        raise AssertionError(f"the attempt at {domain} is not {' or '.join(states)}")

    def roots(self) -> dict[str, str]:
        """The parties' root keys, as they themselves tell them."""
        return {
            owner.domain: SigningKey.from_bytes(bytes.fromhex(owner.root_key.read_text())).public
            for owner in self.agencies.owners
        }

    def planned(self, statement: str, story: Story = DIABETES) -> str:
        """Submit a statement and wait until its plan is made."""
        number = self.ask(statement, story)
        found = self.until(number, "waiting-approval", "refused", "failed", story=story)
        assert found["state"] == "waiting-approval", found["problem"]
        return number


@dataclass(frozen=True)
class Furniture:
    """What a town is furnished with: stories, how their parties are called, and who writes the registers."""

    stories: tuple[Story, ...] = STORIES
    scenery: Scenery = PLAIN
    write_files: Writer = of_sizes(SIZES)


@contextmanager
def settled(folder: Path, furniture: Furniture | None = None) -> Iterator[JointTown]:
    """Found, start and furnish it; everything ends with the block."""
    wanted = furniture or Furniture()
    agencies = region.found(folder / "region", wanted.stories, wanted.scenery)
    site = agencies.site
    roles = [role for owner in agencies.owners for role in owner_roles(site, owner.domain)]
    stop = threading.Event()
    with Supervisor(site) as supervisor:
        supervisor.start([*roles, Role("api", "server.web", (str(site.home),))])
        for owner in agencies.owners:
            for socket in (owner.launcher_socket, owner.keeper_socket, owner.agent_door):
                wait_for(socket)
            offer_roster(owner)
        wait_for_api(site)
        runner = threading.Thread(target=_runner(agencies).work, args=(stop,))
        runner.start()
        try:
            region.arrivals(agencies, folder / "people")
            region.ingest(agencies, folder / "files", wanted.write_files)
            region.grant(agencies)
            region.read_out_keys(agencies)
            yield JointTown(agencies, supervisor, folder)
        finally:
            stop.set()
            runner.join(60)


def _runner(agencies: Agencies) -> JointRunner:
    site = agencies.site
    limits = box_limits(store.load_settings(site.settings))
    reach = agent_of(lambda domain: site.owner(domain).agent_door)
    return JointRunner(open_store(site), open_log(site), JointSettings(work_house(limits), reach))
