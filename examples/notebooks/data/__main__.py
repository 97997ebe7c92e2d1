"""`python -m examples.notebooks.data FOLDER`: write the registers of the notebooks."""

from __future__ import annotations

import sys
from pathlib import Path

from examples.notebooks import data

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python -m examples.notebooks.data FOLDER")
    for path in data.write(Path(sys.argv[1])).values():
        print(path)
