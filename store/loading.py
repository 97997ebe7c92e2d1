"""Reading the settings: file, then variables, each name and type checked, into `store.settings.Settings`."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from plans import names
from plans.errors import Malformed, SettingsWrong
from store.lab_settings import Profile
from store.settings import OTHER_VARIABLES, Settings

DEFAULT_FILE = Path("darkroom.toml")
_PREFIX = "DARKROOM_"


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of `file` (else `DARKROOM_SETTINGS`, else `darkroom.toml` if there is one).

    Raises:
        SettingsWrong: the file cannot be read, or a setting is unknown, of the wrong type or out of range.
    """
    variables = os.environ if environment is None else environment
    path = file or (Path(variables["DARKROOM_SETTINGS"]) if variables.get("DARKROOM_SETTINGS") else None)
    if path is None and DEFAULT_FILE.exists():
        path = DEFAULT_FILE
    given = _from_file(path) if path else {}
    given |= _from_variables(variables)
    read = typing.cast(Settings, _changed(Settings(), "", given))
    folder = (path.absolute().parent if path else Path.cwd()) / read.data_folder
    return dataclasses.replace(read, data_folder=folder)


def leaves(kind: type = Settings, before: str = "") -> Iterator[tuple[str, type]]:
    """Yield every setting by its dotted name, with its type. Profiles of labs are one setting."""
    hints = typing.get_type_hints(kind)
    for each in dataclasses.fields(kind):
        name, type_ = before + each.name, hints[each.name]
        if dataclasses.is_dataclass(type_):
            yield from leaves(typing.cast(type, type_), name + ".")
        else:
            yield name, type_


def variable(name: str) -> str:
    """Return the variable of a setting: `DARKROOM_LIMITS_QUERY_CPUS` for `limits.query.cpus`."""
    return _PREFIX + name.upper().replace(".", "_")


def _from_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsWrong(
            "there is no settings file here",
            str(path),
            "Make it, or unset DARKROOM_SETTINGS to use the defaults.",
        ) from None
    except OSError:
        raise SettingsWrong(
            "the settings file cannot be read", str(path), "Look at its permissions."
        ) from None
    except tomllib.TOMLDecodeError as problem:
        raise SettingsWrong(f"the settings file is not TOML: {problem}", str(path)) from None
    except UnicodeDecodeError:
        raise SettingsWrong("the settings file is not text in UTF-8", str(path)) from None
    known = dict(leaves())
    return {name: _typed(value, known[name], name) for name, value in _flat(content, known, "", str(path))}


def _flat(
    content: dict[str, Any], known: Mapping[str, type], before: str, where: str
) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        name = before + key
        if name in known:
            yield name, value
        elif any(each.startswith(name + ".") for each in known) and isinstance(value, dict):
            yield from _flat(value, known, name + ".", where)
        else:
            first = next(iter(value), "") if isinstance(value, dict) else ""
            raise _unknown(f"{name}.{first}" if first else name, known, where)


def _from_variables(variables: Mapping[str, str]) -> dict[str, Any]:
    known = {variable(name): (name, kind) for name, kind in leaves()}
    found = {}
    for key, text in variables.items():
        if key in known:
            name, kind = known[key]
            found[name] = _parsed(text, kind, key)
        elif key.startswith(_PREFIX) and key not in OTHER_VARIABLES and not key.startswith("DARKROOM_TEST_"):
            raise _unknown(key, known, "environment")
    return found


def _unknown(name: str, known: Mapping[str, Any], where: str) -> SettingsWrong:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    advice = f"Did you mean {near[0]}?" if near else ""
    return SettingsWrong(f"there is no setting {name!r:.80}", where, advice)


def _parsed(text: str, kind: type, where: str) -> Any:
    """Return a variable's text as a value of the setting's type."""
    if kind is bool and text in ("true", "false"):
        return text == "true"
    if kind is int and text.removeprefix("-").isascii() and text.removeprefix("-").isdigit():
        return int(text)
    return _typed(text, kind, where)


def _profiles(value: Any, where: str) -> Mapping[str, Profile]:
    """Return the profiles of labs: a table for each, whose settings are as strict as all others."""
    if not isinstance(value, dict):
        raise SettingsWrong("profiles are written in the settings file, a table for each", where)
    return MappingProxyType({name: _profile(name, given, f"{where}.{name}") for name, given in value.items()})


def _profile(name: str, given: Any, where: str) -> Profile:
    known = dict(leaves(Profile))
    if not isinstance(given, dict):
        raise SettingsWrong("a profile is a table", where, "Write its settings below [labs.profiles.NAME].")
    try:
        names.require("project", name, where)
    except Malformed as problem:
        raise SettingsWrong(f"{problem.what}, as a profile has", where) from None
    for key in given:
        if key not in known:
            raise _unknown(f"{where}.{key}", {f"{where}.{each}": each for each in known}, where)
    read = {key: _typed(value, known[key], f"{where}.{key}") for key, value in given.items()}
    return Profile(**read)


def _typed(value: Any, kind: type, where: str) -> Any:
    if kind == Mapping[str, Profile]:
        return _profiles(value, where)
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    if kind is not Path and type(value) is kind:
        return value
    words = {int: "a whole number", bool: "true or false", str: "text", Path: "the path of a folder"}
    raise SettingsWrong(f"this setting is {words[kind]}", where)


def _changed(value: Any, before: str, given: Mapping[str, Any]) -> Any:
    """Return a dataclass with what is given by dotted names; the rest stays as it is."""
    changes = {}
    for each in dataclasses.fields(value):
        name, present = before + each.name, getattr(value, each.name)
        if name in given:
            changes[each.name] = given[name]
        elif dataclasses.is_dataclass(present):
            changes[each.name] = _changed(present, name + ".", given)
    try:
        return dataclasses.replace(value, **changes)
    except SettingsWrong:
        raise
    except Malformed as problem:
        raise SettingsWrong(problem.what, before.removesuffix(".")) from None
