"""What every kernel of a lab begins with, besides the client: `%pip` from the mirror, and a word about what a cell's
own error does not say: that the home is full, a file too large, or the lab's image not there any more.

The kernel's command (`share/kernels`) names this module and `darkroom` as extensions of IPython. Nothing here prints
unless there is something to say; of an extension that cannot be loaded the server's log tells, and the kernel starts.
"""

from __future__ import annotations

import shlex
import site
import sys
from pathlib import Path
from typing import Any

from darkroom_lab import home, mirror

PART = Path(__file__)
"""A file of the image: it is not there once somebody has removed the image under the lab."""

IMAGE_GONE = (
    "The image of this lab has disappeared from the node, so imports and commands fail: save your notebooks, stop the"
    " lab (File, Hub Control Panel) and start it again; if it does not start, ask an administrator."
    " 本实验室的镜像已从节点上消失，导入和命令会失败：请保存笔记本，停止实验室（Hub 控制面板）后重新启动；"
    "若无法启动，请联系管理员。"
)


def load_ipython_extension(shell: Any) -> None:
    """Called by IPython when the kernel starts: from now on the notebook's folder is in the path (`launch`)."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    shell.register_magic_function(pip, "line", "pip")
    shell.events.register("post_run_cell", after_cell)


def pip(line: str) -> None:
    """Run pip: `%pip install NAME` takes it from the folder of allowed packages into your home."""
    if mirror.main(shlex.split(line)) == 0:
        place = site.getusersitepackages()
        if place not in sys.path:
            site.addsitedir(place)  # made just now: the kernel started without it


def after_cell(result: Any) -> None:
    """After a cell that failed for want of room, or because the image was removed, say so."""
    problem = getattr(result, "error_in_exec", None)
    if isinstance(problem, OSError) and problem.errno in home.OUT_OF_ROOM:
        sys.stderr.write(home.why(problem) + "\n")
    elif problem is not None and not PART.exists():
        sys.stderr.write(IMAGE_GONE + "\n")
