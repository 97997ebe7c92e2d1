"""Boxes without walls, for tests of other packages: the same contract, programs, pipes and limits, and no
protection at all.

A program of the house runs as a plain process of this user, in this checkout. It sees the host. Nothing but
tests may use it.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from plans.box import BoxSpec
from plans.decision import Tier
from plans.errors import DarkroomError, TierMissing
from sandbox import folders, gate
from sandbox.cgroups import Allowance, Cgroup, Cgroups
from sandbox.contract import Ends, Offer, Protection
from sandbox.folders import BoxFolders
from sandbox.process_box import Fittings, ProcessBox, Started
from sandbox.recipes import CHECKOUT

_PROGRAM = """
import dataclasses, importlib, pathlib, sys
entry, limits, inputs, outputs, spill, temp, overlay = sys.argv[1:]
inside = importlib.import_module("inside")
inside.__path__.insert(0, overlay)
main = importlib.import_module("inside.__main__")
begin, place = main.begin, pathlib.Path
main.begin = lambda incoming, outgoing: dataclasses.replace(
    begin(incoming, outgoing, place(inputs)), out=place(outputs), temp=place(temp), spill=place(spill))
sys.argv[1:] = [entry, limits]
sys.exit(main.main())
"""


class UnsafeLocalBoxes:
    """Makes boxes that are none. See `sandbox.contract.Boxes`.

    `overlay` is a folder whose modules go before those of `inside`.
    """

    def __init__(self, home: Path, overlay: Path | None = None) -> None:
        self._home, self._overlay = home, overlay or home / "no-overlay"

    def offers(self) -> tuple[Offer, ...]:
        """Say that nothing is offered."""
        nothing = Protection("everything", False, "these are plain processes, for tests only")
        return (Offer(Tier.T1, (nothing,)),)

    async def warm(self) -> None:
        """There is nothing to do beforehand."""

    async def close(self) -> None:
        """Nothing waits."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path], *, cold: bool = True) -> ProcessBox:
        """Make a plain process that runs the program of `spec.entry`; none has waited."""
        if spec.tier is not Tier.T1:
            raise TierMissing(
                f"plain processes pretend to be T1 only, and the plan asks for {spec.tier}", "box.tier"
            )
        place = folders.make(self._home, None)
        (place.whole / "tmp").mkdir()
        group = Cgroups.none().make(place.whole.name, Allowance(1, 1, 1))
        box = ProcessBox(
            spec, place, Fittings(Tier.T1, lambda: self._start(spec, place), group, None, lambda: None)
        )
        try:
            box.furnish(inputs)
        except DarkroomError:
            folders.discard(place.whole)
            raise
        return box

    async def _start(self, spec: BoxSpec, place: BoxFolders) -> Started:
        pairs = [socket.socketpair() for _ in spec.links]
        paths = (place.inputs, place.outputs, place.spill, place.whole / "tmp", self._overlay)
        program = (
            sys.executable,
            "-P",
            "-B",
            "-c",
            _PROGRAM,
            spec.entry.value,
            spec.limits.canonical().decode(),
        )
        passed = [its.fileno() for _, its in pairs]
        words = [*gate.GATE, *program, *map(str, paths)]
        process = await gate.launch(words, Cgroup({}), passed, {"PYTHONPATH": str(CHECKOUT)})
        for _, its in pairs:
            its.close()
        return Started(
            process, tuple(Ends(mine, place) for (mine, _), place in zip(pairs, passed, strict=True))
        )
