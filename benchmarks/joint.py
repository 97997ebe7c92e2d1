"""Joint computations beside plain DuckDB on the joined data.

    python -m benchmarks.joint [--json]

Two owners, three servers (two of them the owners), one helper: four parties, six processes, each box's own program with
its links as sockets of this machine, encrypted from box to box; walls, launchers and agents are not in it (of walls
`benchmarks/box.py` tells). The clock runs from the word to begin, once all have done their imports, until the recipient
has the answer in clear: reading encrypted Parquet, checking keys and ranges, matching, sharing, adding up, testing,
opening.
The peer runs the same statement on the joined plain rows, in memory, with two threads.

* `joint.grouped_ratio_1m`: sum, mean and count in 50 groups, 1M × 1M rows, half of the persons in both;
* `joint.grouped_ratio_10m`: the same of 10M × 0.5M;
* `joint.tax_education_s`: the workload of *Students and Taxes* (Bogdanov et al., PETS 2016): 10 million tax records
  and half a million education records, what students earned by year of enrolment, field, and whether they graduated
  in time, with deviations, in a ring of 128 bits;
* `joint.link_ratio`: 100k × 100k over links of 100 Mbit/s and 10 ms for each party, over the time that the busiest
  party's bytes take at that bandwidth;
* `joint.integer_mismatches`: figures of whole numbers that differ from the peer's in any digit, at every size.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import duckdb  # noqa: E402

from benchmarks import joint_runs, joint_world  # noqa: E402
from benchmarks.joint_link import Shaped  # noqa: E402
from benchmarks.joint_world import Size, World  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402
from plans.box import Entry  # noqa: E402
from plans.handover import OPENED, unpadded  # noqa: E402
from plans.joint import Opened  # noqa: E402
from plans.joint_answer import OPENED_INFO, JointAnswer, answer_of, opened_bound  # noqa: E402

MILLION = 1_000_000
ROUNDS, PEER_ROUNDS = 3, 7
BANDWIDTH_BYTES, DELAY_S = 12.5e6, 0.01


@dataclass
class Ran:
    """One run: seconds, the answer, and what each process said of itself."""

    seconds: float
    answer: JointAnswer
    told: dict[str, dict[str, float]]
    carried: dict[str, int] = field(default_factory=dict)


def run(world: World, attempt: int, shaped: Shaped | None = None) -> Ran:
    """Run every box of every party once."""
    ends, extra = _ends(world, shaped)
    processes = {}
    for name, links in ends.items():
        stage, domain = name.split(":")
        told = {link: end.fileno() for link, end in links.items()}
        command = [
            sys.executable, "-P", joint_runs.__file__, stage, domain, str(world.folder), str(attempt), json.dumps(told),
        ]  # fmt: skip
        processes[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=tuple(told.values())
        )
        for end in links.values():
            end.close()
    for process in processes.values():
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    if shaped is not None:
        shaped.carry(extra)
    said = {
        name: json.loads(process.communicate()[0].splitlines()[-1]) for name, process in processes.items()
    }
    answer = answer_of(world.joint, attempt, _opened(world, attempt))
    return Ran(time.perf_counter() - began, answer, said, shaped.carried if shaped else {})


def _ends(
    world: World, shaped: Shaped | None
) -> tuple[dict[str, dict[str, socket.socket]], list[tuple[str, str, socket.socket, socket.socket]]]:
    """Return the link ends of every process, and for a shaped run what is to be carried between whom."""
    domains = [party.domain for party in world.joint.parties]
    ends: dict[str, dict[str, socket.socket]] = {f"{Entry.PARTY}:{domain}": {} for domain in domains}
    for domain in world.files:
        ours, theirs = socket.socketpair()
        ends[f"{Entry.EXTRACT}:{domain}"] = {"rows-0": ours}
        ends[f"{Entry.PARTY}:{domain}"]["rows-0"] = theirs
    extra = []
    for place, one in enumerate(domains):
        for number, other in enumerate(domains[:place]):
            here, there = socket.socketpair()
            if shaped is not None:
                far, there = socket.socketpair()
                here, near = socket.socketpair()
                extra.append((one, other, near, far))
            ends[f"{Entry.PARTY}:{one}"][f"peer-{number}"] = here
            ends[f"{Entry.PARTY}:{other}"][f"peer-{place}"] = there
    return ends, extra


def _opened(world: World, attempt: int) -> list[Opened]:
    found = []
    for place, domain in enumerate(world.joint.task.servers):
        sealed = (world.folder / "out" / domain.replace("/", "-") / OPENED).read_bytes()
        bound = opened_bound(world.joint.digest, attempt, place)
        found.append(Opened.decode(unpadded(world.recipient.open(sealed, OPENED_INFO, bound))))
    return found


def peer(world: World) -> tuple[float, dict[str, tuple[int, float, int]]]:
    """Return how long plain DuckDB takes on the joined rows, at the median, and its answer."""
    with duckdb.connect(config={"threads": 2}) as connection:
        for name in ("visits", "income"):
            connection.execute(f"CREATE TABLE {name} AS FROM '{world.folder / name}.parquet'")
        times = []
        for _ in range(PEER_ROUNDS):
            began = time.perf_counter()
            found = connection.execute(
                "SELECT region, sum(income)::BIGINT, avg(income), count(*)"
                " FROM visits JOIN income USING (id) GROUP BY 1"
            ).fetchall()
            times.append(time.perf_counter() - began)
    return statistics.median(times), {region: (total, mean, count) for region, total, mean, count in found}


def mismatches(answer: JointAnswer, truth: dict[str, tuple[int, float, int]]) -> int:
    """Return how many figures differ; those of groups that are too small are to be withheld."""
    wrong = 0
    for region, *figures in answer.rows:
        total, mean, count = truth.get(str(region), (0, 0.0, 0))
        small = count < joint_world.SMALLEST_GROUP
        wanted = (None, None, None) if small else (total, mean, count)
        wrong += sum(found != right for found, right in zip(figures, wanted, strict=True))
    return wrong


def compared(folder: Path, size: Size, rounds: int = ROUNDS) -> tuple[float, float, int]:
    """Return seconds of a joint run at the median, of the peer, and how many figures differed in all runs."""
    world = joint_world.make(folder, size)
    peer_s, truth = peer(world)
    runs = [run(world, attempt) for attempt in range(1, rounds + 1)]
    for each in runs:
        _tell(size, each)
    wrong = sum(mismatches(each.answer, truth) for each in runs)
    return statistics.median(each.seconds for each in runs), peer_s, wrong


def _tell(size: Size, ran: Ran) -> None:
    """Say on standard error where a run's time went."""
    parts = ", ".join(
        f"{name} {told['seconds']:.1f}/{told['processor_s']:.1f}" for name, told in ran.told.items()
    )
    sys.stderr.write(f"{size.grouped:,} x {size.valued:,}: {ran.seconds:.2f} s (wall/processor: {parts})\n")


def study(folder: Path, size: Size) -> tuple[float, float, int]:
    """Return seconds of the workload of *Students and Taxes*, of the peer, and how many figures differed."""
    world = joint_world.make_study(folder, size)
    with duckdb.connect(config={"threads": 2}) as connection:
        for name in ("students", "income"):
            connection.execute(f"CREATE TABLE {name} AS FROM '{world.folder / name}.parquet'")
        began = time.perf_counter()
        found = connection.execute(
            "SELECT enrolled, field, in_time, count(*), sum(income), sum(income::HUGEINT * income), sum(months)"
            " FROM students JOIN income USING (id) GROUP BY 1, 2, 3"
        ).fetchall()
        peer_s = time.perf_counter() - began
    truth = {tuple(row[:3]): row[3:] for row in found}
    ran = run(world, 1)
    _tell(size, ran)
    wrong = 0
    for *keys, count, mean, _, months in ran.answer.rows:
        persons, total, _, worked = truth.get(tuple(keys), (0, 0, 0, 0))
        wrong += (count, mean, months) != (persons, total / persons, worked)
    return ran.seconds, peer_s, wrong


def slow(folder: Path) -> tuple[float, float]:
    """Return the seconds over the slow link, and what the busiest party's bytes take at its bandwidth."""
    world = joint_world.make(folder, Size(100_000, 100_000, 50_000))
    shaped = Shaped(BANDWIDTH_BYTES, DELAY_S)
    ran = run(world, 1, shaped)
    return ran.seconds, max(ran.carried.values()) / BANDWIDTH_BYTES


def measure() -> Iterator[Metric]:
    """Measure everything but matching, which `benchmarks/matching.py` compares with `spu`."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        joined = "DuckDB on the joined rows"
        small, small_peer, found = compared(place / "small", Size(10_000, 10_000, 5_000))
        wrong += found
        yield Metric("joint.grouped_s_10k", small, "s", peer=small_peer, peer_is=joined)
        middle, middle_peer, found = compared(place / "1m", Size(MILLION, MILLION, MILLION // 2))
        wrong += found
        yield Metric(
            "joint.grouped_ratio_1m",
            middle / middle_peer,
            "x",
            at_most=60,
            peer=middle_peer,
            peer_is=f"s: {joined}",
        )
        large, large_peer, found = compared(place / "10m", Size(10 * MILLION, MILLION // 2, MILLION // 2))
        wrong += found
        yield Metric(
            "joint.grouped_ratio_10m",
            large / large_peer,
            "x",
            at_most=200,
            peer=large_peer,
            peer_is=f"s: {joined}",
        )
        seconds, study_peer, found = study(place / "study", Size(MILLION // 2, 10 * MILLION, MILLION // 2))
        wrong += found
        yield Metric(
            "joint.tax_education_s", seconds, "s", at_most=600, peer=study_peer, peer_is=f"s: {joined}"
        )
        took, ideal = slow(place / "slow")
        yield Metric(
            "joint.link_ratio", took / ideal, "x", at_most=1.5, peer=ideal, peer_is="s: bytes / bandwidth"
        )
        yield Metric("joint.integer_mismatches", wrong, "figures", at_most=0, peer=0, peer_is=joined)


if __name__ == "__main__":
    sys.exit(main("joint", __doc__ or "", measure))
