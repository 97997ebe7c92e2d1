"""The parsers meet anything: what comes out is a value in its one spelling, or a rule; never an error with a value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.outputs import values
from airlock.outputs.ground import Ground
from airlock.outputs.judging import judge_outputs
from airlock.outputs.reading import read_outputs
from airlock.outputs.values import neutral
from plans.artifacts import Artifact, Form
from plans.errors import OutputRefused
from plans.verdict import Finding
from tests.airlock.outputs.corpus import FOLDER, SALT, STAMP, cases, obligations

SEEDS = [
    case
    for case in cases()
    if not case.component and (FOLDER / case.folder / case.name).stat().st_size < 6_000
]
BY_ENDING = {
    ending: [c for c in SEEDS if c.name.endswith(ending)] for ending in {Path(c.name).suffix for c in SEEDS}
}


def goes_through(artifact: Artifact, content: bytes) -> None:
    """Take bytes through both boxes' rules; nothing but a finding may come of it."""
    declared = (
        (artifact, Artifact("behind.csv", Form.TABLE, persons="persons")) if artifact.data else (artifact,)
    )
    files = {f"files/{artifact.name}": content, "files/behind.csv": b"a,persons\nx,500\n"}
    read = read_outputs(
        {k: v for k, v in files.items() if k[6:] in {a.name for a in declared}}, declared, False, SALT
    )
    handed = values.read(values.write(read), declared)
    assert handed == read or read.refused, "what one box writes the other reads alike"
    judged = judge_outputs(handed, declared, Ground(obligations(), True), STAMP)
    assert (judged.released is None) == (judged.finding is Finding.REFUSED)


@pytest.mark.parametrize("ending", sorted(BY_ENDING))
@given(data=st.data())
def test_changed_files_become_values_or_rules(ending: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(BY_ENDING[ending]), label="case")
    content = bytearray((FOLDER / case.folder / case.name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4), label="changes")):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        change = data.draw(st.sampled_from(_CHANGES))
        change(content, place, data.draw(st.binary(min_size=1, max_size=8)))
    data_table = "behind.csv" if case.form is Form.FIGURE else ""
    goes_through(Artifact(case.name, case.form, data=data_table, persons=case.persons), bytes(content))


def _replace(content: bytearray, place: int, new: bytes) -> None:
    content[place : place + len(new)] = new


def _insert(content: bytearray, place: int, new: bytes) -> None:
    content[place:place] = new


def _cut(content: bytearray, place: int, new: bytes) -> None:
    del content[place:]


def _repeat(content: bytearray, place: int, new: bytes) -> None:
    content[place:place] = content[place : place + 64]


_CHANGES: list[Callable[[bytearray, int, bytes], None]] = [_replace, _insert, _cut, _repeat]


@given(st.binary(max_size=400), st.sampled_from(list(Form)))
def test_any_bytes_become_values_or_rules(content: bytes, form: Form) -> None:
    data_table, persons = ("behind.csv" if form is Form.FIGURE else ""), ("n" if form is Form.TABLE else "")
    for ending in form.endings:
        goes_through(Artifact(f"x{ending}", form, data=data_table, persons=persons), content)


@given(st.text(max_size=300))
def test_any_text_becomes_a_table_a_report_or_a_rule(text: str) -> None:
    content = f"region,persons\n{text},500\n".encode("utf-8", "replace")
    goes_through(Artifact("x.csv", Form.TABLE, persons="persons"), content)
    goes_through(Artifact("x.txt", Form.REPORT), text.encode("utf-8", "replace"))


@given(st.text(max_size=200))
def test_a_neutral_text_runs_nowhere_and_has_one_spelling(text: str) -> None:
    found = neutral(text)
    assert neutral(found) == found and not found.startswith(("=", "+", "-", "@"))
    assert not any(ord(each) < 32 or ord(each) in range(0x202A, 0x202F) for each in found)


@given(st.binary(max_size=300))
def test_the_second_box_refuses_any_bytes_of_a_fallen_first_one(data: bytes) -> None:
    with pytest.raises(OutputRefused):
        values.read(data, (Artifact("x.csv", Form.TABLE, persons="n"),))
