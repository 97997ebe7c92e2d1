"""Every tier that this node has, behind one `Boxes`: a box gets the weakest that is strong enough for its plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from plans.box import BoxSpec
from plans.decision import Tier
from plans.errors import TierMissing
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Offer
from sandbox.gvisor import GvisorBoxes
from sandbox.identities import Identities
from sandbox.process_box import ProcessBox
from sandbox.sites import Labs


class TierBoxes(Protocol):
    """The boxes of one tier: those of the contract, and a reason where there are none."""

    def offers(self) -> tuple[Offer, ...]:
        """See `sandbox.contract.Boxes`."""

    def require(self) -> None:
        """Raise `TierMissing`, which says why, if this node cannot hold the tier; asked again, it costs little."""

    async def warm(self) -> None:
        """See `sandbox.contract.Boxes`."""

    async def close(self) -> None:
        """See `sandbox.contract.Boxes`."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path]) -> ProcessBox:
        """See `sandbox.contract.Boxes`."""


class NodeBoxes:
    """Boxes of several tiers, the weakest first. See `sandbox.contract.Boxes`."""

    def __init__(self, tiers: Mapping[Tier, TierBoxes]) -> None:
        self._tiers = dict(sorted(tiers.items(), key=lambda item: item[0].level))

    def offers(self) -> tuple[Offer, ...]:
        """Say what each tier offers here; a tier that this node cannot hold is not among them."""
        return tuple(offer for tier in self._tiers.values() for offer in tier.offers())

    async def warm(self) -> None:
        """Warm every tier that this node holds."""
        for tier, boxes in self._tiers.items():
            if self._refusal(tier) is None:
                await boxes.warm()

    async def close(self) -> None:
        """Close every tier."""
        for tier in self._tiers.values():
            await tier.close()

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path], *, cold: bool = True) -> ProcessBox:
        """Make a box of the weakest tier that is here and no weaker than the specification asks for; none has waited.

        Raises:
            TierMissing: there is none; says why the one that was asked for is missing.
        """
        for tier, boxes in self._tiers.items():
            if tier.level >= spec.tier.level and self._refusal(tier) is None:
                return boxes.create(spec, inputs)
        raise self._refusal(spec.tier) or TierMissing(f"this node has no tier {spec.tier}", "box.tier")

    def _refusal(self, tier: Tier) -> TierMissing | None:
        """Return why a tier is missing here, or none."""
        if tier not in self._tiers:
            return not_made_here(tier)
        try:
            self._tiers[tier].require()
        except TierMissing as problem:
            return problem
        return None


def node_boxes(
    home: Path, images_folder: Path, identities: Identities, labs: Labs | None = None
) -> NodeBoxes:
    """Return the boxes of every tier that this node has, in `home`, from the images in `images_folder`; with `labs`
    also labs.
    """
    weak = BubblewrapBoxes(home, images_folder, identities, labs=labs)
    strong = GvisorBoxes(home, images_folder, identities, sites=weak.sites)
    return NodeBoxes({Tier.T1: weak, Tier.T2: strong})


def not_made_here(tier: Tier) -> TierMissing:
    """Return why boxes of a tier are made by no launcher, or not by this one."""
    if tier is not Tier.T3:
        return TierMissing(f"this node has no tier {tier}", "box.tier")
    advice = (
        "Offer it by an orchestrator (Kata Containers), or ask the owner whether T2 is enough for this data."
    )
    return TierMissing(
        "T3 is a virtual machine for each box, by the orchestrator (RuntimeClass); this launcher starts processes",
        "box.tier",
        advice,
    )
