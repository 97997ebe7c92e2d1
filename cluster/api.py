"""What other rooms use of `cluster`."""

from __future__ import annotations

from cluster.nodes import local_cluster
from cluster.placing import Batch, Placed, Wanted, run_batch, warm_up

__all__ = ["Batch", "Placed", "Wanted", "local_cluster", "run_batch", "warm_up"]
