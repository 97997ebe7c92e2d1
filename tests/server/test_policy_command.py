"""`darkroom-server keeper policy`: what a steward sees before signing, and that a wrong file signs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from keys import api as keys
from plans.errors import DarkroomError, Malformed, SettingsWrong
from plans.statements import Bundle, Signed
from server import enrolment
from server.cli import app
from store import api as store
from tests.keeper import house

TEXT = """\
["nm/tax/income"]
minimum_group = 10
row_filter = "region <> 'test'"

[["nm/tax/income".access]]
parties = ["any"]
roles = ["researcher"]
actions = ["query"]
purposes = ["any"]

["nm/tax/income".columns]
region = ["group", "filter"]
income = ["avg", "sum"]
"""


class Keeper:
    """A keeper that says its number, and must be offered nothing."""

    def __init__(self, _: Path) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {"bundle": 1}

    def submit(self, _: Signed) -> None:
        raise AssertionError("something was offered")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with one dataset, whose owner has the house's bundle in force."""
    monkeypatch.setattr(enrolment, "KeeperClient", Keeper)
    site = enrolment.found_site(tmp_path / "home", 8470)
    manifest, signed = house.manifest(), house.signed_manifest()
    bundle = house.bundle(1, (house.INCOME_POLICY,))
    with enrolment.open_store(site).session() as session:
        text = signed.canonical().decode()
        row = store.ManifestRow(
            manifest.digest, manifest.dataset, 1, manifest.relation, "nm/tax", "general-3", "Incomes", text, 1
        )
        store.manifests.add(session, row)
        made = bundle.statement
        text = bundle.canonical().decode()
        store.statements.add(
            session, store.StatementRow(made.digest, "bundle", "nm/tax", made.signer, made.subject, text, 1)
        )
    return tmp_path / "home"


def typed(home: Path, text: str, *options: str) -> Any:
    file = home.parent / "policies.toml"
    file.write_text(text, encoding="utf-8")
    arguments = ["keeper", "policy", str(file), "--domain", "nm/tax", "--home", str(home), *options]
    return CliRunner().invoke(app, arguments)


def problem(answer: Any) -> DarkroomError:
    assert isinstance(answer.exception, DarkroomError), answer.output
    return answer.exception


def test_a_dry_run_shows_what_would_change_and_signs_nothing(home: Path) -> None:
    answer = typed(
        home, TEXT.replace("minimum_group = 10", "minimum_group = 3").replace(', "sum"', ""), "--dry-run"
    )
    assert answer.exit_code == 0
    assert answer.stdout.splitlines() == [
        "- nm/tax/income minimum_group: 10",
        "+ nm/tax/income minimum_group: 3",
        "- nm/tax/income.income: allow avg(), sum(); reveals after-aggregation",
        "+ nm/tax/income.income: allow avg(); reveals after-aggregation",
    ]
    assert "Bundle 2 of nm/tax" in answer.stderr and "Nothing was signed" in answer.stderr


def test_the_same_policies_change_nothing(home: Path) -> None:
    assert typed(home, TEXT, "--dry-run").stdout == "nothing\n"


def test_a_column_that_is_not_there_is_refused_with_its_line(home: Path) -> None:
    found = problem(typed(home, TEXT.replace("region =", "regoin ="), "--dry-run"))
    assert isinstance(found, SettingsWrong) and "no such column" in found.what
    assert found.where.endswith("line 12")


def test_nothing_is_signed_without_a_key(home: Path) -> None:
    found = problem(typed(home, TEXT))
    assert isinstance(found, Malformed) and "--dry-run" in found.next_step


def test_what_was_shown_is_what_is_signed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes while the passphrase is typed changes nothing that is signed."""
    offered: list[Signed] = []
    monkeypatch.setattr(Keeper, "submit", lambda _, signed: offered.append(signed))
    monkeypatch.setattr(enrolment, "record", lambda *_, **__: None)
    ring = keys.MemberKeys.fresh("su@nm/tax")

    def load(path: Path, passphrase: str) -> keys.MemberKeys:
        home.parent.joinpath("policies.toml").write_text(TEXT.replace('["avg", "sum"]', '["select"]'))
        return ring

    monkeypatch.setattr(keys, "load_member_keys", load)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "open sesame")
    answer = typed(home, TEXT.replace("minimum_group = 10", "minimum_group = 30"), "--keys-file", "su.key")
    assert answer.exit_code == 0 and "+ nm/tax/income minimum_group: 30" in answer.stderr
    (signed,) = offered
    (policy,) = Bundle.read(signed.statement.body).policies
    assert policy.minimum_group == 30 and policy.about("income") == house.INCOME_POLICY.about("income")
    assert signed.statement.signer == ring.signing.public
