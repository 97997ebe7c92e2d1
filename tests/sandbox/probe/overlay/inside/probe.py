"""Runs the Python in a plan: its text defines `run(session)`. Only images for tests hold this."""

from __future__ import annotations

from inside.session import Session


def run(session: Session) -> dict:
    text = session.plan.request.statement if session.plan.request else session.plan.material
    names: dict = {}
    exec(compile(text, "probe", "exec"), names)
    return names["run"](session) or {}
