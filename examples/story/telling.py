"""How the story is told: numbered chapters with their seconds, plain lines, small tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Teller:
    """Writes to standard output and keeps the time."""

    began: float = field(default_factory=time.monotonic)
    chapters: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """Tell one chapter."""
        number = len(self.chapters) + 1
        self.line(f"\n{number}. {title}")
        start = time.monotonic()
        yield
        seconds = time.monotonic() - start
        self.chapters.append((title, seconds))
        self.line(f"   ── {seconds:.1f} s")

    def say(self, text: str) -> None:
        """Say one thing."""
        for line in text.splitlines():
            self.line("   " + line)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a small table."""
        widths = [max(_width(str(row[n])) for row in [head, *rows]) for n in range(len(head))]
        for row in [head, *rows]:
            cells = (
                str(cell) + " " * (width - _width(str(cell))) for cell, width in zip(row, widths, strict=True)
            )
            self.line("     " + "  ".join(cells).rstrip())

    def line(self, text: str) -> None:
        """Write a line at once."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def end(self) -> None:
        """Say how long it took in all."""
        self.line(f"\nThe whole story took {time.monotonic() - self.began:.0f} s.")


def _width(text: str) -> int:
    """Return the columns that a text takes in a terminal; Chinese characters take two."""
    return sum(2 if "\u2e80" <= character <= "\uffef" else 1 for character in text)
