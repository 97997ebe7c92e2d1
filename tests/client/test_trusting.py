"""Which keeper signs for an owner is the owner's word: a key is pinned with it, and never by the portal's alone."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import darkroom
from darkroom import local, session, unlocking
from darkroom.advice import card
from darkroom.connection import Connection
from darkroom.display import Shown
from darkroom.display_words import use_language
from keys import api as keys
from plans.errors import EvidenceBroken, Malformed, StateConflict
from tests.client.conftest import PASSPHRASE, Town, Typed
from tests.client.test_evidence import SQL
from tests.portal.region import OWNER, release

LIN = "lin@nm/centre"
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def lin(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """The functions of `darkroom` speak for Lin, who has pinned nothing yet."""
    found = town.connection(LIN)
    monkeypatch.setattr(session, "_open", {"default": found})
    local.choose("", "", ""), unlocking.forget(), use_language("en")
    yield found
    use_language("")


def test_the_first_result_says_that_no_key_is_pinned_and_not_that_something_is_wrong(
    town: Town, lin: Connection
) -> None:
    job = lin.sql(SQL, project="housing", purpose="Study of rents")
    release(town.region, job.id)
    with pytest.raises(StateConflict) as told:
        job.result()
    drawn = repr(Shown(card(told.value)))
    assert "The key of this keeper is not pinned yet" in drawn and "signature does not hold" not in drawn
    assert f"a steward or approver of {OWNER}" in drawn and f'darkroom.trust("{OWNER}", ' in drawn
    darkroom.trust(OWNER, town.region.keeper.public)
    assert job.result().rows


def test_without_a_key_nothing_is_pinned_and_the_portals_word_is_called_that(
    town: Town, lin: Connection
) -> None:
    shown = repr(darkroom.trust(OWNER))
    for part in (
        town.region.keeper.public,
        "The portal could lie",
        f'darkroom.trust("{OWNER}", "ed25519:…")',
    ):
        assert part in shown
    assert lin.trusted_keeper(OWNER) is None


def test_with_the_owners_key_it_is_pinned_and_said(town: Town, lin: Connection) -> None:
    shown = repr(darkroom.trust(OWNER, f" {town.region.keeper.public}\n"))
    assert "is pinned" in shown and "The portal names the same key" in shown
    assert lin.trusted_keeper(OWNER) == town.region.keeper.public
    assert "is pinned" in repr(darkroom.trust(OWNER)) and "another key" not in repr(darkroom.trust(OWNER))


def test_a_key_that_the_portal_does_not_name_is_not_pinned(town: Town, lin: Connection) -> None:
    with pytest.raises(EvidenceBroken, match="nothing was pinned"):
        darkroom.trust(OWNER, keys.SigningKey.fresh().public)
    for domain, key in ((OWNER, "ed25519:00"), (OWNER, "yes"), ("no domain", town.region.keeper.public)):
        with pytest.raises(Malformed):
            darkroom.trust(domain, key)
    assert lin.trusted_keeper(OWNER) is None


def test_a_pinned_key_is_never_replaced_and_a_portal_that_names_another_is_told(
    town: Town, lin: Connection
) -> None:
    other = keys.SigningKey.fresh().public
    lin.trust_keeper(OWNER, other)
    shown = repr(darkroom.trust(OWNER))
    assert other in shown and "The portal names another key" in shown
    with pytest.raises(StateConflict):
        darkroom.trust(OWNER, town.region.keeper.public)
    assert lin.trusted_keeper(OWNER) == other


def test_a_portal_that_names_something_else_than_a_key_is_not_shown_as_one(
    lin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "offered_keeper", lambda self, domain: "\x1b[2J trust me")
    with pytest.raises(Malformed):
        darkroom.trust(OWNER)


def command(town: Town, *, in_kernel: bool) -> tuple[int | None, str]:
    """Run `darkroom trust` at a terminal of its own, as `!darkroom trust` does; return how it ended, if it did within
    some seconds, and what it said.
    """
    ours, theirs = pty.openpty()
    paths = os.pathsep.join((str(ROOT / "client"), str(ROOT)))
    given = {
        "DARKROOM_HOME": str(town.home(LIN).folder),
        "DARKROOM_PASSPHRASE": PASSPHRASE,
        "PYTHONPATH": paths,
    }
    environment = {**os.environ, **given} | ({"JPY_PARENT_PID": "1"} if in_kernel else {})
    script = f"import sys; sys.argv = ['darkroom', 'trust', {OWNER!r}]; from darkroom.cli import app; app()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    said, until = b"", time.monotonic() + 60
    try:
        while time.monotonic() < until and b"Is it the same?" not in said:
            said += os.read(ours, 4096)
    except OSError:
        pass  # it has ended, and its terminal with it
    ended = None if b"Is it the same?" in said else child.wait(60)
    child.kill(), child.wait(), os.close(ours)
    return ended, said.decode()


def test_the_command_does_not_wait_where_nobody_can_answer(town: Town) -> None:
    ended, said = command(town, in_kernel=True)
    assert ended == 2 and f"darkroom trust {OWNER} --keeper-key KEY" in " ".join(said.split())
    ended, said = command(town, in_kernel=False)
    assert ended is None and town.region.keeper.public in said, "the control: at a person's terminal it asks"
    assert town.home(LIN).keeper(OWNER) is None


def test_on_the_command_line_the_advice_names_the_command(
    town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from darkroom import cli_jobs

    monkeypatch.setattr(cli_jobs, "settle_trust", lambda *given: None)
    job = town.connection(LIN).sql(SQL, project="housing", purpose="Study of rents")
    release(town.region, job.id)
    done = typed(LIN, "result", job.id)
    assert done.exit_code == 3 and f"darkroom trust {OWNER} --keeper-key KEY" in done.stderr
    assert "darkroom.trust(" not in done.stderr
