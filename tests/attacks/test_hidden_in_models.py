"""ATTACKS 57: rows hidden in a model of ONNX where no number of a weight is: lists of whole numbers, labels, types.

Each is handed to both boxes; the control is the same model with the few numbers, labels and plain types that an honest
one has, which goes to people like every model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from airlock.outputs.tensors import leaves_of, read_onnx
from plans.artifacts import Artifact, Form
from plans.verdict import Finding
from tests.attacks.test_typed_outputs import CANARY, one, refused

MODEL = Artifact("m.onnx", Form.MODEL)
INCOMES = [87_000 + 13 * row for row in range(3_000)]
FLOAT = onnx.TensorProto.FLOAT


def model(*nodes: Any, given: Sequence[Any] = (), output: Any = None, initial: Sequence[Any] = ()) -> bytes:
    """A model of these nodes with an input x and an output y."""
    into = [helper.make_tensor_value_info("x", FLOAT, [None, 3]), *given]
    out = output or helper.make_tensor_value_info("y", FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", into, [out], initializer=list(initial))
    versions = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    return bytes(helper.make_model(graph, opset_imports=versions, ir_version=8).SerializeToString())


SAME = helper.make_node("Identity", ["x"], ["y"])


def listed(numbers: Sequence[int]) -> bytes:
    return model(helper.make_node("Constant", [], ["c"], value_ints=list(numbers)), SAME)


def scattered(numbers: Sequence[int]) -> bytes:
    parts = [numbers[place : place + 60] for place in range(0, len(numbers), 60)]
    return model(
        SAME,
        initial=[
            numpy_helper.from_array(np.array(part, "i8"), f"c{place}") for place, part in enumerate(parts)
        ],
    )


def spread(numbers: Sequence[int]) -> bytes:
    nodes = [
        helper.make_node("Constant", [], [f"c{row}"], value_int=each) for row, each in enumerate(numbers)
    ]
    return model(*nodes, SAME)


def labelled(labels: Sequence[str]) -> bytes:
    return model(
        helper.make_node("Constant", [], ["c"], value_strings=[each.encode() for each in labels]), SAME
    )


def trees(features: Sequence[int], modes: str = "LEAF") -> bytes:
    """An ensemble of trees of one leaf each, which look at these features."""
    count = len(features)
    zeros, ones = [0] * count, [1.0] * count
    ids = list(range(count))
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        nodes_treeids=ids,
        nodes_nodeids=zeros,
        nodes_featureids=list(features),
        nodes_values=ones,
        nodes_modes=[modes] * count,
        nodes_truenodeids=zeros,
        nodes_falsenodeids=zeros,
        target_treeids=ids,
        target_nodeids=zeros,
        target_ids=zeros,
        target_weights=ones,
        n_targets=1,
    )
    return model(node)


def named_by_class(denotation: str = "") -> bytes:
    """A classifier's probabilities by class, as scikit-learn's converter leaves them."""
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_strings=["yes", "no"])
    value = helper.make_tensor_type_proto(FLOAT, None)
    kind = helper.make_map_type_proto(onnx.TensorProto.STRING, value)
    out = helper.make_value_info("y", helper.make_sequence_type_proto(kind))
    if denotation:
        out.type.sequence_type.elem_type.denotation = denotation
        shape = out.type.sequence_type.elem_type.map_type.value_type.tensor_type.shape
        shape.dim.add().dim_param = denotation
    return model(node, output=out)


def sequenced(denotation: str) -> bytes:
    out = onnx.ValueInfoProto(name="y")
    inner = out.type.sequence_type.elem_type
    inner.denotation = denotation
    inner.tensor_type.elem_type = FLOAT
    inner.tensor_type.shape.dim.add().dim_param = denotation
    return model(SAME, output=out)


@pytest.mark.parametrize(
    "content",
    [
        listed(INCOMES),
        scattered(INCOMES * 2),
        spread(INCOMES[:2_500] + INCOMES[:2_000]),
        labelled([f"{CANARY} row {row}" for row in range(900)]),
        labelled([CANARY, "152127198901018897"]),
        trees(INCOMES),
        trees([0, 1, 2], modes=CANARY),
        sequenced(CANARY),
    ],
    ids=["list", "many tensors", "many nodes", "labels", "identifier", "features", "modes", "type"],
)
def test_57_rows_in_the_corners_of_a_model_do_not_reach_people_nor_the_asker(
    tmp_path: Path, content: bytes
) -> None:
    left = one(tmp_path, MODEL, content)
    assert refused(left, "structure") or refused(left, "identifiers")
    assert CANARY.encode() not in left.to_asker()
    assert not left.shown


@pytest.mark.parametrize(
    "content",
    [listed([1, 3]), labelled(["yes", "no"]), trees([0, 1, 2] * 1_000), named_by_class()],
    ids=["shape", "classes", "trees", "by class"],
)
def test_57_control_an_honest_model_of_the_same_parts_is_held_for_people(
    tmp_path: Path, content: bytes
) -> None:
    left = one(tmp_path, MODEL, content)
    assert left.verdict is not None
    assert left.verdict.finding is Finding.HELD


def test_57_tensors_of_a_negative_size_do_not_pay_for_others(tmp_path: Path) -> None:
    tensors = [
        numpy_helper.from_array(np.array(INCOMES[:60], "i8") + place, f"c{place}") for place in range(100)
    ]
    assert refused(one(tmp_path / "plain", MODEL, model(SAME, initial=tensors)), "structure"), "the control"
    for tensor in tensors:
        tensor.dims[:] = [-1]
    left = one(tmp_path / "negative", MODEL, model(SAME, initial=tensors))
    assert left.verdict is not None
    assert left.verdict.finding is Finding.REFUSED


def test_54_what_a_type_says_beside_its_form_stays_behind() -> None:
    content = named_by_class(CANARY)
    assert CANARY.encode() in content
    assert CANARY.encode() not in read_onnx(content)


def test_the_leaves_of_every_tree_are_counted_from_the_model_as_it_would_leave() -> None:
    assert leaves_of(read_onnx(trees([0, 1, 2]))) == (1, 1, 1)
    assert leaves_of(read_onnx(named_by_class())) == ()
