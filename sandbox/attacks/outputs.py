"""Attacks by what a box leaves in `/out` (ATTACKS 50 to 52): the launcher collects it, and must not be led astray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.attacks.attack import Attack, CannotRun, Scenario, Verdict
from sandbox.attacks.ground import Ground
from sandbox.contract import Wall

_PREPARE = "import os, socket, sys, io, tarfile, zipfile, zlib\nfile, = sys.argv[1:]\nos.chdir('/out')\n"
_DONE = "\nprint('left', flush=True)"
_FIFO = frozenset({Wall.SYSCALLS, Wall.LANDLOCK})
_LINK = frozenset({Wall.LANDLOCK})

LEFT: dict[str, tuple[int, str, frozenset[Wall]]] = {
    "symbolic-link": (50, "os.symlink(file, 'x')", _LINK),
    "symbolic-link-up": (50, "os.symlink('../../../../../..' + file, 'x')", _LINK),
    "symbolic-link-to-folder": (50, "os.symlink('/', 'x')", _LINK),
    "symbolic-link-to-itself": (50, "os.symlink('x', 'x')", _LINK),
    "hard-link": (50, "open('x', 'w').write('1'); os.link('x', 'y')", frozenset()),
    "fifo": (50, "os.mkfifo('x')", _FIFO),
    "socket": (50, "s = socket.socket(socket.AF_UNIX); s.bind('x')", _FIFO),
    "device": (50, "os.mknod('x', 0o060666, os.makedev(8, 0))", frozenset()),
    "folder": (50, "os.makedirs('x/y/z')", frozenset()),
    "folder-of-links": (50, "os.mkdir('x'); os.symlink('..', 'x/x')", _LINK),
    "line-break-in-name": (51, "open('a\\nb', 'w').write('1')", frozenset()),
    "name-that-turns-round": (51, "open('a\\u202eb', 'w').write('1')", frozenset()),
    "name-that-goes-up": (51, "open('..%2fx', 'w').write('1'); open('..x', 'w').write('1')", frozenset()),
    "long-name": (51, "open('x' * 255, 'w').write('1')", frozenset()),
    "bytes-in-name": (51, "open(b'\\xff\\xfe', 'w').write('1')", frozenset()),
    "data-in-name": (51, "open('PERSON 1234 EARNS 5', 'w').write('1')", frozenset()),
    "hidden-name": (51, "open('.x', 'w').write('1')", frozenset()),
    "many-names": (51, "for n in range(2000): open(f'x{n}', 'w')", frozenset()),
    "pickle-that-runs": (
        69,
        "import pickle\nclass X:\n"
        "    def __reduce__(self): return (open, ('/tmp/planted-by-pickle', 'w'))\n"
        "pickle.dump(X(), open('x.pkl', 'wb'))",
        frozenset(),
    ),
    "sparse-file": (52, "open('x', 'wb').truncate(12 << 20)", frozenset()),
    "archive-that-goes-up": (
        52,
        "t = tarfile.open('x.tar', 'w'); i = tarfile.TarInfo('../..' + file); i.size = 1;"
        "t.addfile(i, io.BytesIO(b'1'))",
        frozenset(),
    ),
    "archive-with-absolute-path": (
        52, "z = zipfile.ZipFile('x.zip', 'w'); z.writestr('/tmp/planted-by-archive', '1'); z.close()", frozenset(),
    ),
    "decompression-bomb": (52, "open('x.gz', 'wb').write(zlib.compress(b'0' * (64 << 20), 9))", frozenset()),
}  # fmt: skip
"""What is left: its number, how, and what must be off for it to be there at all."""

_UNPACKED = "nothing unpacks or loads an output: it leaves as the bytes that it is"


def left(name: str) -> Scenario:
    """Return the attack: gained if anything of the host is collected, or more than plain files within the limits."""

    async def attack(ground: Ground) -> Verdict:
        number, code, walls = LEFT[name]
        ran = await ground.run(_PREPARE + code + _DONE, ground.planted.where["file"])
        taken = b"".join(ran.outputs.values()) + "".join(ran.outputs).encode()
        stray = ground.planted.found_in(taken) + _strays(ground)
        there = b"left" in ran.told
        if ground.without:
            return Verdict(
                there and not ran.outputs, f"it was there, and the collector refused: {ran.refused}"
            )
        if not there:
            return Verdict(bool(stray), "the box could not make it")
        too_much = number in (50, 51) and bool(ran.outputs)
        how = f"not collected: {ran.refused or ran.ending.cause or ran.ending.state}"
        return Verdict(bool(stray) or too_much, how if not ran.outputs else _UNPACKED)

    return attack


def _strays(ground: Ground) -> list[str]:
    """Return what an output has made outside the place where it is collected."""
    planted = (Path("/tmp/planted-by-archive"), Path("/tmp/planted-by-pickle"))
    places = (*planted, ground.home.parent / Path(ground.planted.where["file"]).name)
    return [str(path) for path in places if path.exists()]


async def renamed_while_collected(ground: Ground) -> Verdict:
    """An output changes into a link while it is collected. The box is gone by then, and so is whoever could do it."""
    code = "import os\nopen('/out/x', 'w').write('1')\nif os.fork() == 0:\n    while True: os.utime('/out/x')"
    ran = await ground.run(code, limits=replace(ground.limits, wall_s=10))
    same = ran.outputs.get("x") == b"1"
    if not same and not ran.refused:
        raise CannotRun("the box left nothing to collect")
    return Verdict(
        bool(ground.planted.found_in(b"".join(ran.outputs.values()))), "the box is gone when it is collected"
    )


_ALONE = "the collector is no wall of a box; tests/sandbox/test_walls.py tests it alone, with its controls"


def _made(name: str, **more: Any) -> Attack:
    number, _, walls = LEFT[name]
    section = "F" if number == 69 else "D"
    return Attack(
        name=f"leave-{name}", number=number, section=section, title="output: " + name.replace("-", " "),
        scenario=left(name), walls=walls, no_control="" if walls else _ALONE,
        sample=name in ("symbolic-link", "hard-link"), **more,
    )  # fmt: skip


ATTACKS = (
    *(_made(name) for name in LEFT),
    Attack(
        name="leave-change-while-collected", number=50, section="D", title="output: changed while it is collected",
        scenario=renamed_while_collected, no_control=_ALONE,
    ),
)  # fmt: skip
