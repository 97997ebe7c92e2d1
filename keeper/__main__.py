"""`python -P -m keeper <settings.json>`: one domain's keeper, until it is ended."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from keeper import config, server
from keeper.keeper import Keeper
from plans.errors import DarkroomError


def main() -> int:
    """Serve; return the exit code of an error that names what to do."""
    os.umask(0o077)
    try:
        server.serve(Keeper(config.load(Path(sys.argv[1]))))
    except DarkroomError as problem:
        sys.stderr.write(f"keeper: {problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
