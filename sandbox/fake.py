"""Boxes without walls, for tests of other packages: the same contract, programs, pipes and limits, and no
protection at all.

A program of the house runs as a plain process of this user, in this checkout. It sees the host. Nothing but
tests may use it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from plans.box import BoxSpec
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox import folders
from sandbox.contract import Offer, Protection
from sandbox.folders import BoxFolders
from sandbox.process_box import Fittings, ProcessBox
from sandbox.recipes import CHECKOUT

_PROGRAM = """
import dataclasses, importlib, pathlib, sys
entry, inputs, outputs, temp, overlay = sys.argv[1:]
inside = importlib.import_module("inside")
inside.__path__.insert(0, overlay)
main = importlib.import_module("inside.__main__")
begin, place = main.begin, pathlib.Path
main.begin = lambda incoming, outgoing, **more: dataclasses.replace(
    begin(incoming, outgoing, place(inputs), **more), out=place(outputs), temp=place(temp))
sys.argv[1:] = [entry]
sys.exit(main.main())
"""


class UnsafeLocalBoxes:
    """Makes boxes that are none. See `sandbox.contract.Boxes`.

    `overlay` is a folder whose modules go before those of `inside`.
    """

    def __init__(self, home: Path, overlay: Path | None = None) -> None:
        self._home, self._overlay = home, overlay or home / "no-overlay"

    def offers(self) -> Offer:
        """Say that nothing is offered."""
        return Offer(Tier.T1, (Protection("everything", False, "these are plain processes, for tests only"),))

    async def warm(self) -> None:
        """There is nothing to do beforehand."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path]) -> ProcessBox:
        """Make a plain process that runs the program of `spec.entry`."""
        if spec.tier is not Tier.T1:
            raise TierMissing(
                f"plain processes pretend to be T1 only, and the plan asks for {spec.tier}", "box.tier"
            )
        place = folders.make(self._home, None, inputs)
        (place.whole / "tmp").mkdir()
        return ProcessBox(spec, place, Fittings(self._start, lambda: None))

    async def _start(self, spec: BoxSpec, place: BoxFolders) -> asyncio.subprocess.Process:
        paths = (place.inputs, place.outputs, place.whole / "tmp", self._overlay)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-B", "-c", _PROGRAM, spec.entry.value, *map(str, paths)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": str(CHECKOUT)},
        )
