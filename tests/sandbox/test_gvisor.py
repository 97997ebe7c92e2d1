"""Tier T2: what is missing where there is no gVisor, and what a box behind its walls finds and cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from plans.box import BoxSpec, BoxState, Entry, Limits, Link
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox import bubblewrap, gvisor, processes, reaper, recipes, runsc
from sandbox.cgroups import Cgroups, group_name
from sandbox.contract import Cause, Conversation, Wall
from sandbox.doors import Doors
from sandbox.gvisor import GvisorBoxes
from sandbox.identities import Identities
from sandbox.images import Image
from sandbox.process_box import ProcessBox
from sandbox.tiers import node_boxes
from tests.sandbox.side import eventually
from tests.sandbox.test_contract import stands_still

LIMITS = Limits(256, 32, 16, 4, 20, 120, 16, 64, 2)
SPEC = BoxSpec(Entry.QUERY, "sha256:" + "0" * 64, (), LIMITS, Tier.T2)
FIRST_UID = 64021

# --- what is missing ----------------------------------------------


@pytest.fixture
def other_runsc(monkeypatch: pytest.MonkeyPatch, open_home: Path) -> Path:
    """An empty folder, the only one in which runsc is looked for."""
    folder = open_home / "tools"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setattr(runsc, "TOOLS", str(folder))
    return folder


@pytest.mark.box
def test_without_runsc_t2_is_not_offered_and_no_weaker_box_is_made(
    other_runsc: Path, open_home: Path
) -> None:
    boxes = node_boxes(open_home, recipes.images_folder(), Identities(FIRST_UID, 2))
    assert [offer.tier for offer in boxes.offers()] == [Tier.T1]
    with pytest.raises(TierMissing, match="no runsc"):
        boxes.create(SPEC, {})
    assert [path.name for path in open_home.iterdir()] == ["tools"]


@pytest.mark.box
def test_a_runsc_that_cannot_start_says_why(other_runsc: Path, open_home: Path) -> None:
    broken = other_runsc / "runsc"
    broken.write_text("this is no program")
    broken.chmod(0o755)
    boxes = GvisorBoxes(open_home, recipes.images_folder(), Identities(FIRST_UID, 2))
    assert boxes.offers() == ()
    with pytest.raises(TierMissing, match="runsc cannot start a container here: .*execvp /runsc"):
        boxes.require()


@pytest.mark.box
def test_a_node_that_stood_still_when_it_was_tried_has_t2_after_a_while(
    gvisor_boxes: GvisorBoxes, open_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not tried again at every question, which would each wait for as long."""
    now, tries, try_out = [0.0], [], runsc.try_out
    monkeypatch.setattr(gvisor, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(runsc, "try_out", lambda walls: (tries.append(now[0]), try_out(walls)))
    boxes = GvisorBoxes(open_home, recipes.images_folder(), Identities(FIRST_UID, 2))
    with monkeypatch.context() as slow:
        slow.setattr(runsc, "TRIAL_S", 0.0001)
        assert boxes.offers() == ()
    with pytest.raises(TierMissing, match="it does not answer"):
        boxes.require()
    now[0] += gvisor.AGAIN_S
    assert [offer.tier for offer in boxes.offers()] == [Tier.T2] and tries == [0.0, gvisor.AGAIN_S]


@pytest.mark.box
def test_t3_is_refused_with_what_it_is(open_home: Path) -> None:
    boxes = node_boxes(open_home, recipes.images_folder(), Identities(FIRST_UID, 2))
    with pytest.raises(TierMissing, match="T3 is a virtual machine"):
        boxes.create(dataclasses.replace(SPEC, tier=Tier.T3), {})


@pytest.mark.box
def test_a_box_gets_the_weakest_tier_that_is_strong_enough(
    gvisor_boxes: GvisorBoxes, open_home: Path, probe_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tier_of(asked: Tier) -> Tier:
        spec = dataclasses.replace(SPEC, image=probe_image.digest, tier=asked)
        box = node_boxes(open_home, recipes.images_folder(), Identities(FIRST_UID, 2)).create(spec, {})
        await ended(box)
        return box.tier

    assert asyncio.run(tier_of(Tier.T1)) is Tier.T1
    assert asyncio.run(tier_of(Tier.T2)) is Tier.T2

    def lacking() -> None:
        raise TierMissing("this kernel has no Landlock", "T1")

    monkeypatch.setattr(bubblewrap, "require_kernel", lacking)
    assert asyncio.run(tier_of(Tier.T1)) is Tier.T2, "a stronger box where the weaker cannot be had"


def test_a_wall_that_is_gvisor_itself_cannot_be_taken_off(open_home: Path) -> None:
    with pytest.raises(ValueError, match="no such wall"):
        GvisorBoxes(open_home, open_home, Identities(FIRST_UID, 1), unsafe_without=frozenset({Wall.NETWORK}))


# --- boxes --------------------------------------------------------


@pytest.fixture
def spec(probe_image: Image) -> BoxSpec:
    return dataclasses.replace(SPEC, entry=Entry.CHECK, image=probe_image.digest)


async def ended(box: ProcessBox) -> None:
    await box.kill(Cause.CANCELLED)
    await box.destroy()


@asynccontextmanager
async def living(
    boxes: GvisorBoxes, spec: BoxSpec, code: str
) -> AsyncIterator[tuple[ProcessBox, Conversation]]:
    """A box that runs a text; it is ended whatever happens."""
    box = boxes.unsafe_create(spec, {}, ("-c", code))
    try:
        yield box, await box.start()
    finally:
        await ended(box)


def told(boxes: GvisorBoxes, spec: BoxSpec, code: str) -> str:
    """Run a text in a box to its end and return what it printed."""

    async def scenario() -> str:
        async with living(boxes, spec, code) as (_, pipes):
            return (await asyncio.wait_for(pipes.from_box.read(), 120)).decode().strip()

    return asyncio.run(scenario())


def without(boxes: GvisorBoxes, home: Path, *walls: Wall) -> GvisorBoxes:
    """The same tier with walls taken off, for a control."""
    return GvisorBoxes(
        home, recipes.images_folder(), Identities(FIRST_UID, 4), unsafe_without=frozenset(walls)
    )


TRIES = """
import errno, os, socket
def tried(*steps):
    for step in steps:
        try: step()
        except OSError as problem: print(errno.errorcode[problem.errno])
        else: print("done")
"""


@pytest.mark.box
def test_a_box_has_a_kernel_of_its_own_that_tells_nothing_of_the_host(
    gvisor_boxes: GvisorBoxes, spec: BoxSpec
) -> None:
    code = (
        "import os; print(os.uname().release, os.uname().nodename)\n"
        "print(sorted(os.environ)); print(os.listdir('/proc/sys'))\n"
    )
    kernel, names, settings = told(gvisor_boxes, spec, code).splitlines()
    assert kernel.split()[0] != os.uname().release and kernel.split()[1] == "box"
    assert names == str(sorted(bubblewrap.ENVIRONMENT)) and settings == "[]"


@pytest.mark.box
def test_no_process_of_a_box_sees_a_file_of_the_host(gvisor_boxes: GvisorBoxes, spec: BoxSpec) -> None:
    async def scenario() -> None:
        async with living(gvisor_boxes, spec, "print('up', flush=True); input()") as (box, pipes):
            await pipes.from_box.readline()
            monitor, *inner = processes.tree(box.pid)
            assert len(inner) >= 4, "runsc, gofer, sentry, and the program's own"
            for pid in inner:
                seen = {
                    name: os.path.lexists(Path("/proc", str(pid), "root", name))
                    for name in ("etc/shadow", "usr", "var", "root")
                }
                assert not any(seen.values()), (pid, seen)
                assert processes.users(pid) == processes.users(monitor)
            assert os.path.lexists(Path("/proc", str(monitor), "root", "usr")), (
                "the control: where bubblewrap itself waits"
            )

    asyncio.run(scenario())


@pytest.mark.box
def test_no_process_of_a_box_is_without_a_filter(
    gvisor_boxes: GvisorBoxes, spec: BoxSpec, open_home: Path
) -> None:
    async def filtered(boxes: GvisorBoxes) -> set[str]:
        async with living(boxes, spec, "print('up', flush=True); input()") as (box, pipes):
            await pipes.from_box.readline()
            return {seccomp(pid) for pid in processes.tree(box.pid)[1:]}

    assert asyncio.run(filtered(gvisor_boxes)) == {"2"}
    assert "0" in asyncio.run(filtered(without(gvisor_boxes, open_home, Wall.SYSCALLS)))


def seccomp(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("Seccomp:")).split()[1]


@pytest.mark.box
def test_a_box_has_no_peer_and_no_network(gvisor_boxes: GvisorBoxes, spec: BoxSpec, open_home: Path) -> None:
    families = "(2, 10, 1, 16, 17, 38, 40)"
    code = TRIES + f"tried(*(lambda f=f: socket.socket(f) for f in {families}))"
    assert "done" not in told(gvisor_boxes, spec, code)
    control = told(without(gvisor_boxes, open_home, Wall.SYSCALLS), spec, code)
    assert "done" in control, "the control: without the filter the box's kernel makes sockets"


@pytest.mark.box
def test_a_box_cannot_leave_links_pipes_or_programs_of_its_own(
    gvisor_boxes: GvisorBoxes, spec: BoxSpec, open_home: Path
) -> None:
    code = TRIES + (
        "import shutil, subprocess\n"
        "shutil.copyfile('/python/bin/python3', '/tmp/tool'); os.chmod('/tmp/tool', 0o755)\n"
        "tried(lambda: os.symlink('/etc/shadow', '/out/link'), lambda: os.mkfifo('/out/pipe'),\n"
        "      lambda: subprocess.run(['/tmp/tool', '-I', '-S', '-c', '']))\n"
    )
    assert told(gvisor_boxes, spec, code).split() == ["EPERM", "EPERM", "EACCES"]
    control = told(without(gvisor_boxes, open_home, Wall.SYSCALLS), spec, code)
    assert control.split()[:2] == ["done", "done"]


@pytest.mark.box
def test_threads_and_children_start_under_the_filter(gvisor_boxes: GvisorBoxes, spec: BoxSpec) -> None:
    code = (
        "import threading, subprocess, sys\n"
        "all_threads = [threading.Thread(target=print, args=('thread',)) for _ in range(4)]\n"
        "[each.start() for each in all_threads]; [each.join() for each in all_threads]\n"
        "subprocess.run([sys.executable, '-I', '-S', '-c', 'print(1)'], check=True)\n"
    )
    assert sorted(told(gvisor_boxes, spec, code).split()) == ["1", *["thread"] * 4]


@pytest.mark.box
def test_inputs_that_come_after_the_start_are_seen_and_cannot_be_changed(
    gvisor_boxes: GvisorBoxes, spec: BoxSpec, tmp_path: Path
) -> None:
    late = tmp_path / "late"
    late.write_text("content")
    late.chmod(0o444)
    code = TRIES + (
        "print(os.listdir('/in'), flush=True); input(); print(os.listdir('/in'), open('/in/late').read())\n"
        "tried(lambda: open('/in/late', 'w'), lambda: open('/in/late', 'r+'), lambda: os.chmod('/in/late', 0o777),\n"
        "      lambda: os.unlink('/in/late'), lambda: os.rename('/in/late', '/out/late'),\n"
        "      lambda: open('/in/new', 'w'))\n"
    )

    async def scenario() -> None:
        box = gvisor_boxes.unsafe_create(spec, {}, ("-c", code))
        try:
            await box.prestart()
            pipes_of = box._up.process  # type: ignore[union-attr]
            assert (await pipes_of.stdout.readline()) == b"[]\n"  # type: ignore[union-attr]
            box.furnish({"late": late})
            pipes = await box.start()
            pipes.to_box.write(b"\n")
            first, *rest = (await asyncio.wait_for(pipes.from_box.read(), 120)).decode().splitlines()
            assert first == "['late'] content"
            assert len(rest) == 6 and "done" not in rest
        finally:
            await ended(box)

    asyncio.run(scenario())
    assert late.read_text() == "content" and late.stat().st_mode & 0o777 == 0o444


@pytest.mark.box
def test_links_carry_bytes_both_ways_once_and_a_box_without_links_has_none(
    gvisor_boxes: GvisorBoxes, spec: BoxSpec
) -> None:
    linked = dataclasses.replace(spec, links=(Link("peer", "party:nm/tax"),))
    code = TRIES + (
        "stream = socket.socket(socket.AF_UNIX); stream.connect('/links/0')\n"
        "stream.sendall(b'q' * 3_000_000); stream.shutdown(socket.SHUT_WR)\n"
        "got = b''\n"
        "while chunk := stream.recv(65536): got += chunk\n"
        "print(len(got)); again = socket.socket(socket.AF_UNIX)\n"
        "tried(lambda: again.connect('/links/0'), lambda: again.connect(chr(0) + 'darkroom-abstract'),\n"
        "      lambda: again.bind('/out/door'), lambda: socket.socket(socket.AF_INET))\n"
        "print(os.path.lexists('/out/door'))\n"
    )

    async def scenario() -> None:
        with socket.socket(socket.AF_UNIX) as of_host:
            of_host.bind("\0darkroom-abstract")
            of_host.listen()
            async with living(gvisor_boxes, linked, code) as (box, pipes):
                assert pipes.links["peer"].place == "/links/0"
                reader, writer = await asyncio.open_connection(sock=pipes.links["peer"].ours)
                assert await asyncio.wait_for(reader.read(-1), 120) == b"q" * 3_000_000
                writer.write(b"a" * 2_000_000)
                writer.write_eof()
                size, *tried = (await asyncio.wait_for(pipes.from_box.read(), 120)).decode().split()
                assert size == "2000000" and "done" not in tried[:2] and tried[3:4] == ["EPERM"]
                assert not (box.folder / "out" / "door").exists(), (
                    "a socket of the box is in its own kernel only"
                )
                writer.close()

    asyncio.run(scenario())
    assert told(gvisor_boxes, spec, TRIES + "tried(lambda: os.stat('/links/0'))") == "ENOENT"


@pytest.mark.box
def test_a_door_is_for_one_connection_and_is_gone_with_its_box(open_home: Path) -> None:
    async def scenario() -> None:
        doors = Doors(open_home / "links", None, 2)
        first = socket.socket(socket.AF_UNIX)
        first.setblocking(False)
        await asyncio.get_running_loop().sock_connect(first, str(open_home / "links" / "0"))
        async with asyncio.timeout(60):
            while [path.name for path in (open_home / "links").iterdir()] != ["1"]:
                await asyncio.sleep(0.01)
        doors.ends[0].setblocking(False)
        await asyncio.get_running_loop().sock_sendall(doors.ends[0], b"hello")
        assert await asyncio.get_running_loop().sock_recv(first, 10) == b"hello"
        doors.close()
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(first, 10), 60) == b""
        for end in (*doors.ends, first):
            end.close()

    asyncio.run(scenario())


LEFTOVERS = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(600)
        os._exit(0)
print("up", flush=True); time.sleep(600)
"""


def alive(uids: range) -> list[int]:
    return [pid for uid in uids for pid in processes.of_user(uid)]


@pytest.mark.box
@pytest.mark.skipif(os.geteuid() != 0, reason="boxes have users of their own only where root starts them")
def test_a_kill_leaves_no_process_of_the_box_whatever_it_forked(
    gvisor_boxes: GvisorBoxes, spec: BoxSpec, open_home: Path
) -> None:
    uids = range(64011, 64019)

    async def scenario() -> None:
        async with living(gvisor_boxes, spec, LEFTOVERS) as (box, pipes):
            await pipes.from_box.readline()
            eventually(lambda: len(alive(uids)) > 6)  # the control: what will be gone is there
            await box.kill(Cause.REVOKED)
            eventually(lambda: not alive(uids))

    asyncio.run(scenario())
    assert list(open_home.iterdir()) == []


LAUNCHER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from plans.box import BoxSpec
from sandbox import recipes
from sandbox.gvisor import GvisorBoxes
from sandbox.identities import Identities

async def main():
    boxes = GvisorBoxes(Path(sys.argv[2]), recipes.images_folder(), Identities(int(sys.argv[3]), 1))
    box = boxes.unsafe_create(BoxSpec.decode(sys.argv[4].encode()), {}, ("-c", sys.argv[5]))
    pipes = await box.start()
    print((await pipes.from_box.readline()).decode(), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.box
@pytest.mark.skipif(os.geteuid() != 0, reason="boxes have users of their own only where root starts them")
def test_a_box_dies_with_its_launcher(gvisor_boxes: GvisorBoxes, spec: BoxSpec, open_home: Path) -> None:
    alone = range(64029, 64030)
    words = [sys.executable, "-P", "-c", LAUNCHER, str(recipes.CHECKOUT), str(open_home), str(alone[0])]
    words += [spec.canonical().decode(), LEFTOVERS]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None and launcher.stdout.readline() == b"up\n"
        eventually(lambda: len(alive(alone)) > 6)  # the control: what will be gone is there
        launcher.kill()
    eventually(lambda: not alive(alone))
    left = reaper.reap(open_home, range(0), Cgroups.open(group_name(open_home)))
    assert (left.processes, left.folders) == (0, 1), "what a killed launcher cannot wipe its heir does"


BURN = """
import os, threading
def burn():
    while True: pass
threading.Thread(target=burn, daemon=True).start()
os.fork()
print("up", flush=True)
burn()
"""


@pytest.fixture(params=["control groups", "none"])
def either(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, open_home: Path
) -> Iterator[GvisorBoxes]:
    """T2 with the node's control groups, and on a node that has none."""
    if request.param == "none":
        monkeypatch.setattr(Cgroups, "open", classmethod(lambda cls, _: cls.none()))
    boxes: GvisorBoxes = request.getfixturevalue("gvisor_boxes")
    return boxes


@pytest.mark.box
def test_a_frozen_box_uses_no_processor_in_any_of_its_threads(either: GvisorBoxes, spec: BoxSpec) -> None:
    spec = dataclasses.replace(spec, limits=dataclasses.replace(LIMITS, cpu_s=600, wall_s=600))

    async def burns(box: ProcessBox) -> bool:
        before = ticks(box.pid)
        async with asyncio.timeout(60):
            while ticks(box.pid) - before <= 5:
                await asyncio.sleep(0.02)
        return True

    async def scenario() -> None:
        async with living(either, spec, BURN) as (box, pipes):
            await pipes.from_box.readline()
            for _ in range(3):
                assert await burns(box), "the control: it burns time when it may"
                box.freeze()
                assert await stands_still(lambda: ticks(box.pid)) and box.state is BoxState.FROZEN
                box.thaw()

    asyncio.run(scenario())


def ticks(first: int) -> int:
    """Return the processor time of a tree (proc(5))."""
    total = 0
    for pid in processes.tree(first):
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total


BOMBS = {
    "memory": "kept = []\nwhile True: kept.append(bytearray(1 << 20)); pace(len(kept))",
    "memory and files": (
        "kept = []\n"
        "while len(kept) < 230: kept.append(bytearray(1 << 20)); pace(len(kept))\n"
        "for n in range(30): open(f'/tmp/{n}', 'wb').write(bytes(1 << 20)); pace(230 + n)\n"
        "time.sleep(600)\n"
    ),
    "shared": (
        "import mmap\nkept = []\n"
        "while True:\n    kept.append(mmap.mmap(-1, 1 << 20)); kept[-1].write(bytes(1 << 20)); pace(len(kept))\n"
    ),
}
PACE = "import time\ndef pace(n):\n    if n > 200: time.sleep({} * (30 if n > 240 else 1))\n"
"""Without control groups a launcher looks now and then and adds up, so how far a bomb gets beyond its limit depends on
how busy the machine is. There it takes its last megabytes slowly, and by then beyond the limit, with the memory of the
box itself, so slowly that a launcher may stand still for a minute; where the kernel counts, at full speed.
"""


@pytest.mark.box
@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_a_box_has_its_memory_and_no_more(either: GvisorBoxes, spec: BoxSpec, bomb: str) -> None:
    pace = PACE.format(0 if either._groups.limits_memory else 0.03)

    async def scenario() -> tuple[ProcessBox, int]:
        most = 0
        async with living(either, spec, pace + BOMBS[bomb]) as (box, _):
            while box.state is BoxState.RUNNING:
                most = max(most, box.memory_peak or processes.memory_bytes(box.pid))
                await asyncio.sleep(0.01)
            assert (await box.wait()).cause is Cause.MEMORY
        return box, most

    assert asyncio.run(scenario())[1] <= (LIMITS.memory_mb + 64) << 20


@pytest.mark.box
def test_temporary_files_end_at_their_size(gvisor_boxes: GvisorBoxes, spec: BoxSpec, open_home: Path) -> None:
    code = (
        "n = 0\ntry:\n    while n < 64:\n        open(f'/tmp/{n}', 'wb').write(bytes(1 << 20)); n += 1\n"
        "except OSError: pass\nprint(n)\n"
    )
    assert int(told(gvisor_boxes, spec, code)) == LIMITS.temp_mb
    assert int(told(without(gvisor_boxes, open_home, Wall.TEMP_SIZE), spec, code)) == 64


FORKS = """
import os, time
made = 0
try:
    while made < 200:
        if os.fork() == 0: time.sleep(600); os._exit(0)
        made += 1
except OSError: pass
print(made, flush=True); os._exit(0)
"""


@pytest.mark.box
def test_a_fork_bomb_ends_at_the_limit_of_processes(gvisor_boxes: GvisorBoxes, spec: BoxSpec) -> None:
    assert int(told(gvisor_boxes, spec, FORKS)) == LIMITS.processes - 1


BUSY = """
import os, time
for _ in range(13):
    if os.fork() == 0: break
until = time.monotonic() + 3
while time.monotonic() < until: time.sleep(0.001)
if os.getpid() == 1: print("done", flush=True)
"""


@pytest.mark.box
def test_many_busy_processes_do_not_use_up_what_the_host_allows_their_kernel(
    gvisor_boxes: GvisorBoxes, spec: BoxSpec
) -> None:
    assert told(gvisor_boxes, spec, BUSY) == "done", (
        "with 6 threads of the host for each it would be gone by then"
    )


@pytest.mark.box
def test_a_box_that_uses_up_its_processor_time_is_killed(either: GvisorBoxes, spec: BoxSpec) -> None:
    short = dataclasses.replace(spec, limits=dataclasses.replace(LIMITS, cpu_s=1))

    async def scenario() -> None:
        async with living(either, short, "while True: pass") as (box, _):
            assert (await asyncio.wait_for(box.wait(), 120)).cause is Cause.CPU

    asyncio.run(scenario())


PARTED = """
import os, signal, sys, time
if os.fork() == 0:
    os.setgroups([]); os.setresgid(1001, 1001, 1001); os.setresuid(1001, 1001, 1001)
    tried(lambda: open('/out/mine', 'w'), lambda: os.setuid(0), lambda: os.kill(1, 9),
          lambda: open('/proc/1/mem', 'rb').read(1), lambda: os.listdir('/in'),
          lambda: os.rename('/tmp/runners', '/tmp/mine'), lambda: os.mkdir('/tmp/own'),
          lambda: open('/dev/shm/own', 'w'))
    sys.stdout.flush()
    if os.fork() == 0: os.setsid(); time.sleep(600)
    os._exit(0)
"""
ALONE = """
os.wait(); os.kill(-1, signal.SIGKILL)
try:
    while True: os.wait()
except ChildProcessError: print("alone")
"""


@pytest.mark.box
def test_a_members_program_can_be_parted_from_its_runner(gvisor_boxes: GvisorBoxes, spec: BoxSpec) -> None:
    runner = dataclasses.replace(spec, entry=Entry.PYTHON)
    tried = told(gvisor_boxes, runner, f"{TRIES}\nos.mkdir('/tmp/runners')\n{PARTED}{ALONE}").split()
    assert tried[:6] == ["EACCES", "EPERM", "EPERM", "EACCES", "EACCES", "EPERM"]
    assert tried[6:] == ["done", "done", "alone"]
    refused = told(gvisor_boxes, spec, TRIES + "tried(lambda: os.setgroups([]), lambda: os.setuid(1001))")
    assert refused.split() == ["EPERM", "EPERM"], "the control: other programs have no such right"
