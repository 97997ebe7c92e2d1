"""Grouping and the smallest group."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec

_STRICT = """
["nm/tax/income"]
minimum_group = 20
rounding = 5

["nm/tax/income".columns]
region = ["group"]
income = ["avg"]
"""

CHAPTER = Chapter(
    "Grouping and the smallest group",
    "Figures leave only about groups of enough persons. A group of fewer does not appear at all, and nobody is told"
    " whether there was one.",
    {
        "tax.income": """
            person | region | year | urban | income
            1-12   | east   | 2023 | true  | 1000
            13-40  | west   | 2023 | true  | 2000
            41-43  | north  | 2023 | false | 90000
            44-60  | south  | 2024 | true  |
        """
    },
    """
["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["group", "filter"]
year = ["group", "filter"]
urban = ["group"]
income = ["count", "avg", "sum", "count_distinct"]
""",
    (
        Spec(
            "A group of fewer persons than the minimum does not appear",
            "select region, count(*) as n from tax.income group by region order by region",
            result="""
                region | n
                east   | 12
                south  | 17
                west   | 28
            """,
        ),
        Spec(
            "A figure that rests on too few persons is withheld, and its group stays",
            "select region, count(*) as n, avg(income) as mean from tax.income group by region order by region",
            says="Nobody in the south has an income. The tilde stands for a figure that was withheld.",
            result="""
                region | n  | mean
                east   | 12 | 1000
                south  | 17 | ~
                west   | 28 | 2000
            """,
        ),
        Spec(
            "Counts are rounded, and the smallest group is the owner's",
            "select region, count(*) as n from tax.income group by region",
            policy=_STRICT,
            result="""
                region | n
                west   | 30
            """,
        ),
        Spec(
            "A result of which nothing remains is refused",
            "select region, count(*) as n from tax.income where region = 'north' group by region",
            held=("small-group",),
        ),
        Spec(
            "The same refusal answers a question about nobody",
            "select region, count(*) as n from tax.income where region = 'moon' group by region",
            held=("small-group",),
        ),
        Spec(
            "Order and limit are applied to what leaves",
            "select region, count(*) as n from tax.income group by region order by n desc limit 2",
            result="""
                region | n
                west   | 28
                south  | 17
            """,
        ),
        Spec(
            "Persons are counted, not rows",
            "select region, count(*) as n, count(distinct person) as persons from tax.income group by region",
            tables={
                "tax.income": """
                    person | region | year | urban | income
                    1-12   | east   | 2023 | true  | 1000
                    1-12   | east   | 2024 | true  | 1000
                    13     | west   | 2021 | true  | 2000
                    13     | west   | 2022 | true  | 2000
                """
            },
            result="""
                region | n  | persons
                east   | 24 | 12
            """,
        ),
        Spec(
            "A column may be granted as an aggregate and not as a key",
            "select income, count(*) as n from tax.income group by income",
            denied={"column-use": "tax.income.income"},
        ),
        Spec(
            "An aggregate that is not named is refused",
            "select region, max(income) as most from tax.income group by region",
            denied={"column-use": "tax.income.income"},
        ),
        Spec(
            "The person is counted and joined, and nothing else",
            "select sum(person) as s from tax.income",
            refused="the person token only links relations and counts persons",
        ),
    ),
)
