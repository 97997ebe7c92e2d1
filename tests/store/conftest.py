"""One suite, two databases: SQLite in a file, and Debian's PostgreSQL on a unix socket in a temporary place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import api as store

BINARIES = Path("/usr/lib/postgresql/15/bin")


def as_postgres(*command: str | Path) -> list[str]:
    """Return the command as the user `postgres` runs it (the server refuses to be root); it ends with its parent."""
    lower = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig=QUIT", *lower, *map(str, command)]


def run(*command: str | Path) -> int:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run(as_postgres(*command), cwd="/", **quiet).returncode


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """A running server that listens on no network, ended with the session."""
    if not (BINARIES / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed: apt-get install postgresql-15")
    folder = Path(tempfile.mkdtemp(prefix="dr-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    try:
        assert (
            run(
                BINARIES / "initdb", "--no-sync", "--auth=trust", "--username=darkroom", "-D", folder / "data"
            )
            == 0
        )
        with serving(folder):
            yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """Run the server on a socket in `folder` until the block ends."""
    options = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "shared_buffers=32MB"]
    command = as_postgres(BINARIES / "postgres", "-D", folder / "data", *(f"--{each}" for each in options))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd="/", stdout=log, stderr=log)
        try:
            until = time.monotonic() + 120
            while run(BINARIES / "pg_isready", "-q", "-h", folder) != 0:
                assert server.poll() is None and time.monotonic() < until, "PostgreSQL does not start"
                time.sleep(0.05)
            yield
        finally:
            server.send_signal(signal.SIGQUIT)  # nothing of it is kept
            server.wait(120)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    folder = request.getfixturevalue("postgres_folder")
    name = "d" + uuid.uuid4().hex
    assert run(BINARIES / "createdb", "-h", folder, "-U", "darkroom", name) == 0
    return f"postgresql+psycopg://darkroom@/{name}?host={folder}"


@pytest.fixture
def database(url: str) -> Iterator[store.Database]:
    """A migrated database of either kind."""
    opened = store.open_database(url)
    store.migrate(opened)
    yield opened
    opened.close()
