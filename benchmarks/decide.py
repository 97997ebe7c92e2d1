"""Deciding where a domain has very many grants, and how soon a revocation counts.

decide.p95_ms_100k    `policies.decide` on one dataset of 20 columns, all of them used, for members drawn at random,
                      with 100,000 grants in the index; the 95th percentile
                      peer: Casbin's own enforcer with one line for each grant, one question, without any column
decide.p95_ms_1m      the same with 1,000,000 grants
                      peer: the same with 1,000,000 lines
decide.load_s_100k    from the canonical text of 100,000 grants to the index: strict reading, every name checked
                      peer: Casbin reads a policy file of 100,000 lines
decide.revocation_s   from the moment in which a revocation is handed to the database until another process, which
                      decides again and again over 100,000 grants there, first decides no; the worst of some
                      peer: none
decide.forecast_ms    all that the centre does for one decision, from the database with 100,000 grants; median
decide.keeper_use_ms  what a keeper with 100,000 grants does to count one use of one of them and to answer with what
                      is left; median
"""

from __future__ import annotations

import json
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# This file is named like a module of a room: run as a script, its own folder must not stand in the way.
sys.path[:] = [str(ROOT), *(each for each in sys.path if Path(each or ".").resolve() != ROOT / "benchmarks")]

import casbin  # noqa: E402

from benchmarks import decide_world as world  # noqa: E402
from benchmarks import report  # noqa: E402
from benchmarks.report import Metric  # noqa: E402
from compute import forecast  # noqa: E402
from plans.decision import Outcome  # noqa: E402
from plans.statements import Grant  # noqa: E402
from policies import api as policies  # noqa: E402
from store import api as store  # noqa: E402

DECISIONS, ROUNDS = 2_000, 5
PEER_QUESTIONS = {100_000: 20, 1_000_000: 4}
TEXTBOOK = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.obj == p.obj && r.sub == p.sub && r.act == p.act
"""


def p95_ms(number: int) -> float:
    """The 95th percentile of one decision with so many grants in the index."""
    index = policies.Grants(world.granted(n) for n in range(number))
    cases = [world.case(index, n) for n in random.Random(4).sample(range(number), DECISIONS)]
    taken = []
    for case in cases:
        start = time.perf_counter()
        decision = policies.decide(case)
        taken.append(time.perf_counter() - start)
        assert decision.outcome is Outcome.ALLOW, decision.reasons
    return statistics.quantiles(taken, n=100)[94] * 1_000


def casbin_ms(number: int) -> float:
    """The same question, as far as Casbin alone can answer it; the median, because each takes so long."""
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=TEXTBOOK))
    enforcer.model["p"]["p"].policy = [[world.member(n), world.dataset(n), "query"] for n in range(number)]
    taken = []
    for n in random.Random(4).sample(range(number), PEER_QUESTIONS[number]):
        start = time.perf_counter()
        assert enforcer.enforce(world.member(n), world.dataset(n), "query")
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1_000


def load_s(number: int) -> float:
    """Seconds from texts to the index; the best of some rounds."""
    texts = [(world.digest(f"grant {n}"), json.dumps(world.grant(n).plain())) for n in range(number)]
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        index = policies.Grants(
            world.standing(digest, Grant.read(json.loads(text))) for digest, text in texts
        )
        best = min(best, time.perf_counter() - start)
        assert len(index) == number
    return best


def casbin_load_s(number: int, folder: Path) -> float:
    """Seconds until Casbin has read its lines from its own kind of file."""
    file, model = folder / "policy.csv", folder / "model.conf"
    file.write_text("".join(f"p, {world.member(n)}, {world.dataset(n)}, query\n" for n in range(number)))
    model.write_text(TEXTBOOK)
    start = time.perf_counter()
    casbin.Enforcer(str(model), str(file))
    return time.perf_counter() - start


# --- with a database -----------------------------------------------------


def watch(url: str, about: int, said: Any) -> None:
    """In a process of its own: decide again and again, and say when the answer changes, until it is no."""
    database, before = store.open_database(url), None
    while before is not Outcome.DENY:
        found = forecast_once(database, about)
        if found is not before:
            said.put((found.value, time.time()))
            before = found


def forecast_once(database: store.Database, about: int) -> Outcome:
    """What the centre decides for the member of one grant."""
    request = world.request(about)
    with database.reading() as session:
        owner = forecast.owner(session, world.OWNER, request.member)
    return owner.decide(request, world.reading(about), world.NOW).outcome


def revocation_s(database: store.Database, url: str) -> float:
    """The worst delay of some revocations."""
    worst = 0.0
    processes = multiprocessing.get_context("spawn")
    for about in range(0, ROUNDS * world.EACH, world.EACH):
        said = processes.Queue()
        watcher = processes.Process(target=watch, args=(url, about, said))
        watcher.start()
        assert said.get(timeout=60)[0] == Outcome.ALLOW.value
        start = time.time()
        world.revoke(database, about)
        answer, at = said.get(timeout=60)
        assert answer == Outcome.DENY.value
        worst = max(worst, at - start)
        watcher.join()
    return worst


def median_ms(work: Callable[[int], object], rounds: int = 200) -> float:
    """The median of some rounds of work, each about another grant."""
    taken = []
    for n in range(rounds):
        start = time.perf_counter()
        work(100 + n)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1_000


def measure() -> Iterator[Metric]:
    """Measure all, the small things first."""
    textbook = "Casbin's enforcer, a line for each grant"
    yield Metric(
        "decide.p95_ms_100k", p95_ms(100_000), "ms", at_most=1, peer=casbin_ms(100_000), peer_is=textbook
    )
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        peer = casbin_load_s(100_000, folder)
        yield Metric(
            "decide.load_s_100k",
            load_s(100_000),
            "s",
            at_most=3,
            peer=peer,
            peer_is="Casbin reads such a file",
        )
        url = f"sqlite:///{folder / 'centre.db'}"
        database = world.fill(url, 100_000)
        yield Metric("decide.revocation_s", revocation_s(database, url), "s", at_most=1)
        yield Metric("decide.forecast_ms", median_ms(lambda n: forecast_once(database, n)), "ms")
        database.close()
    trusted = world.believed(100_000)
    yield Metric("decide.keeper_use_ms", median_ms(lambda n: world.use(trusted, n)), "ms")
    yield Metric(
        "decide.p95_ms_1m", p95_ms(1_000_000), "ms", at_most=2, peer=casbin_ms(1_000_000), peer_is=textbook
    )


if __name__ == "__main__":
    sys.exit(report.main("decide", __doc__ or "", measure))
