"""Joins."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec

_POLICY = """
["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["group", "join"]
income = ["avg", "sum"]

["nm/tax/house"]
minimum_group = 15
rounding = 1

["nm/tax/house".columns]
town = ["group"]
region = ["join"]
houses = ["sum"]
"""

CHAPTER = Chapter(
    "Joins",
    "The datasets of one owner are joined by the person, which needs no rule, or by columns with the use `join`."
    " Of several datasets the strictest obligations hold.",
    {
        "tax.income": """
            person | region | income
            1-20   | east   | 1000
            21-50  | west   | 2000
        """,
        "tax.house": """
            person | region | town | houses
            1-14   | east   | blue | 1
            21-40  | west   | red  | 2
        """,
    },
    _POLICY,
    (
        Spec(
            "Persons are joined by their token",
            "select h.town, count(*) as n, avg(i.income) as mean"
            " from tax.income i join tax.house h on i.person = h.person group by h.town",
            says="Fourteen persons are enough for one dataset and too few for the other.",
            result="""
                town | n  | mean
                red  | 20 | 2000
            """,
        ),
        Spec(
            "The same with `using`",
            "select h.town, sum(h.houses) as houses from tax.income i join tax.house h using (person) group by h.town",
            result="""
                town | houses
                red  | 40
            """,
        ),
        Spec(
            "Who has no row on the other side stays in a left join",
            "select h.town, count(*) as n from tax.income i left join tax.house h using (person) group by h.town"
            " order by n",
            result="""
                town | n
                     | 16
                red  | 20
            """,
        ),
        Spec(
            "A column without the use `join` is no key",
            "select count(*) as n from tax.income i join tax.house h on i.income = h.houses",
            denied={"column-use": "join key"},
        ),
        Spec(
            "A join without a key is refused",
            "select count(*) as n from tax.income i cross join tax.house h",
            refused="stand side by side without a condition",
        ),
        Spec(
            "Values that are shown after a join are not shown without one",
            "select income from tax.income",
            policy="""
["nm/tax/income"]

[["nm/tax/income".access]]
parties = ["any"]
roles = ["researcher"]
actions = ["query", "read-rows"]
purposes = ["any"]

["nm/tax/income".columns]

[["nm/tax/income".columns.income]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
uses = ["select"]
reveal = "after-join"
""",
            tables={"tax.house": "person | region | town | houses\n1 | east | blue | 1"},
            denied={"after-join": "tax.income.income"},
        ),
    ),
)
