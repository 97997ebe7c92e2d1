"""Folders with few images. A launcher hashes whatever has a name in its folder when it starts: of all, some GiB."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from sandbox import recipes


@functools.cache
def only(*digests: str) -> Path:
    """A folder with these images alone, under the names that they have; kept until this process ends."""
    kept = recipes.images_folder()
    folder = Path(tempfile.mkdtemp(prefix="images-", dir=kept.parent))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    names = [path for path in kept.glob("*.json") if json.loads(path.read_text()).get("digest") in digests]
    whole = [kept / digest.removeprefix("sha256:") for digest in digests]
    subprocess.run(["/bin/cp", "-al", *map(str, (*whole, *names)), str(folder)], check=True)
    return folder
