"""A box whose processes die late gives back its user id, and its home, once they are gone, and not before.

A tree of a large lab on a busy machine takes longer to die than a launcher waits for it. Were its home then held for
good, its member had no lab any more until the launcher is started anew.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plans.box import BoxSpec, BoxState, Entry, Home, Limits
from plans.decision import Tier
from plans.errors import StateConflict
from sandbox import cgroups, folders, process_box, processes
from sandbox.cgroups import Allowance, Cgroup, Cgroups
from sandbox.homes import Homes, Slot
from sandbox.process_box import Fittings, ProcessBox, Started

USER = 61_990
HOME = Home("a" * 32, 64, 1000)
LIMITS = Limits(256, 16, 0, 1, 60, 60, 64, 256, 1)
SPEC = BoxSpec(Entry.LAB, "sha256:" + "0" * 64, (), LIMITS, Tier.T1, home=HOME)


def a_box(place: Path, slot: Slot) -> ProcessBox:
    """Return a box that was never started, with a user id and the slot of a home."""

    async def start() -> Started:
        raise AssertionError("it is not started")

    group = Cgroups.none().make("box", Allowance(1, 1, 1))
    return ProcessBox(
        SPEC, folders.make(place, None), Fittings(Tier.T1, start, group, USER, slot.release, slot=slot)
    )


@pytest.mark.parametrize("late", [False, True])
def test_a_home_is_free_once_the_last_process_of_its_box_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    dying, signalled, discarded = [4711] if late else [], [], []
    monkeypatch.setattr(processes, "of_user", lambda user: list(dying) if user == USER else [])
    monkeypatch.setattr(processes, "send", lambda pid, number: signalled.append((pid, number)))
    monkeypatch.setattr(process_box, "_LAST_LOOK_S", 0.05)
    monkeypatch.setattr(cgroups, "_REMOVING_S", 0.05)
    monkeypatch.setattr(Cgroup, "discard", lambda _: bool(discarded.append(list(dying))) or not dying)

    async def life() -> None:
        homes = Homes(tmp_path / "homes", separate=False)
        homes.prepare()
        slot = homes.slot(None)
        box = a_box(tmp_path / "boxes", slot)
        await slot.settle(HOME)
        await box.destroy()
        assert box.state is BoxState.DESTROYED
        if late:
            async with asyncio.timeout(60):
                while len(signalled) < 3:  # what is left is killed again and again
                    await asyncio.sleep(0.01)
            with pytest.raises(StateConflict):
                homes.hold(HOME.name)
            dying.clear()
            async with asyncio.timeout(60):
                while process_box._RELEASING:
                    await asyncio.sleep(0.01)
        homes.hold(HOME.name)
        assert discarded[-1] == [], "and its control group is gone, which it could not be before"

    (tmp_path / "boxes").mkdir()
    asyncio.run(life())
