"""The keeper's two sockets.

* `socket`: launchers, the own agent in joint computations, and the centre. Everything that matters there is signed, so
  the socket asks nobody who they are. What is not, is said of failures only (`joint-receipt`): whoever is on the
  owner's machine can have an attempt end, and nothing be released.
* `desk`: the owner's own people, on the owner's own machine (mode 0600): ingest, erase, and all that the other takes.

One thread per connection, one question per frame. An error of the house is answered as a problem document;
any other exception ends the connection and is a defect.
"""

from __future__ import annotations

import os
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper import ingest, models, twins
from keeper.keeper import Keeper
from keeper.meeting import Shown
from plans import frames
from plans.errors import DarkroomError, Malformed
from plans.joint import JointPlan, Receipt
from plans.plan import Plan
from plans.statements import Signed

Answer = dict[str, Any]
MOST_CONNECTIONS = 64
"""How many may be open at a time; the next one waits for a place."""
LONGEST_WAIT_S = 20.0
"""For which the own agent may have the keeper wait for the own box (`joint-own`)."""
IDLE_S = 30
"""Seconds after which a connection that asks nothing is ended."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question's members, each read as what it has to be; raises `Malformed` if it is missing or something else."""

    members: Mapping[str, Any]

    def value(self, name: str) -> Any:
        """Return a member."""
        if name not in self.members:
            raise Malformed(f"the question has no member {name!r}", "question")
        return self.members[name]

    def text(self, name: str) -> str:
        """Return a member that is text."""
        return str(self._of(name, str))

    def number(self, name: str) -> int:
        """Return a member that is a whole number."""
        return int(self._of(name, int))

    def items(self, name: str) -> list[Any]:
        """Return a member that is a list."""
        return list(self._of(name, list))

    def _of(self, name: str, kind: type) -> Any:
        value = self.value(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise Malformed(f"the question's member {name!r} has the wrong type", "question")
        return value


Operation = Callable[[Keeper, Question], Answer]


def _submit(keeper: Keeper, question: Question) -> Answer:
    signed = Signed.read(question.value("statement"))
    keeper.believe(signed)
    return {"statement": signed.statement.digest}


def _challenge(keeper: Keeper, question: Question) -> Answer:
    return {"nonce": keeper.challenge(question.text("plan"))}


def _unwrap(keeper: Keeper, question: Question) -> Answer:
    signed, plan = Signed.read(question.value("statement")), Plan.read(question.value("plan"))
    return keeper.unwrap(signed, plan).plain()


def _renew(keeper: Keeper, question: Question) -> Answer:
    return {"answer": "ok" if keeper.renew(question.text("lease")) else "kill"}


def _finish(keeper: Keeper, question: Question) -> Answer:
    keeper.leases.finish(question.text("lease"))
    return {}


def _release(keeper: Keeper, question: Question) -> Answer:
    records = [Signed.read(item) for item in question.items("records")]
    plan = Plan.read(question.value("plan"))
    return {"release": keeper.release(plan, records).plain(), "held_key": keeper.held_key(plan.digest)}


def _refund(keeper: Keeper, question: Question) -> Answer:
    return {"refund": keeper.refund(question.text("plan")).plain()}


def _budgets(keeper: Keeper, _: Question) -> Answer:
    with keeper.lock:
        return {"budgets": keeper.budgets.status(keeper.trusted.in_force()[1], keeper.now())}


def _cosign(keeper: Keeper, question: Question) -> Answer:
    proof = [str(item) for item in question.items("proof")]
    return {"head": keeper.cosign(Signed.read(question.value("head")), proof).plain()}


def _peer(keeper: Keeper, question: Question) -> Answer:
    signed = Signed.read(question.value("statement"))
    keeper.meet(signed)
    return {"statement": signed.statement.digest}


def _joint_approved(keeper: Keeper, question: Question) -> Answer:
    keeper.joint.require_approved(JointPlan.read(question.value("joint")))
    return {}


def _joint_own(keeper: Keeper, question: Question) -> Answer:
    wait_s = min(max(question.number("wait_ms"), 0) / 1000, LONGEST_WAIT_S)
    own = keeper.joint.own(question.text("joint"), question.number("attempt"), wait_s)
    return {"signed": own.signed.plain(), "plan": own.plan.plain()}


def _told(item: Any) -> Shown:
    if not isinstance(item, dict):
        raise Malformed("a peer's box is told as an object", "question")
    return Shown(Signed.read(item.get("signed")), Plan.read(item.get("plan")))


def _joint_peers(keeper: Keeper, question: Question) -> Answer:
    told = [_told(item) for item in question.items("peers")]
    keeper.joint.bring(question.text("joint"), question.number("attempt"), told)
    return {}


def _joint_receipt(keeper: Keeper, question: Question) -> Answer:
    records = [Signed.read(item) for item in question.items("records")]
    receipt, plan = Receipt.read(question.value("receipt")), Plan.read(question.value("plan"))
    return {"receipt": keeper.joint.receipt(receipt, plan, records).plain()}


def _joint_keep(keeper: Keeper, question: Question) -> Answer:
    keeper.joint.keep(Signed.read(question.value("receipt")))
    return {}


def _joint_receipts(keeper: Keeper, question: Question) -> Answer:
    found = keeper.joint.receipts(question.text("joint"), question.number("attempt"))
    return {"receipts": [signed.plain() for signed in found]}


def _joint_ran(keeper: Keeper, question: Question) -> Answer:
    plan, records = keeper.joint.ran(question.text("joint"), question.number("attempt"))
    return {"plan": plan, "records": records}


def _status(keeper: Keeper, _: Question) -> Answer:
    return keeper.status()


def _ingest(keeper: Keeper, question: Question) -> Answer:
    order = ingest.Order(Path(question.text("source")), question.text("description"))
    return {"manifest": ingest.ingest(keeper, order).plain()}


def _twin(keeper: Keeper, question: Question) -> Answer:
    dataset = question.text("dataset")
    signed = (
        twins.order(keeper, dataset) if question.value("order") is True else twins.current(keeper, dataset)
    )
    told = twins.report(keeper, dataset)
    return {"twin": signed.plain(), "report": told.plain() if told else None}


def _erase(keeper: Keeper, question: Question) -> Answer:
    return {"erasure": ingest.erase(keeper, question.text("dataset"), question.number("version")).plain()}


def _review_list(keeper: Keeper, _: Question) -> Answer:
    with keeper.lock:
        return {"held": keeper.reviews.list(keeper.now())}


def _review_show(keeper: Keeper, question: Question) -> Answer:
    with keeper.lock:
        return keeper.reviews.show(question.text("plan"), question.text("reviewer"), keeper.now())


def _models(keeper: Keeper, _: Question) -> Answer:
    with keeper.lock:
        return {"models": models.listed(keeper.reviews.held)}


def _delete_model(keeper: Keeper, question: Question) -> Answer:
    keeper.delete_model(question.text("plan"))
    return {}


def _ledger(keeper: Keeper, _: Question) -> Answer:
    return {"lineages": keeper.ledger_status()}


def _record(keeper: Keeper, question: Question) -> Answer:
    return {"record": keeper.record(question.text("plan"))}


OPEN: Mapping[str, Operation] = {
    "submit": _submit,
    "challenge": _challenge,
    "unwrap": _unwrap,
    "renew": _renew,
    "finish": _finish,
    "release": _release,
    "cosign": _cosign,
    "status": _status,
    "peer": _peer,
    "joint-approved": _joint_approved,
    "joint-own": _joint_own,
    "joint-peers": _joint_peers,
    "joint-receipt": _joint_receipt,
    "joint-keep": _joint_keep,
    "joint-receipts": _joint_receipts,
    "joint-ran": _joint_ran,
}
REVIEW: Mapping[str, Operation] = {"review-list": _review_list, "review-show": _review_show}
"""What the owner's reviewers ask on the owner's own machine."""

DESK: Mapping[str, Operation] = {
    **OPEN,
    "ingest": _ingest,
    "erase": _erase,
    "twin": _twin,
    "budgets": _budgets,
    "refund": _refund,
    "ledger": _ledger,
    "record": _record,
    "models": _models,
    "model-delete": _delete_model,
    **REVIEW,
}


def answer(keeper: Keeper, operations: Mapping[str, Operation], question: Answer) -> Answer:
    """Return the answer to one question, an error of the house included."""
    try:
        operation = operations.get(str(question.get("op")))
        if operation is None:
            raise Malformed("this keeper's socket has no such operation", str(question.get("op"))[:40])
        return {"ok": operation(keeper, Question(question))}
    except DarkroomError as problem:
        return frames.refusal(problem)


def serve(keeper: Keeper) -> None:
    """Answer on both sockets until the process ends."""
    servers = [
        _Server(keeper.config.socket, keeper, OPEN, 0o666),
        _Server(keeper.config.desk, keeper, DESK, 0o600),
    ]
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, keeper: Keeper, operations: Mapping[str, Operation], mode: int) -> None:
        self.keeper, self.operations = keeper, operations
        self.places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        path.unlink(missing_ok=True)
        mask = os.umask(0o777 & ~mode)
        try:
            super().__init__(str(path), _Connection)
        finally:
            os.umask(mask)


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    timeout = IDLE_S

    def handle(self) -> None:
        with self.server.places:
            self._answer_all()

    def _answer_all(self) -> None:
        try:
            while (question := frames.read(self.rfile)) is not None:  # type: ignore[arg-type]
                reply = answer(self.server.keeper, self.server.operations, question)
                self.wfile.write(frames.pack(reply))
        except DarkroomError as problem:
            self.wfile.write(frames.pack(frames.refusal(problem)))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return
