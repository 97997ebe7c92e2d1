"""Keys are opened once in a session; the passphrase is in no history, no output and no traceback."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import darkroom
from darkroom import session, unlocking
from darkroom.connection import connect
from keys import keyfile
from keys.keyfile import fingerprint, read_public
from plans.errors import Malformed, NotFound, StateConflict, WrongPassphrase
from store import api as store
from tests.client.conftest import PASSPHRASE, Town
from tests.client.shells import MEI, as_notebook, shell

__all__ = ["shell"]

SQL = "select region, count(*) as n from tax.income group by region"
ASK = "on='real', project='housing', purpose='Study of rents'"
NEW = "correct horse battery staple"


class Prompt:
    """Somebody at a hidden prompt, who types these answers."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), list[str]()

    def __call__(self, prompt: str = "") -> str:
        self.asked.append(prompt)
        return self.answers.pop(0)


Typing = Callable[..., Prompt]


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Typing:
    def typing_(*answers: str) -> Prompt:
        prompt = Prompt(*answers)
        monkeypatch.setattr(getpass, "getpass", prompt)
        return prompt

    return typing_


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    unlocking.forget()
    session.forget()
    yield
    unlocking.forget()
    session.forget()


@pytest.fixture
def mei(town: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
    """The functions of `darkroom` speak for Mei as after `darkroom login`, and ask for the passphrase as ever."""
    monkeypatch.setenv("DARKROOM_HOME", str(town.home(MEI).folder))
    return town


def enrol(town: Town, signing: str, opening: str) -> None:
    """Enrol these keys for Mei, as the portal's page does."""
    with town.region.database.session() as opened:
        store.members.set_keys(opened, MEI, signing, opening)


@pytest.fixture
def lab(town: Town, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Town:
    """A lab of Mei's, who has enrolled no keys yet."""
    profile = town.home(MEI).profile()
    enrol(town, "", "")
    for name, value in {
        "DARKROOM_LAB": "1", "DARKROOM_URL": town.url, "DARKROOM_TOKEN": profile.token, "DARKROOM_MEMBER": MEI,
        "DARKROOM_HOME": str(tmp_path / "home"), "DARKROOM_PORTAL_PAGE": "https://portal.example",
        "DARKROOM_PROJECT": "housing", "DARKROOM_PURPOSE": "Study of rents",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(unlocking, "ENROL_WAIT_S", 0.05)
    monkeypatch.setattr(unlocking, "ENROL_PAUSE_S", 0.01)
    return town


def test_a_notebook_asks_once_for_all_connections(shell: Any, mei: Town, typing: Typing) -> None:
    as_notebook(shell)
    prompt = typing(PASSPHRASE)
    shell.run_cell(f"import darkroom\njob = darkroom.sql({SQL!r}, {ASK})")
    assert shell.user_ns["job"].state == "submitted" and len(prompt.asked) == 1
    assert connect().keys().member == MEI and len(prompt.asked) == 1


def test_a_wrong_passphrase_is_asked_for_again_and_then_said(shell: Any, mei: Town, typing: Typing) -> None:
    as_notebook(shell)
    prompt = typing("wrong wrong", PASSPHRASE)
    assert connect().keys().member == MEI and len(prompt.asked) == 2
    unlocking.forget()
    prompt = typing(*["wrong wrong"] * 5)
    with pytest.raises(WrongPassphrase):
        connect().keys()
    assert len(prompt.asked) == unlocking.TRIES


def test_a_script_uses_the_variable_and_nobody_is_asked(
    mei: Town, typing: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = typing()
    with pytest.raises(WrongPassphrase, match="DARKROOM_PASSPHRASE"):
        connect().keys()
    monkeypatch.setenv("DARKROOM_PASSPHRASE", PASSPHRASE)
    assert connect().keys().member == MEI and prompt.asked == []


def test_a_connection_with_a_passphrase_of_its_own_shares_no_keys(mei: Town, typing: Typing) -> None:
    typing()
    assert connect(passphrase=lambda: PASSPHRASE).keys().member == MEI
    with pytest.raises(WrongPassphrase):
        connect().keys()


def test_outside_a_lab_no_keys_are_made(mei: Town, typing: Typing, tmp_path: Path, shell: Any) -> None:
    as_notebook(shell)
    typing(NEW, NEW)
    room = connect(
        mei.url, token=mei.home(MEI).profile().token, folder=type(mei.home(MEI))(tmp_path / "none")
    )
    with pytest.raises(NotFound):
        room.keys()


@pytest.mark.parametrize("given", [(PASSPHRASE,), ("wrong " + PASSPHRASE,) * 3])
def test_the_passphrase_is_in_no_history_output_or_traceback(
    shell: Any,
    mei: Town,
    typing: Typing,
    given: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    as_notebook(shell)
    typing(*given)
    shell.run_line_magic("xmode", "Verbose")
    shell.run_cell("import darkroom\ndarkroom.unlock()", store_history=True)
    shell.run_cell("darkroom.last_traceback()", store_history=True)
    shell.run_line_magic("tb", "")
    shell.history_manager.writeout_cache()
    told = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in (tmp_path / "ipython").rglob("*") if path.is_file())
    remembered = [
        *shell.history_manager.input_hist_raw,
        *map(repr, shell.history_manager.output_hist.values()),
    ]
    assert b"darkroom.unlock()" in written  # the control: this is where a history would be
    assert PASSPHRASE.encode() not in written
    for text in (told.out, told.err, shell.sheets.text, *remembered, repr(shell.user_ns.get("_"))):
        assert PASSPHRASE not in text


def test_the_control_a_passphrase_in_a_cell_is_in_the_history(shell: Any, tmp_path: Path) -> None:
    shell.run_cell(f"x = {PASSPHRASE!r}", store_history=True)
    shell.history_manager.writeout_cache()
    written = b"".join(path.read_bytes() for path in (tmp_path / "ipython").rglob("*") if path.is_file())
    assert PASSPHRASE.encode() in written


def test_nothing_that_a_session_keeps_is_the_passphrase(shell: Any, mei: Town, typing: Typing) -> None:
    as_notebook(shell)
    typing(PASSPHRASE)
    room = connect()
    room.keys()
    for kept in (vars(unlocking), vars(room), vars(session)):
        assert PASSPHRASE not in repr(kept)


def test_the_first_use_in_a_lab_makes_keys_and_leads_to_the_page(
    shell: Any, lab: Town, typing: Typing
) -> None:
    as_notebook(shell)
    prompt = typing(NEW, NEW)
    done = shell.run_cell(f"import darkroom\ndarkroom.sql({SQL!r}, on='real')")
    assert isinstance(done.error_in_exec, StateConflict) and len(prompt.asked) == 2
    public = read_public(Path(session.connection()._home.keys_file))
    page = next(word for word in done.error_in_exec.next_step.split() if word.startswith("https://")).rstrip(
        ","
    )
    assert page == "https://portal.example/keys"  # the page takes no keys from a link
    assert "Paste both" in done.error_in_exec.next_step and "paste both" in shell.sheets.text
    for part in (
        public["signing"],
        public["opening"],
        fingerprint(MEI, public["signing"], public["opening"]),
    ):
        assert part in shell.sheets.text
    assert NEW not in shell.sheets.text

    enrol(lab, public["signing"], public["opening"])
    done = shell.run_cell(f"darkroom.sql({SQL!r}, on='real')")
    assert done.success and done.result.state == "submitted" and len(prompt.asked) == 2


def test_making_keys_in_a_lab_by_hand(shell: Any, lab: Town, typing: Typing) -> None:
    as_notebook(shell)
    typing(NEW, "another one")
    with pytest.raises(Malformed):
        darkroom.make_keys()
    typing("short", "short")
    with pytest.raises(Malformed):
        darkroom.make_keys()
    typing(NEW, NEW)
    shown = darkroom.make_keys()._repr_mimebundle_()
    public = read_public(connect()._home.keys_file)
    for half in ("signing", "opening"):
        assert f">{public[half]}<" in shown["text/html"], "alone in its block, to be copied"
    assert 'href="https://portal.example/keys"' in shown["text/html"]
    assert "Approvers will ask you for the fingerprint" in shown["text/plain"]
    with pytest.raises(StateConflict):
        darkroom.make_keys()


def test_other_keys_that_are_enrolled_are_said(shell: Any, lab: Town, typing: Typing) -> None:
    enrol(lab, "ed25519:" + "1" * 64, "x25519:" + "2" * 64)
    as_notebook(shell)
    typing(NEW, NEW)
    with pytest.raises(StateConflict, match="other keys"):
        connect().keys()


def test_a_lab_without_anybody_to_ask_makes_no_keys(lab: Town, typing: Typing) -> None:
    typing()
    with pytest.raises(NotFound):
        connect().keys()
    assert not connect()._home.keys_file.exists()


# --- errors while the passphrase is at hand -----------------------------------------------------


def frames_of(problem: BaseException) -> str:
    """Return every variable that a debugger or a verbose traceback could show of an error, the test's own left out."""
    told, tb = [], problem.__traceback__.tb_next if problem.__traceback__ else None
    while tb is not None:
        told.append(repr(tb.tb_frame.f_locals))
        tb = tb.tb_next
    return "".join(told)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_while_keys_are_opened_shows_no_passphrase(
    mei: Town, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def stopped(*given: object) -> bytes:
        raise stop

    monkeypatch.setattr("keys.keyfile._stretch", stopped)
    with pytest.raises(stop) as caught:
        keyfile.load_member_keys(mei.home(MEI).keys_file, PASSPHRASE)
    assert PASSPHRASE in frames_of(caught.value), "the control"
    with pytest.raises(stop) as caught:
        unlocking.opened(mei.connection(MEI), mei.home(MEI).keys_file, lambda: PASSPHRASE)
    assert PASSPHRASE not in frames_of(caught.value)


def test_a_wrong_passphrase_is_in_no_frame(mei: Town) -> None:
    with pytest.raises(WrongPassphrase) as caught:
        unlocking.opened(mei.connection(MEI), mei.home(MEI).keys_file, lambda: "a wrong " + "canary")
    assert "a wrong canary" not in frames_of(caught.value)


def test_two_new_passphrases_that_differ_are_in_no_frame(town: Town, tmp_path: Path, typing: Typing) -> None:
    typing("first canary", "second canary")
    unlocking_file = tmp_path / "home" / "keys.json"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Malformed) as caught:
        patch.setattr(unlocking, "can_ask", lambda: True)
        unlocking._make(MEI, unlocking_file)
    assert "canary" not in frames_of(caught.value)
    assert not unlocking_file.exists()
