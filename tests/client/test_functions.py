"""A function of a notebook as a job: what stands in it travels, and whatever else it uses is refused by name."""

from __future__ import annotations

import functools
import linecache
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from darkroom import folder as folders
from darkroom.either import Either
from darkroom.local_function import source_of, write_folder
from darkroom.twin_trial import TrialJob
from plans.errors import BoxFailed, Malformed, NotFound
from plans.trial import Left, Place, TrialReport

LIMIT = 7
LIMITS = {"low": 1}


def helper() -> int:
    return 1


def good(year: int = 2023, names: tuple[str, ...] = ("a",)) -> None:
    import json
    from pathlib import Path as Place

    def double(value: int) -> int:
        return value * 2

    class Box:
        size = double(3)

    rows = [double(each) + Box.size for each in range(3) if str(each) not in names]
    Place("out.json").write_text(json.dumps({"year": year, "rows": rows}))


def recursive(n: int = 3) -> int:
    return 1 if n < 2 else n * recursive(n - 1)


def annotated(table: Path, other: Any = None) -> Path:
    return table


def uses_variable() -> int:
    return LIMIT


def uses_module() -> str:
    return str(Path("x"))


def uses_function() -> int:
    return helper()


def in_a_nested_one() -> list[int]:
    return [each for each in map(lambda value: value + LIMIT, [1])]  # noqa: C416, C417


def in_a_default(n: int = LIMIT) -> int:
    return n


def writes_outside() -> None:
    global LIMIT
    LIMIT = 8


def misses() -> int:
    return nothing_of_this_name  # type: ignore[name-defined]  # noqa: F821


def closing() -> Any:
    hidden = 3

    def inner() -> int:
        return hidden

    return inner


@functools.cache
def decorated() -> int:
    return 1


async def waiting() -> int:
    return 1


@pytest.mark.parametrize(
    ("function", "variable"),
    [
        (uses_variable, "LIMIT"),
        (uses_module, "Path"),
        (uses_function, "helper"),
        (in_a_nested_one, "LIMIT"),
        (in_a_default, "LIMIT"),
        (writes_outside, "LIMIT"),
        (misses, "nothing_of_this_name"),
        (closing(), "hidden"),
    ],
)
def test_what_lies_outside_is_refused_and_named(function: Any, variable: str) -> None:
    with pytest.raises(Malformed) as told:
        source_of(function)
    assert f"uses {variable}," in told.value.what and function.__name__ in told.value.what


def test_the_sentence_says_what_to_do_about_each() -> None:
    def said(function: Any) -> str:
        with pytest.raises(Malformed) as told:
            source_of(function)
        return str(told.value)

    assert "make it a parameter" in said(uses_variable)
    assert "define it inside" in said(uses_function)
    assert "belongs to the function around it" in said(closing())


@pytest.mark.parametrize("function", [lambda: 1, decorated.__wrapped__, waiting])
def test_only_plain_functions_travel(function: Any) -> None:
    with pytest.raises(Malformed):
        source_of(function)


def test_a_function_without_source_is_told_so() -> None:
    space: dict[str, Any] = {}
    exec("def f(): return 1", space)
    with pytest.raises(NotFound):
        source_of(space["f"])


@pytest.mark.parametrize("function", [good, recursive, annotated])
def test_control_what_stands_alone_travels(function: Any) -> None:
    assert f"def {function.__name__}" in source_of(function)


def written(place: Path, function: Any = good, **arguments: Any) -> folders.Work:
    write_folder(
        function,
        place,
        tables={"tax.income": ["region"]},
        outputs={"t.csv": {"form": "table", "persons": "n"}, "m.json": "metrics"},
        arguments=arguments,
        image="python",
    )
    return folders.read(place)


def test_the_folder_says_all_and_its_program_does_what_the_function_does(tmp_path: Path) -> None:
    work = written(tmp_path, year=2024, names=["1", 'quo"te', "电"])
    assert [each.relation for each in work.needs] == ["tax.income"] and work.image == "python"
    assert [each.name for each in work.artifacts] == ["t.csv", "m.json"]
    subprocess.run([sys.executable, "main.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "out.json").read_text() == '{"year": 2024, "rows": [6, 10]}'


@pytest.mark.parametrize(
    "arguments",
    [{"yaer": 1}, {"year": object()}, {"year": float("nan")}, {"year": [{"a": {1}}]}, {"year": Path()}],
)
def test_arguments_fit_and_are_plain_values(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        written(tmp_path, **arguments)


def test_an_argument_cannot_become_code(tmp_path: Path) -> None:
    written(tmp_path, recursive, n="__import__('os').system('touch leaked')")
    subprocess.run([sys.executable, "main.py"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert not (tmp_path / "leaked").exists()


@pytest.mark.parametrize("name", ['a"]\n[x', "电.csv\n", "\x7f"])
def test_names_cannot_leave_their_place_in_the_settings(tmp_path: Path, name: str) -> None:
    write_folder(good, tmp_path, tables={name: [name]}, outputs={name: "metrics"}, arguments={})
    import tomllib

    read = tomllib.loads((tmp_path / "darkroom.toml").read_text())
    assert read["tables"] == {name: [name]} and read["outputs"] == {name: {"form": "metrics"}}


# ------------------------------------------------------------------------------------ trials


class Portal(Either):
    """A connection whose portal answers trials with these reports."""

    def __init__(self, *reports: TrialReport | None) -> None:
        self.reports, self.sent = list(reports), list[Any]()
        self._wire = self  # type: ignore[assignment]

    def post(self, path: str, body: Any, *, again: bool = False) -> dict[str, Any]:
        self.sent.append((path, body, again))
        report = self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]
        return {"report": report.plain() if report else None}

    def images(self) -> list[dict[str, Any]]:
        modules = ["__future__", "json", "pathlib"]
        return [{"name": "python", "stage": "python", "digest": "sha256:" + "ab" * 32, "modules": modules}]


WELL = TrialReport("", None, "", "hello\n", (Left("t.csv", 9),))
FAILED = TrialReport("python.failed", Place("main.py", 3, "ValueError"), "Traceback\nValueError: 7", "hi", ())
SAID: dict[str, Any] = {"tables": {"tax.income": ["region"]}, "outputs": {"m.json": "metrics"}}


def test_a_folder_is_tried_at_the_owners_launcher(tmp_path: Path) -> None:
    portal = Portal(None, None, WELL)
    write_folder(good, tmp_path, **SAID, arguments={"year": 1})
    job = portal.trial(tmp_path)
    assert isinstance(job, TrialJob) and (job.state, job.finished) == ("trying", False)
    seen: list[str] = []
    assert job.wait(progress=lambda found: seen.append(found.state)).state == "tried"
    assert (
        seen == ["trying", "tried"]
        and job.logs() == "hello\n"
        and job.result() == WELL
        and job.explain() == []
    )
    assert {path for path, *_ in portal.sent} == {"/api/v1/trials"} and "LOOK-ALIKE" in repr(job)


def test_a_trial_that_fails_says_where_and_shows_all(tmp_path: Path) -> None:
    write_folder(good, tmp_path, **SAID, arguments={})
    job = Portal(FAILED).trial(tmp_path)
    with pytest.raises(BoxFailed) as told:
        job.result()
    assert "ValueError: 7" in str(told.value) and "main.py:3" in str(told.value)
    assert job.logs() == "hi" and job.state == "failed" and job.explain()[0]["sentence"] == "ValueError: 7"


HIDDEN = "\u202e"


def test_a_function_holds_no_character_that_is_not_shown(tmp_path: Path) -> None:
    text = f"def f():\n    return '{HIDDEN}x'\n"
    place = tmp_path / "hidden.py"
    place.write_text(text)
    module: dict[str, Any] = {}
    exec(compile(text, str(place), "exec"), module)
    with pytest.raises(Malformed) as told:
        source_of(module["f"])
    assert "U+202E" in told.value.what and "function f:2" in told.value.where
    place.write_text(text.replace(HIDDEN, "电"))
    linecache.checkcache(str(place))
    assert "电" in source_of(module["f"]), "the control"


def test_a_function_says_its_tables_and_a_folder_does_not(tmp_path: Path) -> None:
    with pytest.raises(Malformed) as told:
        Portal(WELL).submit(good, on="twin")
    assert "tables" in str(told.value)
    written(tmp_path)
    with pytest.raises(Malformed):
        Portal(WELL).submit(tmp_path, on="twin", **SAID)
    with pytest.raises(Malformed):
        Portal(WELL).submit(3, on="twin")  # type: ignore[arg-type]
    assert Portal(WELL).trial(str(tmp_path)).result() == WELL, "the control"
