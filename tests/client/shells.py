"""An IPython shell in this process, for tests of what the client adds to one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from darkroom import session, unlocking
from tests.client.conftest import Town
from tests.portal.region import OWNER

IPython = pytest.importorskip("IPython")

MEI, BO = "mei@nm/centre", "bo@nm/tax"


@dataclass
class Sheets:
    """What a shell displayed, in order, as bundles; an update has taken the place of what it updates."""

    shown: list[dict[str, Any]] = field(default_factory=list)
    updates: int = 0

    def publish(self, data: dict[str, Any], metadata: Any = None, **rest: Any) -> None:
        """Take one display."""
        if rest.get("update"):
            self.updates += 1
            self.shown[-1] = data
        else:
            self.shown.append(data)

    @property
    def text(self) -> str:
        """All of it, as text and as HTML."""
        return "\n".join(f"{each.get('text/plain', '')}\n{each.get('text/html', '')}" for each in self.shown)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A shell with the client's extension, whose displays are kept in `shell.sheets`."""
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.sheets = Sheets()
    monkeypatch.setattr(made.display_pub, "publish", made.sheets.publish)
    made.run_line_magic("load_ext", "darkroom")
    yield made
    made.run_line_magic("unload_ext", "darkroom")
    made.history_manager.end_session()
    InteractiveShell.clear_instance()


def as_notebook(made: Any) -> None:
    """Let a shell look like a notebook's kernel, whose prompt hides what is typed."""
    made.kernel = SimpleNamespace(_allow_stdin=True)


@pytest.fixture
def signed_in(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """The functions of `darkroom` speak for Mei, who trusts the keeper."""
    unlocking.forget()
    session.forget()
    monkeypatch.setitem(session._open, "default", town.connection(MEI))
    session.connection().trust_keeper(OWNER, town.region.keeper.public)
    yield town
    session.forget()
    unlocking.forget()
