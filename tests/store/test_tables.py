"""What the functions of each table promise, on both databases."""

from __future__ import annotations

import json
import threading

import pytest
from sqlalchemy import text

from plans.errors import Malformed, NotFound, NotSignedIn, StateConflict
from store import api as store

NOW = 1_700_000_000


def job(id: str = "j1", state: str = "submitted", at: int = NOW) -> store.JobRow:
    return store.JobRow(id, "a@nm", "p", state, "{}", "00", at, at)


def manifest(dataset: str, version: int, digest: str, relation: str = "tax.income") -> store.ManifestRow:
    return store.ManifestRow(digest, dataset, version, relation, "nm/tax", "general-1", "Income", "{}", NOW)


def application(id: str, dataset: str = "nm/tax/income", at: int = NOW) -> store.ApplicationRow:
    return store.ApplicationRow(
        id,
        "a@nm",
        "researcher",
        "p",
        "why",
        dataset,
        ("region", "income"),
        NOW,
        5,
        "because",
        "open",
        "",
        "",
        at,
    )


# ------------------------------------------------------------------------------------------------- members


def test_a_member_comes_back_as_it_was_and_only_once(database: store.Database) -> None:
    row = store.MemberRow("a@nm", "nm", ("approver", "researcher"), "h", "", "", NOW)
    with database.session() as session:
        store.members.add(session, row)
        store.members.set_keys(session, "a@nm", "ed", "x")
        assert store.members.get(session, "a@nm").signing_key == "ed"
        assert store.members.find(session, "nobody@nm") is None
        with pytest.raises(NotFound):
            store.members.get(session, "nobody@nm")
        with pytest.raises(NotFound):
            store.members.set_password(session, "nobody@nm", "x")
    with pytest.raises(StateConflict), database.session() as session:
        store.members.add(session, row)


def test_an_expired_session_signs_nobody_in(database: store.Database) -> None:
    with database.session() as session:
        store.sessions.add(session, store.SessionRow("h", "a@nm", "session", ("jobs",), "", NOW, NOW + 10))
        assert store.sessions.get(session, "h", NOW + 9).scopes == ("jobs",)
        with pytest.raises(NotSignedIn):
            store.sessions.get(session, "h", NOW + 10)
        with pytest.raises(NotSignedIn):
            store.sessions.get(session, "h")
        assert store.sessions.end_expired(session, NOW + 9) == 0
        assert store.sessions.end_expired(session, NOW + 10) == 1
        assert store.sessions.end(session, "h") is False


def test_what_was_made_under_a_session_ends_with_it_and_nothing_else_does(database: store.Database) -> None:
    rows = (("s", "session", ""), ("e", "entrance", "s"), ("f", "entrance", "other"), ("l", "lab", ""))
    with database.session() as session:
        for token, kind, parent in rows:
            row = store.SessionRow(token, "a@nm", kind, (), "", NOW, NOW + 10, parent)
            store.sessions.add(session, row)
            assert store.sessions.get(session, token, NOW) == row
        assert store.sessions.end_children(session, "") == 0, "no session is not the session of all others"
        assert store.sessions.end_children(session, "s") == 1
        assert {row.token_hash for row in store.sessions.of_member(session, "a@nm")} == {"s", "f", "l"}


def project(name: str, *members: str, until: int = 0) -> store.ProjectRow:
    return store.ProjectRow(name, "Rents", "租金", "A study of rents", members, ("small",), until)


def test_a_members_projects_are_those_that_name_exactly_them(database: store.Database) -> None:
    with database.session() as session:
        store.projects.add(session, project("rents", "a@nm", "b@nm/tax"))
        store.projects.add(session, project("fares", "a@nm", until=NOW))
        store.projects.add(session, project("empty"))
        named = {m: [row.name for row in store.projects.of_member(session, m)] for m in NAMED}
        assert named == {"a@nm": ["fares", "rents"], "b@nm/tax": ["rents"], **dict.fromkeys(NAMED[2:], [])}
        assert [row.name for row in store.projects.all(session)] == ["empty", "fares", "rents"]
        store.projects.change(session, project("rents", "c@nm"))
        assert store.projects.get(session, "rents").members == ("c@nm",)
        assert store.projects.get(session, "rents").title_zh == "租金"
        with pytest.raises(NotFound):
            store.projects.change(session, project("nothing"))
    with pytest.raises(StateConflict), database.session() as session:
        store.projects.add(session, project("rents"))


NAMED = ("a@nm", "b@nm/tax", "b@nm", "nm", "%", "_@nm", '", "', "")


def test_a_domain_is_replaced_by_a_later_word_about_it(database: store.Database) -> None:
    with database.session() as session:
        store.domains.put(session, store.DomainRow("nm/tax", "Tax", "税务", "", "", ""))
        store.domains.put(session, store.DomainRow("nm/tax", "Taxes", "税务", "k", "s", "l"))
        assert [row.title for row in store.domains.all(session)] == ["Taxes"]


# ----------------------------------------------------------------------------------------------- manifests


def test_the_current_version_is_the_newest_and_none_when_that_was_erased(database: store.Database) -> None:
    with database.session() as session:
        for version, digest in ((2, "b"), (1, "a"), (3, "c")):
            store.manifests.add(session, manifest("nm/tax/income", version, digest))
        store.manifests.mark_erased(session, "b", NOW)
        assert store.manifests.current(session, "nm/tax/income").digest == "c"
        assert [row.digest for row in store.manifests.all_current(session)] == ["c"]
        store.manifests.mark_erased(session, "c", NOW)
        assert store.manifests.current(session, "nm/tax/income") is None
        assert store.manifests.all_current(session) == ()
        assert store.manifests.current(session, "nm/tax/none") is None
        with pytest.raises(NotFound):
            store.manifests.mark_erased(session, "c", NOW + 1)
        assert store.manifests.get(session, "c").erased_at == NOW
    with pytest.raises(StateConflict), database.session() as session:
        store.manifests.add(session, manifest("nm/tax/income", 2, "another"))


# -------------------------------------------------------------------------------------------- applications


def test_an_owner_sees_the_open_applications_for_its_own_datasets_only(database: store.Database) -> None:
    with database.session() as session:
        for id, dataset in (
            ("1", "nm/tax/income"),
            ("2", "nm/tax/city/x"),
            ("3", "nm/taxi/x"),
            ("4", "nm/x"),
        ):
            store.applications.add(session, application(id, dataset, NOW - int(id)))
        store.applications.add(session, application("5", at=NOW - 5))
        store.applications.decide(session, "5", "declined", "b@nm/tax")
        assert [row.id for row in store.applications.open_for_domain(session, "nm/tax")] == ["1"]
        assert [row.id for row in store.applications.open_for_domain(session, "nm/ta_")] == []
        assert len(store.applications.of_member(session, "a@nm")) == 5


def test_an_application_is_decided_once(database: store.Database) -> None:
    with database.session() as session:
        store.applications.add(session, application("1"))
        store.applications.decide(session, "1", "granted", "b@nm/tax", "sha256:g")
        with pytest.raises(StateConflict):
            store.applications.decide(session, "1", "declined", "c@nm/tax")
        assert store.applications.get(session, "1").decided_by == "b@nm/tax"


@pytest.mark.parametrize("state, grant", [("open", ""), ("granted", ""), ("declined", "g"), ("maybe", "g")])
def test_a_decision_that_contradicts_itself_is_refused(
    database: store.Database, state: str, grant: str
) -> None:
    with database.session() as session:
        store.applications.add(session, application("1"))
        with pytest.raises(Malformed):
            store.applications.decide(session, "1", state, "b@nm", grant)


# ---------------------------------------------------------------------------------------------- statements


def test_statements_are_found_by_type_and_by_what_they_are_about(database: store.Database) -> None:
    with database.session() as session:
        for digest, type, about in (
            ("a", "approval", "plan"),
            ("b", "revocation", "plan"),
            ("c", "grant", "m"),
        ):
            store.statements.add(session, store.StatementRow(digest, type, "nm/tax", "k", about, "{}", NOW))
        assert [row.digest for row in store.statements.of_type(session, "nm/tax", "grant")] == ["c"]
        assert [row.digest for row in store.statements.about(session, "plan", "approval")] == ["a"]
        assert store.statements.of_type(session, "nm", "grant") == ()


def test_a_members_grants_and_what_was_revoked_are_found_by_name(database: store.Database) -> None:
    rows = [("g2", "grant", "nm/tax", "a@nm"), ("g1", "grant", "nm/tax", "a@nm"), ("g3", "grant", "nm/tax", "b@nm"),
            ("g4", "grant", "nm/health", "a@nm"), ("p1", "approval", "nm/tax", "a@nm"),
            ("r1", "revocation", "nm/tax", "g1"), ("r2", "revocation", "nm/health", "g2"),
            ("p2", "approval", "nm/tax", "g3")]  # fmt: skip
    with database.session() as session:
        for digest, type, domain, about in rows:
            store.statements.add(session, store.StatementRow(digest, type, domain, "k", about, "{}", NOW))
        assert store.statements.digests(session, "nm/tax", "grant", "a@nm") == ("g1", "g2")
        assert store.statements.digests(session, "nm/tax", "grant") == ("g1", "g2", "g3")
        assert store.statements.digests(session, "nm/tax", "grant", "a@n_") == ()
        wanted = ("g1", "g2", "g3", *(f"none{number}" for number in range(1_200)))
        assert store.statements.revoked(session, "nm/tax", wanted) == {"g1"}, (
            "another domain's word is no end"
        )
        assert store.statements.revoked(session, "nm/tax", ()) == frozenset()


def test_the_database_uses_its_index_to_find_a_members_grants(database: store.Database) -> None:
    """Without it, a decision would go through every grant of a domain."""
    if not database.is_sqlite:
        pytest.skip("PostgreSQL chooses by what the table holds")
    find = "explain query plan select digest from statements where domain = 'd' and type = 't' and subject_of = 's'"
    with database.reading() as session:
        plan = str(session.execute(text(find)).mappings().all())
    assert "domain=? AND type=? AND subject_of=?" in plan


# ---------------------------------------------------------------------------------------------------- jobs


def test_a_job_remembers_its_way(database: store.Database) -> None:
    with database.session() as session:
        store.jobs.add(session, job())
        assert store.jobs.move(session, "j1", "submitted", "queued", at=NOW + 1, plan_digest="d", attempt=1)
        assert store.jobs.move(session, "j1", "queued", "queued", at=NOW + 2, stage="parse")
        assert not store.jobs.move(session, "j1", "submitted", "failed", at=NOW + 3)
        assert not store.jobs.move(session, "nothing", "submitted", "failed")
        found = store.jobs.by_plan(session, "d")
    assert (found.state, found.stage, found.attempt, found.updated_at) == ("queued", "parse", 1, NOW + 2)
    assert json.loads(found.timeline) == [["submitted", NOW], ["queued", NOW + 1]]


def test_what_was_asked_cannot_be_changed_by_moving(database: store.Database) -> None:
    with database.session() as session:
        store.jobs.add(session, job())
        for name in ("member", "request", "request_signature", "state", "timeline", "unknown"):
            with pytest.raises(Malformed):
                store.jobs.move(session, "j1", "submitted", "queued", **{name: "x"})


def test_jobs_without_a_plan_are_not_found_by_the_empty_digest(database: store.Database) -> None:
    with database.session() as session:
        store.jobs.add(session, job())
        assert store.jobs.by_plan(session, "") is None


def test_waiting_jobs_come_oldest_first_and_no_more_than_asked(database: store.Database) -> None:
    with database.session() as session:
        for n in range(5):
            store.jobs.add(session, job(f"j{n}", "queued" if n else "done", NOW - n))
        assert [row.id for row in store.jobs.in_states(session, {"queued"}, 2)] == ["j4", "j3"]
        assert store.jobs.in_states(session, ()) == ()
        assert [row.id for row in store.jobs.of_member(session, "a@nm")][:2] == ["j0", "j1"]


def test_of_two_dispatchers_one_gets_each_step(database: store.Database) -> None:
    """Eight threads race for twenty jobs; each job is won once, and each timeline shows one move."""
    ids = [f"j{n}" for n in range(20)]
    with database.session() as session:
        for id in ids:
            store.jobs.add(session, job(id))
    won: list[str] = []
    start = threading.Barrier(8)

    def dispatch(name: str) -> None:
        start.wait()
        for id in ids:
            with database.session() as session:
                if store.jobs.move(session, id, "submitted", "queued", domain=name):
                    won.append(id)

    threads = [threading.Thread(target=dispatch, args=(f"t{n}",)) for n in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(won) == sorted(ids)
    with database.reading() as session:
        assert {len(json.loads(store.jobs.get(session, id).timeline)) for id in ids} == {2}
