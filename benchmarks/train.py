"""What training in a box costs beyond the same training outside.

    python benchmarks/train.py [--json]

`train.inside_ratio`: a gradient-boosted classifier of scikit-learn on a table of 1,000,000 rows and 20 columns, in a
Python box that is fed by a loader box over a link, against the same lines in the same Python, from the same image and
with as many threads, outside any box and on plain Parquet. Each program says how long it took from reading its table
to the fitted model; starting Python and importing are left out on both sides. In turns; medians.
`train.inside_cpu_ratio` is the same of the program's processor time, which a busy machine disturbs less.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import box_yard, loader_runs  # noqa: E402
from benchmarks.loader_runs import KEY, LINK, LINK_KEY, NAME  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402
from inside.leavings import unpack  # noqa: E402
from inside.session import handover, unpadded  # noqa: E402
from keys import sealing  # noqa: E402
from plans.box import Entry, Limits, Outputs  # noqa: E402
from plans.key import BoxKeys  # noqa: E402
from plans.plan import Plan  # noqa: E402
from plans.release import KEYS_INFO  # noqa: E402
from plans.statements import BoxStatement, StageInput  # noqa: E402
from plans.trial import Folder  # noqa: E402
from sandbox import conversation, images, recipes  # noqa: E402
from sandbox.contract import Cause  # noqa: E402
from sandbox.links import Exchange  # noqa: E402
from sandbox.shelf import StageName  # noqa: E402

GOAL, ROUNDS = 1.1, 3
OUTPUT_KEY = "ef" * 32
LIMITS = Limits(
    memory_mb=4096, temp_mb=64, spill_mb=0, output_mb=8, cpu_s=1200, wall_s=1200, processes=64, files=256, cpus=2
)  # fmt: skip

TRAIN = """
import json, time
import numpy as np
import pyarrow.parquet
from sklearn.ensemble import HistGradientBoostingClassifier
began, used = time.perf_counter(), time.process_time()
table = READ
columns = [table.column(name).to_numpy() for name in sorted(table.column_names) if name != "person"]
features, target = np.column_stack(columns[1:]), columns[0] > 50_000
model = HistGradientBoostingClassifier(max_iter=20, early_stopping=False).fit(features, target)
print(json.dumps([time.perf_counter() - began, time.process_time() - used]))
"""
INSIDE = TRAIN.replace("READ", f"__import__('darkroom').table('{NAME}')") + (
    "import os\nopen(os.environ['DARKROOM_OUT'] + '/score.json', 'w').write('{}')\n"
)


def outside(folder: Path) -> list[float]:
    """Train outside any box, with the same interpreter, packages and threads."""
    code = "import sys; sys.path.append(sys.argv[1])\n" + TRAIN.replace(
        "READ", f"pyarrow.parquet.read_table('{folder / 'plain.parquet'}')"
    )
    packages = images.find("python").root / "box"
    threads = {f"{name}_NUM_THREADS": str(LIMITS.cpus) for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
    done = subprocess.run(
        box_yard.bare(code, str(packages), image="python"), check=True, capture_output=True, text=True,
        env={**box_yard.ENVIRONMENT, "MALLOC_ARENA_MAX": "2", **threads},
    )  # fmt: skip
    found: list[float] = json.loads(done.stdout)
    return found


def inside(yard: box_yard.Yard, folder: Path) -> list[float]:
    """Train in a box that a loader box feeds."""
    what = Folder({"main.py": base64.b64encode(INSIDE.encode()).decode()}, "main.py", ())
    plan = loader_runs.plan(folder, images.find("python").digest, what)
    stages = (
        replace(plan.stages[0], image=images.find("sql").digest),
        replace(plan.stages[1], limits=LIMITS, outputs=Outputs(1, ("output.bin",))),
        *plan.stages[2:],
    )
    return asyncio.run(_inside(yard, replace(plan, stages=stages), folder))


async def _inside(yard: box_yard.Yard, plan: Plan, folder: Path) -> list[float]:
    exchange = Exchange()
    _, sealed = await asyncio.gather(
        _stage(yard, exchange, plan, Entry.LOAD, folder), _stage(yard, exchange, plan, Entry.PYTHON, folder)
    )
    clear = sealing.decrypt(bytes.fromhex(OUTPUT_KEY), sealed, handover(plan, 1, "output.bin"))
    found: list[float] = json.loads(unpack(unpadded(clear))["log.txt"])
    return found


async def _stage(yard: box_yard.Yard, exchange: Exchange, plan: Plan, entry: Entry, folder: Path) -> bytes:
    """Run one box as a launcher does, with the keys that a keeper would give it; return what it left."""
    spec = plan.stage(entry)
    box = yard.boxes.create(spec, {item.name: folder / item.name for item in spec.inputs})
    try:
        pipes = await box.start()
        inputs = tuple(StageInput(item.name, item.sha256) for item in spec.inputs)
        told = [item.plain() for item in inputs]
        start = {"plan": plan.plain(), "stage": entry.value, "attempt": 1, "inputs": told}
        box_key = await conversation.begin(pipes, start)
        async with exchange.joined(StageName(plan.digest, entry, 1), spec, pipes.links):
            keys = BoxKeys({"secret": KEY}, {"output.bin": OUTPUT_KEY}, "", links={LINK: LINK_KEY})
            statement = BoxStatement(
                plan.digest, entry, 1, spec.digest, spec.image, box.tier, inputs, box_key, "node1", "0" * 32
            )
            sealed = sealing.seal(box_key, keys.canonical(), KEYS_INFO, statement.canonical())
            await conversation.give_keys(pipes, sealed.hex(), statement.plain())
            outcome = await conversation.outcome(pipes, entry)
        assert isinstance(outcome, dict), outcome
        await box.wait()
        left = box.folder / "out" / "output.bin"
        return left.read_bytes() if left.exists() else b""
    finally:
        await box.kill(Cause.CANCELLED)
        await box.destroy()


def measure() -> Iterator[Metric]:
    """Measure both in turns."""
    for name in ("sql", "python"):
        images.build(recipes.CHECKOUT / "images" / name)
    with tempfile.TemporaryDirectory(prefix="dr-train-") as name, box_yard.t1() as yard:
        folder = Path(name)
        folder.chmod(0o755)
        loader_runs.write(folder)
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                os.chmod(path, 0o644)
        runs = [(inside(yard, folder), outside(folder)) for _ in range(ROUNDS)]
    boxed, boxed_cpu = (statistics.median(each) for each in zip(*(run[0] for run in runs), strict=True))
    bare, bare_cpu = (statistics.median(each) for each in zip(*(run[1] for run in runs), strict=True))
    peer = "the same lines outside, plain Parquet"
    yield Metric("train.inside_ratio", boxed / bare, "x", at_most=GOAL, peer=1.0, peer_is=peer)
    yield Metric("train.inside_cpu_ratio", boxed_cpu / bare_cpu, "x", peer=1.0, peer_is=peer)
    yield Metric("train.inside_s", boxed, "s", peer=bare, peer_is=peer)
    yield Metric("machine.load", os.getloadavg()[0], "processes")


if __name__ == "__main__":
    sys.exit(main("train", "What training in a box costs beyond the same training outside.", measure))
