"""Attacks on the house's own programs in boxes: what a statement makes the engine say, keys that a carrier swapped.

A box runs the real query program behind the real conversation, over a file with canaries. Whatever it sends or
leaves is searched byte by byte (ATTACKS 20, 23, 77).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keys import sealing
from plans import canonical, frames
from plans.box import BoxSpec, Entry, Input, Limits, Outputs
from plans.decision import Decision, Obligations, Outcome
from plans.errors import DarkroomError
from plans.key import BoxKeys
from plans.plan import Plan, PlanKind, Program, Relation
from plans.reading import Cells, Level, Output, Role
from plans.release import KEYS_INFO
from plans.request import Request
from plans.statements import BoxStatement, StageInput
from sandbox import conversation
from sandbox.attacks.attack import Attack, CannotRun, Scenario, Verdict
from sandbox.attacks.ground import Ground, collected
from sandbox.contract import Cause, Conversation

FILE, RELATION, RESULT = "tax.attributes", "tax.income", "result.bin"
_LIMITS = Limits(
    memory_mb=512, temp_mb=16, spill_mb=32, output_mb=4, cpu_s=30, wall_s=60, processes=64, files=64, cpus=1
)
_FAILS = "query.failed"
_WRITE = """
import sys; sys.path.append("/box")
import importlib, pathlib
engine, box = importlib.import_module("inside.engine"), importlib.import_module("plans.box")
canary, key = sys.argv[1:]
connection = engine.open_engine(pathlib.Path("/tmp"), box.Limits(512, 16, 0, 8, 60, 60, 64, 64, 1))
engine.add_key(connection, "file", key)
connection.execute(
    f"COPY (SELECT i::UBIGINT AS person, '{canary}' AS name, 9223372036854775800 + i % 7 AS large FROM range(100) r(i))"
    f" TO '/out/tax.attributes' (FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption('file')})"
)
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything that left a box: the frames it sent, as bytes, what it left, and the code with which it gave up."""

    said: bytes
    left: Mapping[str, bytes]
    code: str

    def everything(self) -> bytes:
        """Return all of it."""
        return self.said + b"".join(self.left.values()) + " ".join(self.left).encode()


@dataclass(frozen=True, slots=True)
class Data:
    """The owner's file, its key, the canary in it."""

    path: Path
    key: str
    canary: str


def error(expression: str) -> Scenario:
    """Return the attack whose statement fails with the value in the engine's text."""

    async def attack(ground: Ground) -> Verdict:
        data = await _data(ground)
        heard = await _query(ground, data, f"SELECT {expression} AS x, 1 AS persons FROM {RELATION}")
        if heard.code != _FAILS:
            raise CannotRun(f"the statement did not fail as it should ({heard.code or 'it ran'})")
        gained = data.canary.encode() in heard.everything() or b"92233720368547758" in heard.everything()
        return Verdict(gained, f"what left the box: {heard.code}")

    return attack


def answer(expression: str, column: str = "x") -> Scenario:
    """Return the attack whose statement runs and carries values in its result, or in its names."""

    async def attack(ground: Ground) -> Verdict:
        data = await _data(ground)
        sql = f'SELECT {expression} AS "{column.format(canary=data.canary)}", 1 AS persons FROM {RELATION}'
        heard = await _query(ground, data, sql)
        if set(heard.left) != {RESULT}:
            raise CannotRun(f"the statement did not run ({heard.code})")
        gained = data.canary.encode() in heard.everything()
        return Verdict(gained, f"what left the box: {', '.join(heard.left)}, encrypted for the next box")

    return attack


async def keys_of_another(ground: Ground) -> Verdict:
    """A carrier relays keys that were sealed to another box, with a statement that names this one's work."""
    data = await _data(ground)
    heard = await _query(ground, data, f"SELECT name AS x, 1 AS persons FROM {RELATION}", swapped=True)
    gained = bool(heard.left) or data.canary.encode() in heard.everything()
    return Verdict(gained, f"the box gave up: {heard.code}")


async def _data(ground: Ground) -> Data:
    """Have a box write an encrypted file, as an ingest does, and keep what a launcher would collect; once."""
    if (made := ground.kept.get(FILE)) is not None:
        return made
    canary, key = ground.planted.canary("data"), secrets.token_hex(32)
    ran = await ground.run(_WRITE, canary, key, limits=_LIMITS)
    if FILE not in ran.outputs:
        raise CannotRun(
            f"the data could not be written ({ran.refused or ran.ending.cause or ran.ending.status})"
        )
    path = ground.home / FILE
    path.write_bytes(ran.outputs[FILE])
    path.chmod(0o444)
    data = ground.kept[FILE] = Data(path, key, canary)
    return data


async def _query(ground: Ground, data: Data, counted: str, swapped: bool = False) -> Heard:
    """Run the query program over the data; `swapped` gives it keys that another box could open."""
    plan = _plan(ground, data, counted)
    spec = plan.stage(Entry.QUERY)
    box = ground.make(ground.without).create(spec, {FILE: data.path})
    said, code = b"", ""
    try:
        pipes = await box.start()
        inputs = [StageInput(FILE, _digest(data.path))]
        start = {
            "plan": plan.plain(),
            "stage": "query",
            "attempt": 1,
            "inputs": [item.plain() for item in inputs],
        }
        own = await conversation.begin(pipes, start)
        statement = _statement(plan, spec, own, tuple(inputs), ground.tier)
        recipient = sealing.OpeningKey.fresh().public if swapped else own
        keys = BoxKeys({FILE: data.key}, {RESULT: secrets.token_hex(32)}, "")
        sealed = sealing.seal(recipient, keys.canonical(), KEYS_INFO, statement.canonical())
        await conversation.give_keys(pipes, sealed.hex(), statement.plain())
        said, code = await _last_words(pipes)
        await box.wait()
        left, _ = await collected(box, ground.home)
    except DarkroomError as problem:
        left, code = {}, problem.code
    finally:
        await box.kill(Cause.CANCELLED)
        await box.destroy()
    return Heard(said, left, code)


async def _last_words(pipes: Conversation) -> tuple[bytes, str]:
    """Return all that the box still says, and the code in it if it gives up."""
    async with asyncio.timeout(2 * _LIMITS.wall_s):  # its own limit comes first
        said = await pipes.from_box.read(1 << 20)
        while more := await pipes.from_box.read(1 << 20):
            said += more
    message: Any = canonical.decode(said[frames.HEAD_BYTES :]) if len(said) > frames.HEAD_BYTES else {}
    failure = message.get("failure", {}) if isinstance(message, dict) else {}
    return said, str(failure.get("code", ""))


def _plan(ground: Ground, data: Data, counted: str) -> Plan:
    """Return a plan that a keeper would never have signed: its statement is the attacker's own."""
    digest = _digest(data.path)
    signing, opening = "ed25519:" + "1" * 64, sealing.OpeningKey.fresh().public
    request = Request("m@nm/uni", signing, opening, "attack", "attack", counted, secrets.token_hex(16), 1)
    outputs = (Output("x", "VARCHAR", Role.VALUE, "", 0),)
    relation = Relation(RELATION, digest, digest, ("large", "name"), "")
    tables = (Cells(counted, outputs, 0),)
    program = Program((relation,), Level.ROWS, tables, "", outputs, (), None)
    decision = Decision(Outcome.ALLOW, (), 1, 1, (), (), Obligations(10, 5, 1000, ground.tier))
    spec = BoxSpec(
        Entry.QUERY, ground.image, (Input(FILE, digest),), _LIMITS, ground.tier, outputs=Outputs(1, (RESULT,))
    )
    parse = replace(spec, entry=Entry.PARSE, inputs=(Input(RESULT, ""),), outputs=Outputs())
    judge = replace(parse, entry=Entry.JUDGE)
    nonce = secrets.token_hex(16)
    return Plan(
        PlanKind.SQL, "nm/tax", request, "4" * 128, decision, program, "", (spec, parse, judge), nonce, 0
    )


def _statement(
    plan: Plan, spec: BoxSpec, key: str, inputs: tuple[StageInput, ...], tier: Any
) -> BoxStatement:
    return BoxStatement(
        plan=plan.digest, stage=Entry.QUERY, attempt=1, spec=spec.digest, image=spec.image, tier=tier, inputs=inputs,
        box_key=key, node="attacks", challenge=secrets.token_hex(16),
    )  # fmt: skip


def _digest(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


_ERRORS = {
    "error": "error(name)",
    "cast": "CAST(name AS INTEGER)",
    "date": "strptime(name, '%Y')",
    "json": "json_extract(name, '$.x')",
    "overflow": "large + large",
    "regular-expression": "regexp_matches('x', name || '(')",
    "condition": "CASE WHEN name LIKE 'canary%' THEN error(name) ELSE 'x' END",
}
_CODES = (
    "the engine's own text carries the value (tests/inside/test_query.py); what is attacked is the way out"
)

ATTACKS = (
    *(
        Attack(
            name=f"error-{name}", number=20, section="A", title="error that carries a value: " + name.replace("-", " "),
            scenario=error(expression), no_control=_CODES, sample=name == "cast",
        )
        for name, expression in _ERRORS.items()
    ),
    Attack(
        name="value-as-result", number=18, section="A", title="rows as a result, with the guard broken",
        scenario=answer("name"), no_control=_CODES,
    ),
    Attack(
        name="value-as-alias", number=23, section="A", title="alias that carries a value",
        scenario=answer("1", "{canary}"), no_control=_CODES,
    ),
    Attack(
        name="keys-of-another-box", number=77, section="H", title="keys that a carrier swapped",
        scenario=keys_of_another, no_control="the same box with its own keys answers: the attack beside it",
        sample=True,
    ),
)  # fmt: skip
