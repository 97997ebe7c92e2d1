"""Setting up parties by the operators' commands, with real keepers: what is written, shown, believed and carried."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keeper.api import KeeperClient
from keeper.api import load as load_keeper
from keys import api as keys
from mpc.agent.config import AgentConfig
from plans.box import Entry
from plans.errors import (
    DarkroomError,
    Malformed,
    NotFound,
    Outdated,
    PreflightFailed,
    SettingsWrong,
    SignatureWrong,
)
from plans.joint import Party
from plans.statements import Duty, Roster, RosterEntry, Signed, Type
from server import parties, party_health, party_view, witnessing
from server.carrying import Carrier
from server.cli import app
from server.doctor import Finding
from server.enrolment import Titles, add_owner, enrol, found_site, keep_statement, offer_roster, open_store
from server.running import Sides
from server.settings import open_log
from server.site import Owner, Site
from server.supervisor import Role, Supervisor, owner_roles, wait_for
from tests.sandbox.side import CEILING

IMAGE = "sha256:" + "1" * 64
DOCS = Path(__file__).resolve().parents[2] / "docs"
SAID = ("--administration", "staff of the Tax Service", "--hosting", "machine room of the Tax Service")


@dataclass
class Pair:
    """Two sides of one site whose keepers run, and who watches them."""

    site: Site
    tax: Owner
    health: Owner
    supervisor: Supervisor

    def keeper(self, owner: Owner) -> KeeperClient:
        return KeeperClient(owner.keeper_socket)

    def numbers(self, owner: Owner, of: str) -> dict[str, int]:
        found: dict[str, int] = self.keeper(owner).status()["peers"][of]
        return found

    def run(self, *words: str) -> str:
        """Type a command, and return what it says; an error of the house is raised."""
        done = CliRunner().invoke(app, ["party", *words, "--home", str(self.site.home)])
        if isinstance(done.exception, DarkroomError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    def restart(self, owner: Owner) -> None:
        """End a keeper; its supervisor starts it anew."""
        before = self.supervisor.pid(f"keeper:{owner.domain}")
        self.supervisor.restart(f"keeper:{owner.domain}")
        until(lambda: self.supervisor.pid(f"keeper:{owner.domain}") != before)
        wait_for(owner.keeper_socket)


def until(condition: object, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="dr-pair-"))
    folder.chmod(0o711)
    site = found_site(folder / "home", 0)
    tax, health = (
        add_owner(site, domain, Titles(domain, domain), IMAGE, dict.fromkeys(Entry, CEILING))
        for domain in ("nm/tax", "nm/health")
    )
    with Supervisor(site) as supervisor:
        keepers = [
            role
            for owner in (tax, health)
            for role in owner_roles(site, owner.domain)
            if role.module == "keeper"
        ]
        supervisor.start(keepers)
        for owner in (tax, health):
            wait_for(owner.keeper_socket)
            offer_roster(owner)
        yield Pair(site, tax, health, supervisor)
    shutil.rmtree(site.run, ignore_errors=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def met(pair: Pair) -> Pair:
    """Both have described themselves, and were told each other's root key; what they signed is in the letter box."""
    pair.run("add", "nm/tax", *SAID, "--listen", "127.0.0.1:8471")
    pair.run("add", "nm/health", *SAID, "--listen", "0.0.0.0:8472", "--address", "health.example:8472")
    for owner, other in ((pair.tax, pair.health), (pair.health, pair.tax)):
        pair.run("trust", owner.domain, other.domain, load_keeper(other.keeper_settings).root, "--yes")
        pair.restart(owner)
    return pair


def forged_roster(domain: str, number: int) -> Signed:
    """A roster that somebody signed who is nobody, with a number above all others."""
    root = keys.SigningKey.fresh()
    body = Roster(domain, number, (RosterEntry("mallory", Duty.APPROVER, root.public),))
    return keys.sign(keys.Draft(Type.ROSTER, domain, Duty.ROOT, body, number, int(time.time())), root)


# --- describing oneself -----------------------------------------------------


def test_a_description_is_shown_first_signed_then_and_counted_on(met: Pair) -> None:
    before = met.tax.party_file.read_bytes()
    shown = met.run("add", "nm/tax", *SAID, "--software", "another house", "--dry-run")
    assert "software of another house" in shown and "Nothing was signed" in shown
    assert met.tax.party_file.read_bytes() == before, "the control of what follows"
    said = json.loads(met.run("add", "nm/tax", *SAID, "--json").partition("}\n")[0] + "}")
    body = Party.read(Signed.decode(met.tax.party_file.read_bytes()).statement.body)
    old = Party.read(Signed.decode(before).statement.body)
    assert body.plain() == said
    assert (body.number, body.agent, body.address) == (old.number + 1, old.agent, old.address)
    keys.verify(Signed.decode(met.tax.party_file.read_bytes()))
    assert met.numbers(met.tax, "nm/tax")["party"] == body.number, "its own keeper has it at once"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--listen", "0.0.0.0:8471", "--address", "0.0.0.0:8471"), SettingsWrong),
        (("--listen", "0.0.0.0:8471"), SettingsWrong),
        (("--listen", "8471"), SettingsWrong),
        (("--address", "tax.example"), Malformed),
        (("--administration", "two\nlines"), Malformed),
    ],
)
def test_what_others_could_not_use_is_refused_before_anything_is_written(
    met: Pair, words: tuple[str, ...], error: type[DarkroomError]
) -> None:
    before = {path: path.read_bytes() for path in met.tax.folder.iterdir() if path.is_file()}
    with pytest.raises(error):
        met.run("add", "nm/tax", *SAID, *words)
    assert {path: path.read_bytes() for path in met.tax.folder.iterdir() if path.is_file()} == before


def test_without_the_root_key_nothing_is_signed_and_it_says_so(met: Pair) -> None:
    away = met.tax.root_key.rename(met.tax.folder / "offline")
    try:
        with pytest.raises(NotFound, match="root key is not here"):
            met.run("add", "nm/tax", *SAID)
    finally:
        away.rename(met.tax.root_key)


def test_a_side_that_there_is_not_is_said(met: Pair) -> None:
    for command in (
        ("add", "nm/none", *SAID),
        ("show", "nm/none"),
        ("trust", "nm/none", "nm/tax", "ed25519:" + "0" * 64),
    ):
        with pytest.raises(NotFound):
            met.run(*command)


# --- root keys of others -----------------------------------------------------


def test_a_root_key_counts_only_after_it_was_compared(met: Pair) -> None:
    root = keys.SigningKey.fresh().public
    command = ["party", "trust", "nm/tax", "nm/edu", root, "--home", str(met.site.home)]
    done = CliRunner().invoke(app, command, input="n\n")
    assert done.exit_code == 1 and parties.spoken(root) in done.output
    assert "nm/edu" not in load_keeper(met.tax.keeper_settings).peers
    met.run("trust", "nm/tax", "nm/edu", root, "--dry-run")
    assert "nm/edu" not in load_keeper(met.tax.keeper_settings).peers
    assert CliRunner().invoke(app, command, input="y\n").exit_code == 0, "the control"
    assert load_keeper(met.tax.keeper_settings).peers["nm/edu"] == root
    other = keys.SigningKey.fresh().public
    assert "takes the place of another" in met.run("trust", "nm/tax", "nm/edu", other, "--yes")
    met.run("distrust", "nm/tax", "nm/edu", "--yes")
    assert "nm/edu" not in load_keeper(met.tax.keeper_settings).peers
    with pytest.raises(NotFound):
        met.run("distrust", "nm/tax", "nm/edu", "--yes")


def test_wrong_keys_and_oneself_are_no_peers(met: Pair) -> None:
    before = met.tax.keeper_settings.read_bytes()
    with pytest.raises(Malformed):
        met.run("trust", "nm/tax", "nm/edu", "ed25519:12", "--yes")
    with pytest.raises(SettingsWrong):
        met.run("trust", "nm/tax", "nm/tax", keys.SigningKey.fresh().public, "--yes")
    assert met.tax.keeper_settings.read_bytes() == before


def test_two_keys_never_read_alike_and_a_key_can_be_read_out() -> None:
    roots = [keys.SigningKey.fresh().public for _ in range(200)]
    read = {parties.spoken(root) for root in roots}
    assert len(read) == 200
    assert all(len(part) == 4 for each in read for part in each.split()) and {len(each) for each in read} == {
        49
    }


def test_a_site_that_is_up_takes_a_new_root_key_in_by_itself(met: Pair) -> None:
    sides = Sides(met.site, _Restarts(met))
    root = keys.SigningKey.fresh().public
    assert "nm/edu" not in met.keeper(met.tax).status()["peers"]
    met.run("trust", "nm/tax", "nm/edu", root, "--yes")
    sides.follow()
    until(lambda: "nm/edu" in _peers(met))
    met.run("distrust", "nm/tax", "nm/edu", "--yes")
    sides.follow()
    until(lambda: "nm/edu" not in _peers(met))


def _peers(met: Pair) -> dict[str, object]:
    wait_for(met.tax.keeper_socket)
    found: dict[str, object] = met.keeper(met.tax).status()["peers"]
    return found


class _Restarts(Supervisor):
    """The pair's supervisor, asked for keepers alone: nothing else runs here."""

    def __init__(self, met: Pair) -> None:
        super().__init__(met.site)
        self._met = met

    def start(self, roles: object) -> None:
        raise AssertionError(f"nothing is new here: {roles}")

    def restart(self, name: str) -> None:
        assert name.startswith("keeper:")
        self._met.supervisor.restart(name)


def test_a_site_that_is_up_starts_a_new_agent_by_itself(met: Pair) -> None:
    office = add_owner(
        met.site, "nm/office", Titles("office", "office"), IMAGE, dict.fromkeys(Entry, CEILING)
    )
    noted = _Notes(met.site)
    sides = Sides(met.site, noted)
    met.run("add", "nm/office", *SAID)
    sides.follow()
    assert (noted.started, noted.restarted) == (["agent:nm/office"], ["launcher:nm/office"])
    sides.follow()
    assert len(noted.started) == len(noted.restarted) == 1, "nothing changes by itself"
    met.supervisor.start([role for role in owner_roles(met.site, "nm/office") if role.module == "mpc.agent"])
    wait_for(office.agent_door)
    what, good, how = next(party_health.examine(office, None))
    assert (what, good) == ("agent of nm/office", True) and AgentConfig.load(
        office.agent_settings
    ).listen in how
    assert "a user of its own" in how or os.geteuid() != 0


class _Notes(Supervisor):
    """Notes what it is asked for."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.started: list[str] = []
        self.restarted: list[str] = []

    def start(self, roles: Sequence[Role]) -> None:
        self.started += [role.name for role in roles]

    def restart(self, name: str) -> None:
        self.restarted.append(name)


# --- carrying -----------------------------------------------------


def test_peers_hear_of_a_newer_roster_by_themselves(met: Pair) -> None:
    carrier = Carrier(met.site, open_store(met.site))
    carrier.carry()
    before = met.numbers(met.health, "nm/tax")
    assert before["party"] > 0 and before["roster"] > 0
    assert carrier.carry() == 0, "nothing is offered twice"
    approver = keys.SigningKey.fresh().public
    enrol(met.tax, [RosterEntry("li@nm/tax", Duty.APPROVER, approver)])
    assert met.numbers(met.health, "nm/tax") == before, "the control: nobody has carried it yet"
    assert carrier.carry() == 1
    assert met.numbers(met.health, "nm/tax")["roster"] == before["roster"] + 1


def test_whoever_witnesses_heads_carries_them(met: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnessing, "EVERY_S", 0.02)
    stop = threading.Event()
    thread = threading.Thread(target=witnessing.witness_often, args=(met.site, open_log(met.site), stop))
    thread.start()
    try:
        number = enrol(
            met.tax, [RosterEntry("launcher:node2", Duty.LAUNCHER, keys.SigningKey.fresh().public)]
        )
        wanted = number.statement.sequence
        until(lambda: met.numbers(met.health, "nm/tax")["roster"] == wanted)
    finally:
        stop.set()
        thread.join(60)
    assert met.keeper(met.health).status()["witnessed"] > 0, "the control: it goes on witnessing"


def test_a_forged_roster_in_the_letter_box_hides_no_true_one(met: Pair) -> None:
    carrier = Carrier(met.site, open_store(met.site))
    carrier.carry()
    before = met.numbers(met.health, "nm/tax")["roster"]
    keep_statement(met.site, forged_roster("nm/tax", 9_000))
    enrol(met.tax, [RosterEntry("wu@nm/tax", Duty.APPROVER, keys.SigningKey.fresh().public)])
    assert carrier.carry() == 1
    assert met.numbers(met.health, "nm/tax")["roster"] == before + 1
    assert carrier.carry() == 0


def test_a_keeper_that_is_down_catches_up(met: Pair) -> None:
    carrier = Carrier(met.site, open_store(met.site))
    carrier.carry()
    before = met.numbers(met.health, "nm/tax")["roster"]
    enrol(met.tax, [RosterEntry("xu@nm/tax", Duty.APPROVER, keys.SigningKey.fresh().public)])
    away = met.health.keeper_socket.rename(met.health.run / "away")
    try:
        assert carrier.carry() == 0
    finally:
        away.rename(met.health.keeper_socket)
    assert carrier.carry() == 1
    assert met.numbers(met.health, "nm/tax")["roster"] == before + 1


# --- files from a peer -----------------------------------------------------


def test_files_of_a_peer_are_believed_by_its_root_key_alone(met: Pair, tmp_path: Path) -> None:
    number = met.numbers(met.health, "nm/tax")["roster"]
    enrol(met.tax, [RosterEntry("yu@nm/tax", Duty.APPROVER, keys.SigningKey.fresh().public)])
    forged = tmp_path / "forged"
    forged.write_bytes(forged_roster("nm/tax", number + 5).canonical())
    with pytest.raises(SignatureWrong):
        met.run("offer", "nm/health", str(forged))
    stranger = tmp_path / "stranger"
    stranger.write_bytes(forged_roster("nm/edu", 1).canonical())
    with pytest.raises(SignatureWrong, match="told no root key"):
        met.run("offer", "nm/health", str(stranger))
    right = str(met.tax.folder / "roster")
    assert "yu@nm/tax" in met.run("offer", "nm/health", right, "--dry-run")
    assert met.numbers(met.health, "nm/tax")["roster"] == number
    met.run("offer", "nm/health", right, str(met.tax.party_file))
    assert met.numbers(met.health, "nm/tax")["roster"] == number + 1, "the control"
    old = tmp_path / "old"
    root = keys.SigningKey.from_bytes(bytes.fromhex(met.tax.root_key.read_text()))
    body = Roster("nm/tax", 1, ())
    old.write_bytes(keys.sign(keys.Draft(Type.ROSTER, "nm/tax", Duty.ROOT, body, 1, 1), root).canonical())
    with pytest.raises(Outdated):
        met.run("offer", "nm/health", str(old))
    with pytest.raises(NotFound):
        met.run("offer", "nm/health", str(tmp_path / "none"))


# --- what is shown -----------------------------------------------------


def test_an_administrator_sees_what_to_read_out_whom_the_keeper_knows_and_why_it_failed(met: Pair) -> None:
    Carrier(met.site, open_store(met.site)).carry()
    met.tax.agent_log.parent.mkdir(exist_ok=True)
    met.tax.agent_log.write_text("agent: attempt 1 of sha256:00…: extract: a value is out of range\n" * 30)
    shown = json.loads(met.run("show", "nm/tax", "--json"))
    root = load_keeper(met.tax.keeper_settings).root
    assert (shown["root"], shown["spoken"]) == (root, parties.spoken(root))
    assert shown["peers"]["nm/health"]["roster"] > 0 and shown["peers"]["nm/health"]["party"] > 0
    assert shown["agent"]["answers"] is False and len(shown["told"]) == 20
    text = met.run("show", "nm/tax")
    for said in (
        parties.spoken(root),
        "does not answer",
        "peer nm/health: roster",
        "out of range",
        "tax/party",
    ):
        assert said in text.replace("nm-tax/party", "tax/party")


def test_attempts_are_shown_with_how_they_ended_as_everybody_may_know_it(met: Pair) -> None:
    shown = party_view.show(met.tax)
    failure = PreflightFailed("nm/health cannot take part", "preflight@nm/health").problem()
    attempt = {"joint": IMAGE, "attempt": 2, "state": "closed", "failure": failure}
    well = {**attempt, "attempt": 3, "failure": None}
    lines = list(party_view.lines_of({**shown, "agent": {"answers": True, "attempts": [attempt, well]}}))
    assert (
        "  attempt 2 of sha256:111111111111…: closed, joint.preflight-failed at preflight@nm/health" in lines
    )
    assert "  attempt 3 of sha256:111111111111…: closed" in lines and "agent: answers" in lines


def test_the_doctor_names_what_is_missing_and_what_to_do(met: Pair) -> None:
    carrier = Carrier(met.site, open_store(met.site))
    carrier.carry()
    found = {each.what: each for each in examined(met)}
    assert not found["agent of nm/tax"].good and str(met.tax.agent_log) in found["agent of nm/tax"].how
    assert found["nm/health at nm/tax"].good, "the control"
    enrol(met.health, [RosterEntry("qi@nm/health", Duty.APPROVER, keys.SigningKey.fresh().public)])
    late = {each.what: each for each in examined(met)}["nm/health at nm/tax"]
    assert not late.good and "is in the letter box" in late.how
    keep_statement(met.site, forged_roster("nm/health", 9_000))
    carrier.carry()
    assert all(each.good for each in examined(met) if "agent" not in each.what), "a forged one alarms nobody"
    met.run("trust", "nm/tax", "nm/edu", keys.SigningKey.fresh().public, "--yes")
    new = {each.what: each for each in examined(met)}["nm/edu at nm/tax"]
    assert not new.good and "start it anew" in new.how
    met.run("distrust", "nm/tax", "nm/edu", "--yes")


def examined(met: Pair) -> list[Finding]:
    return [Finding(*each) for each in party_health.examine(met.tax, open_store(met.site))]


def test_what_an_agent_says_lies_with_its_owner_and_nobody_else_may_read_it(met: Pair) -> None:
    role = next(role for role in owner_roles(met.site, "nm/tax") if role.module == "mpc.agent")
    assert role.log == met.tax.agent_log and met.tax.folder in role.log.parents
    shutil.rmtree(met.tax.agent_log.parent, ignore_errors=True)
    with Supervisor(met.site) as other:
        other.start([replace(role, module="platform", arguments=())])  # any program that says something
        until(lambda: met.tax.agent_log.exists() and met.tax.agent_log.stat().st_size)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (met.tax.agent_log.parent, met.tax.agent_log)]
    assert modes == [0o700, 0o600]
    assert not list((met.site.centre / "logs").glob("agent*"))
    assert list((met.site.centre / "logs").glob("keeper*")), "the control: others write there"


# --- documents -----------------------------------------------------


def test_every_setting_of_an_agent_is_in_the_page() -> None:
    lines = (DOCS / "parties.md").read_text(encoding="utf-8").splitlines()
    listed = [line.split("`")[1] for line in lines if line.startswith("| `")]
    wanted = list(AgentConfig.__dataclass_fields__)
    assert [name for name in listed if name in wanted] == wanted
    assert "peers" in listed and "side_group" in listed and "agent_socket" in listed
