"""Records: frozen values that know their canonical form.

Every noun of the house is a frozen dataclass derived from `Record`. A record is validated when it is built,
can be written as plain JSON values (`plain`), read back strictly (`read`: no unknown, missing or wrongly
typed member) and hashed (`digest`). Nothing else turns bytes from outside into a noun, so there is one place
to attack, and to test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self

from plans import canonical
from plans.errors import Malformed


class _Digested:
    """Room for a digest that was worked out once. It is no member: no part of equality, of copies, or of bytes."""

    __slots__ = ("_digest",)
    _digest: str


@dataclasses.dataclass(frozen=True, slots=True)
class Record(_Digested):
    """A frozen, canonical value. Subclasses set `KIND` and may define `check` to validate themselves."""

    KIND: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, annotation in _fields(type(self)):
            value = getattr(self, name)
            if type(value) is annotation:
                continue  # a word, a number, an enum's member or a record, exactly as declared: most of them
            _expect(value, annotation, f"{type(self).KIND or type(self).__name__}.{name}")
            if isinstance(value, Mapping):
                # A copy of its own: otherwise one body could be checked, and another be signed.
                object.__setattr__(self, name, _plain(value))
        self.check()

    def check(self) -> None:
        """Validate what types cannot say.

        Raises:
            Malformed: the record contradicts itself.
        """

    def plain(self) -> dict[str, Any]:
        """Return the record as plain JSON values, all members present, absent ones as null."""
        return {name: _plain(getattr(self, name)) for name, _ in _fields(type(self))}

    @classmethod
    def read(cls, plain: object) -> Self:
        """Build the record from plain JSON values.

        Raises:
            Malformed: a member is missing, unknown or of the wrong type, or the record contradicts itself.
        """
        return typing.cast(Self, _read(plain, cls, cls.KIND or cls.__name__))

    def canonical(self) -> bytes:
        """Return the record's canonical bytes (see `plans.canonical`)."""
        return canonical.encode(self.plain())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Build the record from its canonical bytes; raises `Malformed` for any other spelling."""
        return cls.read(canonical.decode(data))

    @property
    def digest(self) -> str:
        """The type-separated hash of the canonical bytes, `sha256:<64 hex>`.

        It is worked out once for a record of which nothing can change: a plan is asked for its digest dozens of times
        on its way. One that holds a mapping, whose copy somebody could still change, is hashed whenever it is asked.
        """
        kind: Any = type(self)
        with contextlib.suppress(AttributeError):
            return self._digest
        found = canonical.digest_bytes(kind.KIND or kind.__name__, self.canonical())
        if _is_fixed(kind):
            object.__setattr__(self, "_digest", found)
        return found


_known_fields: dict[Any, tuple[tuple[str, Any], ...]] = {}


def _fields(cls: Any) -> tuple[tuple[str, Any], ...]:
    """Return a record's members and their annotations, which are worked out once."""
    if cls not in _known_fields:
        hints = typing.get_type_hints(cls)
        _known_fields[cls] = tuple((field.name, hints[field.name]) for field in dataclasses.fields(cls))
    return _known_fields[cls]


def prepare(annotation: Any) -> None:
    """Work out beforehand what records of a kind, and those in them, are made of: the first one that is read waits for
    it otherwise.
    """
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Record) and part not in _known_fields:
            _passed(typing.cast(Any, part))
            for _, member in _fields(part):
                prepare(member)
        elif part is not annotation:
            prepare(part)


@cache
def _is_fixed(annotation: Any) -> bool:
    """Return whether no value of this annotation can change: texts, numbers, members of enums, tuples and records of
    such.
    """
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return all(_is_fixed(member) for _, member in _fields(annotation))
    if _origin(annotation) is tuple or len(_options(annotation)) > 1:
        parts = (part for part in typing.get_args(annotation) if part is not Ellipsis)
        return all(_is_fixed(part) for part in parts)
    return isinstance(annotation, type) and issubclass(annotation, str | int | enum.Enum | types.NoneType)


def _plain(value: object) -> Any:
    if isinstance(value, Record):
        return value.plain()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _read(plain: Any, annotation: Any, where: str) -> Any:
    """Turn a plain value into what `annotation` asks for; the result is still checked when it is built."""
    if plain is None and type(None) in _options(annotation):
        return None
    kind = _kind(annotation)
    if kind is str or kind is int:
        return plain
    origin = _origin(kind)
    if origin is tuple:
        if not isinstance(plain, list):
            raise Malformed("expected a list", where)
        item_type = _item(kind)
        if item_type is str:
            return tuple(plain)
        return tuple(_read(item, item_type, f"{where}[{n}]") for n, item in enumerate(plain))
    if isinstance(kind, type) and issubclass(kind, Record):
        return _read_record(plain, kind, where)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _read_enum(plain, kind, where)
    return plain


def _read_record(plain: Any, kind: Any, where: str) -> Record:
    if not isinstance(plain, dict):
        raise Malformed("expected an object", where)
    fields = dict(_fields(kind))
    if unknown := sorted(set(plain) - set(fields)):
        raise Malformed(f"unknown member {unknown[0]!r}", where)
    if missing := sorted(set(fields) - set(plain)):
        raise Malformed(f"member {missing[0]!r} is missing", where)
    passed = _passed(kind)
    made: Record = kind(
        **{
            name: plain[name] if name in passed else _read(plain[name], fields[name], f"{where}.{name}")
            for name in fields
        }
    )
    return made


@cache
def _passed(kind: Any) -> frozenset[str]:
    """Return the members that are read as they are, and judged when the record is built: texts and numbers."""
    return frozenset(name for name, annotation in _fields(kind) if _kind(annotation) in (str, int))


def _read_enum(plain: Any, kind: type[enum.Enum], where: str) -> enum.Enum:
    for member in kind:
        if member.value == plain:
            return member
    raise Malformed(f"{plain!r:.40} is not one of {', '.join(str(m.value) for m in kind)}", where)


@cache
def _origin(annotation: Any) -> Any:
    """Return what `typing.get_origin` does, which is slow; there are as many annotations as the code has."""
    return typing.get_origin(annotation)


@cache
def _item(kind: Any) -> Any:
    """Return what the items of a tuple are."""
    return typing.get_args(kind)[0]


@cache
def _kind(annotation: Any) -> Any:
    """Return what a value is read as that is not absent."""
    return next(option for option in _options(annotation) if option is not type(None))


@cache
def _options(annotation: Any) -> tuple[Any, ...]:
    if _origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _expect(value: object, annotation: Any, where: str) -> None:
    """Check one member against its annotation, so that a record built in code is as strict as one that was read."""
    for option in _options(annotation):
        origin = _origin(option)
        if origin is tuple:
            if isinstance(value, tuple):
                _expect_items(value, _item(option), where)
                return
        elif origin is not None:
            if isinstance(value, Mapping):
                _expect_mapping(value, typing.get_args(option)[1], where)
                return
        elif option is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return
        elif option is Any or isinstance(value, option):
            return
    raise Malformed(f"a value of the type {type(value).__name__} does not belong here", where)


def _expect_items(value: tuple[Any, ...], kind: Any, where: str) -> None:
    if kind is str and all(type(item) is str for item in value):
        return
    for n, item in enumerate(value):
        _expect(item, kind, f"{where}[{n}]")


def _expect_mapping(value: Mapping[str, Any], annotation: Any, where: str) -> None:
    canonical.encode(value)
    for name, item in value.items():
        _expect(item, annotation, f"{where}.{name}")
