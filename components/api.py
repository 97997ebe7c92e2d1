"""The room's door: descriptions for lists and checks, and, in boxes, running a component. Imports nothing heavy."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from components import library
from components.checking import allowed, artifacts, checked, needs, require_covered
from components.description import Component, Offer, Parameter, Part, Sort
from components.errors import NoFit
from plans.errors import Malformed, NotFound
from plans.sets import Sets
from plans.tasks import ComponentTask

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Component", "NoFit", "Offer", "Parameter", "Part", "Rules", "Sort", "Work", "allowed", "artifacts",
    "checked", "describe_all", "find", "needs", "perform", "require_covered", "require_task",
]  # fmt: skip

Complete = Callable[
    [
        Sequence[tuple[Any, ...]],
        Collection[int],
        Callable[[Collection[int]], bool],
        Callable[[int], float],
    ],
    Collection[int],
]
"""Of the keys of cells, those withheld, whether some could be released as one, and the size of each: all withheld."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a component must know of the obligations: persons in a group, and residual degrees of freedom, at least; and
    where margins may not give small cells back, what works out which others stay back (`airlock.secondary.complete`).
    """

    minimum_group: int
    degrees: int
    margins: Complete | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What a component made: its files, what stands beside each table (canonical JSON), and the sets of persons, by
    the name of the output.
    """

    files: Mapping[str, bytes]
    evidence: Mapping[str, bytes]
    sets: Mapping[str, Sets]


def describe_all() -> tuple[Component, ...]:
    """Return the description of every component, by name."""
    return tuple(module.COMPONENT for _, module in sorted(_modules().items()))


def find(name: str) -> Component:
    """Return a component's description.

    Raises:
        NotFound: there is none of this name; the advice lists those that there are.
    """
    module = _modules().get(name)
    if module is None:
        there = sorted(_modules())
        near = get_close_matches(name[:60].lower().replace("_", "-"), there, 1)
        where, what, listed = name[:60], "the library has no such component", ", ".join(there)
        if near:
            raise NotFound(what, where, f"Did you mean {near[0]}? There are {listed}.")
        raise NotFound(what, where, f"There are {listed}.")
    described: Component = module.COMPONENT
    return described


def require_task(task: ComponentTask) -> dict[str, Any]:
    """Return the checked parameters of a task, whose needs and outputs are what the component asks for and leaves.

    Raises:
        NotFound: there is no such component.
        Malformed: a parameter, a need or an output is another than the component's description says.
    """
    component = find(task.component)
    values = checked(component, task.parameters)
    require_covered(component, values, task.needs)
    if task.artifacts != artifacts(component, values):
        raise Malformed("the outputs of the task are not those of the component", "task.artifacts")
    return values


def perform(
    name: str,
    tables: Sequence[pa.Table],
    values: Mapping[str, Any],
    rules: Rules,
    relations: Sequence[str] = (),
) -> Work:
    """Run a component in this process, on Arrow tables with the columns `person` and `_signs`, of these relations.

    Raises:
        NoFit: the data do not carry what was asked for; nothing is said about why.
        Malformed: a column has a type with which the component can do nothing.
    """
    rows = importlib.import_module("components.rows")
    evidence = importlib.import_module("components.evidence").Evidence(
        rules.minimum_group, rules.degrees, rules.margins
    )
    named = relations or [""] * len(tables)
    read = [rows.Rows.of(table, relation) for table, relation in zip(tables, named, strict=True)]
    files = _modules()[name].run(read, values, evidence)
    return Work(files, dict(evidence.records), dict(evidence.sets))


@cache
def _modules() -> dict[str, ModuleType]:
    found = {}
    for entry in pkgutil.iter_modules(library.__path__):
        module = importlib.import_module(f"{library.__name__}.{entry.name}")
        found[module.COMPONENT.name] = module
    return found
