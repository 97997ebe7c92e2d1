"""Reading metrics and reports."""

from __future__ import annotations

import re

from airlock.outputs.models import load_object
from airlock.outputs.rules import OutputRule
from airlock.outputs.values import UNSEEN, Unfit, double, require_name

MOST_METRICS, LONGEST_REPORT = 1_000, 20_000

_RUNS = re.compile(r"<[a-zA-Z!/?]|javascript:|data:[a-z]+/|\]\(\s*[a-z]+:|\]\[|!\[", re.IGNORECASE)
"""Markup that a reader of Markdown could act on: tags, links, pictures."""


def read_metrics(content: bytes) -> dict[str, str]:
    """Return metrics by name: whole numbers in digits, others as Python writes a double.

    Raises:
        Unfit: it is no flat JSON object of finite numbers.
    """
    found = load_object(content)
    if not 1 <= len(found) <= MOST_METRICS:
        raise Unfit(OutputRule.TOO_LARGE if found else OutputRule.UNREADABLE)
    return {require_name(name): _number(value) for name, value in found.items()}


def _number(value: object) -> str:
    if value is None:
        raise Unfit(OutputRule.NO_NUMBER)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unfit(OutputRule.UNREADABLE)
    if isinstance(value, int):
        if abs(value) >= 2**53:
            raise Unfit(OutputRule.NO_NUMBER)
        return str(value)
    text = double(value)
    if text is None:
        raise Unfit(OutputRule.NO_NUMBER)
    return text


def read_report(content: bytes) -> str:
    """Return a report's text, with line ends of one kind and no blanks at the end of lines.

    Raises:
        Unfit: it is no plain text in UTF-8, is too long, has characters that nobody sees, or markup that runs.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unfit(OutputRule.UNREADABLE) from None
    text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    if len(text) > LONGEST_REPORT:
        raise Unfit(OutputRule.TOO_LARGE)
    if not text.strip() or UNSEEN.search(text.replace("\n", "")):
        raise Unfit(OutputRule.UNREADABLE)
    if _RUNS.search(text):
        raise Unfit(OutputRule.EXECUTABLE)
    return text.strip("\n")
