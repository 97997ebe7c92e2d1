"""Attacks that use too much (ATTACKS 22 and 46): each must end within its limit and 2 s, the neighbours unharmed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from plans.box import BoxState, Limits
from sandbox.attacks.attack import Attack, CannotRun, Scenario, Verdict
from sandbox.attacks.ground import Ground, Ran
from sandbox.contract import Cause, Wall

SMALL = Limits(
    memory_mb=128, temp_mb=8, spill_mb=0, output_mb=4, cpu_s=5, wall_s=6, processes=16, files=64, cpus=1
)
OVER_MB, OVER_S = 64, 2.0
"""How far a box may go beyond its limits before it is ended."""

STARTS_S = 2.0
"""Allowed to a loaded machine for starting and wiping a box, beside the limits."""

SLOWER = 8
"""How many times slower a neighbour may be beside a fork bomb."""

TRIES, MORE = 3, 4
"""How often a bomb is tried of which a machine that stood still can be the reason: it was ended too late, or its engine
was not ready within its limit of time, which is so many times as long then. A launcher that is late is so each time.
"""

_ENGINE = """
import sys; sys.path.append("/box")
import duckdb
duckdb.sql("SET threads = 1; SET memory_limit = '64MB'; SET temp_directory = ''")
print("ready", flush=True)
duckdb.sql({sql!r}).fetchall()
print("got it", flush=True)
"""
_READY = "ready"
_TURNS = """
import os, time
for _ in range(30):
    if os.fork() == 0:
        while time.process_time() < 0.5: pass
        os._exit(0)
    os.wait()
"""


def memory(code: str, **limits: int) -> Scenario:
    """Return the attack that takes more memory than the box may have; it gained if it got away with it."""

    async def attack(ground: Ground) -> Verdict:
        ran, allowed = await _run(ground, code, replace(SMALL, **limits))
        over = ran.peak_mb - allowed.memory_mb
        late = _late(ran, allowed)
        got_away = ran.ending.state is BoxState.EXITED and b"got it" in ran.told
        how = f"ended as {_ending(ran)} after {ran.seconds:.1f} s, peak {ran.peak_mb:.0f} of {allowed.memory_mb} MiB"
        return Verdict(over > OVER_MB or late or got_away, how)

    return attack


def time_bomb(code: str, *causes: Cause, may_fail: bool = False, **limits: int) -> Scenario:
    """Return the attack that does not end; it gained if the limit did not end it for one of these causes.

    `may_fail` is for bombs that may burst by themselves: what they ask for is refused, and they end.
    """

    async def attack(ground: Ground) -> Verdict:
        ran, allowed = await _run(ground, code, replace(SMALL, **limits))
        burst = may_fail and ran.ending.state is BoxState.FAILED
        good = (burst or ran.ending.cause in causes) and not _late(ran, allowed)
        return Verdict(not good, f"ended as {_ending(ran)} after {ran.seconds:.1f} s")

    return attack


def counted(code: str, most: int, **limits: int) -> Scenario:
    """Return the attack that counts how much of a thing it gets, and prints it; it gained if that is above `most`."""

    async def attack(ground: Ground) -> Verdict:
        ran = await ground.run(code, limits=replace(SMALL, **limits))
        words = ran.told.split()
        got = int(words[-1]) if words else 0
        return Verdict(got > most, f"got {got}, {most} are allowed")

    return attack


async def busy_neighbour(ground: Ground) -> Verdict:
    """Beside a fork bomb a neighbour's small work still gets done, in a few times its time alone."""
    work, modest = "print(sum(range(2 * 10**6)))", replace(SMALL, wall_s=60, cpu_s=30)
    for _ in range(TRIES):
        alone = await ground.run(work, limits=modest)
        bomb = asyncio.create_task(ground.run(_FORKS, limits=replace(SMALL, wall_s=4)))
        await asyncio.sleep(0.5)
        beside = await ground.run(work, limits=modest)
        await bomb
        slower = beside.seconds / max(alone.seconds, 0.05)
        done = beside.ending.state is BoxState.EXITED and beside.told == alone.told
        if not done or slower <= SLOWER:
            break
    return Verdict(
        not done or slower > SLOWER, f"{slower:.1f} times slower beside a fork bomb, {_ending(beside)}"
    )


async def flood_of_words(ground: Ground) -> Verdict:
    """A box that floods its output neither fills the launcher's memory nor outlives its limit."""
    code = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    for _ in range(TRIES):
        began = time.monotonic()
        async with ground.living("-c", code, limits=replace(SMALL, wall_s=2)) as (box, pipes):
            await pipes.from_box.read(1000)
            ending = await box.wait()
            held = len(getattr(pipes.from_box, "_buffer", b""))
        late = time.monotonic() - began > 2 + OVER_S + STARTS_S
        if not late:
            break
    bad = ending.cause not in (Cause.WALL, Cause.CPU) or held > 4 << 20 or late
    return Verdict(bad, f"ended by {ending.cause or ending.state}, {held >> 10} KiB waited at the launcher")


async def _run(ground: Ground, code: str, allowed: Limits) -> tuple[Ran, Limits]:
    """Run a bomb, and see that an engine was ready before: one that cannot even start shows nothing. Returns what came
    of it, and within which limits.
    """
    for _ in range(TRIES):
        ran = await ground.run(code, limits=allowed)
        unready = _READY in code and _READY.encode() not in ran.told
        if not unready and not _late(ran, allowed):
            return ran, allowed
        if unready and ran.ending.cause is Cause.WALL:
            allowed = replace(allowed, wall_s=MORE * allowed.wall_s)
    if unready:
        raise CannotRun(f"the engine did not start ({_ending(ran)})")
    return ran, allowed


def _late(ran: Ran, allowed: Limits) -> bool:
    return ran.seconds > allowed.wall_s + OVER_S + STARTS_S


def _ending(ran: Ran) -> str:
    return ran.ending.cause or f"{ran.ending.state} {ran.ending.status}"


def _tmpfs(folder: str) -> str:
    return (
        "n = 0\ntry:\n    while n < 64:\n"
        f"        n += open(f'{folder}/{{n}}', 'wb', buffering=0).write(b'x' * 2**20) // 2**20\n"
        "except OSError: pass\nprint(n)"
    )


_FORKS = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
_COUNT_FORKS = """
import os, time
n = 0
try:
    while n < 60:
        if os.fork() == 0: time.sleep(3); os._exit(0)
        n += 1
except OSError: pass
print(n, flush=True); os._exit(0)
"""
_COUNT_THREADS = """
import os, threading, time
threading.stack_size(64 << 10)
n = 0
try:
    while n < 60: threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1
except RuntimeError: pass
print(n, flush=True); os._exit(0)
"""
_COUNT_FILES = (
    "n = []\ntry:\n    while len(n) < 500: n.append(open('/dev/null'))\nexcept OSError: pass\nprint(len(n))"
)
_BYTES = "x = []\nfor _ in range(400): x.append(bytearray(b'x' * 2**20))\nprint('got it')"
_MAPPED = """
import mmap
x = []
for _ in range(25): m = mmap.mmap(-1, 2**24); m.write(b'x' * 2**24); x.append(m)
print('got it')
"""
_SHARED_MAP = """
import mmap, os
m = mmap.mmap(-1, 400 * 2**20)
for _ in range(3): os.fork()
for n in range(400): m[n * 2**20:(n + 1) * 2**20] = b'x' * 2**20
print('got it')
"""
_MANY = """
import os, time
for _ in range(3): os.fork()
x = []
for _ in range(60): x.append(bytearray(b'x' * 2**20)); time.sleep(0.01)
time.sleep(1)
print('got it')
"""
_MEMORY_FILE = """
import os
for _ in range(50):
    f = os.memfd_create('x')
    for _ in range(7): os.write(f, b'x' * 2**20)
print('got it')
"""
_TEMPORARY = """
x = []
for place in ('/tmp', '/dev/shm'):
    n = 0
    try:
        while True: open(f'{place}/{n}', 'wb').write(b'x' * 2**20); n += 1
    except OSError: pass
for _ in range(120): x.append(bytearray(b'x' * 2**20))
print('got it')
"""
ENGINE = {"memory_mb": 256}
_ENDS = (Cause.WALL, Cause.CPU, Cause.MEMORY)
_MEM = frozenset({Wall.MEMORY})
_NO_WALL = "the launcher's watcher ends it, and is no wall of a box; modest work in the same box ends well"

_MEMORY_BOMBS = (
    (46, "bytes", _BYTES, {}, _MEM),
    (46, "mapped-memory", _MAPPED, {}, _MEM),
    (46, "shared-mapping", _SHARED_MAP, {"processes": 32}, frozenset()),
    (46, "many-processes", _MANY, {"processes": 32}, frozenset()),
    (46, "memory-file", _MEMORY_FILE, {}, frozenset({Wall.SYSCALLS, Wall.MEMORY})),
    (46, "files-in-memory", _TEMPORARY, {}, frozenset()),
    (22, "engine-repeat", _ENGINE.format(sql="SELECT length(repeat('x', 600000000))"), ENGINE, frozenset()),
    (22, "engine-range", _ENGINE.format(sql="SELECT length(range(80000000)::VARCHAR)"), ENGINE, frozenset()),
    (22, "engine-array", _ENGINE.format(
        sql="SELECT length(array_to_string(list_transform(range(9000000), x -> 'xxxxxxxxxxxxxxxx'), ','))"
    ), ENGINE, frozenset()),
)  # fmt: skip
_ENDLESS_SQL = {
    "recursion": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "cross-join": "SELECT count(*) FROM range(1000000) a(i), range(1000000) b(j) WHERE (i * j) % 7919 = 3",
    "regular-expression": (
        "SELECT sum(length(regexp_replace(repeat('a', 2000) || i, '(a|aa|aaa)*(b|$)', 'x', 'g')))"
        " FROM range(100000000) r(i)"
    ),
}
_FLOODS = {
    "bytes": "for n in range(100000):\n    open(f'/out/{n}', 'wb').write(b'x' * 2**20)",
    "files": "for n in range(1000000): open(f'/out/{n}', 'wb')",
    "folders": "import os\nfor n in range(100000): os.makedirs(f'/out/{n}/a/b/c')",
    "descent": "import os\nos.chdir('/out')\nwhile True: os.mkdir('d'); os.chdir('d')",
}


def _made(
    number: int, name: str, title: str, scenario: Scenario, walls: frozenset[Wall], sample: bool = False
) -> Attack:
    return Attack(
        name=name, number=number, section="A" if number == 22 else "C", title=title, scenario=scenario, walls=walls,
        no_control="" if walls else _NO_WALL, sample=sample,
    )  # fmt: skip


ATTACKS = (
    *(
        _made(number, f"memory-{name}", "memory bomb: " + name.replace("-", " "), memory(code, **limits), walls,
              name == "bytes")
        for number, name, code, limits, walls in _MEMORY_BOMBS
    ),
    *(
        _made(22, f"endless-{name}", "endless statement: " + name.replace("-", " "),
              time_bomb(_ENGINE.format(sql=sql), *_ENDS, wall_s=3, cpu_s=30, **ENGINE), frozenset())
        for name, sql in _ENDLESS_SQL.items()
    ),
    _made(22, "processor-time", "more processor time than allowed",
          time_bomb("while True: pass", Cause.CPU, cpu_s=1, wall_s=20), frozenset()),
    _made(22, "processor-time-in-turns", "processor time of many processes, one after the other",
          time_bomb(_TURNS, Cause.CPU, cpu_s=1, wall_s=20), frozenset()),
    _made(46, "wall-clock", "sleeping past the clock",
          time_bomb("import time; time.sleep(60)", Cause.WALL, wall_s=1), frozenset(), True),
    _made(46, "fork-bomb", "fork bomb",
          time_bomb(_FORKS, *_ENDS, may_fail=True, wall_s=2), frozenset(), True),
    _made(46, "fork-count", "more processes than allowed",
          counted(_COUNT_FORKS, SMALL.processes + 2), frozenset({Wall.PROCESS_COUNT})),
    _made(46, "thread-count", "more threads than allowed",
          counted(_COUNT_THREADS, SMALL.processes + 2), frozenset({Wall.PROCESS_COUNT})),
    _made(46, "file-count", "more open files than allowed",
          counted(_COUNT_FILES, SMALL.files), frozenset({Wall.OPEN_FILES})),
    _made(46, "fill-tmp", "filling /tmp", counted(_tmpfs("/tmp"), SMALL.temp_mb), frozenset({Wall.TEMP_SIZE})),
    _made(46, "fill-shared", "filling /dev/shm", counted(_tmpfs("/dev/shm"), 16), frozenset({Wall.TEMP_SIZE})),
    *(
        _made(46, f"flood-{name}", f"flood of outputs: {name}", time_bomb(code, Cause.OUTPUT, wall_s=10), frozenset())
        for name, code in _FLOODS.items()
    ),
    _made(46, "flood-of-words", "flood of words to the launcher", flood_of_words, frozenset()),
    _made(46, "busy-neighbour", "a fork bomb starves its neighbour", busy_neighbour, frozenset()),
)  # fmt: skip
