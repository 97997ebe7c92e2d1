"""The tree is read off the names, segment by segment."""

from __future__ import annotations

import pytest

from catalog.api import ancestors, below, children, parent
from plans.errors import Malformed

DOMAINS = ["nm", "nm/tax", "nm/taxi", "nm/tax/north", "nm/hohhot", "nm/hohhot/xincheng"]


def test_above() -> None:
    assert parent("nm") is None and parent("nm/tax") == "nm"
    assert ancestors("nm/hohhot/xincheng") == ("nm/hohhot", "nm")


def test_below_compares_segments_and_not_letters() -> None:
    assert below("nm/tax", DOMAINS) == ("nm/tax/north",)
    assert children("nm", DOMAINS) == ("nm/hohhot", "nm/tax", "nm/taxi")
    assert "nm/tax" not in below("nm/tax", DOMAINS)


@pytest.mark.parametrize("name", ["", "nm/", "/nm", "nm//tax", "NM", "nm/*", "nm/../tax"])
def test_what_is_no_domain_has_no_place(name: str) -> None:
    with pytest.raises(Malformed):
        parent(name)
