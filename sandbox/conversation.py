"""The launcher's side of the conversation with a box; `inside.session` is the other.

Everything that comes from a box is foreign: frames are bounded and canonical, codes and facts are cut to
plain short words before anybody sees them, and every step has a time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plans import canonical, frames, frames_async, names
from plans.box import Entry
from plans.errors import BoxFailed, BoxLimit, DarkroomError, Malformed, by_code
from sandbox import telling
from sandbox.contract import Cause, Conversation

HELLO_S = 30.0
"""How long a box may take to import its program and make its key."""

START = "box.start"
"""Where it is said that a box did not come up: nothing was computed, and it may come up the next time."""

MOST_FACTS = 16
LONGEST_FACT = 200
_CODE = re.compile(r"[a-z][a-z0-9.-]{0,59}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")

SPEAKS_OF_FACTS = frozenset({Entry.CHECK, Entry.INGEST, Entry.LAB})
"""Programs whose failures may say more than a code: a check and a lab have no data of an owner, an ingest's facts are
for the owner."""

LARGEST_REPORT = {
    Entry.CHECK: 2**20,
    Entry.INGEST: 2**20,
    Entry.QUERY: 2,
    Entry.PARSE: 2,
    Entry.PROTECT: 2,
    Entry.FINISH: 2,
    Entry.JUDGE: 2**14,
    Entry.TWIN: 2**14,
    Entry.LOAD: 2,
    Entry.PYTHON: 2,
    Entry.COMPONENT: 2,
    Entry.REENCODE: 2,
    Entry.RELOAD: 2,
    Entry.INSPECT: 2**14,
    Entry.EXTRACT: 2,
    Entry.PARTY: 2**13,
    Entry.LAB: 2,
}
"""Bytes of a report. Of boxes that see data only those that judge have something to report: what was taken over
elsewhere has no say. What an ingest or a twin reports is for the owner.
"""

LARGEST_TRIAL = 2**21
"""Bytes of what a trial reports: there is no data in it, and its log and error are shown whole."""

LARGEST_WORD = 2**14
"""Bytes of what else a box says: that it is ready, its key, and why it gave up, with few short facts."""

GAVE_UP = {
    "twin.failed": (
        "the engine stopped while it counted for a twin; its reason could tell of a row, so nobody hears it",
        "Ask again; what was charged is not charged twice.",
    ),
    "twin.nothing": (
        "no column of the dataset may be used, so there is nothing to imitate",
        "Write rules about its columns into the domain's policies (docs/policies.md).",
    ),
    "query.failed": (
        "the engine stopped while it ran the statement; its reason could tell of a row, so nobody hears it",
        "Look for a cast, division or overflow in the statement, and try it on made-up rows of the same columns.",
    ),
    "load.failed": (
        "the engine stopped while it read a table for the job; its reason could tell of a row, so nobody hears it",
        "Submit it again; if it fails again, tell the owner of the data: a file, a filter or a mask does not fit.",
    ),
    "inspect.rows": (
        "the rows by which a model is checked did not come to their end, so nothing leaves",
        "Submit it again; if it happens again, the owner's administrator sees why the loader ended.",
    ),
    "component.failed": (
        "the component could not do what was asked on these data; why could tell of a person, so nobody hears it",
        "Name fewer or coarser columns, or ask for less: docs/components.md says what each component must find.",
    ),
    "component.task": (
        "the task does not fit its component, or a column has a type with which the component can do nothing",
        "Compare its columns and parameters with docs/components.md, and submit it again.",
    ),
    "component.inputs": (
        "a table did not come to its end, so the component was ended before it could take a part for the whole",
        "Submit it again; if it happens again, the owner's administrator sees why the loader ended.",
    ),
    "component.memory": (
        "the component needed more memory than its box has",
        "Work on fewer columns, or ask the administrator for a higher limit (docs/settings.md).",
    ),
    "result.too-large": (
        "the result has more cells than the airlock reads",
        "Group by fewer or coarser columns; LIMIT does not help, it is applied to what is released.",
    ),
    "protect.too-large": (
        "an inner table of the statement has more cells than may leave at once",
        "Group by fewer or coarser columns inside; a condition or LIMIT outside is applied afterwards.",
    ),
    "finish.failed": (
        "the engine stopped while it computed with the protected figures",
        "Look for a cast, division or overflow in the outer part of the statement; a suppressed figure is null there.",
    ),
    "extract.failed": (
        "the engine stopped while it computed a party's own part; its reason could tell of a row, so nobody hears it",
        "Look for a cast, division or overflow in the statement, and try it on made-up rows of the same columns.",
    ),
    "extract.keys": (
        "a party's rows miss identifiers, repeat them, or have some that cannot be matched",
        "Its owner leaves these rows out with a condition, or ingests a table with one row for each person.",
    ),
    "extract.rows": (
        "a party has more rows than the public bound of the plan, or a model has none",
        "Ask with a narrower condition or a higher limit, or for a new plan: the table may have grown since.",
    ),
    "extract.range": (
        "a party's data break the range, the decimals or the completeness that their owner declared",
        "Its owner ingests the table with a range that holds; nothing was computed.",
    ),
    "extract.codes": (
        "a party's data have a group that is not on the public list of codes, or a row without one",
        "Its owner ingests the table with the complete list, or the statement leaves these rows out.",
    ),
    "extract.width": (
        "a register has a text that is longer than its owner declared",
        "Its owner declares the values of the column, or the statement leaves the column out.",
    ),
    "party.rows": (
        "the party's own rows did not come to their end, so nothing was sent to anybody",
        "Start a new attempt; if it happens again, the owner's administrator sees why the other box ended.",
    ),
    "engine.missing": (
        "the box's image lacks a part of its engine",
        "Tell the administrator, who sets the platform up again: make up.",
    ),
    **telling.SENTENCES,
}
"""Why a box gave up, as a sentence, and what to do; a code that is not here says all it has to say."""

_DATA_CODES = {*GAVE_UP, *by_code()}


@dataclass(frozen=True, slots=True)
class Failure:
    """A box's own failure: a stable code and plain facts."""

    code: str
    facts: Mapping[str, str | int]


async def begin(pipes: Conversation, start: dict[str, Any]) -> str:
    """Wait until the box is ready, tell it its work, and return the public half of the key that it made.

    Raises:
        BoxFailed: the box does not answer as it should, or gave up; `box.start`: it says nothing in time.
    """
    ready = await _receive(pipes, HELLO_S)
    if "ready" not in ready:
        raise _speechless(failure_in(ready))
    links = {name: ends.place for name, ends in pipes.links.items()}
    await _send(pipes, {"start": {**start, "links": links}})
    message = await _receive(pipes, HELLO_S)
    hello = message.get("hello")
    if not isinstance(hello, str):
        raise _speechless(failure_in(message))
    return names.require("opening key", hello, "box hello")


async def give_keys(pipes: Conversation, sealed: str, statement: dict[str, Any]) -> None:
    """Relay the keys, sealed to the box. One that has given up meanwhile says why in its own last word."""
    with contextlib.suppress(BoxFailed):
        await _send(pipes, {"keys": {"sealed": sealed, "statement": statement}})


async def outcome(pipes: Conversation, entry: Entry, *, trial: bool = False) -> dict[str, Any] | Failure:
    """Return the box's report or its failure, however long it takes; the box's own limits end it.

    Raises:
        BoxFailed: the box says neither, or more than its program has to say.
    """
    largest = LARGEST_TRIAL if trial else LARGEST_REPORT[entry]
    message = await _receive(pipes, None, LARGEST_WORD + largest)
    report = message.get("report")
    if not isinstance(report, dict):
        failure = failure_in(message)
        if entry is Entry.PYTHON:  # the line, for the launcher to compare and keep (`sandbox.pairing`)
            return Failure(_bare(failure).code, failure.facts)
        return failure if entry in SPEAKS_OF_FACTS else _bare(failure)
    if len(canonical.encode(report)) > largest:
        raise _protocol()
    return dict(report)


def failure_in(message: dict[str, Any]) -> Failure:
    """Return the failure that a message carries, cut to plain words.

    Raises:
        BoxFailed: it carries none.
    """
    content = message.get("failure")
    if not isinstance(content, dict) or not isinstance(content.get("facts"), dict):
        raise _protocol()
    code = str(content.get("code"))
    facts = {_plain(name): _fact(value) for name, value in list(content["facts"].items())[:MOST_FACTS]}
    return Failure(code if _CODE.fullmatch(code) else "box.failed", facts)


def given_up(failure: Failure) -> BoxFailed:
    """Return the error that a box's own failure is: one sentence, the code, and what to do."""
    kind = BoxLimit if failure.code == BoxLimit.code else BoxFailed
    sentence, next_step = GAVE_UP.get(failure.code, ("the box ended without a result", ""))
    return kind(sentence, failure.code, next_step)


def _speechless(failure: Failure) -> BoxFailed:
    """Return the error of a box that gave up before its hello. It has seen nothing but its plan then, which its
    launcher could read: where the box cannot, its image has other code.
    """
    if failure.code != Malformed.code:
        return given_up(failure)
    return BoxFailed(
        "the box does not understand its plan: its image was built from other code than its launcher runs",
        failure.code,
        "Tell the administrator: `darkroom-server doctor` names such images, and `make up` builds them anew.",
    )


def _bare(failure: Failure) -> Failure:
    """Return the failure of a box that has seen data: one of few codes, whatever it said, and no fact."""
    return Failure(failure.code if failure.code in _DATA_CODES else BoxFailed.code, {})


def _fact(value: object) -> str | int:
    return value if isinstance(value, int) and not isinstance(value, bool) else _plain(str(value))


def _plain(text: str) -> str:
    return _CONTROL.sub("", text)[:LONGEST_FACT]


async def _send(pipes: Conversation, message: dict[str, Any]) -> None:
    try:
        pipes.to_box.write(frames.pack(message))
        async with asyncio.timeout(HELLO_S):
            await pipes.to_box.drain()
    except TimeoutError:
        raise _late() from None
    except OSError:
        raise _protocol() from None


async def _receive(
    pipes: Conversation, timeout_s: float | None, largest: int = LARGEST_WORD
) -> dict[str, Any]:
    try:
        async with asyncio.timeout(timeout_s):
            message = await frames_async.read_async(pipes.from_box, largest)
    except TimeoutError:
        raise _late() from None
    except (OSError, DarkroomError):
        raise _protocol() from None
    if message is None:
        raise _protocol()
    return message


def _late() -> BoxFailed:
    """Return the error of a box that is silent before its hello; afterwards its own limits are what ends it."""
    return BoxFailed(
        f"the box was not up within {HELLO_S:.0f} s: its node has too much to do, or the box hangs",
        START,
        "Submit it again shortly; `darkroom-server doctor` says what is wrong with a node.",
    )


def _protocol() -> BoxFailed:
    return BoxFailed("the box does not speak as it should, or ended", Cause.PROTOCOL)
