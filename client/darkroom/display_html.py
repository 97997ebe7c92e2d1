"""A sheet as HTML that is safe whatever the values are: every text is escaped, and every name of a tag is ours.

There is no script, no form, no event handler and nothing that a browser would load from elsewhere: the style is
inline and names no address. Links go to http and https only, and are followed by a click alone. Control and direction
characters are shown as escapes, so that a value cannot reverse the order of what is read, and text between dollar
signs is no formula. Colours come from
JupyterLab's own variables, so they follow light and dark themes.
"""

from __future__ import annotations

import html as escaping
from urllib.parse import urlsplit

from darkroom.display import MARK, TONES, Banner, Block, Code, Facts, Grid, Lines, Link, Mark, Sheet, Title
from darkroom.display_text import plain

# JupyterLab's own rules for tables and code in an output have the weight of two classes and a tag, and would align
# every text to the right. Where ours say it otherwise they name their class twice, and come later.
_STYLE = """
.darkroom{font-family:var(--jp-ui-font-family,sans-serif);font-size:13px;line-height:1.5;color:inherit;max-width:72em}
.darkroom h4{margin:.3em 0;font-size:1.05em;color:inherit}
.darkroom table{border-collapse:collapse;margin:.3em 0;display:block;overflow-x:auto;color:inherit}
.darkroom.darkroom th,.darkroom.darkroom td{padding:.15em .7em;text-align:left;vertical-align:top;border:0;
border-bottom:1px solid var(--jp-border-color2,#8884);background:transparent;color:inherit}
.darkroom th{font-weight:600}.darkroom.darkroom .n{text-align:right;font-variant-numeric:tabular-nums}
.darkroom .m{color:var(--jp-warn-color1,#b26a00);cursor:help}
.darkroom .l{opacity:.75;white-space:nowrap}.darkroom .c{opacity:.8;margin:.2em 0}
.darkroom.darkroom pre{margin:.3em 0;padding:.5em .7em;border:1px solid var(--jp-border-color2,#8886);border-radius:3px;
background:var(--jp-layout-color2,#8881);color:inherit;white-space:pre-wrap;user-select:all}
.darkroom .b{display:inline-block;padding:0 .5em;margin-left:.5em;border:1px solid currentColor;border-radius:3px;
font-size:.85em}
.darkroom .w{border-left:4px solid currentColor;padding:.2em .7em;margin:.3em 0}
.darkroom .good{color:var(--jp-success-color1,#2e7d32)}.darkroom .bad{color:var(--jp-error-color1,#c62828)}
.darkroom .waits{color:var(--jp-info-color1,#0277bd)}.darkroom .twin{color:var(--jp-warn-color1,#b26a00)}
.darkroom ul{margin:.2em 0;padding-left:1.4em}
""".replace("\n", "")


def html(drawn: Sheet) -> str:
    """Return a sheet as one element with its own style."""
    inside = "".join(map(_block, drawn.blocks))
    return f'<div class="darkroom mathjax_ignore tex2jax_ignore"><style>{_STYLE}</style>{inside}</div>'


def _block(block: Block) -> str:
    match block:
        case Title(text, badge, tone):
            worn = f'<span class="b {_tone(tone)}">{_text(badge)}</span>' if badge else ""
            return f"<h4>{_text(text)}{worn}</h4>"
        case Facts(pairs):
            rows = (
                f'<tr><td class="l">{_text(label)}</td><td>{_text(value)}</td></tr>' for label, value in pairs
            )
            return f"<table><tbody>{''.join(rows)}</tbody></table>"
        case Grid():
            return _grid(block)
        case Lines(sentences, head):
            items = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
            return f"{_head(head)}<ul>{items}</ul>"
        case Code(text, head):
            return f"{_head(head)}<pre>{_text(text)}</pre>"
        case Banner(text, tone):
            return f'<div class="w {_tone(tone)}">{_text(text)}</div>'
        case Link(url, text):
            return f'<p class="c">{_link(url, text)}</p>'


def _grid(grid: Grid) -> str:
    side = ['class="n"' if place in grid.numbers else "" for place in range(len(grid.heads))]
    head = "".join(f"<th {kind}>{_text(name)}</th>" for name, kind in zip(grid.heads, side, strict=True))
    rows = (
        f"<tr>{''.join(_cell(cell, kind) for cell, kind in zip(row, side, strict=True))}</tr>"
        for row in grid.rows
    )
    notes = "".join(f'<p class="c">{_text(note)}</p>' for note in grid.notes)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{notes}"


def _cell(cell: str | Mark, kind: str) -> str:
    if isinstance(cell, Mark):
        return f'<td {kind}><span class="m" title="{_text(cell.why)}">{MARK}</span></td>'
    return f"<td {kind}>{_text(cell)}</td>"


def _head(text: str) -> str:
    return f'<p class="c">{_text(text)}</p>' if text else ""


def _link(url: str, text: str) -> str:
    """Return a link, or its words alone where the address is no web page."""
    if urlsplit(url).scheme not in ("http", "https"):
        return _text(f"{text}: {url}")
    return f'<a href="{_text(url)}" target="_blank" rel="noopener noreferrer">{_text(text)}</a>'


def _tone(tone: str) -> str:
    return tone if tone in TONES else "plain"


def _text(value: object) -> str:
    return escaping.escape(plain(value), quote=True)
