"""Properties of the text form: cells come back from it as they went in, it is Python, and taking `on=` out changes
nothing else.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from darkroom import notebook, notebook_calls, notebook_file, notebook_text
from darkroom.notebook_file import Cell
from plans.errors import Malformed

_LINE = st.text(st.sampled_from("ab#% \\\t雨=1\"'[]") | st.characters(codec="utf-8"), max_size=12)
_TEXT = st.lists(_LINE, max_size=6).map("\n".join)
_PIECES = [
    "x = 1",
    "",
    "# why",
    "if True:\n    y = 2",
    's = """\n#  %%\n\n"""',
    "def f():\n    return 1",
    "\t# odd",
    "z = '雨'",
]
_CODE = st.lists(st.sampled_from(_PIECES), max_size=5).map("\n".join)
_CELLS = st.lists(
    st.tuples(st.just("code"), _CODE, st.sampled_from([(), ("parameters",), ("darkroom-parameters",)]))
    | st.tuples(st.sampled_from(["markdown", "raw"]), _TEXT, st.just(())),
    max_size=6,
)


def _numbered(cells: list[tuple[str, str, tuple[str, ...]]]) -> tuple[Cell, ...]:
    return tuple(Cell(number, *each) for number, each in enumerate(cells, 1))


@given(_CELLS)
@example([("markdown", "%%\n\\%%\n\\\\%% x\n#\n# \n", ())])
@example([("code", "\n\n", ()), ("code", "", ()), ("markdown", "", ()), ("code", "x\n", ())])
def test_cells_come_back_as_they_went_in(cells: list[tuple[str, str, tuple[str, ...]]]) -> None:
    made = _numbered(cells)
    try:
        text = notebook_text.script(made)
    except Malformed as problem:
        assume("not shown" not in problem.what)
        raise
    assert notebook_text.cells_of(text) == made
    assert notebook_text.script(notebook_text.cells_of(text)) == text
    starts, lines = notebook_text.first_lines(made), text.split("\n")
    for cell, start in zip(made, starts, strict=True):
        if cell.kind == "code":
            assert lines[start - 1] == cell.source.split("\n")[0]


@given(_CELLS)
def test_text_never_becomes_code(cells: list[tuple[str, str, tuple[str, ...]]]) -> None:
    """A program's syntax tree is that of its cells of code alone, whatever stands in the others."""
    made = _numbered(cells)
    try:
        text = notebook_text.script(made)
    except Malformed:
        assume(False)
    code = "\n".join(cell.source for cell in made if cell.kind == "code")
    assert ast.dump(ast.parse(text.encode())) == ast.dump(ast.parse(code.encode()))


@given(_TEXT)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_any_text_is_read_or_refused_and_reading_again_changes_nothing(text: str) -> None:
    try:
        cells = notebook_text.cells_of(text)
        again = notebook_text.script(cells)
    except Malformed:
        return
    assert notebook_text.cells_of(again) == cells


def test_code_in_a_cell_of_text_is_not_shown_as_text() -> None:
    with pytest.raises(Malformed, match="import os"):
        notebook_text.cells_of("# %% [markdown]\n# harmless\nimport os\n")


_ARGUMENTS = st.lists(
    st.sampled_from(
        ['"tax.income"', '("tax.income")', "x", "*[1]", "k=2", "**{}", "f(on=1)", "'雨, on='", "[1, (2)]"]
    ),
    max_size=3,
)
_GAP = st.sampled_from(["", " ", "\n    ", "  # a, comment\n  ", "\n\n"])


@given(
    _ARGUMENTS,
    st.sampled_from(["twin", "real"]),
    st.integers(0, 3),
    st.lists(_GAP, min_size=12, max_size=12),
    st.booleans(),
)
def test_taking_on_out_changes_that_argument_and_nothing_else(
    arguments: list[str], word: str, at: int, gaps: list[str], comma: bool
) -> None:
    chosen = f'on="{word}"'
    with_it = [*arguments[:at], chosen, *arguments[at:]]
    spaced = [f"{gaps[i]}{each}{gaps[i + 6]}" for i, each in enumerate(with_it)]
    tail = ("," if comma else "") + gaps[11]
    source = f'雨 = "雨"; darkroom.table({",".join(spaced)}{tail}); darkroom.tables()'
    try:
        before = ast.parse(source)
        compile(source, "n", "exec")
    except SyntaxError:
        assume(False)
    head = Cell(1, "code", "import darkroom")
    after = notebook_calls.without_choice([head, Cell(2, "code", source)], "n")[1].source
    for node in ast.walk(before):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "table":
            node.keywords = [each for each in node.keywords if each.arg != "on"]
    assert ast.dump(ast.parse(after)) == ast.dump(before)
    assert chosen not in after


def test_on_means_nothing_in_calls_of_others() -> None:
    head = "import darkroom as d\nfrom darkroom import table as t\n"
    source = head + 't("a.b", on="real")\nplot(on="twin")\nd.out("x", on="twin")'
    made = notebook_calls.without_choice([Cell(1, "code", source)], "n")[0].source
    assert made == head + 't("a.b")\nplot(on="twin")\nd.out("x")'


@given(_CELLS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_a_notebook_made_of_a_text_has_its_cells(
    tmp_path: Path, cells: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    made = _numbered([each for each in cells if notebook_text.GIVEN not in each[2]])
    try:
        text = notebook_text.script(made)
    except Malformed:
        assume(False)
    content = notebook.notebook_of(text)
    (tmp_path / "n.ipynb").write_bytes(content)
    assert notebook_file.read(tmp_path / "n.ipynb") == made
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.from_dict(json.loads(content)))
