"""The generated parts of `docs/`: `python -m server.reference docs` writes them, tests check them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from darkroom import reference
from server.cli import app

ROOT = Path(__file__).resolve().parent.parent
_TOOLS = (
    "settings_reference",
    "errors_reference",
    "functions_reference",
    "policies_reference",
    "components_reference",
)


def commands() -> str:
    """Return the reference of `darkroom-server`."""
    return reference.page("darkroom-server", app)


def main() -> int:
    """Write every generated page into the folder that is named."""
    folder = Path(sys.argv[1])
    (folder / "commands-darkroom-server.md").write_text(commands(), encoding="utf-8")
    (folder / "commands-darkroom.md").write_text(reference.text(), encoding="utf-8")
    for tool in _TOOLS:
        words = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), str(folder.resolve())]
        subprocess.run(words, cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
