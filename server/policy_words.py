"""The words of a policy file: each setting, rule and column of TOML as a record, or `Wrong` with the way to it."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any, TypeVar

from airlock import presets
from plans import canonical, names
from plans.checks import Checks, Mode, Privacy
from plans.constraints import (
    ANY,
    Access,
    Action,
    Constraint,
    Effect,
    Mask,
    MaskKind,
    Reveal,
    Share,
    Tag,
    Tagged,
    Use,
    require_party,
)
from plans.decision import Tier
from plans.errors import Malformed
from plans.joint_rules import JointRules, Matching, Opening
from plans.manifest import Grade
from plans.statements import DatasetPolicy
from policies import api as policies
from server.policy_lines import Path as Way

_E = TypeVar("_E", bound=StrEnum)

_PLAIN = frozenset({"count", "count_distinct", "sum", "avg", "stddev"})
_REVEALING = frozenset({"min", "max", "median", "quantile_cont", "quantile_disc"})
FUNCTIONS = _PLAIN | _REVEALING
"""What `aggregate` can name: the functions of docs/sql.md. The revealing ones show a single record's value."""

EVERYBODY = Access(Effect.ALLOW, (ANY,), policies.ASKING_ROLES, (Action.QUERY,), (ANY,))
"""Who may ask when a policy says nothing about it; a grant is needed beside it. Rows are not in it."""

PAGE = "See docs/policies.md."
SETTINGS = frozenset(
    [
        "minimum_group",
        "rounding",
        "largest_result",
        "tier",
        "each_plan",
        "row_filter",
        "share",
        "basis",
        "access",
    ]
    + ["tags", "columns", "twin_rho_micro", "mode", "privacy", "checks", "enterprise", "joint"]
)
CHECKS = frozenset(field.name for field in fields(Checks))
"""Numbers of the disclosure rules, as `plans.checks` names them."""

RULE = frozenset(
    ["effect", "parties", "roles", "purposes", "until", "uses", "functions", "reveal", "minimum", "mask"]
)
_PRIVACY = frozenset(["rho_micro", "period_days", "delta_exponent", "most_groups", "most_rows"])
_JOINT = frozenset(field.name for field in fields(JointRules))
_ACCESS = frozenset(["effect", "parties", "roles", "actions", "purposes", "until"])
_TAG = frozenset(["parent", "grade", "uses", "functions", "reveal", "minimum"])


class Wrong(Exception):
    """Something in the file is no policy; `way` leads to it, and `word` is the word that is wrong, if one is.

    Never leaves `server.policy_files`, which turns it into an error with the line.
    """

    def __init__(self, way: Way, what: str, word: str = "", next_step: str = PAGE) -> None:
        self.way, self.what, self.word, self.next_step = way, what, word, next_step
        super().__init__(what)


def tags(content: object) -> tuple[Tag, ...]:
    """Return the classes that the table `tags` describes."""
    return tuple(_tag(name, each) for name, each in _table(("tags",), content).items())


def policy(dataset: str, content: object) -> DatasetPolicy:
    """Return the policy that a dataset's table means."""
    way: Way = (dataset,)
    with _named(way, dataset):
        names.require("dataset", dataset)
    table = _known(way, content, SETTINGS)
    if "columns" not in table:
        raise Wrong(way, f"{dataset} has no table of columns", next_step=f'Write one: ["{dataset}".columns]')
    columns = _table((*way, "columns"), table["columns"])
    preset, checks = _checks((*way, "checks"), table.get("checks", {}))
    with _named(way, ""):
        return DatasetPolicy(
            dataset=dataset,
            access=_accesses((*way, "access"), table.get("access")),
            constraints=tuple(
                c for name, each in columns.items() for c in _column((*way, "columns", name), name, each)
            ),
            tagged=tuple(
                _tagged((*way, "tags", name), name, each)
                for name, each in _of(way, table, "tags", {}).items()
            ),
            row_filter=_legible(way, table, "row_filter", "\n\t"),
            minimum_group=_positive(way, table, "minimum_group", preset.minimum_group),
            rounding=_positive(way, table, "rounding", preset.rounding),
            largest_result=_positive(way, table, "largest_result", preset.largest_result),
            tier=_one(way, table, "tier", Tier.T1),
            each_plan=_of(way, table, "each_plan", False),
            share=_one(way, table, "share", Share.CONDITIONAL),
            basis=_legible(way, table, "basis"),
            twin_rho_micro=_of(way, table, "twin_rho_micro", 0),
            mode=_one(way, table, "mode", Mode.RULES),
            privacy=_privacy((*way, "privacy"), table.get("privacy")),
            checks=checks,
            enterprise=_legible(way, table, "enterprise"),
            joint=_joint((*way, "joint"), table.get("joint")),
        )


def _checks(way: Way, content: object) -> tuple[presets.Preset, Checks]:
    """Return the preset that a dataset names, and its numbers with those in their place that the policy writes itself.

    `minimum_group`, `rounding` and `largest_result` are the dataset's own settings; the preset is their default.
    """
    table = _known(way, content, CHECKS)
    name = _of(way, table, "preset", presets.names()[0])
    if name not in presets.names():
        raise _unknown((*way, "preset"), name, "preset", presets.names())
    preset = presets.load(name)
    written = {each: _of(way, table, each, getattr(preset.checks, each)) for each in table}
    with _named(way, ""):
        return preset, replace(preset.checks, **written)


def _privacy(way: Way, content: object) -> Privacy | None:
    """Return the budget of a dataset in the mode `private`; what a whole period may cost is always written down."""
    if content is None:
        return None
    table = _known(way, content, _PRIVACY)
    for name in ("rho_micro", "period_days"):
        if name not in table:
            raise Wrong(way, f"a budget says its {name}", next_step="See docs/private.md.")
    with _named(way, ""):
        return Privacy(
            rho_micro=_positive(way, table, "rho_micro", 1),
            period_days=_positive(way, table, "period_days", 1),
            delta_exponent=_positive(way, table, "delta_exponent", 9),
            most_groups=_positive(way, table, "most_groups", 1),
            most_rows=_positive(way, table, "most_rows", 1),
        )


def _joint(way: Way, content: object) -> JointRules | None:
    """Return the terms of joint computations; none of them are meant by default but the strict ones."""
    if content is None:
        return None
    table = _known(way, content, _JOINT)
    for name in ("matchings", "openings", "cells", "period_days"):
        if name not in table:
            raise Wrong(
                way, f"terms of joint computations say their {name}", next_step="See docs/joint-sql.md."
            )
    with _named(way, ""):
        return JointRules(
            matchings=_list(way, table, "matchings", Matching),
            openings=_list(way, table, "openings", Opening),
            cells=_positive(way, table, "cells", 1),
            period_days=_positive(way, table, "period_days", 1),
            separate=_of(way, table, "separate", True),
            sizes=_of(way, table, "sizes", False),
            exact=_of(way, table, "exact", False),
            noise_micro=_of(way, table, "noise_micro", 0),
            ciphertexts=_of(way, table, "ciphertexts", False),
            members=_of(way, table, "members", 0),
            given_away=_of(way, table, "given_away", False),
        )


# --- columns -----------------------------------------------------


def _column(way: Way, name: str, content: object) -> tuple[Constraint, ...]:
    """Read the short form, a list of words, or the long one, a list of tables."""
    with _named(way, name):
        names.require("column", name)
    if not isinstance(content, list):
        raise Wrong(way, "what a column may be used for is a list of words, or one of tables")
    if all(isinstance(each, str) for each in content):
        return (_short(way, name, content),)
    if all(isinstance(each, dict) for each in content):
        return tuple(_rule((*way, n), name, each) for n, each in enumerate(content))
    raise Wrong(
        way,
        "a column has words or tables, and not both",
        next_step="Write the words as a table of their own.",
    )


def _short(way: Way, name: str, listed: list[str]) -> Constraint:
    for word in listed:
        if word not in set(Use) | FUNCTIONS:
            raise _unknown(way, word, "use and no function", (*Use, *sorted(FUNCTIONS)))
    return policies.short(name, [word for word in listed if word != Use.AGGREGATE])


def _rule(way: Way, name: str, content: object) -> Constraint:
    """Read one table of the long form. A permission says whose it is; a prohibition that does not is everybody's."""
    table = _known(way, content, RULE)
    effect = _one(way, table, "effect", Effect.ALLOW)
    uses, functions = _list(way, table, "uses", Use), _functions(way, table)
    if functions:
        uses = tuple(sorted({*uses, Use.AGGREGATE}))
    mask = _mask((*way, "mask"), name, table["mask"]) if "mask" in table else None
    with _named(way, ""):
        return Constraint(
            column=name,
            effect=effect,
            parties=_whose(way, table, effect, "parties"),
            roles=_whose(way, table, effect, "roles"),
            purposes=_whose(way, table, effect, "purposes"),
            until=_until(way, table),
            uses=uses,
            functions=functions,
            reveal=_one(way, table, "reveal", _least(effect, uses, functions, mask)),
            minimum=_of(way, table, "minimum", 0),
            mask=mask,
        )


def _least(effect: Effect, uses: tuple[Use, ...], functions: tuple[str, ...], mask: Mask | None) -> Reveal:
    """Return what is revealed where nothing is said: the least that makes sense of the uses."""
    if effect is Effect.DENY:
        return Reveal.NEVER
    if mask is not None:
        return Reveal.MASKED
    return policies.short("column", (*(use for use in uses if use is not Use.AGGREGATE), *functions)).reveal


def _mask(way: Way, column: str, content: object) -> Mask:
    """Read `"last 4"`, `"date month"`, `"null"`: the kind of a mask, and its argument where it has one."""
    if not isinstance(content, str):
        raise Wrong(way, 'a mask is written as text, such as "last 4"')
    kind, _, argument = content.partition(" ")
    if kind not in set(MaskKind):
        raise _unknown(way, kind, "mask", MaskKind)
    with _named(way, content):
        return Mask(column, MaskKind(kind), argument)


def _functions(way: Way, table: Mapping[str, Any]) -> tuple[str, ...]:
    found = _words((*way, "functions"), table.get("functions", []))
    for word in found:
        if word not in FUNCTIONS:
            raise _unknown((*way, "functions"), word, "function", sorted(FUNCTIONS))
    return tuple(sorted(set(found)))


# --- who -----------------------------------------------------


def _accesses(way: Way, content: object) -> tuple[Access, ...]:
    if content is None:
        return (EVERYBODY,)
    if not isinstance(content, list) or not content:
        raise Wrong(
            way, "access is a list of tables, at least one", next_step="Leave it out for the usual access."
        )
    return tuple(_access((*way, n), each) for n, each in enumerate(content))


def _access(way: Way, content: object) -> Access:
    table = _known(way, content, _ACCESS)
    effect = _one(way, table, "effect", Effect.ALLOW)
    actions = _list(way, table, "actions", Action)
    if not actions:
        raise Wrong(way, "an access rule names its actions", next_step=f"Some of: {', '.join(Action)}.")
    parties, roles, purposes = (_whose(way, table, effect, key) for key in ("parties", "roles", "purposes"))
    with _named(way, ""):
        return Access(effect, parties, roles, actions, purposes, _until(way, table))


def _whose(way: Way, table: Mapping[str, Any], effect: Effect, key: str) -> tuple[str, ...]:
    """Return parties, roles or purposes. Empty means nobody, so a permission says whose it is, or `any`."""
    if key not in table and effect is Effect.DENY:
        return (ANY,)
    place = (*way, key)
    found = _words(place, table.get(key, []))
    if not found:
        raise Wrong(
            place, f"{key} are named, or this is for nobody", next_step=f'For everybody: {key} = ["{ANY}"]'
        )
    if len(set(found)) != len(found) or (ANY in found and len(found) > 1):
        raise Wrong(place, f"each of the {key} is named once, and beside {ANY!r} none is")
    for word in found:
        if key == "parties":
            with _named(place, word):
                require_party(word, key)
        if key == "roles" and word not in (*policies.ASKING_ROLES, ANY):
            raise _unknown(place, word, "role that reads data", (*policies.ASKING_ROLES, ANY))
        if not word.strip() or not word.isprintable():
            raise Wrong(place, f"{word!a} is no text that a person can read")
    return found


def _until(way: Way, table: Mapping[str, Any]) -> int:
    """Return the moment after the last day on which a rule holds, in Unix seconds; 0 is no end."""
    if "until" not in table:
        return 0
    day = table["until"]
    if type(day) is not datetime.date:
        raise Wrong(
            (*way, "until"), "an end is a day, without quotes", next_step="Such as: until = 2027-12-31"
        )
    if not 1970 <= day.year < datetime.MAXYEAR:
        # The day before 1970 ends at the second 0, which would mean no end.
        raise Wrong((*way, "until"), f"an end lies between the years 1970 and {datetime.MAXYEAR - 1}")
    following = datetime.datetime.combine(day, datetime.time(), datetime.UTC) + datetime.timedelta(days=1)
    return int(following.timestamp())


# --- classes -----------------------------------------------------


def _tag(name: str, content: object) -> Tag:
    way: Way = ("tags", name)
    table = _known(way, content, _TAG)
    if "grade" not in table:
        raise Wrong(way, "a class has a grade", next_step=f"One of: {', '.join(Grade)}.")
    uses, functions = _list(way, table, "uses", Use), _functions(way, table)
    if functions:
        uses = tuple(sorted({*uses, Use.AGGREGATE}))
    with _named(way, name):
        return Tag(
            name=name,
            parent=_of(way, table, "parent", ""),
            grade=_one(way, table, "grade", Grade.CORE),
            uses=uses,
            functions=functions,
            reveal=_one(way, table, "reveal", Reveal.NEVER),
            minimum=_of(way, table, "minimum", 0),
        )


def _tagged(way: Way, name: str, content: object) -> Tagged:
    with _named(way, name):
        names.require("column", name)
    return Tagged(name, tuple(sorted(set(_words(way, content)))))


# --- values -----------------------------------------------------


def _table(way: Way, content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise Wrong(way, f"{way[-1]} is no table of settings")
    return content


def _known(way: Way, content: object, known: frozenset[str]) -> dict[str, Any]:
    table = _table(way, content)
    for name in table:
        if name not in known:
            raise _unknown((*way, name), name, "setting here", sorted(known))
    return table


def _of(way: Way, table: Mapping[str, Any], name: str, default: Any) -> Any:
    """Return a setting that has the type of its default; `each_plan = "false"` is text, and no truth value."""
    value = table.get(name, default)
    if type(value) is not type(default):
        raise Wrong((*way, name), f"{name} is written as {_TYPES[type(default)]}")
    if type(value) is int and abs(value) > canonical.LARGEST_NUMBER:
        raise Wrong((*way, name), f"{name} is too large a number")
    return value


def _legible(way: Way, table: Mapping[str, Any], name: str, also: str = "") -> str:
    """Return a text that approvers read: without signs that reorder or hide what stands there."""
    text: str = _of(way, table, name, "")
    strange = next((c for c in text if not c.isprintable() and c not in also), "")
    if strange:
        named = unicodedata.name(strange, "a control character")
        raise Wrong((*way, name), f"{name} holds {strange!a} ({named}), which nobody sees")
    return text


def _positive(way: Way, table: Mapping[str, Any], name: str, default: int) -> int:
    value: int = _of(way, table, name, default)
    if value < 1:
        raise Wrong((*way, name), f"{name} is at least 1")
    return value


def _one(way: Way, table: Mapping[str, Any], name: str, default: _E) -> _E:
    kind, value = type(default), table.get(name, default)
    if value not in list(kind):
        raise _unknown((*way, name), str(value), name, kind)
    return kind(value)


def _list(way: Way, table: Mapping[str, Any], name: str, kind: type[_E]) -> tuple[_E, ...]:
    found = _words((*way, name), table.get(name, []))
    for word in found:
        if word not in list(kind):
            raise _unknown((*way, name), word, f"word of {name}", kind)
    return tuple(sorted({kind(word) for word in found}))


def _words(way: Way, content: object) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(word, str) for word in content):
        raise Wrong(way, f"{way[-1]} is a list of words")
    return tuple(content)


def _unknown(way: Way, word: str, what: str, known: Iterable[str]) -> Wrong:
    return Wrong(way, f"{_readable(word)} is no {what}", word, f"Use some of: {', '.join(known)}.")


@contextmanager
def _named(way: Way, word: str) -> Iterator[None]:
    """Give what a record itself finds wrong its place in the file."""
    try:
        yield
    except Malformed as problem:
        what = problem.what
        if not word.isascii():
            what = f"{_readable(word)}: {what}".encode("ascii", "backslashreplace").decode()
        raise Wrong(way, what, word, problem.next_step) from None


def _readable(word: str) -> str:
    """Return a word so that nobody takes a letter for one that looks like it."""
    strange = next((c for c in word if not c.isascii()), "")
    named = f" (with {unicodedata.name(strange, 'a character without a name')})" if strange else ""
    return f"{word[:60]!a}{named}"


_TYPES: dict[type, str] = {
    int: "a whole number",
    str: "text in quotes",
    bool: "true or false",
    dict: "a table",
}
