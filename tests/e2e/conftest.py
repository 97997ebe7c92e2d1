"""One town for the whole test session: its processes, and with them Ray, start once."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from server.running import address, started


def _load(name: str) -> ModuleType:
    """Load a module beside this file; tests are imported by path, so there is no package to import it from."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"e2e_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


towns = _load("town")


@pytest.fixture(scope="session")
def town_folder() -> Iterator[Path]:
    """A short folder that box user ids may pass through; pytest's own is private."""
    folder = Path(tempfile.mkdtemp(prefix="dr-town-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def town(town_folder: Path) -> Iterator[object]:
    """A settled town: people, data, policies, one grant."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    site = towns.found_town(town_folder / "site", port)
    with started(site) as supervisor:
        found = towns.Town(site, supervisor, town_folder, address(site))
        towns.settle(found)
        yield found
