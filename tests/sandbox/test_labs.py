"""Labs at a launcher: their links, their homes, their line, and what else runs there."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from plans.box import Entry, Home, Link
from plans.decision import Tier
from plans.errors import (
    BoxFailed,
    BoxLimit,
    DarkroomError,
    NotAllowed,
    NotFound,
    StateConflict,
    TierMissing,
)
from plans.labs import home_of
from plans.plan import Plan
from tests.sandbox.labs_side import HUB, MEMBER, OTHER, Beside, LabSide, lab_plan, labs, run
from tests.sandbox.side import eventually, launched, of_boxes, side

__all__ = ["labs", "side"]
pytestmark = pytest.mark.box

NOTHING = "def run(session):\n    return {}\n"
STAY = """
import os, time
def run(session):
    open(HOME + "/here", "w").close()
    while not os.path.exists(HOME + "/go"):
        time.sleep(0.05)
    return {}
"""
TIERS = (Tier.T1, Tier.T2)


def needs(labs: LabSide, tier: Tier) -> None:
    if tier.value not in [offer["tier"] for offer in labs.client.status()["tiers"]]:
        pytest.skip(f"this machine has no {tier}")


def up(labs: LabSide, plan: Plan, member: str = MEMBER) -> Beside:
    """Start a lab that stays, and wait until it is there."""
    beside = Beside(labs.client, labs.put(plan, STAY))
    eventually(lambda: bool(list((labs.config.home / "homes").glob(f"*/{home_of(member)}/here"))))
    return beside


# --- links to services ------------------------------------------

LINKS = """
import socket
def ask(link, message):
    with link.open() as stream:
        stream.sendall(message)
        stream.shutdown(1)
        answer = b""
        while block := stream.recv(65536):
            answer += block
    return answer
def run(session):
    many = [ask(session.links["api"], b"x%d" % n)[::-1].decode() for n in range(20)]
    large = ask(session.links["hub"], b"y" * 3_000_000)
    return {"many": many, "large": len(large), "places": [link.place for link in session.links.values()]}
"""


@pytest.mark.parametrize("tier", TIERS)
def test_a_link_to_a_service_is_opened_many_times_and_says_whose_it_is(
    labs: LabSide, probe_image, tier: Tier
) -> None:
    plan = lab_plan(probe_image.digest, tier=tier)
    with launched(labs.side):
        needs(labs, tier)
        told = labs.run(plan, LINKS)
        assert told["many"] == [f"x{n}" for n in range(20)]
        assert told["large"] == 3_000_000
        assert sorted(told["places"]) == ["/links/api", "/links/hub"]
    assert {(head["plan"], head["link"]) for head, _ in labs.api.heard} == {(plan.digest, "api")}
    assert {(head["plan"], head["link"]) for head, _ in labs.hub.heard} == {(plan.digest, "hub")}


def test_a_service_that_is_away_ends_a_connection_at_once_and_the_next_one_works(
    labs: LabSide, probe_image
) -> None:
    code = """
import time
def run(session):
    found = []
    while not found or found[-1] != b"cba":
        with session.links["api"].open() as stream:
            try:
                stream.sendall(b"abc"); stream.shutdown(1)
                found.append(stream.recv(10))
            except OSError:
                found.append(b"")
        if found.count(b"") == 3:
            open(HOME + "/away", "w").close()
        time.sleep(0.05)
    return {"away": found.count(b"")}
"""
    labs.api.close()
    with launched(labs.side):
        beside = Beside(labs.client, labs.put(plan := lab_plan(probe_image.digest), code))
        eventually(lambda: bool(list((labs.config.home / "homes").glob("*/*/away"))))
        labs.api.open()
        beside.end()
    assert labs.hub.told[plan.digest]["away"] >= 3


def hung_up(connections: list[socket.socket]) -> bool:
    for each in list(connections):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    return True


@pytest.mark.parametrize("tier", [Tier.T1, pytest.param(Tier.T2, marks=pytest.mark.long)])
def test_no_more_connections_of_a_link_are_let_in_than_may_and_one_that_ends_makes_room(
    labs: LabSide, probe_image, tier: Tier
) -> None:
    """A box opens many, half of them silent: the others wait outside, and another link is not held up."""
    code = """
import os, time
def run(session):
    opened = [session.links["api"].open() for _ in range(90)]
    for each in opened:
        each.sendall(b"H")
    with session.links["hub"].open() as other:
        other.sendall(b"abc"); other.shutdown(1)
        answer = other.recv(10)
    while not os.path.exists(HOME + "/go"):
        time.sleep(0.05)
    for each in opened[:64]:
        each.close()
    last = opened[-1]
    last.shutdown(1)
    return {"other": answer.decode(), "last": len(last.recv(1))}
"""
    plan = lab_plan(probe_image.digest, tier=tier)
    with launched(labs.side):
        needs(labs, tier)
        labs.put(plan, code)
        beside = Beside(labs.client, plan)
        eventually(lambda: len(labs.api.held) == 64)
        time.sleep(0.5)
        assert len(labs.api.held) == 64, "nobody else is let in while these are open"
        (labs.home() / "go").touch()
        eventually(lambda: len(labs.api.held) > 64)
        eventually(lambda: hung_up(labs.api.held) and plan.digest in labs.hub.told)
        beside.end()
    assert labs.hub.told[plan.digest] == {"other": "cba", "last": 0}
    assert labs.api.most == 64


# --- homes --------------------------------------------------------


@pytest.mark.parametrize("tier", TIERS)
def test_a_home_survives_its_boxes_and_belongs_to_whichever_has_it(
    labs: LabSide, probe_image, tier: Tier
) -> None:
    first = """
import os
def run(session):
    assert not os.listdir(HOME), os.listdir(HOME)
    os.makedirs(HOME + "/deep/" + "/".join("d" * 20 for _ in range(40)))
    open(HOME + "/deep/kept.txt", "w").write("kept")
    os.chmod(HOME + "/deep/kept.txt", 0o400)
    os.symlink("/etc/passwd", HOME + "/deep/link")
    os.link(HOME + "/deep/kept.txt", HOME + "/again.txt")
    os.chmod(HOME + "/deep", 0o500)
    os.mkfifo(HOME + "/fifo")
    return os.getuid()
"""
    second = """
import os
def run(session):
    os.chmod(HOME + "/deep", 0o700)
    text = open(HOME + "/deep/kept.txt").read()
    open(HOME + "/deep/new", "w").write("x")
    owners = {os.lstat(os.path.join(f, n)).st_uid for f, ds, ns in os.walk(HOME) for n in ds + ns}
    return {"text": text, "own": owners == {os.getuid()}, "link": os.readlink(HOME + "/deep/link")}
"""
    with launched(labs.side):
        needs(labs, tier)
        labs.run(lab_plan(probe_image.digest, tier=tier), first)
        before = labs.home().stat().st_uid
        told = labs.run(lab_plan(probe_image.digest, tier=tier), second)
        assert told == {"text": "kept", "own": True, "link": "/etc/passwd"}
        slots = list((labs.config.home / "homes").iterdir())
        assert len(slots) == 1 and labs.home().stat().st_mode & 0o777 == 0o700
        if os.geteuid() == 0:
            assert labs.home().stat().st_uid != before, "the control: it did change hands"
    assert Path("/etc/passwd").stat().st_uid == 0


def test_one_home_is_in_one_lab_at_a_time(labs: LabSide, probe_image) -> None:
    with launched(labs.side):
        first = up(labs, lab_plan(probe_image.digest))
        second = lab_plan(probe_image.digest)
        labs.put(second, NOTHING)
        with pytest.raises(StateConflict) as refused:
            run(labs.client, second)
        assert "one lab at a time" in refused.value.what
        other = lab_plan(probe_image.digest, OTHER)
        assert labs.run(other, NOTHING) == {}, "another member's is another home"
        (labs.home() / "go").touch()
        first.end()
        assert labs.run(lab_plan(probe_image.digest), NOTHING) == {}


def test_a_launcher_that_is_killed_loses_no_home_and_its_heir_gives_it_on(labs: LabSide, probe_image) -> None:
    with launched(labs.side) as process:
        beside = up(labs, plan := lab_plan(probe_image.digest))
        (labs.home() / "work.ipynb").write_text("unsaved no more")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(DarkroomError):
            beside.end()
    with launched(labs.side):
        assert not of_boxes() and not labs.side.boxes
        with pytest.raises(NotFound):
            labs.client.kept(plan.digest, Entry.LAB, 1)
        assert (labs.home() / "work.ipynb").read_text() == "unsaved no more"
        code = "def run(session):\n    return open(HOME + '/work.ipynb').read()\n"
        assert labs.run(lab_plan(probe_image.digest), code) == "unsaved no more"


def test_what_was_kept_is_told_again_and_nothing_is_started_for_it(labs: LabSide, probe_image) -> None:
    with launched(labs.side):
        plan = lab_plan(probe_image.digest)
        labs.client.put(plan)
        with pytest.raises(NotFound):
            labs.client.kept(plan.digest, Entry.LAB, 1)
        assert labs.client.status()["boxes"] == []
        beside = up(labs, plan)
        (box,) = labs.client.status()["boxes"]
        assert (box["plan"], box["stage"], box["state"]) == (plan.digest, "lab", "running")
        labs.client.cancel(plan.digest, Entry.LAB, 1)
        with pytest.raises(BoxFailed):
            beside.end()
        with pytest.raises(BoxFailed) as kept:
            labs.client.kept(plan.digest, Entry.LAB, 1)
        assert kept.value.where == "box.cancelled"


DEEP = "hidden in a deep folder"  # as one that grows deeper, in test_lab_hiding.py


@pytest.mark.parametrize("how", ["visible", "deleted", "many", pytest.param(DEEP, marks=pytest.mark.long)])
def test_a_lab_that_fills_its_home_is_ended_with_a_sentence_and_starts_again_to_delete(
    labs: LabSide, probe_image, how: str
) -> None:
    code = f"""
import os, time
HOW = {how!r}
def run(session):
    kept, block = [], b"x" * (1 << 20)
    os.chdir(HOME)
    if HOW == "hidden in a deep folder":
        for n in range(3000):
            os.mkdir("deep"); os.chdir("deep")
    for n in range(30_000):
        if HOW == "many":
            open(f"f{{n}}", "w").close()
            continue
        file = open(f"f{{n}}", "wb")
        for _ in range(8):
            file.write(block)
        file.flush()
        if HOW == "deleted":
            os.unlink(f"f{{n}}"); kept.append(file)
        else:
            file.close()
        time.sleep(0.03)  # as a disk: what is at hand here is memory, which a busy launcher could not keep up with
    time.sleep(60)
    return {{}}
"""
    clean = """
import os, shutil
def run(session):
    before = len(os.listdir(HOME))
    for name in os.listdir(HOME):
        path = os.path.join(HOME, name)
        if os.path.isfile(path): os.unlink(path)
    os.chdir(HOME)
    depth = 0
    while os.path.isdir("deep"): os.chdir("deep"); depth += 1
    for _ in range(depth):
        for name in os.listdir("."):
            os.unlink(name) if os.path.isfile(name) else os.rmdir(name)
        os.chdir("..")
    open(HOME + "/saved", "wb").write(b"x" * 1000)
    return before
"""
    with launched(labs.side):
        plan = labs.put(lab_plan(probe_image.digest, files=256), code)
        with pytest.raises(BoxLimit) as ended:
            run(labs.client, plan)
        assert ended.value.where == "box.home" and "delete files" in ended.value.next_step
        if how == "visible":
            left = sum(path.lstat().st_blocks * 512 for path in labs.home().iterdir())
            assert left < 2 * 2**30, "it was ended soon after its limit"
        assert labs.run(lab_plan(probe_image.digest), clean) >= (how != "deleted")


def test_a_home_within_its_size_is_let_alone(labs: LabSide, probe_image) -> None:
    """The control of the test above."""
    code = """
import time
def run(session):
    for n in range(3):
        open(HOME + f"/f{n}", "wb").write(b"x" * (10 << 20))
        time.sleep(0.7)
    return "well"
"""
    with launched(labs.side):
        assert labs.run(lab_plan(probe_image.digest), code) == "well"


def test_folders_that_are_moved_while_they_are_counted_hide_nothing(labs: LabSide, probe_image) -> None:
    code = """
import os, threading, time
def juggle():
    os.makedirs(HOME + "/a/b/c/d/e"); os.makedirs(HOME + "/z")
    while True:
        os.rename(HOME + "/a/b/c", HOME + "/z/c"); os.rename(HOME + "/z/c", HOME + "/a/b/c")
def run(session):
    threading.Thread(target=juggle, daemon=True).start()
    for n in range(2000):
        with open(HOME + f"/f{n}", "wb") as file: file.write(b"x" * (8 << 20))
        time.sleep(0.02)
    time.sleep(60)
"""
    with launched(labs.side):
        with pytest.raises(BoxLimit) as ended:
            run(labs.client, labs.put(lab_plan(probe_image.digest), code))
        assert ended.value.where == "box.home"


# --- lines --------------------------------------------------------


def test_whoever_waits_hears_where_and_why(labs: LabSide, probe_image) -> None:
    config = replace(labs.config, uid_count=1)
    side = replace(labs, side=replace(labs.side, config=config))
    with launched(side.side):
        first = up(side, lab_plan(probe_image.digest))
        second = Beside(side.client, side.put(lab_plan(probe_image.digest, OTHER), NOTHING))
        eventually(lambda: bool(second.waited))
        third = Beside(side.client, side.put(lab_plan(probe_image.digest, "zhao@nm/uni"), NOTHING))
        eventually(lambda: bool(third.waited))
        assert len(side.client.status()["boxes"]) == 3
        (side.home() / "go").touch()
        for each in (first, second, third):
            each.end()
    assert second.waited == [(0, "places")]
    assert third.waited == [(1, "places"), (0, "places")]


def test_labs_together_have_no_more_memory_than_they_may(labs: LabSide, probe_image) -> None:
    config = replace(labs.config, labs_memory_mb=600)
    side = replace(labs, side=replace(labs.side, config=config))
    with launched(side.side):
        first = up(side, lab_plan(probe_image.digest))
        second = Beside(side.client, side.put(lab_plan(probe_image.digest, OTHER, memory_mb=400), NOTHING))
        eventually(lambda: bool(second.waited))
        side.client.cancel(second.plan.digest, Entry.LAB, 1)
        with pytest.raises(BoxFailed):
            second.end()
        assert second.waited == [(0, "memory")]
        assert side.run(lab_plan(probe_image.digest, OTHER, memory_mb=300), NOTHING) == {}
        with pytest.raises(TierMissing):
            run(side.client, side.put(lab_plan(probe_image.digest, memory_mb=700), NOTHING))
        (side.home() / "go").touch()
        first.end()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="where boxes have no user ids of their own none waits with a home"
)
def test_a_lab_that_waits_gets_its_members_home_with_its_work(labs: LabSide, probe_image) -> None:
    config = replace(labs.config, warm_kinds=2)
    side = replace(labs, side=replace(labs.side, config=config))
    code = (
        "import os\ndef run(session):\n    return [os.listdir(HOME), os.stat(HOME).st_uid == os.getuid()]\n"
    )
    with launched(side.side):
        side.run(lab_plan(probe_image.digest), "def run(session):\n    open(HOME + '/mine', 'w')\n")

        def taken() -> bool:
            """Whether a lab was the box that waited. From outside one sees its folder and not when it is up, so that
            the first lab may come too early for it.
            """
            eventually(lambda: len(side.side.boxes) == 1)
            (waiting,) = side.side.boxes
            assert side.run(lab_plan(probe_image.digest), code) == [["mine"], True]
            return waiting not in side.side.boxes

        eventually(taken)


# --- what runs here -----------------------------------------------


def test_nothing_but_labs_runs_where_labs_do_and_labs_run_nowhere_else(
    labs: LabSide, side, probe_image, check
) -> None:
    with launched(labs.side):
        other = replace(check(NOTHING), domain="labs")
        with pytest.raises(NotAllowed, match="launcher of their own"):
            labs.client.put(other)
        stolen = lab_plan(probe_image.digest, home=Home(home_of(OTHER), 32, 100))
        with pytest.raises(NotAllowed, match="home of the member"):
            labs.client.put(stolen)
        with pytest.raises(NotAllowed, match="links to the services"):
            labs.client.put(lab_plan(probe_image.digest, links=(HUB, Link("keeper", "service:keeper"))))
        with pytest.raises(NotAllowed, match="higher limits"):
            labs.client.put(lab_plan(probe_image.digest, memory_mb=10_000))
        with pytest.raises(NotAllowed, match="image"):
            labs.client.put(lab_plan("sha256:" + "9" * 64))
    with launched(side):
        plan = replace(lab_plan(probe_image.digest), domain=side.config.domain)
        with pytest.raises(NotAllowed):
            side.client.put(plan)


def test_a_lab_is_not_ended_by_the_processor_time_that_it_uses(labs: LabSide, probe_image) -> None:
    """Its limit in the plan is one second, which ends every other box."""
    code = """
import time
def run(session):
    while time.process_time() < 3.5:
        pass
    return "well"
"""
    with launched(labs.side):
        assert labs.run(lab_plan(probe_image.digest), code) == "well"
