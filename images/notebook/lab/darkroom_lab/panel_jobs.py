"""Chosen cells of a saved notebook become a job's folder beside it; what is wrong is said in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from darkroom_lab.panel_pages import Page
from darkroom_lab.panel_queries import told
from darkroom_lab.panel_reading import Failure, NotReadError

_LARGEST_BODY = 256 * 2**10
_MOST_CELLS = 10_000


class MakeJob(Page):
    """The command "make a job of the chosen cells". It changes files of the member alone."""

    @authorized
    async def post(self) -> None:
        """Make the folder; answer with its path and notes, or with why there is none."""
        path, cells = _asked(self.request.body)
        notebook, root = self._within(path)
        try:
            made = await self.reading.run(lambda: _make(notebook, cells, self.reading))
        except NotReadError as problem:
            made = {"sentence": self.word(f"failed.{problem.failure.key}"), "where": "", "next_step": ""}
        made |= {
            name: told(made[name], self.language) for name in ("sentence", "next_step") if made.get(name)
        }
        if "folder" in made:
            made["folder"] = made["folder"].relative_to(root).as_posix()
        elif made["where"]:
            made["where"] = made["where"].replace(f"{root}/", "")
        self.set_header("Content-Type", "application/json")
        self.finish(made)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with one sentence, as JSON."""
        key = "failed.forbidden" if status_code in (400, 403, 404) else "failed.defect"
        self.set_header("Content-Type", "application/json")
        self.finish({"sentence": self.word(key), "where": "", "next_step": ""})

    def _within(self, path: str) -> tuple[Path, Path]:
        """Return the notebook's file and the folder that the lab shows; nothing outside of that is touched."""
        root = Path(self.settings["server_root_dir"]).expanduser().resolve()
        notebook = (root / path.lstrip("/")).resolve()
        if not notebook.is_relative_to(root) or notebook.suffix != ".ipynb":
            raise web.HTTPError(400)
        return notebook, root


def _asked(body: bytes) -> tuple[str, list[int]]:
    """Return which notebook and which cells are meant, by their places from 1; no cells: those that are tagged."""
    try:
        said = json.loads(body) if len(body) <= _LARGEST_BODY else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise web.HTTPError(400)
    path, cells = said.get("path"), said.get("cells", [])
    well = isinstance(cells, list) and len(cells) <= _MOST_CELLS and all(type(each) is int for each in cells)
    if not isinstance(path, str) or not path or "\0" in path or not well:
        raise web.HTTPError(400)
    return path, cells


def _make(notebook: Path, cells: list[int], reading: Any) -> dict[str, Any]:
    try:
        from darkroom.notebook import is_made_of, job_from
        from plans.errors import DarkroomError
    except ImportError:
        raise NotReadError(Failure("no-client")) from None
    there = [into for into in _folders(notebook) if is_made_of(into, notebook)]
    free = [into for into in _folders(notebook) if not os.path.lexists(into)]
    into = [*there, *free, *_folders(notebook)][0]
    try:
        made = job_from(notebook, into, cells=cells, replace=bool(there), ask=reading.room)
    except DarkroomError as problem:
        return {"sentence": f"{problem.what}.", "where": problem.where, "next_step": problem.next_step}
    return {"folder": into, "cells": list(made.cells), "notes": list(made.notes)}


def _folders(notebook: Path) -> tuple[Path, Path]:
    """Return where a notebook's job goes: a folder of its own name, and one that no other notebook's name leads to."""
    plain = re.sub(r"[^\w-]+", "-", notebook.stem).strip("-") or "notebook"
    own = hashlib.sha256(notebook.name.encode(errors="surrogateescape")).hexdigest()[:8]
    return notebook.with_name(f"{plain}-job"), notebook.with_name(f"{plain}-{own}-job")
