"""A Ray cluster for one machine, started so that nothing but its own driver can speak to it.

Ray's session folder and sockets are open to everyone (mode 0777), so they lie under a folder that only we can
enter, with a short path (a Unix socket's is limited to 107 bytes). Its token is passed by path, never in the
environment itself.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from plans.errors import StateConflict

OBJECT_STORE_BYTES = 80 * 2**20
"""The least that Ray accepts, nearly: no data pass through the object store."""


@contextmanager
def local_cluster(cpus: int, memory_mb: int, folder: Path) -> Iterator[None]:
    """Run a local Ray for the time of a `with` block, then end it and wipe its folder.

    Args:
        cpus, memory_mb: what boxes on this machine may use together. folder: where Ray's session and token
        lie; short, and always the same for one installation, so that what a
            killed driver left there is gone when the next one begins.

    Raises:
        StateConflict: the folder is somebody else's.
    """
    _fresh(folder)
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    ray.init(
        num_cpus=cpus,
        _memory=memory_mb * 2**20,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(folder / "r"),
        _node_ip_address="127.0.0.1",
    )
    try:
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _fresh(folder: Path) -> None:
    """Make the folder anew, for us alone; wipe what an earlier driver of ours left."""
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.geteuid()):
        raise StateConflict(
            "the folder for Ray's session belongs to somebody else", str(folder), "Remove it."
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
