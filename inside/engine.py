"""The engine of a box: DuckDB in memory, its spill encrypted, its extensions at hand, and then locked.

The order is the protection. DuckDB has no privilege boundary of its own, so a connection lives through these
steps once:

1. `open_engine`: memory, threads and a private folder for spill, encrypted under a key that nobody else has;
   the OpenSSL extension is loaded by path, and no extension can come from anywhere after that;
2. `add_key` for each encrypted file, and the relations that need them;
3. `lock`: no file but those named, no setting changes any more;
4. only then a statement that somebody else wrote.

A key stays usable on its connection, so a box runs one statement and ends. A locked engine can still use
files in its own spill folder, which holds nothing but this box's spill. The wall is the box; this is the
second layer.
"""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Iterable
from pathlib import Path

import duckdb

from inside.quoting import identifier as identifier
from inside.quoting import literal as literal
from inside.session import BoxFailure
from plans.box import Limits

Connection = duckdb.DuckDBPyConnection

ENGINE_SHARE = 0.6
"""The largest part of the box's memory that the engine plans with."""

RESERVED_MB = 384
"""What the engine takes beyond its own limit: code, the reader's buffers, row groups being written (measured)."""

SMALLEST_ENGINE_MB = 64

NO_INFINITIES = "SET ieee_floating_point_ops = false"
"""Division by zero gives null, so that one zero neither spoils the figure of a whole group nor stops the engine."""


def open_engine(spill: Path, limits: Limits, *, ordered: bool = False) -> Connection:
    """Return a connection that spills only to `spill`, encrypted, with all loaded that it will ever have.

    Without space to spill (`spill_mb` is 0) it spills nowhere.
    `ordered` keeps the order of a file's rows, which costs memory: it is for counting rows by their number.

    Raises:
        BoxFailure: `engine.missing` when the image lacks the extension that encrypts.
    """
    connection = duckdb.connect(":memory:", config=_settings(spill, limits, ordered))
    connection.execute("SET enable_progress_bar = false")  # a box speaks frames on its standard output
    connection.execute(f"LOAD {literal(str(_extension()))}")
    return connection


def add_key(connection: Connection, name: str, key: str) -> None:
    """Let the connection use `key` (64 hex digits: AES-256) for files; statements call it `name`."""
    secret = bytes.fromhex(key)
    if len(secret) != 32:
        raise ValueError("a file key has 256 bits")
    connection.execute(
        f"PRAGMA add_parquet_key({literal(name)}, {literal(base64.b64encode(secret).decode())})"
    )


def encryption(name: str) -> str:
    """Return the option of `read_parquet` and COPY that uses the key called `name`."""
    return f"{{footer_key: {literal(name)}}}"


def keyed(key: str, value: str, purpose: str = "") -> str:
    """Return the SQL of 64 bits that depend on a value (as SQL) under a key (hex); no purpose: a person's signs."""
    return f"md5_number_lower({literal(f'{key}:{purpose}')} || {value})"


def lock(connection: Connection, readable: Iterable[Path] = (), writable: Iterable[Path] = ()) -> None:
    """Close the doors: from now on only the named files can be opened, and no setting changes any more.

    DuckDB does not tell reading from writing here, so the box binds `readable` read-only.
    """
    paths = ", ".join(literal(str(path)) for path in (*readable, *writable))
    connection.execute(f"SET allowed_paths = [{paths}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _settings(spill: Path, limits: Limits, ordered: bool) -> dict[str, str | bool | int]:
    memory = max(
        SMALLEST_ENGINE_MB, min(int(limits.memory_mb * ENGINE_SHARE), limits.memory_mb - RESERVED_MB)
    )
    return {
        "memory_limit": f"{memory}MiB",
        "threads": limits.cpus,
        "temp_directory": str(spill) if limits.spill_mb else "",
        "temp_file_encryption": True,
        "max_temp_directory_size": f"{limits.spill_mb}MiB",
        "preserve_insertion_order": ordered,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
    }


def _extension() -> Path:
    """Find the signed extension in its wheel, for exactly the engine that runs."""
    package = importlib.util.find_spec("duckdb_extension_httpfs")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
        if path.is_file():
            return path
    raise BoxFailure("engine.missing", extension="httpfs", version=duckdb.__version__)
