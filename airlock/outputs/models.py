"""Reading a fitted model: structure and numbers, and nothing that runs.

Of JSON three shapes are known (`docs/outputs.md`): linear models, trees, centres. safetensors and ONNX are in
`airlock.outputs.tensors`. Numbers keep four significant digits, so that low digits carry no rows (ATTACKS 57).
Whether a model remembers persons is found by attacks on it (`airlock.models`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airlock.outputs.rules import OutputRule
from airlock.outputs.values import Unfit, require_name

MOST_FEATURES, MOST_TREES, MOST_NODES, MOST_CENTRES = 10_000, 2_000, 1_000_000, 1_000
DIGITS = 4
"""Significant digits of a model's numbers."""

_FAMILIES = frozenset({"gaussian", "binomial", "poisson", "cox"})


def read_model(content: bytes) -> dict[str, Any]:
    """Return a model in JSON, with every number as text of four significant digits and every count as a number.

    Raises:
        Unfit: it has none of the known shapes.
    """
    found = load_object(content)
    reader = _SHAPES.get(str(found.get("kind")))
    if reader is None:
        raise Unfit(OutputRule.STRUCTURE)
    try:
        return reader(found)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Unfit(OutputRule.UNREADABLE) from None


def dumped(model: Mapping[str, Any]) -> bytes:
    """Return a model as it leaves: JSON with sorted names, and numbers as numbers again."""
    return json.dumps(_numbers(model), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def load_object(content: bytes) -> dict[str, Any]:
    """Return a JSON object without NaN, infinity and repeated names.

    Raises:
        Unfit: `no-number` for NaN and infinity, `unreadable` for everything else that is not one object.
    """
    try:
        found = json.loads(
            content.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once, parse_int=_whole
        )
    except (ValueError, RecursionError):
        raise Unfit(OutputRule.UNREADABLE) from None
    if not isinstance(found, dict):
        raise Unfit(OutputRule.UNREADABLE)
    return found


def rounded(value: Any) -> str:
    """Return a finite number as text with four significant digits; raises `TypeError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("number")
    if not math.isfinite(value):
        raise Unfit(OutputRule.NO_NUMBER)
    return repr(float(f"{float(value):.{DIGITS}g}") + 0.0)


def _linear(found: dict[str, Any]) -> dict[str, Any]:
    target = _target(found)
    _require_members(found, {"kind", "family", "features", "intercept", "coefficients", "persons"})
    features = _features(found["features"])
    coefficients = [rounded(each) for each in found["coefficients"]]
    if len(coefficients) != len(features):
        raise ValueError("coefficients")
    return {
        "kind": "linear",
        "family": _family(found["family"]),
        "features": features,
        "intercept": rounded(found["intercept"]),
        "coefficients": coefficients,
        "persons": _persons(found["persons"]),
        **target,
    }


def _trees(found: dict[str, Any]) -> dict[str, Any]:
    target = _target(found)
    _require_members(found, {"kind", "family", "features", "base", "persons", "trees"})
    features = _features(found["features"])
    trees = found["trees"]
    if not isinstance(trees, list) or not 1 <= len(trees) <= MOST_TREES:
        raise ValueError("trees")
    read = [_tree(tree, len(features)) for tree in trees]
    if sum(len(tree["feature"]) for tree in read) > MOST_NODES:
        raise Unfit(OutputRule.TOO_LARGE)
    return {
        "kind": "trees",
        "family": _family(found["family"]),
        "features": features,
        "base": rounded(found["base"]),
        "persons": _persons(found["persons"]),
        "trees": read,
        **target,
    }


def _tree(tree: Any, features: int) -> dict[str, Any]:
    _require_members(tree, {"feature", "threshold", "left", "right", "value", "persons"})
    read: dict[str, Any] = {part: list(map(_place, tree[part])) for part in ("feature", "left", "right")}
    read |= {part: list(map(rounded, tree[part])) for part in ("threshold", "value")}
    read["persons"] = list(map(_persons, tree["persons"]))
    nodes = len(read["feature"])
    if not nodes or any(len(part) != nodes for part in read.values()):
        raise ValueError("nodes")
    for place, (feature, left, right) in enumerate(
        zip(read["feature"], read["left"], read["right"], strict=True)
    ):
        leaf = feature == -1 and left == right == -1
        inner = 0 <= feature < features and place < left < nodes and place < right < nodes and left != right
        if not leaf and not inner:
            raise ValueError("node")
    return read


def _centres(found: dict[str, Any]) -> dict[str, Any]:
    _require_members(found, {"kind", "features", "centres", "persons"})
    features = _features(found["features"])
    centres = [[rounded(value) for value in centre] for centre in found["centres"]]
    persons = [_persons(each) for each in found["persons"]]
    if not 1 <= len(centres) <= MOST_CENTRES or len(persons) != len(centres):
        raise ValueError("centres")
    if any(len(centre) != len(features) for centre in centres):
        raise ValueError("centre")
    return {"kind": "centres", "features": features, "centres": centres, "persons": persons}


_SHAPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "linear": _linear,
    "trees": _trees,
    "centres": _centres,
}


def reread(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model that `read_model` made, read once more; raises `Unfit` if it is not exactly one."""
    again = read_model(dumped(found))
    if again != found:
        raise Unfit(OutputRule.UNREADABLE)
    return again


def _target(found: dict[str, Any]) -> dict[str, str]:
    """Take the target out of a model, if it says one: the column that it foretells."""
    return {"target": require_name(found.pop("target"))} if "target" in found else {}


def _require_members(found: Any, members: set[str]) -> None:
    if not isinstance(found, dict) or set(found) != members:
        raise ValueError("members")


def _features(found: Any) -> list[str]:
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_FEATURES or len(set(found)) != len(found):
        raise ValueError("features")
    return [require_name(name) for name in found]


def _family(found: Any) -> str:
    if found not in _FAMILIES:
        raise ValueError("family")
    return str(found)


def _persons(found: Any) -> int:
    if type(found) is not int or not 0 <= found < 2**53:
        raise ValueError("persons")
    return found


def _place(found: Any) -> int:
    if type(found) is not int or not -1 <= found < MOST_NODES:
        raise ValueError("place")
    return found


def _numbers(value: Any, name: str = "") -> Any:
    """Turn the texts of numbers into numbers; names and words stay."""
    if isinstance(value, Mapping):
        return {key: _numbers(each, key) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_numbers(each, name) for each in value]
    if isinstance(value, str) and name in _NUMBERED:
        return float(value)
    return value


_NUMBERED = frozenset({"intercept", "coefficients", "base", "threshold", "value", "centres"})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("repeated")
    return found


def _no_constant(_: str) -> Any:
    raise Unfit(OutputRule.NO_NUMBER)


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError("whole")
    return int(text)
