"""A member's job reads its tables as files, gets all of them or an end, and finds no way to links and keys."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from inside import streams
from plans.artifacts import Artifact, Form
from plans.trial import twin_of
from sandbox import images, recipes
from sandbox.boxes import BubblewrapBoxes
from sandbox.gvisor import GvisorBoxes
from sandbox.identities import Identities
from tests.inside.feeding_cases import CANARY, INCOMES, SCORE, JobStand, load, parts
from tests.inside.load_cases import link_key
from tests.inside.python_cases import Stand
from tests.plans import examples

pytestmark = pytest.mark.box
MEMBER = Path(__file__).parent / "member"
LEAVE = "\nimport os\nopen(os.environ['DARKROOM_OUT'] + '/score.json', 'w').write('{}')\n"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="darkroom-feeding-"))
    folder.chmod(0o711)
    yield folder
    assert list(folder.iterdir()) == [], "a box left something on the host"
    folder.rmdir()


@pytest.fixture(scope="module")
def stand(home: Path) -> JobStand:
    """T1."""
    boxes = BubblewrapBoxes(home, recipes.images_folder(), Identities(64321, 8))
    return JobStand(boxes, images.build(MEMBER))


@pytest.fixture(scope="module")
def strong(home: Path, stand: JobStand) -> JobStand:
    """T2."""
    boxes = GvisorBoxes(home, recipes.images_folder(), Identities(64331, 8))
    if not boxes.offers():
        pytest.skip("this machine has no T2")
    return JobStand(boxes, stand.image)


READ = """
import json
import darkroom
incomes, visits = darkroom.table("tax.income"), darkroom.table("med.visit")
again = darkroom.table("tax.income")
rows = [incomes.num_rows, visits.num_rows, again is incomes, incomes.column_names, darkroom.parameters]
darkroom.out("score.json").write_text(json.dumps(rows))
print(visits["kind"][0])
"""


def test_a_job_reads_its_tables_and_leaves_its_outputs(stand: JobStand) -> None:
    done = stand.job(READ, arguments=("depth=3", "--fast"))
    assert done.log == f"{CANARY}\n" and sorted(done.files) == ["files/score.json", "log.txt"]
    found = json.loads(done.files["files/score.json"])
    assert found == [3, 2, True, ["person", "income"], {"depth": "3"}]
    assert CANARY.encode() not in done.sealed["output.bin"]


def test_so_it_does_in_t2(strong: JobStand) -> None:
    done = strong.job(READ)
    assert done.log == f"{CANARY}\n" and json.loads(done.files["files/score.json"])[:2] == [3, 2]


def test_a_table_larger_than_the_box_passes_batch_by_batch(stand: JobStand) -> None:
    """96 MiB of rows through a box with 160 MiB, of which Python and pyarrow take most."""
    wide = pa.table({"income": pa.array(range(2**17), pa.int64())})

    def many(stream: socket.socket, name: str, table: pa.Table) -> None:
        streams.send(stream, link_key(name), name, parts(wide, 96))

    code = "import darkroom\nprint(sum(batch.num_rows for batch in darkroom.batches('tax.income')))" + LEAVE
    done = stand.job(code, {"tax.income": many, "med.visit": load}, memory_mb=192, temp_mb=8)
    assert done.log == f"{96 * 2**17}\n"


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "os.read(4, 10)",
        "import darkroom; next(darkroom.batches('med.visit'))",
    ],
)
def test_a_program_that_wants_no_more_is_no_failure(stand: JobStand, code: str) -> None:
    assert stand.job("import os\n" + code + LEAVE).code == ""


def test_a_table_passes_once_and_a_second_pass_fails_at_once(stand: JobStand) -> None:
    code = (
        "import os, darkroom\nlist(darkroom.batches('med.visit'))\n"
        "try: darkroom.batches('med.visit')\nexcept RuntimeError as problem: print('pass once' in str(problem))\n"
        "try: os.read(5, 1)\nexcept OSError: print('closed')\n"
        "try: darkroom.table('med.none')\nexcept KeyError as problem: print(problem)\n"
    )
    lines = stand.job(code + LEAVE).log.splitlines()
    assert lines == ["True", "closed", "'there is no table med.none; here are: med.visit, tax.income'"]


def test_the_same_lines_read_a_trials_tables_and_a_notebooks_files(stand: JobStand, tmp_path: Path) -> None:
    """A trial has made-up rows behind the same descriptors; a notebook has files in a folder."""
    code = "import darkroom\nfor name in darkroom.tables(): print(name, darkroom.table(name).column_names)"
    trial = Stand(stand.boxes, stand.image).trial(code, twin_of(examples.MANIFEST))
    assert trial.log.startswith("tax.income ['person', 'income']")
    (tmp_path / "tax.income.arrows").write_bytes(parts(INCOMES)[0])
    environment = {
        "PYTHONPATH": str(recipes.CHECKOUT / "images" / "python" / "member"),
        "DARKROOM_DATA": str(tmp_path),
    }
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert told.stdout == "tax.income ['person', 'income']\n", told.stderr


def test_a_programs_children_do_not_inherit_its_tables(stand: JobStand) -> None:
    code = (
        "import os, subprocess, sys\nprint(os.read(4, 1) != b'')\n"
        "look = \"import os; print([n for n in os.listdir('/proc/self/fd') if int(n) > 3])\"\n"
        "print(subprocess.run([sys.executable, '-S', '-c', look], capture_output=True, text=True).stdout, end='')"
    )
    assert stand.job(code + LEAVE).log == "True\n[]\n"


# --------------------------------------------------------------------------------------------------- outputs


def test_a_declared_output_that_is_absent_has_its_code(stand: JobStand) -> None:
    more = Artifact("more.json", Form.METRICS)
    assert stand.job("pass" + LEAVE, artifacts=(SCORE, more)).code == "python.absent"


def test_an_output_that_is_not_declared_has_its_code(stand: JobStand) -> None:
    extra = "import os\nopen(os.environ['DARKROOM_OUT'] + '/extra.txt', 'w').write('x')"
    assert stand.job(extra + LEAVE).code == "python.undeclared"
    assert stand.job("pass" + LEAVE).code == "", "the control"


# --------------------------------------------------------------------------- links that are not what they should be


def killed(stream: socket.socket, name: str, table: pa.Table) -> None:
    """A loader that dies between two records: what was sent is whole, and its end is missing."""
    sender = streams.Sender(stream, link_key(name), name)
    sender.write(b"".join(parts(pa.table({"income": pa.array(range(2**18), pa.int64())}))))
    stream.shutdown(socket.SHUT_RDWR)


def never(stream: socket.socket, name: str, table: pa.Table) -> None:
    """One that dies before its first record."""
    stream.shutdown(socket.SHUT_RDWR)


def replayed(stream: socket.socket, name: str, table: pa.Table) -> None:
    """Records of another attempt of the same plan."""
    streams.send(stream, link_key(name, attempt=2), name, parts(table))


def swapped(stream: socket.socket, name: str, table: pa.Table) -> None:
    """The records of the other table."""
    streams.send(stream, link_key("rows-1"), "rows-1", parts(table))


COUNT = "import os\nwith os.fdopen(4, 'rb') as file: content = file.read()\nprint(len(content))" + LEAVE


@pytest.mark.parametrize("loads", [killed, never, replayed, swapped])
def test_a_table_that_does_not_come_whole_ends_the_job_with_a_code_of_its_own(
    stand: JobStand, loads: object
) -> None:
    """The control: an honest loader's table is read to its end by the same program."""
    done = stand.job(COUNT, {"tax.income": loads, "med.visit": load})  # type: ignore[dict-item]
    assert (done.code, dict(done.failure.facts if done.failure else {})) == ("python.inputs", {})
    assert int(stand.job(COUNT).log) > INCOMES.nbytes


def test_a_killed_loader_never_looks_like_the_end_of_the_data(stand: JobStand) -> None:
    """Whatever the program does with what came, it is ended before it could say anything about it."""
    sly = (
        "import os, sys\nout = os.environ['DARKROOM_OUT']\n"
        "try:\n    with os.fdopen(4, 'rb') as file:\n"
        "        while block := file.read1(65536): pass\n"
        "finally:\n    open(out + '/score.json', 'w').write('{}'); os._exit(0)\n"
    )
    done = stand.job(sly, {"tax.income": killed, "med.visit": load})
    assert done.code == "python.inputs" and done.files == {}


def test_so_it_is_in_t2(strong: JobStand) -> None:
    assert strong.job(COUNT, {"tax.income": killed, "med.visit": load}).code == "python.inputs"


# ------------------------------------------------------------------------------------------------ against the link

REACH = """
import json, os, socket, stat
gained = {}
def tried(name, attack):
    try: gained[name] = bool(attack())
    except (OSError, ValueError) as problem: gained[name] = False
def sockets():
    found = []
    for number in range(256):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode): found.append(number)
        except OSError: pass
    return found
tried("inherited sockets", sockets)
tried("the runner's files", lambda: os.listdir("/proc/1/fd"))
tried("the runner's memory", lambda: open("/proc/1/mem", "rb"))
tried("doors", lambda: [socket.socket(socket.AF_UNIX).connect("/links/" + name) for name in os.listdir("/links")])
tried("inputs", lambda: os.listdir("/in"))
print(json.dumps(gained))
"""


@pytest.mark.parametrize("tier", ["stand", "strong"])
def test_a_program_finds_no_way_to_links_and_keys(tier: str, request: pytest.FixtureRequest) -> None:
    """The control: the same look at a process of one's own finds a socket, an open file and its memory.

    The launcher is a busy one, so that links have numbers beyond what a box may open itself.
    """
    stand: JobStand = request.getfixturevalue(tier)
    with contextlib.ExitStack() as busy:
        for _ in range(150):
            busy.enter_context(open(os.devnull))
        done = stand.job(REACH + LEAVE)
    found = json.loads(done.log)
    shown = (
        {"the runner's files"} if tier == "strong" else set()
    )  # Debian's gVisor lists numbers, and opens none
    assert {name for name, won in found.items() if won} <= shown
    assert list(done.sealed) == ["output.bin"]
    here, there = socket.socketpair()
    with here, there, Path("/proc/self/mem").open("rb"):
        assert stat.S_ISSOCK(os.fstat(here.fileno()).st_mode) and os.listdir("/proc/self/fd")
