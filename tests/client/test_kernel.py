"""In a real kernel, over real Jupyter messages: hidden prompts, cards, progress, and no passphrase in any message."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import PASSPHRASE, Town
from tests.portal.region import OWNER, release

pytest.importorskip("ipykernel")
manager = pytest.importorskip("jupyter_client.manager")

MEI = "mei@nm/centre"
ROOT = Path(__file__).resolve().parents[2]
SQL = "select region, count(*) as n from tax.income group by region"
LONGEST_S = 150


class Kernel:
    """A kernel and all the messages that it sent; its prompts are answered with a passphrase."""

    def __init__(self, client: Any) -> None:
        self.client, self.messages, self.prompts = client, list[dict[str, Any]](), list[dict[str, Any]]()
        self.answers = [PASSPHRASE]

    def run(self, code: str) -> dict[str, Any]:
        """Run a cell and return the reply."""
        reply: dict[str, Any] = self.client.execute_interactive(
            code, timeout=LONGEST_S, output_hook=self.messages.append, stdin_hook=self._prompted
        )
        self.messages.append(reply)
        return dict(reply["content"])

    def _prompted(self, message: dict[str, Any]) -> None:
        self.prompts.append(message["content"])
        self.messages.append(message)
        self.client.input(self.answers.pop(0))

    def shown(self, kind: str) -> list[dict[str, Any]]:
        """Return the contents of messages of a type."""
        return [each["content"] for each in self.messages if each["header"]["msg_type"] == kind]

    @property
    def text(self) -> str:
        return json.dumps(self.messages, default=str, ensure_ascii=False)


Start = Callable[[], Kernel]


@pytest.fixture
def start(town: Town, tmp_path: Path) -> Iterator[Start]:
    """Start a kernel of Mei's, as `darkroom login` left this machine."""
    started: list[Any] = []

    def start_() -> Kernel:
        town.home(MEI).trust(OWNER, town.region.keeper.public)
        kernel = manager.KernelManager(kernel_name="python3")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}
        environment |= {
            "PYTHONPATH": f"{ROOT / 'client'}:{ROOT}",
            "DARKROOM_HOME": str(town.home(MEI).folder),
            "DARKROOM_LANG": "zh",
            "IPYTHONDIR": str(tmp_path / "ipython"),
        }
        kernel.start_kernel(env=environment, cwd=str(tmp_path))
        client = kernel.client()
        started.extend((client, kernel))
        client.start_channels()
        client.wait_for_ready(timeout=LONGEST_S)
        client.parent = kernel
        return Kernel(client)

    yield start_
    for client, kernel in zip(started[::2], started[1::2], strict=True):
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def test_a_members_way_in_a_kernel(town: Town, start: Start, tmp_path: Path) -> None:
    kernel = start()
    assert kernel.run("%load_ext darkroom\nimport darkroom")["status"] == "ok"
    assert kernel.run("darkroom.datasets()")["status"] == "ok"
    assert "text/html" in kernel.shown("execute_result")[-1]["data"]

    said = kernel.run(
        f"%xmode Verbose\njob = darkroom.sql({SQL!r}, on='real', project='housing', purpose='Study of rents')"
    )
    assert said["status"] == "ok" and [prompt["password"] for prompt in kernel.prompts] == [True]
    [job] = town.connection(MEI).jobs()
    release(town.region, job.id)
    kernel.run("job.result()")
    html = kernel.shown("execute_result")[-1]["data"]["text/html"]
    assert "Baotou" in html and "隐去" in html and "▒" in html

    said = kernel.run("darkroom.describe('nm/tax/nothing')")
    card = kernel.shown("display_data")[-1]["data"]
    assert (
        said["status"] == "error"
        and "thing.not-found" in card["text/html"]
        and "向谁" not in card["text/html"]
    )
    assert "wire.py" not in json.dumps(said) and len(kernel.prompts) == 1

    assert kernel.run("darkroom.try_it()")["status"] == "ok"
    kernel.run("%tb")
    kernel.run("darkroom.last_traceback()")
    written = b"".join(path.read_bytes() for path in (tmp_path / "ipython").rglob("*") if path.is_file())
    assert PASSPHRASE not in kernel.text and PASSPHRASE.encode() not in written


def test_a_notebook_that_runs_unattended_says_what_to_set(start: Start) -> None:
    kernel = start()
    kernel.run("%load_ext darkroom\nimport darkroom")
    number = kernel.client.execute("darkroom.unlock()", allow_stdin=False)
    reply = kernel.client.get_shell_msg(timeout=LONGEST_S)
    while reply["parent_header"].get("msg_id") != number:
        reply = kernel.client.get_shell_msg(timeout=LONGEST_S)
    assert (
        reply["content"]["ename"] == "WrongPassphrase" and "DARKROOM_PASSPHRASE" in reply["content"]["evalue"]
    )


def test_the_control_a_passphrase_that_a_cell_prints_is_seen(start: Start) -> None:
    kernel = start()
    kernel.run(f"print({PASSPHRASE!r})")
    assert PASSPHRASE in kernel.text


def test_an_interrupt_in_a_kernel_ends_the_watching_alone(town: Town, start: Start) -> None:
    kernel = start()
    kernel.run("%load_ext darkroom\nimport darkroom\ndarkroom.unlock()")
    number = kernel.client.execute(
        f"%%darkroom --on real --project housing --purpose 'Study of rents'\n{SQL}"
    )
    shown: list[dict[str, Any]] = []
    while not shown:
        message = kernel.client.get_iopub_msg(timeout=LONGEST_S)
        shown += [message] if message["header"]["msg_type"] == "display_data" else []
    assert "已提交" in shown[0]["content"]["data"]["text/plain"]
    kernel.client.parent.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=LONGEST_S)
    while reply["parent_header"]["msg_id"] != number:
        reply = kernel.client.get_shell_msg(timeout=LONGEST_S)
    [job] = town.connection(MEI).jobs()
    assert reply["content"]["status"] == "error" and reply["content"]["traceback"] == []
    assert job.state == "submitted"
    release(town.region, job.id)
    assert kernel.run(f"darkroom.job({job.id!r}).state")["status"] == "ok"
