"""Homes under kills at any moment: launchers and boxes die while labs begin, work and end, and no home loses a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from plans.errors import DarkroomError
from plans.labs import home_of
from tests.sandbox.labs_side import MEMBER, OTHER, Beside, LabSide, lab_plan, labs
from tests.sandbox.side import eventually, launched, of_boxes, side

__all__ = ["labs", "side"]
pytestmark = pytest.mark.box

WORK = """
import hashlib, json, os
def saved(path, content):
    with open(path + ".new", "wb") as file:
        file.write(content); file.flush(); os.fsync(file.fileno())
    os.rename(path + ".new", path)
def run(session):
    try:
        count, kept = json.load(open(HOME + "/manifest"))
    except FileNotFoundError:
        count, kept = 0, {}
    while True:
        count += 1
        name = f"d{count % 7}/" + os.urandom(8).hex()
        os.makedirs(HOME + "/" + os.path.dirname(name), exist_ok=True)
        content = os.urandom(500)
        saved(HOME + "/" + name, content)
        kept[name] = hashlib.sha256(content).hexdigest()
        over = list(kept)[:-300]
        for old in over: del kept[old]
        saved(HOME + "/manifest", json.dumps([count, kept]).encode())
        for old in over: os.unlink(HOME + "/" + old)
    return {}
"""
KINDS = ("launcher", "box", "cancel", "end")


def whole(home: Path) -> int:
    """Check every file that a home says it has; return how many it has had."""
    with contextlib.suppress(FileNotFoundError):
        count, kept = json.loads((home / "manifest").read_text())
        for name, digest in kept.items():
            assert hashlib.sha256((home / name).read_bytes()).hexdigest() == digest, name
        return int(count)
    return 0


def manifests(labs: LabSide) -> list[int]:
    """When each home was last worked in; nothing where one is moved in this moment."""
    with contextlib.suppress(FileNotFoundError):
        return [path.stat().st_mtime_ns for path in (labs.config.home / "homes").glob("*/*/manifest")]
    return []


def killed(labs: LabSide, image: str, chance: random.Random, *, at_work: bool) -> None:
    """One life of a launcher: two members' labs, a second one for a home that has one, and a kill at some moment: while
    they begin, or when both are at work.
    """
    plans = [lab_plan(image, MEMBER), lab_plan(image, OTHER), lab_plan(image, MEMBER)]
    how = chance.choice(KINDS)
    with launched(labs.side) as process:
        beside = [Beside(labs.client, labs.put(plan, WORK)) for plan in plans]
        began = time.time_ns()
        if at_work:
            eventually(lambda: sum(last > began for last in manifests(labs)) == 2)
        time.sleep(chance.uniform(0, 1.5))
        if how == "launcher":
            process.send_signal(signal.SIGKILL)
            process.wait()
        elif how == "box":
            for pid in of_boxes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        elif how == "cancel":
            with contextlib.suppress(DarkroomError):
                labs.client.cancel(plans[0].digest, plans[0].stages[0].entry, 1)
        if how != "launcher":
            time.sleep(chance.uniform(0, 0.2))
            process.terminate()
    for each in beside:
        each.thread.join(240)
        assert not each.thread.is_alive()


@pytest.mark.parametrize("rounds", [2, pytest.param(80, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("warm", [0, 2])
def test_no_kill_at_any_moment_loses_a_home(labs: LabSide, probe_image, rounds: int, warm: int) -> None:
    side = replace(labs.side, config=replace(labs.side.config, warm_kinds=warm))
    changed = replace(labs, side=side)
    # Two rounds each have all kinds of kills once; the long ones have them in any order, at any moment.
    chance, least = random.Random(rounds + warm), {MEMBER: 0, OTHER: 0}
    for turn in range(rounds):
        killed(changed, probe_image.digest, chance, at_work=turn % 2 == 0)
        for member in least:
            places = list((side.config.home / "homes").glob(f"*/{home_of(member)}"))
            assert len(places) <= 1 and (places or not least[member]), "a home is in one place"
            count = whole(places[0]) if places else 0
            assert count >= least[member], "work that was there is gone"
            least[member] = count
    assert all(least.values()), "the control: there was work to lose"
