"""Two sites of one machine have no user id in common, as far as one can see when a site is founded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server import users
from server.enrolment import found_site
from server.site import Site, make_folders


def test_a_new_site_takes_a_block_in_which_nobody_runs_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_folders(tmp_path / "one")
    users.take(site)
    wanted = users.labs_of(site)
    monkeypatch.setattr(users, "_running", lambda: {wanted + 291})
    users.take(site)
    assert users.labs_of(site) != wanted and users.owners_of(site) == users.labs_of(site) + users.OWNERS
    monkeypatch.setattr(users, "_running", lambda: {wanted - 1, wanted + users.SIZE})
    users.take(site)
    assert users.labs_of(site) == wanted, "the control: neighbours take nothing away"


def test_a_site_keeps_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = found_site(tmp_path / "site", 8470)
    first = users.labs_of(site)
    monkeypatch.setattr(users, "_running", lambda: set(range(first, first + users.SIZE)))
    assert users.labs_of(Site(site.home)) == first


def test_blocks_overlap_neither_each_other_nor_the_host(tmp_path: Path) -> None:
    site = make_folders(tmp_path / "one")
    assert users.labs_of(site) == users.OLDER, "a site from before there were blocks"
    assert users.most_owners(site) == 70
    users.take(site)
    first = users.labs_of(site)
    assert (first - users.FIRST) % users.SIZE == 0 and users.most_owners(site) == 26
    assert users.FIRST >= 1000 and users.FIRST + users.SIZE * users.BLOCKS < users.OLDER


def test_whoever_runs_is_seen() -> None:
    assert os.geteuid() in users._running()
