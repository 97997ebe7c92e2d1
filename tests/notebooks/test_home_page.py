"""The Hub's page of the own lab in a real Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Page, Route, expect

from tests.e2e.jupyterlab import a_person, chromium
from tests.notebooks.house import House

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="there is no chromium on this machine"
)


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield a_person(browser).new_page()


def test_a_lab_is_not_stopped_by_a_button_to_which_nobody_listens_yet(house: House, page: Page) -> None:
    """On a slow machine a page is there before its scripts."""
    tang = house.member("tang@nm/tax")
    tang.spawn()
    held: list[Route] = []
    page.route(re.compile(r"/js/(jhapi|utils)\.js"), lambda route: held.append(route))
    page.goto(tang.hub("home"), wait_until="commit")
    stop = page.locator("#stop")
    expect(stop).to_have_class(re.compile("disabled"))
    while not held:
        page.wait_for_timeout(50)
    expect(stop).to_have_class(re.compile("disabled"))
    for each in held:
        each.continue_()
    stop.click()
    expect(stop).to_be_hidden()
    assert not tang.model()["servers"]
