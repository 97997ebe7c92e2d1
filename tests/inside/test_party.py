"""The boxes of a joint computation, from the owners' encrypted files to what the recipient opens, over links on which
nobody between can read, change, repeat or exchange a thing.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from inside import party, party_links
from inside.party_links import LinkKeys, PartyLinks, link_keys
from keys import sealing
from plans.errors import EvidenceBroken, LinkBroken, PeerLost, SignatureWrong
from plans.joint import Grouping, JointFigure, JointPlan, Measure, Portion, Scheme, Sum
from plans.joint_rules import Matching
from tests.inside.joint_cases import Files, Table, joint_plan, operand, reading
from tests.inside.party_cases import Boxes

HEALTH, TAX, OFFICE, CIVIL = "nm/health", "nm/tax", "nm/office", "nm/civil"
CANARY = 150102198001019999
PERSONS = [CANARY - 7 * n for n in range(60)]
VISITS = [(str(person), ("east", "west")[n % 2], "E11.9") for n, person in enumerate(PERSONS[:50])]
INCOMES = [(str(person), Decimal(10_000 + n * n) / 100) for n, person in enumerate(PERSONS[10:])]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    folder = tmp_path_factory.mktemp("owners")
    visits = Table("health.visits", {"region": "VARCHAR", "icd": "VARCHAR"}, VISITS)
    incomes = Table("tax.income", {"income": "DECIMAL(12,2)"}, INCOMES)
    return {HEALTH: Files(folder / "health", visits), TAX: Files(folder / "tax", incomes)}


@pytest.fixture(scope="module")
def recipient() -> sealing.OpeningKey:
    return sealing.OpeningKey.fresh()


def plan_of(
    files: dict[str, Files],
    recipient: sealing.OpeningKey,
    region: Any = ("east", "west"),
    matching: Matching = Matching.HELPER,
) -> JointPlan:
    """The mean income of persons with visits by region; bounds that make points worth several processes."""
    groups = (Grouping("region", "region", tuple(region)),)
    portions = (
        Portion(HEALTH, "health.visits", "id_number", "\"icd\" LIKE 'E11%'", groups, (), "SELECT 1", 600),
        Portion(TAX, "tax.income", "id_number", "", (), (operand('"income"', 0, 10**6, 2),), "SELECT 1", 640),
    )
    sums = (Sum(Measure.ROWS, ()), Sum(Measure.TOTAL, ((1, 0),)))
    figures = (JointFigure("mean", "avg", (1, 0), 0), JointFigure("n", "count", (0,), 0))
    scheme = Scheme(ring_bits=64, matched=600, minimum_group=10, dominance=100)
    joint = joint_plan(reading(portions, sums, figures), [files[HEALTH], files[TAX]], scheme, matching)
    caps = replace(joint.reading.portions[1], operands=(operand('"income"', 0, 13_000, 2),))
    asked = replace(joint.reading, portions=(joint.reading.portions[0], caps))
    return replace(joint, reading=asked, request=replace(joint.request, recipient=recipient.public))


def expected() -> dict[str, tuple[int, float]]:
    incomes = dict(INCOMES)
    found = {}
    for region in ("east", "west"):
        values = [incomes[person] for person, where, _ in VISITS if where == region and person in incomes]
        found[region] = (len(values), float(sum(values) / len(values)))
    return found


def boxes(files: dict[str, Files], recipient: sealing.OpeningKey, folder: Path, **changes: Any) -> Boxes:
    joint = changes.pop("joint", None) or plan_of(files, recipient)
    return Boxes(joint, folder, files, recipient, **changes)


def test_the_recipient_alone_opens_the_figures(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    went = boxes(files, recipient, tmp_path)
    went.go()
    answer = went.answer()
    shown = {row[0]: (row[2], row[1]) for row in answer.rows}
    assert answer.columns == ("region", "mean", "n") and answer.withheld == 0
    assert shown == expected()
    assert went.left() == set(went.joint.task.servers), "a box that serves leaves one file, and no other any"
    assert set(went.reports[f"{TAX}/party"]) == {"sent_bytes"} and went.reports[f"{TAX}/extract"] == {}
    with pytest.raises(EvidenceBroken):
        replace(went, recipient=sealing.OpeningKey.fresh()).opened()


def test_nothing_on_the_wire_is_a_name_a_number_or_a_key(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ATTACKS 73; the control carries the same computation in clear records, where the tags of messages can be read."""
    went = boxes(files, recipient, tmp_path)
    went.go()
    assert went.failed == {}
    carried = b"".join(bytes(content) for content in went.wire.values())
    secrets = [secret.unsafe_secret() for secret in went.secrets.values()]
    planted = [
        str(CANARY).encode(),
        b"match/pseudonyms",
        *secrets,
        *(secret.hex().encode() for secret in secrets),
    ]
    assert not [word for word in planted if word in carried]

    monkeypatch.setattr(sealing, "encrypt", lambda _key, plain, _aad: bytes(12) + bytes(plain) + bytes(16))
    monkeypatch.setattr(sealing, "decrypt", lambda _key, plain, _aad: bytes(plain)[12:-16])
    (tmp_path / "clear").mkdir()
    clear = boxes(files, recipient, tmp_path / "clear")
    clear.go()
    assert b"match/pseudonyms" in b"".join(bytes(content) for content in clear.wire.values())


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes((content[-1] ^ 1,))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("changed", flipped),
        ("cut", lambda content: content[:-1]),
        ("repeated", lambda content: content + content),
        ("dropped", lambda _content: b""),
        ("too long", lambda content: (2**31).to_bytes(4, "little") + content[4:]),
    ],
)
def test_a_carrier_that_changes_anything_ends_the_computation(
    files: dict[str, Files],
    recipient: sealing.OpeningKey,
    tmp_path: Path,
    name: str,
    change: Callable[[bytes], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(party, "PATIENCE_S", 1.0)
    touched: list[str] = []

    def carry(sender: str, receiver: str, content: bytes) -> bytes:
        if (sender, receiver) == (TAX, OFFICE) and not touched:
            touched.append(name)
            return change(content)
        return content

    went = boxes(files, recipient, tmp_path, carry=carry)
    went.go()
    assert touched
    if name == "repeated" and not went.failed:  # the repetition came behind the last message: nobody took it
        assert {row[0]: (row[2], row[1]) for row in went.answer().rows} == expected()
        return
    assert f"{OFFICE}/party" in went.failed
    assert set(went.failed.values()) <= {"joint.link-broken", "joint.peer-lost"}
    assert went.left() == set(), "no server leaves a part of an answer"


def test_what_another_attempt_said_opens_nowhere(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """Its boxes have other keys; and boxes that had the same keys would find another attempt in the derivation."""
    first = boxes(files, recipient, tmp_path)
    first.go()
    recorded = bytes(first.wire[TAX, OFFICE])

    def replay(sender: str, receiver: str, content: bytes) -> bytes:
        if (sender, receiver) == (TAX, OFFICE):
            return recorded[: len(content)]
        return content

    (tmp_path / "second").mkdir()
    second = boxes(files, recipient, tmp_path / "second", attempt=2, carry=replay)
    second.secrets = first.secrets
    second.go()
    assert second.failed[f"{OFFICE}/party"] == "joint.link-broken" and second.left() == set()


def test_a_box_that_no_keeper_vouched_for_gets_nothing(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """A carrier that puts its own box in a party's place has no key with the others."""
    own = sealing.OpeningKey.fresh().public
    went = boxes(files, recipient, tmp_path, vouched={(OFFICE, TAX): own})
    went.go()
    assert went.failed[f"{OFFICE}/party"] == "joint.link-broken" and went.left() == set()


def test_an_owner_whose_data_break_the_plan_says_nothing_to_anybody(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    joint = plan_of(files, recipient, region=("east", "north"))
    went = boxes(files, recipient, tmp_path, joint=joint)
    went.go()
    assert went.failed[f"{HEALTH}/extract"] == "extract.codes"
    assert went.failed[f"{HEALTH}/party"] == "party.rows"
    assert all(not content for (sender, _), content in went.wire.items() if sender == HEALTH)
    assert went.left() == set()


def test_an_owner_that_has_a_person_twice_says_nothing_to_anybody(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    twice = Table("tax.income", {"income": "DECIMAL(12,2)"}, [*INCOMES, INCOMES[3]])
    repeated = files | {TAX: Files(tmp_path / "twice", twice)}
    went = boxes(repeated, recipient, tmp_path)
    went.go()
    assert went.failed[f"{TAX}/party"] == "extract.keys"
    assert all(not content for (sender, _), content in went.wire.items() if sender == TAX)
    assert went.left() == set()


def test_keys_of_a_link_are_of_one_direction_attempt_and_plan() -> None:
    one, other = sealing.OpeningKey.fresh(), sealing.OpeningKey.fresh()
    here = link_keys(one, other.public, ("nm/a", "nm/b"), "sha256:" + "1" * 64, 1)
    there = link_keys(other, one.public, ("nm/b", "nm/a"), "sha256:" + "1" * 64, 1)
    assert (here.sending, here.receiving) == (there.receiving, there.sending)
    others = [
        link_keys(one, other.public, ("nm/a", "nm/b"), "sha256:" + "1" * 64, 2),
        link_keys(one, other.public, ("nm/a", "nm/b"), "sha256:" + "2" * 64, 1),
        link_keys(one, other.public, ("nm/a", "nm/c"), "sha256:" + "1" * 64, 1),
    ]
    assert len({here.sending, here.receiving, *(keys.sending for keys in others)}) == 5
    assert here.sending.hex() not in repr(here)
    with pytest.raises(SignatureWrong):
        link_keys(one, "x25519:" + "00" * 32, ("nm/a", "nm/b"), "sha256:" + "1" * 64, 1)


def linked(monkeypatch: pytest.MonkeyPatch, patience: float = 120.0) -> tuple[PartyLinks, PartyLinks]:
    """Both ends of one link, of which a box holds one record at most for another box."""
    monkeypatch.setattr(party_links, "BUFFERED", 1)
    one, other = sealing.OpeningKey.fresh(), sealing.OpeningKey.fresh()
    here, there = socket.socketpair()
    digest = "sha256:" + "1" * 64
    ends = (
        (here, link_keys(one, other.public, ("nm/a", "nm/b"), digest, 1)),
        (there, link_keys(other, one.public, ("nm/b", "nm/a"), digest, 1)),
    )
    return PartyLinks({"nm/b": ends[0]}, patience), PartyLinks({"nm/a": ends[1]}, patience)


@pytest.mark.parametrize("silent", [True, False])
def test_a_silent_peer_is_lost_in_time_though_another_one_talks(silent: bool) -> None:
    """The one who talks would go on for minutes. The control: the same wait ends well if the peer says in time what is
    due, which on this machine may be a while.
    """
    box, one, other = (sealing.OpeningKey.fresh() for _ in range(3))
    digest = "sha256:" + "1" * 64

    def link(peer: sealing.OpeningKey, name: str) -> tuple[PartyLinks, tuple[socket.socket, LinkKeys]]:
        here, there = socket.socketpair()
        mine = link_keys(box, peer.public, ("nm/box", name), digest, 1)
        theirs = link_keys(peer, box.public, (name, "nm/box"), digest, 1)
        return PartyLinks({"nm/box": (there, theirs)}, 120.0), (here, mine)

    (quiet, to_quiet), (talker, to_talker) = link(one, "nm/quiet"), link(other, "nm/talker")
    links = PartyLinks({"nm/quiet": to_quiet, "nm/talker": to_talker}, 0.5 if silent else 120.0)
    over = threading.Event()

    def talk() -> None:
        for place in range(6000):
            if over.wait(0.05):
                return
            talker.send("nm/box", "more", b"word")
            if place == 4 and not silent:
                quiet.send("nm/box", "due", b"here")

    talking = threading.Thread(target=talk, daemon=True)
    talking.start()
    began = time.monotonic()
    if silent:
        with pytest.raises(PeerLost, match="nothing came"):
            links.receive("nm/quiet", "due", 4)
    else:
        assert links.receive("nm/quiet", "due", 4) == b"here"
    assert time.monotonic() - began < 60
    over.set()
    talking.join()


def test_two_boxes_that_both_send_much_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = linked(monkeypatch)
    content = bytes(range(256)) * 2**15
    found: list[bytes] = []

    def exchange(links: PartyLinks, peer: str) -> None:
        links.send(peer, "much", content)
        found.append(links.receive(peer, "much", len(content)))

    other = threading.Thread(target=exchange, args=(there, "nm/a"), daemon=True)
    other.start()
    exchange(here, "nm/b")
    other.join(timeout=120)
    assert found == [content, content]
    assert here.traffic()["nm/b"].sent_bytes == len(content)


@pytest.mark.parametrize(("tag", "size"), [("much", 5), ("much", 3), ("other", 4)])
def test_a_message_is_of_the_kind_and_size_that_the_plan_makes_it(
    monkeypatch: pytest.MonkeyPatch, tag: str, size: int
) -> None:
    here, there = linked(monkeypatch)
    here.send("nm/b", "much", b"four")
    with pytest.raises(LinkBroken):
        there.receive("nm/a", tag, size)
    here.close()
    with pytest.raises((LinkBroken, PeerLost)):
        there.receive("nm/a", "much", 4)


@pytest.mark.parametrize(("room", "broken"), [(party_links.CONTENT, True), (0, False)])
def test_a_peer_that_cuts_a_message_into_records_of_nothing_is_broken_off(
    monkeypatch: pytest.MonkeyPatch, room: int, broken: bool
) -> None:
    """Else it could go on for ever, and nobody would be late. The control: without the rule they are all taken."""
    here, there = linked(monkeypatch)
    end, header = here._ends["nm/b"], here._ends["nm/b"].conversation.next_out("much", 4).pack()
    records = [len(header).to_bytes(2, "little") + header, *[b""] * 500, b"four"]

    def trickle() -> None:
        with contextlib.suppress(PeerLost):
            for place, record in enumerate(records):
                end._record(record, last=place == len(records) - 1)

    monkeypatch.setattr(party_links, "CONTENT", room)
    threading.Thread(target=trickle, daemon=True).start()
    if broken:
        with pytest.raises(LinkBroken, match="not full"):
            there.receive("nm/a", "much", 4)
    else:
        assert there.receive("nm/a", "much", 4) == b"four"
    there.close()
