"""Held outputs outlive the launcher's folder, encrypted, and open at the desk only as what the judging box wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from keeper.held import FILES, HeldNote, HeldOutputs
from keeper.keyring import Keyring
from keys import api as keys
from plans import canonical
from plans.errors import EvidenceBroken, NotFound
from plans.inspection import Applied, Effect, Inspection
from plans.plan import Plan
from plans.verdict import Finding, Verdict
from policies import api as policies
from tests.plans import examples

PLAN: Plan = examples.PLAN
SHOWN = examples.RELEASED.canonical()
SEALED = b"sealed to the recipient"
VERDICT = Verdict(
    PLAN.digest,
    Finding.HELD,
    ("figure",),
    examples.digest("1"),
    examples.RELEASED.digest,
    "sha256:" + hashlib.sha256(SEALED).hexdigest(),
)
NOTE = HeldNote(PLAN, VERDICT, 1, 1_772_000_000)
CANARY = examples.RELEASED.columns[0].name.encode()
RECORD = Inspection(
    PLAN.digest, Finding.HELD, "region", (Applied("figure", "a.png", Effect.HELD, 1, {"n": 3}),)
)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.create(tmp_path / "keyring")


@pytest.fixture
def held(tmp_path: Path, keyring: Keyring) -> HeldOutputs:
    (tmp_path / "held").mkdir()
    return HeldOutputs(tmp_path / "held", keyring)


def written(keyring: Keyring, name: str, content: bytes, attempt: int = 1, plan: str = PLAN.digest) -> bytes:
    """A file as a judging box leaves it."""
    bound = canonical.encode({"plan": plan, "attempt": attempt, "name": name})
    padded = len(content).to_bytes(8, "big") + content + b"\0" * 100
    return keys.encrypt(keyring.stage_key(plan, attempt, name), padded, bound)


CONTENT = {policies.HELD: SEALED, policies.SHOWN: SHOWN, policies.RECORD: RECORD.canonical()}


def files(keyring: Keyring) -> dict[str, bytes]:
    return {
        policies.HELD: written(keyring, policies.HELD, SEALED),
        policies.SHOWN: written(keyring, policies.SHOWN, SHOWN),
        policies.RECORD: written(keyring, policies.RECORD, RECORD.canonical()),
    }


def test_what_is_held_is_read_at_the_desk_and_lies_encrypted(
    held: HeldOutputs, keyring: Keyring, tmp_path: Path
) -> None:
    held.keep(NOTE, files(keyring))
    again = HeldOutputs(tmp_path / "held", keyring)
    assert again.all() == (NOTE,) and again.shown(PLAN.digest) == SHOWN
    assert again.record(PLAN.digest) == RECORD
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "held").rglob("*") if path.is_file())
    assert CANARY in SHOWN, "control: it would be seen"
    assert CANARY + b'","type' not in on_disk


def test_keeping_twice_changes_nothing(held: HeldOutputs, keyring: Keyring) -> None:
    held.keep(NOTE, files(keyring))
    other = files(keyring) | {policies.SHOWN: written(keyring, policies.SHOWN, b"something else")}
    assert held.keep(HeldNote(PLAN, VERDICT, 1, 1_999_999_999), other) == NOTE
    assert held.shown(PLAN.digest) == SHOWN


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_attempt_plan_or_name_is_not_kept(
    held: HeldOutputs, keyring: Keyring, name: str
) -> None:
    wrong = (
        written(keyring, name, CONTENT[name], attempt=2),
        written(keyring, name, CONTENT[name], plan=examples.digest("9")),
        written(keyring, "other.bin", CONTENT[name]),
        b"",
    )
    for content in wrong:
        with pytest.raises(EvidenceBroken):
            held.keep(NOTE, files(keyring) | {name: content})
    assert held.all() == ()
    held.keep(NOTE, files(keyring))
    assert held.all() == (NOTE,), "control: the right ones are"


def test_without_what_reviewers_read_nothing_is_kept(held: HeldOutputs, keyring: Keyring) -> None:
    some = files(keyring)
    del some[policies.SHOWN]
    with pytest.raises(EvidenceBroken):
        held.keep(NOTE, some)
    with pytest.raises(NotFound) as missing:
        held.get(PLAN.digest)
    assert "review list" in missing.value.next_step


def test_what_was_cut_off_while_it_was_written_is_not_there_and_is_kept_again(
    held: HeldOutputs, keyring: Keyring, tmp_path: Path
) -> None:
    held.keep(NOTE, files(keyring))
    (note,) = (tmp_path / "held").glob("*/note.json")
    note.unlink()
    assert held.find(PLAN.digest) is None
    held.keep(NOTE, files(keyring))
    assert held.shown(PLAN.digest) == SHOWN


def test_reviews_name_the_bytes_that_are_shown(held: HeldOutputs, keyring: Keyring) -> None:
    held.keep(NOTE, files(keyring))
    case = held.case(PLAN.digest)
    assert (case.plan, case.verdict) == (PLAN.digest, VERDICT.digest)
    assert PLAN.request is not None and case.request == PLAN.request
    held.forget(PLAN.digest)
    assert held.all() == ()


@pytest.mark.parametrize("name", [policies.HELD, policies.SHOWN])
def test_what_reviewers_read_is_what_was_judged_and_what_leaves_is_what_they_read(
    held: HeldOutputs, keyring: Keyring, name: str
) -> None:
    other = {policies.HELD: b"sealed to somebody else", policies.SHOWN: SHOWN.replace(b"10", b"20", 1)}
    assert other[name] != CONTENT[name]
    with pytest.raises(EvidenceBroken):
        held.keep(NOTE, files(keyring) | {name: written(keyring, name, other[name])})
