"""The calls of `darkroom` in cells: which tables a program reads, what it leaves, and what it cannot ask in a box.

Where a program runs, `darkroom` has what `IN_A_BOX` lists and nothing else: there is no portal to ask. In a lab the
same calls take `on="twin"` or `on="real"`; a program is told that by where it runs, so the word is taken out, and
nothing else of the text changes.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from darkroom.notebook_code import parsed
from darkroom.notebook_file import Cell
from plans import names
from plans.errors import Malformed

IN_A_BOX = ("batches", "model", "out", "parameters", "table", "tables")
"""What `import darkroom` gives a program (`darkroom/program.py`)."""

_INSTEAD = {
    "sample": 'Read the table: darkroom.table("domain.name") is made up in a trial, and data in a job.',
    "sql": 'Ask the statement beside the program, or read the table in it: darkroom.table("domain.name").',
    "use": "Leave that line out: a program is told by where it runs on which data it works.",
}
_NOBODY = "Do that in a cell that is not chosen: a program in a box has no platform to ask."


@dataclass(slots=True)
class Calls:
    """What cells read and leave, each with the cell and line where it stands first; `unclear` are calls whose name is
    no plain text, and `words` every name and text in the cells, in which columns are looked for.
    """

    tables: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    unclear: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Aliases:
    """How cells call the module, and the functions that they imported from it."""

    modules: frozenset[str]
    functions: Mapping[str, str]


def without_choice(cells: Sequence[Cell], file: str) -> list[Cell]:
    """Return the cells without `on="twin"` and `on="real"` in calls that a program knows.

    Raises:
        Malformed: the word is given by a name, so that nobody can say which is meant; or a cell is no Python.
    """
    aliases = _aliases(parsed(cell, file) for cell in cells)
    return [replace(cell, source=_stripped(cell, file, aliases)) for cell in cells]


def calls(cells: Sequence[Cell], file: str) -> Calls:
    """Return what cells of code read and leave.

    Raises:
        Malformed: a call asks the platform, which no program can, or a name cannot be that of a table or an output.
    """
    trees = [parsed(cell, file) for cell in cells]
    aliases = _aliases(trees)
    found = Calls()
    for cell, tree in zip(cells, trees, strict=True):
        for node in sorted(ast.walk(tree), key=_position):
            _require_in_a_box(node, aliases, cell, file)
            found.words |= set(_words(node))
            if isinstance(node, ast.Call) and (called := _called(node, aliases)) in (
                "table",
                "batches",
                "out",
                "model",
            ):
                _note(found, called, node, cell.place(file, node.lineno))
    return found


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _note(found: Calls, called: str, node: ast.Call, where: str) -> None:
    given = (
        node.args[0]
        if node.args
        else next((each.value for each in node.keywords if each.arg == "name"), None)
    )
    if not isinstance(given, ast.Constant) or not isinstance(given.value, str):
        found.unclear.append(f"darkroom.{called} ({where})")
        return
    form, kept = {
        "out": ("file", found.outputs),
        "model": ("file", found.models),
    }.get(called, ("relation", found.tables))
    kept.setdefault(names.require(form, given.value, where), where)


def _aliases(trees: Iterable[ast.Module]) -> _Aliases:
    modules: set[str] = set()
    functions: dict[str, str] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules |= {each.asname or each.name for each in node.names if each.name == "darkroom"}
            elif isinstance(node, ast.ImportFrom) and node.module == "darkroom" and not node.level:
                functions |= {each.asname or each.name: each.name for each in node.names}
    return _Aliases(frozenset(modules), functions)


def _require_in_a_box(node: ast.AST, aliases: _Aliases, cell: Cell, file: str) -> None:
    asked: list[str] = []
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in aliases.modules
    ):
        asked = [node.attr]
    elif isinstance(node, ast.ImportFrom) and node.module == "darkroom" and not node.level:
        asked = [each.name for each in node.names if each.name != "*"]
    elif isinstance(node, ast.Import):
        asked = [each.name.partition(".")[2] for each in node.names if each.name.startswith("darkroom.")]
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("darkroom.") and not node.level:
        asked = [(node.module or "").partition(".")[2]]
    for name in asked:
        if name not in IN_A_BOX:
            raise Malformed(
                f"darkroom.{name} is not there where a program runs",
                cell.place(file, getattr(node, "lineno", 1)),
                _INSTEAD.get(name, _NOBODY),
            )


def _called(node: ast.Call, aliases: _Aliases) -> str:
    """Return which function of `darkroom` a call means, or nothing."""
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        return node.func.attr if node.func.value.id in aliases.modules else ""
    return aliases.functions.get(node.func.id, "") if isinstance(node.func, ast.Name) else ""


def _words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg


def _stripped(cell: Cell, file: str, aliases: _Aliases) -> str:
    """Return a cell's text without the word; from the last place to the first, so that places stay what they are."""
    text = cell.source
    found = [
        (node, word)
        for node in ast.walk(parsed(cell, file))
        if isinstance(node, ast.Call) and _called(node, aliases) in IN_A_BOX
        for word in node.keywords
        if word.arg == "on"
    ]
    for _, word in sorted(found, key=lambda each: (each[1].lineno, each[1].col_offset), reverse=True):
        if not isinstance(word.value, ast.Constant) or word.value.value not in ("twin", "real"):
            raise Malformed(
                "a program is told by where it runs what on= means",
                cell.place(file, word.lineno),
                "Leave on= out of that call; darkroom.submit says it for the whole program.",
            )
        text = _cut(text, word)
    return text


def _cut(text: str, word: ast.keyword) -> str:
    """Return a text without one keyword and the comma that belongs to it."""
    lines = text.split("\n")
    start = _character(lines, word.lineno, word.col_offset)
    end = _character(lines, word.end_lineno or word.lineno, word.end_col_offset or 0)
    before, after = None, None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NL, tokenize.COMMENT):
            continue
        if token.end <= start:
            before = token
        elif token.start >= end:
            after = token
            break
    if before is not None and before.string == ",":
        start = before.start
    elif after is not None and after.string == ",":
        end = after.end
    rows = text.split("\n")
    head, tail = rows[start[0] - 1][: start[1]], rows[end[0] - 1][end[1] :]
    return "\n".join(
        [
            *rows[: start[0] - 1],
            head + tail.lstrip(" ") if head.endswith("(") else head + tail,
            *rows[end[0] :],
        ]
    )


def _character(lines: Sequence[str], line: int, byte: int) -> tuple[int, int]:
    """Return a place in characters; syntax trees count bytes."""
    return line, len(lines[line - 1].encode()[:byte].decode())
