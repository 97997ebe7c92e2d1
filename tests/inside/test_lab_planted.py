"""What somebody else has put into a member's home, or beside a notebook, does not run by itself."""

from __future__ import annotations

import json

import pytest

from tests.e2e.jupyter_wire import Kernel
from tests.inside import lab_world
from tests.inside.test_lab_boxes import NOTEBOOK, Lab, lab, notebook
from tests.sandbox.side import eventually

__all__ = ["lab", "notebook"]
pytestmark = [pytest.mark.box, pytest.mark.timeout(600)]

PLANTED = "open('/tmp/ran', 'a').write(__name__ + ' ')\n"
MODULES = ("darkroom", "darkroom_lab", "socket", "ipykernel", "IPython", "contextlib", "plans", "mine")

PLANT = f"""
import os
os.makedirs('shared')
for name in {MODULES!r}:
    os.makedirs('shared/' + name) if name in ('plans', 'darkroom_lab') else None
    at = name + '/__init__' if name in ('plans', 'darkroom_lab') else name
    open('shared/' + at + '.py', 'w').write({PLANTED!r})
open('shared/darkroom_lab/launch.py', 'w').write({PLANTED!r})
"""

LOOK = """
import json
import darkroom, os
ran = open('/tmp/ran').read() if os.path.exists('/tmp/ran') else ''
import mine
print(json.dumps([darkroom.__file__, ran, open('/tmp/ran').read(), os.getcwd()]))
"""


def test_opening_a_notebook_runs_nothing_that_lies_beside_it(lab: Lab) -> None:
    """The control is a module that the notebook asks for, which is found and runs."""
    lab.visitor.kernel().run(PLANT)
    made = lab.visitor.ask("PUT", "api/contents/shared/some.ipynb", {"type": "notebook", "content": NOTEBOOK})
    assert made.status_code == 201, made.text
    session = {"path": "shared/some.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    begun = lab.visitor.ask("POST", "api/sessions", session)
    told = Kernel(lab.visitor, begun.json()["kernel"]["id"]).run(LOOK)
    where, ran, then, folder = json.loads(told.text)
    assert where.startswith("/box/client/darkroom/") and ran == ""
    assert then == "mine " and folder.endswith("/shared")


def test_a_planted_template_is_no_program_of_the_server(lab: Lab) -> None:
    """Jupyter looks for templates in the folder where its server runs, which is the member's home."""
    lab.visitor.kernel().run(
        "import os; os.makedirs('lab')\n"
        "open('lab/index.html.j2', 'w').write(\"{{ cycler.__init__.__globals__.os.getpid() }} planted\")"
    )
    lab.visitor.ask("PUT", "api/contents/some.ipynb", {"type": "notebook", "content": NOTEBOOK})
    shown = lab.visitor.ask("GET", "nbconvert/html/some.ipynb")
    assert shown.status_code == 200 and "planted" not in shown.text and "jp-Notebook" in shown.text


def test_the_servers_own_token_is_not_in_what_kernels_and_terminals_print(lab: Lab) -> None:
    """It may act at the Hub in the member's name; a document with `!env` in it goes to reviewers."""
    told = lab.visitor.kernel().run("import os, subprocess; print(os.environ, subprocess.getoutput('env'))")
    assert lab_world.USER in told.text and "token-of-the-server" not in told.text
    printed = lab.visitor.terminal("env")
    assert lab_world.USER in printed and "token-of-the-server" not in printed
    eventually(
        lambda: any("activity" in path and token == "token-of-the-server" for path, token in lab.hub.asked),
    )
