"""The administrator's questions to a launcher of labs, at a door that nobody else passes."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from plans.errors import NotAllowed, StateConflict
from plans.labs import home_of
from sandbox.client import LauncherClient
from sandbox.kept_homes import Kept
from tests.sandbox.labs_side import MEMBER, Beside, LabSide, lab_plan, labs
from tests.sandbox.side import eventually, launched, side

__all__ = ["labs", "side"]
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


def with_door(labs: LabSide) -> tuple[Path, LabSide]:
    """The labs' side with a door for the administrator."""
    door = labs.config.socket.with_name("owner")
    return door, replace(labs, side=replace(labs.side, config=replace(labs.config, owner_socket=door)))


def test_a_home_is_listed_and_erased_by_the_administrator_alone(labs: LabSide, probe_image) -> None:
    door, operated = with_door(labs)
    owner, name = LauncherClient(door), home_of(MEMBER)
    with launched(operated.side):
        operated.run(lab_plan(probe_image.digest), LEAVES)
        for asked in (labs.client.homes, lambda: labs.client.erase_home(name)):
            with pytest.raises(NotAllowed, match="administrator"):
                asked()
        assert owner.homes() == (Kept(name, 1, 1, False),)
        living = Beside(operated.client, operated.put(lab_plan(probe_image.digest), STAYS))
        eventually(lambda: (operated.home() / "here").exists(), 60)
        assert owner.homes(count=False)[0].in_use
        with pytest.raises(StateConflict):
            owner.erase_home(name)
        (operated.home() / "go").touch()
        living.end()
        assert "mine" in operated.run(lab_plan(probe_image.digest), TELLS), "the control"
        owner.erase_home(name)
        assert owner.homes() == ()
        assert operated.run(lab_plan(probe_image.digest), TELLS) == []


def test_a_copy_that_is_put_back_as_the_manual_says_is_the_members_home_again(
    labs: LabSide, probe_image
) -> None:
    door, operated = with_door(labs)
    homes, name = labs.config.home / "homes", home_of(MEMBER)
    copy = labs.config.home.parent / "backup"
    with launched(operated.side):
        operated.run(lab_plan(probe_image.digest), LEAVES)
        subprocess.run(["/bin/cp", "-a", operated.home(), copy], check=True)
        LauncherClient(door).erase_home(name)
        (homes / "restored").mkdir(0o711)
        subprocess.run(["/bin/cp", "-a", copy, homes / "restored" / name], check=True)
        subprocess.run(
            ["/bin/chown", "-R", f"--reference={labs.config.home}", homes / "restored"], check=True
        )
        assert operated.run(lab_plan(probe_image.digest), TELLS) == ["mine"]
        assert not (homes / "restored").exists(), "it moved to where homes are"
