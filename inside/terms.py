"""Expressions of a bound plan, written as text over base columns.

What the engine spells in two ways and computes in one is written in one (`NOT x LIKE y`, `x NOT LIKE y`), so
that a statement and its counted form compare equal. Everything that is not listed is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from plans.errors import SqlUnsupported
from plans.reading import Clause

Node = Mapping[str, Any]
Columns = frozenset[tuple[str, str]]
Tests = frozenset[tuple[tuple[str, str], Clause]]
_NONE: Columns = frozenset()


@dataclass(frozen=True, slots=True)
class Term:
    """An expression: its text and type, the (relation, column) pairs in it, how those among them in conditions of
    CASE are tested, those whose values it can yield or compute with, and its functions.

    `tests` says how its columns are tested when the whole is a condition, `compared` how they are in comparisons
    anywhere in it: `filter` between bare columns, `compare` where anything is computed. `bare` is a column as it
    stands, or a cast of one.
    """

    text: str
    type: str
    columns: Columns = _NONE
    conditions: Tests = frozenset()
    values: Columns = _NONE
    functions: frozenset[str] = frozenset()
    tests: Tests = frozenset()
    compared: Tests = frozenset()
    bare: bool = False


Rows = list[Term | None]


def write(node: Node, rows: Rows) -> Term:
    """Return an expression over the columns of the operator below; none among `rows` stands for the row
    number.

    Raises:
        SqlUnsupported: it holds something that is not listed.
    """
    rule = _CLASSES.get(node["expression_class"])
    if rule is None:
        raise unlisted("an expression")
    return rule(node, rows)


def unlisted(what: str) -> SqlUnsupported:
    """Return the refusal of something in a plan."""
    return SqlUnsupported(f"{what} in the engine's plan is not in the subset", "statement")


def typed(kind: Node) -> str:
    """Return a type as DuckDB writes it."""
    info = kind.get("type_info") or {}
    if kind["id"] == "DECIMAL":
        return f"DECIMAL({info['width']},{info['scale']})"
    return str(kind["id"])


def _joined(text: str, kind: str, terms: Iterable[Term], function: str = "") -> Term:
    terms = tuple(terms)
    return Term(
        text,
        kind,
        frozenset().union(*(term.columns for term in terms)),
        frozenset().union(*(term.conditions for term in terms)),
        frozenset().union(*(term.values for term in terms)),
        frozenset({function} if function else ()).union(*(term.functions for term in terms)),
        frozenset().union(*(term.tests for term in terms)),
        frozenset().union(*(term.compared for term in terms)),
    )


def _compared(text: str, terms: list[Term], *, bare: bool | None = None) -> Term:
    """Return a comparison: what is computed beside a column may be a constant, whatever columns are in it."""
    found = _joined(text, "BOOLEAN", terms)
    bare = all(term.bare for term in terms) if bare is None else bare
    tests = frozenset((column, Clause.FILTER if bare else Clause.COMPARE) for column in found.columns)
    return replace(found, tests=tests, compared=found.compared | tests)


def _reference(node: Node, rows: Rows) -> Term:
    found = rows[node["index"]]
    if found is None:
        raise unlisted("a row number")
    return found


def _constant(node: Node, _rows: Rows) -> Term:
    value = node["value"]
    kind = typed(value["type"])
    return Term("NULL" if value["is_null"] else f"{value.get('value')!r}:{kind}", kind)


def _cast(node: Node, rows: Rows) -> Term:
    """Casts of the data's text fail on some rows, and casts of truth values compute with them: both are refused."""
    child, target = write(node["child"], rows), typed(node["return_type"])
    if node["try_cast"]:
        raise unlisted("a cast that hides failures")
    if child.columns and child.type != target and child.type in ("VARCHAR", "BOOLEAN"):
        raise SqlUnsupported(
            f"a {child.type} column is used where {target} is needed",
            "statement",
            "Compare text with text, and truth with truth.",
        )
    if child.columns and target == "BOOLEAN" and child.type != target:
        raise SqlUnsupported("a value is used as a condition", "statement", "Compare it with something.")
    return replace(_joined(f"CAST({child.text} AS {target})", target, [child]), bare=child.bare)


def _comparison(node: Node, rows: Rows) -> Term:
    sign = _COMPARISONS.get(node["type"])
    if sign is None:
        raise unlisted("a comparison")
    left, right = write(node["left"], rows), write(node["right"], rows)
    return _compared(f"({left.text} {sign} {right.text})", [left, right])


def _conjunction(node: Node, rows: Rows) -> Term:
    """Chains of one connective are written flat, in whatever parentheses they came."""
    word = {"CONJUNCTION_AND": " AND ", "CONJUNCTION_OR": " OR "}[node["type"]]
    terms = [write(child, rows) for child in _flat(node, node["type"])]
    return _joined(f"({word.join(term.text for term in terms)})", "BOOLEAN", terms)


def _flat(node: Node, kind: str) -> list[Node]:
    if node["expression_class"] == "BOUND_CONJUNCTION" and node["type"] == kind:
        return [inner for child in node["children"] for inner in _flat(child, kind)]
    return [node]


def _operator(node: Node, rows: Rows) -> Term:
    if node["type"] == "OPERATOR_TRY":
        return _attempt(node, rows)
    form = _OPERATORS.get(node["type"])
    if form is None:
        raise unlisted("an operator")
    terms = [write(child, rows) for child in node["children"]]
    first, rest = terms[0].text, ", ".join(term.text for term in terms[1:])
    text = form.format(first=first, rest=rest)
    if node["type"] in ("COMPARE_IN", "COMPARE_NOT_IN"):
        return _compared(text, terms)
    if node["type"] in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"):
        is_column = terms[0].bare and node["children"][0]["expression_class"] == "BOUND_REF"
        return _compared(text, terms, bare=is_column)  # a cast that fails is null
    return _joined(
        text, typed(node["return_type"]), terms, "coalesce" if node["type"] == "OPERATOR_COALESCE" else ""
    )


def _attempt(node: Node, rows: Rows) -> Term:
    """Return the term inside a TRY: where nothing fails, and only there, it is computed as if the TRY were not.

    The guard alone writes TRY. In a member's statement the name `try` would be a function too many.
    """
    (child,) = node["children"]
    found = write(_unbounded(child, rows), rows)
    return _joined(found.text, found.type, [found], "try")


def _unbounded(node: Node, rows: Rows) -> Node:
    """Return x for `CASE WHEN abs(CAST(x AS DOUBLE)) <= 1e100 THEN x END`, and any other node as it is."""
    checks = node.get("case_checks") or []
    if node["expression_class"] != "BOUND_CASE" or len(checks) != 1:
        return node
    when, then = write(checks[0]["when_expr"], rows), write(checks[0]["then_expr"], rows)
    sizes = (f"abs({then.text}):DOUBLE", f"abs(CAST({then.text} AS DOUBLE)):DOUBLE")
    bounds = {f"({size} <= {_LARGEST})" for size in sizes}
    empty = write(node["else_expr"], rows).text
    return (
        checks[0]["then_expr"]
        if when.text in bounds and empty in ("NULL", f"CAST(NULL AS {then.type})")
        else node
    )


_LARGEST = f"{1e100!r}:DOUBLE"


def _case(node: Node, rows: Rows) -> Term:
    pairs = [
        (write(check["when_expr"], rows), write(check["then_expr"], rows)) for check in node["case_checks"]
    ]
    default = write(node["else_expr"], rows)
    text = " ".join(f"WHEN {when.text} THEN {then.text}" for when, then in pairs)
    whole = _joined(
        f"CASE {text} ELSE {default.text} END",
        typed(node["return_type"]),
        [*(term for pair in pairs for term in pair), default],
    )
    tested: Tests = frozenset().union(*(when.tests for when, _ in pairs))
    values = default.values.union(*(then.values for _, then in pairs))
    return replace(whole, conditions=whole.conditions | tested, values=values)


def _function(node: Node, rows: Rows) -> Term:
    name, kind = node["name"], typed(node["return_type"])
    if (node.get("catalog_name", "system"), node.get("schema_name", "main")) != ("system", "main"):
        raise unlisted("a function that is not the engine's own")
    if name in _UNITS:
        return Term(f"INTERVAL {_interval_count(node)} {_UNITS[name]}", kind)
    terms = [write(child, rows) for child in node["children"]]
    texts = [term.text for term in terms]
    if name in ("~~", "!~~"):
        text = f"({texts[0]} LIKE {texts[1]})"
        return _compared(text if name == "~~" else f"(NOT {text})", terms)
    if name in _ARITHMETIC:
        return _joined(f"{name}({', '.join(texts)}):{kind}", kind, terms)
    listed = _FUNCTIONS.get(name)
    if listed is None:
        raise unlisted("a function")
    if listed == "date_part":
        listed, texts = _lower_constant(node), texts[1:]
    elif listed in ("date_trunc", "date_diff"):
        texts[0] = _lower_constant(node)
    if listed not in _NAMES:
        raise unlisted("a part of a date")
    return _joined(f"{listed}({', '.join(texts)}):{kind}", kind, terms, "" if listed == "least" else listed)


def _lower_constant(node: Node) -> str:
    """Return the first argument, which must be a constant text, in lower case: the engine does not mind its case."""
    first = node["children"][0]
    if first["expression_class"] != "BOUND_CONSTANT":
        raise unlisted("a part of a date that is no constant")
    return str(first["value"].get("value")).lower()


def _interval_count(node: Node) -> str:
    """Return the number of an interval; the engine wraps it into casts, differently for `3` and `'3'`."""
    while node["expression_class"] != "BOUND_CONSTANT":
        inner = [node["child"]] if "child" in node else list(node.get("children", ()))
        if len(inner) != 1 or (node.get("name") not in (None, "trunc", *_UNITS)):
            raise unlisted("an interval that is no constant")
        node = inner[0]
    return str(node["value"].get("value"))


_CLASSES: dict[str, Callable[[Node, Rows], Term]] = {
    "BOUND_REF": _reference,
    "BOUND_CONSTANT": _constant,
    "BOUND_CAST": _cast,
    "BOUND_COMPARISON": _comparison,
    "BOUND_CONJUNCTION": _conjunction,
    "BOUND_OPERATOR": _operator,
    "BOUND_CASE": _case,
    "BOUND_FUNCTION": _function,
}
_COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_OPERATORS = {
    "OPERATOR_NOT": "(NOT {first})",
    "OPERATOR_IS_NULL": "({first} IS NULL)",
    "OPERATOR_IS_NOT_NULL": "(NOT ({first} IS NULL))",
    "OPERATOR_COALESCE": "coalesce({first}, {rest})",
    "COMPARE_IN": "({first} IN ({rest}))",
    "COMPARE_NOT_IN": "(NOT ({first} IN ({rest})))",
}
_ARITHMETIC = ("+", "-", "*", "/", "%")
_UNITS = {
    f"to_{unit}": unit
    for unit in ("years", "quarters", "months", "weeks", "days", "hours", "minutes", "seconds")
}
_NAMES = {
    "abs", "ceil", "coalesce", "date_diff", "date_trunc", "day", "floor", "hour", "least", "lower", "month", "quarter",
    "round", "substring", "upper", "week", "year",
}  # fmt: skip
_FUNCTIONS = {name: name for name in _NAMES} | {
    "ceiling": "ceil",
    "date_part": "date_part",
    "datepart": "date_part",
    "datediff": "date_diff",
    "datetrunc": "date_trunc",
    "dayofmonth": "day",
    "lcase": "lower",
    "substr": "substring",
    "ucase": "upper",
    "weekofyear": "week",
}
"""The engine's names of functions, with ours; `least` stands in the counted statement only, where we put it."""
