"""What calls take beside the thing itself, as types for `**options`: the same on look-alike and on real data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class About(TypedDict, total=False):
    """For which project and purpose something is asked."""

    project: str
    purpose: str


class OfSql(About, total=False):
    """Of a statement."""

    spend_micro: int


class OfWork(About, total=False):
    """Of a program: what a `darkroom.toml` says, for a function that has none."""

    tables: Mapping[str, Sequence[str]] | None
    outputs: Mapping[str, Any] | None
    arguments: Mapping[str, Any] | None
    image: str


class OfComponent(About, total=False):
    """Of a component."""

    statement: str


class OfJoint(About, total=False):
    """Of a joint statement: who computes."""

    servers: Sequence[str]
    helper: str
    inspector: str
    finder: str
    collector: str
