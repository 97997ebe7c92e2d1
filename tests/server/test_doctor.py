"""What the doctor says of a node beside what it attacks: the weaker points that a launcher's offers admit, and grants
that give what is not there any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plans.decision import Tier
from plans.statements import Signed
from sandbox import api, bubblewrap
from server import images
from server.doctor import Finding, _images, loose_grants, weaker_points
from store import api as store
from tests.compute.test_forecast import OWNER, deliver, manifest_row
from tests.keeper import house
from tests.keeper.house import NOW


def status(separate: bool) -> dict[str, object]:
    offer = bubblewrap.offer(separate, "memory")
    listed = [{"name": each.name, "held": each.held, "how": each.how} for each in offer.protections]
    return {"tiers": [{"tier": offer.tier.value, "protections": listed}]}


def test_a_weaker_point_is_said_and_is_no_fault() -> None:
    told = {each.what: each for each in weaker_points("nm/tax", status(separate=False))}
    point = told["T1 of nm/tax: own user id"]
    assert point.good and point.weaker and "may give user ids" in point.how
    assert point.line().startswith("weaker ")
    assert "T1 of nm/tax: own user id" not in {
        each.what for each in weaker_points("nm/tax", status(separate=True))
    }, "the control: what holds is no weaker point"


@pytest.mark.parametrize(
    ("outdated", "begins"),
    [((), ""), (("sql",), "the image sql was"), (("python", "sql"), "the images python, sql were")],
)
def test_images_of_other_code_are_said_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, outdated: tuple[str, ...], begins: str
) -> None:
    """Boxes of such an image end without a result, and what they say of it reads as if a plan were wrong."""
    monkeypatch.setattr(api, "outdated", lambda: outdated)
    found = _images()
    assert found.good and found.loose == bool(outdated)
    assert images.outdated().startswith(begins) and ("`make up`" in found.how) == bool(outdated)


def test_every_line_begins_with_one_word_of_one_width() -> None:
    lines = [Finding("x", good, "y", weaker).line() for good in (True, False) for weaker in (True, False)]
    lines += [Finding("x", good, "y", loose=True).line() for good in (True, False)]
    assert [line.split()[0] for line in lines] == ["weaker", "holds", "FAILS", "FAILS", "loose", "FAILS"]
    assert len({line.index("x") for line in lines}) == 1


def test_the_third_tier_is_said_to_be_missing_with_what_it_is() -> None:
    assert "virtual machine" in api.not_made_here(Tier.T3).what


# --- grants that give what is gone -----------------------------------------------------


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[store.Database]:
    """The database of a centre that knows one owner, with one dataset."""
    database = store.open_database(f"sqlite:///{tmp_path / 'centre.db'}")
    store.migrate(database)
    with database.session() as session:
        store.domains.put(session, OWNER)
        store.manifests.add(session, manifest_row(house.INCOME))
    yield database
    database.close()


def loose(database: store.Database, *statements: Signed, now: int = NOW) -> list[Finding]:
    deliver(database, *statements)
    with database.reading() as session:
        return list(loose_grants(session, OWNER, now))


GONE = replace(house.GRANT, dataset=house.PROPERTY, columns=("houses",))
RENAMED = replace(house.GRANT, columns=("income", "salary"))


def test_a_grant_that_outlives_its_dataset_or_a_column_is_named_with_what_to_do(
    centre: store.Database,
) -> None:
    gone, renamed, good = house.grant(GONE), house.grant(RENAMED), house.grant()
    found = loose(centre, house.roster(), house.bundle(), gone, renamed, good)
    assert {each.what for each in found} == {f"grant on {house.PROPERTY}", f"grant on {house.INCOME}"}
    told = " ".join(each.how for each in found)
    assert "outlives its dataset" in told and "salary" in told and house.MEMBER in told
    for grant, named in ((gone, True), (renamed, True), (good, False)):
        assert (f"darkroom revoke {grant.statement.digest}" in told) is named
    assert all(each.good and each.line().startswith("loose ") for each in found)


def test_it_is_not_named_once_it_was_revoked_or_has_ended(centre: store.Database) -> None:
    gone = house.grant(GONE)
    statements = (house.roster(), house.bundle(), gone)
    assert len(loose(centre, *statements)) == 1, "the control"
    assert loose(centre, now=gone.statement.not_after) == []
    assert loose(centre, house.revocation(gone)) == []


def test_without_policies_no_grant_counts(centre: store.Database) -> None:
    assert loose(centre, house.grant(GONE)) == []
