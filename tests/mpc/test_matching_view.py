"""Promise: of numbers and codes, matcher and servers see uniform words, with and without a helper.

The inputs are all the same, and everybody matches. As in `test_uniform_view`: Pearson's chi-square over byte values
with 255 degrees of freedom, whose values above 400 have a probability below 10^-7; the control switches the masks off.
"""

from __future__ import annotations

import numpy as np
import pytest

from mpc.protocols import helper, pseudonyms
from mpc.protocols.ring import RING64, Ring
from tests.mpc.meeting import Met, Person, Rows, layout, meet, meet_alone
from tests.mpc.test_ring import BOTH
from tests.mpc.test_uniform_view import LIMIT, chi_square

ROWS, CODES = 1500, 256
TABLES: dict[str, Rows] = {
    "north": {str(at): Person((5,), (9,)) for at in range(ROWS)},
    "south": {str(at): Person((7,)) for at in range(ROWS)},
}
CLEAR = (
    "match/order/",
    "match/seed",
    "match/key",
    "match/deal",
)  # orders are sequences; seeds are drawn, and short


@pytest.fixture(scope="module", params=["helper", "no helper"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def played(way: str, ring: Ring) -> Met:
    plan = layout(("north", "south"), TABLES, way == "helper", ring, codes={"north": (CODES,)})
    return (meet if plan.helped else meet_alone)(plan, TABLES, 5)


def statistics(met: Met) -> dict[str, float]:
    """Chi-square of what came to each party, by kind of message; of codes, two bytes each, the lower ones."""
    kinds: dict[str, list[bytes]] = {}
    for party, came in met.came.items():
        for peer, tag, raw in came:
            if tag.startswith(CLEAR) or tag.startswith("match/points"):
                continue
            low = raw[::2] if tag.startswith(("match/codes", "match/turn")) else raw
            kinds.setdefault(f"{party} from {peer}: {tag.strip('0123456789/')}", []).append(low)
    return {kind: chi_square(b"".join(raw)) for kind, raw in kinds.items()}


@BOTH
def test_numbers_codes_turns_and_shares_are_uniform(ring: Ring, way: str) -> None:
    found = statistics(played(way, ring))
    assert len(found) >= 10
    assert {kind: value for kind, value in found.items() if value > LIMIT} == {}


def test_control_without_masks_they_are_not(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks of numbers and codes, the turns, and the servers' common streams are zero; pseudonyms stay."""
    masks_of = pseudonyms.masks_of

    def no_masks(*asked: object) -> tuple[np.ndarray, np.ndarray]:
        numbers, codes = masks_of(*asked)  # type: ignore[arg-type]
        return np.zeros_like(numbers), np.zeros_like(codes)

    monkeypatch.setattr(pseudonyms, "masks_of", no_masks)
    monkeypatch.setattr("mpc.protocols.rows.masks_of", no_masks)
    monkeypatch.setattr(helper, "draw_turns", lambda sizes, rows, _: np.zeros((len(sizes), rows), np.uint16))
    monkeypatch.setattr(Ring, "draw", lambda self, stream, shape: self.zeros(shape))
    found = statistics(played(way, RING64))
    seen = {kind for kind, value in found.items() if value > LIMIT}
    assert seen >= {kind for kind in found if "pseudonyms" not in kind}
