"""A folder on its way to a task: what does not fit is told on the author's machine, with what to do next."""

from __future__ import annotations

import os

import pytest

from darkroom import folder as folders
from plans.artifacts import Form
from plans.errors import DarkroomError, Malformed, NotFound, TooLarge
from plans.imports import missing

SETTINGS = """
entry = "main.py"
arguments = ["year=2023"]

[tables]
"tax.income" = ["region", "income"]

[outputs]
"t.csv" = { form = "table", persons = "n" }
"fit.json" = "metrics"
"""
DIGEST = "sha256:" + "ab" * 32
IMAGES = [
    {"name": "python", "stage": "python", "digest": DIGEST, "modules": ["os", "numpy"]},
    {"name": "components", "stage": "component", "digest": DIGEST, "modules": ["os", "jieba"]},
]


@pytest.fixture
def write(tmp_path):
    def make(settings=SETTINGS, **files):
        (tmp_path / "darkroom.toml").write_text(settings)
        for name, text in ({"main": "import numpy\n"} | files).items():
            (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    return make


def test_a_folder_says_what_it_reads_starts_and_leaves(write):
    place = write(helper="x = 1\n", main="import helper, os\nfrom numpy import linalg\n")
    (place / ".git").mkdir()
    (place / ".git" / "config").write_text("secret")
    work = folders.read(place)
    task = work.task(IMAGES)
    assert sorted(work.folder.files) == ["helper.py", "main.py"], "hidden files and settings stay here"
    assert (task.main, task.arguments, task.folder) == ("main.py", ("year=2023",), work.folder.digest)
    assert [(need.relation, need.columns) for need in task.needs] == [("tax.income", ("region", "income"))]
    assert [(each.name, each.form) for each in task.artifacts] == [
        ("t.csv", Form.TABLE),
        ("fit.json", Form.METRICS),
    ]
    assert work.folder.outputs.names == ("t.csv", "fit.json"), "a trial allows what the job may leave"


def test_the_same_folder_is_the_same_task(write):
    place = write()
    assert folders.read(place).task(IMAGES) == folders.read(place).task(IMAGES)


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda text: "", NotFound, "file to start"),
        (lambda text: text.partition("[outputs]")[0], Malformed, "[outputs]"),
        (lambda text: text.replace('"main.py"', '"other.py"'), NotFound, "file to start"),
        (lambda text: text.replace("entry", "entri"), Malformed, "entri"),
        (lambda text: text.replace('"metrics"', '"pickle"'), Malformed, "pickle"),
        (lambda text: text.replace(', persons = "n"', ""), Malformed, "numbers of persons"),
        (lambda text: text.replace('"fit.json" = "metrics"', '"p.png" = "figure"'), Malformed, "figure"),
        (lambda text: text.replace('"fit.json"', '"../fit.json"'), Malformed, "file"),
        (lambda text: text.replace('"income"]', '"person"]'), Malformed, "person"),
        (lambda text: text + "[[", Malformed, "darkroom.toml"),
    ],
)
def test_what_is_wrong_in_the_settings_is_said_with_what_to_do(write, change, kind, says):
    with pytest.raises(kind) as refusal:
        work = folders.read(write(change(SETTINGS)))
        work.task(IMAGES)
    assert says in str(refusal.value) and refusal.value.next_step


def test_a_folder_without_settings_or_that_is_not_there_says_so(tmp_path):
    for place, says in ((tmp_path, "no darkroom.toml"), (tmp_path / "absent", "no such folder")):
        with pytest.raises(NotFound, match=says) as refusal:
            folders.read(place)
        assert "darkroom.toml" in str(refusal.value)


def test_a_missing_module_is_named_with_its_line_and_the_image_that_has_it(write):
    with pytest.raises(Malformed) as refusal:
        folders.read(write(main="import os\nimport jieba\n")).task(IMAGES)
    assert "main.py:2" in str(refusal.value) and "'jieba'" in str(refusal.value)
    assert "components" in refusal.value.next_step
    with pytest.raises(Malformed, match="torch") as refusal:
        folders.read(write(main="import torch.nn as nn\n")).task(IMAGES)
    assert "No image here has it" in refusal.value.next_step


def test_imports_that_may_be_absent_and_own_modules_are_not_missed():
    files = {
        "main.py": b"try:\n    import fast\nexcept ImportError:\n    fast = None\nfrom . import a\nimport tools.b\n",
        "tools/b.py": b"def f():\n    import late\n",
    }
    assert missing(files, {"os"}) == {"late": "tools/b.py:2"}


@pytest.mark.parametrize("source", [b"def f(:\n", b"x = '\0'", b"(" * 5000, b"-" * 200_000 + b"1"])
def test_a_source_that_is_no_python_is_an_error_and_no_crash(source):
    with pytest.raises(Malformed, match=r"Python"):
        missing({"main.py": source}, ())


def test_an_unknown_image_is_answered_with_those_that_there_are(write):
    with pytest.raises(NotFound) as refusal:
        folders.read(write('image = "spark"\n' + SETTINGS)).task(IMAGES)
    assert "There are: python." in refusal.value.next_step


def test_a_million_files_are_not_counted_to_the_end(write, monkeypatch):
    place, asked = write(), []

    def endless(_place, _below):
        yield "main.py"
        for _ in range(10**6):
            asked.append(1)
            yield "main.py"

    monkeypatch.setattr(folders, "_paths", endless)
    with pytest.raises(TooLarge) as refusal:
        folders.read(place)
    assert len(asked) <= 500 and "500" in str(refusal.value)


def test_too_many_bytes_and_links_stay_here(write, tmp_path):
    place = write()
    with (place / "data.bin").open("wb") as file:
        file.truncate(9 * 2**20)
    with pytest.raises(TooLarge) as refusal:
        folders.read(place)
    assert "data never travel with code" in refusal.value.next_step
    (place / "data.bin").unlink()
    os.symlink("/etc/passwd", place / "link.txt")
    with pytest.raises(DarkroomError, match="link"):
        folders.read(place)


# --- kept models -----------------------------------------------------

MODELS = SETTINGS.replace("[outputs]", '[models]\n"fit" = "0a1b/m.json"\n\n[outputs]')
KEPT = [
    {"job": "0a1b", "plan": DIGEST, "artifact": "m.json", "content": "sha256:" + "cd" * 32},
    {"job": "0a1b", "plan": DIGEST, "artifact": "other.json", "content": "sha256:" + "cd" * 32},
]


@pytest.mark.parametrize("which", ["0a1b/m.json", f"{DIGEST}/m.json"])
def test_a_kept_model_is_named_by_its_job_or_its_plan_and_pinned_by_what_is_listed(write, which):
    (model,) = folders.read(write(MODELS.replace("0a1b/m.json", which))).task(IMAGES, KEPT).models
    assert (model.name, model.plan, model.artifact) == ("fit", DIGEST, "m.json")
    assert model.content == "sha256:" + "cd" * 32


@pytest.mark.parametrize("which", ["0a1b/none.json", "9f/m.json", "m.json", ""])
def test_a_kept_model_that_is_not_listed_is_told_with_where_to_look(write, which):
    work = folders.read(write(MODELS.replace("0a1b/m.json", which)))
    with pytest.raises(NotFound) as refusal:
        work.task(IMAGES, KEPT)
    assert "darkroom models" in refusal.value.next_step and "fit" in str(refusal.value)


def test_models_that_are_no_texts_or_too_many_are_refused(write):
    with pytest.raises(Malformed):
        folders.read(write(MODELS.replace('"0a1b/m.json"', "7")))
    many = "".join(f'"m{n}" = "0a1b/m.json"\n' for n in range(5))
    work = folders.read(write(MODELS.replace('"fit" = "0a1b/m.json"\n', many)))
    with pytest.raises(Malformed, match="at most 4 kept models"):
        work.task(IMAGES, KEPT)
