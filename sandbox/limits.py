"""How much a box may use, per program, unless settings say otherwise; plans carry the numbers."""

from __future__ import annotations

from collections.abc import Mapping

from plans.box import Entry, Limits

_DEFAULTS: Mapping[Entry, Limits] = {
    # The engine starts about a dozen threads whatever it is told; fewer processes than 64 would stop it at
    # random.
    Entry.CHECK: Limits(
        memory_mb=512, temp_mb=16, output_mb=1, cpu_s=20, wall_s=30, processes=64, files=256, cpus=1
    ),
    Entry.QUERY: Limits(
        memory_mb=4096, temp_mb=2048, output_mb=64, cpu_s=600, wall_s=600, processes=64, files=256, cpus=2
    ),
    Entry.PARSE: Limits(
        memory_mb=1024, temp_mb=64, output_mb=64, cpu_s=60, wall_s=60, processes=64, files=256, cpus=1
    ),
    Entry.JUDGE: Limits(
        memory_mb=1024, temp_mb=64, output_mb=64, cpu_s=60, wall_s=60, processes=64, files=256, cpus=1
    ),
    Entry.INGEST: Limits(
        memory_mb=2048,
        temp_mb=2048,
        output_mb=65536,
        cpu_s=3600,
        wall_s=3600,
        processes=64,
        files=256,
        cpus=2,
    ),
}


def default_limits(entry: Entry) -> Limits:
    """Return the limits that a box of this program has by default."""
    return _DEFAULTS[entry]
