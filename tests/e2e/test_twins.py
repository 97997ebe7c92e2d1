"""A twin from the desk to the centre: one comes with every ingest, another is paid for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper.api import DeskClient, KeeperClient
from plans.errors import NotFound
from plans.twins import Making
from server.enrolment import open_store, sign_policies
from server.twins import fetch, ordered
from store import api as store
from tests.e2e.town import CANARY, DATASET, DOMAIN, POLICY, Town

PAID = POLICY.replace("rounding = 5\n\n", "rounding = 5\ntwin_rho_micro = 2000000\n\n", 1)


def test_a_twin_is_declared_until_its_owner_pays_for_noisy_marginals_and_then_made_once(
    town: Town, tmp_path: Path
) -> None:
    declared, report = ordered(town.site.home, DATASET, order=True)  # the policy gives nothing to it
    assert declared.recipe.making is Making.DECLARED and report is None and not declared.plan

    policy = tmp_path / "tax.toml"
    policy.write_text(PAID)
    sign_policies(town.owner, policy, town.people["zhao"].keys)
    try:
        desk = DeskClient(town.owner.desk)
        assert fetch(town.site, desk, DATASET)[0] == declared, "nothing is made that nobody ordered"
        noised, report = ordered(town.site.home, DATASET, order=True)
        assert noised.recipe.making is Making.NOISED and noised.recipe.rho_micro == 2_000_000
        assert report is not None and {each.name for each in report.columns} == {"league", "income"}
        assert ordered(town.site.home, DATASET, order=True) == (noised, report), "noise is never drawn again"
        assert str(CANARY) not in noised.canonical().decode()
        with open_store(town.site).reading() as session:
            kept = store.statements.about(session, noised.manifest, "twin")
        assert [row.signer for row in kept] == [KeeperClient(town.owner.keeper_socket).status()["key"]] * 2
    finally:
        policy.write_text(POLICY)
        sign_policies(town.owner, policy, town.people["zhao"].keys)
    with pytest.raises(NotFound):
        desk.twin(f"{DOMAIN}/nothing")
