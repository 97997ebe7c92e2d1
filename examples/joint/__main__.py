"""`python -m examples.joint [--persons N]`: three agencies answer one question, and nobody learns anything else.

Diabetes and income by league: the register of diagnoses, the incomes of the year and the register of residents are held
by three agencies, and asked by a bureau that holds nothing. An office that owns nothing matches pseudonyms.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb

from darkroom import joint as asking
from darkroom.joint_result import JointResult
from examples.joint import data, region
from examples.joint.region import HELPER, OWNERS, Agencies
from examples.story.telling import Teller
from keeper.api import KeeperClient
from plans.errors import DarkroomError
from plans.joint import JointTask
from plans.joint_rules import Matching, Opening
from server.running import address, started

HIGHEST = 1_000_000
"""The declared end of incomes (yearly.toml); two persons could have as much."""

PROJECT, PURPOSE = "diabetes-care", "Diabetes and income by league, for the plan of care"
STATEMENT = (
    "select c.region, count(*) as patients, avg(t.income) as mean_income\n"
    "from health.patients h join tax.yearly t using (person) join civil.residents c using (person)\n"
    f"where h.diagnosis like '{data.DIABETES}%'\n"
    "group by c.region"
)
COLUMNS = {
    "nm/civil/residents": ["region"],
    "nm/health/patients": ["diagnosis"],
    "nm/tax/yearly": ["income"],
}


def main() -> int:
    """Tell the story; return 0 when the answer is what DuckDB says of the joined rows."""
    parser = argparse.ArgumentParser(prog="examples.joint", description=__doc__)
    parser.add_argument("--persons", type=int, default=20_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="darkroom-joint-"))
    folder.chmod(0o711)
    try:
        return _tell(folder, options.persons)
    except DarkroomError as problem:
        sys.stderr.write(f"\nThe story broke off: {problem}\n")
        return problem.exit_code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(folder: Path, persons: int) -> int:
    teller = Teller()
    teller.line("Darkroom 暗室: several agencies, one answer, nothing else learned (联合计算)")
    with teller.chapter("Three agencies, an office and a centre are founded"):
        agencies = region.found(folder / "region")
        supervisor = started(agencies.site)
        teller.say(f"{len(supervisor.pids())} processes; the portal is at {address(agencies.site)}")
        teller.say("One machine has one administrator: this shape separates keys and processes, not people.")
    with supervisor:
        with teller.chapter("Everybody arrives, and the parties get to know each other's root keys"):
            region.arrivals(agencies, folder / "people")
        with teller.chapter("Every agency ingests its register at its own desk"):
            region.ingest(agencies, folder / "files", persons)
            for domain, manifest in agencies.manifests.items():
                teller.say(f"{domain}: {manifest.rows:,} persons in {manifest.relation}")
        with teller.chapter("A bureau without data is granted columns by each owner"):
            grant(agencies)
        with teller.chapter("It asks one statement over all three"):
            number = ask(teller, agencies)
        with teller.chapter("Every party reads who would see what, and signs"):
            approve(teller, agencies, number)
        with teller.chapter("The parties compute, and the bureau opens the answer"):
            result = opened(teller, agencies, number)
        with teller.chapter("Was it right? DuckDB on the joined rows, which nobody has outside this story"):
            same(teller, result, folder / "files")
        teller.end()
    return 0


def grant(agencies: Agencies) -> None:
    """Let the operator apply for the columns, and each owner's approver sign."""
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d")
    operator = agencies.operator
    for dataset, columns in COLUMNS.items():
        wish = operator.connection.apply(
            dataset, columns, PURPOSE, project=PROJECT, until=until, role="operator"
        )
        approver = agencies.people[f"approver of {dataset.rpartition('/')[0]}"].connection
        approver.trust_member(operator.name, operator.fingerprint)
        approver.hand_in(approver.grant(str(wish["id"])), str(wish["id"]))


def ask(teller: Teller, agencies: Agencies) -> str:
    """Submit the statement, and wait until its plan is made."""
    task = JointTask(STATEMENT, Matching.HELPER, Opening.OBLIVIOUS, tuple(OWNERS), helper=HELPER)
    teller.say(STATEMENT)
    connection = agencies.operator.connection
    number = str(connection.ask_jointly(task, project=PROJECT, purpose=PURPOSE)["id"])
    until = time.monotonic() + 60
    while (found := connection.joint(number))["state"] == "submitted" and time.monotonic() < until:
        time.sleep(0.1)
    if found["problem"]:
        raise asking.problem_of(found)
    teller.say(f"Its plan is made and waits for {found['waits_for']}.")
    return number


def approve(teller: Teller, agencies: Agencies, number: str) -> None:
    """Let an approver of every party read the plan on their own machine, and sign its digest."""
    for place, domain in enumerate((*OWNERS, HELPER)):
        connection = agencies.people[f"approver of {domain}"].connection
        plan = connection.joint_plan(number)
        if not place:
            teller.say("What each of them reads first, from the plan's own bytes:")
            heads = ("step", "party", "as", "form", "at most")
            teller.table(heads, [[str(cell) for cell in row[:5]] for row in asking.sight_lines(plan)])
            for sentence in plan.trust.collusions:
                teller.say(f"if they collude: {sentence}")
        connection.hand_in(asking.approval_of(plan, domain, connection.signer()))
        teller.say(f"{domain} signs {plan.digest[:19]}…")


def opened(teller: Teller, agencies: Agencies, number: str) -> JointResult:
    """Wait for the end, and open the answer."""
    connection, started_at = agencies.operator.connection, time.monotonic()
    for owner in agencies.owners:  # each party reads out its keeper's key to the bureau
        connection.trust_keeper(owner.domain, KeeperClient(owner.keeper_socket).status()["key"])
    connection.wait_jointly(number, 300)
    result = connection.open_jointly(number)
    teller.say(f"opened {time.monotonic() - started_at:.1f} s after the last signature")
    rows = [["(withheld)" if cell is None else _shown(cell) for cell in row] for row in result.rows]
    teller.table(result.columns, rows)
    for note in result.notes[:2]:
        teller.say(f"note: {note}")
    return result


def same(teller: Teller, result: JointResult, files: Path) -> None:
    """Compare with DuckDB on the joined rows."""
    with duckdb.connect() as connection:
        for name in ("residents", "patients", "yearly"):
            connection.execute(
                f"CREATE TABLE {name} AS FROM read_csv('{files / name}.csv', all_varchar=true)"
            )
        truth = connection.execute(
            "SELECT region, count(*), sum(income::DECIMAL(12, 2)), count(income) FROM patients JOIN yearly"
            " USING (id18) JOIN residents USING (id18)"
            f" WHERE diagnosis LIKE '{data.DIABETES}%' GROUP BY region"
        ).fetchall()
    wanted = {region: expected(count, total, present) for region, count, total, present in truth}
    found = {str(row[0]): (row[1], row[2]) for row in result.rows}
    if any(found[key] != wanted.get(key, (None, None)) for key in found):
        raise SystemExit("the answer differs from DuckDB's")
    told = sum(cell is not None for row in found.values() for cell in row)
    teller.say(
        f"{told} figures, each equal to the last digit; {2 * len(found) - told} withheld, each by a rule."
    )


def expected(count: int, total: Decimal, present: int) -> tuple[int | None, float | None]:
    """Return what may be told of a league: from ten persons on, and where no two could be more than 90 % of a total."""
    enough = present >= 10 and total * 90 >= 200 * HIGHEST
    return count if count >= 10 else None, float(Fraction(total) / present) if enough else None


def _shown(cell: object) -> str:
    return f"{cell:,.2f}" if isinstance(cell, float) else str(cell)


if __name__ == "__main__":
    sys.exit(main())
