"""`pip` in a lab: from the folder of packages that the operator allows, where there is one, and from nowhere else.

Packages go into the member's home (`~/.local`), after those of the image, which are those of jobs: what was installed
here is not there when the notebook becomes a job.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path("/mirror")

NONE = (
    "Packages cannot be installed in this lab: it has no network, and the operator offers no folder of allowed packages"
    " (/mirror). `darkroom.packages()` lists what is there; ask the operator to add what you need."
    " 本实验室无法安装软件包：没有网络，运营方也未提供软件包目录。"
    "darkroom.packages() 列出已有的软件包；需要其他软件包请联系运营方。"
)
ASK = (
    "If a package is not in the operator's folder (/mirror), ask the operator to add it; the lab has no network."
    " 若运营方的软件包目录（/mirror）中没有该软件包，请联系运营方添加；本实验室没有网络。"
)
_INSTALLS = ("install", "download", "wheel")


def main(arguments: list[str]) -> int:
    """Run pip with these arguments, or say in one sentence why it would find nothing; return its exit status."""
    if arguments[:1] and arguments[0] in _INSTALLS and not offered():
        sys.stderr.write(NONE + "\n")
        return 1
    status = subprocess.run([sys.executable, "-m", "pip", *arguments]).returncode
    if status and arguments[:1] and arguments[0] in _INSTALLS:
        sys.stderr.write(ASK + "\n")
    return status


def offered() -> bool:
    """Whether there is a folder with packages."""
    try:
        return any(path.suffix in (".whl", ".gz", ".zip") for path in FOLDER.iterdir())
    except OSError:
        return False
