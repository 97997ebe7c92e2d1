"""Members' folders, each once, by its digest: a job names the folder, and its plan is stored without it.

Jobs are read many times a second and folders are megabytes; so the two lie in tables of their own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from store import tables
from store.database import Session
from store.lines import Lines


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A folder: the digest and the canonical text of its `plans.trial.Folder`."""

    digest: str
    content: str
    created_at: int


_lines = Lines(tables.folders, FolderRow, "digest", "folder")
get, find = _lines.get, _lines.find


def keep(session: Session, digest: str, content: str) -> None:
    """Keep a folder, unless it is there."""
    if find(session, digest) is None:
        _lines.add(session, FolderRow(digest, content, int(time.time())))
