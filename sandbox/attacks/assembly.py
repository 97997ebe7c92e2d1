"""A text for a box, out of a module of `sandbox.attacks.texts` and what it shares with the others."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_TEXTS = Path(__file__).with_name("texts")
_COMMON = "sandbox.attacks.texts.common"
_FRAME = """
import sys, types
def enter(name, source):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
enter({name!r}, {common!r})
enter("__main__", {source!r})
"""


@cache
def text(module: str) -> str:
    """Return the text of a module as one program, which imports nothing of the platform.

    In a box there is no `sandbox`; so the text brings the module of that name with it.
    """
    common, source = (_TEXTS / f"{name}.py" for name in ("common", module))
    return _FRAME.format(name=_COMMON, common=common.read_text(), source=source.read_text())
