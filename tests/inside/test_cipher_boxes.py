"""Real boxes add up ciphertexts: holders, a collector without key and data, and an inspector that opens their total."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airlock.rounding import count
from keys import sealing
from plans.errors import Refused
from plans.joint import JointPlan
from tests.inside import party_forms as forms
from tests.inside.joint_cases import Files
from tests.inside.party_cases import Boxes
from tests.inside.party_forms import CANARY, OFFICE, TAX
from tests.inside.test_party import recipient
from tests.inside.test_party_boxes import judged
from tests.inside.test_party_forms import parts, texts
from tests.sandbox.conftest import open_home

__all__ = ["open_home", "parts", "recipient"]


def ciphered(parts: dict[str, Files], key: sealing.OpeningKey) -> JointPlan:
    """One table in parts, whose sums the office adds up for the tax bureau."""
    joint = forms.inspected(forms.stacked(parts, key, TAX), TAX, rounding=5)
    task = replace(joint.task, servers=(), collector=OFFICE)
    made = forms.plan_of(joint.reading, task, parts, key, joint.scheme)
    return replace(made, decisions=joint.decisions)


@pytest.mark.box
@pytest.mark.timeout(600)
def test_an_inspector_judges_what_a_collector_added_up_in_real_boxes(
    parts: dict[str, Files], recipient: sealing.OpeningKey, open_home: Path
) -> None:
    table, carried = judged(ciphered(parts, recipient), parts, recipient, open_home)
    rows = forms.stacked_rows()
    wanted = {region: str(count(rows[region][1], 5)) if rows[region][1] >= 20 else "…" for region in rows}
    assert {row[0]: row[2] for row in texts(table)} == wanted
    assert str(CANARY).encode() not in carried + table.canonical()


def test_a_process_that_is_no_box_reads_no_ciphertext(
    parts: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """The same programs as threads of this process: it has no filter of system calls."""
    went = Boxes(ciphered(parts, recipient), tmp_path, parts, recipient)
    went.go()
    assert Refused.code in went.failed.values() and went.left() == set()
