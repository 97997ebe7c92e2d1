"""Reading what a job left, all of it: compared with what was declared, each file parsed by its form (ATTACKS 50 to 55).

A program's failure to leave what it said is an answer about the data, so it is no error of the box: it becomes a
refusal with a rule, judged and charged like every other.
"""

from __future__ import annotations

from collections.abc import Mapping

from airlock.outputs import values
from airlock.outputs.figures import read_figure
from airlock.outputs.models import read_model
from airlock.outputs.rules import OutputRule
from airlock.outputs.tables import read_table
from airlock.outputs.tensors import read_onnx, read_safetensors
from airlock.outputs.texts import read_metrics, read_report
from airlock.outputs.values import Content, Evidence, Handed, Unfit, Value
from plans import canonical
from plans.artifacts import Artifact, Form
from plans.errors import Malformed
from plans.handover import EVIDENCE, FILES

LARGEST_FILE = 32 * 2**20

_RUNS = (
    ".pkl", ".pickle", ".joblib", ".pt", ".pth", ".npy", ".npz", ".h5", ".html", ".svg", ".ipynb", ".xlsx", ".xls",
    ".zip", ".tar", ".gz", ".7z", ".bz2", ".xz", ".rds", ".rdata", ".mat", ".sav", ".dta", ".py", ".so",
)  # fmt: skip
_MAGIC = (
    b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05",  # pickle
    b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd", b"Rar!",
    b"\x93NUMPY", b"\x89HDF", b"\xd0\xcf\x11\xe0", b"%PDF", b"\x7fELF", b"<svg", b"<html", b"<!DOCTYPE", b"<?xml",
)  # fmt: skip


def read_outputs(
    files: Mapping[str, bytes], declared: tuple[Artifact, ...], by_component: bool, salt: str
) -> Handed:
    """Return what was left as values, or every rule by which it cannot be read, by output.

    Raises:
        Malformed: a component says nothing, or nonsense, about one of its tables.
    """
    left = {name.removeprefix(FILES): content for name, content in files.items() if name.startswith(FILES)}
    refused = [
        (_rule_of_undeclared(name, left[name]), "") for name in sorted(set(left) - {a.name for a in declared})
    ]
    refused += [(OutputRule.ABSENT, each.name) for each in declared if each.name not in left]
    read: list[Value] = []
    for artifact in declared:
        if artifact.name in left:
            try:
                read.append(Value(artifact.name, artifact.form, _content(artifact, left[artifact.name])))
            except Unfit as problem:
                refused.append((problem.rule, artifact.name))
    if refused:
        return Handed(refused=tuple(refused), salt=salt)
    return Handed(tuple(read), _evidence(files, declared, by_component), (), salt)


def _rule_of_undeclared(name: str, content: bytes) -> OutputRule:
    runs = name.endswith(_RUNS) or content.startswith(_MAGIC)
    return OutputRule.EXECUTABLE if runs else OutputRule.UNDECLARED


def _content(artifact: Artifact, content: bytes) -> Content:
    if content.startswith(_MAGIC) or content[257:262] == b"ustar":
        raise Unfit(OutputRule.EXECUTABLE)
    if len(content) > LARGEST_FILE:
        raise Unfit(OutputRule.TOO_LARGE)
    if artifact.form is Form.TABLE:
        return read_table(artifact.name, content)
    if artifact.form is Form.FIGURE:
        return read_figure(content)
    if artifact.form is Form.METRICS:
        return read_metrics(content)
    if artifact.form is Form.REPORT:
        return read_report(content)
    if artifact.name.endswith(".json"):
        return read_model(content)
    return read_onnx(content) if artifact.name.endswith(".onnx") else read_safetensors(content)


def _evidence(
    files: Mapping[str, bytes], declared: tuple[Artifact, ...], by_component: bool
) -> dict[str, Evidence]:
    if not by_component:
        return {}
    found = {}
    for artifact in declared:
        if artifact.form is Form.TABLE:
            found[artifact.name] = _said(files.get(f"{EVIDENCE}{artifact.name}.json"))
    return found


def _said(content: bytes | None) -> Evidence:
    if content is None:
        raise Malformed("a component says nothing about its table", "evidence")
    try:
        return values.read_evidence(canonical.decode(content))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Malformed("what a component says about its table has another form", "evidence") from None
