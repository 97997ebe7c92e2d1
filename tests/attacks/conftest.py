"""Fixtures of attacks on a keeper; they lie beside the questions that are asked of it."""

from __future__ import annotations

from tests.attacks.keeper_case import clock, granted, keeper, model, plan, settings

__all__ = ["clock", "granted", "keeper", "model", "plan", "settings"]
