"""An owner's word that an image is trusted: shown first, asked for, written for keeper and launcher alike."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from audit import api as audit
from keeper.api import load as load_keeper
from plans.box import Entry
from plans.errors import NotFound, StateConflict
from sandbox.config import LauncherConfig
from server import images, trusted_images
from server.cli import app
from server.doctor import Finding, untrusted
from server.enrolment import Titles, add_owner, found_site
from server.site import Owner
from tests.sandbox.side import CEILING

OLD = {name: "sha256:" + sign * 64 for name, sign in (("sql", "1"), ("python", "2"), ("inspect", "3"))}
NEW = OLD | {"python": "sha256:" + "a" * 64, "sql": "sha256:" + "b" * 64}


@dataclass
class Shelf:
    """Which images are here, by name."""

    digests: dict[str, str]

    def find(self, name: str) -> SimpleNamespace:
        if name not in self.digests:
            raise NotFound("there is no image of this name", name)
        return SimpleNamespace(digest=self.digests[name])


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf(dict(OLD))
    monkeypatch.setattr(images.sandbox, "find", shelf.find)
    return shelf


@pytest.fixture
def owner(shelf: Shelf, tmp_path: Path) -> Iterator[Owner]:
    tmp_path.chmod(0o711)
    site = found_site(tmp_path / "home", 0)
    yield add_owner(site, "nm/tax", Titles("Tax", "税务"), OLD["sql"], dict.fromkeys(Entry, CEILING))
    shutil.rmtree(site.run, ignore_errors=True)


def typed(owner: Owner, *words: str, answer: str = "") -> str:
    command = ["keeper", "images", owner.domain, "--home", str(owner.site.home), *words]
    done = CliRunner().invoke(app, command, input=answer)
    assert done.exit_code == (1 if answer == "n" else 0), done.output
    return done.output


def test_a_new_side_trusts_what_is_there(owner: Owner) -> None:
    assert all(each.trusted for each in trusted_images.standings(owner))
    assert "trust every image that is here" in typed(owner)
    assert list(untrusted(owner)) == []


def test_what_was_built_anew_is_trusted_by_the_word_of_its_owner_alone(owner: Owner, shelf: Shelf) -> None:
    before = owner.keeper_settings.read_bytes(), owner.launcher_settings.read_bytes()
    shelf.digests = dict(NEW)
    assert {each.image for each in trusted_images.standings(owner) if not each.trusted} == {"sql", "python"}
    told = json.loads(typed(owner, "--json").partition("\nNothing")[0])["images"]
    assert [each["digest"] for each in told if each["image"] == "python"] == [NEW["python"]]
    assert trusted_images.command("nm/tax") in typed(owner)
    assert "Nothing was changed" in typed(owner, "--trust", "--dry-run")
    assert "NOT YET" in typed(owner, "--trust", answer="n")
    assert (owner.keeper_settings.read_bytes(), owner.launcher_settings.read_bytes()) == before


def test_after_that_keeper_and_launcher_take_both(owner: Owner, shelf: Shelf) -> None:
    shelf.digests = dict(NEW)
    typed(owner, "--trust", answer="y")
    keeper, launcher = load_keeper(owner.keeper_settings), LauncherConfig.load(owner.launcher_settings)
    assert keeper.images == (NEW["sql"], OLD["sql"]), "the first is what its own checker runs in"
    assert keeper.work_images[Entry.PYTHON] == (NEW["python"], OLD["python"]), (
        "waiting plans name the old one"
    )
    assert keeper.work_images[Entry.INSPECT] == (OLD["inspect"],)
    assert {NEW["sql"], NEW["python"], *OLD.values()} == set(launcher.images)
    assert all(each.trusted for each in trusted_images.standings(owner))
    log = audit.Log.open(owner.site.audit)
    (told,) = [each for each in log.events(0, log.size) if each.action == "images.trusted"]
    log.close()
    assert told.domain == "nm/tax" and NEW["python"] in told.details["images"], "outsiders see which"
    once = owner.keeper_settings.read_bytes()
    typed(owner, "--trust")
    assert owner.keeper_settings.read_bytes() == once


def test_what_is_built_while_the_owner_is_asked_is_not_trusted(owner: Owner, shelf: Shelf) -> None:
    shelf.digests = dict(NEW)
    shown = trusted_images.standings(owner)
    before = owner.keeper_settings.read_bytes(), owner.launcher_settings.read_bytes()
    shelf.digests = NEW | {"python": "sha256:" + "e" * 64}
    with pytest.raises(StateConflict):
        trusted_images.trust(owner, shown)
    assert (owner.keeper_settings.read_bytes(), owner.launcher_settings.read_bytes()) == before
    trusted_images.trust(owner, trusted_images.standings(owner))
    assert load_keeper(owner.keeper_settings).work_images[Entry.PYTHON][0] == "sha256:" + "e" * 64


def test_an_older_image_that_is_here_again_is_the_one_that_is_checked_with(
    owner: Owner, shelf: Shelf
) -> None:
    shelf.digests = dict(NEW)
    typed(owner, "--trust", "--yes")
    shelf.digests = dict(OLD)
    typed(owner, "--trust", "--yes")
    assert load_keeper(owner.keeper_settings).images == (OLD["sql"], NEW["sql"])


def test_settings_are_whole_at_every_moment_and_keep_their_mode(
    owner: Owner, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.digests = dict(NEW)
    paths = owner.keeper_settings, owner.launcher_settings
    modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", interrupted)
        trusted_images.trust(owner, trusted_images.standings(owner))
    assert load_keeper(paths[0]).images == (OLD["sql"],) and LauncherConfig.load(paths[1])
    typed(owner, "--trust", "--yes")
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == modes
    assert load_keeper(paths[0]).images[0] == NEW["sql"], "the control: the second time nothing broke off"


def interrupted(_: int) -> None:
    raise KeyboardInterrupt


def test_an_image_that_is_gone_stays_trusted_and_is_not_asked_about(owner: Owner, shelf: Shelf) -> None:
    shelf.digests = {name: digest for name, digest in NEW.items() if name != "inspect"}
    typed(owner, "--trust", "--yes")
    assert load_keeper(owner.keeper_settings).work_images[Entry.INSPECT] == (OLD["inspect"],)


def test_the_doctor_names_what_is_not_trusted_yet_with_the_command(owner: Owner, shelf: Shelf) -> None:
    shelf.digests = dict(NEW)
    (found,) = untrusted(owner)
    assert isinstance(found, Finding) and found.good and found.loose
    assert "python, sql" in found.how and trusted_images.command("nm/tax") in found.how
