"""Write the lock files anew from their `.in` lists: exact versions, hashes, no address of a registry.

Run it as `make lock`. The platform's lock comes first and the others are bound to its versions, so that a box
and the platform agree on the libraries that both have. The public registry is asked, however pip is set up
on this machine: a lock must install everywhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = [
    "--universal",
    "--python-version", "3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    "--no-config",
    "--system-certs",
    "--annotation-style", "line",
]  # fmt: skip

# (list, lock, lock whose versions it must agree with)
LOCKS = [
    ("locks/platform.in", "locks/platform.txt", None),
    ("locks/dev.in", "locks/dev.txt", "locks/platform.txt"),
    ("locks/bootstrap.in", "locks/bootstrap.txt", "locks/dev.txt"),
    ("images/sql/lock.in", "images/sql/lock.txt", "locks/dev.txt"),
    ("images/python/lock.in", "images/python/lock.txt", "locks/dev.txt"),
    ("images/crypto/lock.in", "images/crypto/lock.txt", "images/python/lock.txt"),
    ("images/notebook/lock.in", "images/notebook/lock.txt", "images/python/lock.txt"),
    ("images/components/lock.in", "images/components/lock.txt", "images/python/lock.txt"),
    ("images/inspect/lock.in", "images/inspect/lock.txt", "locks/dev.txt"),
    ("tests/sandbox/probe/lock.in", "tests/sandbox/probe/lock.txt", "images/sql/lock.txt"),
]


def compile_lock(source: str, lock: str, agree_with: str | None, upgrade: bool) -> None:
    """One `.in` list to one lock file. Raises CalledProcessError when uv finds no solution."""
    command = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "-q", *OPTIONS, source, "-o", lock]
    if agree_with:
        command += ["-c", agree_with]
    if upgrade:
        command += ["--upgrade"]
    if "bootstrap" in source:
        command += ["--allow-unsafe"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    subprocess.run(command, cwd=ROOT, env=ours, check=True)


def main() -> None:
    upgrade = "--upgrade" in sys.argv[1:]
    for source, lock, agree_with in LOCKS:
        print(f"lock: {source} -> {lock}", file=sys.stderr)
        compile_lock(source, lock, agree_with, upgrade)


if __name__ == "__main__":
    main()
