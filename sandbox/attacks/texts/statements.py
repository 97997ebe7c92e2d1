"""ATTACKS A: statements that reach the locked engine although the guard should have refused them.

The guard is assumed to be broken, and in a second round the engine's own lock too. Rows of the box's own input can
then be read, since the engine has no privileges within a connection; what must hold is that a statement finds
nothing of the host, of the launcher or of another job, and that the engine, once locked, opens no other file.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from sandbox.attacks.texts.common import Attack, Refused, Where, carry_out

sys.path.append("/box")
duckdb: Any = importlib.import_module("duckdb")
engine: Any = importlib.import_module("inside.engine")
box: Any = importlib.import_module("plans.box")

DATA = Path("/tmp/own.parquet")
PLACES = ("/out", "/tmp", "/spill")
_MOST = 1 << 20
_KEPT: list[Any] = []


def prepared(where: Where) -> str:
    """Write the box's own encrypted input, with the canary that is its own, and return its key."""
    key = secrets.token_hex(32)
    with engine.open_engine(Path("/spill"), _limits()) as connection:
        engine.add_key(connection, "own", key)
        connection.execute(
            f"COPY (SELECT i AS person, i % 7 AS age, '{where['own']}' AS name FROM range(100) r(i)) TO"
            f" '{DATA}' (FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption('own')})"
        )
    return key


def tried(sql: str, key: str, must_fail: bool, locked: bool) -> Attack:
    """Return the attack that runs one statement: on the locked engine, or on one of its own that is not locked."""

    def attack(where: Where) -> object:
        before = _files()
        connection = _locked(key) if locked else _opened(key, locked)
        try:
            answer = repr(connection.execute(sql.format(**where)).fetchmany(10_000))
        except (duckdb.Error, MemoryError) as problem:
            answer, failed = str(problem), True
        else:
            failed = False
        # What the engine spills of its own accord is encrypted; what a statement wrote is found like an answer.
        written = b"".join(_content(path) for path in sorted(_files() - before))
        if any(secret in answer for secret in (key, _base64(key))):
            return True
        if must_fail and locked:
            if failed:
                raise Refused("the engine refuses")
            return True
        return answer.encode() + written

    return attack


def _locked(key: str) -> Any:
    """Return the locked engine, to which one statement after the other comes: whatever one of them could change would
    help the next. There is another one where a statement has put an end to it.
    """
    try:
        _KEPT[0].execute("SELECT count(*) FROM tax.income").fetchall()
    except (IndexError, duckdb.Error):
        _KEPT[:] = [_opened(key, locked=True)]
    return _KEPT[0]


def _opened(key: str, locked: bool) -> Any:
    """Return an engine as a query box has it: own data under its key, locked, and only then the statement."""
    connection = engine.open_engine(Path("/spill"), _limits())
    engine.add_key(connection, "own", key)
    connection.execute("CREATE SCHEMA tax")
    source = f"read_parquet('{DATA}', encryption_config = {engine.encryption('own')})"
    connection.execute(f"CREATE VIEW tax.income AS SELECT person, age FROM {source}")
    if locked:
        engine.lock(connection, readable=[DATA])
    return connection


def _limits() -> Any:
    return box.Limits(512, 16, 32, 8, 60, 60, 64, 64, 1)


def _base64(key: str) -> str:
    return base64.b64encode(bytes.fromhex(key)).decode()


def _files() -> set[str]:
    return {
        os.path.join(folder, name)
        for place in PLACES
        for folder, _, names in os.walk(place)
        for name in names
    }


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return path.encode() + file.read(_MOST)
    except OSError:
        return b""


def attacks(where: Where) -> dict[str, Attack]:
    """Return every wanted statement twice: on the locked engine, and on one whose lock is broken too."""
    key = prepared(where)
    rounds = [("", True)] * where["locked"] + [("/unlocked", False)] * where["unlocked"]
    return {
        name + mark: tried(sql, key, must_fail, locked)
        for name, sql, must_fail in where["statements"]
        for mark, locked in rounds
    }


if __name__ == "__main__":
    carry_out(attacks(json.loads(sys.argv[1])))
