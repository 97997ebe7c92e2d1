"""What leaves of a task becomes the files that it promises, under names that the member declared, and no other."""

from __future__ import annotations

import base64
import io
import json
from types import SimpleNamespace

import pyarrow
import pytest
from pyarrow import parquet

from darkroom.files import Files, require_declared
from plans import canonical
from plans.artifacts import Artifact, Form, ReleasedArtifact, ReleasedSet
from plans.errors import HashMismatch, Malformed, StateConflict
from plans.request import Request, RequestKind
from plans.tasks import Need, PythonTask

DIGEST = "sha256:" + "ab" * 32
SHEET = {
    "columns": [{"name": "region", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"}],
    "rows": [["包头", "25"], ["赤, 峰", False], ["=1+1", None]],
}
DECLARED = (
    Artifact("t.csv", Form.TABLE, persons="n"),
    Artifact("t.parquet", Form.TABLE, persons="n"),
    Artifact("m.json", Form.METRICS),
    Artifact("r.txt", Form.REPORT),
)


def made(name, form, content):
    return ReleasedArtifact(name, form, base64.b64encode(content).decode())


def released(*artifacts):
    return ReleasedSet(DIGEST, artifacts, (), "0" * 32)


def plan(artifacts=DECLARED):
    task = PythonTask(DIGEST, DIGEST, "main.py", (), (Need("tax.income", ("region",)),), artifacts)
    request = Request(
        "mei@nm/centre", "ed25519:" + "0" * 64, "x25519:" + "0" * 64, "p", "why", task.canonical().decode(),
        "0" * 32, 1, RequestKind.PYTHON,
    )  # fmt: skip
    return SimpleNamespace(request=request, digest=DIGEST)


GOOD = (
    made("t.csv", Form.TABLE, canonical.encode(SHEET)),
    made("t.parquet", Form.TABLE, canonical.encode(SHEET)),
    made("m.json", Form.METRICS, canonical.encode({"auc": "0.81", "n": "120", "gone": False})),
    made("r.txt", Form.REPORT, "一切正常\n".encode()),
)


def test_outputs_are_written_as_what_their_names_promise(tmp_path):
    require_declared(released(*GOOD), plan())
    paths = {path.name: path for path in Files(released(*GOOD), plan()).save(tmp_path / "out")}
    assert paths["t.csv"].read_text() == (
        'region,n,n_suppressed\n包头,25,false\n"赤, 峰",,true\n=1+1,,false\n'
    )
    table = parquet.read_table(paths["t.parquet"])
    assert table["n"].to_pylist() == [25, None, None] and table["n_suppressed"].to_pylist() == [
        False,
        True,
        False,
    ]
    assert json.loads(paths["m.json"].read_text()) == {"auc": 0.81, "n": 120, "gone": None}
    assert paths["r.txt"].read_text() == "一切正常\n"


def test_an_arrow_file_is_one(tmp_path):
    arrow = made("t.arrow", Form.TABLE, canonical.encode(SHEET))
    content = Files(released(arrow), plan()).read("t.arrow")
    assert pyarrow.ipc.open_file(io.BytesIO(content)).read_all().num_rows == 3


def test_nothing_is_written_over_and_then_nothing_is_written_at_all(tmp_path):
    (tmp_path / "r.txt").write_text("mine")
    with pytest.raises(StateConflict):
        Files(released(*GOOD), plan()).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["r.txt"] and (
        tmp_path / "r.txt"
    ).read_text() == "mine"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../r.txt"},
        {"name": ".bashrc"},
        {"name": "other.txt"},
        {"form": "model"},
        {"content": "no base64"},
    ],
    ids=["climbs", "hidden", "undeclared", "another form", "no content"],
)
def test_what_the_member_did_not_declare_is_not_believed(change):
    plain = released(GOOD[3]).plain()
    plain["artifacts"][0] |= change
    with pytest.raises((HashMismatch, Malformed)):
        require_declared(ReleasedSet.read(plain), plan())


def test_one_name_twice_is_not_believed():
    with pytest.raises(HashMismatch):
        require_declared(released(GOOD[3], GOOD[3]), plan())


@pytest.mark.parametrize(
    "plain", [[], {"columns": [], "rows": [["x"]]}, {"rows": []}, {"columns": [{}], "rows": []}]
)
def test_a_table_of_another_shape_is_refused(plain):
    odd = made("t.csv", Form.TABLE, canonical.encode(plain))
    with pytest.raises(Malformed):
        Files(released(odd), plan()).read("t.csv")


def test_showing_runs_and_writes_nothing_and_escapes():
    files = Files(released(*GOOD), plan())
    assert "t.csv" in repr(files) and "<script" not in files._repr_html_()
