"""Every word that records and the API carry stands in the glossary, in English and Chinese."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from airlock.outputs.rules import OutputRule
from airlock.rules import Rule
from audit.events import Retention
from catalog.description import Share
from components.api import Part, Sort
from compute.jobs import JobState
from keeper.reviews import Standing
from mpc.encrypted.envelope import Content
from mpc.encrypted.parameters import Packing
from plans.artifacts import Form
from plans.box import BoxState, Entry
from plans.checks import Mode
from plans.constraints import Action, Effect, MaskKind, Reveal, Use
from plans.decision import Outcome, Tier
from plans.inspection import Effect as Effected
from plans.manifest import FileRole, Grade, Kind
from plans.plan import PlanKind
from plans.private import Measure
from plans.reading import Clause, Level, Role
from plans.statements import Answer, Duty, Type
from plans.twins import Making
from plans.verdict import Finding
from policies.api import RemedyKind
from portal import permissions
from sandbox.contract import Cause

GLOSSARY = (Path(__file__).resolve().parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
WORDS = [
    BoxState, Clause, Duty, Entry, FileRole, Finding, Grade, JobState, Kind, Outcome, PlanKind, Role, Rule, Tier, Type,
    Cause, Retention, Share, Action, Effect, Level, MaskKind, RemedyKind, Reveal, Use, Part, Sort,
    permissions.Role, permissions.Scope, Making, OutputRule, Form, Effected, Answer, Standing, Measure, Mode, Content,
    Packing,
]  # fmt: skip
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words.__name__)
def test_every_word_of_the_code_is_explained(words: type[StrEnum]) -> None:
    assert [word.value for word in words if word.value and f"`{word.value}`" not in GLOSSARY] == []


def test_every_entry_has_its_chinese_word_and_a_meaning() -> None:
    rows = [line.strip("| ").split(" | ") for line in GLOSSARY.splitlines() if line.startswith("| ")]
    entries = [row for row in rows if row[0] not in ("word", "state")]
    assert len(entries) > 60
    assert [
        row[0] for row in entries if len(row) != 3 or not CHINESE.search(row[1]) or not row[2].strip()
    ] == []


def test_no_word_is_explained_twice() -> None:
    words = re.findall(r"^\| ([a-z][\w ,'-]*?)(?: `|\s*\|)", GLOSSARY, re.MULTILINE)
    words = [word for word in words if word != "word"]
    assert sorted(words) == sorted(set(words))
