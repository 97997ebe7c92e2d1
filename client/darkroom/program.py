"""What a folder of Python finds where it runs: its tables, its parameters, and where it leaves outputs.

    import darkroom
    incomes = darkroom.table("tax.income")              # a pyarrow.Table
    for batch in darkroom.batches("tax.income"): …      # pyarrow.RecordBatch by RecordBatch, larger than memory
    incomes.to_pandas().to_csv(darkroom.out("by_region.csv"))
    darkroom.model("fit").read_bytes()                  # a kept model that the task names (docs/models.md)
    depth = int(darkroom.parameters.get("depth", 3))    # what was passed as depth=3

It is the same in a notebook, in a trial and in a job. Kept models are there in a job alone; elsewhere a file of that
name in the folder `models` beside the program stands in. A job's table is a stream that passes once: `table` keeps what
it has read, and a second pass of `batches` is an error everywhere, so that a trial shows it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

__all__ = ["batches", "model", "out", "parameters", "table", "tables"]

parameters = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
"""Arguments of the form name=value, as text."""

_read: dict[str, pa.Table] = {}
_passed: set[str] = set()


def table(name: str) -> pa.Table:
    """Return a whole table; reading it again costs nothing."""
    if name not in _read:
        _read[name] = pa.Table.from_batches(list(batches(name)), _schema[name])
    return _read[name]


def batches(name: str) -> Iterator[pa.RecordBatch]:
    """Yield a table's rows batch by batch, once: for tables that are larger than memory.

    Raises:
        KeyError: the job does not name the table.
        RuntimeError: its rows have passed already.
    """
    if name not in tables():
        raise KeyError(f"there is no table {name}; here are: {', '.join(tables()) or 'none'}")
    if name in _passed:
        raise RuntimeError(f"the rows of {name} pass once: use darkroom.table, or keep what you need")
    _passed.add(name)
    return _batches(name)


def tables() -> list[str]:
    """Return the names of the tables."""
    if _GIVEN:
        return sorted(_GIVEN)
    return sorted(path.name.removesuffix(_ENDING) for path in _FOLDER.glob(f"*{_ENDING}"))


def out(name: str) -> Path:
    """Return the path of an output; its folder is made."""
    path = Path(os.environ["DARKROOM_OUT"], name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def model(name: str) -> Path:
    """Return the path of a kept model that the task names; in a notebook and in a trial, that of what stands in for it.

    Raises:
        FileNotFoundError: there is neither.
    """
    for folder in (Path(os.environ.get("DARKROOM_MODELS", "models")), Path("models")):
        if "/" not in name and (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"there is no model {name}: name it under [models]; for trials, leave a file models/{name} in the folder"
    )


_schema: dict[str, pa.Schema] = {}
_ENDING = ".arrows"
_GIVEN = dict(pair.split("=") for pair in os.environ.get("DARKROOM_TABLES", "").split(",") if pair)
_FOLDER = Path(os.environ.get("DARKROOM_DATA", "data"))
"""A job and a trial are given open descriptors; elsewhere, as in a notebook, tables are files in a folder."""


def _batches(name: str) -> Iterator[pa.RecordBatch]:
    with _opened(name) as file, pa.ipc.open_stream(file) as reader:
        _schema[name] = reader.schema
        yield from reader
        file.read()  # to the very end, where whoever feeds it knows that it was all


def _opened(name: str) -> BinaryIO:
    return os.fdopen(int(_GIVEN[name]), "rb") if _GIVEN else (_FOLDER / f"{name}{_ENDING}").open("rb")
