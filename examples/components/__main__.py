"""`python -m examples.components [NAME …]`: what components leave of made-up tables."""

from __future__ import annotations

import sys

from components import api as components
from examples.components import tables

RULES = components.Rules(minimum_group=10, degrees=10)


def main(wanted: list[str]) -> None:
    """Run components and print what they leave, tables whole and models by their size."""
    for component in [components.find(name) for name in wanted] or components.describe_all():
        print(f"\n{component.title} {component.title_zh}\n{component.purpose}")
        values = components.checked(component, component.example)
        work = components.perform(component.name, tables(component.name), values, RULES)
        for name, content in work.files.items():
            print(f"\n{name}")
            print(content.decode() if name.endswith(".csv") else f"{len(content):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
