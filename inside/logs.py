"""A program's log: what it prints, taken at a bounded rate, kept at a bounded size, and cleaned (ATTACKS 44, 46).

A log is an output like any other: it goes where the outputs go, and nowhere else. Who reads it has a terminal, so what
a terminal would act on, what hides text, and what reorders it is removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque

from plans.trial import LONGEST_LOG

BYTES_PER_SECOND = 8 * 2**20
"""What is taken from a program each second; one that prints more waits, so that a flood costs the box little."""

KEPT_BYTES = LONGEST_LOG // 2 - 4096
"""Bytes kept of the beginning, and as many of the end; what a program says last tells most."""

LONGEST_LINE = 2000

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,16}[@-~]"  # control sequences: colours, cursor, clearing (ECMA-48 section 5.4)
    r"|\x1b[\]P^_X][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)"  # strings to the terminal: titles, links, the clipboard
    r"|\x1b[ -/]{0,16}[0-~]"
)
_SPACES = {" ", "\t", "\n"}


class Log:
    """The bytes of a log as they come: all until `KEPT_BYTES`, then the last `KEPT_BYTES`, and how many lay between."""

    def __init__(self) -> None:
        self._begin = bytearray()
        self._end: deque[bytes] = deque()
        self._end_size = self._left_out = 0

    def add(self, chunk: bytes) -> None:
        """Take some bytes."""
        free = KEPT_BYTES - len(self._begin)
        self._begin += chunk[:free]
        if rest := chunk[max(free, 0) :]:
            self._end.append(rest)
            self._end_size += len(rest)
        while self._end and self._end_size - len(self._end[0]) >= KEPT_BYTES:
            dropped = self._end.popleft()
            self._end_size -= len(dropped)
            self._left_out += len(dropped)

    def text(self) -> str:
        """Return the log, cleaned; where bytes are missing, a line says how many."""
        end = b"".join(self._end)
        cut = max(len(end) - KEPT_BYTES, 0)
        if missing := self._left_out + cut:
            note = f"\n… {missing:,} bytes left out …\n"
            return (clean(bytes(self._begin)) + note + clean(end[cut:]))[-LONGEST_LOG:]
        return clean(bytes(self._begin) + end)[:LONGEST_LOG]


def clean(content: bytes) -> str:
    """Return UTF-8 text without what a terminal acts on, what is not seen, and what changes direction."""
    text = _SEQUENCE.sub("", content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n"))
    lines = (line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "…" for line in text.split("\n"))
    return "".join(_shown(character) for character in "\n".join(lines))


def _shown(character: str) -> str:
    """Return a character that is seen, a plain space for the other spaces, and nothing for the rest."""
    if character in _SPACES or character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else ""
