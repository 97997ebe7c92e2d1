"""The pages of the ledger: what was weighed for one plan, as one encrypted file, bound to a line of the journal.

    <home>/ledger/<64 hex of the plan>.page    4 bytes length, canonical JSON of the page, then its sets (`plans.sets`)

A page is on disk before the journal's line that names its SHA-256, and is believed only after that line; so a keeper
that is killed at any moment has the whole page or none, and no key was given for none. Pages lie under a key of the
keyring, bound to the plan. A page that is missing, old or changed does not fit the journal, and a journal from a backup
does not fit its mark (`keeper.journal`).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.journal import replace_durably
from keeper.keyring import Keyring
from keys import api as keys
from plans import canonical, names
from plans import sets as plan_sets
from plans.errors import EvidenceBroken, Malformed
from plans.sets import Sets

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Page:
    """What was weighed for one plan.

    Members:
        plan, attempt: whose sets they are.
        question: what ran, over which versions, under which numbers; the same question has the same answer.
        member: who asked.
        datasets: the lineages that it counts on.
        charges: how much of each quota it takes, by subject (`keeper.ledger_quota`).
        minimum, persons: below so many persons a figure is not shown; how many each dataset version has.
        refused: why nothing of it leaves; empty if it does.
        repeats: whether the question was answered before, so that nothing new leaves.
        withheld: the positions of the rows of each table that are kept back.
        tables: the sets.
        enterprises: below so many a figure is not shown.
    """

    plan: str
    attempt: int
    question: str
    member: str
    datasets: tuple[str, ...]
    charges: Mapping[str, int]
    minimum: int
    persons: tuple[int, ...]
    refused: str
    repeats: bool
    withheld: tuple[tuple[int, ...], ...]
    tables: tuple[Sets, ...]
    enterprises: int = 0

    def encode(self) -> bytes:
        """Return it as bytes."""
        head = {name: getattr(self, name) for name in self.__slots__ if name != "tables"}
        head["charges"] = dict(self.charges)
        text = canonical.encode(head)
        return _LENGTH.pack(len(text)) + text + plan_sets.pack(self.tables)

    @classmethod
    def decode(cls, content: bytes) -> Page:
        """Return the page in `content`; raises `Malformed`."""
        if len(content) < _LENGTH.size:
            raise Malformed("this is no page", "ledger")
        (length,) = _LENGTH.unpack_from(content)
        end = _LENGTH.size + length
        head: Any = canonical.decode(content[_LENGTH.size : end])
        head["datasets"], head["persons"] = tuple(head["datasets"]), tuple(head["persons"])
        head["withheld"] = tuple(tuple(rows) for rows in head["withheld"])
        return cls(**head, tables=plan_sets.unpack(content[end:]))


class Book:
    """The folder of pages."""

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._folder, self._keyring = folder, keyring

    def write(self, page: Page) -> str:
        """Put a page on disk and return the SHA-256 by which the journal names it.

        Raises:
            DiskFull: it cannot be written; nothing was weighed then.
        """
        self._folder.mkdir(exist_ok=True, mode=0o700)
        sealed = keys.encrypt(self._keyring.ledger_key(), page.encode(), page.plan.encode())
        replace_durably(self._path(page.plan), sealed)
        return _digest(sealed)

    def read(self, plan: str, digest: str) -> Page:
        """Return the page that the journal names.

        Raises:
            EvidenceBroken: it is not there, or another one.
        """
        try:
            sealed = self._path(plan).read_bytes()
        except FileNotFoundError:
            raise EvidenceBroken(
                "a page of the disclosure ledger is missing, and without it nothing may leave",
                plan[:19],
                "Restore the keeper's folder as a whole, from its newest backup.",
            ) from None
        if _digest(sealed) != digest:
            raise EvidenceBroken("a page of the disclosure ledger is another one", plan[:19])
        return Page.decode(keys.decrypt(self._keyring.ledger_key(), sealed, plan.encode()))

    def _path(self, plan: str) -> Path:
        return self._folder / f"{names.require('digest', plan).removeprefix('sha256:')}.page"


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
