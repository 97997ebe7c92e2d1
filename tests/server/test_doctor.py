"""What the doctor says of a node beside what it attacks: the weaker points that a launcher's offers admit."""

from __future__ import annotations

from plans.decision import Tier
from sandbox import api, bubblewrap
from server.doctor import Finding, weaker_points


def status(separate: bool) -> dict[str, object]:
    offer = bubblewrap.offer(separate, "memory")
    listed = [{"name": each.name, "held": each.held, "how": each.how} for each in offer.protections]
    return {"tiers": [{"tier": offer.tier.value, "protections": listed}]}


def test_a_weaker_point_is_said_and_is_no_fault() -> None:
    told = {each.what: each for each in weaker_points("nm/tax", status(separate=False))}
    point = told["T1 of nm/tax: own user id"]
    assert point.good and point.weaker and "may give user ids" in point.how
    assert point.line().startswith("weaker ")
    assert "T1 of nm/tax: own user id" not in {
        each.what for each in weaker_points("nm/tax", status(separate=True))
    }, "the control: what holds is no weaker point"


def test_every_line_begins_with_one_word_of_one_width() -> None:
    lines = [Finding("x", good, "y", weaker).line() for good in (True, False) for weaker in (True, False)]
    assert [line.split()[0] for line in lines] == ["weaker", "holds", "FAILS", "FAILS"]
    assert len({line.index("x") for line in lines}) == 1


def test_the_third_tier_is_said_to_be_missing_with_what_it_is() -> None:
    assert "virtual machine" in api.not_made_here(Tier.T3).what
