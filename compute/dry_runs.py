"""Dry runs: what a request would be answered, what it costs and how much noise it has. Nothing runs on data.

The statement is read in a checker box, as for a job, and decided on; then it ends. All that is said follows from the
statement, the policy and the owner's declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compute import planning
from plans.plan import Program
from store import api as store


@dataclass(frozen=True, slots=True)
class Noise:
    """What an answer in the mode `private` costs, and for each count and sum how far noise moves it in 95 of 100 cases.

    `rho_micro` are millionths of rho, paid by each of the lineages in `datasets`.
    """

    rho_micro: int
    datasets: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]

    def plain(self) -> dict[str, Any]:
        """Return plain values."""
        errors = [{"output": name, "error": error} for name, error in self.errors]
        return {"rho_micro": self.rho_micro, "datasets": list(self.datasets), "errors": errors}


def dry_run(database: store.Database, house: planning.House, asked: planning.Asked) -> dict[str, Any]:
    """Return the outcome, the reasons for a no, and the noise where there would be any.

    Raises:
        DarkroomError: as `planning.propose`.
    """
    proposal = planning.propose(database, house, asked)
    decision = proposal.decision
    noise = _noise(proposal.plan.program) if proposal.plan and proposal.plan.program else None
    return {
        "outcome": decision.outcome.value,
        "reasons": [reason.plain() for reason in decision.reasons],
        "noise": noise.plain() if noise else None,
    }


def _noise(program: Program) -> Noise | None:
    private = program.private
    if private is None:
        return None
    named = zip(program.outputs, private.errors, strict=True)
    return Noise(
        private.rho_micro, private.datasets, tuple((output.name, error) for output, error in named if error)
    )
