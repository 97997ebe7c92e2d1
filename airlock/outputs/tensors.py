"""Reading models of tensors: safetensors and ONNX, built anew from what is allowed in them.

Metadata, documentation, names of producers, paths to other files and functions of others stay behind. Tensors are
of floating numbers that keep the precision of bfloat16 (8 bits of mantissa, rounded to nearest): whole numbers and
texts hold rows well. Operators are on a list; none keeps training rows (neighbours, support vectors), loops, or
reads a file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import safetensors
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, checker, helper, numpy_helper
from safetensors.numpy import save

from airlock.outputs import identifiers
from airlock.outputs.models import MOST_FEATURES
from airlock.outputs.rules import OutputRule
from airlock.outputs.values import Unfit

MOST_TENSORS, MOST_NUMBERS, MOST_NODES, MOST_TEXTS = 2_000, 16_000_000, 5_000, 200
LARGEST_MODEL = 64 * 2**20
LONGEST_LABEL = 64

_DESERIALIZE: Any = safetensors.deserialize
_SAVE: Any = save

_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ""}
_NAME = re.compile(r"[A-Za-z_][\w./:-]{0,199}", re.ASCII)
_ROWS = re.compile(
    r"support_?vec|neighbo|train_?(x|y|data|set|rows)|(^|[^a-z])x_?train|fit_x|exemplar|prototype|memory_?bank|sample"
)
"""Names under which libraries keep training rows."""

_LISTED = """
    Abs Add ArgMax ArgMin ArrayFeatureExtractor AveragePool BatchNormalization Binarizer Cast Clip Concat
    Constant Conv Div Dropout Elu Equal Erf Exp Expand FeatureVectorizer Flatten GRU Gather Gelu Gemm
    GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid Identity Imputer InstanceNormalization
    LSTM LayerNormalization LeakyRelu Less LessOrEqual LinearClassifier LinearRegressor Log LogSoftmax MatMul
    Max MaxPool Min Mul Neg Normalizer Not Pad Pow RNN ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape
    Round Scaler Selu Shape Sigmoid Sign Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh Transpose
    TreeEnsembleClassifier TreeEnsembleRegressor Unsqueeze Where ZipMap
"""
OPERATORS = frozenset(_LISTED.split())
_FLOATING = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16})
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_SMALL, MOST_WHOLE = 64, 4_096
"""Whole numbers of a tensor or a list at the most, and of a whole model: shapes and positions. Trees have more, in
lists that their operators name; there positions and numbers of features are all that an operator takes."""

_TREES = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
_OF_TREES = re.compile(
    r"nodes_(treeids|nodeids|featureids|truenodeids|falsenodeids|missing_value_tracks_true)"
    r"|(class|target)_(treeids|nodeids|ids)"
)
_MODES = frozenset(f"BRANCH_{mode}" for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")) | {"LEAF"}
"""Lists of an ensemble of trees, and what its nodes can be (ONNX operators of the domain ai.onnx.ml)."""


def coarse(values: Any) -> Any:
    """Return numbers as float32 with the mantissa of bfloat16, rounded to nearest, ties to even.

    Raises:
        Unfit: one is not finite, before or after.
    """
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, dtype="<f4")
    bits = narrow.view("<u4")
    kept = ((bits.astype("<u8") + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype("<u4").view("<f4")
    if not np.isfinite(narrow).all() or not np.isfinite(kept).all():
        raise Unfit(OutputRule.NO_NUMBER)
    return kept + np.float32(0)  # no signed zero


# --- safetensors --------------------------------------------------------------------------------------------


def read_safetensors(content: bytes) -> bytes:
    """Return the file built anew from its floating tensors, sorted by name, as float32.

    Raises:
        Unfit: it is none, is too large, or holds something else than floating numbers.
    """
    if len(content) > LARGEST_MODEL:
        raise Unfit(OutputRule.TOO_LARGE)
    try:
        found = _DESERIALIZE(content)
        tensors = {_name(name): _floats(tensor) for name, tensor in found}
    except (safetensors.SafetensorError, ValueError, TypeError):
        raise Unfit(OutputRule.UNREADABLE) from None
    if not 1 <= len(tensors) <= MOST_TENSORS:
        raise Unfit(OutputRule.TOO_LARGE if tensors else OutputRule.UNREADABLE)
    return bytes(_SAVE(dict(sorted(tensors.items()))))


def _floats(tensor: dict[str, Any]) -> Any:
    kind, data = tensor["dtype"], bytes(tensor["data"])
    if kind not in _FLOATS:
        raise Unfit(OutputRule.STRUCTURE)
    if kind == "BF16":
        values = (np.frombuffer(data, dtype="<u2").astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(data, dtype=_FLOATS[kind])
    return coarse(values.reshape(tensor["shape"]))


def _name(name: str) -> str:
    """Return the name of a tensor; raises `Unfit` where it says that training rows are kept, or is no plain name."""
    if not _NAME.fullmatch(name):
        raise Unfit(OutputRule.COLUMN_NAMES)
    if _ROWS.search(name.lower()):
        raise Unfit(OutputRule.STRUCTURE)
    return name


def numbers_of(content: bytes, is_onnx: bool) -> dict[str, Any]:
    """Return the floating tensors of a model that `read_safetensors` or `read_onnx` built, by name."""
    if not is_onnx:
        return {name: _floats(tensor) for name, tensor in _DESERIALIZE(content)}
    model = onnx.load_model_from_string(content)
    found = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for place, node in enumerate(model.graph.node):
        for attribute in node.attribute:
            if attribute.floats:
                found[f"{place}/{attribute.name}"] = np.array(attribute.floats)
            if attribute.HasField("t"):
                found[f"{place}/{attribute.name}"] = numpy_helper.to_array(attribute.t)
    return {name: values for name, values in found.items() if values.dtype.kind == "f"}


def leaves_of(content: bytes) -> tuple[int, ...]:
    """Return how many leaves each tree has in a model that `read_onnx` built; nothing where it has no tree."""
    counted: Counter[tuple[int, int]] = Counter()
    for place, node in enumerate(onnx.load_model_from_string(content).graph.node):
        if node.op_type not in _TREES:
            continue
        listed = {attribute.name: attribute for attribute in node.attribute}
        if not {"nodes_treeids", "nodes_modes"} <= set(listed):
            raise Unfit(OutputRule.UNREADABLE)
        trees, modes = listed["nodes_treeids"].ints, listed["nodes_modes"].strings
        if len(trees) != len(modes):
            raise Unfit(OutputRule.UNREADABLE)
        counted.update((place, tree) for tree, mode in zip(trees, modes, strict=True) if mode == b"LEAF")
    return tuple(counted.values())


# --- ONNX ---------------------------------------------------------------------------------------------------


def read_onnx(content: bytes) -> bytes:
    """Return the model built anew from its allowed operators, shapes and coarse numbers.

    Raises:
        Unfit: it is none, is too large, or has an operator, a tensor or a reference that is not allowed.
    """
    if len(content) > LARGEST_MODEL:
        raise Unfit(OutputRule.TOO_LARGE)
    try:
        model = onnx.load_model_from_string(content)
        built = _built(model)
        checker.check_model(built)
    except (DecodeError, checker.ValidationError, ValueError, TypeError, KeyError, AttributeError):
        raise Unfit(OutputRule.UNREADABLE) from None
    return bytes(built.SerializeToString(deterministic=True))


def _built(model: Any) -> Any:
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer:
        raise Unfit(OutputRule.STRUCTURE)
    if len(graph.node) > MOST_NODES or len(graph.initializer) > MOST_TENSORS:
        raise Unfit(OutputRule.TOO_LARGE)
    if any(entry.domain not in _DOMAINS for entry in model.opset_import):
        raise Unfit(OutputRule.STRUCTURE)
    if _whole_numbers(graph) > MOST_WHOLE:
        raise Unfit(OutputRule.STRUCTURE)
    built = helper.make_graph(
        [_node(node) for node in graph.node],
        "model",
        [_port(port) for port in graph.input],
        [_port(port) for port in graph.output],
        initializer=[_tensor(tensor, _name(tensor.name)) for tensor in graph.initializer],
    )
    versions = [helper.make_opsetid(each.domain, each.version) for each in model.opset_import]
    return helper.make_model(built, opset_imports=versions, ir_version=model.ir_version, producer_name="")


def _node(node: Any) -> Any:
    if node.op_type not in OPERATORS or node.domain not in _DOMAINS:
        raise Unfit(OutputRule.STRUCTURE)
    ports = [_name(name) if name else "" for name in (*node.input, *node.output)]
    built = helper.make_node(
        node.op_type, ports[: len(node.input)], ports[len(node.input) :], domain=node.domain
    )
    built.attribute.extend(_attribute(attribute, node.op_type) for attribute in node.attribute)
    return built


def _whole_numbers(graph: Any) -> int:
    """Return how many whole numbers a graph holds outside its trees: many small lists hold rows as one large does."""
    attributes = [(node.op_type, attribute) for node in graph.node for attribute in node.attribute]
    tensors = [*graph.initializer, *(attribute.t for _, attribute in attributes if attribute.HasField("t"))]
    listed = sum(1 + len(each.ints) for kind, each in attributes if not _is_of_trees(each, kind))
    return listed + sum(_size(tensor) for tensor in tensors if tensor.data_type not in _FLOATING)


def _size(tensor: Any) -> int:
    return math.prod(tensor.dims)


def _is_of_trees(attribute: Any, operator: str) -> bool:
    return operator in _TREES and bool(_OF_TREES.fullmatch(attribute.name))


def _attribute(attribute: Any, operator: str) -> Any:
    kinds = AttributeProto.AttributeType
    name, kind = _name(attribute.name), attribute.type
    if kind == kinds.Value("FLOAT"):
        return helper.make_attribute(name, float(coarse([attribute.f])[0]))
    if kind == kinds.Value("FLOATS"):
        return helper.make_attribute(
            name, [float(each) for each in coarse(list(attribute.floats))], attr_type=kind
        )
    if kind == kinds.Value("INT"):
        return helper.make_attribute(name, attribute.i)
    if kind == kinds.Value("INTS"):
        if _is_of_trees(attribute, operator):
            _require_positions(attribute.ints)
        elif len(attribute.ints) > _SMALL:
            raise Unfit(OutputRule.STRUCTURE)
        return helper.make_attribute(name, list(attribute.ints), attr_type=kind)
    if kind == kinds.Value("STRING"):
        return helper.make_attribute(name, _labels([attribute.s])[0])
    if kind == kinds.Value("STRINGS"):
        modes = operator in _TREES and name == "nodes_modes"
        texts = _modes(attribute.strings) if modes else _labels(attribute.strings)
        return helper.make_attribute(name, texts, attr_type=kind)
    if kind == kinds.Value("TENSOR"):
        return helper.make_attribute(name, _tensor(attribute.t, ""))
    raise Unfit(OutputRule.STRUCTURE)  # graphs, references, sparse tensors


def _labels(found: Iterable[bytes]) -> list[str]:
    """Return the names of classes, and the words of operators; raises `Unfit` for more than that."""
    labels = [each.decode("utf-8") for each in found]
    if len(labels) > MOST_TEXTS or any(
        len(each) > LONGEST_LABEL or not each.isprintable() for each in labels
    ):
        raise Unfit(OutputRule.STRUCTURE)
    if any(map(identifiers.holds_identifier, labels)) or identifiers.are_names(labels):
        raise Unfit(OutputRule.IDENTIFIERS)
    return labels


def _require_positions(found: Sequence[int]) -> None:
    """Refuse numbers that are no positions of nodes (a tree has fewer than twice its leaves), features or classes."""
    most = 2 * len(found) + MOST_FEATURES
    if not all(0 <= each < most for each in found):
        raise Unfit(OutputRule.STRUCTURE)


def _modes(found: Iterable[bytes]) -> list[str]:
    modes = [each.decode("utf-8") for each in found]
    if not _MODES.issuperset(modes):
        raise Unfit(OutputRule.STRUCTURE)
    return modes


def _tensor(tensor: Any, name: str) -> Any:
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data or tensor.HasField("segment"):
        raise Unfit(OutputRule.STRUCTURE)
    if tensor.data_type == TensorProto.STRING:
        raise Unfit(OutputRule.STRUCTURE)
    values = numpy_helper.to_array(tensor)
    if values.size > MOST_NUMBERS:
        raise Unfit(OutputRule.TOO_LARGE)
    if values.dtype.kind == "f":
        return numpy_helper.from_array(coarse(values).astype(values.dtype), name)
    if values.size > _SMALL:
        raise Unfit(OutputRule.STRUCTURE)
    return numpy_helper.from_array(values, name)


def _port(port: Any) -> Any:
    tensor = port.type.tensor_type
    if not port.type.HasField("tensor_type"):
        return _mapping_port(port)
    shape = [side.dim_value if side.HasField("dim_value") else None for side in tensor.shape.dim]
    return helper.make_tensor_value_info(_name(port.name), tensor.elem_type, shape)


def _mapping_port(port: Any) -> Any:
    """Return the one other kind of output: the probabilities that ZipMap names by class."""
    mapping = port.type.sequence_type.elem_type.map_type
    if not mapping.value_type.HasField("tensor_type"):
        raise Unfit(OutputRule.STRUCTURE)
    value = helper.make_tensor_type_proto(mapping.value_type.tensor_type.elem_type, ())
    named = helper.make_map_type_proto(mapping.key_type, value)
    return helper.make_value_info(_name(port.name), helper.make_sequence_type_proto(named))
