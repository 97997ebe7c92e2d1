"""Write `docs/components.md` from the descriptions of components: `python tools/components_reference.py`.

A test compares the page with the library, so that no component is there without being documented.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from components import api as components
from components.api import Component, Offer, Parameter, Part
from plans.asking import statement

PAGE = Path(__file__).resolve().parent.parent / "docs" / "components.md"

HEAD = """\
# The algorithm library 通用算法模型和控件库

Generated from `components/library/` by `python tools/components_reference.py`; do not edit.

A component runs on real data, in a box without network, on tables that the owner's loader streams to it. Its code is
the platform's, not yours, so that what it leaves can say on how many persons each row rests, who contributes most to
each figure, and which sets of persons are behind it (for the owner's disclosure ledger). Persons are counted, not rows.

    darkroom.component("describe", {"columns": ["income"], "by": "banner"}, ["tax.income"], project=…, purpose=…)

Numbers with a point are written as text (`"0.05"`). A column marked *key* shows its values as names of rows or terms,
so the owner must let you group by it; *feature* and *figure* columns must be allowed to feed a model. Rows without a
value in a column that is used are left out. What leaves is judged like every typed output ([outputs.md](outputs.md)):
small groups do not appear, dominated figures are withheld, figures are rounded, models are held for reviewers.

A component that cannot do what was asked on these data ends with `component.failed`: too few persons, too few degrees
of freedom, a fit that does not exist. Which of them it was is not told, since it would be an answer about the data.

Of a dataset in the mode `private` ([private.md](private.md)) nothing leaves but noised figures, and nobody noises what
code leaves. A component whose question is one statement of keys, counts, totals and means says so below: then the
client asks that statement in its place. It shows it, and signs it only once you have said that it is what you ask: by a
yes at the terminal, or by giving it (`--statement FILE`; in Python `statement=…`). Price, budget and error bars are
those of any statement (`darkroom component … --dry-run`). All other components are refused there (`private-code`).

A component reads tables of one owner. Questions over several owners (persons in common, cross tables, correlations,
sums over holders of one table, also encrypted; scores by another's model, hidden lookups) are asked by a form:
[joint-forms.md](joint-forms.md).

`python -m examples.components` shows what each leaves of made-up tables. How one is added stands in
`components/description.py`: it is one file, and this page, lists and tests find it by themselves.

| component | 名称 | tables | what leaves |
|---|---|---|---|
"""

PARTS = {Part.FEATURE: "feature 特征", Part.KEY: "key 分组键", Part.FIGURE: "figure 指标"}


def page() -> str:
    """Return the whole page."""
    listed = components.describe_all()
    return HEAD + "".join(map(_line, listed)) + "".join(map(_section, listed))


def _line(component: Component) -> str:
    left = ", ".join(f"`{offer.artifact.name}`" for offer in component.outputs)
    linked, read = f"[{component.name}](#{component.name})", ", ".join(component.tables)
    return f"| {linked} | {component.title_zh} | {read} | {left} |\n"


def _section(component: Component) -> str:
    rules = ", ".join(f"`{rule}`" for rule in component.rules)
    return "".join(
        (
            f"\n## {component.name}\n\n{component.purpose}\n\n{component.purpose_zh}\n",
            "\n| parameter | what it may be | default | meaning | 含义 |\n|---|---|---|---|---|\n",
            *map(_parameter, component.parameters),
            "\n| output | form | what it is | 内容 |\n|---|---|---|---|\n",
            *map(_output, component.outputs),
            f"\n**What may leave.** {component.disclosure} Rules: {rules}.\n",
            f"\n{component.disclosure_zh}\n",
            _asked(component),
            f"\n    {component.name} {json.dumps(dict(component.example), ensure_ascii=False)}\n",
        )
    )


def _asked(component: Component) -> str:
    asking = component.asking
    if asking is None:
        return ""
    values = components.checked(component, component.example)
    text = "\n**Where figures leave with noise** (差分隐私模式) it is asked as a statement"
    text += f"{_without(asking.left_out)}:\n"
    zh = f"在差分隐私模式下改以 SQL 语句提出{_without_zh(asking.left_out_zh)}。"
    return f"{text}\n    {statement(asking, values, ['tax.income'])}\n\n{zh}\n"


def _without(left_out: str) -> str:
    return f", without {left_out}" if left_out else ""


def _without_zh(left_out: str) -> str:
    return f"，不含{left_out}" if left_out else ""


def _parameter(parameter: Parameter) -> str:
    words = components.allowed(parameter) + (f"; {PARTS[parameter.part]}" if parameter.part else "")
    default = "must be given" if parameter.default is None else _default(parameter.default)
    return f"| `{parameter.name}` | {words} | {default} | {parameter.meaning} | {parameter.meaning_zh} |\n".replace(
        "name=word|word", "name=word\\|word"
    ).replace("名称=词|词", "名称=词\\|词")


def _default(value: object) -> str:
    return "none" if value in ("", ()) else f"`{json.dumps(value)}`"


def _output(offer: Offer) -> str:
    when = f", with `{offer.when}`" if offer.when else ""
    return (
        f"| `{offer.artifact.name}` | {offer.artifact.form}{when} | {offer.meaning} | {offer.meaning_zh} |\n"
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE.parent
    (folder / PAGE.name).write_text(page(), encoding="utf-8")
