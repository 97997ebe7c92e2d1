"""Probe."""

from inside.probe import run as run
