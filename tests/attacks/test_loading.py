"""From the owner's file into a member's job, through a real launcher: what crosses it, and a loader that is killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inside import engine
from inside.leavings import unpack
from inside.session import handover, unpadded
from keys import sealing
from plans.artifacts import Artifact, Form
from plans.box import Entry, Outputs
from plans.decision import Tier
from plans.errors import DarkroomError
from plans.key import BoxKeys
from plans.plan import Plan, Relation
from plans.statements import BoxStatement
from plans.tasks import Need, PythonTask
from sandbox import api, images
from sandbox.gvisor import GvisorBoxes
from tests.inside.load_cases import link_key, sha256, work_plan
from tests.inside.python_cases import folder
from tests.inside.sql_cases import LIMITS
from tests.plans import examples
from tests.sandbox.conftest import gvisor_boxes, open_home, probe_image, probe_images
from tests.sandbox.few_images import only
from tests.sandbox.side import Side, eventually, launched, side

__all__ = ["gvisor_boxes", "open_home", "probe_image", "probe_images", "side"]
pytestmark = [pytest.mark.box, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("images/sql", "tests/inside/member")
CANARY, HIDDEN = "canary-of-loading-9920", "hidden-of-loading-1177"
OUTPUT_KEY, FILE_KEY = "ef" * 32, "ab" * 32


@dataclass(frozen=True)
class Loading:
    """A launcher with the real images, and a data file of the owner: one row in ten is hidden by the owner's filter."""

    side: Side
    file: Path

    def plan(self, code: str, tier: Tier = Tier.T1) -> Plan:
        sql, member = (images.build(ROOT / place) for place in IMAGES)
        what = folder(code)
        artifacts = (Artifact("score.json", Form.METRICS),)
        task = PythonTask(
            member.digest, what.digest, "main.py", (), (Need("tax.note", ("note",)),), artifacts
        )
        relation = Relation("tax.note", examples.digest("b"), sha256(self.file), ("note",), "shown")
        plan = work_plan(task, (relation,), {"note": self.file}, what)
        small = replace(LIMITS, memory_mb=1024, spill_mb=0)
        outputs = {Entry.PYTHON: Outputs(1, ("output.bin",))}
        stages = tuple(
            replace(
                spec, image=member.digest if spec.entry is Entry.PYTHON else sql.digest, limits=small,
                outputs=outputs.get(spec.entry, Outputs(0)), tier=tier,
            )
            for spec in plan.stages
        )  # fmt: skip
        return replace(plan, stages=stages, nonce=secrets.token_hex(16))

    def run(self, plan: Plan) -> dict[Entry, str]:
        """Ask for both stages at once, and return where each ended badly, or nothing."""
        ends: dict[Entry, str] = {}

        def ask(stage: Entry) -> None:
            try:
                self.side.client.run(plan.digest, stage, 1)
                ends[stage] = ""
            except DarkroomError as problem:
                ends[stage] = problem.where

        self.side.client.put(plan)
        threads = [threading.Thread(target=ask, args=(stage,)) for stage in (Entry.LOAD, Entry.PYTHON)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ends

    def log(self, plan: Plan) -> str:
        """What the job printed, as the inspecting box reads it."""
        name = api.StageName(plan.digest, Entry.PYTHON, 1)
        with api.open_output(self.side.config.home, name, "output.bin") as file:
            sealed = file.read()
        clear = sealing.decrypt(bytes.fromhex(OUTPUT_KEY), sealed, handover(plan, 1, "output.bin"))
        return unpack(unpadded(clear))["log.txt"].decode()


def keys_of(statement: BoxStatement) -> BoxKeys:
    """What a keeper gives: the file's key to the loader, the output's to the job, the link's to both."""
    links = {"rows-0": link_key("rows-0")}
    if statement.stage is Entry.LOAD:
        return BoxKeys({"note": FILE_KEY}, {}, "", links=links)
    return BoxKeys({}, {"output.bin": OUTPUT_KEY}, "", links=links)


@pytest.fixture
def loading(side: Side, tmp_path: Path) -> Loading:
    built = (images.build(ROOT / place) for place in IMAGES)
    found = replace(side, config=replace(side.config, images_folder=only(*(each.digest for each in built))))
    found.keeper.keys = keys_of
    file = found.config.data_folder / "note"
    with engine.open_engine(tmp_path, LIMITS) as connection:
        engine.add_key(connection, "file", FILE_KEY)
        connection.execute(
            "COPY (SELECT range::UBIGINT AS person, range % 10 > 0 AS shown,"
            f" CASE WHEN range % 10 > 0 THEN '{CANARY}' ELSE '{HIDDEN}' END || range || repeat('-', 200) AS note,"
            " 'id-' || range AS identity FROM range(100000))"
            f" TO '{tmp_path / 'note'}' (FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption('file')})"
        )
    file.write_bytes((tmp_path / "note").read_bytes())
    file.chmod(0o444)
    return Loading(found, file)


LOOK = (
    "import darkroom\nrows = darkroom.table('tax.note')\nnotes = rows['note'].to_pylist()\n"
    f"print(rows.column_names, len(notes), sum('{CANARY}' in n for n in notes), sum('{HIDDEN}' in n for n in notes))\n"
    "darkroom.out('score.json').write_text('{}')\n"
)


def test_rows_reach_the_job_and_leave_no_trace_at_the_launcher(loading: Loading) -> None:
    """A person's token and the granted column; no identifier, no hidden row. The control: the job saw the canary 90,000
    times, and in all that the launcher has kept or written there is none."""
    plan = loading.plan(LOOK)
    with launched(loading.side) as process:
        assert loading.run(plan) == {Entry.LOAD: "", Entry.PYTHON: ""}
        assert loading.log(plan) == "['person', 'note'] 90000 90000 0\n"
        assert not held_by(process.pid, CANARY.encode()), "the launcher's own memory"
    kept = b"".join(path.read_bytes() for path in loading.side.config.home.rglob("*") if path.is_file())
    assert kept and CANARY.encode() not in kept and loading.side.boxes == []
    assert held_by(os.getpid(), CANARY.encode()), "the control: this process holds it, and is found out"


def test_rows_reach_a_job_that_has_a_kernel_of_its_own(loading: Loading, gvisor_boxes: GvisorBoxes) -> None:
    """T2, where links are doors in a folder; the control is in `test_side_by_side`."""
    plan = loading.plan(LOOK, Tier.T2)
    with launched(loading.side):
        assert loading.run(plan) == {Entry.LOAD: "", Entry.PYTHON: ""}
        assert loading.log(plan) == "['person', 'note'] 90000 90000 0\n"
    kept = b"".join(path.read_bytes() for path in loading.side.config.home.rglob("*") if path.is_file())
    assert kept and CANARY.encode() not in kept and loading.side.boxes == []


def held_by(process: int, what: bytes) -> bool:
    """Whether a process has bytes in memory that it can write."""
    with open(f"/proc/{process}/maps") as listed, open(f"/proc/{process}/mem", "rb", 0) as memory:
        for line in listed:
            span, mode = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if mode.startswith("rw"):
                with contextlib.suppress(OSError):
                    memory.seek(start)
                    if what in memory.read(end - start):
                        return True
    return False


def test_a_loader_that_is_killed_ends_its_job_with_a_code_of_its_own(loading: Loading) -> None:
    """The job has begun, and has read a part. The control: left alone, the same program reads all of it."""
    code = LOOK.replace("import darkroom\n", WAITS)
    plan, control = loading.plan(code), loading.plan(code)
    with launched(loading.side):
        assert meddled(loading, control, kill=False) == {Entry.LOAD: "", Entry.PYTHON: ""}
        ends = meddled(loading, plan, kill=True)
        assert ends[Entry.PYTHON] == "python.inputs" and ends[Entry.LOAD].startswith("box.")


WAITS = """
import darkroom, signal, time
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
while not told: time.sleep(0.01)
"""
"""A program that begins to read when the test says so."""


def meddled(loading: Loading, plan: Plan, *, kill: bool) -> dict[Entry, str]:
    """Run a plan, and let its program go on; return where each stage ended badly."""
    meddling = threading.Thread(target=let_read, args=(loading.side, kill))
    meddling.start()
    ends = loading.run(plan)
    meddling.join()
    return ends


def let_read(where: Side, kill: bool) -> None:
    """Once a job's own program runs, let it read; kill its loader meanwhile, which cannot send more by then."""
    folder = str(where.config.home / "boxes").encode()

    def programs(word: bytes) -> list[int]:
        """Processes in this launcher's boxes whose command has a word."""
        users = range(where.config.first_uid, where.config.first_uid + where.config.uid_count)
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (path / "cmdline").read_bytes()
                ours = path.stat().st_uid in users or folder in command
                if ours and any(word == part or part.endswith(b"/" + word) for part in command.split(b"\0")):
                    found.append(int(path.name))
        return found

    def send(pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    eventually(lambda: any(map(hears, programs(b"bootstrap.py"))), 240)
    loader, job = programs(b"load"), [pid for pid in programs(b"bootstrap.py") if hears(pid)]
    assert loader, "it waits until its rows are read"
    if kill:
        send(loader, signal.SIGSTOP)
    send(job, signal.SIGUSR1)
    if kill:
        time.sleep(0.5)
        send(loader, signal.SIGKILL)


def hears(pid: int) -> bool:
    """Whether a program waits for the test's signal (proc(5))."""
    with contextlib.suppress(OSError):
        caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
        return bool(int(caught, 16) >> (signal.SIGUSR1 - 1) & 1)
    return False
