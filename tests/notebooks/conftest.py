"""One side of labs for all tests here that ask the Hub; it starts once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notebooks.house import House


@pytest.fixture(scope="package")
def house() -> Iterator[House]:
    """Hub, proxy and porter, with memberships that are looked at every second."""
    with House(membership_s=1) as built:
        yield built
