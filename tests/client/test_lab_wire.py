"""The wire in a lab: a socket in place of a network, a token that may little, and one sentence for whatever is away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import darkroom
from darkroom import local, session, wire
from darkroom.advice import card
from darkroom.connection import connect
from darkroom.display import Shown
from darkroom.profile import home
from darkroom.wire import VERSION, Wire, require_fit
from plans.errors import NotAllowed, NotSignedIn, StateConflict, Unreachable
from tests.client.conftest import Town
from tests.client.look_alikes import LAB, enter, lab_token, lay, link
from tests.portal.region import DATASET

MEI = LAB["DARKROOM_MEMBER"]
SOON = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d")
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(wire, "PAUSES_S", (0.01, 0.01))
    local.choose("", "", "")
    session.forget()
    yield
    session.forget()


@pytest.fixture
def lab(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process is a lab of mei's, whose only way to the portal is a socket."""
    lay(town)
    with link(town, tmp_path / "api.sock") as place:
        enter(town, monkeypatch, lab_token(town), place)
        yield place


# ------------------------------------------------------------------------------------ the socket


def test_a_lab_speaks_over_its_socket_and_is_who_the_lab_says(lab: Path) -> None:
    room = darkroom.connect()
    assert room.member == MEI and room._wire.socket == str(lab)
    assert [each["relation"] for each in darkroom.datasets()] == ["tax.income"]
    assert darkroom.sql("select 1 as one", on="twin").result().rows == [(1,)]


def test_the_token_in_a_lab_goes_over_the_socket_whatever_address_the_portal_has(
    lab: Path, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In production the portal's origin is https; its TLS ends before the portal, to which the socket leads."""
    monkeypatch.setenv("DARKROOM_URL", town.url.replace("http://", "https://"))
    assert connect().me()["name"] == MEI


def test_a_proxy_of_the_environment_never_sees_the_token(
    lab: Path, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.3)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap.getsockname()[1]}")
        monkeypatch.delenv("NO_PROXY", raising=False), monkeypatch.delenv("no_proxy", raising=False)
        assert connect().me()["name"] == MEI
        with pytest.raises(TimeoutError):
            heard.append(trap.accept()[0].recv(1))
    assert heard == []


def test_another_portal_than_the_labs_is_not_reached_over_its_socket(lab: Path) -> None:
    with pytest.raises(Unreachable):
        connect("http://127.0.0.1:9", token="x" * 40)


def test_no_token_goes_to_another_portal_than_its_own(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotSignedIn, match="this portal"):
        connect("http://127.0.0.1:9")
    monkeypatch.delenv("DARKROOM_LAB")
    monkeypatch.delenv("DARKROOM_TOKEN")
    with pytest.raises(NotSignedIn, match="this portal"):
        connect("http://127.0.0.1:9")
    assert connect(home().profile().url + "/").me()["name"] == MEI, "the control: the profile's own portal"


def test_one_connection_serves_many_calls(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = connect()
    room.me()
    opened: list[Any] = []
    honest = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, to: (opened.append(to), honest(self, to))[1])
    for _ in range(5):
        room.me()
    assert opened == []


# ------------------------------------------------------------------------------------ what is away


def test_a_link_that_is_not_there_is_one_sentence(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_API_SOCKET", str(tmp_path / "nothing.sock"))
    with pytest.raises(Unreachable) as told:
        connect().me()
    assert "link to the platform" in str(told.value) and "save" in str(told.value)


def test_a_platform_that_closes_without_a_word_is_one_sentence(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the launcher does it while the porter is away."""
    place = str(tmp_path / "closing.sock")
    with socket.socket(socket.AF_UNIX) as closing:
        closing.bind(place), closing.listen()
        ended = threading.Event()

        def close_all() -> None:
            closing.settimeout(0.05)
            while not ended.is_set():
                try:
                    closing.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=close_all)
        thread.start()
        monkeypatch.setenv("DARKROOM_API_SOCKET", place)
        try:
            with pytest.raises(Unreachable) as told:
                connect().me()
        finally:
            ended.set()
            thread.join()
    assert "Nothing is lost" in str(told.value)


def test_a_call_goes_on_once_the_link_is_back(
    lab: Path, tmp_path: Path, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "later.sock"
    monkeypatch.setattr(wire, "PAUSES_S", (0.05,) * 2_000)
    monkeypatch.setenv("DARKROOM_API_SOCKET", str(place))
    found: list[str] = []
    tried, once = threading.Event(), Wire._once
    monkeypatch.setattr(Wire, "_once", lambda *given: (tried.set(), once(*given))[1])
    thread = threading.Thread(target=lambda: found.append(connect().me()["name"]))
    thread.start()
    assert tried.wait(60) and not found
    with link(town, place):
        thread.join(90)
    assert found == [MEI]


def test_a_token_that_has_ended_says_what_to_do_with_the_lab(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_TOKEN", "0" * 43)
    with pytest.raises(NotSignedIn) as told:
        connect().datasets()
    assert "Hub Control Panel" in str(told.value) and "notebooks stay" in str(told.value)
    monkeypatch.delenv("DARKROOM_LAB")
    with pytest.raises(NotSignedIn) as plain:
        connect(folder=None).datasets()
    assert "Hub Control Panel" not in str(plain.value), "the control: outside a lab"


# ------------------------------------------------------------------------------------ what a lab may not


def test_applying_in_a_lab_leads_to_the_portal_with_everything_filled_in(lab: Path) -> None:
    with pytest.raises(NotAllowed) as told:
        darkroom.apply(DATASET, ["region", "income"], until="2030-01-01", uses=7)
    page = str(told.value)
    for part in (
        "https://portal.example/apply?",
        "dataset=nm%2Ftax%2Fincome",
        "columns=region%2Cincome",
        "project=housing",
        "purpose=Study+of+rents",
        "until=2030-01-01",
        "uses=7",
    ):
        assert part in page
    assert "Whom to ask" not in repr(Shown(card(told.value))), "nobody has to be asked"
    assert "Whom to ask" in repr(Shown(card(NotAllowed("no", "here")))), "the control"


@pytest.mark.parametrize("what", ["grants", "applications"])
def test_listing_grants_in_a_lab_says_what_shows_them_there(lab: Path, what: str) -> None:
    with pytest.raises(NotAllowed) as told:
        getattr(darkroom, what)()
    assert f"cannot list your {what}" in told.value.what and "darkroom.budget() shows" in told.value.next_step
    assert "password" not in str(told.value) and "Whom to ask" not in repr(Shown(card(told.value)))
    assert darkroom.budget() is not None, "what it names works in a lab"


def test_control_a_session_of_ones_own_lists_them(town: Town) -> None:
    room = town.connection(MEI)
    assert room.grants() is not None and room.applications() is not None


def test_enrolling_in_a_lab_names_the_page_and_both_public_halves_to_paste(lab: Path, town: Town) -> None:
    with pytest.raises(NotAllowed) as told:
        connect().enrol()
    mine = town.region.keys[MEI]
    for part in ("Paste both on https://portal.example/keys: ", mine.signing.public, mine.opening.public):
        assert part in str(told.value)
    assert "Whom to ask" not in repr(Shown(card(told.value)))


def test_control_a_session_of_ones_own_applies(town: Town) -> None:
    made = town.connection(MEI).apply(DATASET, ["region"], "Rents", project="housing", until=SOON)
    assert made["state"]


# ------------------------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"api": 2, "client_at_least": "0.1.0"}, "newer client"),
        ({"api": 1, "client_at_least": "99.0.0"}, "99.0.0"),
        ({"api": 0, "client_at_least": "0.0.1"}, "operators"),
        ({"api": "one"}, "operators"),
    ],
)
def test_client_and_portal_that_do_not_fit_say_which_is_old(told: dict[str, Any], says: str) -> None:
    with pytest.raises(StateConflict) as refused:
        require_fit(told, "https://portal.example")
    assert says in str(refused.value)


def test_control_those_that_fit_say_nothing() -> None:
    for told in (
        {},
        {"api": 1},
        {"api": 1, "client_at_least": VERSION},
        {"api": 1, "client_at_least": "0.0.9"},
    ):
        require_fit(told, "https://portal.example")


def test_the_version_is_asked_once_before_the_first_call_and_not_before(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    honest = Wire._once
    monkeypatch.setattr(
        Wire,
        "_once",
        lambda self, method, path, body: (asked.append(path), honest(self, method, path, body))[1],
    )
    room = town.connection(MEI)
    room.datasets(), room.datasets()
    assert asked.count("/api/v1/version") == 1 + 1, "signing in and the connection, once each"
    fresh = Wire(town.url)
    assert asked.count("/api/v1/version") == 2 and repr(fresh)


def test_a_portal_that_needs_a_newer_client_gets_no_call(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def once(self: Wire, method: str, path: str, body: Any) -> dict[str, Any]:
        sent.append(path)
        return {"api": 2, "client_at_least": "9.0.0"}

    room = town.connection(MEI)
    room._wire._met.clear()
    monkeypatch.setattr(Wire, "_once", once)
    for _ in range(2):
        with pytest.raises(StateConflict):
            room.datasets()
    assert set(sent) == {"/api/v1/version"}


def test_the_clients_version_is_the_packages() -> None:
    assert f'version = "{VERSION}"' in (ROOT / "client" / "pyproject.toml").read_text()
