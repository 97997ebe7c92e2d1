"""A twin: tables made up in the box from what an owner declared, with no value of anybody's data (`plans.trial`).

The same declaration and the same seed give the same rows: every value is computed from the seed, the column's name and
the number of the row, by MD5, which no version of the engine can change. One value in eight is missing where values
may be missing.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from pathlib import Path

import duckdb

from inside.engine import identifier, literal
from plans.trial import Trial, TwinColumn, TwinTable

MEMORY_MB = 128
_MOST_STEPS = 10**18 - 1
_EXACT = decimal.Context(prec=100)


def make(trial: Trial, folder: Path) -> None:
    """Write every table of a trial as `<relation>.parquet` into a folder."""
    for table in trial.tables:
        write(table, trial.seed, folder / f"{table.name}.parquet")


def write(table: TwinTable, seed: int, path: Path) -> None:
    """Make one table."""
    columns = ", ".join(
        f"{expression(column, f'{seed}/{table.name}')} AS {identifier(column.name)}"
        for column in table.columns
    )
    settings: dict[str, str | bool | int] = {
        "threads": 1,
        "memory_limit": f"{MEMORY_MB}MiB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=settings) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            f"COPY (SELECT {columns} FROM range({table.rows}) AS made(n)) TO {literal(str(path))} (FORMAT parquet)"
        )


def expression(column: TwinColumn, seed: str) -> str:
    """Return the SQL of a column's values; `n` is the number of the row."""
    drawn = _drawn(f"{seed}/{column.name}")
    value = _chosen(column, drawn) if column.values else _between(column, drawn)
    typed = f"CAST({value} AS {column.type})"
    if not column.nulls:
        return typed
    return f"CASE WHEN {_drawn(f'{seed}/{column.name}/missing')} % 8 = 0 THEN NULL ELSE {typed} END"


def _drawn(name: str) -> str:
    """Return a whole number below 2^64 that depends on the name and the row only."""
    return f"md5_number_lower({literal(name + '/')} || n)"


def _chosen(column: TwinColumn, drawn: str) -> str:
    values = ", ".join(literal(value) for value in column.values)
    return f"[{values}][1 + CAST({drawn} % {len(column.values)} AS BIGINT)]"


def _between(column: TwinColumn, drawn: str) -> str:
    """Return a value between the bounds: whole steps for whole numbers and dates, a fraction for the others."""
    low, high = literal(column.low), literal(column.high)
    if column.type == "DATE":
        return f"CAST({low} AS DATE) + CAST({drawn} % (CAST({high} AS DATE) - CAST({low} AS DATE) + 1) AS INTEGER)"
    if column.type == "TIMESTAMP":
        seconds = f"(epoch(CAST({high} AS TIMESTAMP)) - epoch(CAST({low} AS TIMESTAMP)) + 1)"
        return f"CAST({low} AS TIMESTAMP) + to_seconds(CAST({drawn} % CAST({seconds} AS UBIGINT) AS BIGINT))"
    if column.type in ("DOUBLE", "FLOAT"):
        span = f"(CAST({high} AS DOUBLE) - CAST({low} AS DOUBLE))"
        return f"CAST({low} AS DOUBLE) + {span} * (CAST({drawn} AS DOUBLE) / 18446744073709551616)"
    if column.type.startswith("DECIMAL"):
        return _decimal(column, drawn)
    span = f"(CAST({high} AS HUGEINT) - CAST({low} AS HUGEINT) + 1)"
    return f"CAST({low} AS HUGEINT) + {drawn} % {span}"


def _decimal(column: TwinColumn, drawn: str) -> str:
    """Return steps of the type's last digit above the lower bound, as many as lie within type and bounds.

    A step is never below 10^-18, and there are never more than 10^18, so that the engine's product fits 38 digits.
    """
    width, scale = (int(part) for part in column.type.removeprefix("DECIMAL(").removesuffix(")").split(","))
    digits = min(scale, 18)
    reach = min(
        _EXACT.subtract(Decimal(column.high), Decimal(column.low)), _EXACT.scaleb(10**width - 1, -scale)
    )
    steps = 1 + min(int(_EXACT.scaleb(reach, digits)), _MOST_STEPS - 1)
    step = f"CAST('{_EXACT.scaleb(1, -digits):f}' AS DECIMAL({digits + 1},{digits}))"
    above = f"CAST(CAST({drawn} % {steps} AS DECIMAL(18,0)) * {step} AS {column.type})"
    return f"CAST({literal(column.low)} AS {column.type}) + {above}"
