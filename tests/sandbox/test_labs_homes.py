"""The administrator's questions to a launcher of labs, at a door that nobody else passes."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from plans.errors import NotAllowed, StateConflict
from plans.labs import home_of
from sandbox.client import LauncherClient
from sandbox.kept_homes import Kept
from tests.sandbox.labs_side import MEMBER, Beside, LabSide, lab_plan
from tests.sandbox.side import eventually, launched

pytestmark = pytest.mark.box

LEAVES = "def run(session):\n    open(HOME + '/mine', 'wb').write(b'x' * 3000)\n"
STAYS = """
import os, time
def run(session):
    open(HOME + "/here", "w").close()
    while not os.path.exists(HOME + "/go"):
        time.sleep(0.05)
"""
TELLS = "import os\ndef run(session):\n    return os.listdir(HOME)\n"


def test_a_home_is_listed_and_erased_by_the_administrator_alone(labs: LabSide, probe_image) -> None:
    door = labs.config.socket.with_name("owner")
    side = replace(labs, side=replace(labs.side, config=replace(labs.config, owner_socket=door)))
    owner, name = LauncherClient(door), home_of(MEMBER)
    with launched(side.side):
        side.run(lab_plan(probe_image.digest), LEAVES)
        for asked in (labs.client.homes, lambda: labs.client.erase_home(name)):
            with pytest.raises(NotAllowed, match="administrator"):
                asked()
        assert owner.homes() == (Kept(name, 1, 1, False),)
        living = Beside(side.client, side.put(lab_plan(probe_image.digest), STAYS))
        eventually(lambda: (side.home() / "here").exists(), 60)
        assert owner.homes(count=False)[0].in_use
        with pytest.raises(StateConflict):
            owner.erase_home(name)
        (side.home() / "go").touch()
        living.end()
        assert "mine" in side.run(lab_plan(probe_image.digest), TELLS), "the control"
        owner.erase_home(name)
        assert owner.homes() == ()
        assert side.run(lab_plan(probe_image.digest), TELLS) == []


def test_a_copy_that_is_put_back_as_the_manual_says_is_the_members_home_again(
    labs: LabSide, probe_image
) -> None:
    door = labs.config.socket.with_name("owner")
    side = replace(labs, side=replace(labs.side, config=replace(labs.config, owner_socket=door)))
    homes, name = labs.config.home / "homes", home_of(MEMBER)
    copy = labs.config.home.parent / "backup"
    with launched(side.side):
        side.run(lab_plan(probe_image.digest), LEAVES)
        subprocess.run(["/bin/cp", "-a", side.home(), copy], check=True)
        LauncherClient(door).erase_home(name)
        (homes / "restored").mkdir(0o711)
        subprocess.run(["/bin/cp", "-a", copy, homes / "restored" / name], check=True)
        subprocess.run(
            ["/bin/chown", "-R", f"--reference={labs.config.home}", homes / "restored"], check=True
        )
        assert side.run(lab_plan(probe_image.digest), TELLS) == ["mine"]
        assert not (homes / "restored").exists(), "it moved to where homes are"
