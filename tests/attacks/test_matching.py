"""Attacks on matching: 70 (bad points and codes), 73 (identifiers or keys in messages), 95 (who matched), 99 (sizes).

The first shared scene: *north* and *south* own rows and are servers, *west* is a server that owns nothing, and the
helper stands beside. North attacks: it keeps its own coins, knows its rows and its secret order, and looks at all that
comes. South's list is another one of the same size, with another person of north's in it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from keys.exchange import Exponent
from keys.randomness import MaskStream, permute
from mpc.protocols import diffie_hellman, helper, pseudonyms
from mpc.protocols.helper import Drawn
from mpc.protocols.identifiers import pack_texts
from mpc.protocols.layout import Layout
from mpc.protocols.shuffling import random_order
from plans.errors import LinkBroken
from tests.mpc import meeting
from tests.mpc.meeting import ATTEMPT, Met, Person, Rows, layout, meet, meet_alone

OWNERS = ("north", "south")
CODES = 5
NORTH: Rows = {name: Person((7,), (at % CODES,)) for at, name in enumerate("abcdef")}
RUNS = 120


def south(*names: str) -> Rows:
    return {name: Person((3,)) for name in names}


def plan_of(tables: dict[str, Rows], helped: bool = True) -> Layout:
    """North is south's partner too, so that it sees as much as any owner may."""
    return layout(OWNERS, tables, helped, codes={"north": (CODES,)}, partners={"south": "north"})


Play = Callable[[Layout, dict[str, Rows], int], Met]
WAYS = pytest.mark.parametrize("way", [meet, meet_alone], ids=["helper", "no helper"])


# ------------------------------------------------------------------------ 95: who matched


@pytest.fixture
def same_north(monkeypatch: pytest.MonkeyPatch) -> None:
    """North draws the same in every run, so that its secret order is known to the test; all others draw anew."""
    coins = meeting.coins
    monkeypatch.setattr(meeting, "coins", lambda seed, party: coins(0 if party == "north" else seed, party))


def north_sees(met: Met) -> Hashable:
    """What came to north in clear, that is not a share: south's order, the turns of its own codes, south's turns."""
    clear = ("match/order/", "match/turned/", "match/turns/", "match/leak/")
    return tuple((tag, came) for _, tag, came in met.came["north"] if tag.startswith(clear))


def views(way: Play, *names: str) -> Counter[Hashable]:
    tables = {"north": NORTH, "south": south(*names)}
    helped = way is meet
    return Counter(north_sees(way(plan_of(tables, helped), tables, seed)) for seed in range(1, RUNS + 1))


def differ(one: Counter[Hashable], other: Counter[Hashable]) -> float:
    """Chi-square of two samples of the same size, less its mean, in standard deviations; views seen once are pooled."""
    kinds = [view for view in one | other if one[view] + other[view] > 4]
    cells = [(one[view], other[view]) for view in kinds]
    cells.append((one.total() - sum(a for a, _ in cells), other.total() - sum(b for _, b in cells)))
    found = sum((a - b) ** 2 / (a + b) for a, b in cells if a + b)
    freedom = max(1, len(cells) - 1)
    return float((found - freedom) / (2 * freedom) ** 0.5)


@WAYS
def test_95_what_an_owner_that_serves_sees_does_not_depend_on_who_matched(
    way: Play, same_north: None
) -> None:
    first, other, nobody = views(way, "a", "x"), views(way, "e", "x"), views(way, "x", "y")
    assert len(first) > 10  # there is something to see
    assert differ(first, other) < 5
    assert differ(first, nobody) < 5  # not even how many


def test_95_control_an_owner_that_sees_its_own_order_names_who_matched(
    same_north: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partner that is the owner itself, which `Layout` refuses: here the helper tells north its own order too."""
    tell = helper.tell_partners

    def leaking(channel: helper.Channel, plan: Layout, drawn: Drawn) -> None:
        tell(channel, plan, drawn)
        channel.send("north", "match/leak", drawn.selections[0].astype("<u4").data.cast("B"))

    monkeypatch.setattr(helper, "tell_partners", leaking)
    monkeypatch.setattr(meeting, "as_server", _reading_leak(meeting.as_server))
    tables = {"north": NORTH, "south": south("a", "x")}
    order = _norths_order()
    suspects: set[str] = set(NORTH)
    for seed in range(1, 6):
        met = meet(plan_of(tables), tables, seed)
        told = next(came for _, tag, came in met.came["north"] if tag == "match/leak")
        suspects &= {list(NORTH)[order[place]] for place in np.frombuffer(told, dtype="<u4")}
    assert suspects == {"a"}


def _reading_leak(as_server: Callable[..., object]) -> Callable[..., object]:
    def reading(place: int, channel: meeting.Kept, attempt: int = 0) -> object:
        return _Leaky(as_server(place, channel, attempt), place, channel)

    return reading


class _Leaky:
    """North's server, which takes the helper's extra message where it comes, behind the orders."""

    def __new__(cls, server: object, place: int, channel: meeting.Kept) -> object:
        if place == 0:
            receive = channel.receive

            def taking(peer: str, tag: str, size: int) -> bytes:
                came = receive(peer, tag, size)
                if tag == "match/order/south":
                    receive(peer, "match/leak", 8)
                return came

            channel.receive = taking  # type: ignore[method-assign]
        return server


def _norths_order() -> list[int]:
    """North's secret order, from its own coins: what it draws first is its part of the key."""
    coins = meeting.coins(0, "north")
    coins.draw(32)
    return random_order(len(NORTH), coins).tolist()


def test_95_control_without_turns_an_owner_sees_its_own_masks_and_finds_who_matched(
    same_north: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """e without δ is ρ in the order that came out: north knows ρ of each of its rows."""
    monkeypatch.setattr(helper, "draw_turns", lambda sizes, rows, _: np.zeros((len(sizes), rows), np.uint16))
    assert differ(views(meet, "a", "x"), views(meet, "e", "x")) > 20


def test_95_an_order_that_names_a_row_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If rows that match nobody repeated a place, a partner could count those that do not: how many match."""
    monkeypatch.setattr(helper, "random_sample", lambda rows, size, without, coins: np.zeros(size, np.int64))
    tables = {"north": NORTH, "south": south("x", "y", "z")}
    with pytest.raises(LinkBroken, match="twice"):
        meet(plan_of(tables), tables)


@WAYS
def test_99_sizes_and_order_of_messages_are_the_same_whoever_matches(way: Play) -> None:
    shapes = set()
    for names in (("a", "x"), ("e", "b"), ("x", "y"), ("c",)):
        tables = {"north": dict(list(NORTH.items())[: 4 + len(names)]), "south": south(*names)}
        plan = layout(OWNERS, tables, way is meet, codes={"north": (CODES,)}, bounds={"north": 9, "south": 4})
        met = way(plan, tables, 3)
        shapes.add(
            tuple(
                (party, peer, tag, len(came))
                for party in sorted(met.came)
                for peer, tag, came in met.came[party]
            )
        )
    assert len(shapes) == 1


# ------------------------------------------------------------------------ 70: what is not what it should be


@pytest.mark.parametrize("coordinate", [0, 1, 2, 2**255 - 20, 2**255 - 19, 2**256 - 1])
def test_70_points_that_are_none_end_the_attempt(coordinate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    of_identifiers = Exponent.of_identifiers

    def spoiling(self: Exponent, blocks: np.ndarray, tag: bytes) -> np.ndarray:
        points = of_identifiers(self, blocks, tag)
        points[-1] = np.frombuffer(coordinate.to_bytes(32, "little"), dtype=np.uint8)
        return points

    monkeypatch.setattr(Exponent, "of_identifiers", spoiling)
    with pytest.raises(LinkBroken, match="points for matching"):
        meet_alone(plan_of(MANY, helped=False), MANY, 1)


@WAYS
@pytest.mark.parametrize("tag", ["match/codes", "match/turned/north", "match/turns/north"])
def test_70_codes_outside_their_list_end_the_attempt(
    way: Play, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = meeting.Kept.send

    def spoiling(self: meeting.Kept, peer: str, what: str, payload: object) -> None:
        raw = bytearray(payload)  # type: ignore[call-overload]
        if what == tag:
            raw[-2:] = CODES.to_bytes(2, "little")
        send(self, peer, what, bytes(raw))

    monkeypatch.setattr(meeting.Kept, "send", spoiling)
    with pytest.raises(LinkBroken, match="outside its list"):
        way(plan_of(MANY, way is meet), MANY, 1)


# ------------------------------------------------------------------ 73: nothing in clear, and no key

NUMBERED = [f"15010219{at:010}" for at in range(100_000, 100_040)]
MANY: dict[str, Rows] = {
    "north": {name: Person((1234567,), (at % CODES,)) for at, name in enumerate(NUMBERED[:30])},
    "south": {name: Person((7654321,)) for name in NUMBERED[10:]},
}


def messages(met: Met) -> Iterator[tuple[str, str, bytes]]:
    for party, came in met.came.items():
        for _, tag, raw in came:
            yield party, tag, raw


def found_in_clear(met: Met) -> set[str]:
    """The tags of messages with an identifier in them, as text or packed, or with a number as its owner has it."""
    wanted = [block.tobytes() for block in pack_texts(NUMBERED).blocks]
    wanted += [name.encode() for name in NUMBERED]
    wanted += [number.to_bytes(8, "little") for number in (1234567, 7654321)]
    return {tag for _, tag, raw in messages(met) if any(each in raw for each in wanted)}


@WAYS
def test_73_no_message_holds_an_identifier_or_a_number(way: Play) -> None:
    assert found_in_clear(way(plan_of(MANY, way is meet), MANY, 1)) == set()


def test_73_control_without_the_permutation_identifiers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "permute", lambda key, blocks: blocks)
    assert found_in_clear(meet(plan_of(MANY), MANY, 1)) == {"match/pseudonyms"}


def test_73_control_without_masks_numbers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    masks_of = pseudonyms.masks_of
    monkeypatch.setattr(
        pseudonyms,
        "masks_of",
        lambda *asked: (np.zeros_like(masks_of(*asked)[0]), masks_of(*asked)[1]),
    )
    assert found_in_clear(meet(plan_of(MANY), MANY, 1)) == {"match/numbers"}


def test_73_keys_go_to_owners_and_seeds_to_partners_only() -> None:
    met = meet(plan_of(MANY), MANY, 1)
    holders: dict[str, set[str]] = {}
    for party, tag, _ in messages(met):
        holders.setdefault(tag, set()).add(party)
    assert holders["match/key"] == {"north", "south"}
    assert holders["match/seed"] == {met.layout.of("north").partner, met.layout.of("south").partner}
    assert holders["match/order/north"] == {met.layout.of("north").partner} != {"north"}
    assert holders["match/pseudonyms"] == {meeting.HELPER}
    secrets = [raw for _, tag, raw in messages(met) if tag in ("match/key", "match/seed")]
    others = b"".join(raw for _, tag, raw in messages(met) if tag not in ("match/key", "match/seed"))
    assert not any(secret in others for secret in secrets)


def test_73_the_comparing_server_is_told_no_turns_and_no_seeds() -> None:
    """It drew δ: with e = ρ + δ, or with the seed, it would have the codes of the rows that match."""
    met = meet_alone(plan_of(MANY, helped=False), MANY, 1)
    compared = {tag for party, tag, _ in messages(met) if party == met.layout.matcher}
    assert compared >= {"match/pseudonyms", "match/numbers", "match/codes"}
    assert not {tag for tag in compared if tag.startswith(("match/seed", "match/turned", "match/points"))}


def test_73_exponents_are_in_no_message() -> None:
    met = meet_alone(plan_of(MANY, helped=False), MANY, 1)
    exponents = [meeting.coins(1, name).draw(32).tobytes() for name in OWNERS]
    assert not any(secret in raw for _, _, raw in messages(met) for secret in exponents)


# ------------------------------------------------------- the matcher cannot list who is in the sets


def seen_pseudonyms(met: Met, party: str, tag: str) -> set[bytes]:
    lists = [raw for who, what, raw in messages(met) if who == party and what == tag]
    return {raw[at : at + 16] for raw in lists for at in range(0, len(raw), 16)}


def test_the_helper_cannot_list_identifiers_by_trying_them_all() -> None:
    """All 18-digit identifiers can be tried in hours: only the key stands between the helper and names."""
    agreed: list[bytes] = []
    met = meet(plan_of(MANY), MANY, 1, owner=_telling_key(agreed))
    seen, blocks = seen_pseudonyms(met, meeting.HELPER, "match/pseudonyms"), pack_texts(NUMBERED).blocks
    for key in (os.urandom(32), bytes(32)):
        assert not seen & {block.tobytes() for block in permute(key, blocks)}
    with_key = {
        block.tobytes() for block in permute(agreed[0], blocks)
    }  # control: an owner in league with it
    assert seen == with_key


def _telling_key(agreed: list[bytes]) -> Callable[..., None]:
    def own(channel: meeting.Kept, plan: Layout, me: str, *rest: object) -> None:
        agree = pseudonyms.agree

        def telling(*asked: object) -> bytes:
            agreed.append(agree(*asked))  # type: ignore[arg-type]
            return agreed[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(helper, "agree", telling)
            helper.send_rows(channel, plan, me, *rest)  # type: ignore[arg-type]

    return own


def test_two_attempts_have_pseudonyms_that_cannot_be_joined() -> None:
    table = pack_texts(NUMBERED).blocks
    keys = []
    for number in (1, 2):
        attempt = pseudonyms.Attempt(ATTEMPT.digest, number)
        keys.append(pseudonyms._derived(bytes(32), attempt, "north"))
    lists = [{block.tobytes() for block in permute(key, table)} for key in keys]
    assert not lists[0] & lists[1]


def test_without_a_helper_the_comparing_server_and_one_owner_cannot_list_the_other() -> None:
    met = meet_alone(plan_of(MANY, helped=False), MANY, 1)
    seen = seen_pseudonyms(met, met.layout.matcher, "match/pseudonyms")
    blocks, tag = pack_texts(NUMBERED).blocks, diffie_hellman.hash_tag(ATTEMPT)
    exponents = [Exponent(meeting.coins(1, name).draw(32).tobytes()) for name in OWNERS]
    one = exponents[0].of_identifiers(blocks, tag)
    for tried in (one, exponents[0].of_points(one), Exponent(os.urandom(32)).of_points(one)):
        assert not seen & {point.tobytes()[:16] for point in tried}
    both = {point.tobytes()[:16] for point in exponents[1].of_points(one)}  # control: both owners' exponents
    assert seen == both


def test_an_owner_cannot_find_its_own_persons_in_the_other_list() -> None:
    met = meet_alone(plan_of(MANY, helped=False), MANY, 1)
    came = next(raw for party, tag, raw in messages(met) if party == "north" and tag == "match/points/1")
    seen = {came[at : at + 32] for at in range(0, len(came), 32)}
    blocks, tag = pack_texts(NUMBERED).blocks, diffie_hellman.hash_tag(ATTEMPT)
    mine, theirs = (Exponent(meeting.coins(1, name).draw(32).tobytes()) for name in OWNERS)
    assert not seen & {point.tobytes() for point in mine.of_identifiers(blocks, tag)}
    assert seen <= {
        point.tobytes() for point in theirs.of_identifiers(blocks, tag)
    }  # control: with its exponent


@WAYS
def test_points_and_lists_come_in_an_order_that_is_not_the_owners(way: Play) -> None:
    """Equal tables, other coins: the places of a person in the list that is sent are not the same."""
    tables = {"north": NORTH, "south": south("a", "b", "c")}
    plan = plan_of(tables, way is meet)
    orders = []
    for seed in range(4):
        drawn: list[tuple[int, ...]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pseudonyms, "random_order", _noting(drawn))
            way(plan, tables, seed)
        orders.append(next(order for order in drawn if len(order) == len(NORTH)))
    assert all(one != other for one, other in pairwise(orders))


def _noting(drawn: list[tuple[int, ...]]) -> Callable[[int, MaskStream], object]:
    def order(count: int, coins: MaskStream) -> object:
        found = random_order(count, coins)
        drawn.append(tuple(found.tolist()))
        return found

    return order
