"""What a program draws or reads from a clock can spell a short canary: 4217 is in one of a thousand digests."""

from __future__ import annotations

import re

DRAWN = re.compile(r"[0-9a-f]{16,}|(?<![0-9])[0-9]{10}(?![0-9])|nonce=\"[^\"]+\"|127\.0\.0\.1:[0-9]+")
"""Keys, digests, signatures, nonces and identifiers; seconds since 1970; nonces of a page; ports."""


def without_drawn(text: str) -> str:
    """A text without all of that: whether a canary is in the rest is no chance. A test that a canary is nowhere shows
    with another one that the rest is there.
    """
    return DRAWN.sub("…", text)
