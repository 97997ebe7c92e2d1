"""How every benchmark reports: a table for people, or with `--json` one line for machines.

    {"benchmark": …, "machine": …, "metrics": {id: {"value": …, "unit": …, "goal": …, "peer": …}}}

`goal` is text with its direction (">= 2000"), or null for information; `peer` is the same figure of something
plain that was measured in the same run, or null: absolute times drift from machine to machine, ratios hold
better.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure. `at_least` or `at_most` is its goal; `peer_is` says what the peer did."""

    id: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    peer: float | None = None
    peer_is: str = ""

    @property
    def goal(self) -> str | None:
        """The goal with its direction, or none."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return None if self.at_most is None else f"<= {self.at_most:g}"

    @property
    def met(self) -> bool:
        """Whether the value reaches its goal; without one it does."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def main(benchmark: str, about: str, measure: Callable[[], Iterable[Metric]]) -> int:
    """Run `measure` and print what it found; the exit status is 1 when a goal is not met."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    as_json = parser.parse_args().json
    metrics = list(measure())
    print(line(benchmark, metrics) if as_json else table(benchmark, metrics))
    return 0 if all(metric.met for metric in metrics) else 1


def line(benchmark: str, metrics: list[Metric]) -> str:
    """Return the form for machines."""
    figures = {
        metric.id: {
            "value": _rounded(metric.value),
            "unit": metric.unit,
            "goal": metric.goal,
            "peer": None if metric.peer is None else _rounded(metric.peer),
        }
        for metric in metrics
    }
    return json.dumps({"benchmark": benchmark, "machine": machine(), "metrics": figures}, ensure_ascii=False)


def table(benchmark: str, metrics: list[Metric]) -> str:
    """Return the form for people."""
    heads = ("metric", "value", "unit", "goal", "", "peer", "the peer is")
    rows = [
        (
            metric.id,
            _shown(metric.value),
            metric.unit,
            metric.goal or "",
            "" if metric.goal is None else ("met" if metric.met else "MISSED"),
            "" if metric.peer is None else _shown(metric.peer),
            metric.peer_is,
        )
        for metric in metrics
    ]
    widths = [max(len(row[n]) for row in (heads, *rows)) for n in range(len(heads))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (heads, *rows)
    ]
    return "\n".join([f"{benchmark}, on {machine()}", *(each.rstrip() for each in text)])


def machine() -> str:
    """Return what the figures depend on, and nothing that names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} x {_processor()}, {memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [each.partition(":")[2].strip() for each in lines if each.startswith("model name")]
    return names[0] if names else platform.machine()


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def _shown(value: float) -> str:
    return f"{_rounded(value):,}"
