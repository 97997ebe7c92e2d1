"""GPUs: lent to one box at a time, and refused where there are none. Only files stand for them here."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from plans.box import BoxSpec, Entry, Limits
from plans.decision import Tier
from plans.errors import Malformed, TierMissing, Unreachable
from sandbox import bubblewrap
from sandbox.folders import BoxFolders
from sandbox.gpus import Gpus, Lent

LIMITS = Limits(4096, 64, 0, 64, 600, 600, 64, 256, 2)
SPEC = BoxSpec(Entry.PYTHON, "sha256:" + "0" * 64, (), LIMITS, Tier.T1)


@pytest.fixture
def two(tmp_path: Path) -> Gpus:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-modeset", "sda"):
        (tmp_path / name).touch()
    return Gpus.find(tmp_path)


def names(lent: Lent) -> list[str]:
    return [path.name for path in lent.devices]


def test_a_gpu_is_lent_to_one_box_at_a_time(two: Gpus) -> None:
    first, second = two.take(1), two.take(1)
    assert names(first) == ["nvidia0", "nvidiactl", "nvidia-uvm"] and names(second)[0] == "nvidia1"
    with pytest.raises(Unreachable):
        two.take(1)
    two.give_back(first)
    assert names(two.take(1))[0] == "nvidia0"


def test_a_box_without_a_gpu_gets_no_device(two: Gpus) -> None:
    assert two.take(0) == Lent()


def test_more_than_the_node_has_is_refused_for_ever(two: Gpus, tmp_path: Path) -> None:
    with pytest.raises(TierMissing):
        two.take(3)
    with pytest.raises(TierMissing):
        Gpus.find(tmp_path / "nothing").take(1)


@pytest.mark.parametrize("count", [-1, 17])
def test_a_specification_asks_for_a_sensible_number(count: int) -> None:
    with pytest.raises(Malformed):
        dataclasses.replace(SPEC, gpus=count)


def test_only_what_was_lent_is_bound_and_the_offer_says_that_it_is_less(two: Gpus) -> None:
    one = Path("/boxes/1")
    place = BoxFolders(one, one / "in", one / "out", one / "spill")

    def devices(lent: Lent) -> list[str]:
        walls = bubblewrap.Walls(Path("/image"), place, 60001, True, gpus=lent)
        line = bubblewrap.command(SPEC, walls, bubblewrap.Descriptors(7, 8), ("/box",))
        bound = [line[n + 2] for n, word in enumerate(line) if word == "--dev-bind"]
        return [path for path in bound if re.match("/dev/nvidia", path)]

    assert devices(two.take(1)) == ["/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"]
    assert devices(Lent()) == []
    told = {each.name: each for each in bubblewrap.offer(True, "memory", two.count).protections}
    assert not told["GPUs"].held and "GPUs" not in {p.name for p in bubblewrap.offer(True, "", 0).protections}
