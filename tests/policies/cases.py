"""A case that is allowed, and ways to change one thing about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from plans.constraints import (
    ANY,
    Access,
    Action,
    Constraint,
    Effect,
    Mask,
    MaskKind,
    Reveal,
    Share,
    Tag,
    Tagged,
    Use,
)
from plans.manifest import Grade, Manifest
from plans.reading import Cells, Clause, ColumnUse, Level, Output, Reading, Role
from plans.statements import Bundle, DatasetPolicy, Grant
from policies.api import Case, Granted, short
from tests.keeper import house

PROPERTY_GRANT = replace(house.GRANT, dataset=house.PROPERTY, columns=("houses",))


def granted(body: Grant = house.GRANT, name: str = "grant", **changes: Any) -> Granted:
    """A verified grant that stands, for a month."""
    good = Granted(
        house.digest(name), body, house.NOW, house.NOW + 30 * house.DAY, revoked=False, uses_left=2
    )
    return replace(good, **changes)


def use(column: str, clause: Clause, function: str = "", relation: str = "tax.income") -> ColumnUse:
    """A use of a column."""
    return ColumnUse(relation, column, clause, function)


def reading(*uses: ColumnUse, relations: tuple[str, ...] = ("tax.income",)) -> Reading:
    """A reading of a statement with these uses."""
    return replace(house.READING, uses=uses or house.READING.uses, relations=relations)


def bundle(*policies: DatasetPolicy, number: int = 7) -> Bundle:
    """The owner's bundle."""
    return Bundle(house.DOMAIN, number, policies or (house.INCOME_POLICY, house.PROPERTY_POLICY))


MANIFESTS: tuple[Manifest, ...] = (house.manifest(), house.manifest(house.PROPERTY))

GOOD = Case(
    request=house.REQUEST,
    reading=reading(),
    bundle=bundle(),
    manifests=MANIFESTS,
    grants=(granted(), granted(PROPERTY_GRANT, "property grant")),
    approvers=(house.APPROVER, "hu@nm/tax"),
    now=house.NOW + house.DAY,
)
"""`select region, count(*), avg(income) from tax.income group by region`, with a grant on all of it."""

BOTH = replace(
    GOOD,
    reading=reading(
        *house.READING.uses,
        use("person", Clause.JOIN),
        use("person", Clause.JOIN, relation="tax.property"),
        use("houses", Clause.AGGREGATE, "sum", "tax.property"),
        relations=("tax.income", "tax.property"),
    ),
)
"""The same joined with the same owner's other dataset."""


ANYBODY: tuple[tuple[str, ...], ...] = ((ANY,), (ANY,), (ANY,))


def shown(column: str, reveal: Reveal = Reveal.PLAIN, **changes: Any) -> Constraint:
    """A rule that shows a column's values row by row to everybody."""
    plain = {"uses": (Use.SELECT,), "minimum": 0, "mask": None, **changes}
    who = (plain.pop("parties", (ANY,)), (ANY,), (ANY,))
    return Constraint(
        column, Effect.ALLOW, *who, 0, plain["uses"], (), reveal, plain["minimum"], plain["mask"]
    )


def denied(column: str, *uses: Use, functions: tuple[str, ...] = (), **changes: Any) -> Constraint:
    """A rule that forbids uses to everybody."""
    return replace(Constraint(column, Effect.DENY, *ANYBODY, 0, uses, functions, Reveal.NEVER), **changes)


def over_rows(*uses: ColumnUse, text: str = "SELECT region FROM tax.income") -> Reading:
    """A reading of a statement whose rows leave."""
    outputs = (Output("region", "VARCHAR", Role.VALUE, "", 0),)
    relations = tuple(dict.fromkeys(use.relation for use in uses)) or ("tax.income",)
    return replace(
        house.READING,
        level=Level.ROWS,
        uses=uses,
        relations=relations,
        outputs=outputs,
        tables=(Cells(text, outputs, 0),),
    )


ROWS_ACCESS = replace(house.EVERYBODY, actions=(Action.QUERY, Action.READ_ROWS))
ROWS_POLICY = replace(house.INCOME_POLICY, access=(ROWS_ACCESS,), constraints=(
    shown("region"), short("income", ("avg",)),
))  # fmt: skip
ROWS = replace(
    GOOD,
    bundle=bundle(ROWS_POLICY, house.PROPERTY_POLICY),
    reading=over_rows(
        use("region", Clause.SELECT), use("region", Clause.ORDER), use("region", Clause.FILTER)
    ),
)
"""`select region from tax.income where … order by region`, of a column whose values are shown."""


# --- any case at all -----------------------------------------------------

COLUMNS = ("region", "income", "id_number", "person", "phone")
USES = st.builds(
    use,
    st.sampled_from(COLUMNS),
    st.sampled_from(list(Clause)),
    st.sampled_from(["", "avg", "sum", "count", "stddev"]),
    st.sampled_from(["tax.income", "tax.property"]),
)
GRANTS = st.builds(
    lambda body, name, columns, changes, role: granted(
        replace(body, columns=columns, role=role), name, **changes
    ),
    st.sampled_from([house.GRANT, PROPERTY_GRANT, replace(house.GRANT, project="wealth")]),
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from([("region", "income"), ("income",), ("houses", "region")]),
    st.sampled_from([{}, {}, {"revoked": True}, {"uses_left": 0}, {"not_before": house.NOW + 5}]),
    st.sampled_from(["researcher", "researcher", "researcher", "operator", "approver"]),
)
PARTIES = st.sampled_from([(ANY,), (ANY,), ("nm",), ("nm/uni",), (house.MEMBER,), ("nm/health",), ()])
ROLES = st.sampled_from([(ANY,), (ANY,), ("researcher",), ("operator",)])
PURPOSES = st.sampled_from([(ANY,), (ANY,), (house.PURPOSE,), ("another purpose",)])
ENDS = st.sampled_from([0, 0, 0, house.NOW, house.NOW + 30 * house.DAY])
WORDS = st.lists(st.sampled_from(list(Use)), max_size=5, unique=True)
FUNCTIONS = st.lists(st.sampled_from(["avg", "sum", "count"]), max_size=2, unique=True)


@st.composite
def rules(draw: st.DrawFn, column: str = "", masks: bool = False) -> Constraint:
    """Any rule about a column; with `masks` one that may mask it."""
    uses, functions = set(draw(WORDS)), tuple(draw(FUNCTIONS))
    uses = uses | {Use.AGGREGATE} if functions else uses - {Use.AGGREGATE}
    effect = draw(st.sampled_from([Effect.ALLOW, Effect.ALLOW, Effect.ALLOW, Effect.DENY]))
    name = column or draw(st.sampled_from(["region", "income", "houses"]))
    allow = effect is Effect.ALLOW
    reveal = draw(st.sampled_from([level for level in Reveal if level is not Reveal.MASKED]))
    mask = draw(st.sampled_from([None, Mask(name, MaskKind.NULL, ""), Mask(name, MaskKind.BUCKET, "10")]))
    return Constraint(
        name, effect, draw(PARTIES), draw(ROLES), draw(PURPOSES), draw(ENDS),
        tuple(sorted(uses)), functions, reveal if allow else Reveal.NEVER,
        draw(st.sampled_from([0, 0, 1, 30])), mask if allow and masks else None,
    )  # fmt: skip


ACCESS = st.builds(
    Access,
    st.sampled_from([Effect.ALLOW, Effect.ALLOW, Effect.ALLOW, Effect.DENY]),
    PARTIES,
    ROLES,
    st.sampled_from([(Action.QUERY,), (Action.QUERY, Action.READ_ROWS), (Action.TRAIN,)]),
    PURPOSES,
    ENDS,
)
TAGS = (
    Tag("money", "", Grade.GENERAL_4, (Use.AGGREGATE, Use.FILTER), ("avg", "sum"), Reveal.AGGREGATED, 15),
    Tag("pay", "money", Grade.GENERAL_2, tuple(Use), ("avg", "sum", "count"), Reveal.PLAIN),
)
TAGGED = st.sampled_from([(), (), (), (Tagged("income", ("pay",)),), (Tagged("income", ("unknown",)),)])


RICH_POLICY = replace(
    ROWS_POLICY,
    constraints=(
        shown("region", uses=(Use.SELECT, Use.FILTER, Use.COMPARE, Use.JOIN, Use.GROUP)),
        replace(shown("income", uses=(Use.SELECT, Use.FILTER, Use.GROUP)), purposes=(house.PURPOSE,)),
        short("income", ("avg", "sum", "count", "filter")),
        short("region", ("count",)),
    ),
)
ROOMY = replace(
    BOTH,
    bundle=bundle(
        RICH_POLICY,
        replace(
            RICH_POLICY, dataset=house.PROPERTY, constraints=(shown("region"), short("houses", ("sum",)))
        ),
    ),
    grants=(granted(), granted(replace(PROPERTY_GRANT, columns=("houses", "region")), "property grant")),
)
"""Two datasets of which most uses are allowed, so that one change more or less decides."""


def _policies(case: Case, **changes: Any) -> Case:
    policies = tuple(
        replace(policy, **{name: change(getattr(policy, name)) for name, change in changes.items()})
        for policy in case.bundle.policies
    )
    return replace(case, bundle=replace(case.bundle, policies=policies))


@st.composite
def _changed(draw: st.DrawFn, case: Case, masks: bool) -> Case:
    """The case with one thing changed, for better or worse."""
    what = draw(
        st.sampled_from(["rule", "rule", "rules", "access", "tag", "share", "each", "grants", "lost", "uses"])
    )
    if what == "rule":
        added = draw(rules(masks=masks))
        return _policies(case, constraints=lambda old: (*old, added))
    if what == "rules":
        found = tuple(draw(st.lists(rules(masks=masks), max_size=4)))
        return _policies(case, constraints=lambda _: found)
    if what == "access":
        rule = draw(ACCESS)
        return _policies(case, access=lambda old: (*old, rule))
    if what == "tag":
        tagged = draw(TAGGED)
        return _policies(case, tagged=lambda _: tagged)
    if what == "share":
        return _policies(case, share=lambda _: Share.NONE)
    if what == "each":
        return _policies(case, each_plan=lambda _: True)
    if what == "grants":
        more = draw(st.lists(GRANTS, max_size=3, unique_by=lambda one: one.digest))
        kept = draw(st.sampled_from([tuple(case.grants), tuple(case.grants)[:1], ()]))
        return replace(
            case, grants=(*kept, *(one for one in more if one.digest not in {g.digest for g in kept}))
        )
    if what == "lost":
        manifests = draw(st.sampled_from([(), MANIFESTS[:1], MANIFESTS[1:]]))
        policies = draw(st.sampled_from([case.bundle.policies, case.bundle.policies[:1], ()]))
        return replace(case, manifests=manifests, bundle=replace(case.bundle, policies=policies))
    found = (*case.reading.uses, *draw(st.lists(USES, max_size=2)))
    return replace(case, reading=replace(case.reading, uses=found))


@st.composite
def cases(draw: st.DrawFn, masks: bool = False) -> Case:
    """Any case of one owner: one that is allowed at either level, some of its uses, and some things changed."""
    case = draw(st.sampled_from([GOOD, BOTH, ROWS, ROOMY, ROOMY, ROOMY]))
    case = replace(case, bundle=replace(case.bundle, tags=TAGS))
    if case.bundle.policies == ROOMY.bundle.policies:
        likely = draw(st.lists(LIKELY, max_size=4))
        relations = draw(st.sampled_from([("tax.income",), ("tax.income", "tax.property")]))
        level = draw(st.sampled_from([house.READING, over_rows()]))
        case = replace(case, reading=replace(level, uses=tuple(likely), relations=relations))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 2, 3]))):
        case = draw(_changed(case, masks))
    return case


LIKELY = st.sampled_from(
    [
        use("region", Clause.GROUP), use("region", Clause.FILTER), use("region", Clause.COMPARE),
        use("region", Clause.JOIN), use("region", Clause.SELECT), use("region", Clause.AGGREGATE, "count"),
        use("income", Clause.AGGREGATE, "avg"), use("income", Clause.AGGREGATE, "sum"), use("income", Clause.FILTER),
        use("income", Clause.GROUP), use("income", Clause.SELECT), use("person", Clause.JOIN),
        use("person", Clause.AGGREGATE, "count_distinct"), use("houses", Clause.AGGREGATE, "sum", "tax.property"),
        use("person", Clause.JOIN, relation="tax.property"), use("region", Clause.SELECT, "", "tax.property"),
    ]
)  # fmt: skip
