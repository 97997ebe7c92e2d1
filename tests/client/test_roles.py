"""A grant gives data to one role of its member: the member says it, the approver reads and signs it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from darkroom import signing
from darkroom.connection import offered_fingerprint
from keys import api as keys
from plans.errors import Malformed, NotAllowed, StateConflict
from plans.statements import Duty, Grant, Type
from store import api as store
from tests.client.conftest import Town, Typed
from tests.portal.region import DATASET, OWNER, grant_of, manifest, signed_by

MEI, OLGA, BO, CHEN = "mei@nm/centre", "olga@nm/centre", "bo@nm/tax", "chen@nm/tax"
UNTIL = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%d")
ASK = ("--columns", "region", "--until", UNTIL, "--project", "housing", "--purpose", "Study of rents")


def applied(town: Town, member: str = OLGA, role: str = "") -> str:
    room = town.connection(member)
    made = room.apply(
        DATASET, ["region", "income"], "Study of rents", project="housing", until=UNTIL, role=role
    )
    return str(made["id"])


def next_version(town: Town, *columns: str, erased: bool = False) -> None:
    """Ingest the dataset anew, with these columns only, or erase it."""
    first = manifest()
    made = replace(first, version=2, columns=tuple(c for c in first.columns if c.name in columns))
    signed = keys.sign(keys.Draft(Type.MANIFEST, OWNER, Duty.KEEPER, made), town.region.keeper)
    text = signed.canonical().decode()
    row = store.ManifestRow(made.digest, DATASET, 2, "tax.income", OWNER, made.grade, made.title, text, 2)
    with town.region.database.session() as session:
        store.manifests.add(session, row)
        if erased:
            store.manifests.mark_erased(session, row.digest, 3)


@pytest.mark.parametrize(("said", "role"), [("", "researcher"), ("operator", "operator")])
def test_the_role_goes_from_the_application_into_the_grant(
    town: Town, typed: Typed, said: str, role: str
) -> None:
    made = typed(OLGA, "apply", DATASET, *ASK, *(["--role", said] if said else []))
    assert made.exit_code == 0
    number = made.stdout.strip()
    assert (
        json.loads(typed(OLGA, "applications", "--format", "json").stdout)["applications"][0]["role"] == role
    )
    spoken = json.loads(typed(OLGA, "keys", "show", "--format", "json").stdout)["fingerprint"]
    looked = typed(BO, "approve", number, "--dry-run")
    assert looked.exit_code == 0 and role in looked.stderr and "in the role" in looked.stderr
    assert typed(BO, "approve", number, "--fingerprint", spoken, "--yes").exit_code == 0
    (signed,) = town.region.owners.heard
    assert Grant.read(dict(signed.statement.body)).role == role
    assert town.connection(OLGA).grants()[0]["role"] == role


@pytest.mark.parametrize(
    ("member", "role", "error"),
    [
        (MEI, "operator", NotAllowed),
        (CHEN, "approver", Malformed),
        (OLGA, "administrator", Malformed),
        (OLGA, "any", Malformed),
        (OLGA, "Operator", Malformed),
        (OLGA, "operator\n", Malformed),
        (OLGA, "x" * 1_000, Malformed),
    ],
)
def test_nobody_applies_in_a_role_that_is_not_theirs_or_reads_no_data(
    town: Town, member: str, role: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        applied(town, member, role)
    assert town.connection(member).applications() == []


def test_a_dry_run_says_the_role_and_applies_for_nothing(town: Town, typed: Typed) -> None:
    looked = typed(OLGA, "apply", DATASET, *ASK, "--role", "operator", "--dry-run")
    assert looked.exit_code == 0 and "as operator" in looked.stderr
    assert town.connection(OLGA).applications() == []


def test_a_grant_in_another_role_than_was_asked_for_reaches_no_keeper(town: Town) -> None:
    number = applied(town)
    described = town.connection(BO).application(number)
    wider = signed_by(town.region, BO, Type.GRANT, grant_of(town.region, described, role="operator"))
    with pytest.raises(Exception, match="another role"):
        town.connection(BO)._wire.post("/api/v1/statements", {"signed": wider.plain(), "application": number})
    assert town.region.owners.heard == []


def test_a_portal_that_describes_another_role_gets_what_the_screen_showed(town: Town) -> None:
    described = town.connection(BO).application(applied(town)) | {"role": "operator"}
    statement = signing.grant_statement(described, town.region.keys[BO].signing.public)
    assert ("in the role", "operator") in [(line.label, line.value) for line in signing.shown(statement)]


@pytest.mark.parametrize("missing", ["role", "gone", "columns", "signing_key"])
def test_a_description_that_is_not_complete_is_not_signed(town: Town, missing: str) -> None:
    described = town.connection(BO).application(applied(town))
    described.pop(missing)
    with pytest.raises(Malformed, match="not complete"):
        signing.grant_statement(described, town.region.keys[BO].signing.public)


# --- what is gone is not granted -----------------------------------------------------


def test_no_grant_is_signed_for_a_column_that_the_dataset_has_no_more(town: Town, typed: Typed) -> None:
    number = applied(town)
    next_version(town, "region", "id_number")
    assert town.connection(BO).application(number)["gone"] == ["income"]
    room = town.connection(BO)
    room.trust_member(OLGA, offered_fingerprint(room.application(number)))
    with pytest.raises(StateConflict, match="income"):
        room.grant(number)
    refused = typed(BO, "approve", number, "--yes")
    assert refused.exit_code == 3 and "income" in refused.stderr and "Decline" in refused.stderr
    assert town.region.owners.heard == []


def test_nor_for_a_dataset_that_was_erased(town: Town) -> None:
    number = applied(town)
    next_version(town, "region", "income", "id_number", erased=True)
    assert town.connection(BO).application(number)["gone"] == ["region", "income"]


def test_a_portal_that_hides_what_is_gone_refuses_the_grant_itself(town: Town) -> None:
    number = applied(town)
    described = town.connection(BO).application(number) | {"gone": []}
    next_version(town, "region", "id_number")
    statement = signing.grant_statement(described, town.region.keys[BO].signing.public)
    with pytest.raises(StateConflict, match="income"):
        town.connection(BO).hand_in(statement, number)
    assert town.region.owners.heard == []


def test_control_the_next_version_with_all_columns_can_be_granted(town: Town) -> None:
    number = applied(town)
    next_version(town, "region", "income", "id_number")
    room = town.connection(BO)
    room.trust_member(OLGA, offered_fingerprint(room.application(number)))
    room.hand_in(room.grant(number), number)
    assert len(town.region.owners.heard) == 1
