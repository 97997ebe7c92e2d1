"""One value, one sequence of bytes: RFC 8785 restricted to what nobody can get wrong."""

from __future__ import annotations

import enum
import hashlib
import json
import types
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans import canonical
from plans.errors import Malformed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=20,
)


class Word(enum.StrEnum):
    ONE = "one"


NAMES = st.text(max_size=4) | st.text("aZ\x7f\u20ac\ue000\U0001d11e", max_size=3) | st.sampled_from([1, None])
ODD = st.recursive(
    VALUES
    | st.text(max_size=4)
    | st.integers()
    | st.floats()
    | st.sampled_from([Word.ONE, b"", 2**53, -(2**53)]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(NAMES, inner, max_size=4),
        st.dictionaries(NAMES, inner, max_size=4).map(types.MappingProxyType),
    ),
    max_leaves=12,
)
"""Values that have a canonical form, and values that nearly have one."""

# ------------------------------------------------------------------------------------- the RFC's examples


def test_members_are_sorted_by_utf16_code_units() -> None:
    """RFC 8785 section 3.2.3: the order in which 😀 (a surrogate pair) comes before the Hebrew presentation form."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    encoded = canonical.encode(dict.fromkeys(names, 0))
    assert list(json.loads(encoded)) == ordered
    assert sorted(names) != ordered  # the control: by code points the order is another one


def test_strings_have_the_escapes_of_the_rfc_and_no_others() -> None:
    """RFC 8785 section 3.2.2.2, the example's string."""
    text = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f"
    assert canonical.encode(text) == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()
    assert (
        canonical.encode("\b\t\n\f\r\x00\x1f\x7f\u2028") == b'"\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\xe2\x80\xa8"'
    )


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, b"null"), (True, b"true"), (False, b"false"), (0, b"0"), (-1, b"-1"),
        (2**53 - 1, b"9007199254740991"), (1 - 2**53, b"-9007199254740991"),
        ([], b"[]"), ({}, b"{}"), ((1, "a"), b'[1,"a"]'),
        ({"b": 1, "a": [None, {"z": True}]}, b'{"a":[null,{"z":true}],"b":1}'),
        ("收入", '"收入"'.encode()),
    ],
)  # fmt: skip
def test_bytes_without_white_space(value: Any, data: bytes) -> None:
    assert canonical.encode(value) == data


# ---------------------------------------------------------------------------------- what has no such bytes


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), 2**53, -(2**53), 10**5_000, "\ud800", {"\udc00": 1}, {1: 2}, {True: 1}, {None: 1}, b"bytes",
     {1, 2}, object(), [1, [2.5]], {"a": {"b": 0.1}}],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(Malformed):
        canonical.encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b"", b" 1", b"1 ", b"1\n", b"01", b"-0", b"+1", b"1.0", b"1e2", b"NaN", b"Infinity", b"-Infinity",
        b'{"b":1,"a":1}', b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"a": 1}', b"[1,]", b"[1 ,2]", b"{a:1}", b"'a'",
        b'"\\u0041"', b'"\\/"', b'"\\u000A"', b'"\\ud800"', b'"\xff"', b'"a', b"tru", b"nulll", b"[]]",
        b"9007199254740992", b"9" * 10_000, '"a"'.encode("utf-16"), '"a"'.encode("utf-32"), b'\xef\xbb\xbf"a"',
        b'"\t"', b"\x00", b"/*c*/1",
    ],
)  # fmt: skip
def test_a_second_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        canonical.decode(data)


@pytest.mark.parametrize("data", [b"[" * 1_000_000, b'{"a":' * 500_000, b"[" * 40 + b"]" * 40])
def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack(data: bytes) -> None:
    with pytest.raises(Malformed):
        canonical.decode(data)


def test_nesting_up_to_the_limit_is_accepted() -> None:
    at_limit = b"[" * canonical.DEEPEST + b"]" * canonical.DEEPEST
    assert canonical.encode(canonical.decode(at_limit)) == at_limit
    with pytest.raises(Malformed, match="nested"):
        canonical.decode(b"[" + at_limit + b"]")


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Malformed, match="nested"):
        canonical.encode(loop)


# --------------------------------------------------------------------------------------------- properties


@given(VALUES)
def test_encoding_and_decoding_are_inverse(value: Any) -> None:
    assert canonical.decode(canonical.encode(value)) == value


@given(ODD)
def test_what_is_written_in_one_go_is_what_is_written_step_by_step(value: Any) -> None:
    assert told(canonical.encode, value) == told(canonical._carefully, value)


@pytest.mark.parametrize("depth", range(28, 36))
@pytest.mark.parametrize("inner", [[], {}, (), "a", 7, 1.5, None, ["a"], {"a": 1}, [[]]])
def test_both_ways_of_writing_end_at_the_same_depth(depth: int, inner: Any) -> None:
    value = inner
    for _ in range(depth):
        value = [value]
    assert told(canonical.encode, value) == told(canonical._carefully, value)


@given(VALUES, VALUES)
def test_two_values_have_two_encodings(one: Any, other: Any) -> None:
    same = canonical.encode(one) == canonical.encode(other)
    assert same == (repr_sorted(one) == repr_sorted(other))


@given(VALUES)
def test_other_json_writers_agree_where_names_are_ascii(value: Any) -> None:
    """The standard library's sorted, compact output is the oracle where UTF-16 order is code point order."""
    if all(ord(character) < 0xD800 for character in str(value)):
        oracle = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        assert canonical.encode(value) == oracle


@given(st.binary(max_size=40))
def test_whatever_is_accepted_is_exactly_what_would_be_written(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except Malformed:
        return
    assert canonical.encode(value) == data


def told(write: Callable[[Any], bytes], value: Any) -> bytes | str:
    """Return what is written, or why nothing is."""
    try:
        return write(value)
    except Malformed as problem:
        return str(problem)


def repr_sorted(value: Any) -> str:
    """A spelling that tells 1 from true, and forgets the order of members."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name!r}:{repr_sorted(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(repr_sorted, value)) + "]"
    return repr(value)


# ------------------------------------------------------------------------------------------------ digests


def test_a_digest_is_sha256_over_tag_kind_zero_and_bytes() -> None:
    expected = hashlib.sha256(b'darkroom/v1/grant\x00{"a":1}').hexdigest()
    assert canonical.digest("grant", {"a": 1}) == "sha256:" + expected


def test_the_same_object_of_two_kinds_has_two_digests() -> None:
    assert canonical.digest("grant", {"a": 1}) != canonical.digest("approval", {"a": 1})


@given(st.text("ab/", min_size=1, max_size=4), st.text("ab/", min_size=1, max_size=4), VALUES, VALUES)
def test_no_kind_and_value_run_into_another_kind_and_value(one: str, other: str, a: Any, b: Any) -> None:
    first, second = (canonical.separated(k, canonical.encode(v)) for k, v in ((one, a), (other, b)))
    assert (first == second) == (one == other and canonical.encode(a) == canonical.encode(b))


@pytest.mark.parametrize("kind", ["", "a\0b"])
def test_a_kind_that_could_run_into_the_bytes_is_refused(kind: str) -> None:
    with pytest.raises(Malformed):
        canonical.digest(kind, {})
