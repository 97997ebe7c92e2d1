"""A member's program does its work in the box, and gains nothing from the runner that holds the keys.

Attacks on the runner have a control: the same program without the runner's own walls (`weak`), where it succeeds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plans.box import Outputs
from plans.decision import Tier
from plans.trial import LONGEST_LOG, Place, twin_of
from sandbox import conversation, images, recipes
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Cause
from sandbox.conversation import Failure
from sandbox.gvisor import GvisorBoxes
from sandbox.identities import Identities
from tests.inside import python_cases
from tests.inside.python_cases import CANARY, KEY, Stand
from tests.plans import examples

pytestmark = pytest.mark.box
MEMBER = Path(__file__).parent / "member"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="darkroom-python-"))
    folder.chmod(0o711)
    yield folder
    assert list(folder.iterdir()) == [], "a box left something on the host"
    folder.rmdir()


@pytest.fixture(scope="module")
def stand(home: Path) -> Stand:
    """T1."""
    image = images.build(MEMBER)
    return Stand(BubblewrapBoxes(home, recipes.images_folder(), Identities(64301, 8)), image)


@pytest.fixture(scope="module")
def strong(home: Path, stand: Stand) -> Stand:
    """T2, where there is no Landlock: the program is another user in the box."""
    boxes = GvisorBoxes(home, recipes.images_folder(), Identities(64311, 8))
    if not boxes.offers():
        pytest.skip("this machine has no T2")
    return Stand(boxes, stand.image, Tier.T2)


# ------------------------------------------------------------------------------------------------ what it does


def test_a_folder_runs_with_its_modules_arguments_and_tables(stand: Stand) -> None:
    main = (
        "import os, sys, duckdb, darkroom\nfrom lib.shape import double\n"
        "incomes = darkroom.table('tax.income')\n"
        "n, kind = duckdb.sql('select count(*), typeof(any_value(income)) from incomes').fetchone()\n"
        "print(double(n), kind, __name__, os.getcwd() == sys.path[0])\n"
        "darkroom.out('tables/a.csv').write_text('x,y\\n')"
    )
    sources = {"main.py": main, "lib/__init__.py": "", "lib/shape.py": "def double(n): return 2 * n\n"}
    report = stand.trial(sources, twin_of(examples.MANIFEST))
    assert (report.code, report.text, report.place) == ("", "", None)
    assert report.log == "2000 DOUBLE __main__ True\n"
    assert [(each.name, each.size) for each in report.left] == [("tables/a.csv", 4)]


def test_a_failure_of_a_trial_is_shown_whole_with_its_line(stand: Stand) -> None:
    report = stand.trial({"main.py": "import lib\n\nlib.go(0)\n", "lib.py": "def go(n):\n    return 1 / n\n"})
    assert (report.code, report.place) == ("python.failed", Place("lib.py", 2, "ZeroDivisionError"))
    assert (
        report.text.startswith("Traceback") and "lib.go(0)" in report.text and "bootstrap" not in report.text
    )
    assert report.text.endswith("ZeroDivisionError: division by zero\n") and report.text in report.log


@pytest.mark.parametrize(
    ("code", "ends", "line"),
    [
        ("raise SystemExit(0)", "", 0),
        ("exit()", "", 0),
        ("import sys\nsys.exit(3)", "python.failed", 2),
        ("x = 1\nthis is no python", "python.failed", 2),
        ("import os; os._exit(0)", "", 0),
        ("import os; os._exit(9)", "python.failed", 0),
        ("import os; os.kill(os.getpid(), 9)", "python.memory", 0),
        ("import os; os.kill(os.getpid(), 11)", "python.failed", 0),
        ("x = bytearray(2**40)", "python.memory", 1),
        (
            "import threading\ndef go(): raise ValueError\nt = threading.Thread(target=go); t.start(); t.join()",
            "",
            0,
        ),
        ("import no_such_module", "python.failed", 1),
        ("raise KeyboardInterrupt", "python.failed", 1),
        ("def f(): f()\nf()", "python.failed", 1),
        (
            "import os\nos.close(1); os.close(2)",
            "",
            0,
        ),
    ],
)
def test_every_way_to_end_has_one_of_few_codes(stand: Stand, code: str, ends: str, line: int) -> None:
    report = stand.trial(code)
    assert report.code == ends
    assert (report.place.line if report.place else 0) == line


def test_processor_time_has_its_code_and_wall_time_ends_the_box(stand: Stand) -> None:
    assert stand.trial("while True: pass", cpu_s=1).code == "python.time"
    began = time.monotonic()
    worked = stand.work("import time; time.sleep(600)", wall_s=2)
    assert worked.ending.cause is Cause.WALL and time.monotonic() - began < 120


def test_the_houses_modules_are_not_for_members_and_their_own_of_that_name_are(stand: Stand) -> None:
    look = (
        "found = []\nfor name in ('inside', 'keys', 'plans', 'policies', 'airlock', 'inside.session'):\n"
        "    try: __import__(name); found.append(name)\n    except ModuleNotFoundError: pass\nprint(found)\n"
        "import duckdb"
    )
    assert stand.trial(look).log == "[]\n"
    assert stand.trial({"main.py": look, "plans.py": "", "keys/__init__.py": ""}).log == "['keys', 'plans']\n"


# ------------------------------------------------------------------- what leaves a program that has seen data


LEAVE = (
    "import os\nout = os.environ['DARKROOM_OUT']\nopen(f'{out}/model.bin', 'w').write('CANARY' * 3)\n"
    "print(os.read(4, 100).decode())"
).replace("CANARY", CANARY)


def test_outputs_and_log_leave_sealed_in_one_padded_file(stand: Stand) -> None:
    worked = stand.work(LEAVE)
    assert worked.last == {"report": {}} and worked.files == {
        "files/model.bin": (CANARY * 3).encode(), "log.txt": f"{CANARY}\n".encode(),
    }  # fmt: skip
    assert list(worked.sealed) == ["output.bin"] and CANARY.encode() not in worked.sealed["output.bin"]
    assert len(worked.sealed["output.bin"]) == len(stand.work("pass").sealed["output.bin"]) == 2**16 + 28


def test_a_failure_on_data_is_a_code_for_everybody_but_the_launcher(stand: Stand) -> None:
    """20, 21, 90. The message holds a value; the box's last word does not. The control: a trial's does."""
    code = f"import os\nraise ValueError('{CANARY}')"
    worked = stand.work(code)
    facts = {"file": "main.py", "line": 2, "error": "ValueError"}
    assert worked.last == {"failure": {"code": "python.failed", "facts": facts}} and worked.sealed == {}
    assert CANARY in stand.trial(code).text


def test_ten_thousand_raise_lines_are_one_answer(stand: Stand) -> None:
    """90. The launcher knows the line, for comparing; what is told is a code (`sandbox.telling` says what else)."""
    code = "n = 1234\n" + "\n".join(f"if n == {n}: raise ValueError" for n in range(10_000))
    last = stand.work(code).last["failure"]
    assert last["facts"]["line"] == 1236
    assert conversation._bare(conversation.failure_in({"failure": last})) == Failure("python.failed", {})


@pytest.mark.parametrize(
    "leave",
    [
        "os.link(__file__, out + '/a')", "open(out + '/A', 'w')", "open(out + '/x\\n', 'w')",
        "open(out + '/' + 'x' * 101, 'w')", "os.makedirs(out + '/a/b/c/d/e'); open(out + '/a/b/c/d/e/f', 'w')",
        "[open(out + f'/{n}', 'w') for n in range(9)]", "[os.mkdir(out + f'/{n}') for n in range(40)]",
        "open(out + '/big', 'wb').write(bytes(5 * 2**20))", "open(out + '/sparse', 'wb').truncate(2**22 + 9)",
        "os.rmdir(out)", "os.rmdir(out); open(out, 'w')", "open(out + '/a', 'w'); os.chmod(out, 0)",
    ],
)  # fmt: skip
def test_what_the_plan_does_not_allow_does_not_leave(stand: Stand, leave: str) -> None:
    """50, 51, 52. The refusal is a code; the control is the test above."""
    worked = stand.work(f"import os\nout = os.environ['DARKROOM_OUT']\n{leave}", output_mb=4)
    assert worked.last["failure"]["code"] == "python.outputs" and worked.sealed == {}


def test_only_named_outputs_leave_where_the_plan_names_them(stand: Stand) -> None:
    assert stand.work(LEAVE, may=Outputs(1, ("model.bin",))).last == {"report": {}}
    assert stand.work(LEAVE, may=Outputs(1, ("other.bin",))).last["failure"]["code"] == "python.absent"
    both = Outputs(2, ("model.bin", "other.bin"))
    assert stand.work(LEAVE, may=both).last["failure"]["code"] == "python.absent"
    extra = LEAVE + "\nopen(f'{out}/extra.txt', 'w').write('x')"
    named = Outputs(1, ("model.bin",))
    assert stand.work(extra, may=named).last["failure"]["code"] == "python.undeclared"


# -------------------------------------------------------------------------------------- against the runner

AGAINST = """
import json, os, signal, sys
def look(path, what):
    with open(path, "rb") as file: return what in file.read()
def memory():
    key, found = bytes.fromhex("KEY"), False
    for line in open("/proc/1/maps"):
        span, mode = line.split()[:2]
        start, end = (int(part, 16) for part in span.split("-"))
        if "rw" in mode and end - start < 2**26:
            with open("/proc/1/mem", "rb") as file:
                file.seek(start)
                content = file.read(end - start)
                found = found or key in content or b"KEY" in content
    return found
def trace():
    import ctypes
    return ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0
ATTACKS = {
    "memory": memory,
    "maps": lambda: look("/proc/1/maps", b"python"),
    "environment": lambda: look("/proc/1/environ", b"HOME"),
    "open files": lambda: bool(os.listdir("/proc/1/fd")),
    "inherited files": lambda: bool(os.fstat(20)),
    "the launcher's pipes": lambda: any(os.open(f"/proc/1/fd/{n}", n) >= 0 for n in (0, 1)),
    "working directory": lambda: bool(os.readlink("/proc/1/cwd")),
    "root": lambda: bool(os.listdir("/proc/1/root/out") or True),
    "the box's inputs": lambda: isinstance(os.listdir("/in"), list),
    "the node's disk": lambda: bool(open("/out/leak", "w").write("CANARY")),
    "the node's disk through the runner": lambda: bool(open("/proc/1/root/out/leak2", "w").write("CANARY")),
    "interrupt": lambda: os.kill(1, 0) is None,
    "limits": lambda: __import__("resource").prlimit(1, __import__("resource").RLIMIT_CPU) is not None,
    "scheduling": lambda: os.sched_setaffinity(1, {0}) is None,
}
gained = {}
for name, attack in ATTACKS.items():
    try: gained[name] = attack()
    except OSError as problem: gained[name] = False
print(json.dumps(gained))
""".replace("KEY", KEY).replace("CANARY", CANARY)

NO_WALL_OF_OURS = {"limits", "scheduling"}
"""What the kernel lets a process do to another of its user: slow it, or take its memory. Then its own job fails."""


NO_CONTROL = {"the launcher's pipes", "limits"}
"""The pipes are the launcher's own files, which has another user id; so nobody else can open them anew. Limits of
another process are denied by the box's filter, which this control leaves standing."""

TOLD_IN_T2 = {"maps", "environment", "open files"}
"""What Debian's gVisor shows of a process to others of its box: addresses, numbers, settings of ours; no secret."""


def gained(stand: Stand, weak: bool) -> dict[str, bool]:
    worked = stand.work(AGAINST, weak=weak)
    return dict(json.loads(worked.log))


def test_a_program_gains_nothing_from_its_runner(stand: Stand) -> None:
    """40, 87, 41. Keys, pipes, folders and limits of the process that holds the keys."""
    found = gained(stand, weak=False)
    assert {name for name, won in found.items() if won} <= NO_WALL_OF_OURS


def test_without_the_runners_walls_it_gains_all_of_it(stand: Stand) -> None:
    found = gained(stand, weak=True)
    assert {name for name, won in found.items() if not won} <= NO_CONTROL


def test_a_program_gains_nothing_from_its_runner_in_t2(strong: Stand) -> None:
    """The control: the node's disk and inherited files can be reached there without the runner's walls."""
    found, careless = gained(strong, weak=False), gained(strong, weak=True)
    assert {name for name, won in found.items() if won} <= NO_WALL_OF_OURS | TOLD_IN_T2
    assert {"the node's disk", "inherited files"} <= {name for name, won in careless.items() if won}


def test_programs_work_and_fail_in_t2_as_in_t1(strong: Stand) -> None:
    worked = strong.work(LEAVE)
    assert sorted(worked.files) == ["files/model.bin", "log.txt"] and list(worked.sealed) == ["output.bin"]
    report = strong.trial("import darkroom\nprint(darkroom.tables())\n1 / 0", twin_of(examples.MANIFEST))
    assert (report.code, report.place) == ("python.failed", Place("main.py", 3, "ZeroDivisionError"))
    assert report.log.startswith("['tax.income']\n")


def test_what_is_left_running_or_unreadable_in_t2_is_dealt_with(strong: Stand) -> None:
    """47, 50. The program's processes and files belong to another user of the box than its runner."""
    last = strong.work(OUTLIVE).last
    assert last == {"report": {}}
    hidden = "import os\nout = os.environ['DARKROOM_OUT']\nopen(out + '/a', 'w').write('x'); os.chmod(out + '/a', 0)"
    assert strong.work(hidden).files["files/a"] == b"x"
    below = (
        "import os\nout = os.environ['DARKROOM_OUT'] + '/b'\nos.mkdir(out); open(out + '/a', 'w').write('x')"
    )
    assert strong.work(below).files["files/b/a"] == b"x"
    linked = "import os\nos.symlink('/box', os.environ['DARKROOM_OUT'] + '/a')"
    assert strong.work(linked).last["failure"]["code"] in ("python.outputs", "python.failed")


OUTLIVE = (
    "import os, signal, time\nout = os.environ['DARKROOM_OUT']\n"
    "for n in range(4):\n"
    "    if os.fork() == 0:\n"
    "        os.setsid(); signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.valid_signals()))\n"
    "        if os.fork() == 0:\n"
    "            while True:\n"
    "                open(f'{out}/late-{n}', 'a').write('x'); time.sleep(0.01)\n"
    "        os._exit(0)\n"
    "while len(os.listdir(out)) < 4 or not all(os.path.getsize(f'{out}/{each}') for each in os.listdir(out)):\n"
    "    time.sleep(0.01)\n"
    "print(sorted(os.listdir(out)), max(os.path.getsize(f'{out}/late-{n}') for n in range(4)))"
)

FORGE = """
import os, struct, json
body = b'{"report":{"salary":"CANARY"}}'
frame = struct.pack(">I", len(body)) + body
for number in range(64):
    try: os.write(number, frame)
    except OSError: pass
for path in ("/proc/1/fd/1", "/proc/1/fd/10", "/dev/stdout", "/proc/self/fd/1"):
    try: os.write(os.open(path, os.O_WRONLY), frame)
    except OSError: pass
""".replace("CANARY", CANARY)


def test_a_program_cannot_speak_in_its_runners_place(stand: Stand) -> None:
    """A forged report is text in the log. The control: where the runner's pipe can be opened, it is a report."""
    assert stand.work(FORGE).last == {"report": {}}
    assert CANARY in stand.work(FORGE).log
    assert stand.work(FORGE, weak=True).last == {"report": {"salary": CANARY}}


@pytest.mark.usefixtures("interrupts")
def test_signals_do_not_reach_the_runner(stand: Stand) -> None:
    """The control: a runner that has not closed up is interrupted."""
    send = "    try: os.kill(1, number)\n    except OSError: pass\n"
    every = f"import os\nfor number in range(1, 65):\n{send}print('done')"
    assert stand.work(every).log == "done\n"
    assert stand.work("import os, time; os.kill(1, 2); time.sleep(60)", weak=True).last == {}


def test_a_program_that_is_not_parted_from_the_disk_does_not_run(stand: Stand) -> None:
    """The wall is tried before the first line runs: here the fence is taken away, and nothing runs."""
    unfenced = python_cases.WORK.replace('"unsafe"', '"nothing"')
    original, python_cases.WORK = python_cases.WORK, unfenced
    try:
        assert stand.work("print(1)", weak=True).last == {"failure": {"code": "python.unfenced", "facts": {}}}
    finally:
        python_cases.WORK = original


# --------------------------------------------------------------------------------------------------- its end


def test_what_a_program_leaves_running_is_gone_before_its_outputs_are_read(stand: Stand) -> None:
    """47. Double forks, new sessions, ignored signals, one that holds the log open, one that writes on."""
    worked = stand.work(OUTLIVE)
    assert worked.last == {"report": {}} and worked.ending.cause is Cause.NONE, (
        "none of them went on until a limit"
    )
    names, _, size = worked.log.rpartition(" ")
    assert names == "['late-0', 'late-1', 'late-2', 'late-3']", "the control: they did run"
    late = [len(content) for name, content in worked.files.items() if name != "log.txt"]
    assert len(late) == 4 and min(late) > 0 and max(late) < int(size) + 6000, "they wrote no minute longer"


def test_a_fork_bomb_ends_with_its_program(stand: Stand) -> None:
    """46. The main process ends; the bomb that it leaves does not outlive it."""
    bomb = "    while True:\n        try: os.fork()\n        except OSError: pass\n"
    code = f"import os\nif os.fork() == 0:\n{bomb}print('up')"
    assert stand.work(code).log == "up\n"


# --------------------------------------------------------------------------------------------------- planted


def test_planted_start_files_mean_nothing(stand: Stand, tmp_path: Path) -> None:
    """45. The control: a Python that is started without care runs them."""
    planted = {
        "sitecustomize.py": "print('planted')",
        "usercustomize.py": "print('planted')",
        "x.pth": "import x",
    }
    assert stand.trial({"main.py": "print('mine')", **planted}).log == "mine\n"
    (tmp_path / "sitecustomize.py").write_text("print('planted')")
    careless = [sys.executable, "-c", "print('mine')"]
    told = subprocess.run(careless, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert told.stdout == "planted\nmine\n"


def test_the_environment_of_a_program_is_its_own(stand: Stand) -> None:
    """40. The launcher's environment holds a canary, which is the control."""
    os.environ["DARKROOM_CANARY"] = CANARY
    try:
        found = stand.trial("import os, json; print(json.dumps(dict(os.environ)))").log
    finally:
        del os.environ["DARKROOM_CANARY"]
    assert CANARY not in found and set(json.loads(found)) == {
        "DARKROOM_TABLES", "DARKROOM_OUT", "DARKROOM_MODELS", "HOME", "TMPDIR", "LANG", "MALLOC_ARENA_MAX",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "PYTHONPATH",
        "LOKY_MAX_CPU_COUNT",
    }  # fmt: skip


def test_a_program_has_its_three_standard_files_and_no_other(stand: Stand) -> None:
    """43. Beside them: the pipe on which it says where it failed, and the one that lists them."""
    assert stand.trial("import os; print(os.listdir('/proc/self/fd'))").log == "['0', '1', '2', '3', '4']\n"
    assert stand.trial("import sys; print(sys.stdin)").code == ""


# ------------------------------------------------------------------------------------------------------- logs


def test_a_flood_of_text_is_slowed_and_cut_to_its_beginning_and_end(stand: Stand) -> None:
    """46."""
    code = "print('first')\nfor n in range(400): print('x' * 65535)\nprint('last')"
    began = time.monotonic()
    worked = stand.work(code)
    assert time.monotonic() - began >= 2, "25 MiB at 8 MiB a second"
    assert worked.log.startswith("first\n") and worked.log.endswith("last\n")
    assert "bytes left out" in worked.log and len(worked.log) <= LONGEST_LOG


def test_a_flood_on_the_pipe_for_failures_stops_nobody_but_its_program(stand: Stand) -> None:
    code = "import os\nfor n in range(64): os.write(3, b'x' * 65536)\nprint('last')"
    worked = stand.work(code)
    assert worked.log == "last\n"


def test_what_a_program_says_of_its_failure_is_believed_as_far_as_its_form_goes(stand: Stand) -> None:
    forged: Any = {"file": CANARY + "\n../x", "line": 1, "error": "E", "text": ""}
    code = f"import os\nos.write(3, {json.dumps(forged)!r}.encode())\nos._exit(1)"
    assert stand.work(code).last == {"failure": {"code": "python.failed", "facts": {}}}


def test_a_program_cannot_break_its_runner_by_the_line_that_it_names(stand: Stand) -> None:
    """90: one code more would be one more thing to say."""
    named: Any = {"file": "main.py", "line": 10**22, "error": "E", "text": ""}
    code = f"import os\nos.write(3, {json.dumps(named)!r}.encode())\nos._exit(1)"
    assert stand.work(code).last == {"failure": {"code": "python.failed", "facts": {}}}
    named["line"] = 1
    code = f"import os\nos.write(3, {json.dumps(named)!r}.encode())\nos._exit(1)"
    assert stand.work(code).last["failure"]["facts"]["line"] == 1, "the control"
