"""Write docs/settings.md from the settings themselves; with --check, fail when the file is not current."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from store.api import settings_reference  # noqa: E402

FILE = ROOT / "docs" / "settings.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when the file is not current"
    )
    parser.add_argument("folder", nargs="?", type=Path, default=FILE.parent)
    arguments = parser.parse_args()
    file = arguments.folder / FILE.name
    text = settings_reference()
    if arguments.check:
        if file.exists() and file.read_text(encoding="utf-8") == text:
            return 0
        print("docs/settings.md is not current: run python tools/settings_reference.py", file=sys.stderr)
        return 1
    file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
