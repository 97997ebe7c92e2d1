"""The notebook of `examples/notebooks` that asks several agencies at once: its cells run in a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.joint.stories import STUDY
from server.twins import ordered
from tests.e2e import notebook_kernel as kernels
from tests.e2e.joint_town import JointTown
from tests.e2e.notebook_kernel import Reader

pytestmark = [pytest.mark.box]


def test_05_a_joint_computation(town: JointTown, tmp_path: Path) -> None:
    for register in STUDY.registers:
        ordered(town.agencies.site.home, register.dataset, order=False)

    def approve() -> None:
        (number,) = [each["id"] for each in town.operator.joints() if each["state"] == "waiting-approval"]
        town.approve(number, *STUDY.parties)

    reader = Reader(town.agencies.operator, tmp_path / "work", {"everybody-approves": approve})
    seen = kernels.read_through("05_a_joint_computation", reader)
    assert kernels.wrong(seen) == []
