"""`darkroom-server labs`: homes with their members' names, and erasure that is in the audit log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit import api as audit
from plans.box import Home
from plans.errors import DarkroomError, NotFound, StateConflict
from plans.labs import home_of
from sandbox import kept_homes
from sandbox.homes import Homes
from server import enrolment, lab_homes, projects
from server.cli import app
from server.site import open_site

MEI, BO, GONE = "mei@nm/centre", "bo@nm/tax", "gone@nm/tax"


class Launcher:
    """Homes, asked as a launcher is, without a socket between."""

    def __init__(self, homes: Homes) -> None:
        self.kept = homes

    def homes(self, *, count: bool = True) -> tuple[kept_homes.Kept, ...]:
        return kept_homes.listed(self.kept, count=count)

    def erase_home(self, name: str) -> None:
        asyncio.run(kept_homes.erase(self.kept, name))


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    found = Launcher(Homes(tmp_path / "homes", separate=False))
    found.kept.prepare()
    monkeypatch.setattr(lab_homes, "_launcher", lambda _: found)
    return found


@pytest.fixture
def home(tmp_path: Path, launcher: Launcher) -> Path:
    site = enrolment.found_site(tmp_path / "home", 8470)
    for member in (MEI, BO):
        enrolment.add_member(site, member, ["researcher"], f"a password of {member}")
    changes = projects.Changes("Rents", "租金", "Study of rents", ("small",), None, (MEI,))
    projects.add(site.home, "housing", changes)
    for number, member in enumerate((MEI, BO, GONE), 1):
        slot = launcher.kept.slot(None)
        asyncio.run(slot.settle(Home(home_of(member), 16, 100)))
        (slot.path(Home(home_of(member), 16, 100)) / "work").write_bytes(b"x" * number * 2**20)
        slot.release()
    return site.home


def erasures(home: Path, action: str = "home.erased") -> list[str]:
    log = audit.Log.open(open_site(home).audit)
    try:
        return [each.object for each in log.events(0, log.size) if each.action == action]
    finally:
        log.close()


def typed(home: Path, *words: str, answer: str = "") -> Any:
    return CliRunner().invoke(app, ["labs", *words, "--home", str(home)], input=answer)


def listed(home: Path) -> list[dict[str, Any]]:
    return json.loads(typed(home, "homes", "--json").stdout)


def test_homes_are_told_by_member_the_largest_first_and_one_of_nobody_too(home: Path) -> None:
    found = listed(home)
    assert [(each["member"], each["mb"], each["projects"]) for each in found] == [
        ("", 3, []), (BO, 2, []), (MEI, 1, ["housing"]),
    ]  # fmt: skip
    first, *_, last = typed(home, "homes").stdout.splitlines()
    assert home_of(GONE) in first and "nobody who has an account" in first
    assert f"{MEI}  1 MiB, 1 files  housing" in last


def test_a_home_is_erased_by_its_member_or_by_its_own_name_and_the_log_says_so(home: Path) -> None:
    assert typed(home, "erase-home", BO, "--yes").exit_code == 0
    assert typed(home, "erase-home", home_of(GONE), "--yes").exit_code == 0
    assert [each["member"] for each in listed(home)] == [MEI]
    assert erasures(home) == [BO, home_of(GONE)]


def test_whoever_does_not_say_yes_erases_nothing(home: Path) -> None:
    assert typed(home, "erase-home", BO, answer="n\n").exit_code != 0
    assert len(listed(home)) == 3
    assert typed(home, "erase-home", BO, answer="y\n").exit_code == 0
    assert len(listed(home)) == 2, "the control"


@pytest.mark.parametrize("whose", ["nobody@nm/tax", "a" * 32, "../../etc", ""])
def test_a_home_that_is_not_there_is_refused_and_nothing_is_logged(home: Path, whose: str) -> None:
    refused = typed(home, "erase-home", whose, "--yes")
    assert isinstance(refused.exception, NotFound)
    assert len(listed(home)) == 3 and erasures(home) == []


def test_a_home_in_a_lab_is_refused_and_the_log_does_not_say_that_it_was_erased(
    home: Path, launcher: Launcher
) -> None:
    launcher.kept.hold(home_of(MEI))
    refused = typed(home, "erase-home", MEI, "--yes")
    assert isinstance(refused.exception, StateConflict) and "in a lab now" in typed(home, "homes").stdout
    assert erasures(home) == []


def test_an_erasure_that_fails_in_the_last_moment_is_taken_back_in_the_log(
    home: Path, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(_: str) -> None:
        raise StateConflict("this member has a lab already", "home")

    with monkeypatch.context() as patch:
        patch.setattr(launcher, "erase_home", taken)
        assert isinstance(typed(home, "erase-home", MEI, "--yes").exception, StateConflict)
    assert erasures(home) == erasures(home, "home.not-erased") == [MEI] and len(listed(home)) == 3
    typed(home, "erase-home", MEI, "--yes")
    assert len(listed(home)) == 2 and erasures(home, "home.not-erased") == [MEI], "the control"


def test_a_site_without_labs_says_so(tmp_path: Path) -> None:
    site = enrolment.found_site(tmp_path / "bare", 8470)
    refused = typed(site.home, "homes")
    assert isinstance(refused.exception, DarkroomError) and refused.exit_code != 0
