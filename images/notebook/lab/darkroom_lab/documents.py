"""The server's keeper of documents: those that a browser could not hold are refused, and a full home is told.

A document is read into the server's memory and then into the browser's; one of 2 GB would end both. Larger files stay
where they are: kernels read them, and they can be downloaded, which streams.
"""

from __future__ import annotations

import os
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

from darkroom_lab import home

LARGEST_MB = 64
_MIB = 2**20

TOO_LARGE = (
    "{name} has {size_mb:,} MB, and documents of more than {most} MB are not opened here. Read it from a notebook, or"
    " download it with a right click. 该文件超过 {most} MB，无法在此打开；请在笔记本中用代码读取，或右键下载。"
)
TOO_LARGE_TO_SAVE = (
    "This document has {size_mb:,} MB, and at most {most} MB are saved. Clear large outputs (Edit, Clear Outputs) and"
    " save again; what was saved before is unchanged. 文档超过 {most} MB，未能保存；请清除较大的输出后再保存。"
)


class Documents(AsyncLargeFileManager):  # type: ignore[misc]
    """Jupyter's own, with bounds."""

    async def get(self, path: str, content: bool = True, type: Any = None, *more: Any, **named: Any) -> Any:
        """See `AsyncContentsManager.get`; raises 413 for a document that is too large to be opened."""
        place = self._get_os_path(path.strip("/"))
        if content and type != "directory" and os.path.isfile(place):
            size = os.path.getsize(place)
            if size > LARGEST_MB * _MIB:
                name, size_mb = os.path.basename(place), size // _MIB
                raise HTTPError(413, _plain(TOO_LARGE.format(name=name, size_mb=size_mb, most=LARGEST_MB)))
        return await super().get(path, content, type, *more, **named)

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        """See `AsyncContentsManager.save`; raises 413 for what is too large, and 507 where there is no room."""
        size = _size_of(model)
        if size > LARGEST_MB * _MIB:
            sentence = TOO_LARGE_TO_SAVE.format(size_mb=size // _MIB, most=LARGEST_MB)
            raise HTTPError(413, _plain(sentence), reason="Document too large")
        if not home.look().has_room(size):
            raise _no_room()
        try:
            return await super().save(model, path)
        except OSError as problem:
            if problem.errno in home.OUT_OF_ROOM:
                raise _no_room() from None
            raise
        except HTTPError as problem:
            if _is_out_of_room(problem):
                raise _no_room() from None
            raise


def _no_room() -> HTTPError:
    return HTTPError(507, home.NO_ROOM, reason="No room in your home")


def _is_out_of_room(problem: BaseException) -> bool:
    """Whether an error of Jupyter's came from one of the file system's that says so."""
    cause = problem.__cause__ or problem.__context__
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in home.OUT_OF_ROOM:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _plain(text: str) -> str:
    """Return a text that can stand where `%` would be taken for a place to fill."""
    return text.replace("%", "%%")


def _size_of(model: Any) -> int:
    """Return about how many characters a document has, without making a text of it."""
    size, left = 0, [model.get("content")]
    while left:
        item = left.pop()
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            left += item.values()
        elif isinstance(item, list):
            left += item
    return size
