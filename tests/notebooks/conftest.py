"""One side of labs for all tests here that ask the Hub, and one platform with one lab for those of the panel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notebooks.house import House
from tests.notebooks.panel_lab import MEI, PanelLab, Platform, a_lab, a_platform


@pytest.fixture(scope="package")
def house() -> Iterator[House]:
    """Hub, proxy and porter, with memberships that are looked at every second, and ends that take two."""
    with House(membership_s=1, grace_s=2) as built:
        yield built


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A portal that listens."""
    with a_platform(tmp_path_factory.mktemp("platform")) as found:
        yield found


@pytest.fixture(scope="package")
def lab(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelLab]:
    """Mei's Jupyter server with the panel in it."""
    told = {"DARKROOM_LAB": "1", "DARKROOM_MEMBER": MEI, "DARKROOM_PROJECT": "housing"}
    told |= {
        "DARKROOM_URL": platform.url,
        "DARKROOM_TOKEN": platform.session(),
        "DARKROOM_PORTAL_PAGE": platform.url,
    }
    with a_lab(tmp_path_factory.mktemp("home"), **told) as found:
        yield found
