"""One town for the whole test session: its processes, and with them Ray, start once."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.running import address, started
from tests.e2e import town as towns


def free_port() -> int:
    """Return a port of loopback that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def town_folder() -> Iterator[Path]:
    """A short folder that box user ids may pass through; pytest's own is private."""
    folder = Path(tempfile.mkdtemp(prefix="dr-town-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def town(town_folder: Path) -> Iterator[towns.Town]:
    """A settled town: people, data, policies, one grant."""
    site = towns.found_town(town_folder / "site", free_port())
    with started(site) as supervisor:
        found = towns.Town(site, supervisor, town_folder, address(site))
        towns.settle(found)
        yield found
