"""What an owner reads of kept models, and that nothing is deleted without being asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from server import cli_models
from tests.keeper import house

KEPT = {
    "plan": house.digest("plan"), "artifact": "fit.json", "member": house.MEMBER, "project": house.PROJECT,
    "purpose": house.PURPOSE, "tables": ["tax.income"], "since": house.NOW,
}  # fmt: skip


class Desk:
    def __init__(self) -> None:
        self.deleted: list[str] = []

    def models(self) -> list[dict[str, object]]:
        return [KEPT]

    def delete_model(self, plan: str) -> None:
        self.deleted.append(plan)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()
    monkeypatch.setattr("server.owners.desk_of", lambda *_: (Path(), made))
    return made


def test_kept_models_are_listed_with_whose_they_are(desk: Desk) -> None:
    shown = CliRunner().invoke(cli_models.app, ["list", "--domain", house.DOMAIN]).stdout
    assert all(str(KEPT[name]) in shown for name in ("plan", "artifact", "member", "project"))
    assert "tax.income" in shown


def test_a_model_is_deleted_when_the_owner_has_said_so_twice(desk: Desk) -> None:
    asked = ["delete", KEPT["plan"], "--domain", house.DOMAIN]
    assert CliRunner().invoke(cli_models.app, asked, input="n\n").exit_code != 0 and desk.deleted == []
    assert CliRunner().invoke(cli_models.app, asked, input="y\n").exit_code == 0
    assert desk.deleted == [KEPT["plan"]]
