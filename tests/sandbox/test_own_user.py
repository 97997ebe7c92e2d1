"""The launcher's own user: with its identity nobody gets at keepers, the centre, other owners or the host.

Each attack is tried twice, by the same program: with the launcher's identity, where it must fail, and as root, which
is what a launcher was before; that is the control.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from plans.box import Entry, Input
from plans.errors import NotAllowed, SettingsWrong
from plans.statements import StageRecord
from sandbox import api, own_user
from sandbox.own_user import OwnIds
from server.enrolment import Titles, add_owner, found_site
from server.site import Owner, Site
from tests.sandbox.side import CEILING, FIRST, ROOT, USER, Side, launched, side, sql_plan

__all__ = ["side"]
SIDE = 64_950
"""The group that a launcher shares with the agent of its side."""
pytestmark = [
    pytest.mark.box,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a launcher that has a user of its own"),
]


@dataclass(frozen=True)
class Town:
    """A site with two owners, nothing of it running, and what stands for a keeper: a process of root's."""

    site: Site
    tax: Owner
    health: Owner
    keeper: subprocess.Popen[bytes]

    @property
    def tax_ids(self) -> OwnIds:
        """The ids of the tax owner's launcher."""
        return _ids(self.tax)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """Two owners on one machine."""
    home = Path(tempfile.mkdtemp(prefix="darkroom-users-"))
    home.chmod(0o711)
    site = found_site(home / "site", 0)
    image = api.find("sql").digest
    owners = [
        add_owner(site, domain, Titles(domain, domain), image, dict.fromkeys(Entry, CEILING))
        for domain in ("nm/tax", "nm/health")
    ]
    for owner in owners:
        for place in ("income.parquet", "staging/source"):
            (owner.data / place).write_text("the rows")
            (owner.data / place).chmod(0o444)
            os.chown(owner.data / place, _ids(owner).user, -1)
    keeper = subprocess.Popen(["/bin/sleep", "6000"], env={"SECRET": "the key"})
    yield Town(site, owners[0], owners[1], keeper)
    keeper.kill()
    keeper.wait()
    shutil.rmtree(site.run)
    shutil.rmtree(home)


def _ids(owner: Owner) -> OwnIds:
    content = json.loads(owner.launcher_settings.read_text())
    return OwnIds(content["user"], content["first_uid"], content["uid_count"])


PROBE = """
import ctypes, json, os, signal, socket, stat, sys
from pathlib import Path
from sandbox import own_user

asked, mode = json.loads(sys.argv[1]), sys.argv[2]

def connect(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(path)

def become(uid):
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(uid, uid, uid)
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise PermissionError

def give_away(path, uid):
    Path(path).touch()
    try:
        os.chown(path, uid, -1)
    finally:
        os.unlink(path)

def link(source, target):
    os.link(source, target)
    os.unlink(target)

def mount(path):
    if ctypes.CDLL(None, use_errno=True).mount(b"none", path.encode(), b"tmpfs", 0, None) != 0:
        raise PermissionError
    ctypes.CDLL(None).umount(path.encode())

ways = {
    "read": lambda path: Path(path).open("rb").read(1), "list": os.listdir,
    "make": lambda path: (Path(path).touch(), os.unlink(path)), "kill": lambda pid: os.kill(pid, 0),
    "become": become, "give": give_away, "connect": connect, "link": link, "mount": mount,
    "trace": lambda pid: os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY)),
}
if mode != "root":
    own_user.become(own_user.OwnIds(*map(int, mode.split(","))))
found = {}
for name, (way, *arguments) in asked.items():
    try:
        ways[way](*arguments)
        found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(found))
"""


def tried(asked: dict[str, tuple], ids: OwnIds | None) -> dict[str, bool]:
    """Try to do things with the identity of a launcher, or as root."""
    mode = "root" if ids is None else f"{ids.user},{ids.first},{ids.count}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE, json.dumps(asked), mode],
        env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def attacks(town: Town) -> dict[str, tuple]:
    tax, health, site = town.tax, town.health, town.site
    keyring = next(path for path in (tax.folder / "keyring").rglob("*") if path.is_file())
    return {
        "the owner's keyring": ("read", str(keyring)),
        "its folder": ("list", str(tax.folder / "keyring")),
        "the domain's root key": ("read", str(tax.root_key)),
        "the keeper's journal": ("list", str(tax.folder / "home")),
        "its own signing key on disk": ("read", str(tax.node / "key")),
        "the centre's database": ("read", str(site.centre / "centre.db")),
        "the log's key": ("read", str(site.log_key)),
        "the centre's folder": ("list", str(site.centre)),
        "what is in the owner's data folder, unnamed": ("list", str(tax.data)),
        "a new file in the owner's data folder": ("make", str(tax.data / "planted")),
        "another owner's data": ("read", str(health.data / "income.parquet")),
        "what another owner stages in clear": ("read", str(health.data / "staging" / "source")),
        "another launcher's home": ("make", str(health.launcher_home / "planted")),
        "another launcher's boxes": ("become", _ids(health).first),
        "another launcher's user": ("become", _ids(health).user),
        "a file for somebody else": ("give", str(tax.launcher_home / "gift"), 65533),
        "the keeper's environment": ("read", f"/proc/{town.keeper.pid}/environ"),
        "the keeper's memory": ("trace", town.keeper.pid),
        "the keeper's life": ("kill", town.keeper.pid),
        "the host's passwords": ("read", "/etc/shadow"),
        "a mount": ("mount", str(tax.launcher_home)),
    }


def test_with_a_launchers_identity_nothing_of_others_can_be_had(town: Town) -> None:
    asked = attacks(town)
    got = [name for name, succeeded in tried(asked, town.tax_ids).items() if succeeded]
    assert got == [], "a launcher gets at these"
    assert all(tried(asked, None).values()), "the control: as root each of these succeeds"


def test_what_a_launcher_needs_it_can_do(town: Town) -> None:
    tax, home = town.tax, town.tax.launcher_home
    needed = {
        "its home": ("make", str(home / "note")),
        "a socket's folder": ("make", str(tax.run / "node" / "note")),
        "its boxes' users": ("become", town.tax_ids.first),
        "the last of them": ("become", town.tax_ids.first + town.tax_ids.count - 1),
        "a file for a box": ("give", str(home / "file"), town.tax_ids.first),
        "data that a plan names": ("link", str(tax.data / "income.parquet"), str(home / "link")),
        "a staged file": ("link", str(tax.data / "staging" / "source"), str(home / "link")),
    }
    assert all(tried(needed, town.tax_ids).values())


def test_only_its_own_keeper_can_be_reached(town: Town) -> None:
    with socket.socket(socket.AF_UNIX) as tax, socket.socket(socket.AF_UNIX) as health:
        for end, owner in ((tax, town.tax), (health, town.health)):
            end.bind(str(owner.keeper_socket))
            end.listen()
            owner.keeper_socket.chmod(0o666)
        asked = {
            "own": ("connect", str(town.tax.keeper_socket)),
            "another": ("connect", str(town.health.keeper_socket)),
        }
        assert tried(asked, town.tax_ids) == {"own": True, "another": False}
        assert tried(asked, None) == {"own": True, "another": True}


def test_a_strangers_user_reaches_no_folder_of_a_side(town: Town) -> None:
    stranger = OwnIds(64900, 64901, 1)
    places = {
        "data": ("read", str(town.tax.data / "income.parquet")),
        "staged": ("read", str(town.tax.data / "staging" / "source")),
        "sockets": ("list", str(town.tax.run)),
        "launcher's sockets": ("list", str(town.tax.run / "node")),
        "plans": ("list", str(town.tax.launcher_home)),
    }
    assert not any(tried(places, stranger).values())
    assert all(tried(places, None).values())


def test_a_launchers_memory_is_closed_to_its_own_user_too(side: Side) -> None:
    """It holds the signing key. What escapes from a box is another user anyway; this is for what becomes this one."""
    with launched(side) as process:
        assert side.client.status()["own_user"] is True
        assert (Path(f"/proc/{process.pid}/status").read_text().split("Uid:")[1].split()[0]) == str(USER)
        look = [sys.executable, "-c", f"open('/proc/{process.pid}/mem', 'rb')"]
        same = subprocess.run(
            ["/usr/bin/setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "/bin/sh", "-c",
             f"exec 3< /proc/{process.pid}/mem"], capture_output=True, check=False,
        )  # fmt: skip
        assert same.returncode != 0
        assert subprocess.run(look, check=False).returncode == 0, "the control: root can"


def test_a_file_of_the_launchers_is_linked_into_a_box_and_another_is_copied(side: Side, probe_image) -> None:
    code = "import os\ndef run(session):\n    assert os.stat(session.inputs['data.parquet']).st_nlink == {}\n"
    for owner, links in ((USER, 2), (0, 1)):
        data = side.config.data_folder / "data.parquet"
        data.unlink(missing_ok=True)
        data.write_bytes(b"encrypted")
        data.chmod(0o444)
        os.chown(data, owner, -1)
        found = Input("data.parquet", "sha256:" + hashlib.sha256(b"encrypted").hexdigest())
        plan = sql_plan(probe_image.digest, code.format(links), query_inputs=(found,))
        with launched(side):
            side.client.put(plan)
            record = side.client.run(plan.digest, Entry.QUERY, 1).record
        assert StageRecord.read(record.statement.body).inputs[0].name == "data.parquet"
        assert (data.stat().st_uid, stat.S_IMODE(data.stat().st_mode)) == (owner, 0o444)


def test_a_box_is_in_no_group_that_its_launcher_shares_with_others_of_its_side(
    side: Side, probe_image
) -> None:
    config = replace(side.config, side_group=SIDE)
    plan = sql_plan(probe_image.digest, "import os\ndef run(session):\n    assert os.getgroups() == []\n")
    with launched(replace(side, config=config)) as process:
        groups = Path(f"/proc/{process.pid}/status").read_text().partition("Groups:")[2].partition("\n")[0]
        assert groups.split() == [str(SIDE)], "the control: the launcher is"
        side.client.put(plan)
        side.client.run(plan.digest, Entry.QUERY, 1)


def test_a_box_that_escaped_cannot_ask_its_launcher(side: Side) -> None:
    """Even if it could reach the socket: the folder is opened here, as no site does."""
    ask = "\n".join(
        [
            f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); 'x'.encode('utf-16-be')",
            "from pathlib import Path; from plans import frames",
            "os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})",
            "print(frames.ask(Path({path!r}), {{'op': 'status'}})['node'])",
        ]
    )
    with launched(side):
        side.config.socket.parent.chmod(0o711)
        side.config.socket.chmod(0o666)
        answers = [
            subprocess.run(
                [sys.executable, "-c", ask.format(uid=uid, path=str(side.config.socket))],
                capture_output=True, text=True, check=False,
            )
            for uid in (FIRST, 0)
        ]  # fmt: skip
    assert NotAllowed.__name__ in answers[0].stderr and "may not ask" in answers[0].stderr
    assert answers[1].stdout.strip() == "node1", "the control: root may"


@pytest.mark.parametrize(
    ("user", "first", "count"), [(0, 64101, 4), (64102, 64101, 4), (64100, 999, 4), (64100, 64101, 0)]
)
def test_ids_that_overlap_or_are_the_hosts_are_refused(user: int, first: int, count: int) -> None:
    with pytest.raises(SettingsWrong):
        OwnIds(user, first, count)


def test_a_launcher_that_root_starts_without_a_user_does_not_start(side: Side) -> None:
    settings = side.config.home.parent / "l.json"
    side.config.save(settings)
    content = json.loads(settings.read_text())
    settings.write_text(json.dumps({**content, "user": None}))
    done = started(settings)
    assert done.returncode == SettingsWrong.exit_code and "does not run as root" in done.stderr
    assert side.boxes == [] if (side.config.home / "boxes").exists() else True


def test_ids_that_this_machine_has_not_are_named(side: Side) -> None:
    """As in a container that was given few ids: here, in a namespace that has none of them."""
    inner = "\n".join(
        [
            f"import sys; sys.path.insert(0, {str(ROOT)!r})",
            "from sandbox import own_user; from plans.errors import SettingsWrong",
            "own_user.become(own_user.OwnIds(64900, 64901, 4))",
            "try: own_user.become(own_user.OwnIds(64100, 64101, 4))",
            "except SettingsWrong as problem: print(problem)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", inner], capture_output=True, text=True, check=False)
    assert "these user ids do not exist here" in done.stdout, done.stderr


def test_images_that_others_could_change_are_refused_before_anything_starts(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir(mode=0o755)
    own_user.require_roots(folder)  # the control
    folder.chmod(0o777)
    with pytest.raises(SettingsWrong, match="others than root could change images"):
        own_user.require_roots(folder)
    folder.chmod(0o755)
    os.chown(folder, USER, -1)
    with pytest.raises(SettingsWrong):
        own_user.require_roots(folder)


def started(settings: Path) -> subprocess.CompletedProcess[str]:
    """A launcher that is expected to end by itself."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-P", "-m", "sandbox.launcher", str(settings)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
