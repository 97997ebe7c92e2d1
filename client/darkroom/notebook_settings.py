"""The `darkroom.toml` of a folder that was made of a notebook: what was found, and what a person completes.

What is not known is left empty with a line that says what belongs there; a folder with such a gap is refused with the
same words before anything is sent (`darkroom.folder`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from darkroom.notebook_calls import Calls
from darkroom.notebook_parameters import Parameter
from plans.artifacts import Form

_PERSONS = "persons"


def settings(given: Iterable[Parameter], found: Calls, columns: Mapping[str, Sequence[str]]) -> str:
    """Return the file's text; `columns` are those that are proposed for a table, by its name."""
    lines = [
        "# Made of cells of a notebook (docs/notebook-jobs.md). Complete it, then: darkroom try FOLDER",
        'entry = "main.py"',
        f"arguments = [{', '.join(_quoted(each.argument) for each in given)}]",
        *_word("project", os.environ.get("DARKROOM_PROJECT", "")),
        *_word("purpose", os.environ.get("DARKROOM_PURPOSE", "")),
        "",
        "[tables]  # what it reads: a table and its columns, never identifiers",
        *_tables(found, columns),
        "",
    ]
    if found.models:
        lines += ["[models]  # kept models: the job that left each, and the file, such as JOB/fit.json"]
        lines += [f'{_quoted(name)} = ""' for name in found.models] + [""]
    lines += ["[outputs]  # what may leave: docs/outputs.md", *_outputs(found)]
    return "\n".join(lines) + "\n"


def _word(name: str, value: str) -> Iterator[str]:
    yield f"{name} = {_quoted(value)}" if value else f'# {name} = ""'


def _tables(found: Calls, columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if not found.tables:
        yield '# "domain.name" = ["column"]  # no darkroom.table("…") stands in the cells'
    for table in found.tables:
        proposed = columns.get(table, ())
        told = (
            "  # found by their names in the cells: compare" if proposed else "  # complete: which columns?"
        )
        yield f"{_quoted(table)} = [{', '.join(map(_quoted, proposed))}]{told}"


def _outputs(found: Calls) -> Iterator[str]:
    if not found.outputs:
        yield '# "name.csv" = { form = "table", persons = "persons" }  # no darkroom.out("…") stands in the cells'
    for name in found.outputs:
        yield _output(name, found)


def _output(name: str, found: Calls) -> str:
    stem = name.rpartition(".")[0]
    form = next((each for each in Form if name.endswith(each.endings)), None)
    if form is Form.TABLE:
        persons = _PERSONS if _PERSONS in found.words else ""
        told = "the column that says on how many persons a row rests"
        return f'{_quoted(name)} = {{ form = "table", persons = {_quoted(persons)} }}  # {told}'
    if form is Form.FIGURE:
        tables = [each for each in found.outputs if each.endswith(Form.TABLE.endings)]
        data = next((each for each in tables if each.rpartition(".")[0] == stem), "")
        return f'{_quoted(name)} = {{ form = "figure", data = {_quoted(data)} }}  # the table that it draws'
    if form is None:
        return f'# {_quoted(name)} = ""  # no form of outputs has this ending: docs/outputs.md'
    told = '  # or "model"' if name.endswith(".json") else ""
    return f'{_quoted(name)} = "{form}"{told}'


def _quoted(text: str) -> str:
    """Return a text as TOML writes it, which JSON does too but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
