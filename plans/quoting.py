"""Names and texts as SQL writes them."""

from __future__ import annotations


def literal(text: str) -> str:
    """Return `text` as a SQL string (ISO/IEC 9075-2, 5.3), for the statements that take no parameters."""
    if "\0" in text:
        raise ValueError("a SQL string holds no zero character")
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return `name` as a delimited identifier (ISO/IEC 9075-2, 5.2)."""
    if "\0" in name:
        raise ValueError("an identifier holds no zero character")
    return '"' + name.replace('"', '""') + '"'
