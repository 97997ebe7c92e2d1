"""What is ours in a lab's Jupyter server: the extension that loads it, the keeper of documents, and the panel.

It runs in the box, as the member, and holds no secret that the member does not have. What protects anybody from the
member is the box's walls and the platform's API; what is here is for the member's comfort.
"""

from __future__ import annotations

import importlib.util
from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "darkroom_lab"}]


def _load_jupyter_server_extension(server_app: Any) -> None:
    """Load the panel, where the image has one, and let pages speak the browser's language."""
    if importlib.util.find_spec("darkroom_lab.panel") is not None:
        from darkroom_lab import panel

        panel.load(server_app)
    from darkroom_lab import languages

    languages.put_on()
