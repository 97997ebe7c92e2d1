"""How others speak to a keeper: one typed method per operation, each a question on its Unix socket.

Raises whatever the keeper refuses with, and `Unreachable` when it does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plans import frames
from plans.key import SealedKeys
from plans.plan import Plan
from plans.statements import Signed
from plans.twins import TwinReport


@dataclass(frozen=True, slots=True)
class ReleaseAnswer:
    """A signed release. `held_key` opens the sealed bytes of an output that was held, in hex; else it is empty."""

    signed: Signed
    held_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeeperClient:
    """A keeper's open socket."""

    socket: Path

    def submit(self, signed: Signed) -> None:
        """Offer a signed statement; the keeper believes it or raises."""
        self._ask("submit", statement=signed.plain())

    def challenge(self, plan: str) -> str:
        """Return the nonce for the next box statement about a plan."""
        return str(self._ask("challenge", plan=plan)["nonce"])

    def unwrap(self, signed: Signed, plan: Plan) -> SealedKeys:
        """Return the keys of a stage, sealed to the box that the statement names."""
        return SealedKeys.read(self._ask("unwrap", statement=signed.plain(), plan=plan.plain()))

    def renew(self, lease: str) -> bool:
        """Return whether the box may go on."""
        return bool(self._ask("renew", lease=lease)["answer"] == "ok")

    def release(self, plan: Plan, records: Sequence[Signed]) -> ReleaseAnswer:
        """Return the signed release of a plan's output; while reviewers have not let it out it is `StateConflict`."""
        answer = self._ask("release", plan=plan.plain(), records=[record.plain() for record in records])
        return ReleaseAnswer(Signed.read(answer["release"]), str(answer["held_key"]))

    def cosign(self, head: Signed, proof: Sequence[str]) -> Signed:
        """Return the keeper's own signature on a head of the audit log."""
        return Signed.read(self._ask("cosign", head=head.plain(), proof=list(proof))["head"])

    def meet(self, signed: Signed) -> None:
        """Offer another domain's roster, or a party's description of itself; the keeper holds it or raises."""
        self._ask("peer", statement=signed.plain())

    def receipts(self, joint: str, attempt: int) -> list[Signed]:
        """Return the receipts of all parties to a joint attempt that the keeper has."""
        return [
            Signed.read(item)
            for item in self._ask("joint-receipts", joint=joint, attempt=attempt)["receipts"]
        ]

    def ran(self, joint: str, attempt: int) -> tuple[Plan, list[Signed]]:
        """Return the plan of this side's boxes in a joint attempt, and its launcher's records of them.

        Raises:
            NotFound: this keeper has signed no receipt of it.
        """
        found = self._ask("joint-ran", joint=joint, attempt=attempt)
        return Plan.read(found["plan"]), [Signed.read(item) for item in found["records"]]

    def status(self) -> dict[str, Any]:
        """Return what the keeper says of itself."""
        return self._ask("status")

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return frames.ask(self.socket, {"op": operation, **arguments}, timeout_s=60)


@dataclass(frozen=True, slots=True)
class DeskClient:
    """A keeper's desk: for the owner's own people only."""

    socket: Path

    def ingest(self, source: Path, description: str) -> Signed:
        """Ingest a file as described (TOML text) and return the signed manifest."""
        question = {"op": "ingest", "source": str(source.resolve()), "description": description}
        return Signed.read(frames.ask(self.socket, question, timeout_s=3_600)["manifest"])

    def refund(self, plan: str) -> Signed:
        """Return the keeper's signed word that it gave no key for a plan, so that what was reserved is free again."""
        question = {"op": "refund", "plan": plan}
        return Signed.read(frames.ask(self.socket, question, timeout_s=60)["refund"])

    def budgets(self) -> list[dict[str, Any]]:
        """Return for every lineage in the mode private what is left of its budget, and when more is free again."""
        return list(frames.ask(self.socket, {"op": "budgets"}, timeout_s=60)["budgets"])

    def held(self) -> list[dict[str, Any]]:
        """Return the held outputs: who asked, by when, and what each waits for."""
        return list(frames.ask(self.socket, {"op": "review-list"}, timeout_s=60)["held"])

    def show_held(self, plan: str, reviewer: str) -> dict[str, Any]:
        """Return one held output as a reviewer reads it."""
        question = {"op": "review-show", "plan": plan, "reviewer": reviewer}
        return frames.ask(self.socket, question, timeout_s=60)

    def submit(self, signed: Signed) -> None:
        """Offer a signed statement, such as a review."""
        frames.ask(self.socket, {"op": "submit", "statement": signed.plain()}, timeout_s=60)

    def twin(self, dataset: str, order: bool = False) -> tuple[Signed, TwinReport | None]:
        """Return the twin of a dataset's newest version, and what its owner alone may know of it; made if ordered."""
        question = {"op": "twin", "dataset": dataset, "order": order}
        answer = frames.ask(self.socket, question, timeout_s=3_600)
        told = answer["report"]
        return Signed.read(answer["twin"]), TwinReport.read(told) if told else None

    def ledger(self) -> list[dict[str, Any]]:
        """Return for every dataset what is left of its quotas, and how much is kept about it."""
        return list(frames.ask(self.socket, {"op": "ledger"}, timeout_s=60)["lineages"])

    def models(self) -> list[dict[str, Any]]:
        """Return the kept models: whose they are, for what, and to which tables they were fitted."""
        return list(frames.ask(self.socket, {"op": "models"}, timeout_s=60)["models"])

    def delete_model(self, plan: str) -> None:
        """Delete what a plan has left at the keeper, its models among it, for good."""
        frames.ask(self.socket, {"op": "model-delete", "plan": plan}, timeout_s=60)

    def record(self, plan: str) -> dict[str, Any]:
        """Return every rule that was applied to a plan's output, with its numbers (`plans.inspection`)."""
        return dict(frames.ask(self.socket, {"op": "record", "plan": plan}, timeout_s=60)["record"])

    def erase(self, dataset: str, version: int) -> Signed:
        """Destroy a version's keys and return the signed certificate."""
        question = {"op": "erase", "dataset": dataset, "version": version}
        return Signed.read(frames.ask(self.socket, question, timeout_s=300)["erasure"])
