"""One party of `tests.mpc.agents` as a process of its own: runs attempt 1, says each state, and how it ended.

    python -m tests.mpc.party_process FOLDER DOMAIN BLOCK

The folder has `joint.json`, and `DOMAIN's last word/tls.pem`. Keepers have keys that follow from their names.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from keys import tls
from keys.signing import SigningKey
from mpc.agent.agent import Agent
from mpc.agent.attempt import State
from mpc.agent.doors import Doors
from plans.joint import JointPlan
from tests.mpc.agents import SHORT
from tests.mpc.sides import side_of


def keeper_key(domain: str) -> SigningKey:
    """The key of a played keeper that every process can make."""
    return SigningKey.from_bytes(hashlib.sha256(domain.encode()).digest())


def own_folder(folder: Path, domain: str) -> Path:
    """Where a party's own files lie."""
    return folder / domain.rpartition("/")[2]


def say(line: dict[str, Any]) -> None:
    """Say a line, and when: by the clock that all processes of a machine share."""
    sys.stdout.write(json.dumps(line | {"at": time.monotonic()}) + "\n")
    sys.stdout.flush()


async def run(folder: Path, domain: str, block: int) -> None:
    joint = JointPlan.decode((folder / "joint.json").read_bytes())
    own = own_folder(folder, domain)
    side, keeper, launcher = side_of(domain, own)
    keeper.key = keeper_key(domain)
    keeper.known = {party.domain: keeper_key(party.domain).public for party in joint.parties}
    launcher.images, launcher.block = [joint.extract_image, joint.party_image], block
    agent = Agent(side, tls.load_identity(own / "tls.pem"), "1.0", SHORT, lambda line: say({"log": line}))
    doors = Doors(agent)
    host, _, port = joint.party(domain).address.rpartition(":")
    await agent.listener.start(host, int(port))
    await doors.open(own / "door", own / "links", (), ())
    agent.put(joint)
    attempt = agent.run(joint.digest, 1)
    heard = attempt.listen()
    while (state := await heard.get()) is not State.CLOSED:
        say({"state": state.value})
    outcome = attempt.outcome
    failure = outcome.failure.plain() if outcome and outcome.failure else None
    say({"well": bool(outcome and outcome.well), "failure": failure})
    await asyncio.sleep(SHORT.round)  # peers may still ask how it ended
    await agent.close()
    await doors.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
