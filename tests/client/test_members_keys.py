"""An approver grants to the member, not to whatever keys a portal that was taken over puts in the member's place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from darkroom.connection import Connection
from keys import api as keys
from plans.errors import SignatureWrong, StateConflict
from tests.client.conftest import Town, Typed
from tests.portal.region import DATASET

MEI, BO = "mei@nm/centre", "bo@nm/tax"


def applied(town: Town) -> str:
    until = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%d")
    room = town.connection(MEI)
    return str(room.apply(DATASET, ["region"], "Study of rents", project="housing", until=until)["id"])


def spoken(typed: Typed) -> str:
    """What Mei reads out: from her own machine, not from the portal."""
    return str(json.loads(typed(MEI, "keys", "show", "--format", "json").stdout)["fingerprint"])


def lying(room: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the portal put keys of its own into the applications that it describes."""
    honest = room.application

    def dishonest(number: str) -> dict[str, Any]:
        own = {"signing_key": keys.SigningKey.fresh().public, "opening_key": keys.OpeningKey.fresh().public}
        return honest(number) | own

    monkeypatch.setattr(room, "application", dishonest)


def test_without_the_members_own_word_nothing_is_granted(town: Town) -> None:
    with pytest.raises(SignatureWrong) as refusal:
        town.connection(BO).grant(applied(town))
    assert "compared" in refusal.value.what and "--fingerprint" in refusal.value.next_step


def test_with_it_the_grant_names_the_members_keys(town: Town, typed: Typed) -> None:
    room = town.connection(BO)
    room.trust_member(MEI, spoken(typed))
    statement = room.grant(applied(town))
    assert statement.body["signer"] == town.region.keys[MEI].signing.public


def test_a_portal_that_names_other_keys_gets_no_grant(
    town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, number = town.connection(BO), applied(town)
    room.trust_member(MEI, spoken(typed))
    lying(room, monkeypatch)
    with pytest.raises(SignatureWrong) as refusal:
        room.grant(number)
    assert f"not {MEI}'s keys" in refusal.value.what


def test_trusted_keys_are_never_replaced_silently(town: Town, typed: Typed) -> None:
    room = town.connection(BO)
    room.trust_member(MEI, spoken(typed))
    with pytest.raises(StateConflict):
        room.trust_member(MEI, "sha256:" + "0" * 64)


def test_at_the_command_line_yes_alone_trusts_nobody(town: Town, typed: Typed) -> None:
    number = applied(town)
    assert typed(BO, "approve", number, "--yes").exit_code == 2
    assert typed(BO, "approve", number, "--fingerprint", "sha256:" + "0" * 64, "--yes").exit_code == 7
    assert town.connection(BO).grants() == []


def test_control_with_the_right_fingerprint_it_is_granted(town: Town, typed: Typed) -> None:
    number = applied(town)
    assert typed(BO, "approve", number, "--fingerprint", spoken(typed), "--yes").exit_code == 0
    assert [grant["member"] for grant in town.connection(BO).grants()] == [MEI]
