"""Masks and row filters."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec


def _masked(column: str, mask: str, uses: str = '"group", "filter"') -> str:
    return f'''
["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["group", "filter"]

[["nm/tax/income".columns.{column}]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
uses = [{uses}]
mask = "{mask}"
'''


CHAPTER = Chapter(
    "Masks and row filters",
    "A mask stands in for a column before any statement sees it: grouping, comparing and joining see the mask. A row"
    " filter takes rows away in the same place.",
    {
        "tax.income": """
            person | region | born       | phone       | town   | income
            1-12   | east   | 1980-03-05 | 13800001234 | 150102 | 1234
            13-24  | east   | 1980-11-30 | 13900001234 | 150105 | 1999
            25-40  | west   | 1990-01-01 | 13700009999 | 150200 | 2500
        """
    },
    _masked("phone", "last 4"),
    (
        Spec(
            "The last characters",
            "select phone, count(*) as n from tax.income group by phone order by phone",
            result="""
                phone | n
                1234  | 24
                9999  | 16
            """,
        ),
        Spec(
            "A condition on a masked column sees the mask",
            "select count(*) as n from tax.income where phone = '1234'",
            result="""
                n
                24
            """,
        ),
        Spec(
            "… and never the value",
            "select count(*) as n from tax.income where phone = '13800001234'",
            held=("small-group",),
        ),
        Spec(
            "A date, cut to its year",
            "select born, count(*) as n from tax.income group by born order by born",
            policy=_masked("born", "date year"),
            result="""
                born       | n
                1980-01-01 | 24
                1990-01-01 | 16
            """,
        ),
        Spec(
            "The first characters of a place's code",
            "select town, count(*) as n from tax.income group by town order by town",
            policy=_masked("town", "place 4"),
            result="""
                town | n
                1501 | 24
                1502 | 16
            """,
        ),
        Spec(
            "Numbers, in intervals",
            "select income, count(*) as n from tax.income group by income order by income",
            policy=_masked("income", "bucket 1000"),
            result="""
                income | n
                1000   | 24
                2000   | 16
            """,
        ),
        Spec(
            "Nothing",
            "select income, count(*) as n from tax.income group by income",
            policy=_masked("income", "null"),
            result="""
                income | n
                       | 40
            """,
        ),
        Spec(
            "A pseudonym is the same for equal values, and no condition may name one",
            "select count(*) as n from tax.income where phone = '13800001234'",
            policy=_masked("phone", "pseudonym"),
            denied={"column-use": "tax.income.phone"},
        ),
        Spec(
            "Rows that the owner's filter takes away are as if they were not there",
            "select region, count(*) as n from tax.income group by region order by region",
            policy=_masked("phone", "last 4").replace(
                "rounding = 1", "rounding = 1\nrow_filter = \"born < date '1985-01-01'\""
            ),
            result="""
                region | n
                east   | 24
            """,
        ),
        Spec(
            "A row filter sees the values behind a mask, and the statement does not",
            "select town, count(*) as n from tax.income where town like '1501%' group by town",
            policy=_masked("town", "place 3").replace(
                "rounding = 1", "rounding = 1\nrow_filter = \"town = '150102'\""
            ),
            held=("small-group",),
        ),
    ),
)
