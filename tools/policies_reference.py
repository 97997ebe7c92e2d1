"""Write `docs/vocabulary.md` and `docs/constraints.md`: `python tools/policies_reference.py`. Tests compare them."""

from __future__ import annotations

from pathlib import Path

from policies import constraints_page, vocabulary

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = {"vocabulary.md": vocabulary.page, "constraints.md": constraints_page.page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
