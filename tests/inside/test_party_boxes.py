"""Real boxes of four parties at four launchers: from encrypted files to the figures, and a box that dies."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airlock.rounding import count
from inside.party_links import PartyLinks
from keys import sealing
from mpc.protocols.channel import Traffic
from mpc.protocols.computation import Work, take_part
from mpc.protocols.inspected import INSPECTED
from plans.box import Entry
from plans.decision import Tier
from plans.errors import EvidenceBroken, NotFound
from plans.handover import OPENED, unpadded
from plans.joint import JointPlan, Opened
from plans.joint_answer import JUDGED_INFO, OPENED_INFO, answer_of, judged_bound, opened_bound
from plans.joint_rules import Matching
from plans.plan import Plan
from plans.released import Released
from sandbox import api, images
from tests.inside import party_forms as forms
from tests.inside.joint_cases import Files, party_plan
from tests.inside.joint_houses import Carrier, House, Vouching, foreign_links, houses
from tests.inside.test_party import (
    CANARY,
    CIVIL,
    HEALTH,
    INCOMES,
    OFFICE,
    TAX,
    VISITS,
    expected,
    files,
    plan_of,
    recipient,
)
from tests.inside.test_party_forms import parts, texts
from tests.sandbox.conftest import gvisor_boxes, open_home, probe_image, probe_images
from tests.sandbox.side import eventually, launched

__all__ = ["files", "gvisor_boxes", "open_home", "parts", "probe_image", "probe_images", "recipient"]
pytestmark = [pytest.mark.box, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]


def built(joint: JointPlan) -> tuple[JointPlan, dict[str, Plan]]:
    """The joint plan with the images that are here, and every party's plan."""
    sql, crypto = (images.build(ROOT / "images" / name).digest for name in ("sql", "crypto"))
    joint = replace(joint, extract_image=sql, party_image=crypto)
    plans = {each.domain: party_plan(joint, each.domain) for each in joint.parties}
    return joint, plans


def at_tier(plan: Plan, tier: Tier) -> Plan:
    """The plan with stronger boxes."""
    return replace(plan, stages=tuple(replace(spec, tier=tier) for spec in plan.stages))


def run_all(sides: dict[str, House], attempt: int = 1) -> dict[str, str]:
    ends: dict[str, str] = {}
    threads = [threading.Thread(target=house.run, args=(ends, attempt)) for house in sides.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=400)
        assert not thread.is_alive(), "nothing may hang"
    return ends


def opened(joint: JointPlan, sides: dict[str, House], own: sealing.OpeningKey) -> list[Opened]:
    found = []
    for place, domain in enumerate(joint.task.servers):
        name = api.StageName(sides[domain].plan.digest, Entry.PARTY, 1)
        with api.open_output(sides[domain].side.config.home, name, OPENED) as file:
            clear = own.open(file.read(), OPENED_INFO, opened_bound(joint.digest, 1, place))
        found.append(Opened.decode(unpadded(clear)))
    return found


@pytest.mark.parametrize(
    ("matching", "tier"),
    [
        pytest.param(Matching.HELPER, Tier.T1, marks=pytest.mark.long),
        (Matching.HELPER, Tier.T2),
        (Matching.DIFFIE_HELLMAN, Tier.T1),
    ],
)
def test_parties_compute_in_real_boxes(
    files: dict[str, Files],
    recipient: sealing.OpeningKey,
    open_home: Path,
    matching: Matching,
    tier: Tier,
    request: pytest.FixtureRequest,
) -> None:
    """The carrier's record has the bytes of the whole computation, and nothing of a person's."""
    joint, plans = built(plan_of(files, recipient, matching=matching))
    if tier is Tier.T2:
        request.getfixturevalue("gvisor_boxes")  # this machine holds such boxes, or says why not
        plans = {domain: at_tier(plan, tier) for domain, plan in plans.items()}
    carrier = Carrier()
    with contextlib.ExitStack() as stack:
        sides = stack.enter_context(houses(open_home, Vouching(joint), plans, files, carrier))
        for house in sides.values():
            stack.enter_context(launched(house.side))
        ends = run_all(sides)
        assert set(ends.values()) == {""}, ends
        answer = answer_of(joint, 1, opened(joint, sides, recipient))
        assert {row[0]: (row[2], row[1]) for row in answer.rows} == expected()
        carried = b"".join(bytes(content) for content in carrier.wire.values())
        assert len(carried) > 10_000 and str(CANARY).encode() not in carried
        assert all(house.side.boxes == [] for house in sides.values())


def left_by(sides: dict[str, House], attempt: int = 1) -> dict[str, bytes]:
    """What boxes left, sealed."""
    found = {}
    for domain, house in sides.items():
        name = api.StageName(house.plan.digest, Entry.PARTY, attempt)
        with contextlib.suppress(NotFound), api.open_output(house.side.config.home, name, OPENED) as file:
            found[domain] = file.read()
    return found


def judged(
    joint: JointPlan, owners: dict[str, Files], own: sealing.OpeningKey, home: Path
) -> tuple[Released, bytes]:
    """The table of an inspector or a finder, and all that went between houses."""
    joint, plans = built(joint)
    carrier = Carrier()
    with contextlib.ExitStack() as stack:
        sides = stack.enter_context(houses(home, Vouching(joint), plans, owners, carrier))
        for house in sides.values():
            stack.enter_context(launched(house.side))
        ends = run_all(sides)
        assert set(ends.values()) == {""}, ends
        ((opener, sealed),) = left_by(sides).items()
        assert (opener,) == joint.handing
        bound = judged_bound(joint.digest, 1, opener)
        with pytest.raises(EvidenceBroken):
            sealing.OpeningKey.fresh().open(sealed, JUDGED_INFO, bound)
        table = Released.decode(unpadded(own.open(sealed, JUDGED_INFO, bound)))
        return table, b"".join(bytes(content) for content in carrier.wire.values())


def test_an_inspector_judges_one_table_in_parts_in_real_boxes(
    parts: dict[str, Files], recipient: sealing.OpeningKey, open_home: Path
) -> None:
    joint = forms.inspected(forms.stacked(parts, recipient, TAX), TAX, rounding=5)
    table, carried = judged(joint, parts, recipient, open_home)
    rows = forms.stacked_rows()
    wanted = {region: str(count(rows[region][1], 5)) if rows[region][1] >= 20 else "…" for region in rows}
    assert {row[0]: row[2] for row in texts(table)} == wanted
    assert str(CANARY).encode() not in carried + table.canonical()


class Lying:
    """The links of a server that changes what it hands to an inspector, if it `lies`."""

    def __init__(self, links: PartyLinks, lies: bool) -> None:
        self.links, self.lies = links, lies

    def send(self, peer: str, tag: str, payload: Any) -> None:
        content = bytes(payload)
        if self.lies and tag == INSPECTED:
            content = bytes((content[0] ^ 1,)) + content[1:]
        self.links.send(peer, tag, content)

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        return self.links.receive(peer, tag, size)

    def traffic(self) -> Mapping[str, Traffic]:
        return self.links.traffic()


def serve_in_place_of(domain: str, vouching: Vouching, carrier: Carrier, door: Path, lies: bool) -> None:
    """Do a server's part by a program of its own, for whose key its keeper vouches."""
    with foreign_links(domain, vouching, carrier, door) as links:
        take_part(Work(vouching.joint, domain, 1, Lying(links, lies)))


@pytest.mark.parametrize("lies", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_box_that_inspects_opens_nothing_where_a_server_lies(
    parts: dict[str, Files], recipient: sealing.OpeningKey, open_home: Path, lies: bool
) -> None:
    """The server is a program of its own that speaks as its box would; the control is the same one, honest."""
    joint, plans = built(forms.inspected(forms.stacked(parts, recipient, TAX), TAX))
    carrier, vouching = Carrier(), Vouching(joint)
    own = {domain: plan for domain, plan in plans.items() if domain != CIVIL}
    with contextlib.ExitStack() as stack:
        sides = stack.enter_context(houses(open_home, vouching, own, parts, carrier))
        for house in sides.values():
            stack.enter_context(launched(house.side))
        arguments = (CIVIL, vouching, carrier, open_home / "door", lies)
        server = threading.Thread(target=serve_in_place_of, args=arguments, daemon=True)
        server.start()
        ends = run_all(sides)
        server.join(120)
        wrong = {name: end for name, end in ends.items() if end}
        assert wrong == ({f"{TAX}/party": "joint.shares-disagree"} if lies else {})
        assert set(left_by(sides)) == (set() if lies else {TAX})


def test_a_finder_finds_persons_in_common_in_real_boxes(
    files: dict[str, Files], recipient: sealing.OpeningKey, open_home: Path
) -> None:
    """Identifiers are in the recipient's table and nowhere else: the control of what is looked for on the wire."""
    table, carried = judged(forms.common(files, recipient, helper=""), files, recipient, open_home)
    incomes = {person for person, _ in INCOMES}
    both = sorted(person for person, _, _ in VISITS if person in incomes)
    assert [row[0] for row in texts(table)] == both
    assert both[0].encode() in table.canonical() and both[0].encode() not in carried


def test_a_party_whose_box_is_killed_ends_all_others_and_nothing_is_left(
    files: dict[str, Files], recipient: sealing.OpeningKey, open_home: Path
) -> None:
    """The helper dies in the middle: one owner's rows are there, the other's on their way."""
    joint, plans = built(plan_of(files, recipient))
    carrier = Carrier(held=frozenset({(TAX, OFFICE)}))
    with contextlib.ExitStack() as stack:
        sides = stack.enter_context(houses(open_home, Vouching(joint), plans, files, carrier))
        for house in sides.values():
            stack.enter_context(launched(house.side))
        killer = threading.Thread(target=kill_party, args=(sides[OFFICE], carrier))
        killer.start()
        ends = run_all(sides)
        killer.join()
        assert ends.pop(f"{OFFICE}/party").startswith("box."), ends
        parties = {name: end for name, end in ends.items() if name.endswith("/party")}
        assert set(parties.values()) <= {"joint.peer-lost", "joint.link-broken"} and len(parties) == 3
        for domain in joint.task.servers:
            name = api.StageName(plans[domain].digest, Entry.PARTY, 1)
            with pytest.raises(NotFound), api.open_output(sides[domain].side.config.home, name, OPENED):
                pass


def kill_party(house: House, carrier: Carrier) -> None:
    """Kill the helper's box once all boxes speak with each other."""
    config = house.side.config
    users = range(config.first_uid, config.first_uid + config.uid_count)
    try:
        eventually(lambda: bool(carrier.wire.get((TAX, OFFICE)) and carrier.wire.get((HEALTH, OFFICE))), 120)
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (path / "cmdline").read_bytes().split(b"\0")
                if path.stat().st_uid in users and b"party" in command:
                    os.kill(int(path.name), signal.SIGKILL)
    finally:
        carrier.let_go.set()
