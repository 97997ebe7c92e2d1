"""A lab's walls: what a member's own code tries from inside, at both tiers, and what labs alone can do."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from plans.decision import Tier
from plans.labs import home_of
from sandbox import syscalls
from tests.sandbox.labs_side import OTHER, LabSide, lab_plan, labs
from tests.sandbox.side import eventually, launched, of_boxes, side

__all__ = ["labs", "side"]
pytestmark = pytest.mark.box
TIERS = (Tier.T1, Tier.T2)


def told(labs: LabSide, image: str, tier: Tier, code: str, **changes: int) -> dict:
    if tier.value not in [offer["tier"] for offer in labs.client.status()["tiers"]]:
        pytest.skip(f"this machine has no {tier}")
    found = labs.run(lab_plan(image, tier=tier, **changes), TRY + code)
    assert isinstance(found, dict) and "failed" not in found, found
    return found


TRY = """
import ctypes, errno, os, socket, subprocess, sys, time
def attempt(act):
    try:
        return ["gained", repr(act())]
    except OSError as problem:
        return ["refused", errno.errorcode.get(problem.errno, str(problem))]
"""


@contextmanager
def listening(family: int, address: object) -> Iterator[list[bytes]]:
    """Something of the host that listens, and what it heard."""
    heard: list[bytes] = []
    with socket.socket(family, socket.SOCK_STREAM) as door:
        door.bind(address)
        door.listen(5)

        def serve() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(100))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        heard_at = door.getsockname()
        heard.clear()
        yield [heard, heard_at]  # type: ignore[list-item]
        door.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("tier", TIERS)
def test_a_lab_reaches_nothing_of_the_host(labs: LabSide, probe_image, tier: Tier) -> None:
    name = b"\0darkroom-test-" + os.urandom(8).hex().encode()
    with (
        listening(socket.AF_INET, ("127.0.0.1", 0)) as (heard, at),
        listening(socket.AF_UNIX, name) as (heard_too, _),
        launched(labs.side),
    ):
        code = f"""
def tcp(host, port):
    with socket.socket() as s:
        s.settimeout(2); s.connect((host, port)); s.sendall(b"hello")
def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect({name!r}); s.sendall(b"hello")
def run(session):
    kinds = [(f, t, p) for f in range(46) for t in (1, 2, 3, 5, 6, 10) for p in (0, 6, 17, 132, 262)]
    made = []
    for kind in kinds:
        try:
            socket.socket(*kind).close(); made.append(kind)
        except OSError:
            pass
    return {{
        "host": attempt(lambda: tcp("127.0.0.1", {at[1]})),
        "out": attempt(lambda: tcp("192.0.2.1", 80)),
        "metadata": attempt(lambda: tcp("169.254.169.254", 80)),
        "abstract": attempt(abstract),
        "made": made,

    }}
"""
        found = told(labs, probe_image.digest, tier, code)
        # the control: from outside, both are reached
        for family, where in ((socket.AF_INET, at), (socket.AF_UNIX, name)):
            with socket.socket(family) as control:
                control.connect(where)
                control.sendall(b"control")
        assert all(found[each][0] == "refused" for each in ("host", "out", "metadata", "abstract")), found
        assert {(family, kind) for family, kind, _ in found["made"]} <= {
            (1, 1), (1, 2), (1, 3), (1, 5), (2, 1), (2, 2), (10, 1), (10, 2),
        }  # fmt: skip
        assert {protocol for family, _, protocol in found["made"] if family != 1} <= {0, 6, 17}
        assert b"hello" not in [*heard, *heard_too]


@pytest.mark.parametrize("tier", TIERS)
def test_a_lab_has_a_loopback_sockets_links_fifos_and_terminals_of_its_own(
    labs: LabSide, probe_image, tier: Tier
) -> None:
    code = """
import fcntl, multiprocessing, pty, resource, sqlite3, struct, termios, threading
def loopback(family, host):
    with socket.socket(family) as door:
        door.bind((host, 0)); door.listen(1)
        with socket.socket(family) as mine:
            mine.connect(door.getsockname()); mine.sendall(b"hello")
            return door.accept()[0].recv(5).decode()
def unix(path):
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path); door.listen(1)
        with socket.socket(socket.AF_UNIX) as mine:
            mine.connect(path); mine.sendall(b"hello")
            return door.accept()[0].recv(5).decode()
def fifo(path):
    os.mkfifo(path)
    other = threading.Thread(target=lambda: open(path, "w").write("hello")); other.start()
    return open(path).read()
def terminal():
    pid, main = pty.fork()
    if pid == 0:
        os.write(1, os.ttyname(0).encode() + b" " + str(os.isatty(0)).encode()); os._exit(0)
    fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    said = os.read(main, 100).decode(); os.waitpid(pid, 0)
    return said
def child_limit():
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    try:
        hard = resource.prlimit(child.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (4096, hard))
        return resource.prlimit(child.pid, resource.RLIMIT_FSIZE)[0]
    finally:
        child.kill(); child.wait()
def run(session):
    os.symlink("x", HOME + "/link")
    return {
        "v4": attempt(lambda: loopback(socket.AF_INET, "127.0.0.1")), "v6": attempt(lambda: loopback(10, "::1")),
        "unix": attempt(lambda: unix("/tmp/door")), "home": attempt(lambda: unix(HOME + "/door")),
        "fifo": attempt(lambda: fifo("/tmp/fifo")), "terminal": attempt(terminal), "limit": attempt(child_limit),
        "link": os.readlink(HOME + "/link"),
    }
"""
    code = code.replace("sqlite3, ", "").replace("multiprocessing, ", "")
    with launched(labs.side):
        found = told(labs, probe_image.digest, tier, code)
    for each in ("v4", "unix", "home", "fifo"):
        assert found[each] == ["gained", "'hello'"], (each, found)
    assert found["v6"] == ["gained", "'hello'"] or tier is Tier.T2, found
    assert found["terminal"][0] == "gained" and "/dev/pts/" in found["terminal"][1], found
    assert "True" in found["terminal"][1]
    assert found["limit"] == ["gained", "4096"], found


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_that_a_lab_wrote_can_be_executed_and_setuid_means_nothing(
    labs: LabSide, probe_image, tier: Tier
) -> None:
    code = """
import shutil
def runs(path):
    return subprocess.run([path, "-I", "-S", "-c", "print(1)"], capture_output=True, check=True).stdout
def run(session):
    found = {}
    for place in (HOME, "/tmp", "/dev/shm"):
        path = place + "/python"
        try:
            shutil.copy("/python/bin/python3", path)
        except OSError as problem:
            found[place] = ["refused", "full"]; continue
        found[place + " mode"] = attempt(lambda: os.chmod(path, 0o6755))
        found[place] = attempt(lambda: runs(path)); os.unlink(path)
    found["control"] = attempt(lambda: runs("/python/bin/python3"))
    found["root"] = attempt(lambda: os.setuid(0) if os.getuid() else os.chown("/tmp", 5, 5))
    found["device"] = attempt(lambda: os.mknod(HOME + "/disk", 0o060600, os.makedev(8, 0)))
    found["image"] = attempt(lambda: open("/box/x", "w"))
    found["links"] = attempt(lambda: os.unlink("/links/hub"))
    found["mount"] = attempt(lambda: check(ctypes.CDLL(None, use_errno=True).mount(b"x", b"/tmp", b"tmpfs", 0, None)))
    found["namespace"] = attempt(lambda: check(ctypes.CDLL(None, use_errno=True).unshare(0x10000000)))
    return found
def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "")
"""
    with launched(labs.side):
        found = told(labs, probe_image.digest, tier, code, memory_mb=512, temp_mb=64)
    assert found.pop("control")[0] == "gained"
    refused = {name: what for name, what in found.items() if not name.endswith(" mode")}
    assert all(what[0] == "refused" for what in refused.values()), refused


@pytest.mark.parametrize("tier", TIERS)
def test_a_lab_sees_its_own_home_and_nobody_elses(labs: LabSide, probe_image, tier: Tier) -> None:
    canary = "canary-" + os.urandom(8).hex()
    leave = f"def run(session):\n    open(HOME + '/mine', 'w').write({canary!r})\n    return {{}}\n"
    look = f"""
import re
def run(session):
    found, seen = [], []
    for top in ("/home", "/links", "/mirror", "/tmp", "/out", "/in", "/etc"):
        for folder, folders, files in os.walk(top):
            seen += [os.path.join(folder, name) for name in folders + files]
    for path in seen:
        try:
            found += [path] if {canary!r} in open(path).read() else []
        except OSError: pass
    other = "/home/{home_of(OTHER)}"
    return {{
        "found": found, "listed": attempt(lambda: os.listdir("/home")), "other": attempt(lambda: os.listdir(other)),
        "beside": attempt(lambda: os.mkdir(other)), "away": attempt(lambda: os.rename(HOME, "/tmp/x")),
        "gone": attempt(lambda: os.rename(HOME, HOME + "x")), "up": attempt(lambda: os.listdir(HOME + "/../..")),
        "fd": attempt(lambda: os.listdir("/proc/1/root/home")), "open": attempt(lambda: os.chmod("/home", 0o777))}}
"""
    with launched(labs.side):
        found = told(labs, probe_image.digest, tier, "def run(session):\n    return {}\n")
        labs.run(lab_plan(probe_image.digest, OTHER), leave)
        assert (labs.home(OTHER) / "mine").read_text() == canary, "the control: it is there to be found"
        found = told(labs, probe_image.digest, tier, look)
        assert found["found"] == [], found
        assert all(found[each][0] == "refused" for each in ("other", "beside", "away", "gone", "open")), found
        assert labs.home() and labs.home(OTHER)


def test_a_fork_bomb_ends_with_its_lab_and_the_next_one_starts(labs: LabSide, probe_image) -> None:
    code = """
def run(session):
    count = 0
    while count < 500:
        try:
            if os.fork() == 0:
                time.sleep(600); os._exit(0)
            count += 1
        except OSError:
            break
    return {"count": count}
"""
    with launched(labs.side):
        found = told(labs, probe_image.digest, Tier.T1, code)
        assert found["count"] <= 64
        eventually(lambda: not of_boxes())
        assert told(labs, probe_image.digest, Tier.T1, "def run(session):\n    return {}\n") == {}


@pytest.mark.parametrize("tier", TIERS)
def test_a_mirror_is_read_and_not_written(labs: LabSide, probe_image, tier: Tier) -> None:
    mirror = labs.config.home.parent / "mirror"
    mirror.mkdir()
    mirror.chmod(0o755)
    (mirror / "package.whl").write_text("wheel")
    (mirror / "package.whl").chmod(0o644)
    changed = replace(labs, side=replace(labs.side, config=replace(labs.config, mirror=mirror)))
    code = """
def run(session):
    return {"read": open("/mirror/package.whl").read(), "write": attempt(lambda: open("/mirror/x", "w"))}
"""
    with launched(changed.side):
        found = told(changed, probe_image.digest, tier, code)
    assert found["read"] == "wheel" and found["write"][0] == "refused"


def test_what_is_denied_to_other_boxes_and_not_to_labs_is_this_and_no_more() -> None:
    def listed(table: object) -> set[tuple[str, object]]:
        return {(call, each.when) for each in table for call in each.calls}  # type: ignore[attr-defined]

    missing = listed(syscalls.DENIALS) - listed(syscalls.lab_denials())
    assert {call for call, _ in missing} == {"socket", "mknod", "mknodat", "prlimit64"}
    kept = [when for call, when in listed(syscalls.lab_denials()) if call == "prlimit64"]
    assert len(kept) == 1, "that of core dumps stays"
    signals = listed(syscalls.SIGNALS) - listed(syscalls.LAB_SIGNALS)
    assert {call for call, _ in signals} == {"flock", "fcntl"} and len(signals) == 7
    os.close(syscalls.filter_file(lab=True))


def test_the_walls_of_other_boxes_are_as_they_were(probe_image, real_boxes) -> None:
    """No other box gets a home, a terminal or a socket by the way labs get theirs."""
    from tests.sandbox.test_walls import words

    line = words()
    assert "--dev" not in line and "/home" not in line and "--lab" not in line and "/mirror" not in line


def test_homes_are_closed_to_the_hosts_other_users(labs: LabSide, probe_image) -> None:
    with launched(labs.side):
        told(labs, probe_image.digest, Tier.T1, "def run(session):\n    return {}\n")
        home = labs.home()
        modes = [path.stat().st_mode & 0o777 for path in (home, home.parent, home.parent.parent)]
        assert modes == [0o700, 0o711, 0o711]
        assert Path("/proc/self").exists()
