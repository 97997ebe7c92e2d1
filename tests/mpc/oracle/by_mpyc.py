"""The same questions answered by MPyC (Schoenmakers, MIT licence), another implementation of secret sharing.

Run by `test_oracle.py` in processes of its own, because MPyC reads the command line when it is imported. The inputs
are JSON in the environment variable ASKED, the answers one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys


async def answer(asked: dict) -> dict:
    from mpyc.runtime import mpc

    number = mpc.SecInt(64)
    await mpc.start()
    left, right = (mpc.input([number(each) for each in asked[side]], senders=0) for side in ("left", "right"))
    sums = mpc.vector_add(left, right)
    products = mpc.schur_prod(left, right)
    inner = mpc.in_prod(left, right)
    reached = [each >= asked["least"] for each in left]
    equal = [each == asked["least"] for each in left]
    let_through = mpc.schur_prod(reached, left)
    found = {
        "sums": [int(each) for each in await mpc.output(sums)],
        "products": [int(each) for each in await mpc.output(products)],
        "inner": [int(await mpc.output(inner))],
        "reached": [int(each) for each in await mpc.output(reached)],
        "equal": [int(each) for each in await mpc.output(equal)],
        "let_through": [int(each) for each in await mpc.output(let_through)],
    }
    await mpc.shutdown()
    return found if mpc.pid == 0 else {}


def main() -> None:
    # The environment, and not the standard input: MPyC starts the other parties as processes of the same command.
    asked = json.loads(os.environ["ASKED"])
    from mpyc.runtime import mpc

    found = mpc.run(answer(asked))
    if found:
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
