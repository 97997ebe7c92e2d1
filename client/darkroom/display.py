"""What objects look like in IPython and Jupyter: a sheet of blocks, written as plain text and as HTML.

An object's `_repr_mimebundle_` calls `bundle`, which finds the drawing of its kind (`display_draw`) and writes it
twice. A drawing reads what the object holds already. It never runs, fetches or spends anything, and never fails the
cell: what it cannot draw has its `repr`.

    object ── drawing ──► Sheet(blocks) ──► text/plain   (`display_text`)
                                        └─► text/html    (`display_html`: all escaped, no script, nothing remote)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SHOWN_ROWS, SHOWN_COLUMNS, SHOWN_LINES = 20, 40, 200
"""How much of a table or list a display shows; counts say how much there is."""

MARK = "▒"
"""What stands in a table for a figure that the airlock withheld."""


@dataclass(frozen=True, slots=True)
class Title:
    """A heading, with a word in a badge: a state, or what kind of data this is. `tone` is one of `TONES`."""

    text: str
    badge: str = ""
    tone: str = "plain"


TONES = ("plain", "good", "bad", "waits", "twin")
"""Tones of badges and banners. Colour is never the only signal: the word says it, too."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and values."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A cell that shows no value, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: heads, and rows of text or marks. `numbers` are the places of columns that are written to the right."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str | Mark, ...], ...]
    numbers: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, one below the other, below a heading where there is one."""

    sentences: tuple[str, ...]
    head: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Text to copy as it is, and what it is."""

    text: str
    head: str = ""


@dataclass(frozen=True, slots=True)
class Banner:
    """A sentence that nobody may overlook."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Link:
    """A page of the portal, for the member's own browser; nothing opens it by itself."""

    url: str
    text: str


Block = Title | Facts | Grid | Lines | Code | Banner | Link


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that a display shows."""

    blocks: tuple[Block, ...]


Drawing = Callable[[Any], Sheet]


def sheet(*blocks: Block | None) -> Sheet:
    """Return a sheet of these blocks; none and empty ones are left out."""
    return Sheet(tuple(block for block in blocks if block is not None and not _empty(block)))


def bundle(thing: Any) -> dict[str, str]:
    """Return an object's display as `text/plain` and `text/html`."""
    from darkroom.display_draw import drawing_of
    from darkroom.display_text import plain

    drawing = drawing_of(thing)
    try:
        return {"text/plain": plain(repr(thing))} if drawing is None else written(drawing(thing))
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        # A portal of another version, or a false one, answers in a form that no drawing knows.
        return {"text/plain": plain(repr(thing))}


def written(drawn: Sheet) -> dict[str, str]:
    """Return a sheet as `text/plain` and `text/html`."""
    from darkroom.display_html import html
    from darkroom.display_text import text

    return {"text/plain": text(drawn), "text/html": html(drawn)}


class Shown:
    """A sheet as an object that notebooks display; what shows progress updates it in its place."""

    __slots__ = ("sheet",)

    def __init__(self, drawn: Sheet) -> None:
        self.sheet = drawn

    def __repr__(self) -> str:
        return written(self.sheet)["text/plain"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return written(self.sheet)


def show(drawn: Sheet, *, kept: bool = False) -> Any:
    """Display a sheet in IPython; with `kept`, return the handle by which it is updated in its place."""
    from IPython import display

    display_now: Any = display.display
    return display_now(Shown(drawn), display_id=True) if kept else display_now(Shown(drawn))


def head_of(rows: Sequence[Any], limit: int = SHOWN_ROWS) -> tuple[Sequence[Any], int]:
    """Return the rows that are shown, and how many are not."""
    return rows[:limit], max(len(rows) - limit, 0)


def _empty(block: Block) -> bool:
    return (isinstance(block, Facts) and not block.pairs) or (
        isinstance(block, Lines) and not block.sentences
    )
