"""`docs/constraints.md`: what constraints mean together, with truth tables that the rules themselves fill in.

`tools/policies_reference.py` writes it, and a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from plans.constraints import ANY, Constraint, Effect, Mask, MaskKind, Reveal, Tag, Tagged, Use
from plans.decision import Tier
from plans.manifest import Column, DataFile, FileRole, Grade, Kind, Manifest
from plans.reading import Clause, Output, Role
from plans.statements import Bundle, DatasetPolicy
from policies.columns import grade_of_output
from policies.constraints import Asker, Effective, effective

ASKER = Asker("lin@nm/uni", "researcher", "research on poverty", 1_000)
"""For whom the tables are made: a researcher of `nm/uni`."""

_COLUMN = Column("income", "BIGINT", "", Kind.SENSITIVE, 0)
_CLAUSES = (Clause.GROUP, Clause.AGGREGATE, Clause.FILTER, Clause.COMPARE, Clause.JOIN)
_HEAD = tuple("avg()" if clause is Clause.AGGREGATE else clause.value for clause in _CLAUSES)


def rule(uses: Iterable[Use], reveal: Reveal = Reveal.PLAIN, **changes: object) -> Constraint:
    """Return a rule about `income` for everybody; with the use aggregate it names avg and sum."""
    uses = tuple(uses)
    functions = ("avg", "sum") if Use.AGGREGATE in uses else ()
    mask = Mask("income", MaskKind.BUCKET, "1000") if reveal is Reveal.MASKED else None
    made = Constraint("income", Effect.ALLOW, (ANY,), (ANY,), (ANY,), 0, uses, functions, reveal, mask=mask)
    return replace(made, **changes)  # type: ignore[arg-type]


def forbid(*uses: Use, functions: tuple[str, ...] = (), parties: tuple[str, ...] = (ANY,)) -> Constraint:
    """Return a prohibition about `income`."""
    return Constraint("income", Effect.DENY, parties, (ANY,), (ANY,), 0, uses, functions, Reveal.NEVER)


def together(rules: Iterable[Constraint], tags: tuple[Tag, ...] = (), asker: Asker = ASKER) -> Effective:
    """Return what rules and classes about `income` mean together; every tag that is given is one of its classes."""
    bundle = _bundle(rules, tags)
    return effective(bundle.policies[0], bundle, _COLUMN, asker)


def _bundle(rules: Iterable[Constraint], tags: tuple[Tag, ...]) -> Bundle:
    tagged = (Tagged("income", tuple(tag.name for tag in tags)),) if tags else ()
    policy = DatasetPolicy("nm/tax/income", (), tuple(rules), tagged, "", 10, 5, 5_000, Tier.T1, False)
    return Bundle("nm/tax", 1, (policy,), tags)


_ALL = tuple(Use)
_GROUP, _SHOW = rule([Use.GROUP], Reveal.GROUPED), rule([Use.SELECT])
_MEAN = rule([Use.AGGREGATE], Reveal.AGGREGATED)
_CAP = Tag("money", "", Grade.GENERAL_4, (Use.AGGREGATE,), ("avg",), Reveal.AGGREGATED, 20)
_PAY = Tag("pay", "money", Grade.GENERAL_2, _ALL, ("avg", "sum"), Reveal.PLAIN)

TOGETHER: tuple[tuple[str, Effective], ...] = (
    ("no rule", together([])),
    ("group, as-group-key", together([_GROUP])),
    ("aggregate avg and sum, after-aggregation", together([_MEAN])),
    ("both of them", together([_GROUP, _MEAN])),
    ("group, after-aggregation: a key would show more", together([rule([Use.GROUP], Reveal.AGGREGATED)])),
    (
        "group, never; and select, plain: a use never borrows another rule's reveal",
        together([rule([Use.GROUP], Reveal.NEVER), _SHOW]),
    ),
    ("filter, never: conditions, and comparisons with constants", together([rule([Use.FILTER], Reveal.NEVER)])),
    ("compare, never: comparisons with constants only", together([rule([Use.COMPARE], Reveal.NEVER)])),
    ("every use, plain", together([rule(_ALL)])),
    ("every use, noised: for the mode private only", together([rule(_ALL, Reveal.NOISED)])),
    ("shared and encrypted, plain: not for SQL", together([rule([Use.SHARED, Use.ENCRYPTED, Use.MODEL])])),
    ("every use; filter forbidden", together([rule(_ALL), forbid(Use.FILTER)])),
    ("every use; compare forbidden", together([rule(_ALL), forbid(Use.COMPARE)])),
    ("every use; avg forbidden", together([rule(_ALL), forbid(Use.AGGREGATE, functions=("avg",))])),
    ("every use; aggregate forbidden", together([rule(_ALL), forbid(Use.AGGREGATE)])),
    ("every use; group forbidden to `nm`, where the asker's domain lies",
     together([rule(_ALL), forbid(Use.GROUP, parties=("nm",))])),
    ("every use; group forbidden to `nm/uni/physics`, below it",
     together([rule(_ALL), forbid(Use.GROUP, parties=("nm/uni/physics",))])),
    ("every use, for operators", together([rule(_ALL, roles=("operator",))])),
    ("every use, for another purpose", together([rule(_ALL, purposes=("audit",))])),
    ("every use, for nobody", together([rule(_ALL, parties=())])),
    ("every use, ended", together([rule(_ALL, until=1_000)])),
    ("every use; class money (avg only)", together([rule(_ALL)], (_CAP,))),
    ("every use; class pay, which lies below money", together([rule(_ALL)], (_PAY, _CAP))),
    ("every use; a class that nobody described", together([rule(_ALL)], (replace(_PAY, parent="other"),))),
    ("every use, masked", together([rule(_ALL, Reveal.MASKED)])),
    ("filter and compare, masked by a pseudonym", together([
        rule([Use.FILTER, Use.COMPARE], mask=Mask("income", MaskKind.PSEUDONYM, ""))])),
    ("filter, masked by a pseudonym", together([rule([Use.FILTER], mask=Mask("income", MaskKind.PSEUDONYM, ""))])),
    ("every use, masked in two ways", together([
        rule(_ALL, Reveal.MASKED), rule(_ALL, mask=Mask("income", MaskKind.NULL, ""))])),
    ("select, after-join", together([rule([Use.SELECT], Reveal.JOINED)])),
    ("select, plain, over 10 persons: no single value is ten persons", together([rule([Use.SELECT], minimum=10)])),
)  # fmt: skip
"""Rules about one column, and what they mean together."""


def page() -> str:
    """Return `docs/constraints.md`."""
    return _PROSE.format(clauses=_clauses(), reveals=_reveals(), together=_together(), grades=_grades())


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    return (_row(head) + "|" + "---|" * len(head) + "\n" + "".join(_row(row) for row in rows)).rstrip()


def _tick(allowed: bool) -> str:
    return "✓" if allowed else "–"


def _uses(found: Effective) -> tuple[str, ...]:
    functions = {Clause.AGGREGATE: "avg"}
    return tuple(_tick(bool(found.covering(clause, functions.get(clause, "")))) for clause in _CLAUSES)


def _rows(found: Effective) -> str:
    return "after a join" if found.joined_only else _tick(found.shown)


def _clauses() -> str:
    every = (use for use in Use)
    rows = (
        (f"`{use.value}`", *_uses(together([rule([use])])), _rows(together([rule([use])]))) for use in every
    )
    return _table(("use", *_HEAD, "rows"), rows)


def _reveals() -> str:
    found = {reveal: together([rule(_ALL, reveal)]) for reveal in Reveal}
    return _table(
        ("reveal", *_HEAD, "rows"), ((f"`{r.value}`", *_uses(e), _rows(e)) for r, e in found.items())
    )


def _together() -> str:
    rows = (
        (name, *_uses(found), _rows(found), str(found.minimum(Clause.AGGREGATE, "avg")), found.trouble)
        for name, found in TOGETHER
    )
    return _table(("rules", *_HEAD, "rows", "persons behind avg", "why nothing"), rows)


def _grades() -> str:
    """Return the grade of an output by the grades of a dataset (down) and of a class of its column (across)."""
    rows = []
    for dataset in Grade:
        found = [_grade(dataset, of_class) for of_class in Grade]
        rows.append((f"`{dataset.value}`", *(grade.value for grade in found)))
    return _table(("dataset ↓ class →", *(f"`{grade.value}`" for grade in Grade)), rows)


def _grade(dataset: Grade, of_class: Grade) -> Grade:
    """Return the grade of a mean of `income` in a dataset of one grade, the column in a class of another."""
    bundle = _bundle([], (replace(_CAP, grade=of_class),))
    files = (DataFile(FileRole.ATTRIBUTES, "income-v1-attributes.parquet", "sha256:" + "0" * 64, 1),)
    manifest = Manifest(
        "nm/tax/income", 1, dataset, "", "id", (_COLUMN,), files, 1, 1, "sha256:" + "0" * 64, 0
    )
    mean = Output("mean", "DOUBLE", Role.FIGURE, "avg", 0, (f"{manifest.relation}.income",))
    return grade_of_output(mean, (manifest.relation,), bundle, (manifest,))


_PROSE = """# Column constraints 字段约束

Generated from `policies/constraints_page.py`; its tables are filled in by the rules themselves, and a test compares.
How a steward writes constraints: docs/policies.md. The words: docs/vocabulary.md.

A constraint is one rule about one column, on two axes: *use* says where in a statement the column may stand,
*reveal* what of its values may leave. A column may have several. What they mean together for an asker is decided
in `policies/constraints.py`, and here is all of it:

1. A rule counts for an asker whose party, role and purpose it names, until its end. A party is `any`, a member, or a
   domain with all below it. The role is the one of the newest grant that fits the request. Names are compared whole.
2. A use is allowed if *one* allowing rule covers the use and what the use reveals. Rules do not lend each other their
   reveal.
3. A prohibition takes its uses away from every rule; with functions, these functions only. A forbidden `filter` is
   every condition, comparisons with constants included. It holds for rows as well.
4. A column's classes, and all classes above them, are ceilings: a use or function that one of them lacks is gone,
   the reveal is lowered to theirs, and their minimum holds.
5. A mask that any counting rule lays on a column *is* the column for that asker, in every clause: filters, joins and
   keys see masked values. Two different masks for the same asker allow nothing, and a bundle with two that could
   meet is not put in force. So a mask restricts, like a prohibition: taking its rule away can show more.
6. A rule's minimum is the number of persons behind whatever is revealed under it. Of several rules that allow a use
   the mildest counts; of all uses in a statement, the dataset's own minimum and the grant's, the strictest.
7. Nothing means nothing.

Direct identifiers are outside of all this: no rule makes them usable. `person` joins, and is counted, and no more.

## Figures and rows 统计与逐行

A statement is read at one of two levels. If the asker may see the values of *every* column that it uses, and may read
rows of every dataset (`read-rows` in the access rules), it is read over *rows*: who may see values may compute with
them, whatever the clause, unless a prohibition takes the clause away. Else it asks for *figures*, and each clause needs
its own use:

{clauses}

(Each row: one allowing rule with this use, revealed plainly; `aggregate` names avg and sum.)

A condition is `filter` where bare columns (or casts of them) are compared with each other, where a bare column is
tested for null, and where a truth column stands by itself. Every other condition is `compare` for all columns in it:
with a constant, and with anything computed, which may be one in disguise (`x = 5 + 0 * y`). This holds in WHERE, in
CASE and FILTER, and in what rows are grouped by: `GROUP BY x = 5` needs `group` and `compare`.

`compare` is covered by `filter` too, but not on a pseudonym: whoever may compare a pseudonym with a constant follows
one person through every answer.

## What a reveal is enough for 披露程度

{reveals}

(Each row: one rule with every use and this reveal; `masked` has a mask.) `after-join` shows values of rows that met a
row of another relation about persons: the statement then is one SELECT over two relations, `FROM … JOIN … USING
(columns)`. `noised` is enough in the mode `private` (docs/private.md), and releases nothing in any other.

## Several rules together 多条规则

{together}

## Up to outputs 结果的等级

What is derived is as sensitive as what it is derived from. The grade of a column is the highest of its dataset's and
all its classes', and the grade of an output the highest of the columns that it is computed from (就高从严); of an
output that no column is behind, such as a count of rows, the highest of the datasets read.

{grades}
"""
