"""The processes of `benchmarks/joint.py`: one for each box of each party, with its links as open sockets.

    python joint_runs.py STAGE DOMAIN FOLDER ATTEMPT LINKS

`LINKS` is JSON, descriptors by name. Each does its imports, says `ready`, and begins when it is told to; then it says
how long it took, and how many bytes went to other parties.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inside import extract, party  # noqa: E402
from inside.session import Link, Session  # noqa: E402
from keys import sealing  # noqa: E402
from plans.box import Entry  # noqa: E402
from plans.key import BoxKeys  # noqa: E402
from plans.plan import Plan  # noqa: E402

PROGRAMS: dict[Entry, Any] = {Entry.EXTRACT: extract, Entry.PARTY: party}
ROWS_KEY = "7c" * 32


def session(stage: Entry, domain: str, folder: Path, attempt: int, links: dict[str, int]) -> Session:
    """Return what a launcher and a keeper would give to the box."""
    told = json.loads((folder / "world.json").read_text())
    plan = Plan.read(told["plans"][domain])
    boxes = {
        name: sealing.OpeningKey.from_bytes(bytes.fromhex(secret)) for name, secret in told["boxes"].items()
    }
    peers = {
        link.name: boxes[link.peer.removeprefix("party:")].public
        for link in plan.stage(stage).links
        if link.peer.startswith("party:")
    }
    reads = stage is Entry.EXTRACT
    keys = BoxKeys(
        told["keys"].get(domain, {}) if reads else {}, {}, "", {}, {"rows-0": ROWS_KEY}, peers=peers
    )
    out = folder / "out" / domain.replace("/", "-")
    out.mkdir(parents=True, exist_ok=True)
    paths = {name: Path(path) for name, path in told["paths"].get(domain, {}).items()} if reads else {}
    ends = {name: Link(number) for name, number in links.items()}
    spill = folder / "spill"
    return Session(plan, stage, attempt, paths, keys, out, spill, spill, links=ends, secret=boxes[domain])


def main() -> None:
    """Run one box."""
    stage, domain, folder, attempt, links = sys.argv[1:]
    made = session(Entry(stage), domain, Path(folder), int(attempt), json.loads(links))
    print("ready", flush=True)
    sys.stdin.readline()
    began, processor = time.perf_counter(), time.process_time()
    report = PROGRAMS[made.stage].run(made)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "processor_s": time.process_time() - processor,
                "sent_bytes": report.get("sent_bytes", 0),
            }
        )
    )


if __name__ == "__main__":
    main()
