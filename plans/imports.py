"""Which modules a folder of Python imports, and which of them an image lacks. Sources are parsed, and never run.

Only the author's own side parses: a source can be written so that parsing it costs a lot.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

from plans.errors import Malformed

_GUARDS = {"ImportError", "ModuleNotFoundError", "Exception"}


def missing(files: Mapping[str, bytes], available: Collection[str]) -> dict[str, str]:
    """Return the modules that a folder imports and neither it nor an image has, each with `file:line`.

    What is imported within `try … except ImportError` may be absent.

    Raises:
        Malformed: a source is no Python; it says in which line.
    """
    own = {part.partition(".")[0] for path in files for part in path.split("/")}
    found: dict[str, str] = {}
    for path in sorted(files):
        if path.endswith(".py"):
            for name, line in _imports(_parsed(path, files[path])):
                if name not in own and name not in available:
                    found.setdefault(name, f"{path}:{line}")
    return found


def _parsed(path: str, content: bytes) -> ast.AST:
    try:
        return ast.parse(content)
    except SyntaxError as problem:
        raise Malformed(
            "the file is no Python of this interpreter's version",
            f"{path}:{problem.lineno or 1}",
            f"Correct that line; python -m py_compile {path} shows what is wrong with it.",
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise Malformed("the file cannot be read as Python", path) from None


def _imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the top-level names of absolute imports that must be there, with their lines."""
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if isinstance(here, ast.Import):
            yield from ((each.name.partition(".")[0], here.lineno) for each in here.names)
        elif isinstance(here, ast.ImportFrom) and here.module and not here.level:
            yield here.module.partition(".")[0], here.lineno
        elif isinstance(here, ast.Try) and any(map(_guards, here.handlers)):
            waiting += [*here.handlers, *here.orelse, *here.finalbody]
        else:
            waiting += list(ast.iter_child_nodes(here))


def _guards(handler: ast.ExceptHandler) -> bool:
    kinds = [handler.type] if not isinstance(handler.type, ast.Tuple) else handler.type.elts
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _GUARDS) for kind in kinds)
