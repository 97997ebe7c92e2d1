"""The keeper's two sockets.

* `socket`: launchers and the centre. Everything that matters there is signed, so the socket asks nobody who they are.
* `desk`: the owner's own people, on the owner's own machine (mode 0600): ingest, erase, and all that the other takes.

One thread per connection, one question per frame. An error of the house is answered as a problem document;
any other exception ends the connection and is a defect.
"""

from __future__ import annotations

import os
import socketserver
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keeper import ingest
from keeper.keeper import Keeper
from plans import frames
from plans.errors import DarkroomError, Malformed
from plans.plan import Plan
from plans.statements import Signed

Answer = dict[str, Any]
Operation = Callable[[Keeper, Answer], Answer]


def _submit(keeper: Keeper, question: Answer) -> Answer:
    signed = Signed.read(question["statement"])
    keeper.believe(signed)
    return {"statement": signed.statement.digest}


def _challenge(keeper: Keeper, question: Answer) -> Answer:
    return {"nonce": keeper.challenge(str(question["plan"]))}


def _unwrap(keeper: Keeper, question: Answer) -> Answer:
    return keeper.unwrap(Signed.read(question["statement"]), Plan.read(question["plan"])).plain()


def _renew(keeper: Keeper, question: Answer) -> Answer:
    return {"answer": "ok" if keeper.renew(str(question["lease"])) else "kill"}


def _finish(keeper: Keeper, question: Answer) -> Answer:
    keeper.leases.finish(str(question["lease"]))
    return {}


def _release(keeper: Keeper, question: Answer) -> Answer:
    records = [Signed.read(item) for item in question["records"]]
    return {"release": keeper.release(Plan.read(question["plan"]), records).plain()}


def _cosign(keeper: Keeper, question: Answer) -> Answer:
    proof = [str(item) for item in question["proof"]]
    return {"head": keeper.cosign(Signed.read(question["head"]), proof).plain()}


def _status(keeper: Keeper, _: Answer) -> Answer:
    return keeper.status()


def _ingest(keeper: Keeper, question: Answer) -> Answer:
    order = ingest.Order(Path(str(question["source"])), str(question["description"]))
    return {"manifest": ingest.ingest(keeper, order).plain()}


def _erase(keeper: Keeper, question: Answer) -> Answer:
    return {"erasure": ingest.erase(keeper, str(question["dataset"]), int(question["version"])).plain()}


OPEN: Mapping[str, Operation] = {
    "submit": _submit,
    "challenge": _challenge,
    "unwrap": _unwrap,
    "renew": _renew,
    "finish": _finish,
    "release": _release,
    "cosign": _cosign,
    "status": _status,
}
DESK: Mapping[str, Operation] = {**OPEN, "ingest": _ingest, "erase": _erase}


def answer(keeper: Keeper, operations: Mapping[str, Operation], question: Answer) -> Answer:
    """Return the answer to one question, an error of the house included."""
    try:
        operation = operations.get(str(question.get("op")))
        if operation is None:
            raise Malformed("this keeper's socket has no such operation", str(question.get("op"))[:40])
        return {"ok": operation(keeper, question)}
    except DarkroomError as problem:
        return frames.refusal(problem)
    except (KeyError, TypeError) as problem:
        return frames.refusal(
            Malformed(f"a member of the question is missing or wrong ({type(problem).__name__})", "question")
        )


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
        path.unlink(missing_ok=True)
        mask = os.umask(0o777 & ~mode)
        try:
            super().__init__(str(path), _Connection)
        finally:
            os.umask(mask)


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            while (question := frames.read(self.rfile)) is not None:  # type: ignore[arg-type]
                reply = answer(self.server.keeper, self.server.operations, question)
                self.wfile.write(frames.pack(reply))
        except DarkroomError as problem:
            self.wfile.write(frames.pack(frames.refusal(problem)))
        except (BrokenPipeError, ConnectionResetError):
            return
