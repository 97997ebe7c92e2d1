"""The sentences that modules can say, read from their source: what is handed to errors and to reasons of decisions.

A literal is a sentence as it is; an f-string becomes a template, its values numbered from 1 ("there is no {1} here").
Texts that come from elsewhere in the module are followed: constants, variables of the function, arguments that callers
hand over, what functions of the module return. What cannot be known here (`problem.what`) is a value.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path

from plans.errors import by_code

RAISED = {kind.__name__ for kind in by_code().values()} | {"DarkroomError"}
TOLD = dict.fromkeys(RAISED, ((0, "what"), (2, "next_step"))) | {
    "Reason": ((2, "sentence"), (3, "help")),
    "unsupported": ((1, "what"), (2, "instead")),
    "wrong": ((1, "what"), (2, "instead")),
    "_left_out": ((0, "reason"),),
    "Note": ((1, "sentence"),),
    "Effect": ((2, "sentence"),),
}
"""What says something: a call of this name, and at which places of its arguments, or under which name."""

_EMPTY = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
"""What a tree has everywhere and says nothing."""

VALUE = "\0"
NOTHING = {"none", "nothing"}
"""What stands for an empty list, in a language that has words for it."""

DEEPEST = 3
MOST = 64
_PLACE = re.compile(VALUE + "+")


def numbered(text: str) -> str:
    """Return a template with its values numbered; values without a word between them are one."""
    count = iter(range(1, 100))
    return _PLACE.sub(lambda _: f"{{{next(count)}}}", text)


def is_sentence(template: str) -> bool:
    """Return whether anything but values is said."""
    return len(re.findall(r"[A-Za-z]", re.sub(r"\{\d+\}", "", template))) >= 3


@dataclass
class Module:
    """One module's source."""

    tree: ast.Module
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    calls: list[ast.Call] = field(default_factory=list)

    @classmethod
    def of(cls, text: str) -> Module:
        """Read a module."""
        module = cls(ast.parse(text))
        waiting: deque[ast.AST] = deque([module.tree])
        while waiting:
            node = waiting.popleft()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                module.functions.setdefault(node.name, node)  # type: ignore[arg-type]
            elif isinstance(node, ast.Call):
                module.calls.append(node)
            for inner in ast.iter_child_nodes(node):
                inner.parent = node  # type: ignore[attr-defined]
                if not isinstance(inner, _EMPTY):
                    waiting.append(inner)
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                module.constants[node.targets[0].id] = node.value
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                module.constants[node.target.id] = node.value
        return module

    @cached_property
    def calls_of(self) -> dict[str, list[ast.Call]]:
        """Every call, by the last name of what is called."""
        found: dict[str, list[ast.Call]] = {}
        for call in self.calls:
            found.setdefault(_called(call), []).append(call)
        return found

    def sentences(self) -> Iterator[tuple[str, int]]:
        """Yield every template that the module says, with the line."""
        for call in self.calls:
            either = call.func.body if isinstance(call.func, ast.IfExp) else call.func
            for place, name in TOLD.get(_named_by(either), ()):
                for text in sorted(self.texts(_argument(call, place, name), DEEPEST)):
                    if is_sentence(numbered(text)):
                        yield numbered(text), call.lineno

    def texts(self, node: ast.expr | None, deep: int) -> set[str]:
        """Return the texts that an expression may be, `VALUE` for what is not known here."""
        found = set(self._texts(node, deep)) if node is not None else set()
        return found if len(found) <= MOST else {VALUE}

    def _texts(self, node: ast.expr, deep: int) -> Iterable[str]:
        match node:
            case ast.Constant():
                return [node.value] if isinstance(node.value, str) else [VALUE]
            case ast.JoinedStr():
                parts = [self._part(part, deep) for part in node.values]
                return ["".join(each) for each in product(*parts)]
            case ast.IfExp():
                return self.texts(node.body, deep) | self.texts(node.orelse, deep)
            case ast.BoolOp():
                return set().union(*(self.texts(each, deep) for each in node.values))
            case ast.BinOp(op=ast.Add()):
                pairs = product(self.texts(node.left, deep), self.texts(node.right, deep))
                return [left + right for left, right in pairs]
            case ast.Name() if deep:
                return self._named(node, deep - 1)
            case ast.Subscript() | ast.Attribute() if deep:
                return self._within(node, deep - 1)
            case ast.Call() if deep:
                return self._of_call(node, deep - 1)
            case _:
                return [VALUE]

    def _part(self, part: ast.expr, deep: int) -> set[str]:
        if isinstance(part, ast.FormattedValue):
            inner = self.texts(part.value, deep)
            whole = isinstance(part.value, ast.IfExp | ast.Name | ast.Call) and part.conversion == -1
            if not (whole and part.format_spec is None and inner):
                return {VALUE}
            return {VALUE} | (inner & NOTHING) if VALUE in inner else inner
        return self.texts(part, deep)

    def _named(self, node: ast.Name, deep: int) -> Iterable[str]:
        function = _function_of(node)
        if function is not None:
            given = [arg.arg for arg in function.args.args]
            if node.id in given:
                return self._handed(function, given.index(node.id), node.id, deep) or {VALUE}
            local = list(_assigned(function, node.id))
            if local:
                return set().union(*(self.texts(each, deep) if each else {VALUE} for each in local))
        if node.id in self.constants:
            return self._all(self.constants[node.id], deep)
        return [VALUE]

    def _handed(self, function: ast.FunctionDef, place: int, name: str, deep: int) -> set[str]:
        """Return what callers in this module hand over as an argument, and its default."""
        found: set[str] = set()
        skipped = 1 if function.args.args and function.args.args[0].arg in ("self", "cls") else 0
        for call in self.calls_of.get(function.name, ()):
            found |= self.texts(_argument(call, place - skipped, name), deep)
        after = place - len(function.args.args) + len(function.args.defaults)
        if after >= 0:
            found |= self.texts(function.args.defaults[after], deep)
        return found

    def _within(self, node: ast.expr, deep: int) -> Iterable[str]:
        """Return the texts in a table of the module: `TABLE[key]`, `TABLE[key][0]`."""
        inner = node
        while isinstance(inner, ast.Subscript):
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in self.constants and isinstance(node, ast.Subscript):
            return self._all(self.constants[inner.id], deep)
        return [VALUE]

    def _of_call(self, node: ast.Call, deep: int) -> Iterable[str]:
        name = _called(node)
        if isinstance(node.func, ast.Attribute) and name in ("rstrip", "strip", "replace"):
            return self.texts(node.func.value, deep)
        if isinstance(node.func, ast.Attribute) and name == "get" and isinstance(node.func.value, ast.Name):
            named = self.constants.get(node.func.value.id)
            rest = [self.texts(each, deep) for each in node.args[1:]]
            return set(self._all(named, deep)).union(*rest) if named is not None else [VALUE]
        if isinstance(node.func, ast.Name) and name in self.functions:
            returned = [
                inner.value
                for inner in ast.walk(self.functions[name])
                if isinstance(inner, ast.Return) and inner.value is not None
            ]
            return set().union(*(self.texts(each, deep) for each in returned)) if returned else [VALUE]
        return [VALUE]

    def _all(self, node: ast.expr, deep: int) -> Iterable[str]:
        """Return every text in a constant: of a table, its values."""
        if isinstance(node, ast.Dict):
            return [text for each in node.values for text in self._all(each, deep)]
        if isinstance(node, ast.Tuple | ast.List):
            return [text for each in node.elts for text in self._all(each, deep)]
        if isinstance(node, ast.Call) and node.args:
            return self._all(node.args[0], deep)
        return [text if is_sentence(text) else VALUE for text in self.texts(node, deep)]


def _called(call: ast.Call) -> str:
    return _named_by(call.func)


def _named_by(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    if any(isinstance(each, ast.Starred) for each in call.args[: place + 1]):
        return None
    if place < len(call.args):
        return call.args[place]
    return next((each.value for each in call.keywords if each.arg == name), None)


def _function_of(node: ast.AST) -> ast.FunctionDef | None:
    while node is not None and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node = getattr(node, "parent", None)  # type: ignore[assignment]
    return node  # type: ignore[return-value]


def _assigned(function: ast.FunctionDef, name: str) -> Iterator[ast.expr | None]:
    """Yield what a function assigns to a name; none where that is something taken apart."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _matched(target, node.value, name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            yield node.value
        elif isinstance(node, ast.For | ast.comprehension):
            items = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List) else [None]
            for item in items:
                yield from _matched(node.target, item, name)
        elif isinstance(node, ast.NamedExpr) and node.target.id == name:
            yield node.value


def _matched(target: ast.expr, value: ast.expr | None, name: str) -> Iterator[ast.expr | None]:
    if isinstance(target, ast.Name) and target.id == name:
        yield value
    elif isinstance(target, ast.Tuple):
        same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
        if isinstance(value, ast.IfExp):
            yield from _matched(target, value.body, name)
            yield from _matched(target, value.orelse, name)
            return
        for place, each in enumerate(target.elts):
            inner = value.elts[place] if same else value if isinstance(value, ast.Subscript) else None  # type: ignore[union-attr]
            yield from _matched(each, inner, name)


def of_file(path: Path) -> list[tuple[str, int]]:
    """Return every template that a file says, with the line."""
    return list(Module.of(path.read_text(encoding="utf-8")).sentences())


def of_table(path: Path, name: str) -> list[str]:
    """Return every template in a table of a file, whose texts may hold `{names}` to be filled in."""
    module = Module.of(path.read_text(encoding="utf-8"))
    texts = (re.sub(r"\{\w+\}", VALUE, text) for text in module._all(module.constants[name], DEEPEST))
    return [numbered(text) for text in texts if is_sentence(numbered(text))]
