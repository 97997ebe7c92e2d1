"""Is it our `plans` and `keys` that Python would import?

A folder or file named `plans` beside a member's script stands before ours on the search path, and would then
be asked to sign. So before anything is imported from them, their place is compared with this package's own:
beside it where the client is installed, or two folders up in a checkout. Nothing of the other folder is
executed by this look.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

SHARED = ("plans", "keys")
HERE = Path(__file__).resolve().parent


class ShadowedError(ImportError):
    """Another `plans` or `keys` stands before the house's own. It is no DarkroomError: that tree lies in
    `plans` itself.
    """


def require_own() -> None:
    """Check that `plans` and `keys` are the ones that came with this package.

    Raises:
        ShadowedError: they are somebody else's, or missing.
    """
    for name in SHARED:
        found = place_of(name)
        if found not in allowed_places(name):
            seen = f"but found {found}" if found else "but found none"
            raise ShadowedError(
                f"Darkroom needs its own package {name!r}, {seen}. "
                f"Rename that file or folder, or start Python elsewhere or with `python -P`."
            )


def allowed_places(name: str) -> tuple[Path, ...]:
    """Return where our own package of this name may lie."""
    return HERE.parent / name, HERE.parent.parent / name


def place_of(name: str) -> Path | None:
    """Return the folder that `import name` would use (a module that is a single file counts as that file)."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None) if module else importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin).resolve()
    return origin.parent if origin.name == "__init__.py" else origin
