"""An agent's own user: what it needs is open to it, and nothing else of its side or of others.

Each attack is tried twice, by the same program: as the agent's user, where it must fail, and as root, which is what an
agent would be without; that is the control.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from mpc.agent.config import AgentConfig
from plans.box import Entry
from sandbox import api as sandbox
from server import users
from server.enrolment import UIDS_PER_OWNER, Titles, add_owner, found_site
from server.parties import Described, Place, add_party
from server.site import Owner, Site
from tests.sandbox.side import CEILING, ROOT

pytestmark = [
    pytest.mark.box,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an agent that has a user of its own"),
]

PROBE = """
import json, os, socket, sys
from pathlib import Path
from sandbox import own_user

asked, who = json.loads(sys.argv[1]), json.loads(sys.argv[2])

def connect(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(path)

def listen(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path)
    os.unlink(path)

ways = {
    "read": lambda path: Path(path).open("rb").read(1), "list": os.listdir, "connect": connect, "listen": listen,
    "make": lambda path: (Path(path).touch(), os.unlink(path)), "kill": lambda pid: os.kill(pid, 0),
    "trace": lambda pid: os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY)),
    "become": lambda uid: os.setresuid(-1, uid, -1),
}
if "agent" in who:
    own_user.step_down(who["agent"])
if "launcher" in who:
    own_user.become(own_user.OwnIds(*who["launcher"]), who["groups"])
found = {}
for name, (way, *arguments) in asked.items():
    try:
        ways[way](*arguments)
        found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Town:
    """Two sides with agents, nothing of them running; and one without."""

    site: Site
    tax: Owner
    health: Owner
    plain: Owner


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    home = Path(tempfile.mkdtemp(prefix="darkroom-parties-"))
    home.chmod(0o711)
    site = found_site(home / "site", 0)
    image = sandbox.find("sql").digest
    owners = [
        add_owner(site, domain, Titles(domain, domain), image, dict.fromkeys(Entry, CEILING))
        for domain in ("nm/tax", "nm/health", "nm/plain")
    ]
    for owner in owners[:2]:
        add_party(owner, Described("staff", "machine room"), Place("127.0.0.1:8471"))
    for owner in owners:
        launcher = sandbox.LauncherConfig.load(owner.launcher_settings)
        assert launcher.user is not None
        for place in ("income.parquet", "staging/source"):
            (owner.data / place).write_text("the rows")
            (owner.data / place).chmod(0o444)
            os.chown(owner.data / place, launcher.user, -1)
        secret = owner.launcher_home / "collected"
        secret.mkdir(mode=0o700)
        (secret / "opened.bin").write_text("sealed")
        for each in (secret, secret / "opened.bin"):
            os.chown(each, launcher.user, launcher.user)
    yield Town(site, *owners)
    shutil.rmtree(site.run, ignore_errors=True)
    shutil.rmtree(home)


def launcher_of(owner: Owner) -> sandbox.LauncherConfig:
    return sandbox.LauncherConfig.load(owner.launcher_settings)


def agent_of(owner: Owner) -> int:
    return AgentConfig.load(owner.agent_settings).own_user()


def tried(asked: dict[str, tuple[str, object]], **who: object) -> dict[str, bool]:
    """Try to do things as an agent, as a launcher, or as root."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE, json.dumps(asked), json.dumps(who)],
        env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, bool] = json.loads(done.stdout)
    return found


def listening(stack: ExitStack, path: Path, mode: int, owner: int = 0) -> None:
    """Stand for a process that listens at a socket."""
    end = stack.enter_context(socket.socket(socket.AF_UNIX))
    path.unlink(missing_ok=True)
    end.bind(str(path))
    end.listen(64)
    path.chmod(mode)
    os.chown(path, owner, -1)
    stack.callback(path.unlink)


def test_with_an_agents_user_nothing_but_its_own_can_be_had(town: Town) -> None:
    tax, health, site = town.tax, town.health, town.site
    keyring = next(path for path in (tax.folder / "keyring").rglob("*") if path.is_file())
    asked: dict[str, tuple[str, object]] = {
        "the owner's keyring": ("read", str(keyring)),
        "its folder": ("list", str(tax.folder / "keyring")),
        "the domain's root key": ("read", str(tax.root_key)),
        "the keeper's journal": ("list", str(tax.folder / "home")),
        "its own settings": ("read", str(tax.agent_settings)),
        "what its launcher signs with": ("read", str(tax.node / "key")),
        "data of the owner, by name": ("read", str(tax.data / "income.parquet")),
        "what the owner stages in clear": ("read", str(tax.data / "staging" / "source")),
        "the owner's data folder": ("list", str(tax.data)),
        "what boxes left": ("read", str(tax.launcher_home / "collected" / "opened.bin")),
        "the launcher's home": ("make", str(tax.launcher_home / "planted")),
        "a socket beside its keeper's": ("listen", str(tax.run / "planted")),
        "a socket beside its launcher's": ("listen", str(tax.run / "node" / "planted")),
        "another agent's key": ("read", str(health.agent_identity)),
        "another agent's sockets": ("list", str(health.agent_door.parent)),
        "the centre's database": ("read", str(site.centre / "centre.db")),
        "the user of its launcher": ("become", launcher_of(tax).user),
        "a process of root's": ("kill", os.getpid()),
        "its memory": ("trace", os.getpid()),
    }
    got = [name for name, succeeded in tried(asked, agent=agent_of(tax)).items() if succeeded]
    assert got == [], "an agent gets at these"
    asked.pop("the user of its launcher")
    assert all(tried(asked).values()), "the control: as root each of these succeeds"


def test_an_agent_reaches_its_keeper_and_the_open_door_of_its_launcher_and_no_desk(town: Town) -> None:
    with ExitStack() as stack:
        for owner in (town.tax, town.health):
            user = launcher_of(owner).user or 0
            for path, mode, whose in (
                (owner.keeper_socket, 0o666, 0), (owner.desk, 0o600, 0),
                (owner.launcher_socket, 0o660, user), (owner.launcher_owner_socket, 0o600, user),
            ):  # fmt: skip
                listening(stack, path, mode, whose)
        asked: dict[str, tuple[str, object]] = {
            "key": ("read", str(town.tax.agent_identity)),
            "door": ("listen", str(town.tax.agent_door)),
            "link": ("listen", str(town.tax.agent_links)),
            "keeper": ("connect", str(town.tax.keeper_socket)),
            "open": ("connect", str(town.tax.launcher_socket)),
            "desk": ("connect", str(town.tax.desk)),
            "owner": ("connect", str(town.tax.launcher_owner_socket)),
            "another keeper": ("connect", str(town.health.keeper_socket)),
            "another launcher": ("connect", str(town.health.launcher_socket)),
        }
        found = tried(asked, agent=agent_of(town.tax))
        assert [name for name, succeeded in found.items() if succeeded] == [
            "key",
            "door",
            "link",
            "keeper",
            "open",
        ]
        assert all(tried(asked).values()), "the control: root reaches all"


def test_a_launcher_reaches_its_own_agent_and_keeper_and_no_other(town: Town) -> None:
    config = launcher_of(town.tax)
    ids = config.own_ids()
    who = {"launcher": (ids.user, ids.first, ids.count)}
    with ExitStack() as stack:
        for owner in (town.tax, town.health):
            listening(stack, owner.agent_links, 0o666, agent_of(owner))
            listening(stack, owner.keeper_socket, 0o666)
        asked: dict[str, tuple[str, object]] = {
            "agent": ("connect", str(town.tax.agent_links)),
            "keeper": ("connect", str(town.tax.keeper_socket)),
            "own socket": ("listen", str(town.tax.launcher_socket)),
            "data": ("read", str(town.tax.data / "income.parquet")),
            "another agent": ("connect", str(town.health.agent_links)),
            "another keeper": ("connect", str(town.health.keeper_socket)),
            "agent's key": ("read", str(town.tax.agent_identity)),
        }
        found = tried(asked, groups=[config.side_group], **who)
        assert [name for name, succeeded in found.items() if succeeded] == [
            "agent",
            "keeper",
            "own socket",
            "data",
        ]
        without = tried(asked, groups=[], **who)
        assert not without["agent"] and not without["keeper"], "the control: it is the group that opens them"


def test_an_agents_user_is_no_boxs_and_no_other_sides(town: Town) -> None:
    used: set[int] = set()
    for place, owner in enumerate((town.tax, town.health, town.plain)):
        config = launcher_of(owner)
        ids = {config.user, *range(config.first_uid, config.first_uid + config.uid_count)}
        ids |= {agent_of(owner)} if owner.agent_settings.exists() else set()
        assert len(ids) == config.uid_count + 1 + owner.agent_settings.exists()
        first = users.owners_of(owner.site) + UIDS_PER_OWNER * place
        assert ids <= set(range(first, first + UIDS_PER_OWNER))
        assert not ids & used
        used |= {each for each in ids if each is not None}


def test_a_side_without_an_agent_opens_its_sockets_to_nobody_more(town: Town) -> None:
    assert launcher_of(town.plain).side_group is None
    status = town.plain.run.stat()
    assert (status.st_gid, status.st_mode & 0o7777) == (launcher_of(town.plain).user, 0o710)
    assert (town.plain.run / "node").stat().st_mode & 0o7777 == 0o700
