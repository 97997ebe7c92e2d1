"""The tables, as the newest migration leaves them (a test compares the two).

Times are whole Unix seconds, 0 is "not yet" or "no end". Text that is absent is empty. Nothing here ever
holds a row of somebody's data, a data key or an engine's text: the database is part of what a thief may take
away (ATTACKS 65).
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from plans.errors import Malformed


class Words(TypeDecorator[str]):
    """Text that both databases keep unchanged: no zero bytes (PostgreSQL has none), no lone surrogates."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and ("\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
            raise Malformed("text with a zero byte or a lone surrogate cannot be stored", "database")
        return value


class WordList(TypeDecorator[tuple[str, ...]]):
    """A tuple of words, kept as a JSON list."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(list(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:
        return None if value is None else tuple(json.loads(value))


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _key(name: str) -> Column[Any]:
    return Column(name, String(200), primary_key=True)


def _text(name: str) -> Column[Any]:
    return Column(name, Words, nullable=False)


def _list(name: str) -> Column[Any]:
    return Column(name, WordList, nullable=False)


def _number(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False)


members = Table(
    "members",
    metadata,
    _key("name"),
    _text("domain"),
    _list("roles"),
    _text("password_hash"),
    _text("signing_key"),
    _text("opening_key"),
    _number("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    _key("token_hash"),
    _text("member"),
    _text("kind"),
    _list("scopes"),
    _text("label"),
    _text("parent"),
    _number("created_at"),
    _number("expires_at"),
    Index(None, "member"),
    Index(None, "expires_at"),
)

projects = Table(
    "projects",
    metadata,
    _key("name"),
    _text("title"),
    _text("title_zh"),
    _text("purpose"),
    _list("members"),
    _list("profiles"),
    _number("until"),
)

domains = Table(
    "domains",
    metadata,
    _key("name"),
    _text("title"),
    _text("title_zh"),
    _text("keeper_key"),
    _text("keeper_socket"),
    _text("launcher_socket"),
)

manifests = Table(
    "manifests",
    metadata,
    _key("digest"),
    _text("dataset"),
    _number("version"),
    _text("relation"),
    _text("domain"),
    _text("grade"),
    _text("title"),
    _text("signed"),
    _number("created_at"),
    _number("erased_at"),
    UniqueConstraint("dataset", "version"),
    Index(None, "relation"),
)

applications = Table(
    "applications",
    metadata,
    _key("id"),
    _text("member"),
    _text("role"),
    _text("project"),
    _text("purpose"),
    _text("dataset"),
    _list("columns"),
    _number("until"),
    _number("uses"),
    _text("reason"),
    _text("state"),
    _text("decided_by"),
    _text("grant"),
    _number("created_at"),
    Index(None, "member"),
    Index(None, "state"),
)

statements = Table(
    "statements",
    metadata,
    _key("digest"),
    _text("type"),
    _text("domain"),
    _text("signer"),
    _text("subject_of"),
    _text("signed"),
    _number("received_at"),
    Index(None, "domain", "type", "subject_of"),
    Index(None, "subject_of"),
)

jobs = Table(
    "jobs",
    metadata,
    _key("id"),
    _text("member"),
    _text("project"),
    _text("state"),
    _text("request"),
    _text("request_signature"),
    _text("domain"),
    _text("plan_digest"),
    _text("plan"),
    _text("decision"),
    _text("verdict"),
    _text("release"),
    _text("problem"),
    _number("attempt"),
    _text("stage"),
    _text("timeline"),
    _text("records"),
    _text("trial"),
    _number("spent_s"),
    _number("created_at"),
    _number("updated_at"),
    Index(None, "member"),
    Index(None, "state", "created_at"),
    Index(None, "plan_digest"),
)

joint = Table(
    "joint",
    metadata,
    _key("id"),
    _text("member"),
    _text("project"),
    _text("state"),
    _text("request"),
    _text("request_signature"),
    _list("parties"),
    _text("digest"),
    _text("plan"),
    _text("problem"),
    _number("attempt"),
    _text("timeline"),
    _text("results"),
    _number("created_at"),
    _number("updated_at"),
    Index(None, "member"),
    Index(None, "state", "created_at"),
)

folders = Table("folders", metadata, _key("digest"), _text("content"), _number("created_at"))
