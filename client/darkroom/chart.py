"""A chart of a result: a Vega-Lite specification, which JupyterLab draws by itself, and a text where nothing does.

Nothing is fetched to draw it: the data are in the specification, as they were released. Cells that were suppressed are
drawn as a mark on the axis, so that nobody reads a gap as a zero. Charts of look-alike data say so in their title.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from darkroom.display_text import width
from darkroom.tabular import WHOLE, Tabular, is_real
from plans.errors import Malformed, StateConflict

MIME = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
"""The name of the specification's version; nothing fetches it."""

KINDS = ("bar", "line", "point", "histogram")
MOST_POINTS = 5_000
MOST_BARS = 40
"""Rows that a chart draws; and categories beyond which text is drawn sideways."""

TEXT_BARS, TEXT_WIDTH = 20, 40
SUPPRESSED_COLOUR = "#b3261e"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. Displaying it draws what it holds; `save` writes it."""

    spec: dict[str, Any] = field(repr=False)
    title: str
    text: str = field(repr=False)
    look_alike: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the specification, for other tools that draw Vega-Lite."""
        return json.loads(json.dumps(self.spec))  # type: ignore[no-any-return]

    def save(self, path: Path | str) -> Path:
        """Write the chart: its specification as `.json` (or `.vl.json`), or its text as `.txt`.

        Raises:
            Malformed: the path ends otherwise.
            StateConflict: there is such a file already.
        """
        place = Path(path)
        contents = {".json": json.dumps(self.spec, ensure_ascii=False, indent=1), ".txt": self.text}
        if place.suffix not in contents:
            raise Malformed("a chart is written as .json (Vega-Lite) or .txt", str(place), "Name it so.")
        try:
            with place.open("x", encoding="utf-8") as file:
                file.write(contents[place.suffix] + "\n")
        except FileExistsError:
            raise StateConflict("there is such a file already", str(place), "Name another one.") from None
        return place

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {MIME: self.to_dict(), "text/plain": self.text}


@dataclass(frozen=True, slots=True)
class Axes:
    """What is drawn: which columns, in which way; `y` is empty where rows are counted."""

    kind: str
    x: str
    y: str = ""
    by: str = ""


def chart(table: Tabular, kind: str = "", *, x: str = "", y: str = "", by: str = "") -> Chart:
    """Return a chart of a table (`Tabular.plot`).

    Raises:
        Malformed: there is no such kind or column, or nothing to draw.
    """
    if kind and kind not in KINDS:
        raise Malformed(f"there is no chart {kind!r}", "kind", f"One of {', '.join(KINDS)}.")
    for name in filter(None, (x, y, by)):
        if name not in table.columns:
            raise Malformed(
                f"there is no column {name}", "plot", f"There are: {', '.join(table.columns) or 'none'}."
            )
    if not len(table):
        raise Malformed("there are no rows to draw", "plot", "Look at the result itself: its notes say why.")
    axes = chosen(table, Axes(kind, x, y, by))
    title = _title(axes) + (" (LOOK-ALIKE DATA)" if table.look_alike else "")
    return Chart(_spec(table, axes, title), title, _text(table, axes, title), table.look_alike)


def chosen(table: Tabular, wanted: Axes) -> Axes:
    """Return what is drawn: as wanted, and what the columns' types suggest for the rest."""
    forms = {name: form_of(kind) for name, kind in zip(table.columns, table.types, strict=True)}
    free = [name for name in table.columns if name not in (wanted.x, wanted.y, wanted.by)]
    figures = [name for name in free if forms[name] == "quantitative" and not _is_error(name, table.columns)]
    keys = [name for name in free if forms[name] != "quantitative"]
    if wanted.kind == "histogram" or (not wanted.y and not figures):
        return Axes(
            wanted.kind or "bar", wanted.x or (figures or keys or list(table.columns))[0], "", wanted.by
        )
    y = wanted.y or figures[-1]
    rest = [name for name in figures if name != y]
    x = wanted.x or next((name for name in keys if forms[name] == "temporal"), (keys or rest or [y])[0])
    others = [name for name in keys if name != x]
    by = wanted.by or (others[0] if others and not wanted.x else "")
    return Axes(wanted.kind or _kind(forms[x], x), x, y, by)


def _is_error(name: str, columns: tuple[str, ...]) -> bool:
    """Whether a column says how far noise moves another one (docs/private.md): nobody means to draw it by itself."""
    return name.endswith("_error") and name.removesuffix("_error") in columns


def form_of(kind: str) -> str:
    """Return how Vega-Lite measures a column of a DuckDB type."""
    if kind in WHOLE or is_real(kind):
        return "quantitative"
    return "temporal" if kind in ("DATE", "TIMESTAMP") else "nominal"


def _kind(form: str, name: str) -> str:
    if form == "temporal" or "year" in name.lower():
        return "line"
    return "point" if form == "quantitative" else "bar"


def _title(axes: Axes) -> str:
    drawn = f"{axes.y or 'rows'} by {axes.x}"
    return f"{drawn} and {axes.by}" if axes.by else drawn


def _spec(table: Tabular, axes: Axes, title: str) -> dict[str, Any]:
    """Return the specification; suppressed figures are a layer of their own, at zero."""
    values = _values(table, axes)
    forms = {name: form_of(kind) for name, kind in zip(table.columns, table.types, strict=True)}
    drawn = {"bar": "bar", "line": "line", "point": "point", "histogram": "bar"}[axes.kind]
    encoding = _encoding(axes, forms)
    main: dict[str, Any] = {"mark": {"type": drawn, "tooltip": True}, "encoding": encoding}
    if drawn == "line":
        main["mark"]["point"] = True
    layers = [main]
    if axes.y and any(row["_suppressed"] for row in values):
        layers = [main | {"transform": [{"filter": "!datum._suppressed"}]}, _suppressed(axes, encoding)]
    spec: dict[str, Any] = {
        "$schema": SCHEMA,
        "title": title,
        "width": 480,
        "height": 280,
        "data": {"values": values},
        "layer": layers,
    }
    if table.look_alike:
        spec["background"] = "#fff8e1"
    return spec


def _encoding(axes: Axes, forms: dict[str, str]) -> dict[str, Any]:
    x: dict[str, Any] = {"field": _escaped(axes.x), "type": forms[axes.x], "title": _titled(axes.x)}
    if axes.kind == "histogram":
        x["bin"] = forms[axes.x] == "quantitative"
    elif axes.kind == "bar" and forms[axes.x] == "quantitative":
        x["type"] = "ordinal"
    elif axes.kind == "line" and forms[axes.x] == "quantitative":
        x |= {"scale": {"zero": False}, "axis": {"format": "d"}}
    if x["type"] == "nominal":
        x["sort"] = None  # the order of the rows, which the statement settled
    y: dict[str, Any] = {"aggregate": "count", "type": "quantitative", "title": "rows"}
    if axes.y:
        y = {"field": _escaped(axes.y), "type": forms[axes.y], "title": _titled(axes.y)}
    encoding = {"x": x, "y": y}
    if axes.by:
        encoding["color"] = {"field": _escaped(axes.by), "type": "nominal", "title": _titled(axes.by)}
        if axes.kind == "bar":
            encoding["xOffset"] = {"field": _escaped(axes.by)}
    return encoding


def _suppressed(axes: Axes, encoding: dict[str, Any]) -> dict[str, Any]:
    """Return the layer of figures that were withheld: a cross at the bottom, which says so."""
    told = {"datum": f"{axes.y}: withheld by a rule"}
    return {
        "transform": [{"filter": "datum._suppressed"}],
        "mark": {"type": "point", "shape": "cross", "color": SUPPRESSED_COLOUR, "filled": True, "size": 80},
        "encoding": {"x": encoding["x"], "y": {"datum": 0, "type": "quantitative"}, "tooltip": told}
        | ({"xOffset": encoding["xOffset"]} if "xOffset" in encoding else {}),
    }


def _values(table: Tabular, axes: Axes) -> list[dict[str, Any]]:
    """Return the rows that are drawn, as JSON values."""
    columns, types = table.columns, table.types
    places = {name: columns.index(name) for name in filter(None, (axes.x, axes.y, axes.by))}
    found = []
    for row, hidden in list(zip(table.rows, table.suppressed, strict=True))[:MOST_POINTS]:
        values = {name: _number(row[place], types[place]) for name, place in places.items()}
        found.append(values | {"_suppressed": bool(axes.y and hidden[places[axes.y]])})
    return found


def _number(value: Any, kind: str) -> Any:
    """Return a cell as it is drawn, as a value of JSON: days and moments are texts, exact decimals plain numbers."""
    if isinstance(value, date):
        return str(value)
    if value is None or form_of(kind) != "quantitative":
        return value
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    if found != found or found in (float("inf"), float("-inf")):
        return None
    return value if isinstance(value, int) and abs(value) < 2**53 else found


def _titled(name: str) -> str:
    """Return a column's name as a title. Titles are the names in a tooltip, whose drawing (vega-tooltip) takes what is
    called `image` for the address of a picture, and would fetch it.
    """
    return f"{name} (column)" if name == "image" else name


def _escaped(name: str) -> str:
    """Return a column's name as a field: a point or bracket in it is no path."""
    return "".join(f"\\{sign}" if sign in ".[]\\'\"" else sign for sign in name)


def _text(table: Tabular, axes: Axes, title: str) -> str:
    """Return the chart as bars of characters."""
    rows = _values(table, axes)
    if not axes.y:
        counted: dict[str, int] = {}
        for row in rows:
            counted[str(row[axes.x])] = counted.get(str(row[axes.x]), 0) + 1
        bars: list[tuple[str, Any, bool]] = [(name, count, False) for name, count in counted.items()]
    else:
        bars = [(_label(row, axes), row[axes.y], row["_suppressed"]) for row in rows]
    shown = bars[:TEXT_BARS]
    most = max((abs(value) for _, value, _ in shown if value is not None), default=0) or 1
    wide = max(width(label) for label, _, _ in shown)
    lines = [title]
    for label, value, hidden in shown:
        lines.append(f"{label}{' ' * (wide - width(label))}  {_bar(value, hidden, most)}")
    rest = len(table) - len(rows) + len(bars) - len(shown)
    return "\n".join(lines + ([f"… {rest} more"] if rest > 0 else []))


def _label(row: dict[str, Any], axes: Axes) -> str:
    parts = [row[name] for name in filter(None, (axes.x, axes.by))]
    label = ", ".join("" if part is None else str(part) for part in parts)
    return "".join(sign if sign.isprintable() else "�" for sign in label)[:60]


def _bar(value: Any, hidden: bool, most: float) -> str:
    if hidden:
        return "× withheld"
    if value is None:
        return ""
    return "█" * max(1, round(abs(value) / most * TEXT_WIDTH)) + f" {value:,}" if value else "0"
