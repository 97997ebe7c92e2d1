"""Reading models of tensors: safetensors and ONNX, built anew from what is allowed in them.

Metadata, documentation, names of producers, paths to other files and functions of others stay behind. Tensors are
of floating numbers that keep the precision of bfloat16 (8 bits of mantissa, rounded to nearest): whole numbers and
texts hold rows well. Operators are on a list; none keeps training rows (neighbours, support vectors), loops, or
reads a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import safetensors
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, checker, helper, numpy_helper
from safetensors.numpy import save

from airlock.outputs.rules import OutputRule
from airlock.outputs.values import Unfit

MOST_TENSORS, MOST_NUMBERS, MOST_NODES, MOST_TEXTS = 2_000, 16_000_000, 5_000, 1_000
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
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_SMALL = 64
"""Whole numbers of a tensor at the most: shapes and positions."""


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
    built.attribute.extend(_attribute(attribute) for attribute in node.attribute)
    return built


def _attribute(attribute: Any) -> Any:
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
        return helper.make_attribute(name, list(attribute.ints), attr_type=kind)
    if kind == kinds.Value("STRING"):
        return helper.make_attribute(name, _labels([attribute.s])[0])
    if kind == kinds.Value("STRINGS"):
        return helper.make_attribute(name, _labels(attribute.strings), attr_type=kind)
    if kind == kinds.Value("TENSOR"):
        return helper.make_attribute(name, _tensor(attribute.t, ""))
    raise Unfit(OutputRule.STRUCTURE)  # graphs, references, sparse tensors


def _labels(found: Iterable[bytes]) -> list[str]:
    labels = [each.decode("utf-8") for each in found]
    if len(labels) > MOST_TEXTS and len(set(labels)) > _SMALL:
        raise Unfit(OutputRule.STRUCTURE)
    if any(len(label) > LONGEST_LABEL or not label.isprintable() for label in labels):
        raise Unfit(OutputRule.STRUCTURE)
    return labels


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
    if not port.type.HasField("sequence_type"):
        raise Unfit(OutputRule.STRUCTURE)
    built = onnx.ValueInfoProto(name=_name(port.name))
    built.type.sequence_type.CopyFrom(port.type.sequence_type)
    built.type.sequence_type.DiscardUnknownFields()
    return built
