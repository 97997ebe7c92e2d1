"""Displays: safe HTML whatever the values are, in two languages, and never a call to anybody."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import darkroom
from airlock.classes import Rule
from compute.jobs import JobState
from darkroom import display, display_draw, display_html, display_words
from darkroom.display import MARK, Banner, Code, Facts, Grid, Lines, Link, Mark, Shown, Title, sheet
from darkroom.display_terms import TERMS
from darkroom.job import Job
from darkroom.listing import (
    Applications,
    Budget,
    Components,
    Datasets,
    Description,
    Displayed,
    Grants,
    Jobs,
    Packages,
)
from darkroom.result import Result
from darkroom.twin_result import MadeUp, Sample, TwinJob, TwinResult
from plans.constraints import Use
from plans.decision import Outcome
from plans.errors import DarkroomError, Malformed, by_code
from plans.manifest import Kind
from plans.released import SUPPRESSED, Cell, Note, Released, ReleasedColumn
from plans.trial import Left, Place, TrialReport
from plans.verdict import Finding
from policies.explain import _ORDER as RULES
from tests.plans import examples

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=y>\u202e\x1b[31m"
TAGS = {
    "div", "style", "h4", "span", "table", "thead", "tbody", "tr", "th", "td", "p", "ul", "li", "pre", "a"
}  # fmt: skip
ATTRIBUTES = {"class", "title", "href", "target", "rel"}


class WireThatFails:
    """A wire on which every call is a failure of the test."""

    url = "https://portal"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a display used the wire: {name}")


class Seen(HTMLParser):
    """The tags, attributes and text of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(html: str) -> Seen:
    parser = Seen()
    parser.feed(html)
    return parser


def require_safe(html: str) -> Seen:
    found = seen(html)
    assert found.tags <= TAGS and set(found.attributes) <= ATTRIBUTES
    assert "<script" not in html and "url(" not in html and "@import" not in html
    assert all(each.startswith(("https://", "http://")) for each in found.attributes.get("href", []))
    assert not any(sign in html for sign in ("\u202e", "\x1b", "\x00"))
    return found


@pytest.fixture(autouse=True, params=["en", "zh"])
def spoken(request: pytest.FixtureRequest) -> Any:
    darkroom.use(lang=request.param)
    yield request.param
    darkroom.use(lang="")


def connection() -> darkroom.Connection:
    from darkroom.profile import home

    return darkroom.Connection(WireThatFails(), "mei@nm/centre", home(), lambda: "")  # type: ignore[arg-type]


VIEW = {
    "id": "a" * 20,
    "member": "mei@nm/centre",
    "project": EVIL,
    "state": "refused",
    "sentence": EVIL,
    "waits_for": "",
    "domain": "nm/tax",
    "plan_digest": "",
    "decision": {
        "outcome": "deny",
        "approvers": [],
        "reasons": [{"rule": "no-grant", "subject": "nm/tax/income", "sentence": EVIL, "help": EVIL}],
    },
    "verdict": {"finding": "refused", "reasons": ["small-group", EVIL]},
    "problem": {
        "code": "policy.denied",
        "title": EVIL,
        "where": EVIL,
        "next_step": EVIL,
        "explanation": {
            "remedies": [{"sentence": EVIL}],
            "alternatives": [{"sentence": EVIL}],
            "complete": True,
        },
    },
    "attempt": 2,
    "timeline": ["1700000000 submitted", f"x {EVIL}"],
    "kind": "sql",
    "position": 3,
    "retries": False,
    "cost": "under a second",
}


def job(**changes: Any) -> Job:
    return Job(connection(), VIEW | changes)


def cells(*texts: str | None) -> tuple[Cell, ...]:
    return tuple(SUPPRESSED if text == MARK else Cell(text, False) for text in texts)


COLUMNS = (ReleasedColumn("region", "VARCHAR"), ReleasedColumn(EVIL, "BIGINT"))


def result(**changes: Any) -> Result:
    plan = examples.PLAN
    rows = (cells("Baotou", "1250"), cells(EVIL, MARK), cells(None, "35"))
    notes = (Note("small-group", "Figures about fewer than 10 persons were suppressed."), Note("odd", EVIL))
    released = Released(plan.digest, COLUMNS, rows, notes, "5" * 32)
    return Result(**({"released": released, "plan": plan, "keeper": "ab" * 32} | changes))


def twin() -> TwinResult:
    return TwinResult(MadeUp(COLUMNS, (cells("x", "1"),)), (EVIL,))


def things() -> list[Any]:
    entry = {
        "dataset": "nm/tax/income",
        "relation": "tax.income",
        "title": EVIL,
        "grade": EVIL,
        "domain": "nm/tax",
    }
    columns = [{"name": EVIL, "type": EVIL, "unit": EVIL, "kind": "sensitive", "uses": ["group", EVIL]}]
    granted = {
        "dataset": EVIL,
        "columns": [EVIL],
        "state": "in force",
        "project": EVIL,
        "until": 1_800_000_000,
    }
    return [
        result(), twin(), Sample(MadeUp(COLUMNS, (cells(EVIL, "1"),)), (), EVIL), job(), job(state="running"),
        job(state="held"), job(state="waiting-approval"), Jobs([job()]), Jobs(), Datasets([entry]), Datasets(),
        Description(entry | {"version": 1, "about_persons": True, "columns": columns}),
        Description({"dataset": EVIL}), Grants([granted]), Grants(), Applications([granted]),
        Components([{"name": EVIL, "description": EVIL, "parameters": {EVIL: 1}}]), Budget([granted]), Budget(),
        Packages([{"name": EVIL, "modules": [EVIL]}]),
        TwinJob(EVIL, twin(), lambda: pytest.fail("a display asked"), (EVIL,)),
    ]  # fmt: skip


def test_no_display_calls_anybody_and_every_display_is_safe() -> None:
    for thing in things():
        shown = thing._repr_mimebundle_()
        require_safe(shown["text/html"])
        assert "\x1b" not in shown["text/plain"] and "\u202e" not in shown["text/plain"]


def test_the_control_a_method_that_fetches_does_use_the_wire() -> None:
    with pytest.raises(AssertionError):
        job().refresh()
    assert require_safe(display_html.html(sheet(Title("x")))).tags
    with pytest.raises(AssertionError):
        require_safe("<p onclick='x'>y</p>")


@given(st.text(), st.text())
def test_any_text_comes_out_as_text(first: str, second: str) -> None:
    drawn = sheet(
        Title(first, second, second),
        Facts(((first, second),)),
        Grid((first,), ((second,), (Mark(first),)), notes=(second,)),
        Lines((first,), second),
        Code(first, second),
        Banner(first, second),
        Link(first, second),
    )
    require_safe(display_html.html(drawn))
    shown = Shown(drawn)
    assert repr(shown) == shown._repr_mimebundle_()["text/plain"]


def test_a_style_of_cells_and_code_has_the_weight_of_jupyterlabs_own() -> None:
    style = display_html.html(sheet(Title("x"))).partition("<style>")[2].partition("</style>")[0]
    selectors = [one for rule in style.split("}") for one in rule.partition("{")[0].split(",")]
    weighty = [
        one for one in selectors if one.endswith((" td", " pre", " .n")) or one == ".darkroom.darkroom th"
    ]
    assert len(weighty) == 4 and all(one.startswith(".darkroom.darkroom ") for one in weighty), weighty


def test_a_link_goes_to_web_pages_only() -> None:
    for url in ("javascript:alert(1)", "data:text/html,x", "//evil", "file:///etc/passwd", EVIL):
        assert "href" not in require_safe(display_html.html(sheet(Link(url, "look")))).attributes
    assert require_safe(display_html.html(sheet(Link("https://portal/keys?a=b&c=d", "look")))).attributes[
        "href"
    ]


def test_a_result_says_what_was_withheld_why_and_who_vouches(spoken: str) -> None:
    shown = result()._repr_mimebundle_()
    found = require_safe(shown["text/html"])
    obligations = examples.PLAN.decision.obligations  # type: ignore[union-attr]
    assert obligations is not None
    assert found.text.count(MARK) == 2  # the cell, and the count in the title
    assert any(str(obligations.minimum_group) in why for why in found.attributes["title"])
    for said in (examples.PLAN.digest.removeprefix("sha256:")[:12], "ab" * 4, "nm/tax", "1250"):
        assert said in found.text and said in shown["text/plain"]
    assert ("隐去" in found.text) == (spoken == "zh")
    assert "ab" * 4 not in result(keeper="")._repr_mimebundle_()["text/html"]


def test_look_alike_data_are_marked_in_both_languages() -> None:
    for thing in (twin(), Sample(MadeUp(COLUMNS, (cells("a", "1"),)), (), "nm/tax/income")):
        shown = thing._repr_mimebundle_()
        assert "仿真数据" in shown["text/html"] and "仿真数据" in shown["text/plain"]
    assert "仿真数据" not in result()._repr_mimebundle_()["text/html"]


def test_a_long_table_shows_its_head_and_counts_all() -> None:
    rows = tuple(cells(str(number), "1") for number in range(500))
    long = dataclasses.replace(twin(), made=MadeUp(COLUMNS, rows))
    html = long._repr_mimebundle_()["text/html"]
    assert html.count("<tr>") == display.SHOWN_ROWS + 1 and "500" in html


def test_a_job_says_who_must_act(spoken: str) -> None:
    waits = {"outcome": "needs-approval", "approvers": ["bo@nm/tax"], "reasons": []}
    plain = job(state="waiting-approval", decision=waits, waits_for="an approver")._repr_mimebundle_()[
        "text/plain"
    ]
    assert "bo@nm/tax" in plain and ("审批员" in plain) == (spoken == "zh")


def test_a_trial_report_is_drawn() -> None:
    report = TrialReport(
        "python.failed", Place("main.py", 3, "KeyError"), "Traceback", "hello", (Left("t.csv", 9),)
    )
    shown = display.bundle(report)
    require_safe(shown["text/html"])
    assert "main.py" in shown["text/plain"] and "hello" in shown["text/plain"]


def test_every_public_class_that_displays_has_a_drawing() -> None:
    waiting, kinds = [Displayed], []
    while waiting:
        kind = waiting.pop()
        kinds.append(kind)
        waiting += kind.__subclasses__()
    named = {kind.__name__ for kind in kinds if kind.__module__.startswith("darkroom.")}
    undrawn = {name for name in named if name not in display_draw._KINDS} - {
        "Displayed",
        "EndedTwin",
        "FileSet",
        "Followed",
        "Listed",
        "Tabular",
        "Twin",
    }
    assert not undrawn


def test_what_has_no_drawing_shows_its_repr() -> None:
    assert display.bundle(3) == {"text/plain": "3"}


# ------------------------------------------------------------------------------------------ words


def test_no_message_is_missing_in_either_language() -> None:
    for key, pair in display_words.WORDS.items():
        english, chinese = pair
        assert english and chinese and key.islower(), key
        assert set(re.findall(r"\{(\w+)", english)) == set(re.findall(r"\{(\w+)", chinese)), key
        assert not re.search(r"[\u4e00-\u9fff]", english) or key == "twin.banner", key


def test_every_state_finding_rule_and_code_has_words() -> None:
    needed = [f"state.{state}" for state in JobState] + [f"means.{state}" for state in JobState]
    needed += [f"who.{state.waits_for}" for state in JobState if state.waits_for]
    needed += [f"finding.{finding}" for finding in Finding] + [f"outcome.{outcome}" for outcome in Outcome]
    needed += [f"rule.{rule}" for rule in (*Rule, *RULES, "each-plan")]
    needed += [f"code.{code}" for code in by_code()] + [f"code.{DarkroomError.code}"]
    needed += [f"kind.{kind}" for kind in Kind] + [f"use.{use}" for use in Use]
    assert not [key for key in needed if key not in TERMS]


def test_english_words_of_states_are_those_of_the_platform() -> None:
    for state in JobState:
        assert TERMS[f"means.{state}"][0] == state.sentence
    for finding in Finding:
        assert TERMS[f"finding.{finding}"][0] == finding.sentence


def test_every_message_that_the_code_names_is_there() -> None:
    from pathlib import Path

    folder = Path(display.__file__).parent
    for path in folder.glob("*.py"):
        for key in re.findall(r'(?:\bsay|words\.say)\(\s*"([a-z.\-]+)"', path.read_text()):
            assert key in display_words.WORDS, (path.name, key)
        for key in re.findall(r'"((?:next|why|error|note|magic)\.[a-z\-]+)"', path.read_text()):
            assert key in display_words.WORDS, (path.name, key)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DARKROOM_LANG": "zh"}, "zh"),
        ({"DARKROOM_LANG": "en", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "mn_MN"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    darkroom.use(lang="")
    for name in ("DARKROOM_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "DARKROOM_LAB"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert display_words.language() == expected


def test_a_lab_speaks_the_language_that_jupyterlab_was_set_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    darkroom.use(lang="")
    monkeypatch.delenv("DARKROOM_LANG", raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("DARKROOM_LAB", "1")
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(tmp_path))
    place = tmp_path / "@jupyterlab" / "translation-extension"
    place.mkdir(parents=True)
    settings = place / "plugin.jupyterlab-settings"
    settings.write_text('{\n    // Locale\n    "locale": "zh_CN"\n}')
    assert display_words.language() == "zh"
    settings.write_text('{\n    "locale": "default"\n}')
    assert display_words.language() == "en"
    settings.write_bytes(b"\xff\xfe")
    assert display_words.language() == "en"


def test_another_language_is_refused() -> None:
    with pytest.raises(Malformed):
        darkroom.use(lang="fr")
