"""Promise: parties run an attempt together, hand on a result only if all ended well, and else all say the same."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from mpc.agent.attempt import State
from mpc.agent.client import AgentClient, PartyEnd
from mpc.agent.doors import _require_user
from mpc.agent.table import Times
from plans import frames_async
from plans.box import Entry
from plans.errors import (
    BoxFailed,
    BoxLimit,
    IngestRefused,
    Malformed,
    NotAllowed,
    NotFound,
    PolicyDenied,
    PreflightFailed,
    StateConflict,
)
from plans.frames import pack
from plans.joint import Receipt, Step
from tests.mpc.agents import CIVIL, DOMAINS, HEALTH, OFFICE, SHORT, TAX, TIMES, Party, Town, town


def play(body: Callable[[Town], Coroutine[Any, Any, None]], times: Times = TIMES) -> None:
    """Run a test in a town of four parties; nothing in it hangs."""

    async def run() -> None:
        async with asyncio.timeout(100):
            async with town(times) as made:
                await body(made)

    asyncio.run(run())


async def ask(party: Party, question: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask at an agent's door; returns all frames of the answer."""
    reader, writer = await asyncio.open_unix_connection(party.folder / "door")
    writer.write(pack(question))
    found = []
    while (message := await frames_async.read_async(reader)) is not None:
        found.append(message)
    writer.close()
    return found


def about(made: Town, op: str, number: int = 1) -> dict[str, Any]:
    return {"op": op, "joint": made.joint.digest, "attempt": number}


async def same_end(made: Town, number: int = 1, parties: tuple[str, ...] = DOMAINS) -> tuple[str, str, Step]:
    """Return the failure with which all these parties ended; nothing was handed on by any."""
    ended = await made.ended(number)
    failures = {ended[domain].failure for domain in parties}
    assert len(failures) == 1, failures
    failure = failures.pop()
    assert failure is not None
    for domain in parties:
        answer = await ask(made[domain], about(made, "result", number))
        assert [sorted(each) for each in answer] == [["error"]]
    return failure.code, failure.party, failure.step


def test_all_parties_end_well_and_hold_the_receipts_of_all() -> None:
    async def body(made: Town) -> None:
        made.begin()
        ended = await made.ended()
        assert [outcome.well for outcome in ended.values()] == [True] * 4
        for domain, outcome in ended.items():
            assert sorted(outcome.receipts) == list(DOMAINS)
            bodies = [Receipt.read(signed.statement.body) for signed in outcome.receipts.values()]
            assert {(body.code, body.attempt, body.joint) for body in bodies} == {("", 1, made.joint.digest)}
            assert sorted(receipt.party for receipt in made[domain].keeper.kept) == sorted(
                set(DOMAINS) - {domain}
            )

    play(body)


def test_the_boxes_bytes_are_counted_in_the_receipt() -> None:
    async def body(made: Town) -> None:
        made.begin()
        ended = await made.ended()
        for domain in DOMAINS:
            receipt = Receipt.read(ended[domain].receipts[domain].statement.body)
            assert receipt.sent_bytes == 3 * made[domain].launcher.block

    play(body)


def test_the_door_tells_every_state_and_hands_over_shares_of_servers_alone() -> None:
    async def body(made: Town) -> None:
        asked = await asyncio.gather(*(ask(made[domain], about(made, "run")) for domain in DOMAINS))
        for frames in asked:
            states = [frame["state"] for frame in frames[:-1]]
            assert states == ["connecting", "preflight", "meeting", "computing", "receipts"]
            assert frames[-1]["ok"]["failure"] is None and len(frames[-1]["ok"]["receipts"]) == 4
        for domain in (CIVIL, HEALTH, TAX):
            answer = await ask(made[domain], about(made, "result"))
            assert bytes.fromhex(answer[0]["sealed"]) == f"{domain} 1".encode()
            assert len(answer[-1]["ok"]["receipts"]) == 4
        assert [sorted(each) for each in await ask(made[OFFICE], about(made, "result"))] == [["ok"]]
        status = (await ask(made[TAX], {"op": "status"}))[0]["ok"]
        assert [each["state"] for each in status["attempts"]] == ["closed"]

    play(body)


def test_an_attempt_that_is_not_known_is_said_so() -> None:
    async def body(made: Town) -> None:
        for op in ("cancel", "result"):
            assert (await ask(made[TAX], about(made, op)))[0]["error"]["code"] == NotFound.code
        stranger = {"op": "run", "joint": "sha256:" + "0" * 64, "attempt": 1}
        assert (await ask(made[TAX], stranger))[0]["error"]["code"] == NotFound.code
        assert (await ask(made[TAX], {"op": "dance"}))[0]["error"]["code"] == Malformed.code
        assert (await ask(made[TAX], {"op": "run"}))[0]["error"]["code"] == Malformed.code

    play(body)


@pytest.mark.parametrize("asks", [True, False], ids=["the keeper is asked", "control: it is not"])
def test_nobody_is_dialled_for_a_plan_that_the_own_side_did_not_approve(asks: bool) -> None:
    """The centre puts any plan it likes: its addresses would be those of an inner network."""

    async def body(made: Town) -> None:
        dialled: list[str] = []

        async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            dialled.append("somebody")
            writer.close()

        inner = await asyncio.start_server(noted, "127.0.0.1", 0)
        place = f"127.0.0.1:{inner.sockets[0].getsockname()[1]}"
        parties = tuple(
            party if party.domain == CIVIL else replace(party, address=place) for party in made.joint.parties
        )
        agent = made[CIVIL].agent
        other = agent.put(replace(made.joint, parties=parties))
        made[CIVIL].keeper.refuses["approved"] = PolicyDenied("nobody here has approved this joint plan")
        if asks:
            answer = await ask(made[CIVIL], {"op": "run", "joint": other, "attempt": 1})
            assert [each["error"]["code"] for each in answer] == [PolicyDenied.code]
            assert agent.status()["attempts"] == []
        else:
            agent.run(other, 1)
        if asks:
            await asyncio.sleep(0.2)
            assert not dialled
        async with asyncio.timeout(60):
            while not asks and not dialled:
                await asyncio.sleep(0.01)
        inner.close()

    play(body)


def test_what_a_good_end_left_is_handed_over_by_an_agent_that_was_started_anew() -> None:
    async def body(made: Town) -> None:
        made.begin()
        assert all(outcome.well for outcome in (await made.ended()).values())
        for domain in (TAX, OFFICE):
            await made[domain].start_anew()
        frames = await ask(made[TAX], about(made, "result"))
        assert bytes.fromhex(frames[0]["sealed"]) == b"nm/tax 1"
        assert len(frames[-1]["ok"]["receipts"]) == len(DOMAINS)
        assert [sorted(each) for each in await ask(made[OFFICE], about(made, "result"))] == [["ok"]]
        made[TAX].agent.put(made.joint)
        again = await ask(made[TAX], about(made, "run"))
        assert again == [{"ok": {"failure": None, "receipts": frames[-1]["ok"]["receipts"]}}], "nothing runs"
        unknown = await ask(made[TAX], about(made, "result", 2))
        assert unknown[0]["error"]["code"] == NotFound.code

    play(body)


def test_it_hands_over_nothing_without_everybodys_receipt_and_learns_the_lacking_ones_from_its_caller() -> (
    None
):
    async def body(made: Town) -> None:
        made.begin()
        await made.ended()
        held = made[TAX].keeper.letters[1]
        lacking = held.pop(HEALTH)
        await made[TAX].start_anew()
        frames = await ask(made[TAX], about(made, "result"))
        assert [each["error"]["code"] for each in frames] == [StateConflict.code]
        forged = made[CIVIL].keeper.signed[1]
        frames = await ask(made[TAX], about(made, "result") | {"receipts": [forged.plain()]})
        assert [each["error"]["code"] for each in frames] == [StateConflict.code]
        frames = await ask(made[TAX], about(made, "result") | {"receipts": [lacking.plain()]})
        assert bytes.fromhex(frames[0]["sealed"]) == b"nm/tax 1"

    play(body)


@pytest.mark.parametrize("restarted", [False, True])
def test_after_a_failure_no_agent_hands_over_anything(restarted: bool) -> None:
    async def body(made: Town) -> None:
        made[HEALTH].keeper.refuses["receipt"] = StateConflict("no")
        made.begin()
        await made.ended()
        if restarted:
            await made[TAX].start_anew()
        frames = await ask(made[TAX], about(made, "result"))
        assert [each["error"]["code"] for each in frames] == [StateConflict.code]

    play(body)


def test_a_plan_that_knows_this_party_by_another_certificate_is_refused() -> None:
    async def body(made: Town) -> None:
        parties = tuple(replace(party, agent="sha256:" + "0" * 64) for party in made.joint.parties)
        with pytest.raises(Malformed):
            made[TAX].agent.put(replace(made.joint, parties=parties))

    play(body)


class Caller:
    """A connection of somebody with a user id."""

    def __init__(self, user: int) -> None:
        self._user = user

    def getsockopt(self, *_: int) -> bytes:
        return struct.pack("3i", 1, self._user, self._user)


def test_the_sockets_know_their_callers_by_user_id() -> None:
    for user in (os.geteuid(), 0, 61_000):
        _require_user(Caller(user), {61_000})  # type: ignore[arg-type]
    with pytest.raises(NotAllowed):
        _require_user(Caller(61_001), {61_000})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": "sha256:" + "0" * 64},
        {"attempt": 2},
        {"stage": "extract"},
        {"link": "peer-7"},
        {"peer": HEALTH},
    ],
    ids=str,
)
def test_a_link_that_the_own_box_does_not_have_is_carried_nowhere(changes: dict[str, Any]) -> None:
    async def body(made: Town) -> None:
        attempt = made[TAX].agent.run(made.joint.digest, 1)
        head = {
            "plan": attempt.work.plan.digest,
            "stage": "party",
            "attempt": 1,
            "link": "peer-0",
            "peer": CIVIL,
        }
        reader, writer = await asyncio.open_unix_connection(made[TAX].folder / "links")
        writer.write(pack({**head, **changes}))
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_unix_connection(made[TAX].folder / "links")
        writer.write(pack(head))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read()  # the one that it has waits for its peer
        writer.close()

    play(body)


# ---------------------------------------------------------------------- an own side that says no


def test_a_box_that_fails_ends_all_sides_alike_and_the_next_attempt_runs() -> None:
    async def body(made: Town) -> None:
        def fail() -> None:
            raise BoxLimit("the box reached its limit of memory", "box.memory")

        made[HEALTH].launcher.before = fail
        made.begin()
        assert await same_end(made) == ("joint.party-failed", HEALTH, Step.COMPUTE)
        receipts = [Receipt.read(each.keeper.signed[1].statement.body) for each in made.parties.values()]
        assert {(each.code, each.failed_at) for each in receipts} == {
            ("joint.party-failed", "compute@nm/health")
        }
        assert any("limit of memory" in line for line in made[HEALTH].log)
        assert not any("memory" in line for domain in (CIVIL, TAX) for line in made[domain].log)
        made[HEALTH].launcher.before = None
        made.begin(2)
        told = [outcome.detail for outcome in (await made.ended(2)).values() if not outcome.well]
        assert told == [], [party.log for party in made.parties.values()]

    play(body)


def test_what_an_owners_rows_do_to_its_box_peers_hear_as_one_code() -> None:
    async def body(made: Town) -> None:
        made[TAX].launcher.fails[Entry.EXTRACT] = BoxFailed("a key repeats", "extract.key-repeated")
        made.begin()
        assert await same_end(made) == ("joint.preflight-failed", TAX, Step.EXTRACT)
        told = str((await ask(made[CIVIL], {"op": "status"}))[0])
        assert "repeat" not in told and any("a key repeats" in line for line in made[TAX].log)

    play(body)


@pytest.mark.parametrize(
    ("refused", "problem", "expected"),
    [
        ("own", PolicyDenied("nobody approved"), ("joint.preflight-failed", HEALTH, Step.EXTRACT)),
        ("receipt", StateConflict("no"), ("joint.party-failed", HEALTH, Step.OPEN)),
    ],
)
def test_a_keeper_that_refuses_ends_all_sides_alike(refused: str, problem: Any, expected: Any) -> None:
    async def body(made: Town) -> None:
        made[HEALTH].keeper.refuses[refused] = problem
        made.begin()
        assert await same_end(made) == expected

    play(body)


def test_a_revocation_stops_all_sides() -> None:
    async def body(made: Town) -> None:
        def revoked() -> None:
            raise BoxFailed("the keeper ended the box", "box.revoked")

        made[CIVIL].launcher.before = revoked
        made.begin()
        assert await same_end(made) == ("joint.party-stopped", CIVIL, Step.COMPUTE)

    play(body)


@pytest.mark.parametrize("state", [State.CONNECTING, State.PREFLIGHT, State.MEETING, State.COMPUTING])
def test_a_cancellation_in_any_state_stops_all_sides(state: State) -> None:
    async def body(made: Town) -> None:
        for party in made.parties.values():
            party.launcher.block = 5_000_000
        attempts = made.begin()
        await asyncio.sleep(0)
        waiting = made.at(OFFICE, state, lambda: asyncio.ensure_future(attempts[OFFICE].cancel()))  # type: ignore[arg-type]
        code, party, _ = await same_end(made)
        assert (code, party) == ("joint.party-stopped", OFFICE)
        await waiting

    play(body)


# ---------------------------------------------------------------------- preflight


def test_a_side_without_the_image_or_the_memory_says_so_to_its_owner_alone() -> None:
    async def body(made: Town) -> None:
        made[TAX].launcher.images = []
        made.begin()
        assert await same_end(made) == ("joint.preflight-failed", TAX, Step.CHECK)
        assert any("image" in line for line in made[TAX].log)
        assert not any("image" in line for line in made[CIVIL].log)
        assert all(not party.launcher.ran for party in made.parties.values())

    play(body)


def test_another_version_is_found_by_all_at_the_same_party() -> None:
    async def body(made: Town) -> None:
        made[OFFICE].agent._platform = "0.9"
        made.begin()
        assert await same_end(made) == ("joint.preflight-failed", OFFICE, Step.CHECK)

    play(body)


def test_a_clock_that_is_off_by_an_hour_is_found_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process has one clock: every party's answer about the time passes here, and tax's is an hour ahead."""
    from mpc.agent import peers

    said = peers.PeerLink._take

    async def take(self: Any, control: Any, heard: peers.Heard) -> None:
        if heard.kind == "time" and TAX in (heard.peer, self.own_for_test):
            sign = 1 if heard.peer == TAX else -1
            heard = replace(heard, content={**heard.content, "ms": heard.content["ms"] + sign * 3_600_000})
        await said(self, control, heard)

    async def body(made: Town) -> None:
        attempts = made.begin()
        for domain, attempt in attempts.items():
            for link in attempt.table.links.values():
                link.own_for_test = domain  # type: ignore[attr-defined]
        monkeypatch.setattr(peers.PeerLink, "_take", take)
        assert await same_end(made) == ("joint.preflight-failed", TAX, Step.CHECK)

    play(body)


def test_a_party_that_was_not_asked_is_lost_after_a_while() -> None:
    async def body(made: Town) -> None:
        for domain in (CIVIL, HEALTH, OFFICE):
            made[domain].agent.run(made.joint.digest, 1)
        assert await same_end(made, parties=(CIVIL, HEALTH, OFFICE)) == ("joint.peer-lost", TAX, Step.CHECK)

    play(body, SHORT)


def test_a_refusal_of_any_kind_is_told_by_its_code_alone() -> None:
    async def body(made: Town) -> None:
        made[HEALTH].launcher.fails[Entry.PARTY] = IngestRefused(
            "the value Wang 4711 is out of range", "row 17"
        )
        made.begin()
        await same_end(made)
        for domain in (CIVIL, OFFICE, TAX):
            told = str(made[domain].log) + str(await ask(made[domain], {"op": "status"}))
            assert "Wang" not in told and "row 17" not in told

    play(body)


# ---------------------------------------------------------------------- a slow line

MEGABIT = 1_000_000 / 8


@pytest.mark.parametrize("block", [100_000, pytest.param(8_000_000, marks=pytest.mark.long)])
def test_a_line_of_100_megabit_and_10_milliseconds_carries_an_attempt(block: int) -> None:
    """The line is a proxy before one party: kernels without netem cannot slow a network namespace down."""

    async def body(made: Town) -> None:
        made.proxy.rate, made.proxy.latency_s = 100 * MEGABIT, 0.010
        for party in made.parties.values():
            party.launcher.block = block
        made.begin()
        ended = await made.ended(within_s=90)
        assert all(outcome.well for outcome in ended.values()), made[TAX].log
        overhead = made.proxy.carried - 6 * block  # three peers, both ways
        assert 0 < overhead < 6 * block * 0.01 + 300_000, "what agents add is small, and does not grow"

    play(body)


# ---------------------------------------------------------------------- the client of the door


def test_the_client_hears_states_as_they_come_and_takes_what_is_handed_over() -> None:
    async def body(made: Town) -> None:
        clients = {domain: AgentClient(made[domain].folder / "door") for domain in DOMAINS}
        heard: list[tuple[str, bool]] = []

        def on_state(state: str) -> None:
            heard.append((state, made[TAX].agent.attempt(made.joint.digest, 1).state is State.CLOSED))

        def run(domain: str) -> PartyEnd:
            client = clients[domain]
            assert client.put(made.joint) == made.joint.digest
            return client.run(made.joint.digest, 1, on_state if domain == TAX else lambda _: None)

        ended = await asyncio.gather(*(asyncio.to_thread(run, domain) for domain in DOMAINS))
        assert [(each.failure, len(each.receipts)) for each in ended] == [(None, 4)] * 4
        assert [state for state, _ in heard] == [
            "connecting",
            "preflight",
            "meeting",
            "computing",
            "receipts",
        ]
        assert not heard[0][1], "the first state was told before the attempt had ended"
        left = await asyncio.to_thread(clients[TAX].result, made.joint.digest, 1)
        assert left.sealed == b"nm/tax 1" and len(left.receipts) == 4
        failed = await asyncio.to_thread(clients[TAX].status)
        assert failed["attempts"][0]["failure"] is None

    play(body)


def test_the_client_is_told_the_failure_as_an_error() -> None:
    async def body(made: Town) -> None:
        made[TAX].launcher.images = []

        def run(domain: str) -> PartyEnd:
            return AgentClient(made[domain].folder / "door").run(made.joint.digest, 1)

        ended = await asyncio.gather(*(asyncio.to_thread(run, domain) for domain in DOMAINS))
        for each in ended:
            assert isinstance(each.failure, PreflightFailed)
            assert each.failure.where == "preflight@nm/tax" and len(each.receipts) == 4

    play(body)
