"""`darkroom-server ledger …`: what an owner's keeper remembers of releases, on the owner's own machine."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from plans.inspection import Inspection
from server.options import DEFAULT_HOME, AsJson, Domain, Home

app = typer.Typer(help="The disclosure ledger: quotas, and what each rule found.", no_args_is_help=True)


@app.command("status")
def status(domain: Domain, home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """Say for every dataset what is left of its quotas, and from when there is more. For the owner only."""
    from server.owners import desk_of

    found = desk_of(home, domain)[1].ledger()
    _out(json.dumps(found, ensure_ascii=False, indent=1) if as_json else "\n".join(status_lines(found)))


@app.command("budgets")
def budgets(domain: Domain, home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """Say for every lineage in the mode private what is left of its privacy budget. For the owner only."""
    from server.owners import desk_of

    found = desk_of(home, domain)[1].budgets()
    _out(json.dumps(found, ensure_ascii=False, indent=1) if as_json else "\n".join(budget_lines(found)))


@app.command("refund")
def refund(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan's digest.")],
    domain: Domain,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Give back the privacy budget of a plan for which the keeper gave no key, as after a crash. For the owner only."""
    from server.owners import desk_of

    signed = desk_of(home, domain)[1].refund(plan)
    told = f"{signed.statement.body['rho_micro']:,} millionths of rho are free again"
    _out(json.dumps(signed.plain(), ensure_ascii=False, indent=1) if as_json else told)


@app.command("record")
def record(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan's digest.")],
    domain: Domain,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Show every rule that was applied to a plan's output, with its numbers. For the owner only."""
    from server.owners import desk_of

    found = desk_of(home, domain)[1].record(plan)
    lines = record_lines(Inspection.read(found))
    _out(json.dumps(found, ensure_ascii=False, indent=1) if as_json else "\n".join(lines))


def status_lines(lineages: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the quotas of lineages as text."""
    for lineage in lineages:
        yield f"{lineage['dataset']}  {lineage['vectors']:,} sets remembered"
        if lineage["cells"] > lineage["persons"] // 10:
            yield f"  ! unsafe_exact_cells: more than {lineage['persons'] // 10:,}, one for ten persons, bounds little"
        for quota in lineage["quotas"]:
            more = f", more from {_day(quota['renews'])}" if quota["renews"] else ""
            yield (
                f"  {quota['subject']}: {quota['left']:,} of {quota['amount']:,} left"
                f" within {quota['days']} days{more}"
            )


def budget_lines(lineages: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is left of privacy budgets as text."""
    for lineage in lineages:
        more = f", more from {_day(lineage['renews'])}" if lineage["renews"] else ""
        yield (
            f"{lineage['dataset']}: {lineage['left_micro']:,} of {lineage['rho_micro']:,} millionths of rho left{more}"
        )


def record_lines(found: Inspection) -> Iterator[str]:
    """Yield a record of rules as text."""
    yield f"{found.plan}  {found.finding}  preset {found.preset}"
    for applied in found.applied:
        numbers = ", ".join(f"{name} {value}" for name, value in sorted(applied.numbers.items()))
        yield f"  {applied.effect:9} {applied.rule:20} {applied.subject}  {numbers}"


def _day(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date().isoformat()


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
