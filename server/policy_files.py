"""Policies as a steward writes them: TOML, read strictly into the records that are signed (docs/policies.md)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from plans import names
from plans.constraints import ANY, Access, Action, Constraint, Effect
from plans.decision import Tier
from plans.errors import NotFound, SettingsWrong
from plans.statements import DatasetPolicy
from policies import api as policies

_T = TypeVar("_T", int, str, bool)
FUNCTIONS = frozenset({"count", "count_distinct", "sum", "avg", "stddev"})
"""What the aggregate clause can allow: the functions of docs/sql.md."""
EVERYBODY = Access(Effect.ALLOW, (ANY,), ("researcher", "operator"), (Action.QUERY,), (ANY,))
"""Who may ask when a policy says nothing about it; a grant is needed beside it."""
_PAGE = "See docs/policies.md."


def read_policies(file: Path) -> tuple[DatasetPolicy, ...]:
    """Read policies from TOML; the form is in docs/policies.md.

    Raises:
        NotFound: there is no such file.
        SettingsWrong: it is not TOML, or a setting, word or table is not one of a policy.
        Malformed: a name or number is none that a policy may have.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound("there is no such file", str(file), "Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsWrong(f"the policies are not TOML: {problem}", str(file), _PAGE) from None
    return tuple(_policy(dataset, table) for dataset, table in content.items())


def _policy(dataset: str, table: object) -> DatasetPolicy:
    if not isinstance(table, dict):
        raise SettingsWrong(f"{dataset} is no table of settings", dataset, _PAGE)
    known = {"minimum_group", "rounding", "largest_result", "tier", "each_plan", "row_filter", "columns"}
    if unknown := sorted(set(table) - known):
        raise SettingsWrong(f"{dataset} has an unknown setting {unknown[0]!r}", dataset, _PAGE)
    columns = table.get("columns")
    if not isinstance(columns, dict):
        raise SettingsWrong(f"{dataset} has no table of columns", dataset, _PAGE)
    return DatasetPolicy(
        dataset=names.require("dataset", dataset),
        access=(EVERYBODY,),
        constraints=tuple(_constraint(name, words) for name, words in columns.items()),
        tagged=(),
        row_filter=_setting(table, "row_filter", ""),
        minimum_group=_setting(table, "minimum_group", 10),
        rounding=_setting(table, "rounding", 5),
        largest_result=_setting(table, "largest_result", 5_000),
        tier=_tier(_setting(table, "tier", "T1")),
        each_plan=_setting(table, "each_plan", False),
    )


def _setting(table: Mapping[str, object], name: str, default: _T) -> _T:
    """Return a setting that has the type of its default; `each_plan = "false"` is text, and no truth value."""
    value = table.get(name, default)
    if type(value) is not type(default):
        raise SettingsWrong(f"{name} is written as {type(default).__name__}", name, _PAGE)
    return value


def _tier(name: str) -> Tier:
    if name not in list(Tier):
        raise SettingsWrong(f"{name!r} is no isolation tier", "tier", f"One of: {', '.join(Tier)}.")
    return Tier(name)


def _constraint(name: str, words: object) -> Constraint:
    """Read `["group", "filter", "sum", "avg"]`: clauses, and the functions that the aggregate clause allows."""
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise SettingsWrong("what a column may be used for is a list of words", name, _PAGE)
    clauses = {"filter", "join", "group", "aggregate"}
    for word in words:
        if word not in clauses | FUNCTIONS:
            known = ", ".join(sorted(clauses | FUNCTIONS))
            raise SettingsWrong(f"{word!r} is no clause and no function", name, f"Use some of: {known}.")
    return policies.short(names.require("column", name), [word for word in words if word != "aggregate"])
