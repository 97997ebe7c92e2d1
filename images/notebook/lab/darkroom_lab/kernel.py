"""What every kernel of a lab begins with, besides the client: `%pip` from the mirror, and a word about a full home.

The kernel's command (`share/kernels`) names this module and `darkroom` as extensions of IPython. Nothing here prints
unless there is something to say; of an extension that cannot be loaded the server's log tells, and the kernel starts.
"""

from __future__ import annotations

import shlex
import site
import sys
from typing import Any

from darkroom_lab import home, mirror


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
    """After a cell that failed because the home is full, say so."""
    problem = getattr(result, "error_in_exec", None)
    if isinstance(problem, OSError) and problem.errno in home.OUT_OF_ROOM:
        sys.stderr.write((home.look().sentence() or str(problem)) + "\n")
