"""What goes wrong at a member's terminal: one sentence that says what, where and what to do, a documented
exit code, no traceback.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from darkroom import cli, house
from darkroom.profile import Home, Profile
from darkroom.wire import Wire
from keys import api as keys
from plans.errors import Malformed, NotSignedIn, StateConflict, Unreachable
from store import api as store
from tests.client.conftest import Town, Typed

MEI, ADA = "mei@nm/centre", "ada@nm/centre"
ASK = ("--project", "housing", "--purpose", "Study of rents")
SQL = "select count(*) from tax.income"


def told(done: Result, exit_code: int, code: str) -> str:
    """Check the form of a refusal and return its sentence."""
    assert done.exit_code == exit_code, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("darkroom: ") and last.endswith(f"[{code}]")
    return last


def type_alone(folder: Path, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments), env={"DARKROOM_HOME": str(folder)} | environment)


def test_wrong_password(town: Town, tmp_path: Path) -> None:
    done = type_alone(tmp_path / "new", "login", town.url, MEI, DARKROOM_PASSWORD="wrong horse battery")
    assert "member and password do not fit" in told(done, 4, "access.not-signed-in")
    assert not (tmp_path / "new" / "profile.json").exists()


def test_signing_in_from_standard_input_and_out_again(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    done = CliRunner().invoke(
        cli.app,
        ["login", town.url, MEI, "--password-stdin"],
        input=town.region.password(MEI) + "\n",
        env={"DARKROOM_HOME": str(folder)},
    )
    assert done.exit_code == 0 and "darkroom keys make" in done.stderr
    assert MEI in type_alone(folder, "whoami").stdout
    token = Home(folder).profile().token
    assert type_alone(folder, "logout").exit_code == 0
    told(type_alone(folder, "whoami"), 4, "access.not-signed-in")
    with pytest.raises(NotSignedIn):
        Wire(town.url, token).get("/api/v1/me")


def test_nobody_there_to_type_a_password(town: Town, tmp_path: Path) -> None:
    assert "DARKROOM_PASSWORD" in told(
        type_alone(tmp_path, "login", town.url, MEI), 4, "access.not-signed-in"
    )


def test_wrong_passphrase(typed: Typed) -> None:
    done = typed(MEI, "sql", SQL, *ASK, DARKROOM_PASSPHRASE="not the passphrase")
    assert "keys.json" in told(done, 4, "access.wrong-passphrase")


def test_not_signed_in(tmp_path: Path) -> None:
    assert "darkroom login" in told(type_alone(tmp_path, "datasets"), 4, "access.not-signed-in")


def test_the_portal_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom.wire.PAUSES_S", (0.0, 0.0))
    Home(tmp_path / "h").save(Profile("http://127.0.0.1:9", MEI, "x"))
    assert "http://127.0.0.1:9" in told(type_alone(tmp_path / "h", "datasets"), 6, "service.unreachable")


def test_something_else_answers_there(town: Town) -> None:
    with pytest.raises(Unreachable) as problem:
        Wire(town.url).get("/style.css")
    assert "not a Darkroom portal" in problem.value.what


def test_passwords_do_not_travel_in_clear_to_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://darkroom.example", "http://127.0.0.1.example", "ftp://x", "darkroom.example"):
        with pytest.raises(Malformed):
            Wire(url)
    monkeypatch.setenv("DARKROOM_UNSAFE_PLAIN_HTTP", "1")
    Wire("http://darkroom.example")


def test_unknown_dataset(typed: Typed) -> None:
    assert "nm/tax/nothing" in told(typed(MEI, "describe", "nm/tax/nothing"), 5, "thing.not-found")
    told(typed(MEI, "describe", "Income!"), 2, "value.malformed")
    until = ("--until", "2030-01-01")
    told(typed(MEI, "apply", "nm/tax/nothing", "--columns", "a", *until, *ASK), 5, "thing.not-found")


def test_unknown_column_and_bad_date(typed: Typed) -> None:
    assert "wealth" in told(
        typed(MEI, "apply", "nm/tax/income", "--columns", "wealth", "--until", "2030-01-01", *ASK),
        2,
        "value.malformed",
    )
    assert "YYYY-MM-DD" in told(
        typed(MEI, "apply", "nm/tax/income", "--columns", "region", "--until", "tomorrow", *ASK),
        2,
        "value.malformed",
    )


def test_a_role_that_one_has_not(typed: Typed) -> None:
    assert "role operator or researcher" in told(typed(ADA, "sql", SQL, *ASK), 4, "access.not-allowed")


def test_a_query_of_ten_megabytes(typed: Typed, tmp_path: Path) -> None:
    large = tmp_path / "large.sql"
    large.write_text("x" * 10_000_000)
    assert "large.sql" in told(typed(MEI, "sql", "--file", str(large), *ASK), 2, "value.too-large")


def test_no_file_a_folder_and_a_file_that_is_no_text(typed: Typed, tmp_path: Path) -> None:
    told(typed(MEI, "sql", "--file", str(tmp_path / "none.sql"), *ASK), 5, "thing.not-found")
    told(typed(MEI, "sql", "--file", str(tmp_path), *ASK), 2, "value.malformed")
    (tmp_path / "x.sql").write_bytes(b"select '\xff'")
    told(typed(MEI, "sql", "--file", str(tmp_path / "x.sql"), *ASK), 2, "value.malformed")
    told(typed(MEI, "sql", *ASK), 2, "value.malformed")


def test_unknown_job_and_a_job_id_that_is_a_path(typed: Typed) -> None:
    told(typed(MEI, "job", "0000"), 5, "thing.not-found")
    told(typed(MEI, "job", "../me"), 2, "value.malformed")
    told(typed(MEI, "approve", "a-0000"), 5, "thing.not-found")


def test_an_unknown_option_is_a_wrong_request(typed: Typed) -> None:
    done = typed(MEI, "datasets", "--nonsense")
    assert done.exit_code == 2 and "--nonsense" in done.stderr


def test_keys_are_made_and_enrolled_once(town: Town, typed: Typed) -> None:
    # There is a file already, and it is never overwritten.
    told(typed(MEI, "keys", "make"), 3, "state.conflict")
    file = town.home(MEI).keys_file
    file.unlink()
    with town.region.database.session() as session:
        store.members.set_keys(session, MEI, "", "")
    variables = {"DARKROOM_HOME": str(file.parent), "DARKROOM_PASSPHRASE": "another long one"}
    done = CliRunner().invoke(cli.app, ["keys", "make"], env=variables)
    assert done.exit_code == 0, done.stderr
    member = town.region.member(MEI)
    made = keys.load_member_keys(file, "another long one")
    assert (member.signing_key, member.opening_key) == (made.signing.public, made.opening.public)
    assert made.signing.public in done.stdout
    told(CliRunner().invoke(cli.app, ["keys", "enrol"], env=variables), 3, "state.conflict")


def test_a_short_passphrase_makes_no_keys(town: Town) -> None:
    file = town.home(MEI).keys_file
    file.unlink()
    variables = {"DARKROOM_HOME": str(file.parent), "DARKROOM_PASSPHRASE": "short"}
    told(CliRunner().invoke(cli.app, ["keys", "make"], env=variables), 2, "value.malformed")
    assert not file.exists()


def test_public_halves_need_no_passphrase_and_secrets_are_never_shown(town: Town, typed: Typed) -> None:
    done = typed(MEI, "keys", "show", DARKROOM_PASSPHRASE="")
    ring = town.region.keys[MEI]
    assert ring.signing.public in done.stdout and ring.opening.public in done.stdout
    assert ring.signing.unsafe_secret().hex() not in done.output


# --- the member's folder -----------------------------------------------------


def test_the_folder_is_its_owners_alone(town: Town) -> None:
    home = town.home(MEI)
    home.trust("nm/tax", keys.SigningKey.fresh().public)
    assert home.folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.folder.iterdir()}
    assert modes == {"profile.json": 0o600, "keys.json": 0o600, "keepers.json": 0o600}


@pytest.mark.parametrize("name", ["profile.json", "keepers.json"])
def test_what_others_could_have_written_is_not_believed(town: Town, name: str) -> None:
    home = town.home(MEI)
    home.trust("nm/tax", keys.SigningKey.fresh().public)
    os.chmod(home.folder / name, 0o644)
    with pytest.raises(StateConflict) as problem:
        home.profile() if name == "profile.json" else home.keeper("nm/tax")
    assert "chmod" in problem.value.next_step


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 1}', '{"url": "x"}'])
def test_a_damaged_profile_is_told(tmp_path: Path, content: str) -> None:
    home = Home(tmp_path / "h")
    home.prepare()
    (home.folder / "profile.json").write_text(content)
    os.chmod(home.folder / "profile.json", 0o600)
    told(type_alone(home.folder, "datasets"), 2, "value.malformed")


def test_a_token_never_shows_in_a_repr() -> None:
    assert "canary" not in repr(Profile("https://x", MEI, "canary")) + repr(Wire("https://x", "canary"))


# --- whose plans is this -----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "is_folder"), [("plans", True), ("keys", True), ("plans", False), ("keys", False)]
)
def test_a_folder_of_the_users_does_not_stand_in_for_ours(tmp_path: Path, name: str, is_folder: bool) -> None:
    planted = tmp_path / name / "__init__.py" if is_folder else tmp_path / f"{name}.py"
    planted.parent.mkdir(exist_ok=True)
    planted.write_text("print('executed')\n")
    answer = subprocess.run(
        [sys.executable, "-c", "import darkroom"], cwd=tmp_path, capture_output=True, text=True
    )
    assert answer.returncode != 0 and "executed" not in answer.stdout
    assert "ShadowedError" in answer.stderr and name in answer.stderr
    control = subprocess.run(
        [sys.executable, "-P", "-c", "import darkroom"], cwd=tmp_path, capture_output=True, text=True
    )
    assert control.returncode == 0, control.stderr


def test_our_own_packages_are_recognised() -> None:
    house.require_own()
    assert house.place_of("json") not in house.allowed_places("json")


def test_every_exit_code_of_the_error_tree_is_documented() -> None:
    from plans.errors import by_code

    assert {kind.exit_code for kind in by_code().values()} <= set(cli.EXIT_CODES)
    assert not [code for code in by_code() if not re.fullmatch(r"[a-z]+\.[a-z-]+", code)]
