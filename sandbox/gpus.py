"""GPUs of this node, each lent to one box at a time.

A box with a GPU sees its device files and, read-only, the libraries of this node's driver; nothing else changes.
That is a lower protection, and T1's offer says so where there is a GPU: the driver in the kernel is reached
through a large interface (ioctl) that no filter of ours understands. Plans have no GPU unless their maker asks.
When a box ends its processes are gone, and the driver frees what they had on the device.

Seen so far only as files: no machine that builds this has a GPU.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from plans.errors import TierMissing, Unreachable

LIBRARIES_IN_BOX = Path("/gpu")
_CARD = re.compile(r"nvidia\d+")
_CONTROL = ("nvidiactl", "nvidia-uvm")
_LIBRARY = re.compile(
    r"^\s*(libcuda|libnvidia-ml|libnvidia-ptxjitcompiler|libnvidia-nvvm)\.so\.\d+ .*=> (/\S+)$", re.M
)


@dataclass(frozen=True, slots=True)
class Lent:
    """What a box gets: device files and libraries of the host. Empty for a box without a GPU."""

    devices: tuple[Path, ...] = ()
    libraries: tuple[Path, ...] = ()


class Gpus:
    """The GPUs that boxes may have."""

    def __init__(
        self, cards: tuple[Path, ...], control: tuple[Path, ...], libraries: tuple[Path, ...]
    ) -> None:
        self.count = len(cards)
        self._free, self._control, self._libraries = list(cards), control, libraries

    @classmethod
    def find(cls, devices: Path = Path("/dev")) -> Gpus:
        """Return the GPUs whose device files are here (NVIDIA's names)."""
        cards = tuple(sorted(path for path in devices.glob("nvidia*") if _CARD.fullmatch(path.name)))
        control = tuple(devices / name for name in _CONTROL if (devices / name).exists())
        return cls(cards, control, _driver_libraries() if cards else ())

    def take(self, count: int) -> Lent:
        """Lend GPUs to one box.

        Raises:
            TierMissing: this node has fewer.
            Unreachable: other boxes have them at present.
        """
        if not count:
            return Lent()
        if count > self.count:
            advice = "Run it on a node that has them, or ask for fewer."
            raise TierMissing(
                f"this node has {self.count} GPUs for boxes, and the plan asks for {count}",
                "box.gpus",
                advice,
            )
        if count > len(self._free):
            raise Unreachable("other boxes have the GPUs at present", "box.gpus", "Try again shortly.")
        cards = tuple(self._free.pop(0) for _ in range(count))
        return Lent((*cards, *self._control), self._libraries)

    def give_back(self, lent: Lent) -> None:
        """Take back what was lent; its box is gone."""
        self._free += [path for path in lent.devices if _CARD.fullmatch(path.name)]


def _driver_libraries() -> tuple[Path, ...]:
    """Return the driver's libraries, as the loader of this node finds them (ldconfig(8))."""
    try:
        told = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ()
    return tuple(sorted({Path(found[2]) for found in _LIBRARY.finditer(told)}))
