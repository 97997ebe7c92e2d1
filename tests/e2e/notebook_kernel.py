"""A notebook of `examples/notebooks` in one real kernel outside a lab: its cells in order, and what each ended with.

A mark `# %% tags=["refused:CODE"]` says that the cell ends with an error of that code; one of a cell of text, such as
`tags=["somebody-grants"]`, that somebody else acts there, before the next cell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from darkroom.notebook_text import cells_of
from darkroom.profile import Profile
from examples.story.people import Person

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "examples" / "notebooks"
LONGEST_CELL_S = 300

_MARK = re.compile(r"^# ?%%(?=\s|$).*$", re.MULTILINE)
_TAG = re.compile(r'tags=\["([^"]+)"\]')
_LISTEN = """
%load_ext darkroom
_dr_code = [""]
def _dr_ended(result):
    problem = result.error_before_exec or result.error_in_exec
    _dr_code[0] = "" if problem is None else getattr(problem, "code", type(problem).__name__)
get_ipython().events.register("post_run_cell", _dr_ended)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """A cell: its kind and text, and its tag, empty if it has none."""

    kind: str
    source: str
    tag: str

    @property
    def refusal(self) -> str:
        """The code of the error that a person meets here; empty if none."""
        return self.tag.removeprefix("refused:") if self.tag.startswith("refused:") else ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a cell of code ended with: the error's code, and all that it showed."""

    cell: Told
    code: str
    shown: str


@dataclass(slots=True)
class Reader:
    """Who works through a notebook, where; `acts` says what somebody else does at a tag."""

    person: Person
    folder: Path
    acts: Mapping[str, Callable[[], object]] = field(default_factory=dict)


def told(name: str) -> list[Told]:
    """Return the cells of a notebook's text, each with its tag."""
    text = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    marks = [found[0] for found in _MARK.finditer(text)]
    cells = cells_of(text)
    assert len(marks) == len(cells), "every cell begins with a mark"
    tags = [(_TAG.findall(mark) or [""])[0] for mark in marks]
    return [Told(cell.kind, cell.source, tag) for cell, tag in zip(cells, tags, strict=True)]


def read_through(name: str, reader: Reader, only: Callable[[Told], bool] = lambda cell: True) -> list[Seen]:
    """Run the cells of a notebook that are `only`, and return what was seen; somebody else acts where it says so."""
    found: list[Seen] = []
    with _kernel(reader) as client:
        for cell in filter(only, told(name)):
            if cell.kind == "code":
                found.append(_run(client, cell))
            elif cell.tag:
                reader.acts[cell.tag]()
    return found


def wrong(seen: list[Seen]) -> list[str]:
    """Return the cells that ended with another error than their tag names, each with what it showed."""
    return [
        f"{each.cell.source}\n→ {each.code or 'no error'}, not {each.cell.refusal or 'none'}\n{each.shown[-3000:]}"
        for each in seen
        if each.code != each.cell.refusal
    ]


@contextmanager
def _kernel(reader: Reader) -> Iterator[Any]:
    """Start a kernel as on the person's own machine: signed in; a passphrase in the environment opens keys."""
    person = reader.person
    wire = person.connection._wire
    person.home.save(Profile(wire.url, person.name, wire.token))
    reader.folder.mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}
    environment |= {
        "PYTHONPATH": f"{ROOT / 'client'}:{ROOT}",
        "DARKROOM_HOME": str(person.home.folder),
        "DARKROOM_PASSPHRASE": person.passphrase,
        "IPYTHONDIR": str(reader.folder / "ipython"),
    }
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(env=environment, cwd=str(reader.folder))
    client = kernel.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=LONGEST_CELL_S)
        client.execute_interactive(_LISTEN, timeout=LONGEST_CELL_S, output_hook=lambda message: None)
        yield client
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def _run(client: Any, cell: Told) -> Seen:
    shown: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        data = content.get("data") or {}
        shown.append(str(data.get("text/plain") or content.get("text") or content.get("evalue") or ""))
        shown.extend([str(data.get("text/html") or ""), *content.get("traceback", ())])

    reply = client.execute_interactive(
        cell.source,
        timeout=LONGEST_CELL_S,
        output_hook=hear,
        allow_stdin=False,
    )
    code = ""
    if reply["content"]["status"] != "ok":
        asked = client.execute_interactive(
            "",
            silent=True,
            store_history=False,
            user_expressions={"code": "_dr_code[0]"},
            timeout=LONGEST_CELL_S,
        )
        code = str(asked["content"]["user_expressions"]["code"]["data"]["text/plain"]).strip("'")
    return Seen(cell, code, "\n".join(filter(None, shown)))
