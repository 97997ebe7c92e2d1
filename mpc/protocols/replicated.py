"""Replicated secret sharing among three servers with an honest majority, against semi-honest adversaries.

Araki, Furukawa, Lindell, Nof and Ohara, "High-Throughput Semi-Honest Secure Three-Party Computation with an Honest
Majority", CCS 2016, section 2; Mohassel and Rindal, "ABY3", CCS 2018, section 3.2. A value x = x0 + x1 + x2 of a ring
is shared so that server i holds (x_i, x_{i+1}): any one server lacks a component and sees uniform numbers, any two
know everything. Places count modulo 3.

- Adding, and multiplying by public numbers, needs no message.
- A product needs one element from each server: server i computes x_i·y_i + x_i·y_{i+1} + x_{i+1}·y_i, adds its part of
  a zero that all three make without a message (`zero_part`), and sends the sum to server i−1.
- So does an inner product, however long it is: its products are added before the one element is sent. A grouped sum
  costs as many elements as there are groups (`Grouped`).

Semi-honest means that servers follow the protocol. One that does not can shift a product by a number of its choice
and nobody notices; what is noticed is a share changed when a result is opened (`opening.py`). The result says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from keys.randomness import Masks, MaskStream
from mpc.protocols.channel import Channel
from mpc.protocols.ring import Ring, Shape, Words
from plans.errors import Defect

SERVERS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """What one server holds of a shared array: components `own` (x_i) and `next` (x_{i+1}). `repr` shows neither."""

    ring: Ring
    own: Words = field(repr=False)
    next: Words = field(repr=False)

    @property
    def shape(self) -> Shape:
        """The shape of the data."""
        return self.ring.shape(self.own)

    def __getitem__(self, place: slice | int | tuple[slice | int, ...]) -> Shared:
        """Return a part, by slices or places of the data's axes."""
        return Shared(self.ring, self.own[place], self.next[place])

    def reshape(self, *shape: int) -> Shared:
        """Return the same elements in another shape."""
        whole = (*shape, *self.ring.words)
        return Shared(self.ring, self.own.reshape(whole), self.next.reshape(whole))


@dataclass(slots=True)
class Server:
    """One of the three servers while it runs one stage: its place, its peers, and what it shares with them.

    All three run the same program over the same public shapes, so that they draw from a common stream in the same
    order and tags agree. `with_next` is the stream of the key k_i, which server i and server i+1 hold;
    `with_previous` that of k_{i−1}. A server never holds the third key.
    """

    place: int
    parties: tuple[str, str, str]
    channel: Channel
    with_next: MaskStream
    with_previous: MaskStream
    step: int = 0

    @property
    def following(self) -> str:
        """The party at place i+1."""
        return self.parties[(self.place + 1) % SERVERS]

    @property
    def preceding(self) -> str:
        """The party at place i−1."""
        return self.parties[(self.place - 1) % SERVERS]

    def tag(self, what: str, ring: Ring) -> str:
        """Return the tag of the next step, the same at all servers."""
        self.step += 1
        return f"{self.step}/{what}/{ring.name}"


def server(place: int, parties: tuple[str, str, str], channel: Channel, seeds: tuple[Masks, Masks]) -> Server:
    """Return a server at the beginning of a stage.

    Args:
        place: 0, 1 or 2.
        parties: the names of all three, as the channel knows them.
        channel: links to the other two (and to dealers).
        seeds: the masks of the seed shared with the next server, and of that shared with the previous one, both for
            this plan, attempt and stage.
    """
    pair = (place, (place + 1) % SERVERS), ((place - 1) % SERVERS, place)
    streams = [
        masks.stream(f"servers/{one}-{other}") for masks, (one, other) in zip(seeds, pair, strict=True)
    ]
    return Server(place, parties, channel, streams[0], streams[1])


# ------------------------------------------------------------------------------------------ without messages


def zero_part(me: Server, ring: Ring, shape: Shape) -> Words:
    """Return this server's part of a fresh sharing of zero: F(k_i) − F(k_{i−1}) (Araki et al., section 2.2).

    The three parts add up to zero, and to whoever lacks one of the keys the other two parts are uniform.
    """
    return ring.sub(ring.draw(me.with_next, shape), ring.draw(me.with_previous, shape))


def public(me: Server, ring: Ring, value: Words) -> Shared:
    """Return a value that all servers know as a shared one: it is component 0, the others are zero."""
    nothing = np.zeros_like(value)
    return Shared(ring, value if me.place == 0 else nothing, value if me.place == 2 else nothing)


def known_to_two(me: Server, ring: Ring, component: int, value: Words | None, shape: Shape) -> Shared:
    """Return as shared what both holders of a component know and the third server does not; no message.

    The holders of component j are the servers j and j−1. The shares are not uniform: use them in products only
    (ABY3, section 5.3, shares x_2 so when it turns numbers into bits).

    Raises:
        Defect: a holder has no value, or the third server has one.
    """
    holds = me.place in (component % SERVERS, (component - 1) % SERVERS)
    if holds != (value is not None):
        raise Defect("a component is known to its two holders and nobody else", "replicated.known_to_two")
    found = ring.zeros(shape) if value is None else value
    nothing = np.zeros_like(found)
    own = me.place == component % SERVERS
    return Shared(ring, found if own else nothing, found if holds and not own else nothing)


def add(x: Shared, y: Shared) -> Shared:
    """Return x + y."""
    return Shared(x.ring, x.ring.add(x.own, y.own), x.ring.add(x.next, y.next))


def sub(x: Shared, y: Shared) -> Shared:
    """Return x − y."""
    return Shared(x.ring, x.ring.sub(x.own, y.own), x.ring.sub(x.next, y.next))


def scale(x: Shared, factor: Words) -> Shared:
    """Return x · factor for public ring elements."""
    return Shared(x.ring, x.ring.mul(x.own, factor), x.ring.mul(x.next, factor))


def add_public(me: Server, x: Shared, value: Words) -> Shared:
    """Return x + value for public ring elements in the shape of x."""
    return add(x, public(me, x.ring, value))


def total(x: Shared) -> Shared:
    """Return the sums over the last axis, which stays with one place."""
    return Shared(x.ring, x.ring.total(x.own), x.ring.total(x.next))


def stack(parts: list[Shared]) -> Shared:
    """Return several arrays of one shape as one, along a new first axis: one message instead of several."""
    return Shared(parts[0].ring, np.stack([p.own for p in parts]), np.stack([p.next for p in parts]))


def joined(parts: list[Shared]) -> Shared:
    """Return arrays as one along their first axis, e.g. columns of values `[B × m]` for `Grouped`."""
    own, following = [part.own for part in parts], [part.next for part in parts]
    return Shared(parts[0].ring, np.concatenate(own), np.concatenate(following))


# --------------------------------------------------------------------------------------------- inputs


def deal(me: Server, ring: Ring, dealer: int, value: Words | None, shape: Shape) -> Shared:
    """Share what one server knows: it sends one component, and the other two come from common streams.

    With the dealer at place d: x_d is drawn from the stream of d−1 and d, x_{d+1} from that of d and d+1, and
    x_{d+2} = value − x_d − x_{d+1} is sent to both others. Each of them sees one uniform drawn and one masked
    component (Araki et al., section 2.2, "sharing").

    Args:
        value: at the dealer the elements, elsewhere nothing.
        shape: of the data, public.

    Raises:
        Defect: a value is given at another place than the dealer's, or in another shape.
        LinkBroken, PeerLost: see `Channel`.
    """
    tag = me.tag("deal", ring)
    if (value is not None) != (me.place == dealer) or (value is not None and ring.shape(value) != shape):
        raise Defect("the dealer and nobody else has the value, in the public shape", "replicated.deal")
    size = ring.bytes_of(shape)
    if value is not None:
        before, behind = ring.draw(me.with_previous, shape), ring.draw(me.with_next, shape)
        last = ring.raw(ring.sub(ring.sub(value, before), behind))
        me.channel.send(me.following, tag, last)
        me.channel.send(me.preceding, tag, last)
        return Shared(ring, before, behind)
    came = ring.from_raw(me.channel.receive(me.parties[dealer], tag, size), shape)
    if me.place == (dealer + 1) % SERVERS:
        return Shared(ring, ring.draw(me.with_previous, shape), came)
    return Shared(ring, came, ring.draw(me.with_next, shape))


@dataclass(slots=True)
class Outsider:
    """Whoever shares numbers without being a server: an owner, or the helper.

    Its stream `first` is common with the servers 0 and 2, who hold x_0, and `second` with the servers 0 and 1, who
    hold x_1. Only x_2 = value − x_0 − x_1 is sent, to the servers 1 and 2; server 0 receives nothing.
    """

    name: str
    parties: tuple[str, str, str]
    channel: Channel
    first: MaskStream
    second: MaskStream
    step: int = 0

    def deal(self, ring: Ring, value: Words) -> None:
        """Share elements with the servers, who call `take` with the same shape."""
        drawn = [ring.draw(stream, ring.shape(value)) for stream in (self.first, self.second)]
        self.send_last(ring, ring.sub(ring.sub(value, drawn[0]), drawn[1]))

    def send_last(self, ring: Ring, last: Words) -> None:
        """Send component 2 to the two servers that hold it."""
        self.step += 1
        tag = f"{self.name}/{self.step}/{ring.name}"
        for place in (1, 2):
            self.channel.send(self.parties[place], tag, ring.raw(last))


@dataclass(slots=True)
class Inlet:
    """A server's side of one outsider: which streams it has in common with it.

    Server 0 has both, server 1 `second` only, server 2 `first` only (the other is None).
    """

    outsider: str
    first: MaskStream | None
    second: MaskStream | None
    step: int = 0

    def take(self, me: Server, ring: Ring, shape: Shape) -> Shared:
        """Return this server's shares of what the outsider deals next, an array of this public shape.

        Raises:
            Defect: a stream is missing that this server must have.
            LinkBroken, PeerLost: see `Channel`.
        """
        self.step += 1
        if (self.first is None) != (me.place == 1) or (self.second is None) != (me.place == 2):
            raise Defect("a server has the streams of its own components", "replicated.Inlet")
        one = None if self.first is None else ring.draw(self.first, shape)
        two = None if self.second is None else ring.draw(self.second, shape)
        if one is not None and two is not None:
            return Shared(ring, one, two)
        tag = f"{self.outsider}/{self.step}/{ring.name}"
        last = ring.from_raw(me.channel.receive(self.outsider, tag, ring.bytes_of(shape)), shape)
        return Shared(ring, last if two is None else two, last if one is None else one)


# ------------------------------------------------------------------------------------------- products


def reshare(me: Server, ring: Ring, part: Words) -> Shared:
    """Turn an additive sharing (server i has z_i, and Σ z_i is the value) into a fresh replicated one.

    The sum of a zero hides what z_i was made of; one element goes to server i−1.
    """
    tag = me.tag("share", ring)
    shape = ring.shape(part)
    own = ring.add(part, zero_part(me, ring, shape))
    me.channel.send(me.preceding, tag, ring.raw(own))
    return Shared(
        ring, own, ring.from_raw(me.channel.receive(me.following, tag, ring.bytes_of(shape)), shape)
    )


def refresh(me: Server, x: Shared) -> Shared:
    """Return the same values under fresh shares, uniform whatever x was made of."""
    return reshare(me, x.ring, x.own)


def multiply(me: Server, x: Shared, y: Shared) -> Shared:
    """Return x · y element by element, with broadcasting (Araki et al., section 2.2; with `BITS64` it is AND)."""
    ring = x.ring
    cross = ring.add(ring.mul(x.own, ring.add(y.own, y.next)), ring.mul(x.next, y.own))
    return reshare(me, ring, cross)


class Grouped:
    """Inner products of many rows, taken in pieces: Σ over rows of left `[A × m]` and right `[B × m]`.

    With one-hots on the left and values on the right (B columns of numbers) it is a grouped sum over G = A groups;
    with one-hots of another key on the right it is a cross table. However many rows are added, `finish` sends A·B
    elements, and nothing but the pieces and A·B elements is in memory.
    """

    def __init__(self, ring: Ring, left: int, right: int) -> None:
        self._ring = ring
        self._part = ring.zeros((left, right))

    def add(self, left: Shared, right: Shared) -> None:
        """Add the inner products of a piece of rows: x_i·(y_i + y_{i+1}) + x_{i+1}·y_i, no message."""
        ring = self._ring
        here = ring.cross(left.own, ring.add(right.own, right.next))
        self._part = ring.add(self._part, ring.add(here, ring.cross(left.next, right.own)))

    def finish(self, me: Server) -> Shared:
        """Return the sums `[A × B]`: one message of A·B elements from each server."""
        return reshare(me, self._ring, self._part)


def inner_products(me: Server, left: Shared, right: Shared) -> Shared:
    """Return all inner products of the rows of left `[A × m]` and right `[B × m]`, as `[A × B]`."""
    sums = Grouped(left.ring, left.shape[0], right.shape[0])
    sums.add(left, right)
    return sums.finish(me)
