"""What a lab costs beside a JupyterHub whose JupyterLab is a bare local process, and what its client costs.

    python -m benchmarks.notebook [--json]

A town with labs and a bare JupyterHub of the same version (`benchmarks/notebook_peer.py`) run side by side, and one
Chromium uses them in turns. `lab.cold_ratio`, `lab.warm_ratio`: `benchmarks/notebook_starts.py`.
`lab.memory_ratio`: `benchmarks/notebook_idle.py`. `client.…`: `benchmarks/notebook_client.py`. It needs the image
`notebook`, Chromium, and a machine with nothing else to do; about four minutes on two cores.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import notebook_client, notebook_idle, notebook_starts  # noqa: E402
from benchmarks.notebook_peer import bare_hub  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402
from tests.e2e import jupyterlab  # noqa: E402
from tests.e2e.labs_town import LabsTown, a_town  # noqa: E402


def measure() -> Iterator[Metric]:
    """Start both, measure, and end both."""
    yield from notebook_client.importing()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dr-bench-")))
        folder.chmod(0o711)  # user ids of boxes pass through
        browser = stack.enter_context(jupyterlab.chromium())
        town = LabsTown(stack.enter_context(a_town(folder, _free_port())), browser)
        (folder / "bare").mkdir()
        hub = stack.enter_context(bare_hub(folder / "bare"))
        guest = town.member("chen")
        yield from notebook_starts.starts(town, hub, guest).metrics()
        yield from notebook_idle.idle_memory(town, hub, guest)
        yield from notebook_client.asking(town, guest)


def _free_port() -> int:
    """Return a port that is free, and the one after it, where the Hub will be."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


if __name__ == "__main__":
    sys.exit(main("notebook", "What a lab and its client cost.", measure))
