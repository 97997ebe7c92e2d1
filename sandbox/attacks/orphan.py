"""A launcher that is going to be killed: starts one box, says which processes it has, and waits for its end.

python -m sandbox.attacks.orphan TIER HOME WALLS
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from plans.decision import Tier
from sandbox import images, processes
from sandbox.attacks.ground import bare
from sandbox.contract import Wall

_TEXT = "import sys, time\nprint('up', flush=True)\ntime.sleep(600)"


async def main() -> None:
    """Start the box and wait to be killed."""
    tier, home, walls = sys.argv[1:]
    without = frozenset(Wall[name] for name in walls.split(",") if name)
    ground = bare(Tier(tier), Path(home), images.find("sql").digest).weaker(without)
    async with ground.living("-c", _TEXT) as (box, pipes):
        await pipes.from_box.readline()
        sys.stdout.write(" ".join(map(str, processes.tree(box.pid)[1:])) + "\n")
        sys.stdout.flush()
        await box.wait()


if __name__ == "__main__":
    asyncio.run(main())
