"""What the centre expects of an owner: from its database, at every decision anew, for the member who asks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from compute import forecast
from plans.decision import Outcome
from plans.errors import NotFound
from plans.statements import Grant, Revocation, Signed, Type
from policies.api import Grants
from store import api as store
from tests.keeper import house
from tests.keeper.house import NOW

OWNER = store.DomainRow(house.DOMAIN, "Tax", "税务", "", "", "")
ANOTHER = "wu@nm/uni"


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[store.Database]:
    """The database of a centre that knows one owner."""
    database = store.open_database(f"sqlite:///{tmp_path / 'centre.db'}")
    store.migrate(database)
    deliver(database, house.roster(), house.bundle())
    with database.session() as session:
        for manifest in (house.manifest(), house.manifest(house.PROPERTY)):
            store.manifests.add(session, manifest_row(manifest.dataset))
    yield database
    database.close()


def manifest_row(dataset: str) -> store.ManifestRow:
    signed = house.signed_manifest(house.manifest(dataset)).canonical().decode()
    relation = house.manifest(dataset).relation
    return store.ManifestRow(
        house.digest(dataset), dataset, 1, relation, house.DOMAIN, "general-3", "", signed, NOW
    )


def deliver(database: store.Database, *statements: Signed) -> None:
    """Put statements in the letter box, as sharing and enrolment do."""
    with database.session() as session:
        for signed in statements:
            statement = signed.statement
            about = statement.subject
            if statement.type is Type.GRANT:
                about = Grant.read(statement.body).member
            elif statement.type is Type.REVOCATION:
                about = Revocation.read(statement.body).revoked
            store.statements.add(
                session,
                store.StatementRow(
                    statement.digest,
                    statement.type.value,
                    statement.domain,
                    statement.signer,
                    about,
                    signed.canonical().decode(),
                    NOW,
                ),
            )


def owner(database: store.Database, member: str | None = house.MEMBER) -> forecast.Owner:
    with database.reading() as session:
        return forecast.owner(session, OWNER, member)


def run_job(database: store.Database, name: str, grant: Signed, member: str = house.MEMBER) -> None:
    """A job of a member's that has begun to run under a grant."""
    decision = f'{{"grants":["{grant.statement.digest}"]}}'
    row = store.JobRow(name, member, "p", "queued", "{}", "", NOW, NOW, house.DOMAIN, decision=decision)
    with database.session() as session:
        store.jobs.add(session, row)
        store.jobs.move(session, name, "queued", "running", at=NOW)


def test_a_grant_allows_and_its_revocation_counts_at_the_next_decision(centre: store.Database) -> None:
    grant = house.grant()
    assert owner(centre).decide(house.REQUEST, house.READING, NOW).outcome is Outcome.DENY
    deliver(centre, grant)
    decision = owner(centre).decide(house.REQUEST, house.READING, NOW)
    assert decision.outcome is Outcome.ALLOW and decision.grants == (grant.statement.digest,)
    deliver(centre, house.revocation(grant))
    refused = owner(centre).decide(house.REQUEST, house.READING, NOW)
    assert [reason.rule for reason in refused.reasons] == ["grant-inactive"]


def test_what_it_finds_for_one_member_is_what_the_keeper_finds(centre: store.Database) -> None:
    mine, ended, theirs = house.grant(), house.grant(), house.grant(replace(house.GRANT, member=ANOTHER))
    end = house.revocation(ended)
    deliver(centre, mine, ended, theirs, end)
    believed = house.trusted(*house.house_statements(mine, ended, theirs, end)).granted("")
    assert owner(centre, None).grants == believed
    assert owner(centre).grants == Grants(g for g in believed if g.grant.member == house.MEMBER)
    assert list(owner(centre, ANOTHER).grants) == [believed.get(theirs.statement.digest)]
    assert not owner(centre, "nobody@nm").grants


def test_an_approver_who_left_takes_their_grants_along(centre: store.Database) -> None:
    deliver(centre, house.grant(), house.grant(signer="second approver"))
    assert len(owner(centre).grants) == 2
    deliver(centre, house.roster(2, house.entries_without(house.APPROVER)))
    assert {g.approver for g in owner(centre).grants} == {house.key("second approver").public}


def test_the_highest_numbers_are_in_force_in_whatever_order_they_arrive(centre: store.Database) -> None:
    deliver(centre, house.bundle(3), house.bundle(2), house.roster(5), house.roster(4))
    found = owner(centre)
    assert (found.bundle.number, found.roster.number) == (3, 5)


def test_uses_are_those_of_the_members_own_jobs_that_began(centre: store.Database) -> None:
    grant = house.grant()
    deliver(centre, grant)
    run_job(centre, "one", grant)
    run_job(centre, "of another", grant, ANOTHER)
    assert [g.uses_left for g in owner(centre).grants] == [house.GRANT.uses - 1]


def test_an_owner_without_policies_allows_nothing(centre: store.Database) -> None:
    with centre.reading() as session, pytest.raises(NotFound, match="no roster and policies"):
        forecast.owner(session, replace(OWNER, name="nm/health"), house.MEMBER)


def test_grants_of_others_cost_a_decision_nothing(
    centre: store.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read does not grow with the domain, and what was read once is not read again."""
    deliver(centre, house.grant(), *(
        house.grant(replace(house.GRANT, member=f"m{number}@nm/uni")) for number in range(30)
    ))  # fmt: skip
    read: list[str] = []
    get = store.statements.get

    def counted(session: store.Session, digest: str) -> store.StatementRow:
        read.append(digest)
        return get(session, digest)

    monkeypatch.setattr(store.statements, "get", counted)
    monkeypatch.setattr(forecast, "_read", forecast._Read(most=100))
    owner(centre)
    assert len(read) == 3, "roster, bundle, one grant"
    owner(centre)
    assert len(read) == 3
    owner(centre, None)
    assert len(read) == 33, "the control: for the whole domain it is every grant"


def test_what_is_kept_of_statements_is_bounded_and_the_same_in_every_thread(centre: store.Database) -> None:
    grants = [house.grant() for _ in range(20)]
    deliver(centre, *grants)
    kept = forecast._Read(most=5)
    found: list[set[str]] = []

    def read() -> None:
        with centre.reading() as session:
            found.append({kept.get(session, g.statement.digest, forecast._granted).digest for g in grants})

    threads = [threading.Thread(target=read) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == [{g.statement.digest for g in grants}] * 4
    assert len(kept._said) <= 5


WATCHER = """
import sys, time
from compute import forecast
from store import api as store
database = store.open_database(sys.argv[1])
row = store.DomainRow("nm/tax", "", "", "", "", "")
while True:
    began = time.monotonic()
    with database.reading() as session:
        grants = list(forecast.owner(session, row, sys.argv[2]).grants)
    print("revoked" if all(g.revoked for g in grants) else "stands", began, flush=True)
    if all(g.revoked for g in grants):
        break
    time.sleep(0.01)
"""


def test_a_revocation_counts_in_another_process_from_the_moment_it_is_committed(
    centre: store.Database, tmp_path: Path
) -> None:
    """ATTACKS 59. The other process had read the grant before, and decides with it until then: no decision that it
    begins later does. Both read the machine's one clock, so that it does not matter how long anything takes.
    """
    grant = house.grant()
    deliver(centre, grant)
    url = f"sqlite:///{tmp_path / 'centre.db'}"
    command = [sys.executable, "-P", "-c", WATCHER, url, house.MEMBER]
    root = str(Path(forecast.__file__).parents[1])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": root}) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline().startswith("stands ")
        deliver(centre, house.revocation(grant))
        committed = time.monotonic()
        told = [line.split() for line in watcher.stdout]
        assert told[-1][0] == "revoked", "it hears of it"
        assert all(float(began) < committed for word, began in told if word == "stands")
        assert watcher.wait(60) == 0
