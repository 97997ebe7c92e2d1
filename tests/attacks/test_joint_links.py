"""Attacks on the links of joint computations: 70 bad frames and a bad network, 71 parties that stop, 76 wrong peers.

Each is bounded in time; whatever happens, nobody hands a part of a result on, and all who can still hear each other
say the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from keys import tls
from mpc import links
from mpc.agent.attempt import Outcome, State
from mpc.agent.table import Times
from mpc.links import Connection, Control, dial
from plans.errors import DarkroomError, LinkBroken, PeerLost
from plans.joint import Step
from tests.mpc.agents import CIVIL, DOMAINS, HEALTH, OFFICE, SHORT, TAX, TIMES, Town, town
from tests.mpc.proxy import ONCE, Fault

BEGUN = (State.CONNECTING, State.PREFLIGHT, State.MEETING, State.COMPUTING, State.RECEIPTS)


def play(body: Callable[[Town], Coroutine[Any, Any, None]], times: Times = TIMES) -> None:
    async def run() -> None:
        async with asyncio.timeout(100):
            async with town(times) as made:
                await body(made)

    asyncio.run(run())


def require_alike(made: Town, ended: dict[str, Outcome], parties: tuple[str, ...] = DOMAINS) -> None:
    """All these parties ended well, or all with the same failure."""
    assert set(parties) <= set(ended)
    assert len({ended[domain].failure for domain in parties}) == 1, {
        domain: (outcome.failure, made[domain].log) for domain, outcome in ended.items()
    }


# ---------------------------------------------------------------------- 70: the network


async def under(made: Town, fault: Fault, state: State) -> dict[str, Outcome]:
    """Run an attempt in which a fault strikes before `tax` as soon as `health` is in a state."""
    made.begin()
    made[TAX].launcher.block = made[HEALTH].launcher.block

    def arm() -> None:
        made.proxy.fault = fault

    await made.at(HEALTH, state, arm)
    return await made.ended()


CHOSEN = [
    (Fault.DELAY, State.CONNECTING),
    (Fault.TRUNCATE, State.PREFLIGHT),
    (Fault.CUT, State.MEETING),
    (Fault.DUPLICATE, State.COMPUTING),
    (Fault.CORRUPT, State.COMPUTING),
    (Fault.CUT, State.RECEIPTS),
]
REST = [(fault, state) for fault in ONCE for state in BEGUN if (fault, state) not in CHOSEN]


@pytest.mark.parametrize(
    ("fault", "state"),
    [*CHOSEN, *(pytest.param(*each, marks=pytest.mark.long) for each in REST)],
    ids=lambda each: each.value,
)
def test_70_a_network_that_misbehaves_once_leaves_all_alike(fault: Fault, state: State) -> None:
    async def body(made: Town) -> None:
        ended = await under(made, fault, state)
        require_alike(made, ended)
        if fault is Fault.DELAY:
            assert all(outcome.well for outcome in ended.values()), made[HEALTH].log
        # The network is well again, and so is the next attempt.
        made.proxy.fault = None
        made.begin(2)
        assert all(outcome.well for outcome in (await made.ended(2)).values()), made[HEALTH].log

    play(body)


@pytest.mark.parametrize("state", [pytest.param(State.PREFLIGHT, marks=pytest.mark.long), State.COMPUTING])
def test_70_a_party_behind_a_dead_network_is_lost_to_all_others(state: State) -> None:
    async def body(made: Town) -> None:
        for party in made.parties.values():
            party.launcher.block = 2_000_000
        ended = await under(made, Fault.SILENCE, state)
        require_alike(made, ended, (CIVIL, HEALTH, OFFICE))
        failure = ended[CIVIL].failure
        assert failure is not None and (failure.code, failure.party) == (PeerLost.code, TAX)
        assert ended[TAX].failure is not None and ended[TAX].failure.code == PeerLost.code

    play(body, SHORT)


# ---------------------------------------------------------------------- 70: a party that sends what it should not


def messages(made: Town, attempt: int) -> dict[str, list[Any]]:
    """What a dishonest `tax` says instead of what it should, by kind."""
    greeting = {"protocol": 1, "platform": "1.0", "joint": made.joint.digest, "attempt": attempt}
    return {
        "malformed": [("greeting", {"protocol": "one"})],
        "of another attempt": [("greeting", {**greeting, "attempt": 7})],
        "unknown": [("dance", {})],
        "twice": [("ready", {}), ("ready", {})],
        "of another form": [("box", {"signed": 1})],
        "a failure of another": [
            ("abort", {"code": "joint.party-failed", "party": CIVIL, "step": "compute"})
        ],
        "a failure of nobody": [
            ("abort", {"code": "joint.party-failed", "party": "nm/none", "step": "open"})
        ],
        "a code of its own": [("abort", {"code": "joint.nonsense", "party": TAX, "step": "open"})],
    }


@pytest.mark.parametrize(
    "what",
    [
        "malformed", "of another attempt", "unknown", "twice", "of another form",
        "a failure of another", "a failure of nobody", "a code of its own",
    ],
)  # fmt: skip
def test_70_a_party_that_says_what_it_should_not_is_named_by_the_others(what: str) -> None:
    async def body(made: Town) -> None:
        said = messages(made, 1)[what]
        kinds = {kind for kind, _ in said}
        attempts = {domain: made[domain].agent.run(made.joint.digest, 1) for domain in DOMAINS}
        liar = attempts[TAX].table
        honest = liar.say

        async def say(kind: str, content: Any) -> None:
            if kind in kinds or kind == "ready" and not kinds & {"greeting", "box"}:
                for each in said:
                    await honest(*each)
                return
            await honest(kind, content)

        liar.say = say  # type: ignore[method-assign]
        ended = await made.ended()
        honest_ones = (CIVIL, HEALTH, OFFICE)
        require_alike(made, ended, honest_ones)
        failure = ended[CIVIL].failure
        assert failure is not None and failure.party == TAX, (failure, made[CIVIL].log)

    play(body)


def test_70_raw_bytes_on_a_control_connection_end_the_attempt_alike() -> None:
    async def body(made: Town) -> None:
        attempts = made.begin()

        def garbage() -> None:
            control = attempts[TAX].table.links[CIVIL]._control
            assert control is not None
            control.connection.writer.write(b"\x7f\xff\xff\xff and more")

        await made.at(TAX, State.MEETING, garbage)
        ended = await made.ended()
        require_alike(made, ended)
        failure = ended[CIVIL].failure
        assert failure is not None and (failure.code, failure.party) == (LinkBroken.code, TAX)

    play(body)


def test_70_a_replayed_message_ends_the_attempt() -> None:
    async def body(made: Town) -> None:
        attempts = made.begin()

        def replay() -> None:
            control = attempts[TAX].table.links[CIVIL]._control
            assert control is not None
            control._sent -= 1

        await made.at(TAX, State.MEETING, replay)
        ended = await made.ended()
        require_alike(made, ended)
        assert ended[CIVIL].failure is not None and ended[CIVIL].failure.party == TAX

    play(body)


def test_70_garbage_on_a_boxes_link_is_noticed_by_the_box_and_ends_the_attempt_alike() -> None:
    async def body(made: Town) -> None:
        made[TAX].launcher.block = made[TAX].launcher.block + 1
        made.begin()
        ended = await made.ended()
        require_alike(made, ended)
        failure = ended[CIVIL].failure
        assert failure is not None and failure.code in (LinkBroken.code, PeerLost.code)

    play(body)


# ---------------------------------------------------------------------- 71: a party that stops or dies


DEATHS = [(State.MEETING, HEALTH), (State.COMPUTING, HEALTH)]
"""Deaths in every run; of one among receipts there are the two tests below."""
LONG_DEATHS = [
    (state, victim) for state in BEGUN for victim in (CIVIL, HEALTH, TAX) if (state, victim) not in DEATHS
]


@pytest.mark.parametrize(
    ("state", "victim"),
    [
        *DEATHS,
        *(pytest.param(*each, marks=pytest.mark.long) for each in LONG_DEATHS),
    ],
)
def test_71_a_party_that_dies_in_any_state_is_named_by_all_others(state: State, victim: str) -> None:
    async def body(made: Town) -> None:
        for party in made.parties.values():
            party.launcher.block = 3_000_000
        made.begin()
        deaths: list[asyncio.Future[None]] = []
        await made.at(victim, state, lambda: deaths.append(asyncio.ensure_future(made[victim].die())))
        await asyncio.gather(*deaths)
        ended = await made.ended()
        others = tuple(domain for domain in DOMAINS if domain != victim)
        require_alike(made, ended, others)
        failure = ended[others[0]].failure
        if state is not State.RECEIPTS or failure is not None:  # its receipt may have left before
            assert failure is not None and failure.code == PeerLost.code and failure.party == victim

    play(body, SHORT)


def test_71_a_receipt_that_reached_only_one_party_reaches_all() -> None:
    """`tax` tells its receipt to `civil` alone and dies: all have it from there, and the result stands."""

    async def body(made: Town) -> None:
        attempts = made.begin()
        table = attempts[TAX].table
        honest = table.say

        async def say(kind: str, content: Any) -> None:
            if kind == "receipts":
                await table.links[CIVIL].say(kind, content)
                asyncio.ensure_future(made[TAX].die())
                await asyncio.sleep(60)
            await honest(kind, content)

        table.say = say  # type: ignore[method-assign]
        ended = await made.ended()
        assert [ended[domain].well for domain in (CIVIL, HEALTH, OFFICE)] == [True] * 3

    play(body)


def test_71_a_party_that_keeps_its_receipt_back_leaves_nobody_with_a_result() -> None:
    async def body(made: Town) -> None:
        attempts = made.begin()
        table = attempts[TAX].table
        honest = table.say

        async def say(kind: str, content: Any) -> None:
            if kind != "receipts":
                await honest(kind, content)

        async def answer(control: Control) -> None:
            control.connection.abort()

        table.say = say  # type: ignore[method-assign]
        attempts[TAX].answer = answer  # type: ignore[method-assign]
        ended = await made.ended()
        others = (CIVIL, HEALTH, OFFICE)
        require_alike(made, ended, others)
        failure = ended[CIVIL].failure
        assert failure is not None
        assert (failure.code, failure.party, failure.step) == (PeerLost.code, TAX, Step.OPEN)

    play(body, SHORT)


def test_71_an_agent_that_was_started_anew_has_forgotten_and_says_so() -> None:
    async def body(made: Town) -> None:
        for party in made.parties.values():
            party.launcher.block = 3_000_000
        attempts = made.begin()
        began: list[asyncio.Future[None]] = []

        async def restart() -> None:
            agent = made[TAX].agent
            port = made[TAX].port
            await made[TAX].die()
            agent._attempts.clear()
            agent._running.clear()
            agent.listener = links.Listener(made[TAX].identity, agent._welcome, agent._serve)
            await agent.listener.start("127.0.0.1", port)

        await made.at(HEALTH, State.COMPUTING, lambda: began.append(asyncio.ensure_future(restart())))
        await asyncio.gather(*began)
        ended = await made.ended()
        require_alike(made, ended, (CIVIL, HEALTH, OFFICE))
        failure = ended[CIVIL].failure
        assert failure is not None and (failure.code, failure.party) == (PeerLost.code, TAX)
        with pytest.raises(DarkroomError):
            made[TAX].agent.attempt(made.joint.digest, 1)
        assert attempts[CIVIL].state is State.CLOSED
        made.begin(2)
        assert all(outcome.well for outcome in (await made.ended(2)).values()), made[HEALTH].log

    play(body)


# ---------------------------------------------------------------------- 76: peers


async def opened(made: Town, identity: tls.Identity, **changes: Any) -> dict[str, Any]:
    """Open a control connection to `tax` and return what it says."""
    party = made.joint.party(TAX)
    connection = await dial(identity, party.address, party.agent)
    opening = {
        "open": "control",
        "joint": made.joint.digest,
        "attempt": 1,
        "from": CIVIL,
        "to": TAX,
        **changes,
    }
    try:
        await connection.send(opening)
        return await connection.receive(30)
    finally:
        connection.abort()


def test_76_a_party_with_its_own_certificate_gets_a_link() -> None:
    """The control of the tests below."""

    async def body(made: Town) -> None:
        assert await opened(made, made[CIVIL].identity) == {"go": False}
        made[TAX].agent.run(made.joint.digest, 1)
        assert await opened(made, made[CIVIL].identity) == {"go": True}

    play(body)


@pytest.mark.parametrize(
    "changes",
    [
        {"from": HEALTH},
        {"from": TAX},
        {"from": "nm/none"},
        {"from": None},
        {"to": HEALTH},
        {"joint": "sha256:" + "0" * 64},
        {"attempt": "1"},
        {"attempt": True},
        {"open": "door"},
        {"joint": 17},
    ],
    ids=str,
)
def test_76_a_party_that_opens_a_link_as_another_or_for_another_gets_none(changes: dict[str, Any]) -> None:
    async def body(made: Town) -> None:
        made[TAX].agent.run(made.joint.digest, 1)
        with pytest.raises(PeerLost):
            await opened(made, made[CIVIL].identity, **changes)

    play(body)


def test_76_a_stranger_with_a_certificate_of_its_own_gets_no_link() -> None:
    async def body(made: Town) -> None:
        eve = tls.make_identity(made[CIVIL].folder / "eve", CIVIL)
        made[TAX].agent.run(made.joint.digest, 1)
        with pytest.raises((PeerLost, LinkBroken)):
            await opened(made, eve)

    play(body)


def _thief(made: Town) -> tls.Identity:
    """Somebody who shows the certificate of `civil`, and holds another key."""
    eve = tls.make_identity(made[CIVIL].folder / "eve", CIVIL)
    return tls.Identity(eve.file, made[CIVIL].identity.certificate)


def test_76_somebody_who_shows_a_partys_certificate_without_its_key_gets_no_link() -> None:
    async def body(made: Town) -> None:
        made[TAX].agent.run(made.joint.digest, 1)
        with pytest.raises((PeerLost, LinkBroken)):
            await opened(made, _thief(made))

    play(body)


def test_76_without_the_pin_the_thief_gets_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a listener that trusts whoever finishes the handshake, and what was shown before it."""

    def trusting(identity: tls.Identity, peer: bytes, *, server: bool) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        made.load_cert_chain(identity.file)
        return made

    monkeypatch.setattr(tls, "context", trusting)
    monkeypatch.setattr(links, "_proven", lambda connection: connection)

    async def body(made: Town) -> None:
        made[TAX].agent.run(made.joint.digest, 1)
        assert await opened(made, _thief(made)) == {"go": True}

    play(body)


def test_76_a_listener_in_the_partys_place_hears_nothing() -> None:
    """Whoever answers at a party's address with another certificate, or with its certificate and another key."""

    async def body(made: Town) -> None:
        heard: list[Any] = []

        async def listen(connection: Connection) -> None:
            heard.append(await connection.receive(30))

        eve = tls.make_identity(made[TAX].folder / "eve", TAX)
        stolen = tls.Identity(eve.file, made[TAX].identity.certificate)
        for identity in (eve, stolen):
            listener = links.Listener(identity, lambda _: True, listen)
            address = f"127.0.0.1:{await listener.start('127.0.0.1', 0)}"
            with pytest.raises((PeerLost, LinkBroken)):
                connection = await dial(made[CIVIL].identity, address, made[TAX].identity.fingerprint)
                await Control(connection).receive(30)
            await listener.close()
        assert heard == []

    play(body)


def test_76_a_box_link_is_taken_once_and_from_its_own_party_only() -> None:
    async def body(made: Town) -> None:
        attempt = made[TAX].agent.run(made.joint.digest, 1)
        party = made.joint.party(TAX)
        second = None
        for wanted in (True, False):
            connection = await dial(made[CIVIL].identity, party.address, party.agent)
            opening = {"open": "box", "joint": made.joint.digest, "attempt": 1, "from": CIVIL, "to": TAX}
            await connection.send(opening)
            assert await connection.receive(30) == {"go": True}
            if wanted:
                second = connection
                continue
            with contextlib.suppress(DarkroomError):
                await connection.receive(30)
            assert connection.reader.at_eof()
        assert second is not None and not attempt.links._arrived[CIVIL].cancelled()
        second.abort()

    play(body)
