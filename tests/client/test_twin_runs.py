"""A program on look-alike data runs here: like a job's, with nothing of the member's, and with a result that is read
like a released one and taken for none.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import darkroom
from compute.planning import House
from darkroom import local, session, twin_child, twin_memory
from darkroom.files import Files
from darkroom.job import Job
from darkroom.twin_child import LONGEST_S, Child
from darkroom.twin_files import TwinFiles
from darkroom.twin_memory import Room
from darkroom.twin_result import WARNING
from darkroom.twin_run import SENTENCES, TwinRun
from keys import api as keys
from plans.box import Entry, Limits, Outputs
from plans.errors import (
    BoxFailed,
    Malformed,
    NotFinished,
    NotFound,
    OutputRefused,
    StateConflict,
    Unreachable,
)
from plans.request import Request, RequestKind
from plans.trial import Folder
from sandbox import telling
from tests.client.conftest import Town
from tests.client.look_alikes import lay

MEI = "mei@nm/centre"
ABOUT = {"project": "housing", "purpose": "Study of rents"}
DIGEST = "sha256:" + "ab" * 32
LIMITS = dict.fromkeys(Entry, Limits(512, 256, 0, 16, 30, 60, 32, 64, 2))
TOML = """
entry = "main.py"
arguments = ["year=2023"]
[tables]
"tax.income" = ["region", "income"]
[outputs]
"by_region.csv" = { form = "table", persons = "persons" }
"fit.json" = "metrics"
"""
GOOD = """
import json, sys
import darkroom

incomes = darkroom.table("tax.income").to_pandas()
assert list(incomes.columns) == ["person", "income", "region"], list(incomes.columns)
print("year", darkroom.parameters["year"])
made = incomes.groupby("region").agg(persons=("person", "nunique"), mean=("income", "sum")).reset_index()
made["mean"] = made["mean"].astype(float) / 1.5
made.to_csv(darkroom.out("by_region.csv"), index=False)
darkroom.out("fit.json").write_text(json.dumps({"n": 1000, "auc": 0.5}))
"""
PLAIN = """
import darkroom

darkroom.out("by_region.csv").write_text("region,persons,mean\\n1,400,1.5\\n2,600,2.5\\n")
darkroom.out("fit.json").write_text('{"n": 1000, "auc": 0.5}')
"""
"""The same outputs without pandas, whose import takes longer than all else that a program does here."""


@pytest.fixture(autouse=True)
def nothing_chosen() -> Any:
    local.choose("", "", "")
    session.forget()
    yield
    local.choose("", "", "")
    session.forget()


@pytest.fixture
def room(town: Town, monkeypatch: pytest.MonkeyPatch) -> darkroom.Connection:
    lay(town)
    house = House(DIGEST, LIMITS, dict.fromkeys(Entry, (DIGEST,)), {DIGEST: "python"})
    object.__setattr__(town.region.services.jobs, "house", house)
    found = town.connection(MEI)
    modules = [
        "__future__",
        "darkroom",
        "json",
        "sys",
        "os",
        "time",
        "subprocess",
        "plans",
        "pathlib",
        "nowhere",
    ]
    image = {"name": "python", "stage": "python", "digest": DIGEST, "modules": modules}
    monkeypatch.setattr(found, "images", lambda: [image])
    return found


def study(place: Path, code: str = PLAIN) -> Path:
    folder = place / "study"
    folder.mkdir(exist_ok=True)
    (folder / "darkroom.toml").write_text(TOML)
    (folder / "main.py").write_text(code)
    return folder


def child(code: str, *outputs: str, limit_s: float = LONGEST_S, room: Room | None = None) -> Child:
    import base64

    files = {"main.py": base64.b64encode(code.encode()).decode()}
    return Child(Folder(files, "main.py", (), Outputs(len(outputs), outputs)), {}, limit_s, room)


def ended(made: Child) -> twin_child.Ended:
    assert made.wait(240) and made.ended is not None
    return made.ended


# ------------------------------------------------------------------------------------ one interface


def test_a_folder_runs_here_and_its_result_is_read_like_a_released_one(
    room: darkroom.Connection, tmp_path: Path
) -> None:
    job = room.submit(study(tmp_path, GOOD), on="twin")
    assert isinstance(job, TwinRun)
    seen: list[str] = []
    assert job.wait(60, lambda found: seen.append(found.state)).finished and seen[-1] == "look-alike"
    assert job.logs() == "year 2023\n" and job.explain() == [] and job.problem() is None and job.progress()
    result = job.result()
    assert result.names == ("by_region.csv", "fit.json") and json.loads(result.read("fit.json"))["n"] == 1000
    table = result.table()
    assert table.columns == ("region", "persons", "mean") and table.types == ("VARCHAR", "BIGINT", "DOUBLE")
    assert len(result.to_pandas()) == len(result.to_arrow()) == len(table.rows) > 1
    assert result.plot().spec["layer"] and list(result.tables) == ["by_region.csv"]
    assert [path.name for path in result.save(tmp_path / "got")] == ["by_region.csv", "fit.json"]
    assert room.jobs() == [], "nobody heard of it"


def test_job_and_result_have_all_of_the_real_ones_interface(
    room: darkroom.Connection, tmp_path: Path
) -> None:
    job = room.submit(study(tmp_path), on="twin")
    apart = {"connection", "remedies", "alternatives", "retry"}
    assert {name for name in dir(Job) if not name.startswith("_")} - apart <= set(dir(job))
    parts = {name for name in dir(Files) if not name.startswith("_")} - {"released", "plan", "keeper"}
    assert parts <= set(dir(TwinFiles))


def test_a_function_runs_here_too(room: darkroom.Connection) -> None:
    job = room.submit(
        count,
        on="twin",
        arguments={"name": "n"},
        tables={"tax.income": ["region"]},
        outputs={"m.json": "metrics"},
    )
    assert json.loads(job.result().read("m.json")) == {"n": 1000}  # type: ignore[union-attr]


def count(name: str) -> None:
    import json

    import darkroom

    rows = darkroom.table("tax.income").num_rows
    darkroom.out("m.json").write_text(json.dumps({name: rows}))


def test_it_is_marked_as_look_alike_wherever_it_is_shown(room: darkroom.Connection, tmp_path: Path) -> None:
    job = room.submit(study(tmp_path), on="twin")
    result: Any = job.result()
    assert job.look_alike and result.look_alike and result.table().look_alike and result.notes[0] == WARNING
    for shown in (job, result, result.table(), result.plot()):
        assert "LOOK-ALIKE" in repr(shown)
    for shown in (job, result, result.table()):
        bundle = shown._repr_mimebundle_()
        assert "look-alike" in bundle["text/html"].lower() and "look-alike" in bundle["text/plain"].lower()
    result.save(tmp_path / "got")
    assert WARNING in (tmp_path / "got" / "LOOK-ALIKE.txt").read_text()


def test_it_says_which_interpreter_ran(
    room: darkroom.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = " ".join(room.submit(study(tmp_path), on="twin").result().notes)
    assert sys.executable in told
    monkeypatch.setattr(twin_child, "in_image", lambda: True)
    assert "the jobs' image" in twin_child.interpreter() and sys.executable not in twin_child.interpreter()
    words = twin_child._words(Folder({"main.py": ""}, "main.py", ()), tmp_path, tmp_path)
    assert "-S" in words and "/box" in words, "what a member installed is not there"


def test_displaying_starts_and_waits_for_nothing(room: darkroom.Connection, tmp_path: Path) -> None:
    job = room.submit(study(tmp_path, "import time\ntime.sleep(300)"), on="twin")
    began = time.monotonic()
    assert repr(job) and job._repr_html_() and job.state == "trying" and time.monotonic() - began < 60
    job.cancel()


# ------------------------------------------------------------------------------------ what the child has


def test_the_program_gets_no_token_no_passphrase_and_no_path_of_a_key(
    room: darkroom.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DARKROOM_TOKEN", "DARKROOM_PASSPHRASE", "DARKROOM_HOME", "JUPYTERHUB_API_TOKEN", "SECRET"):
        monkeypatch.setenv(name, "canary-4711")
    code = (
        "import json, os, darkroom\n"
        "print(json.dumps(dict(os.environ)))\n"
        "print(os.getcwd(), open('/proc/self/cmdline').read().replace(chr(0), ' '))\n"
        "print(sorted(os.listdir('/proc/self/fd')))"
    )
    told = ended(child(code)).report.log
    assert "canary-4711" not in told and str(Path.home()) + "/.darkroom" not in told
    lines = told.splitlines()
    variables = json.loads(lines[0])
    own = {name for name in variables if name.startswith("DARKROOM_")}
    assert own == {"DARKROOM_DATA", "DARKROOM_OUT", "DARKROOM_MODELS"} and "JUPYTERHUB" not in told
    assert "darkroom-twin-" in variables["HOME"] and not Path(variables["HOME"]).exists(), "gone afterwards"
    assert str(tmp_path) not in lines[1], "a working copy, not the member's own folder"
    assert os.environ["SECRET"] == "canary-4711", "the control: this process has it"


def test_it_finds_the_module_of_jobs_and_none_of_ours() -> None:
    code = "import darkroom\nprint(darkroom.__all__)\ntry:\n    import plans\nexcept ModuleNotFoundError: print('none')"
    told = ended(child(code)).report
    assert "'batches'" in told.log and "submit" not in told.log and told.log.endswith("none\n")


def test_a_temporary_program_leaves_the_members_folder_as_it_is(
    room: darkroom.Connection, tmp_path: Path
) -> None:
    folder = study(tmp_path, PLAIN + "open('main.py', 'w').write('changed')\nopen('new', 'w').write('x')\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    room.submit(folder, on="twin").result()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_ends_the_program_and_what_it_has_started(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        f"other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{other.pid}}')\ntime.sleep(300)"
    )
    made = child(code)
    wait_for(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 2)
    pids = list(map(int, (tmp_path / "pids").read_text().split()))
    assert all(map(lives, pids)), "the control"
    here = threading.get_ident()
    typing = threading.Thread(target=interrupt_once_it_waits, args=(here,))
    with pytest.raises(KeyboardInterrupt):
        typing.start()
        made.wait(60)
    typing.join()
    wait_for(lambda: not any(map(lives, pids)))
    assert made.ended is not None and made.ended.report.code == "python.cancelled"


def interrupt_once_it_waits(thread: int) -> None:
    """Interrupt this process as a key does, once a thread waits for a program; before, nobody would end that."""

    def waits() -> bool:
        frame, seen = sys._current_frames()[thread], list[Any]()
        while frame:
            seen.append(frame.f_code)
            frame = frame.f_back  # type: ignore[assignment]
        return Child.wait.__code__ in seen and seen[0] is threading.Condition.wait.__code__

    wait_for(waits)
    os.kill(os.getpid(), signal.SIGINT)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(true: Any) -> None:
    ends = time.monotonic() + 90
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_program_has_a_time_limit_and_a_wait_has_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hour is over as soon as it has begun: the clock is ours."""
    passed, begun = [0.0], tmp_path / "begun"
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0], sleep=time.sleep)
    monkeypatch.setattr(twin_child, "time", clock)
    code = f"import time\nprint('begun', flush=True)\nopen({str(begun)!r}, 'w')\ntime.sleep(300)"
    made = child(code, limit_s=3_600)
    assert not made.wait(0.01)
    wait_for(begun.exists)
    passed[0] = 3_600
    told = ended(made).report
    assert told.code == "python.time" and told.log == "begun\n"


def test_waiting_ends_and_the_program_goes_on(room: darkroom.Connection, tmp_path: Path) -> None:
    job = room.submit(study(tmp_path, "import time\ntime.sleep(300)"), on="twin")
    with pytest.raises(NotFinished):
        job.wait(0.1)
    assert not job.finished
    with pytest.raises(StateConflict):
        job.cancel().result()
    assert job.state == "cancelled"


def test_a_flood_and_what_a_terminal_acts_on_are_cut() -> None:
    told = ended(child("print('x' * 3_000_000)\nprint('\\x1b[31mred\\u202e\\x07 end')")).report.log
    assert len(told) <= 256 * 2**10 and "bytes left out" in told and told.endswith("red end\n")


# ------------------------------------------------------------------------------------ how much memory it has

MIB = 2**20
TAKES = "held = bytearray({mb} * 2**20)\nprint('had it')"
FORKS = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        held = bytearray(os.urandom(1)) * (120 * 2**20)
        time.sleep(300)
time.sleep(300)
"""


@pytest.mark.parametrize(
    "code",
    [
        TAKES.format(mb=400),
        "import numpy\nheld = numpy.ones(50 * 2**20)",
        "import os\nos.write(2, b'  what():  std::bad_alloc')\nos.abort()",
    ],
)
def test_in_a_lab_a_program_has_what_the_lab_has_left_and_says_when_that_is_too_little(code: str) -> None:
    small = ended(child(code, room=Room(500 * MIB, lambda: 250 * MIB))).report
    assert small.code == "python.memory" and small.text == "186 MiB" and "had it" not in small.log
    with_room = ended(child(TAKES.format(mb=400), room=Room(4000 * MIB, lambda: 250 * MIB))).report
    assert with_room.code == "" and with_room.log == "had it\n", (
        "the control: where there is room it ends well"
    )


def test_outside_a_lab_a_program_has_the_machine() -> None:
    assert ended(child(TAKES.format(mb=400))).report.code == ""


def test_a_lab_without_room_begins_no_program() -> None:
    told = ended(child("print('begun')", room=Room(500 * MIB, lambda: 420 * MIB))).report
    assert told.code == "python.memory" and told.text == "16 MiB" and told.log == ""


def test_a_program_of_many_processes_is_ended_before_the_lab_is_full() -> None:
    """Each process keeps to its bound; all together they would take what notebook and server have."""

    def used() -> int:
        return 100 * MIB + sum(map(size_of, filter(str.isdigit, os.listdir("/proc"))))

    def size_of(pid: str) -> int:
        try:
            ours = b"twin_start.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 if ours else 0
        except OSError:
            return 0

    told = ended(child(FORKS, room=Room(400 * MIB, used))).report
    assert told.code == "python.memory"
    wait_for(lambda: used() == 100 * MIB)
    large = ended(child(FORKS, limit_s=1.5, room=Room(4000 * MIB, used))).report
    assert large.code == "python.time", "the control: in a larger lab they go on"


def test_what_a_lab_uses_is_counted() -> None:
    before = twin_memory.used()
    held = bytearray(os.urandom(1)) * (64 * MIB)
    assert twin_memory.used() - before > 16 * MIB, "this process is among them"
    quick = twin_memory.quick()
    more = bytearray(os.urandom(1)) * (64 * MIB)
    assert twin_memory.quick() - quick > 16 * MIB, "and in the guess, too"
    del more
    del held
    assert twin_memory.here() is None, "outside a lab nobody counts"


def test_a_guess_that_is_off_ends_no_program_and_hides_no_full_lab() -> None:
    used = {"closely": 100 * MIB, "guess": 900 * MIB}
    lookout = twin_memory.Lookout(Room(500 * MIB, lambda: used["closely"], lambda: used["guess"]))
    assert not lookout.is_full(), "shared pages are counted for each process that has them"
    used |= {"closely": 450 * MIB, "guess": 1250 * MIB}
    assert lookout.is_full(), "it grew by as much as the lab did"


def test_want_of_memory_is_one_sentence_with_the_line(
    room: darkroom.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin_memory, "here", lambda: Room(500 * MIB, lambda: 250 * MIB))
    job = room.submit(study(tmp_path, "\n" + TAKES.format(mb=900)), on="twin")
    with pytest.raises(BoxFailed) as told:
        job.result()
    assert told.value.what == "the program needed more memory than this lab has left for it: 186 MiB"
    assert told.value.where == "main.py:2, python.memory" and "fewer columns" in told.value.next_step
    assert job.state == "failed" and job.explain()[0]["rule"] == "python.memory"


# ------------------------------------------------------------------------------------ how it fails


@pytest.mark.parametrize(
    ("code", "place", "said"),
    [
        ("\n\nraise ValueError('seven')", "main.py:3", "ValueError: seven"),
        ("import nowhere", "main.py:1", "ModuleNotFoundError"),
        ("raise SystemExit('enough')", "main.py:1", "enough"),
        ("import os\nos._exit(3)", "python.failed", "status 3"),
        ("import os\nos.kill(os.getpid(), 9)", "python.failed", "signal 9"),
    ],
)
def test_a_failure_is_a_sentence_with_its_line(
    room: darkroom.Connection, tmp_path: Path, code: str, place: str, said: str
) -> None:
    job = room.submit(study(tmp_path, code), on="twin")
    with pytest.raises(BoxFailed) as told:
        job.result()
    assert place in told.value.where and said in told.value.what
    assert job.state == "failed" and job.explain()[0]["rule"] == "python.failed"


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("pass", "python.absent"),
        (PLAIN + "darkroom.out('more.csv').write_text('a')", "python.undeclared"),
        (PLAIN + "import os; os.symlink('/etc/passwd', darkroom.out('more.csv'))", "python.outputs"),
        (PLAIN + "darkroom.out('Upper.CSV').write_text('a')", "python.outputs"),
    ],
)
def test_what_is_absent_or_undeclared_is_refused_in_the_words_of_a_box(
    room: darkroom.Connection, tmp_path: Path, code: str, rule: str
) -> None:
    job = room.submit(study(tmp_path, code), on="twin")
    with pytest.raises(BoxFailed) as told:
        job.result()
    assert told.value.where == rule and telling.SENTENCES[rule][0] in told.value.what
    assert SENTENCES[rule] == telling.SENTENCES[rule]


def test_what_would_surely_stay_inside_is_noted(room: darkroom.Connection, tmp_path: Path) -> None:
    code = (
        PLAIN
        + "darkroom.out('by_region.csv').write_text('a,b\\n1\\n'); darkroom.out('fit.json').write_text('[1]')"
    )
    result: Any = room.submit(study(tmp_path, code), on="twin").result()
    told = " ".join(result.notes)
    assert "by_region.csv" in told and "fit.json is no flat JSON" in told
    with pytest.raises(OutputRefused):
        result.table()
    named = PLAIN.replace("persons,", "people,")
    other: Any = room.submit(study(tmp_path, named), on="twin").result()
    assert "no column 'persons'" in " ".join(other.notes)
    clean: Any = room.submit(study(tmp_path), on="twin").result()
    assert "refused" not in " ".join(clean.notes), "the control"


def test_an_import_that_the_image_lacks_is_said_before_anything_runs(
    room: darkroom.Connection, tmp_path: Path
) -> None:
    with pytest.raises(Malformed) as told:
        room.submit(study(tmp_path, "import tensorflow"), on="twin")
    assert "tensorflow" in told.value.what


def test_without_the_portal_what_was_met_runs_and_says_what_was_not_compared(
    room: darkroom.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.submit(study(tmp_path), on="twin").result()

    def away(*_: object) -> None:
        raise Unreachable("the portal does not answer")

    monkeypatch.setattr(room, "images", away)
    monkeypatch.setattr(type(room._wire), "get", away)
    result: Any = room.submit(study(tmp_path), on="twin").result()
    assert any("Imports were not compared" in note for note in result.notes)


def test_an_image_that_has_disappeared_is_said_and_stops_real_jobs_alone(
    room: darkroom.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = room.images()
    monkeypatch.setattr(room, "images", lambda: [{**image, "modules": []}])
    result: Any = room.submit(study(tmp_path), on="twin").result()
    assert any("jobs' image is not on the platform" in note for note in result.notes)
    with pytest.raises(NotFound) as told:
        room.submit(study(tmp_path), on="real", **ABOUT)
    assert "the image python has disappeared" in told.value.what and "build it again" in told.value.next_step
    assert room.jobs() == []


def test_a_lab_on_another_image_than_jobs_have_now_says_so(
    room: darkroom.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.either.built_on", lambda: "sha256:" + "cd" * 32)
    old: Any = room.submit(study(tmp_path), on="twin").result()
    monkeypatch.setattr("darkroom.either.built_on", lambda: DIGEST)
    same: Any = room.submit(study(tmp_path), on="twin").result()
    assert any("Jobs have another image" in note for note in old.notes)
    assert not any("Jobs have another image" in note for note in same.notes), "the control"


def test_a_column_that_is_not_there_is_named(room: darkroom.Connection, tmp_path: Path) -> None:
    folder = study(tmp_path)
    (folder / "darkroom.toml").write_text(TOML.replace('"income"]', '"incom"]'))
    with pytest.raises(NotFound) as told:
        room.submit(folder, on="twin")
    assert "incom" in told.value.what and "income" in told.value.next_step


# ------------------------------------------------------------------------------------ tables


def test_without_pandas_one_sentence_says_what_to_install(
    room: darkroom.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result: Any = room.submit(study(tmp_path), on="twin").result()
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(StateConflict) as told:
        result.to_pandas()
    assert "pip install pandas" in str(told.value)
    assert result.plot() and result.to_arrow().num_rows, "the others need nothing more"


# ------------------------------------------------------------------------------------ components


def test_a_component_is_checked_and_says_what_would_leave(room: darkroom.Connection) -> None:
    asked = {"columns": ["income"], "by": "region"}
    job = room.component("describe", asked, ["tax.income"], on="twin", **ABOUT)
    assert job.wait().finished and job.look_alike and job.problem() is None
    result: Any = job.result()
    assert result.names == ("summary.csv",) and "did not run" in result.sentence
    assert "summary.csv" in result.sentence and "'persons'" in result.sentence
    for shown in (job, result):
        assert "LOOK-ALIKE" in repr(shown) and "look-alike" in shown._repr_html_().lower()
    assert room.jobs() == []


def test_a_component_on_a_column_that_is_not_there_is_refused(room: darkroom.Connection) -> None:
    with pytest.raises(NotFound) as told:
        room.component("describe", {"columns": ["incom"]}, ["tax.income"], on="twin", **ABOUT)
    assert "incom" in told.value.what
    with pytest.raises(Malformed):
        room.component("describe", {"colums": ["income"]}, ["tax.income"], on="twin", **ABOUT)


def test_a_component_names_its_tables_without_an_option_of_the_command(room: darkroom.Connection) -> None:
    with pytest.raises(Malformed) as told:
        room.component("describe", {"columns": ["income"]}, [], on="real", **ABOUT)
    assert "--" not in str(told.value)


def test_explaining_a_component_is_a_dry_run(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, Any]] = []
    post = type(room._wire).post

    def listen(wire: Any, path: str, body: Any = None, *, again: bool = False) -> Any:
        sent.append((path, body))
        return post(wire, path, body, again=again)

    job = room.component("describe", {"columns": ["income"]}, ["tax.income"], on="twin", **ABOUT)
    heard: list[Request] = []
    denied = {"outcome": "deny", "reasons": [{"rule": "no-grant"}], "noise": None}
    monkeypatch.setattr("compute.service.dry_run", lambda *asked: heard.append(asked[2].request) or denied)
    monkeypatch.setattr(type(room._wire), "post", listen)
    assert sent == [] and heard == [], "it happens when it is called"
    assert job.explain() == [{"rule": "no-grant"}]
    assert [path for path, _ in sent] == ["/api/v1/dry-runs"] and heard[0].kind is RequestKind.COMPONENT
    keys.verify_dry_run(heard[0].signer, heard[0].canonical(), sent[0][1]["signature"])
    assert room.jobs() == []
