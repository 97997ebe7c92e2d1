"""`python -m sandbox.attacks`: every attack on every tier of this node, as a table; `make attack` runs it.

    --tier T1|T2    one tier only
    --sample        the quick part, as CI runs it on T2
    --image NAME    another image than `sql`

Exit status: 0 when every attack was refused, 1 when one gained something, 2 when one could not be carried out.
"""

from __future__ import annotations

import argparse
import sys
import time

from plans.decision import Tier
from plans.errors import DarkroomError
from sandbox.attacks.reporting import TIERS, report


def main() -> int:
    """Carry them out, write the table, and return the exit status."""
    words = argparse.ArgumentParser(
        prog="python -m sandbox.attacks", description="Attack the boxes of this node."
    )
    words.add_argument("--tier", choices=[tier.value for tier in TIERS], help="one tier only")
    words.add_argument("--sample", action="store_true", help="the quick part only")
    words.add_argument("--image", default="sql", help="the image in whose boxes attackers sit")
    chosen = words.parse_args()
    began = time.monotonic()
    try:
        found = report([Tier(chosen.tier)] if chosen.tier else TIERS, chosen.sample, chosen.image, _write)
    except DarkroomError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    _write(f"\n{found.summary()}\n{time.monotonic() - began:.0f} s")
    return found.exit_code


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
