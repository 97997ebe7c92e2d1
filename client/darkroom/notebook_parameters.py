"""Cells tagged `parameters`: plain values with names, which become arguments `name=value` of the program.

The cell stays as it is, with the values as they stand in the notebook; the cell after it reads the arguments, each in
the sort that its value has. So a program without arguments does what the notebook did.
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Iterable
from dataclasses import dataclass

from darkroom.notebook_code import parsed
from darkroom.notebook_file import Cell
from darkroom.notebook_text import PARAMETERS
from plans.box import LONGEST_ARGUMENT
from plans.errors import Malformed

_READ = {
    "bool": '{{"true": True, "false": False}}[_room.parameters.get("{0}", str({0})).lower()]',
    "int": 'int(_room.parameters.get("{0}", {0}))',
    "float": 'float(_room.parameters.get("{0}", {0}))',
    "str": '_room.parameters.get("{0}", {0})',
}
"""How each sort of value is read again from the text of an argument."""

_MOST_BITS = 1024
_TAKEN = {*dir(builtins), *keyword.kwlist}
"""Names whose other meaning the program, and the line that reads the argument, relies on."""

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A name and its value."""

    name: str
    value: Value

    @property
    def argument(self) -> str:
        """The argument that says the same."""
        return f"{self.name}={str(self.value).lower() if isinstance(self.value, bool) else self.value}"

    @property
    def line(self) -> str:
        """The line of the program that reads the argument."""
        return f"{self.name} = {_READ[type(self.value).__name__].format(self.name)}"


def parameters(cell: Cell, file: str) -> tuple[Parameter, ...]:
    """Return the parameters of a cell; none if it has no such tag.

    Raises:
        Malformed: a line is no name with a plain value.
    """
    if cell.kind != "code" or PARAMETERS not in cell.tags:
        return ()
    found: dict[str, Parameter] = {}
    for statement in parsed(cell, file).body:
        where = cell.place(file, statement.lineno)
        name, value = _assigned(statement, where)
        if name in found or name.startswith("_"):
            what = "a parameter has a name of its own, which begins with a letter"
            raise Malformed(what, where, "Name it otherwise.")
        if name in _TAKEN:
            what = f"a parameter cannot be called {name}, which Python needs for itself"
            raise Malformed(what, where, f"Name it otherwise, such as {name}_value.")
        found[name] = Parameter(name, _value(value, where))
        if len(found[name].argument) > LONGEST_ARGUMENT or not found[name].argument.isprintable():
            what = f"a parameter is one line of at most {LONGEST_ARGUMENT} characters"
            raise Malformed(what, where, "Put longer texts into a cell without that tag.")
    return tuple(found.values())


def reading(given: Iterable[Parameter]) -> str:
    """Return the source of the cell that reads arguments."""
    return "\n".join(["import darkroom as _room", "", *(each.line for each in given)])


def _assigned(statement: ast.stmt, where: str) -> tuple[str, ast.expr]:
    targets: list[ast.expr] = []
    value: ast.expr | None = None
    if isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    elif isinstance(statement, ast.AnnAssign):
        targets, value = [statement.target], statement.value
    if len(targets) == 1 and isinstance(targets[0], ast.Name) and value is not None:
        return targets[0].id, value
    raise Malformed(
        "a cell tagged parameters holds names with plain values and nothing else",
        where,
        "Write that line into another cell: here stand lines such as year = 2023.",
    )


def _value(node: ast.expr, where: str) -> Value:
    sign, inner = 1, node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign, inner = (-1 if isinstance(node.op, ast.USub) else 1), node.operand
    value = inner.value if isinstance(inner, ast.Constant) else None
    if isinstance(value, bool | str) and inner is node:
        return value
    short = not isinstance(value, int) or value.bit_length() <= _MOST_BITS  # longer ones have no text
    if isinstance(value, int | float) and not isinstance(value, bool) and short:
        return sign * value
    what = "a parameter is a whole number, a number, a text, True or False"
    raise Malformed(what, where, "Write lists and the rest into a cell without that tag.")
