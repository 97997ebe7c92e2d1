"""A sheet as plain text, for terminals, logs and whatever shows no HTML. Chinese characters are two columns wide."""

from __future__ import annotations

import unicodedata

from darkroom.display import MARK, Banner, Block, Code, Facts, Grid, Lines, Link, Mark, Sheet, Title

WIDEST = 60
"""Characters of one cell; longer ones are cut, unless there are few rows."""

FEW = 5


def plain(value: object) -> str:
    """Return text with control and direction characters escaped, so that a reader sees what is really there."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape", "replace").decode()
        for sign in str(value)
    )


def text(drawn: Sheet) -> str:
    """Return a sheet as lines."""
    return "\n".join(line for block in drawn.blocks for line in _block(block))


def _block(block: Block) -> list[str]:
    match block:
        case Title(words, badge, _):
            return [_line(words) + (f"  [{_line(badge)}]" if badge else "")]
        case Facts(pairs):
            wide = max(width(_line(label)) for label, _ in pairs)
            return [f"  {_padded(_line(label), wide)}  {_line(value)}" for label, value in pairs]
        case Grid():
            return _grid(block)
        case Lines(sentences, head):
            return [*_head(head), *(f"  - {_line(sentence)}" for sentence in sentences)]
        case Code(content, head):
            return [*_head(head), *(f"    {line}" for line in plain(content).split("\n"))]
        case Banner(words, _):
            return [f"!! {_line(words)}"]
        case Link(url, words):
            return [f"  {_line(words)}: {_line(url)}"]


def _grid(grid: Grid) -> list[str]:
    if len(grid.rows) <= FEW and any(len(str(cell)) > WIDEST for row in grid.rows for cell in row):
        return _as_facts(grid)
    rows = [[_cell(cell) for cell in row] for row in (grid.heads, *grid.rows)]
    wide = [max(width(row[place]) for row in rows) for place in range(len(grid.heads))]
    lines = [
        "  ".join(
            _padded(cell, wide[place], place in grid.numbers) for place, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]
    rule = "  ".join("─" * each for each in wide)
    return [f"  {line}" for line in (lines[0], rule, *lines[1:])] + [
        f"  {_line(note)}" for note in grid.notes
    ]


def _as_facts(grid: Grid) -> list[str]:
    """Return a few rows of long sentences one below the other, for a table would cut what helps."""
    found = []
    for row in grid.rows:
        shown = tuple(MARK if isinstance(cell, Mark) else cell for cell in row)
        found += _block(Facts(tuple(zip(grid.heads, shown, strict=True))))
    return found + [f"  {_line(note)}" for note in grid.notes]


def _cell(cell: str | Mark) -> str:
    shown = MARK if isinstance(cell, Mark) else _line(cell)
    return shown if len(shown) <= WIDEST else shown[: WIDEST - 1] + "…"


def _head(head: str) -> list[str]:
    return [f"  {_line(head)}:"] if head else []


def _line(value: object) -> str:
    return plain(value).replace("\n", " ")


def width(shown: str) -> int:
    """Return how many columns a text takes in a terminal."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in shown)


def _padded(shown: str, wide: int, right: bool = False) -> str:
    space = " " * (wide - width(shown))
    return space + shown if right else shown + space
