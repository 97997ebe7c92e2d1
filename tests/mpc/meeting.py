"""Owners, three servers and a helper as threads, for the tests of matching; every message that a party gets is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keys.randomness import MaskStream
from mpc.protocols import diffie_hellman, helper, rows
from mpc.protocols.identifiers import pack_texts, require_keys
from mpc.protocols.layout import Attempt, Layout, Sent
from mpc.protocols.memory import MemoryChannel, together
from mpc.protocols.opening import hand_over, reconstruct
from mpc.protocols.pseudonyms import Table
from mpc.protocols.replicated import Shared
from mpc.protocols.ring import RING64, Ring
from tests.mpc.trio import DIGEST, SERVERS, as_server

HELPER = "clearing"
ATTEMPT = Attempt(DIGEST, 1)


@dataclass(frozen=True)
class Person:
    """One row of one owner."""

    numbers: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()


Rows = Mapping[str, Person]


@dataclass
class Kept:
    """A party's end of its links, and everything that came: (peer, tag, bytes)."""

    channel: MemoryChannel
    came: list[tuple[str, str, bytes]]

    def send(self, peer: str, tag: str, payload: Any) -> None:
        self.channel.send(peer, tag, payload)

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        payload = self.channel.receive(peer, tag, size)
        self.came.append((peer, tag, payload))
        return payload

    def traffic(self) -> Any:
        return self.channel.traffic()


@dataclass
class Met:
    """What a matching gave: what each server holds, and what each party received."""

    layout: Layout
    shares: list[list[rows.Matched]]
    came: dict[str, list[tuple[str, str, bytes]]] = field(default_factory=dict)

    def result(self) -> list[tuple[tuple[int, ...], int]]:
        """What is behind the shares: for each row all numbers, and its cell or −1, in the order that came out."""
        numbers, cells = [], []
        for pieces in zip(*self.shares, strict=True):
            for owner in range(len(self.layout.sent)):
                if owner == len(numbers):
                    numbers.append([])
                numbers[owner].append(_opened([piece.numbers[owner] for piece in pieces]))
            cells.append(_opened([piece.cells for piece in pieces]))
        columns = np.concatenate([np.concatenate(parts, axis=1) for parts in numbers])
        hots = np.concatenate(cells, axis=1)
        assert set(np.unique(hots).tolist()) <= {0, 1} and (hots.sum(axis=0) <= 1).all()
        found = np.where(hots.any(axis=0), hots.argmax(axis=0), -1)
        return [(tuple(column), int(cell)) for column, cell in zip(columns.T.tolist(), found, strict=True)]


def layout(
    owners: Sequence[str], tables: Mapping[str, Rows], helped: bool = True, ring: Ring = RING64, **public: Any
) -> Layout:
    """The layout of a meeting; `bounds`, `codes`, `partners` and `count` say what is not as the tables make it."""
    codes = public.get("codes", {})
    bounds = {name: public.get("bounds", {}).get(name, len(tables[name])) for name in owners}
    matcher = HELPER if helped else next(name for name in SERVERS if name not in owners)
    columns = {
        name: max((len(person.numbers) for person in tables[name].values()), default=0) for name in owners
    }
    partners = {name: next(other for other in SERVERS if other not in (name, matcher)) for name in owners}
    partners |= public.get("partners", {})
    sent = tuple(
        Sent(name, partners[name], bounds[name], columns[name], codes.get(name, ())) for name in owners
    )
    return Layout(sent, SERVERS, matcher, public.get("count", min(bounds.values())), ring)


def table(people: Rows, sent: Sent, ring: Ring) -> Table:
    """An owner's rows as it packs them."""
    blocks = require_keys(pack_texts(people), "relation.person")
    encoded = [ring.encode([person.numbers[at] for person in people.values()]) for at in range(sent.columns)]
    numbers = np.stack(encoded) if encoded else ring.zeros((0, len(people)))
    codes = np.array([person.codes for person in people.values()], dtype=np.uint16).reshape(len(people), -1)
    return Table(blocks, numbers, codes.T.reshape(len(sent.codes), len(people)))


def coins(seed: int, party: str) -> MaskStream:
    """A party's own randomness, the same for the same seed."""
    return MaskStream(f"{seed}/{party}".encode().ljust(32, b"."))


Part = Callable[[Kept], Any]


def meet(
    plan: Layout, tables: Mapping[str, Rows], seed: int = 0, owner: Callable[..., None] = helper.send_rows
) -> Met:
    """Play all parties of a matching with a helper."""

    def own(end: Kept, name: str) -> None:
        owner(end, plan, name, table(tables[name], plan.of(name), plan.ring), ATTEMPT, coins(seed, name))

    def serve(end: Kept, place: int) -> list[rows.Matched]:
        me = as_server(place, end, seed)
        return list(rows.matched_rows(me, plan, ATTEMPT, rows.from_helper(me, plan, ATTEMPT)))

    def match(end: Kept) -> None:
        helper.help_matching(end, plan, HELPER, ATTEMPT, coins(seed, HELPER))

    return play(plan, own, serve, {HELPER: match})


def meet_alone(plan: Layout, tables: Mapping[str, Rows], seed: int = 0) -> Met:
    """Play all parties of a matching without a helper."""

    def own(end: Kept, name: str) -> None:
        mine = table(tables[name], plan.of(name), plan.ring)
        diffie_hellman.send_rows(end, plan, name, mine, ATTEMPT, coins(seed, name))

    def serve(end: Kept, place: int) -> list[rows.Matched]:
        me = as_server(place, end, seed)
        dealt = None
        if SERVERS[place] == plan.matcher:
            dealt = diffie_hellman.compare(end, plan, coins(seed, plan.matcher))
        return list(rows.matched_rows(me, plan, ATTEMPT, diffie_hellman.FromServer(plan, dealt)))

    return play(plan, own, serve, {})


def play(
    plan: Layout,
    own: Callable[[Kept, str], None],
    serve: Callable[[Kept, int], list[rows.Matched]],
    others: Mapping[str, Part],
) -> Met:
    """Run every party once, as owner first and then as server where it is both."""
    came: dict[str, list[tuple[str, str, bytes]]] = {}
    names = dict.fromkeys([*SERVERS, *plan.owners, *others])

    def part(channel: MemoryChannel, name: str) -> Any:
        end = Kept(channel, came.setdefault(name, []))
        if name in plan.owners:
            own(end, name)
        if name in others:
            others[name](end)
        return serve(end, SERVERS.index(name)) if name in SERVERS else None

    found, _ = together({name: lambda end, name=name: part(end, name) for name in names}, patience=120)
    return Met(plan, [found[name] for name in SERVERS], came)


def expected(plan: Layout, tables: Mapping[str, Rows]) -> list[tuple[tuple[int, ...], int]]:
    """The matched rows by the plain way: sets and dictionaries."""
    persons = set.intersection(*(set(tables[name]) for name in plan.owners))
    found = []
    for person in persons:
        mine = [tables[name][person] for name in plan.owners]
        cell = 0
        for size, code in zip(plan.sizes, [code for row in mine for code in row.codes], strict=True):
            cell = cell * size + code
        found.append((tuple(number for row in mine for number in row.numbers), cell))
    return sorted(found)


def _opened(shares: list[Shared]) -> np.ndarray[Any, Any]:
    ring = shares[0].ring
    words = reconstruct(ring, shares[0].shape, [hand_over(share) for share in shares])
    return np.array(ring.decode(words), dtype=object).reshape(shares[0].shape)
