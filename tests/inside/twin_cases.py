"""Twins made in this process: an encrypted file of attributes, its manifest, and a session with fresh keys."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from inside import engine, twins
from inside.session import Session
from plans.box import BoxSpec, Entry, Input, Limits, Outputs
from plans.decision import Tier
from plans.key import BoxKeys
from plans.manifest import Column, DataFile, Declared, FileRole, Grade, Kind, Manifest
from plans.plan import Plan, PlanKind
from plans.twins import RECIPE, REPORT, Imitation, Recipe, TwinReport

LIMITS = Limits(4096, 256, 8192, 1024, 1200, 1200, 128, 512, 2)
SEED = "ab" * 16
DATASET = "nm/test/things"
IMAGE = "sha256:" + "0" * 64


def column(name: str, kind: str, low: str = "", high: str = "", *values: str, nulls: int = 0) -> Column:
    """A column with what its owner declared."""
    return Column(name, kind, "", Kind.PLAIN, nulls, Declared(low, high, values))


@dataclass
class Case:
    """A dataset version as SQL of its rows, `person` the token first, and what a box makes of it."""

    folder: Path
    rows: str
    columns: tuple[Column, ...]
    about_persons: bool = True
    key: str = field(default_factory=lambda: secrets.token_hex(32))
    signs: str = field(default_factory=lambda: secrets.token_hex(32))
    limits: Limits = LIMITS
    manifest: Manifest = field(init=False)

    def __post_init__(self) -> None:
        for name in ("in", "out", "temp"):
            (self.folder / name).mkdir(exist_ok=True)
        path = self.folder / "in" / "attributes.parquet"
        path.unlink(missing_ok=True)
        with engine.open_engine(self.folder / "temp", self.limits) as connection:
            engine.add_key(connection, "k", self.key)
            connection.execute(
                f"COPY ({self.rows}) TO {engine.literal(str(path))}"
                f" (FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption('k')})"
            )
        digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        file = DataFile(FileRole.ATTRIBUTES, path.name, digest, path.stat().st_size)
        person = "id" if self.about_persons else ""
        self.manifest = Manifest(
            DATASET, 1, Grade.GENERAL_3, "Things / 东西", person, self.columns, (file,), 1,
            1 if self.about_persons else 0, digest, 0,
        )  # fmt: skip

    def imitation(self, rho: float, **changes: Any) -> Imitation:
        """What is asked for."""
        names = tuple(each.name for each in self.columns)
        asked = {"columns": names, "row_filter": "", "repeats": False} | changes
        return Imitation(manifest=self.manifest, rho_micro=round(rho * 1_000_000), seed=SEED, **asked)

    def session(self, asked: Imitation) -> Session:
        """The session that a box would have."""
        file = self.manifest.attributes
        spec = BoxSpec(
            Entry.TWIN, IMAGE, (Input(file.name, file.sha256),), self.limits, Tier.T1,
            outputs=Outputs(2, (RECIPE, REPORT)),
        )  # fmt: skip
        material = asked.canonical().decode()
        plan = Plan(PlanKind.TWIN, "nm/test", None, "", None, None, material, (spec,), "0" * 32, 0)
        outputs = {name: secrets.token_hex(32) for name in (RECIPE, REPORT)}
        keys = BoxKeys({file.name: self.key}, outputs, "", signs=self.signs)
        path = {file.name: self.folder / "in" / file.name}
        return Session(
            plan, Entry.TWIN, 1, path, keys, self.folder / "out", self.folder / "temp", self.folder / "temp"
        )

    def made(self, rho: float = 1.0, **changes: Any) -> tuple[Recipe, TwinReport]:
        """Recipe and report."""
        asked = self.imitation(rho, **changes)
        return twins.made(self.session(asked), asked)


def rows_of(recipe: Recipe, folder: Path, select: str, rows: int = 20_000) -> list[tuple[Any, ...]]:
    """What a statement finds in a twin called `made`."""
    from dataclasses import replace

    from inside import twin

    table = replace(recipe.table, rows=rows)
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE made AS {twin.select(table, 0)}")
        return connection.execute(select).fetchall()
