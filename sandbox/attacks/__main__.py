"""`python -m sandbox.attacks`: every attack on every tier of this node, as a table; `make attack` runs it.

    --tier T1|T2    one tier only
    --sample        the quick part, as CI runs it on T2
    --image NAME    another image than `sql`

Exit status: 0 when every attack was refused, 1 when one gained something, 2 when none could be carried out.
"""

from __future__ import annotations

import argparse
import sys
import time

from plans.decision import Tier
from plans.errors import TierMissing
from sandbox.attacks import running, table
from sandbox.attacks.attack import Finding, Outcome

TIERS = (Tier.T1, Tier.T2)


def main() -> int:
    """Carry them out and return the exit status."""
    words = argparse.ArgumentParser(
        prog="python -m sandbox.attacks", description="Attack the boxes of this node."
    )
    words.add_argument("--tier", choices=[tier.value for tier in TIERS], help="one tier only")
    words.add_argument("--sample", action="store_true", help="the quick part only")
    words.add_argument("--image", default="sql", help="the image in whose boxes attackers sit")
    chosen = words.parse_args()
    tiers = [Tier(chosen.tier)] if chosen.tier else list(TIERS)
    return attack(tiers, sample=chosen.sample, image=chosen.image)


def attack(tiers: list[Tier], *, sample: bool = False, image: str = "sql") -> int:
    """Carry out all attacks on these tiers, print the table, and return the exit status."""
    began, found, missing = time.monotonic(), [], []
    for tier in tiers:
        try:
            found += running.carry_out(tier, running.wanted(tier, sample), image, _print)
        except TierMissing as problem:
            missing.append(f"{tier.value}: not on this node; {problem.what}. {problem.next_step}")
    _out("")
    _out("\n".join([*([table.counts(found)] if found else []), *missing]))
    _out(f"{time.monotonic() - began:.0f} s")
    return status(found)


def status(found: list[Finding]) -> int:
    """Return the exit status: where nothing was tried, nothing was shown."""
    if table.leaks(found):
        return 1
    return 0 if any(finding.outcome is Outcome.REFUSED for finding in found) else 2


def _print(finding: Finding) -> None:
    _out(table.line(finding))


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
