"""`kill -9` of any process in mid-job ends in a finished or cleanly failed job, no orphan, a log that verifies."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from compute.jobs import ENDED
from plans.errors import DarkroomError, Unreachable
from sandbox import api as sandbox
from server import verifying
from server.running import wait_for_api
from server.supervisor import wait_for
from tests.e2e import hunt

pytestmark = [pytest.mark.box, pytest.mark.ray]


SLOW = (
    "select a.league, count(*) as n, sum(a.income + c.income) as s from tax.income a "
    "join tax.income b on a.league = b.league join tax.income c on b.league = c.league "
    "where a.league = '赤峰' group by a.league"
)
"""Takes some seconds, for which something can be killed while it runs: eight million rows."""
ENDLESS = SLOW.replace(
    "from tax.income a ",
    "from tax.income a join tax.income d on a.league = d.league join tax.income e on d.league = e.league ",
)
"""Nobody waits for its answer: a million million rows."""
ENDS = {state.value for state in ENDED}
ENOUGH_S = 60
"""For what takes two seconds where nothing else runs, and minutes where it does not happen."""


def until(what, patience_s=200):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come in time")


def box_pids(town):
    """The processes inside boxes of the town's launcher."""
    launcher = town.supervisor.pid("launcher:nm/tax")
    return [pid for pid in hunt.descendants(launcher) if cmdline(pid)]  # a zombie has no command line


def busy(town):
    """The boxes that have work; beside them some wait for it (`sandbox.pool`)."""
    return sandbox.LauncherClient(town.owner.launcher_socket).status()["boxes"]


def running(town, statement=SLOW):
    """Submit a slow statement and return its job once its query box works."""
    job = town.ask(statement)
    until(lambda: state_of(town, job) == "running" and busy(town))
    time.sleep(0.5)
    return job


def state_of(town, job):
    try:
        return str(town.researcher.connection.view(job.id)["state"])
    except Unreachable:
        return ""


def ended(town, job):
    return until(lambda: (found := state_of(town, job)) in ENDS and found)


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def ray_pids(town):
    dispatcher = town.supervisor.pid("dispatcher")
    names = (b"gcs_server", b"raylet")
    return [
        pid for pid in hunt.descendants(dispatcher) if any(n in cmdline(pid).split(b"\0")[0] for n in names)
    ]


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def all_well(town):
    """The town works again, no box is left over, and the log verifies."""
    wait_for_api(town.site)
    wait_for(town.owner.keeper_socket)
    wait_for(town.owner.launcher_socket)
    assert until(lambda: not busy(town))
    assert town.ask("select league, count(*) as n from tax.income group by league").result().rows
    report = verifying.report(town.site.home)
    assert report.good, report.sentence


@pytest.mark.parametrize("victim", ["api", "keeper:nm/tax", "launcher:nm/tax"])
def test_a_killed_process_is_started_again_and_the_job_ends(town, victim):
    job = running(town)
    before = town.supervisor.pid(victim)
    kill(before)
    until(lambda: town.supervisor.pid(victim) != before)
    assert ended(town, job) in ENDS
    all_well(town)


def test_a_killed_box_fails_its_job_cleanly(town):
    job = running(town, ENDLESS)

    def ends_while_its_boxes_are_killed():
        for pid in box_pids(town):
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                kill(pid)
        return state_of(town, job) in ENDS

    # Again and again: one that was lost before its first word is made once more (`sandbox.stage`).
    until(ends_while_its_boxes_are_killed)
    assert ended(town, job) == "failed"
    with pytest.raises(DarkroomError) as failure:
        job.result()
    assert failure.value.code in ("box.failed", "box.limit")
    all_well(town)


def test_a_killed_ray_is_replaced_and_the_job_ends(town):
    job = running(town)
    victims = ray_pids(town)
    assert victims, "the test must have something to kill"
    for pid in victims:
        kill(pid)
    assert ended(town, job) in ENDS
    all_well(town)


def test_a_killed_dispatcher_is_replaced_and_takes_the_job_up(town):
    job = running(town)
    before = town.supervisor.pid("dispatcher")
    kill(before)
    until(lambda: town.supervisor.pid("dispatcher") != before)
    assert ended(town, job) == "released"
    all_well(town)


def test_a_revocation_ends_a_running_box_at_its_next_lease(town):
    """Without one the box runs for minutes, until it has used up its time."""
    from darkroom import signing
    from plans.statements import Duty

    li = town.people["li"].connection
    job = running(town, ENDLESS)
    grants = [grant["digest"] for grant in li.grants() if grant["state"] == "in force"]
    assert busy(town), "the control"
    for digest in grants:
        li.hand_in(signing.revocation_statement("nm/tax", digest, li.signer(), Duty.APPROVER))
    until(lambda: not busy(town), ENOUGH_S)
    assert ended(town, job) in ("failed", "refused")
    with pytest.raises(DarkroomError) as refusal:
        town.ask("select league, count(*) as n from tax.income group by league").result()
    assert refusal.value.code == "policy.denied"
    town.give_grants()
