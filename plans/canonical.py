"""Canonical bytes: one value, one sequence of bytes, one digest.

Whatever is signed, hashed or compared in Darkroom is first brought into the form below. It is the JSON
Canonicalization Scheme (RFC 8785) restricted to the values whose encoding nobody can get wrong:

* text without lone surrogates, whole numbers of at most 53 bits, true, false, null, lists, and objects with text keys;
* no floating-point numbers (RFC 8785 section 3.2.2.3 is where implementations differ): write them as text;
* object members sorted by the UTF-16 code units of their names (section 3.2.3), no white space, only the
  escapes that section 3.2.2.2 asks for.

`decode` is strict: it accepts only what `encode` would have written, so a value cannot have two spellings.
Digests are type-separated: the same object as a grant and as an approval has two different digests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from plans.errors import Malformed

TAG = "darkroom/v1/"

_QUOTED = json.JSONEncoder(ensure_ascii=False).encode
"""One encoder for all texts: to make one for each costs more than the text."""

_WHOLE = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")
).encode
"""The library's encoder of whole values. It writes more than is canonical, so it only sees what `_is_simple`."""

Plain = str | int | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]

LARGEST_NUMBER = 2**53 - 1
DEEPEST = 32
"""How deep lists and objects may be nested; deeper input is refused before it can exhaust the stack."""


def encode(value: Plain) -> bytes:
    """Return the canonical bytes of `value`.

    Raises:
        Malformed: the value holds something that has no canonical form.
    """
    if _is_simple(value, DEEPEST):
        with contextlib.suppress(UnicodeEncodeError):  # a lone surrogate: the careful way says so
            return _WHOLE(value).encode("utf-8")
    return _carefully(value)


def decode(data: bytes) -> Plain:
    """Return the value whose canonical bytes are `data`.

    Raises:
        Malformed: `data` is not JSON, or is JSON in any other than its canonical spelling.
    """
    try:
        value: Plain = json.loads(data, parse_float=_no_floats, parse_constant=_no_floats)
    except (ValueError, RecursionError) as problem:
        raise Malformed("these bytes are not canonical JSON", "canonical bytes") from problem
    if encode(value) != data:
        raise Malformed("these bytes are JSON, but not in canonical form", "canonical bytes")
    return value


def digest(kind: str, value: Plain) -> str:
    """Return `sha256:<64 hex>`: the hash of the canonical bytes, separated by the kind of the value."""
    return digest_bytes(kind, encode(value))


def digest_bytes(kind: str, data: bytes) -> str:
    """Return the type-separated digest of bytes that are canonical already, or are no JSON at all."""
    return "sha256:" + hashlib.sha256(separated(kind, data)).hexdigest()


def separated(kind: str, data: bytes) -> bytes:
    """Return what is hashed or signed for `data` as a `kind`: tag, kind, a zero byte, the bytes."""
    if not kind or "\0" in kind:
        raise Malformed("a kind is a non-empty word without zero bytes", "canonical bytes")
    return TAG.encode() + kind.encode() + b"\0" + data


def _is_simple(value: Any, depth: int) -> bool:
    """Return whether the library's encoder writes exactly the canonical form of a value: it is made of exactly the
    types that JSON has, its numbers have at most 53 bits, its names are ASCII (whose order is that of UTF-16), and it
    is not too deep. Nearly everything is; to write it step by step takes three times as long.
    """
    kind = type(value)
    if kind is dict:
        named = all(type(name) is str and name.isascii() for name in value)
        return named and _are_simple(value.values(), depth)
    if kind is list or kind is tuple:
        return _are_simple(value, depth)
    if kind is int:
        return bool(-LARGEST_NUMBER <= value <= LARGEST_NUMBER)
    return kind is str or kind is bool or value is None


def _are_simple(items: Collection[Any], depth: int) -> bool:
    """Return whether all items of a list or object are; one at the deepest level has none."""
    if depth == 1:
        return not items
    for item in items:
        kind = type(item)
        if kind is not str and not _is_simple(item, depth - 1):
            return False
    return True


def _carefully(value: Plain) -> bytes:
    """Write any value step by step, and say what of it has no canonical form; raises `Malformed`."""
    parts: list[str] = []
    _write(value, parts, DEEPEST)
    return "".join(parts).encode("utf-8")


def _write(value: Plain, parts: list[str], depth: int) -> None:
    if depth == 0:
        raise Malformed(f"nested deeper than {DEEPEST} levels", "canonical bytes")
    if value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, str):
        parts.append(_text(value))
    elif isinstance(value, int):
        parts.append(_number(value))
    elif isinstance(value, Mapping):
        _write_object(value, parts, depth)
    elif isinstance(value, (list, tuple)):
        _write_list(value, parts, depth)
    else:
        raise Malformed(f"a {type(value).__name__} has no canonical form", "canonical bytes")


def _write_list(value: Sequence[Plain], parts: list[str], depth: int) -> None:
    parts.append("[")
    for position, item in enumerate(value):
        if position:
            parts.append(",")
        if type(item) is str and depth > 1:
            parts.append(_text(item))  # most of what is long: cells of tables
        else:
            _write(item, parts, depth - 1)
    parts.append("]")


def _write_object(value: Mapping[str, Plain], parts: list[str], depth: int) -> None:
    if not all(isinstance(name, str) for name in value):
        raise Malformed("an object's names must be text", "canonical bytes")
    plain = all(name.isascii() for name in value)  # then one character is one code unit, in the same order
    parts.append("{")
    for position, name in enumerate(sorted(value, key=None if plain else _code_units)):
        if position:
            parts.append(",")
        parts.append(_text(name) + ":")
        _write(value[name], parts, depth - 1)
    parts.append("}")


def _code_units(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _text(value: str) -> str:
    try:
        if not value.isascii():
            value.encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("text with a lone surrogate has no canonical form", "canonical bytes") from None
    return _QUOTED(value)


def _number(value: int) -> str:
    if abs(value) > LARGEST_NUMBER:
        raise Malformed("a whole number of more than 53 bits; write it as text", "canonical bytes")
    return str(value)


def _no_floats(_: str) -> None:
    raise ValueError("floating-point numbers have no canonical form here")
