"""What the Hub says to whoever works in this lab: that it ends, when and why. The pages that are open save and show it.

    POST <base_url>darkroom/notice    from the Hub, with the key that only it and this lab can make (`plans.labs`)

Pages hear of it by Jupyter's events at once, hidden ones too, and read it in `home.json`. It is a courtesy, and so is
all of this: the Hub ends the lab whether anybody listens or not. A Hub that was killed before it did has forgotten what
it said: what does not come true in time is told no more, and pages take it back.
"""

from __future__ import annotations

import hmac
import json
import math
import os
import time
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from darkroom_lab.panel_pages import Page
from darkroom_lab.panel_reading import home_facts

NOTICE = "darkroom_notice"
"""The server's setting that holds what was said last."""

HEADER = "X-Darkroom-Key"
EVENT = "https://darkroom.invalid/notice"
"""The name of the event; nothing is there to be fetched."""

KINDS = ("warning", "ending")
LAPSES_S = 120.0
"""How long after its time an announced end is still told. A Hub that works ends the lab within 90 s of it: it looks
every 10 s, waits 60 s for a launcher that is away, and 15 s for the box.
"""

LONGEST = 1000
_LARGEST_BODY = 16 * 2**10
_SCHEMA = {
    "$id": EVENT,
    "version": "1",
    "title": "Notice",
    "description": "The Hub has said something; home.json has it.",
    "type": "object",
    "properties": {"kind": {"type": "string", "enum": list(KINDS)}},
    "required": ["kind"],
}


def key() -> str:
    """Return the key of this lab's notices; nothing where the lab has no token."""
    token = os.environ.get("DARKROOM_TOKEN", "")
    if not token:
        return ""
    from plans.labs import notice_key

    return notice_key(token)


def facts(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what pages are told: the key with which they ask the Hub why the lab ended, and what was said last, as
    long as it holds by this machine's clock, by which its time was reckoned (a browser may have another).
    """
    said = settings.get(NOTICE)
    holds = said and time.time() < said["until"] + LAPSES_S
    return {**({"key": found} if (found := key()) else {}), **({"notice": said} if holds else {})}


def put_on(server_app: Any) -> None:
    """Have the server know the event."""
    if EVENT not in server_app.event_logger.schemas:
        server_app.event_logger.register_event_schema(_SCHEMA)


class HomeFacts(Page):
    """How full the home is, for the status bar, and what the Hub has said."""

    @authorized
    async def get(self) -> None:
        """Answer with the facts; an empty object where there are none."""
        self.set_header("Content-Type", "application/json")
        self.finish((home_facts() or {}) | facts(self.settings))


class Notice(JupyterHandler):
    """Takes what the Hub says. Whoever has the lab's own token could say it, too: the member, to the own pages."""

    def initialize(self, **_: Any) -> None:
        """Need nothing of what pages are given."""

    def check_xsrf_cookie(self) -> None:
        """Ask for no cookie: no browser comes here, and none has the key in a header of its own accord."""

    @allow_unauthenticated
    async def post(self) -> None:
        """Keep what is said, and wake the pages."""
        known, given = key(), self.request.headers.get(HEADER, "")
        if not known or not hmac.compare_digest(known.encode(), given.encode()):
            raise web.HTTPError(403)
        said = _read(self.request.body)
        self.settings[NOTICE] = said
        self.event_logger.emit(schema_id=EVENT, data={"kind": said["kind"]})
        self.set_status(204)
        self.finish()


def _read(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body) if len(body) <= _LARGEST_BODY else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("kind") not in KINDS:
        raise web.HTTPError(400)
    texts = {name: said.get(name) for name in ("reason", "en", "zh")}
    if not all(isinstance(text, str) and text and len(text) <= LONGEST for text in texts.values()):
        raise web.HTTPError(400)
    left_s = said.get("left_s")
    if not isinstance(left_s, int | float) or not math.isfinite(left_s) or not 0 <= left_s < 2**31:
        raise web.HTTPError(400)
    return {"kind": said["kind"], "until": time.time() + left_s, **texts}
