"""Filtering."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec

CHAPTER = Chapter(
    "Filtering",
    "A condition keeps rows before groups are counted. A column may stand in one only if the owner says `filter`, or"
    " `compare` for conditions with a constant.",
    {
        "tax.income": """
            person | region | year | age | income
            1-12   | east   | 2023 | 30  | 1000
            13-40  | west   | 2023 | 40  | 2000
            41-60  | west   | 2024 | 50  | 3000
        """
    },
    """
["nm/tax/income"]
rounding = 1

["nm/tax/income".columns]
region = ["group", "filter"]
year = ["compare"]
income = ["avg", "sum"]
""",
    (
        Spec(
            "Rows that meet the condition are counted",
            "select region, count(*) as n from tax.income where region = 'west' group by region",
            result="""
                region | n
                west   | 48
            """,
        ),
        Spec(
            "A list of constants",
            "select region, avg(income) as mean from tax.income where region in ('east', 'north') group by region",
            result="""
                region | mean
                east   | 1000
            """,
        ),
        Spec(
            "Text is compared by a pattern",
            "select count(*) as n from tax.income where region like 'w%'",
            result="""
                n
                48
            """,
        ),
        Spec(
            "`compare` is enough for a comparison with a constant",
            "select count(*) as n from tax.income where year between 2024 and 2030",
            result="""
                n
                20
            """,
        ),
        Spec(
            "`compare` is not enough for a comparison of columns",
            "select count(*) as n from tax.income where year > income",
            denied={"column-use": "tax.income.year"},
        ),
        Spec(
            "A column without the use is refused, and told what it may be used for",
            "select count(*) as n from tax.income where income > 2500",
            denied={"column-use": "tax.income.income"},
        ),
        Spec(
            "A column that the policy does not name may not be used at all",
            "select count(*) as n from tax.income where age = 50",
            denied={"column-use": "tax.income.age"},
        ),
        Spec(
            "A condition inside a figure is a condition",
            "select sum(case when region = 'west' then 1 else 0 end) as n from tax.income",
            says="Both branches hold enough persons, so the figure leaves.",
            result="""
                n
                48
            """,
        ),
    ),
)
