"""The owner's launcher, as its keeper hears it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from plans.statements import Signed
from sandbox import api as sandbox


class OwnLauncher(sandbox.LauncherClient):
    """A launcher behind its socket, whose records count only under a signature that `vouch` accepts.

    A socket is a path: whoever can replace it could answer in the launcher's place, and have a harmful
    statement read as a harmless one.
    """

    def __init__(self, path: Path, vouch: Callable[[Signed], None]) -> None:
        super().__init__(path)
        self._vouch = vouch

    def run(self, *question: Any, **more: Any) -> sandbox.StageResult:
        """Run a stage, as the client of every launcher does.

        Raises:
            SignatureWrong: the record was not made by a launcher of the roster.
            DarkroomError: whatever the launcher answers with.
        """
        result = super().run(*question, **more)
        self._vouch(result.record)
        return result
