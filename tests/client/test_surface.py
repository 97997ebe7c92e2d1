"""What members type: every public name documented and typed, examples that run, and an import that costs nothing."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import darkroom
from darkroom import local, session
from darkroom.either import Either
from darkroom.tabular import Tabular
from tests.client.conftest import Town
from tests.client.look_alikes import lay
from tests.test_house import read_text

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENT = ROOT / "client"
HEAVY = ("cryptography", "duckdb", "httpx", "IPython", "pandas", "pyarrow", "rich", "typer")
MOST_IMPORT_MS = 150
HOUSE = ("darkroom", "plans", "tests")
"""Packages whose classes pass on what members read."""


@pytest.fixture
def room(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[darkroom.Connection]:
    lay(town)
    found = town.connection("mei@nm/centre")
    monkeypatch.setattr(session, "_open", {"default": found})
    local.choose("", "", "")
    yield found
    local.choose("", "", "")


def parts(thing: type) -> Iterator[tuple[str, Any]]:
    """Yield the public functions and properties of a class, also those that it inherits from a class of the house."""
    for name in dir(thing):
        owner = next((each for each in thing.__mro__ if name in vars(each)), object)
        if not name.startswith("_") and owner.__module__.partition(".")[0] in HOUSE:
            value = inspect.getattr_static(thing, name)
            value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if inspect.isfunction(value):
                yield name, value


def undocumented(public: dict[str, Any]) -> list[str]:
    """Return what lacks a sentence for its reader: public names, and public parts of public classes."""
    lacking = []
    for name, thing in public.items():
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        if not _documented(thing):
            lacking.append(name)
        if inspect.isclass(thing):
            found = parts(thing)
            lacking += [f"{name}.{part}" for part, _ in found if not inspect.getdoc(getattr(thing, part))]
    return lacking


def _documented(thing: Any) -> bool:
    """Return whether there is a text of its own; what a dataclass writes by itself is none."""
    own = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    return bool(own) and not str(own).startswith(f"{getattr(thing, '__name__', '')}(")


def untyped(public: dict[str, Any]) -> list[str]:
    """Return public functions, and public parts of public classes, that do not say the types of everything that they
    take and return.
    """
    functions = {name: thing for name, thing in public.items() if inspect.isfunction(thing)}
    for name, thing in public.items():
        if inspect.isclass(thing):
            functions |= {f"{name}.{part}": value for part, value in parts(thing)}
    return [name for name, function in functions.items() if not _typed(function)]


def _typed(function: Any) -> bool:
    taken = set(inspect.signature(function).parameters) - {"self", "cls"}
    return "return" in function.__annotations__ and taken <= set(function.__annotations__)


def surface() -> dict[str, Any]:
    return {name: getattr(darkroom, name) for name in darkroom.__all__}


def test_every_public_name_is_there_documented_and_typed() -> None:
    assert len(darkroom.__all__) == len(set(darkroom.__all__))
    assert undocumented(surface()) == [] and untyped(surface()) == []
    with pytest.raises(AttributeError):
        darkroom.nothing_of_this_name  # noqa: B018


def test_control_a_name_without_documentation_is_found() -> None:
    def bare(a):  # type: ignore[no-untyped-def]
        return a

    class Bare:
        """Documented."""

        def part(self) -> None: ...

        def said(self, a):  # type: ignore[no-untyped-def]
            """Documented."""

    class Heir(Bare):
        """Documented."""

    public = {"bare": bare, "Bare": Bare, "Heir": Heir}
    assert undocumented(public) == ["bare", "Bare.part", "Heir.part"]
    assert untyped(public) == ["bare", "Bare.said", "Heir.said"]


def test_control_what_a_public_class_inherits_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Either.component, "__doc__", None)
    monkeypatch.setattr(Tabular.to_pandas, "__doc__", None)
    monkeypatch.setattr(Either.submit, "__annotations__", {})
    assert {"Connection.component", "Result.to_pandas", "TwinResult.to_pandas"} <= set(
        undocumented(surface())
    )
    assert untyped(surface()) == ["Connection.submit"]


def test_no_module_takes_the_place_of_a_function() -> None:
    """`import darkroom.job` sets an attribute of the package: a function of that name would be gone after it."""
    for found in pkgutil.iter_modules([str(CLIENT / "darkroom")]):
        if not found.name.startswith("cli"):
            importlib.import_module(f"darkroom.{found.name}")
    modules = [name for name, thing in surface().items() if inspect.ismodule(thing)]
    assert modules == []


def test_every_public_function_stands_in_the_manual() -> None:
    manual = read_text(ROOT / "docs" / "client.md")
    names = [name for name, thing in surface().items() if inspect.isfunction(thing)]
    assert [name for name in names if f"darkroom.{name}" not in manual] == []


def test_examples_in_the_documentation_of_functions_run(room: darkroom.Connection) -> None:
    found = [
        test for test in doctest.DocTestFinder(recurse=False).find(darkroom, "darkroom") if test.examples
    ]
    for name in darkroom.__all__:
        thing = getattr(darkroom, name)
        if inspect.isfunction(thing):
            found += [each for each in doctest.DocTestFinder().find(thing, name) if each.examples]
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    for each in found:
        each.globs = {name: getattr(darkroom, name) for name in darkroom.__all__} | {"darkroom": darkroom}
        runner.run(each, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
    assert runner.tries >= 5


def test_examples_of_the_manual_run(
    town: Town, room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each block marked `python` and `run` is executed, in order and in one place, as a member would."""
    monkeypatch.chdir(tmp_path)
    manual = read_text(ROOT / "docs" / "client.md")
    blocks = re.findall(r"```python run\n(.*?)```", manual, re.DOTALL)
    space: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/client.md", "exec"), space)
    assert len(blocks) >= 3


def imported(code: str) -> list[str]:
    """Run Python in a process of its own as a member's script would, and return the lines that it writes."""
    script = f"import sys; sys.path[:0] = {[str(CLIENT), str(ROOT)]!r}\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT / "docs"
    )
    return done.stdout.splitlines()


def test_importing_imports_nothing_heavy() -> None:
    said = imported(f"import darkroom; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert said == ["[]"]
    (control,) = imported("import darkroom; darkroom.Connection; print('httpx' in sys.modules)")
    assert control == "True", "the control: using it does"


def test_importing_takes_little_time() -> None:
    """Measured by `benchmarks/notebook.py` as well; here the best of some, since others use this machine."""
    code = "import time; began = time.perf_counter(); import darkroom; print(1000 * (time.perf_counter() - began))"
    times = [float(imported(code)[0]) for _ in range(5)]
    assert min(times) < MOST_IMPORT_MS, times


def test_the_client_says_that_it_is_typed() -> None:
    assert (CLIENT / "darkroom" / "py.typed").exists()


def test_a_program_finds_the_same_words_in_a_box_and_in_a_notebook() -> None:
    from darkroom import program, twin_program

    for name in program.__all__:
        here, there = getattr(twin_program, name), getattr(program, name)
        if inspect.isfunction(there):
            same = [str(inspect.signature(each)).replace("pa.", "pyarrow.") for each in (here, there)]
            assert same[0] == same[1], name
        else:
            assert here is there
