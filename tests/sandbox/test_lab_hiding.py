"""A lab that hides from its watch what it has on the disk: each way that was found to work, and its end."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from plans.box import Home
from plans.decision import Tier
from plans.errors import BoxLimit, StateConflict
from sandbox import homes
from sandbox.homes import Homes
from tests.sandbox.labs_side import Beside, LabSide, lab_plan, labs, run
from tests.sandbox.side import eventually, launched, side

__all__ = ["labs", "side"]
box = pytest.mark.box

BEGIN = """
import array, ctypes, os, socket, threading, time
BLOCK, MOST = b"x" * (1 << 20), 2 << 30
EXIT, CLONE = 60, 56
kernel = ctypes.CDLL(None)
kernel.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
kernel.mmap.restype = ctypes.c_void_p
def mapped(place):
    # A page, by the C library: Python's own keeps the file open
    assert kernel.mmap(None, 4096, 1, 1, place, 0) != ctypes.c_void_p(-1).value
def written(folder, most=MOST):
    # Yields files of 30 MiB, paced as a disk is
    for n in range(most // (30 << 20)):
        place = os.open(f"{folder}/f{n}", os.O_RDWR | os.O_CREAT)
        for _ in range(30):
            os.write(place, BLOCK)
        yield place, f"{folder}/f{n}"
        time.sleep(0.2)
    open(HOME + "/unseen", "w").close()
    time.sleep(20)
"""

ENDED_LEADER = """
def hide():
    for place, name in written(HOME):
        os.unlink(name)
def run(session):
    if os.fork() == 0:
        threading.Thread(target=hide).start()
        kernel.syscall(EXIT, 0)
    time.sleep(60)
    return {}
"""

IN_FLIGHT = """
def run(session):
    kept = []
    for place, name in written(HOME):
        os.unlink(name)
        one, other = socket.socketpair()
        try:
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [place]))])
        except PermissionError:
            kept.append(place)
            continue
        os.close(place); one.close()
        kept.append(other)
    return {}
"""

OWN_TABLE = """
def hide():
    for place, name in written(HOME):
        os.unlink(name)
def run(session):
    stack = ctypes.create_string_buffer(8 << 20)
    work = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: hide() or 0)
    top = ctypes.addressof(stack) + (8 << 20) - 64
    # VM, FS, SIGHAND, THREAD, SYSVSEM, and no FILES
    kernel.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    assert kernel.clone(work, top & ~15, 0x100 | 0x200 | 0x800 | 0x10000 | 0x40000, None) > 0
    time.sleep(60)
    return {}
"""

CHASE = """
def run(session):
    os.mkdir(HOME + "/deep"); os.chdir(HOME + "/deep")
    began = time.monotonic()
    n = 0
    while time.monotonic() - began < 25 and n < 20_000:
        os.mkdir("d"); os.chdir("d"); n += 1
    open(HOME + "/unseen", "w").write(str(n))
    return {}
"""

FLIP = """
def flip():
    while True:
        a, b = HOME + "/a/store", HOME + "/z/store"
        # whoever lists a folder leaves the time; what is behind the look is moved before it
        for here, there, at in ((a, b, HOME + "/z"), (b, a, HOME + "/a")):
            os.utime(at, (0, os.stat(at).st_mtime))
            while os.stat(at).st_atime == 0: pass
            try: os.rename(here, there)
            except OSError: pass
def run(session):
    os.makedirs(HOME + "/a/store"); os.mkdir(HOME + "/z")
    for n in range(300): os.mkdir(HOME + f"/pad{n}")
    store = os.open(HOME + "/a/store", os.O_RDONLY)
    threading.Thread(target=flip, daemon=True).start()
    for place, name in written(f"/proc/self/fd/{store}"): os.close(place)
    return {}
"""

CHURN = """
def churn():
    while True:
        for _ in range(20): os.close(os.open("/dev/null", os.O_RDONLY))
def run(session):
    low = [os.open("/dev/null", os.O_RDONLY) for _ in range(30)]
    kept = [os.dup(0) for _ in range(3)]
    for each in low: os.close(each)
    for _ in range(4): threading.Thread(target=churn, daemon=True).start()
    high = 60
    for place, name in written(HOME):
        os.unlink(name)
        os.dup2(place, high); high += 1
        os.close(place)
    return {}
"""

ALLOCATED = """
def run(session):
    for n in range(200):
        place = os.open(f"{HOME}/f{n}", os.O_RDWR | os.O_CREAT)
        if kernel.fallocate(place, 0, ctypes.c_long(0), ctypes.c_long(30 << 20)) != 0:
            break
        os.close(place)
    else:
        open(HOME + "/unseen", "w").close()
    for place, name in written(HOME): os.close(place)
    return {}
"""

MAPPED = """
def run(session):
    for place, name in written(HOME):
        mapped(place)
        os.unlink(name); os.close(place)
    return {}
"""

WAYS = {
    "a process whose first thread has ended": ENDED_LEADER,
    "files on their way between sockets": IN_FLIGHT,
    "a thread with open files of its own": OWN_TABLE,
    "a folder that grows deeper while it is looked at": CHASE,
    "moved out of sight": FLIP,
    "among files that are opened and closed": CHURN,
    "a page of each, mapped": MAPPED,
    "taken without being written": ALLOCATED,
}


@box
@pytest.mark.parametrize("way", WAYS)
def test_what_a_lab_hides_on_the_disk_is_seen(labs: LabSide, probe_image, way: str) -> None:
    with launched(labs.side):
        plan = labs.put(lab_plan(probe_image.digest, files=512), BEGIN + WAYS[way])
        with pytest.raises(BoxLimit) as ended:
            run(labs.client, plan)
        assert ended.value.where == "box.home"
        assert not (labs.home() / "unseen").exists()
    subprocess.run(
        ["/bin/rm", "-rf", str(labs.config.home / "homes")], check=True
    )  # deeper than Python removes


@box
def test_a_deleted_library_that_is_still_mapped_is_what_it_was(labs: LabSide, probe_image) -> None:
    """The control: what is new on the disk beside it is not taken for it."""
    code = (
        BEGIN
        + """
def run(session):
    with open(HOME + "/library", "wb") as file: file.write(b"x" * (2 << 20))
    place = os.open(HOME + "/library", os.O_RDWR)
    mapped(place); os.close(place)
    time.sleep(6)
    os.unlink(HOME + "/library")
    open(HOME + "/deleted", "w").close()
    while not os.path.exists(HOME + "/written"): time.sleep(0.1)
    time.sleep(6)
    return {}
"""
    )
    with launched(labs.side):
        beside = Beside(labs.client, labs.put(lab_plan(probe_image.digest), code))
        eventually(lambda: bool(list((labs.config.home / "homes").glob("*/*/deleted"))))
        other = labs.config.home / "other"
        other.write_bytes(bytes(300 << 20))
        (labs.home() / "written").write_text("")
        beside.end()
        other.unlink()


@pytest.mark.parametrize("far", ["FAR_MB", "FAR_FILES"])
def test_starts_of_labs_do_not_add_up_to_the_whole_disk(
    open_home: Path, monkeypatch: pytest.MonkeyPatch, far: str
) -> None:
    """A lab grows beyond its home for a moment before it is ended; the next starts until its home is far too large."""
    monkeypatch.setattr(homes, far, 1)
    kept, home = Homes(open_home / "homes", separate=False), Home("a" * 32, 1, 5)
    kept.prepare()
    slot = kept.slot(None)
    asyncio.run(slot.settle(home))
    grown = slot.path(home) / "grown"
    grown.write_bytes(bytes(2 << 20))
    slot.release()
    slot = kept.slot(None)
    asyncio.run(slot.settle(home))  # over its size, and not far
    for n in range(12):
        (slot.path(home) / f"f{n}").write_bytes(bytes(2 << 18))
    slot.release()
    slot = kept.slot(None)
    with pytest.raises(StateConflict, match="far larger"):
        asyncio.run(slot.settle(home))
    slot.release()
    left = kept.find(home.name)
    assert left is not None and len(list(left.iterdir())) == 13, "nothing was lost"
    asyncio.run(kept.slot(None).settle(Home(home.name, 64, 500)))  # in a larger one files can be deleted


@box
@pytest.mark.parametrize("tier", [Tier.T1, Tier.T2])
def test_files_are_not_sent_and_disks_not_taken_and_plain_messages_go(
    labs: LabSide, probe_image, tier: Tier
) -> None:
    code = """
import array, os, socket
def attempt(act):
    try:
        return ["gained", repr(act())]
    except OSError as problem:
        return ["refused", problem.strerror]
def file(): return os.open(HOME + "/file", os.O_RDWR | os.O_CREAT)
def run(session):
    one, other = socket.socketpair()
    given = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file()]))]
    return {
        "file": attempt(lambda: one.sendmsg([b"x"], given)),
        "plain": attempt(lambda: (one.send(b"plain"), other.recv(5))[1]),
        "out": attempt(lambda: open("/out/file", "w")),
        "taken": attempt(lambda: os.posix_fallocate(file(), 0, 8 << 20)),
        "spent": os.stat(HOME + "/file").st_blocks * 512,
        "written": attempt(lambda: os.write(file(), b"x" * 4096)),
    }
"""
    with launched(labs.side):
        if tier.value not in [offer["tier"] for offer in labs.client.status()["tiers"]]:
            pytest.skip(f"this machine has no {tier}")
        found = labs.run(lab_plan(probe_image.digest, tier=tier), code)
    assert found["plain"] == ["gained", "b'plain'"] and found["written"] == ["gained", "4096"], found
    assert found["file"][0] == found["out"][0] == "refused", found
    assert tier is Tier.T1 or found["taken"][0] == "refused", (
        found
    )  # at T1 the C library writes what was asked for
