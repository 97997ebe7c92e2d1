"""What cells of code say, found in their syntax trees; nothing of them is ever run.

Magics and lines for a shell are named, for a program knows none. Calls of `darkroom` tell which tables a program reads
and what it leaves. Names are looked up as Python would, so that one which only another cell defines is found here, and
not by a job. Only the author's own side parses: a source can be written so that parsing it costs a lot.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from darkroom.notebook_file import Cell
from plans.errors import Malformed

_MAGIC = re.compile(r"[%!?]|[^#'\"]*\?\s*$|[\w\s,.*\[\]]+=\s*[%!]|[,;/]\s*[A-Za-z_]")
_MODULE_NAMES = {"__name__", "__file__", "__doc__", "__builtins__", "__spec__", "__loader__", "__package__"}
_BY_SITE = {"exit", "quit", "copyright", "credits", "license", "help"}
_KNOWN = (set(dir(builtins)) - _BY_SITE - {"_"}) | _MODULE_NAMES
"""Names that every program has; what `site` adds is not there, for jobs start without it (docs/python.md)."""

_HINTS = {
    "get_ipython": "A program has no IPython: leave that line out.",
    "display": "A program shows nothing to anybody: use print, or write an output.",
    **dict.fromkeys(("exit", "quit"), "Use raise SystemExit."),
    **dict.fromkeys(
        ("In", "Out", "_", "__", "___"), "A program keeps no history of cells: give the value a name."
    ),
}


@dataclass(frozen=True, slots=True)
class Used:
    """A name that is used: in which cell and line first."""

    name: str
    cell: Cell
    line: int


def parsed(cell: Cell, file: str) -> ast.Module:
    """Return a cell's syntax tree.

    Raises:
        Malformed: a line of it is a magic, a line for a shell, or no Python; it says which.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(cell.source)
            compile(
                tree, "cell", "exec", dont_inherit=True
            )  # finds what parses and is no program, such as await
    except SyntaxError as problem:
        _refuse_line(cell, file, problem)
    except (ValueError, RecursionError, MemoryError):
        raise Malformed("the cell cannot be read as Python", cell.place(file)) from None
    return tree


def require_program(cells: Sequence[Cell], file: str) -> None:
    """Check that cells of code, one after the other, are one program, as each of them is alone.

    Raises:
        Malformed: they are not, such as where `from __future__` stands in a later one; it says in which line.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            compile("\n".join(cell.source for cell in cells), "cells", "exec", dont_inherit=True)
    except SyntaxError as problem:
        left = problem.lineno or 1
        for cell in cells:
            if left <= (here := len(cell.source.split("\n"))):
                what = f"these cells together are no program: {problem.msg}"
                advice = "Put that line into the first cell that you choose, or leave it out."
                raise Malformed(what, cell.place(file, left), advice) from None
            left -= here
        raise Malformed(f"these cells together are no program: {problem.msg}", file) from None
    except (ValueError, RecursionError, MemoryError):
        raise Malformed("these cells together cannot be read as Python", file) from None


def magic(cell: Cell) -> tuple[int, str] | None:
    """Return the first line that is a magic or for a shell, with its number; none where the cell is Python."""
    for number, line in enumerate(cell.source.split("\n"), 1):
        if _MAGIC.match(line.strip()):
            return number, line.strip()
    return None


def _refuse_line(cell: Cell, file: str, problem: SyntaxError) -> NoReturn:
    lines = cell.source.split("\n")
    number = min(problem.lineno or 1, len(lines))
    line = lines[number - 1].strip()
    where = cell.place(file, number)
    if _MAGIC.match(line):
        what = f"a program knows no magics and no shell: {line[:80]}"
        raise Malformed(what, where, _instead(line)) from None
    what = f"this is no Python that a program can hold: {problem.msg}"
    raise Malformed(what, where, "Correct that line, or do not choose the cell.") from None


def _instead(line: str) -> str:
    if line.startswith("%%darkroom"):
        return 'Ask the statement beside the program, or read the table in it: darkroom.table("domain.name").'
    if re.match(r"[%!]\s*pip\b", line):
        return "A job has the packages of its image: darkroom images; leave that line out."
    return "Leave that line out, or do not choose the cell."


def bound(tree_source: str) -> set[str]:
    """Return the names that a source binds at its top; none if it is no Python."""
    try:
        table = symtable.symtable(tree_source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return _bound(table)


def undefined(cells: Sequence[Cell], trees: Sequence[ast.Module]) -> list[Used]:
    """Return the names that cells of code use and none of them defines, each where it is used first; nothing can be
    said, and nothing is, where a module's whole content is imported.

    Raises:
        Malformed: the cells together are no program (`require_program` says why).
    """
    if any(_imports_all(node) for tree in trees for node in ast.walk(tree)):
        return []
    try:
        table = symtable.symtable("\n".join(cell.source for cell in cells), "cells", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Malformed("these cells together are no program", "cells") from None
    lacking = _used(table) - _bound(table) - _KNOWN
    first: dict[str, Used] = {}
    for cell, tree in zip(cells, trees, strict=True):
        for node in sorted(_loads(tree), key=lambda each: each.lineno):
            if node.id in lacking:
                first.setdefault(node.id, Used(node.id, cell, node.lineno))
    return sorted(first.values(), key=lambda each: (each.cell.number, each.line, each.name))


def hint(name: str) -> str:
    """Return what to do about a name that only a notebook has; empty for any other."""
    return _HINTS.get(name, "")


def _imports_all(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names)


def _loads(tree: ast.Module) -> Iterator[ast.Name]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Name))


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    waiting = [table]
    while waiting:
        here = waiting.pop()
        yield here
        waiting += here.get_children()


def _bound(table: symtable.SymbolTable) -> set[str]:
    """Return what the module binds: at its top, or in a function that says `global`."""
    found = {each.get_name() for each in table.get_symbols() if each.is_assigned() or each.is_imported()}
    for inner in _tables(table):
        found |= {
            each.get_name()
            for each in inner.get_symbols()
            if each.is_declared_global() and (each.is_assigned() or each.is_imported())
        }
    return found


def _used(table: symtable.SymbolTable) -> set[str]:
    found = {each.get_name() for each in table.get_symbols() if each.is_referenced()}
    for inner in _tables(table):
        if inner is not table:
            found |= {
                each.get_name() for each in inner.get_symbols() if each.is_global() and each.is_referenced()
            }
    return found
