"""Where in a TOML text a setting stands. `tomllib` tells the line of what is no TOML, and of nothing else.

The text has been read by `tomllib` already, so this only has to find where a statement begins: a line that
opens a table, or a key at the top of one. Keys are read by `tomllib` itself, so that a quoted or dotted one is
the same key here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str | int, ...]
"""The way to a setting: keys of tables, and positions in arrays of tables."""

_HEADER = re.compile(r"\s*(\[\[?)(.*?)\]\]?\s*(#.*)?")
_TOKEN = re.compile(
    r'"""(?:\\.|(?!""").)*"{3,5}|\'\'\'(?:(?!\'\'\').)*\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|.',
    re.DOTALL,
)


class Lines:
    """The lines of a text that is TOML, by the settings that begin on them."""

    def __init__(self, text: str) -> None:
        self._text = text.splitlines()
        self._begins = dict(_settings(text))

    def of(self, path: Path, word: str = "") -> int:
        """Return the line of a setting, of the nearest one around it, or 1; counted from 1.

        With a `word`, the line within the setting on which it is written, if it is on one.
        """
        while path and path not in self._begins:
            path = path[:-1]
        begins = self._begins.get(path, 1)
        following = (line for line in self._begins.values() if line > begins)
        ends = min(following, default=len(self._text) + 1)
        written = (n for n in range(begins, ends) if word and word in self._text[n - 1])
        return next(written, begins)


def _settings(text: str) -> Iterator[tuple[Path, int]]:
    """Yield every table and key with its line."""
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, statement in _statements(text):
        header = _HEADER.fullmatch(statement)
        if header:
            keys = _keys(header[2])
            if keys not in counts:
                yield keys, number  # of an array of tables: where its first one is
            table = _resolved(keys, counts, opens=header[1] == "[[")
            yield table, number
        else:
            key, value = _parts(statement)
            path = (*table, *_keys(key))
            yield path, number
            yield from ((place, number) for place in _within(path, value))


def _within(path: Path, text: str) -> Iterator[Path]:
    """Yield the paths of the settings of inline tables: they stand on the line of their setting."""
    value = tomllib.loads("value = " + text)["value"]
    pending: list[tuple[Path, object]] = [(path, value)]
    while pending:
        place, each = pending.pop()
        inner = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
        pending += [((*place, name), within) for name, within in inner]
        yield place


def _resolved(keys: Path, counts: dict[Path, int], *, opens: bool) -> Path:
    """Return a header's path with the positions of the arrays of tables on its way."""
    path: Path = ()
    for n, key in enumerate(keys, 1):
        path = (*path, key)
        if n == len(keys) and opens:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield statements with the line on which each begins: a value may go over several lines."""
    number, begins, depth, parts = 1, 1, 0, []
    for token in _TOKEN.finditer(text + "\n"):
        piece = token[0]
        if piece == "\n" and not depth:
            if statement := "".join(parts).strip():
                yield begins, statement
            parts, begins = [], number + 1
        elif not piece.startswith("#"):
            parts.append(piece)
            depth += (piece in "[{") - (piece in "]}") if len(piece) == 1 else 0
        number += piece.count("\n")


def _parts(statement: str) -> tuple[str, str]:
    """Return key and value of a statement; a quoted key may hold the sign between them."""
    key = ""
    for token in _TOKEN.finditer(statement):
        if token[0] == "=":
            return key, statement[token.end() :]
        key += token[0]
    return key, '""'


def _keys(text: str) -> Path:
    """Return the keys of a dotted key, as `tomllib` reads them."""
    found: object = tomllib.loads(text + " = 0")
    keys: list[str] = []
    while isinstance(found, dict):
        ((key, found),) = found.items()
        keys.append(key)
    return tuple(keys)
