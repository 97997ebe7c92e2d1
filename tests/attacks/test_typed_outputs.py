"""ATTACKS 50 to 58, 90 and 94 on what jobs leave: by who writes the program, and by who made the file.

Each goes through the programs of both boxes, and looks for a canary in everything that whoever asked can read. The
control of each is the same content where the protection is not: as it came, or under an owner who asks for nothing.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import pickle
import socket
import stat
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, PngImagePlugin
from pyarrow import parquet as pq
from safetensors.numpy import load, save

from airlock.outputs.rules import OutputRule
from inside import leavings
from inside.session import BoxFailure
from plans.artifacts import Artifact, Form
from plans.box import Outputs
from plans.checks import Checks
from plans.verdict import Finding
from tests.drawn import without_drawn
from tests.inside import output_cases as cases
from tests.inside.output_cases import Left, inspected

CANARY = "CANARY-7c21"
TABLE = Artifact("t.csv", Form.TABLE, persons="persons")
METRICS = Artifact("m.json", Form.METRICS)
MODEL = Artifact("w.safetensors", Form.MODEL)
CSV = b"region,persons\nHohhot,500\nBaotou,900\n"
GENEROUS = Checks(code_bits=10**9)


def one(folder: Path, artifact: Artifact, content: bytes, checks: Checks | None = None) -> Left:
    return inspected(folder, {f"files/{artifact.name}": content}, cases.python_task(artifact), checks)


def refused(left: Left, rule: str) -> bool:
    return (
        left.verdict is not None and left.verdict.finding is Finding.REFUSED and rule in left.verdict.reasons
    )


# --- 50, 51: what lies in the folder ------------------------------------------------------------------------


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
DEVICE = os.makedev(1, 3)


def lay_symlink(place: Path, secret: Path) -> None:
    place.symlink_to(secret)


def lay_loop(place: Path, secret: Path) -> None:
    place.symlink_to(place.parent)


def lay_socket(place: Path, secret: Path) -> None:
    with contextlib.chdir(place.parent), socket.socket(socket.AF_UNIX) as bound:
        bound.bind(place.name)


def lay_device(place: Path, secret: Path) -> None:
    os.mknod(place, stat.S_IFCHR | 0o600, DEVICE)


def lay_name(place: Path, secret: Path) -> None:
    place.with_name("t\n.csv").write_text("x")


LAID: dict[str, Callable[[Path, Path], None]] = {
    "symlink": lay_symlink,
    "hardlink": lambda place, secret: os.link(secret, place),
    "fifo": lambda place, secret: os.mkfifo(place),
    "socket": lay_socket,
    "device": lay_device,
    "loop": lay_loop,
    "name": lay_name,
}
KINDS = [pytest.param(kind, marks=AS_ROOT) if kind == "device" else kind for kind in LAID]


@pytest.mark.parametrize("kind", KINDS)
def test_50_what_is_no_plain_file_is_refused_without_opening_it(tmp_path: Path, kind: str) -> None:
    out, secret = tmp_path / "out", tmp_path / "secret"
    out.mkdir()
    secret.write_text(CANARY)
    LAID[kind](out / "t.csv", secret)
    (laid,) = out.iterdir()
    with pytest.raises(BoxFailure) as told:
        leavings.gather(str(out), Outputs(8), 2**20)
    assert CANARY not in str(told.value.facts)
    assert secret.read_text() == CANARY and os.path.lexists(laid), "nothing was followed or removed"
    laid.unlink()
    laid.with_name("t.csv").write_bytes(CSV)
    assert leavings.gather(str(out), Outputs(8), 2**20) == {"t.csv": CSV}, (
        "the control: a plain file is taken"
    )


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_50_control_whoever_opens_a_link_reads_what_it_leads_to(tmp_path: Path, kind: str) -> None:
    secret, place = tmp_path / "secret", tmp_path / "t.csv"
    secret.write_text(CANARY)
    LAID[kind](place, secret)
    assert place.read_text() == CANARY


@pytest.mark.parametrize(
    "name", ["../t.csv", "/etc/t.csv", "a\nb.csv", "a\u202eb.csv", "x" * 200 + ".csv", f"{CANARY}.csv"]
)
def test_51_names_that_a_fallen_box_packs_are_refused(tmp_path: Path, name: str) -> None:
    packed = leavings.pack({f"files/{name}": CSV})
    assert b'"name":"files/' in packed, "the control: the box of the job packs any name"
    left = inspected(tmp_path, {f"files/{name}": CSV}, cases.python_task(TABLE))
    assert left.released is None and left.held is None and CANARY.encode() not in left.to_asker()


def test_51_data_in_the_name_of_an_undeclared_file_reach_nobody(tmp_path: Path) -> None:
    left = inspected(tmp_path, {"files/t.csv": CSV, "files/canary-7c21.csv": CSV}, cases.python_task(TABLE))
    assert refused(left, "undeclared")
    assert b"canary" not in left.to_asker().lower()


# --- 52, 53: archives and formats that run ------------------------------------------------------------------


class Runs:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def archives() -> dict[str, bytes]:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../rows.csv", b"0" * 10**7)
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        entry = tarfile.TarInfo("/etc/rows.csv")
        entry.size = len(CSV)
        archive.addfile(entry, io.BytesIO(CSV))
    return {"zip": zipped.getvalue(), "tar": tarred.getvalue()}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("artifact", [TABLE, METRICS, MODEL], ids=lambda each: each.name)
def test_52_archives_are_never_opened(tmp_path: Path, kind: str, artifact: Artifact) -> None:
    assert refused(one(tmp_path, artifact, archives()[kind]), "executable")


@pytest.mark.parametrize(
    "artifact", [TABLE, METRICS, MODEL, Artifact("m.onnx", Form.MODEL)], ids=lambda each: each.name
)
def test_53_a_pickle_under_any_name_is_refused_and_does_not_run(tmp_path: Path, artifact: Artifact) -> None:
    mark = tmp_path / "mark"
    left = one(tmp_path, artifact, pickle.dumps(Runs(mark)))
    assert refused(left, "executable") and not mark.exists()
    pickle.loads(pickle.dumps(Runs(mark)))
    assert mark.exists(), "the control: who loads it runs it"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_53_formulas_do_not_run_in_a_spreadsheet(tmp_path: Path, sign: str) -> None:
    formula = f"{sign}SUM(A1)"
    left = one(tmp_path, TABLE, f"region,persons\n{formula},500\n".encode())
    assert json.loads(left.content("t.csv"))["rows"] == [["'" + formula, "500"]]


@pytest.mark.parametrize(
    "text",
    [
        "<script>x()</script>",
        "<img src=x onerror=y>",
        "![a](http://example.org/?q)",
        "[a](javascript:x())",
        "<!-- x -->",
    ],
)
def test_53_reports_hold_no_markup_that_acts(tmp_path: Path, text: str) -> None:
    assert refused(one(tmp_path, Artifact("r.md", Form.REPORT), f"# Report\n{text}\n".encode()), "executable")


# --- 54: metadata, statistics, what is left in buffers ------------------------------------------------------


def parquet() -> bytes:
    whole = pa.table(
        {
            "region": pa.array(["Hohhot", "Baotou", CANARY]).dictionary_encode(),
            "persons": pa.array([500, 900, 1]),
        },
        metadata={"rows": CANARY},
    )
    out = io.BytesIO()
    pq.write_table(whole, out)
    return out.getvalue()


def png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("rows", CANARY)
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (10, 20, 30)).save(out, "PNG", pnginfo=text)
    return out.getvalue() + CANARY.encode()


def test_54_metadata_statistics_and_dictionaries_stay(tmp_path: Path) -> None:
    table, figure = (
        Artifact("t.parquet", Form.TABLE, persons="persons"),
        Artifact("f.png", Form.FIGURE, data="t.parquet"),
    )
    model = Artifact("w.safetensors", Form.MODEL)
    weights = save({"w": np.ones((3, 2), "f4")}, metadata={"rows": CANARY})
    files = {"files/t.parquet": parquet(), "files/f.png": png(), "files/w.safetensors": weights}
    left = inspected(tmp_path, files, cases.python_task(table, figure, model))
    assert left.held is not None and CANARY.encode() not in left.to_asker() + left.shown
    assert all(CANARY.encode() in content for content in files.values()), (
        "the control: each carries it as it came"
    )


def test_54_low_bits_of_pixels_carry_nothing(tmp_path: Path) -> None:
    """A message in the last bit of every pixel is gone; the control reads it from the file as it came."""
    rng = np.random.default_rng(1)
    message = rng.integers(0, 2, (48, 64), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(np.repeat((100 + message)[:, :, None], 3, axis=2)).save(out, "PNG")
    figure = Artifact("f.png", Form.FIGURE, data="t.csv")
    left = inspected(
        tmp_path, {"files/f.png": out.getvalue(), "files/t.csv": CSV}, cases.python_task(figure, TABLE)
    )
    assert left.held is not None and left.verdict is not None and left.verdict.reasons == ("picture",)
    drawn = base64.b64decode(left.held.artifacts[0].content)
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")))) == 1
    assert (np.asarray(Image.open(out))[:, :, 0] % 2 == message).all()


# --- 55: malformed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"region,persons\nHohhot,500,1\n",
        b'region,persons\n"Hohhot,500\n',
        b'region,persons\n"Hoh"hot,500\n',
        "region,persons\nHohhot,500\n".encode("utf-16"),
        b"region,persons\n\xff\xfe,500\n",
        b"region,persons\nHoh\0hot,500\n",
        b"\n",
        b"region;persons\nHohhot;500\n",
        b"region,region\na,500\n",
        b"region,persons\n" + b"x" * 100_000 + b",500\n",
    ],
)
def test_55_a_table_that_is_not_one_fails_closed(tmp_path: Path, content: bytes) -> None:
    left = one(tmp_path, TABLE, content)
    assert left.verdict is not None and left.verdict.finding is Finding.REFUSED
    assert list(left.files) == ["record.bin"]


# --- 56: what is judged is what leaves ----------------------------------------------------------------------


def test_56_content_changed_after_the_verdict_is_noticed(tmp_path: Path) -> None:
    left = one(tmp_path, TABLE, CSV)
    assert left.verdict is not None and left.released is not None
    forged = replace(left.released, artifacts=(replace(left.released.artifacts[0], content="Zm9yZ2Vk"),))
    assert left.released.digest == left.verdict.content != forged.digest


# --- 57: rows in models -------------------------------------------------------------------------------------


def hidden(rows: np.ndarray) -> np.ndarray:
    """Weights whose low 16 bits of mantissa hold 16-bit values of rows."""
    weights = np.random.default_rng(2).normal(size=rows.size).astype("<f4")
    return ((weights.view("<u4") & 0xFFFF0000) | rows.ravel().astype("<u4")).view("<f4")


def test_57_values_in_low_bits_of_weights_are_gone(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).integers(0, 2**16, 500)
    content = save({"w": hidden(rows)})
    left = one(tmp_path, MODEL, content)
    assert left.held is not None
    weights = load(base64.b64decode(left.held.artifacts[0].content))["w"]
    assert not (weights.view("<u4") & 0xFFFF).any()
    assert (load(content)["w"].view("<u4") & 0xFFFF == rows).all(), (
        "the control: as it came it holds every row"
    )


def tree(smallest: int) -> bytes:
    nodes = {"feature": [0, -1, -1], "threshold": [912_345.0, 0, 0], "left": [1, -1, -1], "right": [2, -1, -1],
             "value": [0.0, 0.1, 0.9], "persons": [1_000, 1_000 - smallest, smallest]}  # fmt: skip
    return json.dumps(
        {
            "kind": "trees",
            "family": "binomial",
            "features": ["income"],
            "base": 0,
            "persons": 1_000,
            "trees": [nodes],
        }
    ).encode()


def test_57_a_leaf_of_one_person_is_refused(tmp_path: Path) -> None:
    model = Artifact("m.json", Form.MODEL)
    assert refused(one(tmp_path / "a", model, tree(1)), "structure")
    held = one(tmp_path / "b", model, tree(400))
    assert held.verdict is not None and held.verdict.finding is Finding.HELD, (
        "the control: large leaves are not refused"
    )
    assert "912345" not in without_drawn(held.to_asker().decode()), (
        "thresholds are values of rows, and are rounded"
    )


@pytest.mark.parametrize("name", ["support_vectors", "X_train", "layer.memory_bank", "fit_x", "neighbors"])
def test_57_tensors_that_say_that_they_are_rows_are_refused(tmp_path: Path, name: str) -> None:
    assert refused(one(tmp_path, MODEL, save({name: np.ones((50, 4), "f4")})), "structure")


def test_57_a_model_never_leaves_without_people(tmp_path: Path) -> None:
    left = one(tmp_path, MODEL, save({"w": np.ones((3, 2), "f4")}))
    assert left.released is None and left.verdict is not None and left.verdict.finding is Finding.HELD


# --- bits, numbers, oracles ---------------------------------------------------------------------------------


def test_58_code_of_members_has_a_budget_of_bits(tmp_path: Path) -> None:
    rows = "\n".join(f"k{place:04},{1_000 + place % 977}" for place in range(2_000))
    content = f"key,persons\n{rows}\n".encode()
    assert refused(one(tmp_path / "a", TABLE, content, Checks(code_bits=8 * 1024)), "bit-budget")
    assert one(tmp_path / "b", TABLE, content, GENEROUS).released is not None, (
        "the control: another owner's budget"
    )


def test_a_message_in_the_digits_of_figures_is_rounded_away(tmp_path: Path) -> None:
    """The last digits of a mean could say anything; what leaves has as many as its persons support."""
    secret = [4_124, 9_377, 1_208]
    lines = "\n".join(f"r{place},{40_000 + value / 10_000:.4f},500" for place, value in enumerate(secret))
    left = one(tmp_path, TABLE, f"region,mean_income,persons\n{lines}\n".encode())
    assert [row[1] for row in json.loads(left.content("t.csv"))["rows"]] == ["40000"] * 3


def test_a_message_in_the_order_of_rows_is_sorted_away(tmp_path: Path) -> None:
    left = [
        one(tmp_path / name, TABLE, f"region,persons\n{body}".encode()).content("t.csv")
        for name, body in (("a", "x,500\ny,600\nz,700\n"), ("b", "z,700\nx,500\ny,600\n"))
    ]
    assert left[0] == left[1]


def test_90_a_group_of_two_and_none_at_all_look_the_same(tmp_path: Path) -> None:
    """Whether somebody rare exists is no answer; the control's files differ."""
    with_rare, without = CSV + b"Alxa,2\n", CSV
    left = [one(tmp_path / str(len(each)), TABLE, each) for each in (with_rare, without)]
    assert left[0].content("t.csv") == left[1].content("t.csv") and with_rare != without
    assert left[0].verdict is not None and left[1].verdict is not None
    assert left[0].verdict.reasons == left[1].verdict.reasons


def test_nan_in_metrics_says_what_to_do(tmp_path: Path) -> None:
    assert refused(one(tmp_path, METRICS, b'{"auc": NaN}'), "no-number")
    assert "Leave out" in OutputRule.NO_NUMBER.help
