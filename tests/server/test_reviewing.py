"""`darkroom-server review`: what reviewers read at the desk was judged, and what they sign is what they read."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from keeper import server as keeper_server
from keeper.api import DeskClient
from keeper.config import KeeperConfig
from keys import api as keys
from plans.artifacts import Form, ReleasedArtifact, ReleasedSet
from plans.errors import DarkroomError, Malformed, StateConflict
from plans.inspection import Applied, Effect, Inspection
from plans.statements import Answer
from plans.verdict import Finding
from server import reviewing
from server.cli import app
from tests.keeper import house
from tests.keeper.test_reviewing import ONE, TWO, Desk

PASSPHRASE = "a long passphrase of one reviewer"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    settings = house.config(tmp_path)
    house.build(settings)
    made = Desk(settings)
    with pytest.raises(StateConflict):
        made.release()
    return made


@pytest.fixture
def client(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeskClient]:
    """The desk's socket, with the real server behind it."""
    settings: KeeperConfig = desk.settings
    monkeypatch.setattr("time.time", desk.clock)
    server = keeper_server._Server(settings.desk, desk.keeper, keeper_server.DESK, 0o600)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    found = DeskClient(settings.desk)
    for module in ("server.reviewing", "server.owners"):
        monkeypatch.setattr(f"{module}.desk_of", lambda *_: (None, found))
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def person(folder: Path, name: str) -> Path:
    """The key file of a reviewer whose signing key the roster names."""
    path = folder / f"{name.partition('@')[0]}.key"
    keys.save_member_keys(path, keys.MemberKeys(name, house.key(name), keys.OpeningKey.fresh()), PASSPHRASE)
    return path


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["review", *words], input=typed, catch_exceptions=True)


def give(desk: Desk, key_file: Path, answer: str, *more: str) -> Result:
    words = ("--domain", "nm/tax", "--answer", answer, "--comment", "Counts of hundreds.", *more)
    return run("give", desk.plan.digest, *words, "--keys-file", str(key_file), typed=PASSPHRASE + "\n")


def test_two_reviewers_at_the_desk_let_an_output_out(desk: Desk, client: DeskClient, tmp_path: Path) -> None:
    one, two = person(tmp_path, ONE), person(tmp_path, TWO)
    listed = run("list", "--domain", "nm/tax")
    assert desk.plan.digest in listed.stdout and "waits-for-opinions" in listed.stdout
    assert give(desk, one, "release").exit_code == 0
    seen = run("show", desk.plan.digest, "--domain", "nm/tax", "--reviewer", TWO)
    assert "Counts of hundreds" not in seen.stdout, "nobody reads another opinion before giving the own one"
    assert give(desk, two, "release").exit_code == 0
    assert "(alone): release" in run("show", desk.plan.digest, "--domain", "nm/tax", "--reviewer", TWO).stdout
    assert give(desk, two, "release", "--consolidate").exit_code == 0
    assert desk.release().sealed == desk.verdict.sealed


def test_out_of_turn_says_what_comes_first(desk: Desk, client: DeskClient, tmp_path: Path) -> None:
    early = give(desk, person(tmp_path, ONE), "release", "--consolidate")
    assert isinstance(early.exception, DarkroomError) and "without --consolidate" in early.exception.next_step


def test_whoever_is_no_reviewer_reads_nothing(desk: Desk, client: DeskClient) -> None:
    found = run("show", desk.plan.digest, "--domain", "nm/tax", "--reviewer", "su@nm/tax")
    assert isinstance(found.exception, DarkroomError) and found.stdout == ""


def test_what_a_terminal_acts_on_is_not_printed() -> None:
    record = Inspection(
        house.digest("p"), Finding.HELD, "acro", (Applied("row-level", "a.csv", Effect.HELD, 3, {"n": 2}),)
    )
    about = {
        "plan": house.digest("p"), "standing": "waits-for-opinions", "until": "2026-03-05", "overdue": True,
        "member": ONE, "project": "poverty", "purpose": "\x1b[2Jresearch", "opinions": [],
    }  # fmt: skip
    artifact = ReleasedArtifact("a.csv", Form.TABLE, base64.b64encode(b"x,n\n").decode())
    content = ReleasedSet(house.digest("p"), (artifact,), (), "0" * 32)
    text = "\n".join(reviewing.lines_of(reviewing.Shown(about, content, record)))
    assert "\x1b" not in text and "OVERDUE" in text and "row-level" in text and "a.csv" in text


def test_outputs_are_written_into_an_empty_folder_only(tmp_path: Path) -> None:
    artifact = ReleasedArtifact("a.csv", Form.TABLE, base64.b64encode(b"x,n\n").decode())
    content = ReleasedSet(house.digest("p"), (artifact,), (), "0" * 32)
    shown = reviewing.Shown({}, content, Inspection(house.digest("p"), Finding.HELD, "acro", ()))
    assert reviewing.write_into(shown, tmp_path / "look") == ("a.csv",)
    with pytest.raises(Malformed):
        reviewing.write_into(shown, tmp_path / "look")
    with pytest.raises(Malformed):
        ReleasedArtifact("../a.csv", Form.TABLE, "")


@pytest.mark.parametrize("answer", list(Answer))
def test_every_answer_is_a_word_of_the_command(answer: Answer) -> None:
    assert answer.value in run("give", "--help").stdout
