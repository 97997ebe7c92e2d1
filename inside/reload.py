"""The reloader box: the loader once more, for the box that inspects a model, with everybody and who was left out."""

from __future__ import annotations

from inside.load import run, warm

__all__ = ["run", "warm"]
