"""A log with small segments, so that a few events cross several of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit import api as audit
from keys import api as keys


def draft(n: int = 0, **more: object) -> audit.Draft:
    fields = {"plan": "sha256:" + "0" * 64, "decision": "allow", "policy": 3, "details": {"n": n}} | more
    return audit.Draft("li@nm", "nm/tax", "job.submitted", f"job-{n}", audit.Retention.GRANTS, **fields)


@dataclass
class Place:
    """A folder, its log's key, and helpers."""

    folder: Path
    key: keys.SigningKey

    def open(self, **more: object) -> audit.Log:
        return audit.Log.open(self.folder, self.key, **{"segment": 16} | more)

    def filled(self, count: int, heads_at: tuple[int, ...] = ()) -> audit.Log:
        log = self.open()
        for n in range(count):
            log.append(draft(n))
            if n + 1 in heads_at:
                log.head()
        return log

    def verify(self, **more: object) -> audit.Report:
        return audit.verify(self.folder, self.key.public, **more)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "log", keys.SigningKey.fresh())


@pytest.fixture
def make_draft() -> Callable[..., audit.Draft]:
    return draft
