"""`python -P -m mpc.agent CONFIG`: the agent of one party, an unprivileged process beside its keeper.

Root starts it, and before it listens to anybody or speaks with anybody it becomes a user that has nothing
(`sandbox.own_user.step_down`): its sockets' folder and the file with its one secret, the key of its TLS certificate,
belong to that user, and its group opens the folders of its keeper's and its launcher's sockets. It cannot read keyring,
data, the launcher's key or what boxes leave; its launcher hands it the part that is sealed to the recipient.

What is for its owner alone (why this side failed) goes to its standard error, which whoever composes the platform keeps
in the owner's folder.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib.metadata
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from keys import tls
from mpc import api as mpc
from mpc.agent.agent import Agent
from mpc.agent.config import AgentConfig
from mpc.agent.doors import Doors
from mpc.agent.owner import KeeperSocket, Side
from mpc.agent.table import Times
from plans.errors import DarkroomError, Malformed
from plans.joint import JointPlan
from plans.plan import Plan
from sandbox import api as sandbox

THREADS = 32
"""Questions to the own keeper and launcher at a time, stages that run aside."""

LONGEST_LINE = 2_000
"""Characters of a line for the owner: what a peer said wrongly is quoted in some, and may have megabytes."""


def platform_version() -> str:
    """Return the version of the installed platform; what runs from a folder that nobody installed has none."""
    try:
        return importlib.metadata.version("darkroom-platform")
    except importlib.metadata.PackageNotFoundError:
        return "uninstalled"


async def run(config: AgentConfig, version: str) -> None:
    """Serve until SIGTERM or SIGINT; attempts that run are stopped at all parties then."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "agent"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    launcher = sandbox.LauncherClient(config.launcher_socket)
    keeper = KeeperSocket(config.keeper_socket)
    side = Side(config.domain, keeper, launcher, partial(_derive, config), launcher.opened)
    agent = Agent(side, tls.load_identity(config.identity), version, Times(), _log)
    doors = Doors(agent)
    await agent.listener.start(*config.place)
    await doors.open(config.door, config.links, config.askers, config.launcher_uids)
    await stop.wait()
    await doors.close()
    await agent.close()


def _derive(config: AgentConfig, joint: JointPlan) -> Plan:
    return mpc.party_plan(joint, config.domain, config.limits)


def _log(line: str) -> None:
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    sys.stderr.write(f"agent: {at} {line[:LONGEST_LINE]}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Run the agent; the exit status is that of the error tree."""
    try:
        if len(arguments) != 1:
            raise Malformed("an agent needs one settings file", "command line")
        os.umask(0o077)
        config = AgentConfig.load(Path(arguments[0]))
        version = platform_version()
        if os.geteuid() == 0:
            sandbox.step_down(config.own_user())
        asyncio.run(run(config, version))
    except DarkroomError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
