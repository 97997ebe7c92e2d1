"""One suite, two databases: SQLite in a file, and Debian's PostgreSQL on a unix socket in a temporary place."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import api as store

BINARIES = Path("/usr/lib/postgresql/15/bin")


def as_postgres(*command: str | Path, check: bool = True) -> None:
    """Run a command as the user `postgres`: the server refuses to run as root."""
    lower = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    whole = [*lower, *map(str, command)]
    subprocess.run(whole, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """A running server that listens on no network, ended with the session."""
    if not (BINARIES / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed: apt-get install postgresql-15")
    folder = Path(tempfile.mkdtemp(prefix="dr-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    data, control = folder / "data", BINARIES / "pg_ctl"
    options = (
        f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c shared_buffers=32MB"
    )
    try:
        as_postgres(BINARIES / "initdb", "--no-sync", "--auth=trust", "--username=darkroom", "-D", data)
        as_postgres(control, "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        yield folder
    finally:
        as_postgres(control, "-D", data, "-m", "immediate", "-w", "stop", check=False)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    folder = request.getfixturevalue("postgres_folder")
    name = "d" + uuid.uuid4().hex
    as_postgres(BINARIES / "createdb", "-h", folder, "-U", "darkroom", name)
    return f"postgresql+psycopg://darkroom@/{name}?host={folder}"


@pytest.fixture
def database(url: str) -> Iterator[store.Database]:
    """A migrated database of either kind."""
    opened = store.open_database(url)
    store.migrate(opened)
    yield opened
    opened.close()
