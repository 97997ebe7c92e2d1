"""The side of labs of a site: made once, secrets and ports kept, settings written anew, and off where it is off."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from plans.box import Entry
from plans.errors import NotFound, StateConflict
from sandbox import api as sandbox
from server import labs
from server import users as site_users
from server.enrolment import Titles, add_owner, found_site
from server.settings import LABS_SECRET_HASH, box_limits
from server.site import Site
from store import api as store

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(sandbox, "find", lambda name, folder=None: sandbox.Image(DIGEST, tmp_path))
    return found_site(tmp_path / "home", 9470)


def test_founding_twice_keeps_secrets_and_ports(site: Site) -> None:
    side = labs.found(site)
    assert side is not None
    before = {path.name: path.read_text() for path in side.keys.iterdir()}
    settings = side.settings.read_text()
    labs.found(site)
    assert {path.name: path.read_text() for path in side.keys.iterdir()} == before
    assert len(set(before.values())) == 4 and side.settings.read_text() == settings
    for path in side.keys.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_portal_knows_the_hash_of_the_hubs_secret_alone(site: Site) -> None:
    side = labs.found(site)
    assert side is not None
    known = (site.centre / LABS_SECRET_HASH).read_text()
    assert known == hashlib.sha256(side.oauth_secret.read_bytes()).hexdigest()


def test_the_launcher_of_labs_runs_labs_alone_and_has_no_keeper(site: Site) -> None:
    side = labs.found(site)
    assert side is not None
    config = sandbox.LauncherConfig.load(side.launcher_settings)
    assert set(config.ceilings) == {Entry.LAB} and set(config.services) == {"hub", "api"}
    assert config.keeper_socket is None and config.owner_socket == side.launcher_owner_socket


def test_no_user_of_labs_is_another_side_or_a_box(site: Site) -> None:
    users, first = labs.users_of(site, True), site_users.labs_of(site)
    boxes = set(range(first + 1, first + 1 + labs.BOX_UIDS))
    own = {users.launcher, users.porter, users.proxy, users.hub}
    assert len(own) == 4 and not own & boxes and max(boxes | own) < site_users.owners_of(site)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_no_process_of_labs_can_read_the_folder_of_another(site: Site) -> None:
    side = labs.found(site)
    assert side is not None
    users = labs.users_of(site, True)
    for folder, user in ((side.hub, users.hub), (side.porter, users.porter), (side.keys, 0)):
        status = folder.stat()
        assert status.st_uid == user and stat.S_IMODE(status.st_mode) == 0o700


def test_a_site_on_another_port_has_its_labs_beside_it_and_off_is_off(site: Site) -> None:
    assert store.load_settings(site.settings).labs.port == 9471
    labs.found(site)
    assert [role.name for role in labs.roles(site)] == ["launcher:labs", "porter", "proxy", "hub"]
    site.settings.write_text(site.settings.read_text() + "on = false\n")
    assert labs.found(site) is None and labs.roles(site) == []


def test_a_site_without_the_image_has_no_side_of_labs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str, folder: Path | None = None) -> sandbox.Image:
        raise NotFound(f"there is no image {name!r}", name)

    monkeypatch.setattr(sandbox, "find", gone)
    site = found_site(tmp_path / "home", 9470)
    with pytest.raises(NotFound):
        labs.found(site)
    assert labs.roles(site) == []


def test_no_owner_is_called_as_the_side_of_labs(site: Site) -> None:
    limits = box_limits(store.load_settings(site.settings))
    with pytest.raises(StateConflict):
        add_owner(site, "labs", Titles("x", "y"), DIGEST, limits)


def test_the_doctor_says_that_labs_may_have_more_memory_than_there_is(site: Site) -> None:
    def told() -> dict[str, bool]:
        return {what: weaker for what, _, _, weaker in labs.weaker_points(site)}

    labs.found(site)
    assert told()["memory of labs"] is True
    site.settings.write_text(site.settings.read_text().replace("[labs]", "[labs]\nmemory_mb = 8192"))
    assert "memory of labs" not in told()
