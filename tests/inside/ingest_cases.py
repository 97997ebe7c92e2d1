"""Ingests in this process: a description, some bytes, a session with fresh keys, and readers that have the keys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog.api import DescribedColumn, Description, Format, Share
from inside import engine, ingest
from inside.session import Session
from plans import canonical
from plans.box import BoxSpec, Entry, Input, Limits
from plans.decision import Tier
from plans.key import BoxKeys
from plans.manifest import Grade, Kind
from plans.plan import Plan, PlanKind

LIMITS = Limits(1024, 64, 2048, 1024, 600, 600, 64, 64, 2)
FILES = ("attributes.parquet", "identifiers.parquet")


def column(name: str, type_: str = "text", kind: Kind = Kind.PLAIN, **more: Any) -> DescribedColumn:
    """A described column with little said about it."""
    values = {"header": name, "title": "", "title_zh": "", "unit": "", "minimum": None, "maximum": None}
    values |= {"categories": (), "check_digit": ""} | more
    return DescribedColumn.read(
        {"name": name, "type": type_, "kind": kind.value, **values, "categories": list(values["categories"])}
    )


def description(
    *columns: DescribedColumn, person: str = "id", unique: bool = False, form: str = "csv"
) -> Description:
    """A description of a small dataset."""
    texts = ("nm/test/things", "Things", "东西", "", "hand")
    return Description(*texts, Grade.GENERAL_3, Share.CONDITIONAL, Format(form), person, unique, columns)


def identifier(name: str = "id", **more: Any) -> DescribedColumn:
    """An identifier column."""
    return column(name, kind=Kind.IDENTIFIER, **more)


@dataclass
class Case:
    """One ingest in a folder of its own."""

    folder: Path
    described: Description
    limits: Limits = LIMITS
    keys: BoxKeys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = BoxKeys({}, {name: secrets.token_hex(32) for name in FILES}, secrets.token_hex(32))
        for name in ("in", "out", "temp"):
            (self.folder / name).mkdir(exist_ok=True)

    @property
    def source(self) -> Path:
        """Where the source lies."""
        return self.folder / "in" / "source"

    @property
    def out(self) -> Path:
        """Where the outputs go."""
        return self.folder / "out"

    def session(self) -> Session:
        """The session that a box would have, for the source as it lies there."""
        with self.source.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        spec = BoxSpec(Entry.INGEST, "sha256:" + "0" * 64, (Input("source", digest),), self.limits, Tier.T1)
        material = canonical.encode({"description": self.described.plain(), "version": 1}).decode()
        plan = Plan(PlanKind.INGEST, "nm/test", None, "", None, None, material, (spec,), "0" * 32, 0)
        return Session(
            plan, Entry.INGEST, 1, {"source": self.source}, self.keys, self.out, self.folder / "temp"
        )

    def run(self, data: bytes | str) -> dict[str, Any]:
        """Ingest these bytes."""
        self.source.write_bytes(data.encode() if isinstance(data, str) else data)
        return ingest.run(self.session())

    def rows(self, name: str, select: str = "*") -> list[tuple[Any, ...]]:
        """Read a written file with its key."""
        with engine.open_engine(self.folder / "temp", self.limits) as connection:
            engine.add_key(connection, "k", self.keys.outputs[name])
            path = engine.literal(str(self.out / name))
            return connection.execute(
                f"SELECT {select} FROM read_parquet({path}, encryption_config = {engine.encryption('k')})"
            ).fetchall()

    def token(self, text: str) -> int:
        """What RFC 2104 says, by the standard library."""
        digest = hmac.digest(bytes.fromhex(self.keys.token), text.encode(), "sha256")
        return int.from_bytes(digest[:8], "big")

    def leftovers(self) -> list[str]:
        """What lies in the output folder."""
        return sorted(path.name for path in self.out.iterdir())
