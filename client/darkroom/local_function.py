"""A function of a notebook as a folder of Python: its source, a `darkroom.toml`, and nothing that lies around it.

What is sent is what stands in the function: the modules that it imports itself, and its parameters. Whatever else its
body names would be one thing in the notebook and another, or nothing, in the box; so it is refused by name, and whoever
reviews the code reads all of it.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import dis
import inspect
import json
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom.notebook_text import require_shown
from plans.errors import Malformed, NotFound

MAIN = "main.py"
_HEAD = "from __future__ import annotations\n\n"
_PLAIN = (str, int, float, bool, type(None))
_NAMING = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")


def write_folder(
    function: types.FunctionType,
    folder: Path,
    *,
    tables: Mapping[str, Sequence[str]],
    outputs: Mapping[str, Any],
    arguments: Mapping[str, Any],
    image: str = "",
) -> None:
    """Write a function as a folder that can be submitted: `main.py`, which calls it with these arguments, and
    `darkroom.toml`, which names its tables with their columns and its outputs with their forms (docs/jobs.md).

    Raises:
        NotFound: its source is not to be had.
        Malformed: it is no plain function, uses something from outside itself, or the arguments do not fit it.
    """
    text = source_of(function)
    call = _call(function, arguments)
    main = f'{_HEAD}{text}\n\nif __name__ == "__main__":\n    {call}\n'
    (folder / MAIN).write_text(main, encoding="utf-8")
    (folder / "darkroom.toml").write_text(_settings(tables, outputs, image), encoding="utf-8")


def source_of(function: types.FunctionType) -> str:
    """Return a function's source, if it uses what it imports and its parameters alone.

    Raises:
        NotFound: its source is not to be had.
        Malformed: it is no plain function, uses a variable from outside, or holds a character that is not shown; the
            sentence names it.
    """
    name = function.__name__
    text = _text(function)
    require_shown(text.encode("utf-8", "surrogatepass"), f"function {name}")
    body = _parsed(text, name)
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef) or body[0].decorator_list:
        raise Malformed(
            "only a plain function travels: no lambda, no decorator, no coroutine",
            f"function {name}",
            "Write it as `def name(…):` at the left margin of a cell or file.",
        )
    if function.__code__.co_freevars:
        raise _outside(function.__code__.co_freevars[0], name, "it belongs to the function around it")
    code = compile(_HEAD + text, f"<{name}>", "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    for found in _names(code):
        if found != name and not hasattr(builtins, found):
            raise _outside(found, name, _why(function.__globals__.get(found, _NOTHING)))
    return text


_NOTHING = object()


def _text(function: types.FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise NotFound(
            "the source of this function is not to be had",
            f"function {getattr(function, '__name__', function)}",
            "Define it in a cell or a file, and not by exec or at a bare prompt.",
        ) from None


def _parsed(text: str, name: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError:
        raise Malformed(
            "this is no plain Python",
            f"function {name}",
            "Leave out what only a notebook understands, such as %magic and !commands.",
        ) from None


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that code looks up outside of itself; what the function imports is its own."""
    for step in dis.get_instructions(code):
        if step.opname in _NAMING and isinstance(step.argval, str):
            yield step.argval
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _names(each)


def _why(value: object) -> str:
    if value is _NOTHING:
        return "nothing has this name"
    if isinstance(value, types.ModuleType):
        return f"the module is imported outside; write `import {value.__name__}` inside the function"
    if callable(value):
        return "it is defined outside; define it inside the function"
    return "it is a variable of the notebook; make it a parameter, and pass it in `arguments`"


def _outside(variable: str, name: str, why: str) -> Malformed:
    return Malformed(
        f"the function {name} uses {variable}, which is not in it: {why}",
        f"function {name}, {variable}",
        "A function travels alone: it has what it imports and its parameters. Or submit a folder.",
    )


def _call(function: types.FunctionType, arguments: Mapping[str, Any]) -> str:
    """Return the line that calls the function."""
    name = function.__name__
    for parameter, value in arguments.items():
        if not _is_plain(value):
            raise Malformed(
                f"the argument {parameter} is no plain value",
                f"function {name}",
                "Give texts, numbers, truths, None, or lists and dictionaries of them; rows never travel with code.",
            )
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as problem:
        raise Malformed(
            f"the arguments do not fit: {problem}", f"function {name}", "Give arguments={'name': value, …}."
        ) from None
    return f"{name}({', '.join(f'{parameter}={value!r}' for parameter, value in arguments.items())})"


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    return type(value) in _PLAIN and value == value and value not in (float("inf"), float("-inf"))


def _settings(tables: Mapping[str, Sequence[str]], outputs: Mapping[str, Any], image: str) -> str:
    """Return `darkroom.toml`."""
    lines = [f"entry = {_quoted(MAIN)}"]
    lines += [f"image = {_quoted(image)}"] if image else []
    lines += ["", "[tables]"]
    lines += [f"{_quoted(name)} = [{', '.join(map(_quoted, columns))}]" for name, columns in tables.items()]
    lines += ["", "[outputs]"]
    for name, said in outputs.items():
        form = {"form": said} if isinstance(said, str) else dict(said)
        lines.append(
            f"{_quoted(name)} = {{ {', '.join(f'{key} = {_quoted(each)}' for key, each in form.items())} }}"
        )
    return "\n".join(lines) + "\n"


def _quoted(text: object) -> str:
    """Return a text as TOML writes it (a basic string, whose escapes are those of JSON)."""
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")
