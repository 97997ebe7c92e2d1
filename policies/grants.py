"""Grants that were verified, and the index that finds the few that a decision is about.

A domain may hold a million grants; a decision is about one member and a few datasets. `Grants` finds those
candidates at once, and what `policies.decide` then does with them costs the same however many others there are.

A `Grants` never changes. Adding or taking away makes another one that shares all but two small parts with the
first (there are `_PARTS` of each kind), so whoever holds one may read it in any thread, and a decision that
began before a revocation ends with what it began with. Names are compared whole and as they are spelled:
nothing here is a pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from plans.statements import Grant


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant whose signature was verified: its digest, what it says, and whether it still stands.

    `approver` is the key that signed it. Times are Unix seconds, `not_after` 0 is no end.
    """

    digest: str
    grant: Grant
    not_before: int
    not_after: int
    revoked: bool
    uses_left: int
    approver: str = ""

    def stands(self, now: int) -> bool:
        """Return whether the grant can be used at `now` (Unix seconds)."""
        in_time = self.not_before <= now and (self.not_after == 0 or now < self.not_after)
        return in_time and not self.revoked and self.uses_left > 0


class Grants:
    """All verified grants of a domain, found by dataset and member. Immutable; equal when it holds the same."""

    __slots__ = ("_about", "_approvers", "_digests")

    def __init__(self, granted: Iterable[Granted] = ()) -> None:
        """Index grants. Of two with one digest the later counts."""
        by_digest = {item.digest: item for item in granted}
        found: dict[_Key, list[Granted]] = {}
        for item in by_digest.values():
            found.setdefault(_key(item), []).append(item)
        self._digests: _Parts = _parted(by_digest)
        self._about: _Parts = _parted({key: _ordered(items) for key, items in found.items()})
        self._approvers: frozenset[str] | None = None

    def about(self, dataset: str, member: str) -> tuple[Granted, ...]:
        """Return the grants of a member on a dataset, by digest."""
        found: tuple[Granted, ...] = _get(self._about, (dataset, member)) or ()
        return found if self._approvers is None else tuple(filter(self._counts, found))

    def get(self, digest: str) -> Granted | None:
        """Return the grant with this digest, or none."""
        found: Granted | None = _get(self._digests, digest)
        return found if found is not None and self._counts(found) else None

    def with_(self, granted: Granted) -> Self:
        """Return these grants and one more; it takes the place of one with the same digest."""
        key, old = _key(granted), _get(self._digests, granted.digest)
        base = self if old is None or _key(old) == key else self.without(granted.digest)
        others = (item for item in _get(base._about, key) or () if item.digest != granted.digest)
        bucket = _ordered((*others, granted))
        return base._with_parts(_put(base._digests, granted.digest, granted), _put(base._about, key, bucket))

    def without(self, digest: str) -> Self:
        """Return these grants without one; the same if it is not among them."""
        old: Granted | None = _get(self._digests, digest)
        if old is None:
            return self
        key = _key(old)
        rest = tuple(item for item in _get(self._about, key) if item.digest != digest)
        return self._with_parts(_put(self._digests, digest, None), _put(self._about, key, rest or None))

    def revoke(self, digest: str) -> Self:
        """Return these grants with one of them revoked; the same if it is not among them."""
        old: Granted | None = _get(self._digests, digest)
        return self if old is None or old.revoked else self.with_(replace(old, revoked=True))

    def signed_by(self, approvers: Iterable[str]) -> Self:
        """Return those grants that one of these keys signed. It costs nothing: the index is shared."""
        view = self._with_parts(self._digests, self._about)
        keys = frozenset(approvers)
        view._approvers = keys if self._approvers is None else keys & self._approvers
        return view

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self.get(digest) is not None

    def __iter__(self) -> Iterator[Granted]:
        """Go through all of them, by digest."""
        every = (item for part in self._digests for item in part.values() if self._counts(item))
        return iter(sorted(every, key=lambda item: item.digest))

    def __len__(self) -> int:
        if self._approvers is None:
            return sum(map(len, self._digests))
        return sum(self._counts(item) for part in self._digests for item in part.values())

    def __bool__(self) -> bool:
        return any(self._counts(item) for part in self._digests for item in part.values())

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Grants) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Grants({list(self)!r})"

    def _counts(self, granted: Granted) -> bool:
        return self._approvers is None or granted.approver in self._approvers

    def _with_parts(self, digests: _Parts, about: _Parts) -> Self:
        other = object.__new__(type(self))
        other._digests, other._about, other._approvers = digests, about, self._approvers
        return other


# --- a mapping in parts, of which a change copies one -------------------------------------------

_Key = tuple[str, str]
_Parts = tuple[dict[Any, Any], ...]

_PARTS = 1_024
"""With a million grants a change copies a thousand entries and a thousand references: some microseconds."""


_EMPTY: dict[Any, Any] = {}
"""One for all parts without an entry; parts are replaced, never changed."""


def _key(granted: Granted) -> _Key:
    return granted.grant.dataset, granted.grant.member


def _ordered(granted: Iterable[Granted]) -> tuple[Granted, ...]:
    return tuple(sorted(granted, key=lambda item: item.digest))


def _parted(content: dict[Any, Any]) -> _Parts:
    parts = [_EMPTY] * _PARTS
    for key, value in content.items():
        number = hash(key) % _PARTS
        if parts[number] is _EMPTY:
            parts[number] = {}
        parts[number][key] = value
    return tuple(parts)


def _get(parts: _Parts, key: object) -> Any:
    return parts[hash(key) % _PARTS].get(key)


def _put(parts: _Parts, key: object, value: object | None) -> _Parts:
    """Return the parts with one entry set, or taken away by none."""
    number = hash(key) % _PARTS
    part = dict(parts[number])
    if value is None:
        part.pop(key, None)
    else:
        part[key] = value
    return (*parts[:number], part, *parts[number + 1 :])
