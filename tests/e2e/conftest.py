"""One town for all tests here, and one with labs: their processes, and with them Ray, start once, and end with the last
of these tests, so that nothing of them runs beside those of other folders.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keys import keyfile
from portal.passwords import Passwords
from server.running import address, started
from tests.e2e import town as towns
from tests.portal.region import CHEAP
from tests.ports import free_ports

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.e2e.labs_town import LabsTown


@pytest.fixture(scope="package", autouse=True)
def people_arrive_quickly() -> Iterator[None]:
    """Accounts are made with passwords whose hash is cheap, and a key file that was just written is opened without
    stretching its passphrase again: both take most of the time of whoever arrives, of whom towns have many.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("portal.api.Passwords", functools.partial(Passwords, hasher=CHEAP))
        patch.setattr("keys.keyfile._stretch", functools.cache(keyfile._stretch))
        yield


@pytest.fixture(scope="package")
def town_folder() -> Iterator[Path]:
    """A short folder that box user ids may pass through; pytest's own is private."""
    folder = Path(tempfile.mkdtemp(prefix="dr-town-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def town(town_folder: Path) -> Iterator[towns.Town]:
    """A settled town: people, data, policies, one grant."""
    site = towns.found_town(town_folder / "site", free_ports())
    with started(site) as supervisor:
        found = towns.Town(site, supervisor, town_folder, address(site))
        towns.settle(found)
        yield found


@pytest.fixture(scope="package")
def labs_site() -> Iterator[towns.Town]:
    """A settled town whose members have labs."""
    from tests.e2e import labs_town as labs

    folder = Path(tempfile.mkdtemp(prefix="dr-labs-"))
    folder.chmod(0o711)
    try:
        with labs.a_town(folder, free_ports(2)) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium; each person has a context of their own in it.

    It ends with the file: while Playwright is open a loop of asyncio runs in this thread, and no later test could
    begin one.
    """
    from tests.e2e import jupyterlab

    with jupyterlab.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def labs_town(labs_site: towns.Town, browser: Browser) -> Iterator[LabsTown]:
    """The town with labs, and at the end of a file none of its labs: the next file's members find places."""
    from tests.e2e.labs_town import LabsTown

    found = LabsTown(labs_site, browser)
    yield found
    found.end_labs()
