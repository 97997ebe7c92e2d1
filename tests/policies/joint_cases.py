"""Relations of three owners, and joint statements over them."""

from __future__ import annotations

from dataclasses import replace

from plans.joint_shadows import DeclaredColumn, JointShadow
from plans.manifest import Declared
from plans.reading import Shadow, ShadowColumn

REGIONS, BANDS = ("east", "west", "north"), ("1", "2", "3")


def joint_shadow(
    relation: str,
    domain: str,
    rows: int = 1_000,
    key: str = "id_number",
    **columns: tuple[str, Declared | None],
) -> JointShadow:
    """A likeness of one owner's relation, or of one about nobody, whose key is empty; a type that ends in `?` is of a
    column that may be null.
    """
    listed = tuple(
        ShadowColumn(name, kind.rstrip("?"), kind.endswith("?")) for name, (kind, _) in columns.items()
    )
    ids = (ShadowColumn("person", "UBIGINT", False), ShadowColumn(key, "VARCHAR", False)) if key else ()
    known = tuple(DeclaredColumn(name, said) for name, (_, said) in columns.items() if said is not None)
    return JointShadow(domain, key, rows, Shadow(relation, (*ids, *listed)), known)


def between(low: str, high: str) -> Declared:
    """Declared bounds."""
    return Declared(low, high)


VISITS = joint_shadow(
    "health.visits",
    "nm/health",
    region=("VARCHAR", Declared(values=REGIONS)),
    icd=("VARCHAR?", None),
    urgent=("BOOLEAN?", None),
    cost=("DECIMAL(12,2)?", between("0", "5000.00")),
    days=("INTEGER", between("0", "365")),
    weight=("DOUBLE?", between("0", "300")),
    shift=("INTEGER?", between("-5", "5")),
    free=("INTEGER", None),
)
INCOME = joint_shadow(
    "tax.income",
    "nm/tax",
    2_345,
    band=("INTEGER?", Declared(values=BANDS)),
    income=("DECIMAL(14,2)?", between("-10000.00", "1000000.00")),
    tax=("BIGINT", between("0", "500000")),
    exempt=("BOOLEAN", None),
)
SCHOOL = joint_shadow(
    "edu.pupils",
    "nm/edu",
    level=("VARCHAR", Declared(values=("primary", "middle", "high"))),
    grade=("DECIMAL(4,1)?", between("0", "100")),
)
SHADOWS = (VISITS, INCOME, SCHOOL)
EAST = joint_shadow(
    "east.income",
    "nm/east",
    region=("VARCHAR?", Declared(values=REGIONS)),
    formal=("BOOLEAN", None),
    income=("DECIMAL(12,2)?", between("0", "9000.00")),
    days=("INTEGER", between("0", "365")),
    balance=("INTEGER", between("-5", "5")),
    note=("VARCHAR?", None),
    year=("INTEGER", None),
)
WEST = joint_shadow(
    "west.pay",
    "nm/west",
    2_345,
    area=("VARCHAR", Declared(values=REGIONS)),
    formal=("BOOLEAN?", None),
    wage=("DECIMAL(12,2)", between("-100.00", "5000.00")),
    days=("INTEGER", between("0", "31")),
    balance=("INTEGER?", between("0", "7")),
    note=("VARCHAR?", None),
    year=("INTEGER", None),
    weight=("DOUBLE", between("0", "1")),
    band=("VARCHAR", Declared(values=("1", "2"))),
    whole=("BIGINT", between("0", "9")),
    hidden=("DECIMAL(12,2)", None),
)
PARTS = (EAST, WEST)
TABLE = (
    "from (select region, formal, income, days, balance from east.income where year = 2025 union all "
    "select area as region, formal, wage as income, days, balance from west.pay) t"
)
"""One table that two bureaus have in parts, which call some of its columns by other names."""

FROM = "from health.visits h join tax.income t using (person)"

APPLICANTS = joint_shadow(
    "bank.applicants",
    "nm/bank",
    formal=("BOOLEAN", None),
    income=("DECIMAL(8,2)", between("-100.00", "9000.00")),
    age=("INTEGER", between("0", "120")),
    debt=("INTEGER?", between("0", "500")),
    ratio=("DOUBLE", between("0", "1")),
    branch=("VARCHAR?", None),
    note=("INTEGER", None),
)
MODEL = joint_shadow(
    "tax.risk_model",
    "nm/tax",
    1,
    key="",
    base=("DECIMAL(6,3)", between("-9", "9")),
    income=("DECIMAL(7,5)", between("-1", "1")),
    age=("DOUBLE", between("-2", "2")),
    debt=("INTEGER", between("-3", "3")),
    gap=("DECIMAL(6,3)?", between("0", "1")),
    bare=("DECIMAL(6,3)", None),
    endless=("DECIMAL(6,3)", between("-inf", "nan")),
)
REGISTER = joint_shadow(
    "civil.register",
    "nm/civil",
    region=("VARCHAR", Declared(values=("east", "west", "\u5317"))),
    status=("VARCHAR?", None),
    since=("DATE?", None),
    fee=("DECIMAL(6,2)?", between("0", "99")),
    alive=("BOOLEAN", None),
    span=("INTERVAL", None),
)
CASES = joint_shadow(
    "own.cases", "nm/own", case_no=("INTEGER", None), opened=("DATE?", None), kind=("VARCHAR?", None)
)
SCORED, LOOKED_UP = (APPLICANTS, MODEL), (CASES, REGISTER)
SCORES = "from bank.applicants a cross join tax.risk_model m"
LOOKUP = "from own.cases c left join civil.register r using (person)"

LINEAR = f"select a.person, round(m.base + a.income * m.income - a.age * m.debt, 2) as score {SCORES} where a.age > 17"
CURVE = f"select a.id_number, round(1 / (1 + exp(-(m.base + a.income * m.income))), 4) as p {SCORES}"
RECORD = f"select c.person, r.region, r.status as s, fee {LOOKUP} where c.case_no = 17 limit 5"


def shown(shadow: Shadow) -> Shadow:
    """The likeness that an asker has who may see every column row by row."""
    return replace(shadow, columns=tuple(replace(column, shown=True) for column in shadow.columns))
