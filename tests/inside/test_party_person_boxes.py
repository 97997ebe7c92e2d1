"""Real boxes of two parties: scores by another's model, records of another's register, sums on another's ciphertexts;
and what a party makes up for a ciphertext ends one box, and nothing else.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keys import sealing
from mpc.encrypted import crypto_box, scoring
from mpc.lookup.plan import Way
from mpc.protocols import planning
from mpc.protocols.computation import Work, take_part
from mpc.protocols.joint_rows import OwnRows
from plans.box import Entry
from plans.errors import PeerLost
from plans.handover import unpadded
from plans.joint_answer import JUDGED_INFO, judged_bound
from plans.released import Released
from tests.inside import party_forms as forms
from tests.inside import party_persons as persons
from tests.inside.joint_cases import Files
from tests.inside.joint_houses import Carrier, Vouching, foreign_links, houses
from tests.inside.party_forms import CANARY, TAX
from tests.inside.party_persons import BANK
from tests.inside.test_party import expected, files, plan_of, recipient
from tests.inside.test_party_boxes import built, judged, left_by, run_all
from tests.inside.test_party_forms import texts
from tests.sandbox.conftest import open_home
from tests.sandbox.side import launched

__all__ = ["files", "open_home", "recipient"]
pytestmark = [pytest.mark.box, pytest.mark.timeout(600)]


def test_rows_are_scored_in_real_boxes(
    recipient: sealing.OpeningKey, tmp_path: Path, open_home: Path
) -> None:
    """Persons are in the recipient's table and nowhere else: the control of what is looked for on the wire."""
    owners = persons.score_files(tmp_path)
    table, carried = judged(persons.scored(owners, recipient), owners, recipient, open_home)
    assert texts(table) == sorted(persons.scores_in_clear().items())
    assert CANARY.encode() in table.canonical() and CANARY.encode() not in carried


def test_persons_are_looked_up_in_real_boxes(
    recipient: sealing.OpeningKey, tmp_path: Path, open_home: Path
) -> None:
    owners = persons.lookup_files(tmp_path)
    table, carried = judged(persons.looked_up(owners, recipient), owners, recipient, open_home)
    assert texts(table) == persons.records_in_clear()
    for text in filter(None, texts(table)[-1][:1] + texts(table)[-1][2:]):
        assert text.encode() in table.canonical() and text.encode() not in carried


@pytest.mark.long
def test_persons_are_looked_up_the_hidden_way_in_real_boxes(
    recipient: sealing.OpeningKey, tmp_path: Path, open_home: Path
) -> None:
    """The register says that it may have 100,000 rows, so that its table is not sent whole (`mpc.lookup.simple_pir`).
    Making a table of that size takes a box twenty seconds; in the short tests its rows are a hundred, and it is sent.
    """
    owners = persons.lookup_files(tmp_path)
    joint = persons.looked_up(owners, recipient)
    assert planning.lookups(joint.reading).way is Way.COLUMNS
    asked, register = joint.reading.portions
    reading = replace(joint.reading, portions=(asked, replace(register, bound=100_000)))
    plan = planning.lookups(reading)
    assert plan.way is Way.HIDDEN
    scheme = replace(joint.scheme, reasons=planning.reasons_of(joint.task, reading))
    table, carried = judged(replace(joint, reading=reading, scheme=scheme), owners, recipient, open_home)
    assert texts(table) == persons.records_in_clear()
    questions = asked.bound * (plan.up + plan.down)
    assert plan.once + questions <= len(carried) < 1.1 * (plan.once + questions), (
        "hint, questions and answers"
    )
    for text in filter(None, texts(table)[-1][:1] + texts(table)[-1][2:]):
        assert text.encode() in table.canonical() and text.encode() not in carried


def test_two_owners_add_up_what_they_have_in_common_in_real_boxes(
    files: dict[str, Files], recipient: sealing.OpeningKey, open_home: Path
) -> None:
    joint = forms.of_two(plan_of(files, recipient), files, recipient)
    table, carried = judged(joint, files, recipient, open_home)
    assert {row[0]: row[2] for row in texts(table)} == {
        region: str(number) for region, (number, _) in expected().items()
    }
    assert CANARY.encode() not in carried + table.canonical()


def score_in_place_of(vouching: Vouching, carrier: Carrier, door: Path, attempt: int) -> None:
    """Do the part of the model's owner by a program of its own, for whose key its keeper vouches."""
    numbers = np.array(persons.COEFFICIENTS, dtype=np.int64).reshape(-1, 1)
    present, no_key = np.ones(numbers.shape, dtype=np.uint8), np.zeros((1, 16), dtype=np.uint8)
    rows = OwnRows(no_key, numbers, present, np.zeros(1, dtype=np.uint16))
    with foreign_links(TAX, vouching, carrier, door, attempt) as links:
        take_part(Work(vouching.joint, TAX, attempt, links), rows)


def test_what_is_no_ciphertext_ends_one_box_and_the_launcher_runs_the_next_one(
    recipient: sealing.OpeningKey, tmp_path: Path, open_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's owner is a program of its own, that seals numbers beyond the modulus in its first attempt. In the
    second one, the control, it is honest; the finder's launcher and its data are the same, and the box is another.
    """
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a program that is no box")])
    honest = scoring.Scorer.score

    def spoilt(*args: Any) -> bytes:
        return b"\xff" * 8 + honest(*args)[8:]

    owners = persons.score_files(tmp_path)
    joint, plans = built(persons.scored(owners, recipient))
    carrier, vouching = Carrier(), Vouching(joint)
    with contextlib.ExitStack() as stack:
        own = {BANK: plans[BANK]}
        sides = stack.enter_context(houses(open_home, vouching, own, owners, carrier))
        stack.enter_context(launched(sides[BANK].side))
        for attempt, score, wrong in ((1, spoilt, "joint.link-broken"), (2, honest, "")):
            monkeypatch.setattr(scoring.Scorer, "score", score)
            vouching.boxes.clear()
            arguments = (vouching, carrier, open_home / f"door-{attempt}", attempt)
            other = threading.Thread(target=score_in_place_of, args=arguments, daemon=True)
            other.start()
            ends = run_all(sides, attempt)
            other.join(120)
            assert ends == {f"{BANK}/extract": "", f"{BANK}/party": wrong}
            assert set(left_by(sides, attempt)) == (set() if wrong else {BANK})
            assert sides[BANK].side.boxes == []
        (sealed,) = left_by(sides, 2).values()
        bound = judged_bound(joint.digest, 2, BANK)
        table = Released.decode(unpadded(recipient.open(sealed, JUDGED_INFO, bound)))
        assert texts(table) == sorted(persons.scores_in_clear().items())


def test_a_box_that_may_use_too_little_memory_ends_alone(
    recipient: sealing.OpeningKey, tmp_path: Path, open_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves nothing, and its launcher goes on; the control is the same with its full limit, in the other tests."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a program that is no box")])
    owners = persons.score_files(tmp_path)
    joint, plans = built(persons.scored(owners, recipient))
    stages = tuple(
        replace(each, limits=replace(each.limits, memory_mb=64)) if each.entry is Entry.PARTY else each
        for each in plans[BANK].stages
    )
    carrier, vouching = Carrier(), Vouching(joint)

    def other() -> None:
        with contextlib.suppress(
            PeerLost, AssertionError
        ):  # the box dies while they speak, or before it asks for keys
            score_in_place_of(vouching, carrier, open_home / "door", 1)

    with contextlib.ExitStack() as stack:
        own = {BANK: replace(plans[BANK], stages=stages)}
        sides = stack.enter_context(houses(open_home, vouching, own, owners, carrier))
        stack.enter_context(launched(sides[BANK].side))
        threading.Thread(target=other, daemon=True).start()
        ends = run_all(sides)
        assert ends[f"{BANK}/party"].startswith("box.") and left_by(sides) == {}
        assert sides[BANK].side.boxes == []
