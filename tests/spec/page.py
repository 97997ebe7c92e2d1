"""`docs/spec.md`, rendered from the specifications. `python -m tests.spec.page` writes it anew."""

from __future__ import annotations

from pathlib import Path

from tests.spec.chapters import cohorts, filtering, finish, grouping, joins, masks, reference, rows, who
from tests.spec.drawn import normal
from tests.spec.specs import Chapter, Spec
from tests.spec.town import MEMBER, PURPOSE

PAGE = Path(__file__).parents[2] / "docs" / "spec.md"
CHAPTERS = tuple(
    each.CHAPTER for each in (filtering, grouping, joins, cohorts, reference, masks, finish, rows, who)
)

_INTRO = """\
# What Darkroom answers

This page is made from `tests/spec`, where every example runs through the real readers, decision, boxes' programs and
rules; do not edit it by hand. In a table, `1-12` stands for twelve persons with such a row; in a result, `~` is a
figure that was withheld. Unless it is said otherwise, """


def page() -> str:
    """Return the page."""
    asker = f"{MEMBER} asks as a researcher, for the purpose “{PURPOSE}”, with a grant on all columns.\n"
    return _INTRO + asker + "".join(map(_chapter, CHAPTERS))


def _chapter(chapter: Chapter) -> str:
    parts = [f"\n## {chapter.title}\n\n{chapter.says}\n"]
    parts += [_table(name, text) for name, text in chapter.tables.items()]
    parts.append(_block(chapter.policy.strip(), "toml"))
    parts += [_spec(spec) for spec in chapter.specs]
    return "".join(parts)


def _spec(spec: Spec) -> str:
    parts = [f"\n### {spec.title}\n"]
    parts += [f"\n{spec.says}\n"] if spec.says else []
    parts += [_table(name, text) for name, text in spec.tables.items()]
    parts += [_block(spec.policy.strip(), "toml")] if spec.policy else []
    parts += [f"\nAsked by {who}.\n"] if (who := _who(spec)) else []
    parts.append(_block(spec.statement, "sql"))
    return "".join((*parts, _outcome(spec)))


def _who(spec: Spec) -> str:
    words = [spec.member] if spec.member != MEMBER else []
    words += [f"as {spec.role}"] if spec.role != "researcher" else []
    words += [f"for “{spec.purpose}”"] if spec.purpose != PURPOSE else []
    words += [f"with a grant on {', '.join(spec.columns)}"] if spec.columns else []
    return ", ".join(words)


def _outcome(spec: Spec) -> str:
    if spec.result:
        return _block(normal(spec.result))
    if spec.refused:
        return f"\nRefused by the readers: *{spec.refused}*\n"
    if spec.held:
        return f"\nNothing leaves, by the rule `{'`, `'.join(spec.held)}`.\n"
    told = "".join(f"\n- `{rule}`: {part}" for rule, part in spec.denied.items())
    return f"\nDenied:\n{told}\n"


def _table(name: str, text: str) -> str:
    return f"\n`{name}`\n{_block(normal(text))}"


def _block(text: str, language: str = "") -> str:
    return f"\n```{language}\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
