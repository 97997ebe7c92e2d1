"""Rewrites of a statement for the usual refusals: each changes one thing, and says which.

A rewrite follows from what the refusal says (its rule, the column, the function) and from the catalog as it was
fetched already. It is a proposal: only a dry run says that it passes. Where none follows, there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom import advice_sql as sql
from darkroom.advice_sql import Edit, Span, Statement

MOST = 4
"""Rewrites that one piece of advice shows."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A statement in place of the one that was refused. `why` is a key of `display_words`, with its values."""

    sql: str
    why: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalog describes it; `uses` is none where the catalog does not tell."""

    name: str
    type: str
    kind: str = ""
    uses: tuple[str, ...] | None = None

    @property
    def usable(self) -> bool:
        """Whether it may be named in a statement at all."""
        return self.kind != "identifier" and (self.uses is None or bool(self.uses))


Columns = Mapping[str, Sequence[Column]]
"""The described columns of relations, by the relation's name."""

INSTEAD: Mapping[str, str] = {
    "mean": "avg", "average": "avg", "approx_count_distinct": "count_distinct", "quantile": "quantile_cont",
    "percentile_cont": "quantile_cont", "percentile_disc": "quantile_disc", "approx_quantile": "quantile_cont",
    "std": "stddev", "stdev": "stddev", "nvl": "coalesce", "isnull": "coalesce", "charindex": "strpos",
    "datepart": "date_part", "datediff": "date_diff", "datetrunc": "date_trunc", "dayofweek_iso": "isodow",
    "ucase": "upper", "lcase": "lower", "to_char": "strftime", "regexp_like": "regexp_matches", "truncate": "trunc",
    "total": "sum", "fsum": "sum", "favg": "avg", "kahan_sum": "sum",
}  # fmt: skip
"""Functions of other engines, or that are not listed, and a listed one that says the same."""

OF_ONE_ROW = ("any_value", "arbitrary", "first", "last", "mode", "max_by", "min_by", "median")
"""Functions that show the value of a record; a mean of the same column is about all of them."""

WRITTEN: Mapping[str, str] = {"approx_distinct": "approx_count_distinct"}
"""Functions that a refusal calls by another name than the one that is written."""

QUANTILES = ("quantile_cont", "quantile_disc")
_SHARES = {"max": "0.95", "min": "0.05"}
_DATES = ("DATE", "TIMESTAMP")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")


def coarser(text: str, columns: Columns) -> Iterator[Rewrite]:
    """Yield statements with larger groups: a date by year, a number in bands, a key left out."""
    found = sql.parsed(text)
    if found is None:
        return
    keys = _keys(found)
    types = {
        column.name: column.type for relation in found.relations() for column in columns.get(relation, ())
    }
    for key in keys:
        name = key.rpartition(".")[2].lower()
        if types.get(name, "").startswith(_DATES):
            made = _key_as(found, key, f"year({key})", f"{name}_year")
            yield from _made(made, "why.year", column=key)
        elif types.get(name) in _WHOLE:
            made = _key_as(found, key, f"floor({key} / 10) * 10", f"{name}_band")
            yield from _made(made, "why.band", column=key)
    for key in reversed(keys):
        yield from _made(_without_key(found, key), "why.coarser", column=key)


def star(text: str, columns: Columns) -> Iterator[Rewrite]:
    """Yield the statement with the columns that may be used in place of `*`."""
    found = sql.parsed(text)
    if found is None:
        return
    named = [
        column.name for relation in found.relations() for column in columns.get(relation, ()) if column.usable
    ]
    for item in found.items("select"):
        if item.of(text) == "*" and named:
            listed = " " + ", ".join(dict.fromkeys(named)) + " "
            yield from _made(sql.edited(text, [Edit(item.start, item.end, listed)]), "why.star")


def instead(text: str, function: str, other: str, column: str = "") -> Iterator[Rewrite]:
    """Yield the statement with another function in place of one, of this column where one is named."""
    edits = []
    for call in sql.calls(text, function):
        given = call.arguments.of(text)
        if column and column.lower() not in sql.words_in(given):
            continue
        replaced = f"{other}({given})"
        if other in QUANTILES and function in _SHARES:
            replaced = f"{other}({given}, {_SHARES[function]})"
        elif other in QUANTILES and "," not in given:
            replaced = f"{other}({given}, 0.5)"
        elif other == "count_distinct":
            replaced = f"count(distinct {given})"
        edits.append(Edit(call.name.start, call.arguments.end + 1, replaced))
    why = "why.percentile" if function in _SHARES and other in QUANTILES else "why.instead"
    if edits:
        yield from _made(sql.edited(text, edits), why, function=function, instead=other)


def left_out(text: str, column: str, clause: str = "", function: str = "") -> Iterator[Rewrite]:
    """Yield the statement without a column: without the items, keys and conditions that name it."""
    found = sql.parsed(text)
    if found is None:
        return

    def names_it(piece: str) -> bool:
        return column.lower() in sql.words_in(piece)

    def item(piece: str) -> bool:
        return names_it(piece) and (not function or bool(sql.calls(piece, function)))

    wanted: dict[str, Callable[[str], bool]] = {"select": item, "order by": names_it}
    if clause in ("group", ""):
        wanted["group by"] = names_it
    if clause in ("filter", "compare", ""):
        wanted["where"] = names_it
    if clause in ("filter", "compare"):
        wanted.pop("select"), wanted.pop("order by")
    yield from _made(_without(found, wanted), "why.left-out", column=column)


def figures(text: str, shown: str) -> Iterator[Rewrite]:
    """Yield a statement about groups in place of rows; `shown` is `keys, figures … GROUP BY keys`, of a remedy."""
    found = sql.parsed(text)
    outputs, _, keys = (part.strip(" …") for part in shown.partition("GROUP BY"))
    if found is None or not outputs or "from" not in found.clauses:
        return
    start, end = (
        found.clauses["from"][0],
        found.before("group by", "having", "qualify", "order by", "limit", "offset"),
    )
    grouped = f" GROUP BY {keys}" if keys else ""
    yield from _made(f"SELECT {outputs} {text[start:end].strip()}{grouped}", "why.figures")


def groups(text: str, columns: Columns) -> Iterator[Rewrite]:
    """Yield a statement about groups in place of rows, where nobody else proposes one: what the rows showed becomes
    keys, numbers that say much of a person become means, and rows are counted.
    """
    found = sql.parsed(text)
    if found is None or "from" not in found.clauses or "group by" in found.clauses:
        return
    known = {
        each.name: each for relation in found.relations() for each in columns.get(relation, ()) if each.usable
    }
    items = [_bare(span.of(text)) for span in found.items("select")]
    asked = list(known)[:MOST] if items == ["*"] else [item for item in items if "(" not in item]
    named = [name for name in asked if name.rpartition(".")[2].lower() in known or not known]
    means = [name for name in named if is_amount(known.get(name.rpartition(".")[2].lower()))]
    keys = [name for name in named if name not in means][: 1 if items == ["*"] else None]
    start, end = found.clauses["from"][0], found.before("having", "qualify", "order by", "limit", "offset")
    outputs = ", ".join([*keys, "count(*) AS n", *(f"avg({name})" for name in means)])
    grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
    yield from _made(f"SELECT {outputs} {text[start:end].strip()}{grouped}", "why.figures")


def is_amount(column: Column | None) -> bool:
    """Return whether a column is better shown as a mean than as a key: a sensitive number, or one with a point."""
    if column is None or column.uses is not None and "avg" not in column.uses:
        return False
    real = column.type.startswith(("DOUBLE", "FLOAT", "DECIMAL"))
    return real or (column.kind == "sensitive" and column.type in _WHOLE)


def averaged(text: str, column: str) -> Iterator[Rewrite]:
    """Yield the statement with the mean of a column in place of its values, where these are an output by themselves."""
    found = sql.parsed(text)
    if found is None:
        return
    edits = [
        Edit(span.start, span.end, f" avg({column}) AS {column}_mean ")
        for span in found.items("select")
        if _bare(span.of(text)).rpartition(".")[2].lower() == column.lower()
    ]
    if edits:
        yield from _made(sql.edited(text, edits), "why.figures")


def grouped_by(text: str, column: str) -> Iterator[Rewrite]:
    """Yield the statement with a column added to its GROUP BY."""
    found = sql.parsed(text)
    if found is None:
        return
    if "group by" in found.clauses:
        at = found.clauses["group by"][1].end
        made = _inserted(text, at, f", {column}")
    else:
        made = _inserted(
            text, found.before("having", "qualify", "order by", "limit", "offset"), f" GROUP BY {column}"
        )
    yield from _made(made, "why.group", column=column)


def renamed(text: str, wrong: str, right: str, where: str) -> Iterator[Rewrite]:
    """Yield the statement with a misspelt name put right; at the place that the refusal names, else everywhere."""
    if "." in wrong and "." in right:
        (schema, name), (good_schema, good_name) = wrong.split(".", 1), right.split(".", 1)
        if schema == good_schema or name == good_name:
            wrong, right = (name, good_name) if schema == good_schema else (schema, good_schema)
    found = [token for token in sql.tokens(text) if token.word == wrong.lower()]
    place = re.search(r"line (\d+), character (\d+)", where)
    if place and len(found) > 1:
        lines = text.split("\n")
        at = sum(len(line) + 1 for line in lines[: int(place[1]) - 1]) + int(place[2]) - 1
        nearest = min(found, key=lambda token: abs(token.start - at))
        if not right.replace("_", "").isalnum():
            found = [nearest]
    edits = [Edit(token.start, token.end, right) for token in found]
    if edits:
        yield from _made(sql.edited(text, edits), "why.name", wrong=wrong, right=right)


def unlimited(text: str) -> Iterator[Rewrite]:
    """Yield the statement without LIMIT and ORDER BY inside brackets, where rows would be cut."""
    found, edits = sql.tokens(text), []
    for place, token in enumerate(found[:-1]):
        if token.depth and token.word == "limit" and found[place + 1].kind == "number":
            edits.append(Edit(token.start, found[place + 1].end, ""))
        elif token.depth and token.word == "order" and found[place + 1].word == "by":
            ends = (each for each in found[place + 2 :] if each.depth < token.depth or _cuts(each, token))
            end = next(ends, None)
            if end is not None:
                edits.append(Edit(token.start, end.start, ""))
    if edits:
        yield from _made(sql.edited(text, edits), "why.limit")


def _cuts(token: sql.Token, order: sql.Token) -> bool:
    return token.word in ("limit", "offset") and token.depth == order.depth


def limited(text: str, number: int = 20) -> Iterator[Rewrite]:
    """Yield the statement with a plain number in LIMIT."""
    found = sql.parsed(text)
    if found is not None and "limit" in found.clauses:
        span = found.clauses["limit"][1]
        yield from _made(sql.edited(text, [Edit(span.start, span.end, f" {number} ")]), "why.limit-number")


def by_remedies(text: str, remedies: Sequence[Mapping[str, Any]]) -> Iterator[Rewrite]:
    """Yield the one statement in which every remedy that rewrites is done; the rest of them is for others to do."""
    made, last = text, None
    for remedy in remedies:
        step = next(_remedied(made, remedy), None)
        if step is not None:
            made, last = step.sql, step
    if last is not None:
        yield Rewrite(made, last.why, last.values)


_SHOWN = re.compile(r"[\w\s.,()*…]{1,1000}")
"""What a remedy may put into a member's statement: names, calls and `GROUP BY`, no texts and nothing that ends it."""

_READING = {"select", "from", "with", "union", "intersect", "except", "values", "table", "join"}
"""Words by which it would read something else than the member's statement does."""


def _remedied(text: str, remedy: Mapping[str, Any]) -> Iterator[Rewrite]:
    columns = [str(column) for column in remedy.get("columns") or ()]
    column, function, other = (
        columns[0] if columns else "",
        str(remedy.get("function", "")),
        str(remedy.get("instead", "")),
    )
    if not all(name.isidentifier() for name in (*columns, function or "none")):
        return
    match str(remedy.get("kind", "")):
        case "use-instead" if column and other.isidentifier():
            yield from instead(text, function, other, column)
        case "leave-out" if column:
            yield from left_out(text, column, str(remedy.get("clause", "")), function)
        case "ask-figures" if _SHOWN.fullmatch(other) and not _READING & sql.words_in(other):
            yield from figures(text, other)


# --- pieces -----------------------------------------------------


def _made(made: str | None, why: str, **values: str) -> Iterator[Rewrite]:
    if made is not None:
        yield Rewrite(made, why, tuple(values.items()))


def _inserted(text: str, at: int, piece: str) -> str:
    before = text[:at].rstrip()
    after = text[at:].strip()
    return f"{before}{piece} {after}".strip()


def _keys(found: Statement) -> list[str]:
    """Return the keys of GROUP BY as they are written; of ALL and of numbers what they stand for."""
    items = [_bare(span.of(found.text)) for span in found.items("select")]
    named = [span.of(found.text) for span in found.items("group by")]
    if [name.lower() for name in named] == ["all"]:
        return [item for item in items if "(" not in item and item != "*"]
    return [
        items[int(name) - 1] if name.isdigit() and 0 < int(name) <= len(items) else name for name in named
    ]


def keys_of(text: str) -> tuple[bool, ...] | None:
    """Return of every output of one plain SELECT whether it is a key of GROUP BY; none where that cannot be told."""
    found = sql.parsed(text)
    items = [_bare(span.of(text)) for span in found.items("select")] if found is not None else []
    if found is None or any(item.endswith("*") for item in items):
        return None
    keys = {_last(key) for key in _keys(found)}
    return tuple(_last(item) in keys for item in items)


def _last(name: str) -> str:
    return name.rpartition(".")[2].strip('"').lower()


def _bare(item: str) -> str:
    """Return an output without its name."""
    inside = [token for token in sql.tokens(item) if not token.depth]
    at = next((token.start for token in inside if token.word == "as"), None)
    return item[:at].strip() if at else item


def _name(item: str) -> str:
    inside = sql.tokens(item)
    return inside[-1].word if inside else ""


def _without_key(found: Statement, key: str) -> str | None:
    """Return the statement without a key: without its output, its place in GROUP BY, and what orders by it."""

    def is_key(piece: str) -> bool:
        return _bare(piece) == key or (_name(piece) == key.lower() and "(" not in _bare(piece))

    def orders(piece: str) -> bool:
        return key.rpartition(".")[2].lower() in sql.words_in(piece) or piece.split()[0].isdigit()

    return _without(_by_name(found), {"select": is_key, "group by": is_key, "order by": orders})


def _by_name(found: Statement) -> Statement:
    """Return the statement with the keys of GROUP BY written out where it has numbers."""
    items, edits = [_bare(span.of(found.text)) for span in found.items("select")], []
    for span in found.items("group by"):
        named = span.of(found.text)
        if named.isdigit() and 0 < int(named) <= len(items):
            edits.append(Edit(span.start, span.end, f" {items[int(named) - 1]} "))
    return (sql.parsed(sql.edited(found.text, edits)) if edits else found) or found


def _without(found: Statement, wanted: Mapping[str, Callable[[str], bool]]) -> str | None:
    """Return the statement without the pieces of clauses that are not wanted; none if nothing or no output is left."""
    edits: list[Edit] = []
    for clause, drops in wanted.items():
        between = "and" if clause == "where" else ","
        spans = sql.pieces(found.text, found.clauses[clause][1], between) if clause in found.clauses else ()
        kept = [span for span in spans if not drops(span.of(found.text))]
        if len(kept) == len(spans):
            continue
        if clause == "select" and not kept:
            return None
        edits.append(_clause_of(found, clause, [span.of(found.text) for span in kept]))
    return sql.edited(found.text, edits) if edits else None


def _clause_of(found: Statement, clause: str, kept: list[str]) -> Edit:
    start, span = found.clauses[clause]
    if not kept:
        return Edit(start, span.end, "")
    joined = (" AND " if clause == "where" else ", ").join(kept)
    return Edit(span.start, span.end, f" {joined} ")


def _key_as(found: Statement, key: str, value: str, name: str) -> str | None:
    """Return the statement with a key computed from itself, in the output and in GROUP BY."""
    written = _by_name(found)
    edits = []
    for span in written.items("select"):
        if _bare(span.of(written.text)) == key:
            edits.append(Edit(span.start, span.end, f" {value} AS {name}"))
    grouped = [span for span in written.items("group by") if span.of(written.text) == key]
    edits += [Edit(span.start, span.end, f" {value}") for span in grouped]
    if not edits:
        return None
    made = sql.parsed(_spaced(written, edits))
    column = key.rpartition(".")[2].lower()
    if made is None:
        return None
    return _without(made, {"order by": lambda piece: column in sql.words_in(piece)}) or made.text


def _spaced(found: Statement, edits: Sequence[Edit]) -> str:
    """Return an edited statement in which a replaced last item does not touch the next clause."""
    ends: set[int] = {span.end for _, span in found.clauses.values()}
    return sql.edited(
        found.text,
        [Edit(edit.start, edit.end, edit.text + " " if edit.end in ends else edit.text) for edit in edits],
    )


__all__ = [
    "INSTEAD", "MOST", "QUANTILES", "Column", "Columns", "Rewrite", "Span", "averaged", "by_remedies", "coarser",
    "figures", "grouped_by", "groups", "instead", "is_amount", "keys_of", "left_out", "limited", "renamed", "star",
    "unlimited",
]  # fmt: skip
