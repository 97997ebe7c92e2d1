"""What the Hub takes from whoever reaches it: labs by their link, everybody else by the proxy."""

from __future__ import annotations

import re
from collections.abc import Callable

from tornado import httputil
from tornado.httpserver import HTTPServer

LARGEST_BODY = 2**20
"""Bytes of one request. Tornado takes 100 MiB of anybody, and keeps them in memory before it asks who it is."""

_PLAIN = re.compile(r"[ -~]*")


def only_plain_cookies() -> None:
    """Have Tornado, in this process, read no cookie in which there is anything but printable ASCII.

    Around a name it takes away all that Python holds for blanks, among it the bytes 0x85 and 0xA0. Browsers do not: the
    answer of a lab can set a cookie called 0xA0 and `__Host-jupyterhub-hub-login` for the Hub's domain, since to a
    browser that name has no prefix `__Host-`. Whoever looks at the lab's page would work in that lab from then on.
    """
    httputil.parse_cookie = _plain_alone(httputil.parse_cookie)


def bound_bodies(server: HTTPServer) -> None:
    """Have a server refuse requests above `LARGEST_BODY` before it reads them."""
    server.conn_params.max_body_size = LARGEST_BODY


def _plain_alone(parse: Callable[[str], dict[str, str]]) -> Callable[[str], dict[str, str]]:
    def parsed(header: str) -> dict[str, str]:
        return parse(";".join(each for each in header.split(";") if _PLAIN.fullmatch(each)))

    return parsed
