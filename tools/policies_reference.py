"""Write `docs/vocabulary.md` and `docs/constraints.md`: `python tools/policies_reference.py`. Tests compare them."""

from __future__ import annotations

import sys
from pathlib import Path

from policies import constraints_page, vocabulary

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = {"vocabulary.md": vocabulary.page, "constraints.md": constraints_page.page}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
