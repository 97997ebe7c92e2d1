"""The whole way with PostgreSQL as the centre's database."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.running import address, started
from tests.e2e import town as towns
from tests.ports import free_ports
from tests.store.conftest import postgres_folder  # noqa: F401 - the fixture that starts a server

pytestmark = [pytest.mark.long, pytest.mark.box, pytest.mark.ray, pytest.mark.postgres]


def test_a_job_goes_the_whole_way_on_postgresql(postgres_folder: Path, town_folder: Path) -> None:  # noqa: F811
    url = f"postgresql+psycopg://darkroom@/postgres?host={postgres_folder}"
    folder = town_folder / "pg"
    folder.mkdir(mode=0o711)
    site = towns.found_town(folder / "site", free_ports(), url)
    with started(site) as supervisor:
        town = towns.Town(site, supervisor, folder, address(site))
        towns.settle(town)
        statement = "select league, count(*) as n from tax.income group by league order by league"
        assert [row[1] for row in town.ask(statement).result().rows] == [200, 200, 200]
