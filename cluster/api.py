"""What other rooms use of `cluster`."""

from __future__ import annotations

from cluster.nodes import local_cluster
from cluster.placing import Placed, Task, run_stage, warm_up

__all__ = ["Placed", "Task", "local_cluster", "run_stage", "warm_up"]
