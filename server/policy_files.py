"""Policies as a steward writes them: TOML, read strictly into the records that are signed (docs/policies.md).

Whatever is not known here is refused, with the line on which it stands: a misspelt limit or use must not be
ignored. What only the datasets themselves can tell (whether a column exists, whether a mask fits its type) is
said by `policies.problems`, and given its line by `Written.line`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from plans.constraints import Tag
from plans.errors import Malformed, NotFound, SettingsWrong
from plans.statements import Bundle, DatasetPolicy
from server import policy_words as words
from server.policy_lines import Lines
from server.policy_lines import Path as Way

LONGEST = 4_000_000
"""Characters of a policy file; a bundle goes to every approver and keeper."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says, and where it says it."""

    file: Path
    policies: tuple[DatasetPolicy, ...]
    tags: tuple[Tag, ...]
    lines: Lines

    def bundle(self, domain: str, number: int) -> Bundle:
        """Return the bundle that a steward would sign."""
        return Bundle(domain, number, self.policies, self.tags)

    def place(self, *way: str | int) -> str:
        """Return file and line of a setting, or of the nearest one around it, for an error."""
        return f"{self.file}, line {self.lines.of(way)}"


def read_policies(file: Path) -> Written:
    """Read policies from TOML; the form is in docs/policies.md.

    Raises:
        NotFound: there is no such file.
        SettingsWrong: it cannot be read, is empty or not TOML, or a setting, word, name or number is none that
            a policy may have; it says on which line.
    """
    text = _text(file)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise SettingsWrong(f"the policies are not TOML: {problem}", str(file), words.PAGE) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, lists in lists in lists …
        raise SettingsWrong(
            "the policies hold a number that is too long, or nest too deeply", str(file), words.PAGE
        ) from None
    lines = Lines(text)
    try:
        tags = words.tags(content.pop("tags", {}))
        policies = tuple(words.policy(dataset, table) for dataset, table in content.items())
        _require_something(policies)
        _require_known_tags(policies, tags)
    except words.Wrong as wrong:
        raise SettingsWrong(
            wrong.what, f"{file}, line {lines.of(wrong.way, wrong.word)}", wrong.next_step
        ) from None
    except Malformed as problem:  # what only the whole file contradicts
        raise SettingsWrong(problem.what, str(file), problem.next_step) from None
    return Written(file, policies, tags, lines)


def _text(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound("there is no such file", str(file), "Check the path.") from None
    except UnicodeDecodeError:
        raise SettingsWrong("the policies are not UTF-8 text", str(file), "Save the file as UTF-8.") from None
    except OSError as problem:
        raise SettingsWrong(
            f"the file cannot be read ({problem.strerror})", str(file), "Give a readable file."
        ) from None
    if len(text) > LONGEST:
        raise SettingsWrong(
            f"the policies have more than {LONGEST:,} characters",
            str(file),
            "Give a class to columns that are alike.",
        )
    return text


def _require_something(policies: tuple[DatasetPolicy, ...]) -> None:
    if not policies:
        raise words.Wrong(
            (),
            "the file has a policy for no dataset",
            next_step="To forbid everything, write columns with no words.",
        )


def _require_known_tags(policies: tuple[DatasetPolicy, ...], tags: tuple[Tag, ...]) -> None:
    """Check that every class that is named is described, and that none lies above itself."""
    parents = {tag.name: tag.parent for tag in tags}
    for policy in policies:
        for tagged in policy.tagged:
            for name in tagged.tags:
                if name not in parents:
                    way: Way = (policy.dataset, "tags", tagged.column)
                    raise words.Wrong(
                        way, f"the class {name!a} is not described", name, f"Write a table [tags.{name}]."
                    )
    for tag in tags:
        above, seen = tag.parent, [tag.name]
        while above:
            if above not in parents:
                raise words.Wrong(
                    ("tags", seen[-1], "parent"), f"the class {above!a} is not described", above
                )
            if above in seen:
                circle = " → ".join((*seen, above))
                raise words.Wrong(
                    ("tags", tag.name, "parent"), f"the classes lie above each other in a circle: {circle}"
                )
            seen.append(above)
            above = parents[above]
