"""What is said about components is complete, in both languages, and true; a wrong parameter says what it may be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airlock.outputs import values
from airlock.outputs.ground import Ground
from airlock.outputs.judging import judge_outputs
from airlock.outputs.reading import read_outputs
from airlock.outputs.rules import OutputRule
from airlock.rules import Stamp
from components import api as components
from components.api import Component, Part, Sort
from examples.components import tables
from plans.artifacts import Artifact, Form
from plans.decision import Obligations, Tier
from plans.errors import Malformed, NotFound
from plans.record import Record
from plans.tasks import ComponentTask, Need
from plans.verdict import Finding
from tests.components.cases import RULES
from tests.plans import examples
from tools import components_reference

ROOT = Path(__file__).resolve().parents[2]
ALL = components.describe_all()
CHINESE = re.compile(r"[\u4e00-\u9fff]")
INCOME = Need("tax.income", ("banner", "income"), ("banner",))


def each(component: Component) -> str:
    return component.name


def task(name: str = "describe", **changes: Any) -> ComponentTask:
    component = components.find(name)
    values = components.checked(component, component.example)
    members = {
        "image": examples.digest("a"), "component": name, "parameters": component.example,
        "needs": components.needs(component, values, ["tax.income"] * len(component.tables)),
        "artifacts": components.artifacts(component, values),
    }  # fmt: skip
    return ComponentTask(**(members | changes))


def test_the_library_has_its_first_set() -> None:
    assert {component.name for component in ALL} >= {
        "anomaly-detection", "certificate-reading", "cross-tabulate", "describe", "gradient-boosted-trees",
        "graph-components", "k-means", "keywords", "linear-regression", "logistic-regression", "record-linkage",
        "survival", "time-series-forecast", "topic-counts",
    }  # fmt: skip


def test_one_file_is_one_component() -> None:
    modules = {path.stem for path in (ROOT / "components" / "library").glob("*.py")} - {"__init__"}
    assert {component.name.replace("-", "_") for component in ALL} == modules


@pytest.mark.parametrize("component", ALL, ids=each)
def test_everything_is_said_in_both_languages(component: Component) -> None:
    pairs = [
        (component.title, component.title_zh), (component.purpose, component.purpose_zh),
        (component.disclosure, component.disclosure_zh),
        *((parameter.meaning, parameter.meaning_zh) for parameter in component.parameters),
        *((offer.meaning, offer.meaning_zh) for offer in component.outputs),
    ]  # fmt: skip
    assert [
        pair for pair in pairs if not pair[0] or CHINESE.search(pair[0]) or not CHINESE.search(pair[1])
    ] == []


@pytest.mark.parametrize("component", ALL, ids=each)
def test_numbers_and_lists_have_bounds_and_defaults_keep_them(component: Component) -> None:
    bounded = [p for p in component.parameters if p.sort in (Sort.WHOLE, Sort.REAL, Sort.WORDS, Sort.COLUMNS)]
    assert [parameter.name for parameter in bounded if not (parameter.least and parameter.most)] == []
    defaults = {p.name: p.default for p in component.parameters if p.default is not None and p.part is None}
    assert components.checked(component, {**component.example, **defaults})


@pytest.mark.parametrize("component", ALL, ids=each)
def test_a_description_is_plain_data_and_names_rules_that_exist(component: Component) -> None:
    assert (
        isinstance(component, Record) and Component.decode(component.canonical()).digest == component.digest
    )
    assert set(component.rules) <= {rule.value for rule in OutputRule}


@pytest.mark.parametrize("component", ALL, ids=each)
def test_the_example_runs_leaves_what_it_says_and_passes_the_airlock(component: Component) -> None:
    asked = components.checked(component, component.example)
    work = components.perform(component.name, tables(component.name), asked, RULES)
    expected = components.artifacts(component, asked)
    counted = {artifact.name for artifact in expected if artifact.form is Form.TABLE}
    assert set(work.files) == {artifact.name for artifact in expected}
    assert set(work.evidence) == counted
    assert set(work.sets) == {a.name for a in expected if a.form in (Form.TABLE, Form.MODEL)}
    for name in counted:
        header, *rows = work.files[name].decode().splitlines()
        persons = [int(row.rpartition(",")[2]) for row in rows]
        assert header.endswith(",persons") and min(persons) >= RULES.minimum_group
        sets = work.sets[name]
        assert list(sets.persons[:: sets.per_row]) == persons
    finding, left = judged(work, expected)
    assert finding is (Finding.HELD if "model.json" in work.files else Finding.REPAIRED)
    assert left == set(work.files), "the airlock keeps an output of an example in"


def judged(work: components.Work, declared: tuple[Artifact, ...]) -> tuple[Finding, set[str]]:
    """What the two inspecting boxes find about a component's outputs, and which of them would leave."""
    files = {f"files/{name}": content for name, content in work.files.items()}
    files |= {f"evidence/{name}.json": content for name, content in work.evidence.items()}
    handed = values.write(read_outputs(files, declared, True, examples.NONCE))
    ground = Ground(Obligations(RULES.minimum_group, 10, 100_000, Tier.T1), False)
    stamp = Stamp(examples.digest("a"), examples.NONCE)
    found = judge_outputs(values.read(handed, declared), declared, ground, stamp)
    return found.finding, {each.name for each in found.released.artifacts} if found.released else set()


def test_descriptions_are_read_where_no_library_is_installed() -> None:
    heavy = ["numpy", "pandas", "pyarrow", "scipy", "sklearn", "statsmodels", "rjieba", "rustworkx", "rapidfuzz",
             "rapidocr", "PIL"]  # fmt: skip
    script = (
        f"import sys\nfor name in {heavy!r}: sys.modules[name] = None\n"
        "from components import api\nassert len(api.describe_all()) >= 14"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-500:]


def test_the_page_about_components_is_current() -> None:
    assert components_reference.PAGE.read_text() == components_reference.page(), "write it anew: make docs"


# --- parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("describe", {}, "the parameter columns is missing"),
        ("describe", {"columns": ["income"], "of": 1}, "Its parameters are columns, by."),
        ("describe", {"columns": "income"}, "Give a list of names of columns, in number from 1 to 40."),
        ("describe", {"columns": []}, "out of its range"),
        ("describe", {"columns": ["income", "income"]}, "names a column twice"),
        ("describe", {"columns": ["person"]}, "no component shows"),
        ("describe", {"columns": ["Income'"]}, "not a well-formed column"),
        ("k-means", {"features": ["age"], "clusters": 1}, "Give a whole number, from 2 to 50."),
        ("k-means", {"features": ["age"], "clusters": True}, "of another sort"),
        ("k-means", {"features": ["age"], "clusters": "3"}, "Give a whole number, from 2 to 50."),
        ("survival", {"time": "t", "event": "e", "width": "nan"}, "Write it as text in plain notation"),
        ("survival", {"time": "t", "event": "e", "width": 6}, 'a number written as text, as in "0.05"'),
        ("survival", {"time": "t", "event": "e", "width": "0"}, "from 0.001 to 1000000"),
        ("gradient-boosted-trees", {"outcome": "y", "features": ["x"], "model": 1}, "Give true or false."),
        ("gradient-boosted-trees", {"outcome": "y", "features": ["x"], "family": "cox"}, "one of gaussian, binomial"),
        ("time-series-forecast", {"period": ""}, "not a well-formed column"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_says_which_and_what_it_may_be(
    name: str, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(Malformed) as refused:
        components.checked(components.find(name), parameters)
    assert says in str(refused.value)


def test_an_unknown_component_says_which_there_are() -> None:
    with pytest.raises(NotFound, match="describe, gradient-boosted-trees"):
        components.find("neural-oracle")


# --- what a task says of its columns ------------------------------------------------------------------------


def test_a_task_needs_the_columns_of_its_parameters_and_says_which_show_as_keys() -> None:
    assert task().needs == (INCOME,)
    assert components.require_task(task()) == {"columns": ("income",), "by": "banner"}


@pytest.mark.parametrize(
    "need",
    [Need("tax.income", ("banner", "income")), Need("tax.income", ("banner",), ("banner",))],
    ids=["a key that is not said to show", "a column that is not asked for"],
)
def test_a_task_that_says_less_than_the_component_does_is_refused(need: Need) -> None:
    with pytest.raises(Malformed):
        components.require_task(task(needs=(need,)))


def test_a_task_over_more_tables_or_with_other_outputs_is_refused() -> None:
    with pytest.raises(Malformed, match="reads 1 tables"):
        components.require_task(task(needs=(INCOME, Need("med.visit", ("cost",)))))
    with pytest.raises(Malformed, match="outputs"):
        components.require_task(task(artifacts=task("k-means").artifacts))


@pytest.mark.parametrize("component", ALL, ids=each)
def test_what_words_of_a_column_name_rows_is_a_key(component: Component) -> None:
    """A parameter whose values could stand in a table as text is of the part `key`; numbers feed or are figures."""
    shown = {p.name for p in component.parameters if p.part is Part.KEY}
    assert shown <= {"by", "row", "column", "categories", "period", "text"}
