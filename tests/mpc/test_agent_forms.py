"""Promise: whatever the form of a joint computation, what is handed over comes from those who leave something, and
from nobody before all ended well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from plans.box import Entry
from plans.errors import BoxFailed, StateConflict
from plans.joint import Receipt
from tests.mpc.agents import Town, town
from tests.mpc.test_agent import about, ask, same_end
from tests.plans.joint_forms import FORMS


def play(form: str, body: Callable[[Town], Coroutine[Any, Any, None]]) -> None:
    """Run a test in a town whose joint plan is of this form."""

    async def run() -> None:
        async with asyncio.timeout(100):
            async with town(form=FORMS[form]) as made:
                await body(made)

    asyncio.run(run())


@pytest.mark.parametrize("form", FORMS)
def test_parties_of_every_form_end_well_and_whoever_leaves_something_hands_it_over(form: str) -> None:
    async def body(made: Town) -> None:
        asked = await asyncio.gather(*(ask(made[domain], about(made, "run")) for domain in made.domains))
        assert all(frames[-1]["ok"]["failure"] is None for frames in asked)
        handed = {}
        for domain in made.domains:
            *sealed, last = await ask(made[domain], about(made, "result"))
            handed[domain] = b"".join(bytes.fromhex(frame["sealed"]) for frame in sealed)
            said = [Receipt.read(plain["statement"]["body"]) for plain in last["ok"]["receipts"]]
            assert sorted(each.party for each in said) == list(made.domains)
            assert {each.party for each in said if each.sealed} == set(made.joint.handing)
        assert {domain for domain, content in handed.items() if content} == set(made.joint.handing)

    play(form, body)


@pytest.mark.parametrize("form", ["stacked and inspected", "common", "ciphertexts"])
def test_a_box_that_fails_leaves_nothing_of_any_form(form: str) -> None:
    async def body(made: Town) -> None:
        failing = next(domain for domain in made.domains if domain not in made.joint.handing)
        made[failing].launcher.fails = {Entry.PARTY: BoxFailed("it broke", "box.crashed")}
        made.begin()
        code, party, _ = await same_end(made, parties=made.domains)
        assert (code, party) == ("joint.party-failed", failing)

    play(form, body)


@pytest.mark.parametrize("form", ["inspected", "common of two"])
def test_a_judged_table_is_handed_over_by_an_agent_that_was_started_anew(form: str) -> None:
    async def body(made: Town) -> None:
        made.begin()
        assert all(outcome.well for outcome in (await made.ended()).values())
        (opener,) = made.joint.handing
        await made[opener].start_anew()
        sealed, last = await ask(made[opener], about(made, "result"))
        assert bytes.fromhex(sealed["sealed"]) == f"{opener} 1".encode()
        assert len(last["ok"]["receipts"]) == len(made.domains)

    play(form, body)


def test_without_the_receipt_of_a_server_the_inspector_hands_over_nothing() -> None:
    """Two of three servers would do for figures, so the inspector's box may have a table; nobody has it."""

    async def body(made: Town) -> None:
        server = next(domain for domain in made.joint.task.servers if domain not in made.joint.handing)
        made[server].keeper.refuses = {"receipt": StateConflict("another end was signed", "attempt 1")}
        made.begin()
        ended = await made.ended()
        assert not any(outcome.well for outcome in ended.values())
        (opener,) = made.joint.handing
        assert [sorted(each) for each in await ask(made[opener], about(made, "result"))] == [["error"]]

    play("inspected", body)


def test_receipts_are_not_passed_to_and_fro_while_one_party_is_slow() -> None:
    """Each passes on what is new to it, so what parties say does not grow with the time that the slowest takes."""

    async def body(made: Town) -> None:
        slow = made.domains[0]
        made[slow].keeper.delay_s = 1.0
        attempts = made.begin()
        assert all(outcome.well for outcome in (await made.ended()).values())
        said = [sum(attempt.table._times.values()) for attempt in attempts.values()]
        peers = len(made.domains) - 1
        assert max(said) <= peers * (peers + 2), "its own, what is new of each peer, and once at the end"

    play("stacked", body)


def test_after_a_party_that_signed_nothing_the_next_attempt_begins_with_its_word_that_it_failed() -> None:
    """Others have signed a good end of which nothing is handed over. Their keepers answer the plan again with this."""

    async def body(made: Town) -> None:
        dying = made.domains[-1]
        made[dying].keeper.refuses = {"receipt": StateConflict("it is not there", "attempt 1")}
        made.begin()
        assert not any(outcome.well for outcome in (await made.ended()).values())
        signed = {domain: made[domain].keeper.signed.get(1) for domain in made.domains}
        assert [domain for domain, receipt in signed.items() if receipt is None] == [dying]
        made[dying].keeper.refuses = {}
        made.begin(2)
        assert all(outcome.well for outcome in (await made.ended(2)).values())
        for domain in set(made.domains) - {dying}:
            told = {(each.party, each.attempt): each.code for each in made[domain].keeper.kept}
            assert told[dying, 1] == "joint.party-failed" and told[dying, 2] == ""

    play("stacked", body)


def test_a_good_end_that_a_party_could_not_tell_any_more_is_told_before_the_next_attempt() -> None:
    async def body(made: Town) -> None:
        made.begin()
        assert all(outcome.well for outcome in (await made.ended()).values())
        for domain in made.domains:
            made[domain].keeper.kept.clear()
        made.begin(2)
        await made.ended(2)
        for domain in made.domains:
            told = {each.party for each in made[domain].keeper.kept if (each.attempt, each.code) == (1, "")}
            assert told == set(made.domains) - {domain}

    play("stacked", body)
