"""Rows that leave."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec

_ACCESS = """
["nm/tax/income"]

[["nm/tax/income".access]]
parties = ["any"]
roles = ["researcher"]
actions = [{actions}]
purposes = ["any"]

["nm/tax/income".columns]
region = ["select"]
year = ["select"]
tax = ["sum"]
{more}"""

_MASKED = """
[["nm/tax/income".columns.phone]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
uses = ["select"]
mask = "last 4"
"""

CHAPTER = Chapter(
    "Rows that leave",
    "If every column of a statement is one that the asker may see as it is, the statement may be any SQL, and its rows"
    " may leave: an access rule has to name `read-rows`. One other column, and it is a statement about groups.",
    {
        "tax.income": """
            person | region | year | phone       | tax | name
            1      | east   | 2023 | 13800001234 | 10  | Bao
            2      | west   | 2024 | 13900005678 | 20  | Chen
            3      | north  | 2022 | 13700009999 | 30  | Dai
        """
    },
    _ACCESS.format(actions='"query", "read-rows"', more=_MASKED),
    (
        Spec(
            "Rows, in the order that is asked for",
            "select region, year from tax.income order by year desc limit 2",
            result="""
                region | year
                west   | 2024
                east   | 2023
            """,
        ),
        Spec(
            "Masked columns leave as their masks",
            "select phone, year from tax.income order by year",
            result="""
                phone | year
                9999  | 2022
                1234  | 2023
                5678  | 2024
            """,
        ),
        Spec(
            "Whoever may see may compute: windows, text, conditions",
            "select upper(region) as region, row_number() over (order by year) as place from tax.income"
            " where phone <> '9999' order by place",
            result="""
                region | place
                EAST   | 1
                WEST   | 2
            """,
        ),
        Spec(
            "A column that may not be seen makes it a statement about groups, and such a statement shows no row",
            "select region, tax from tax.income",
            refused="these may not: tax.income.tax",
        ),
        Spec(
            "… not even in a condition",
            "select region from tax.income where tax > 15",
            refused="these may not: tax.income.tax",
        ),
        Spec(
            "A direct identifier may not be seen, whatever a rule says",
            "select name from tax.income",
            refused="these may not: tax.income.name",
        ),
        Spec(
            "The person's token may not be seen",
            "select person from tax.income",
            refused="person",
        ),
        Spec(
            "Without the action `read-rows` nobody sees rows",
            "select region, year from tax.income",
            policy=_ACCESS.format(actions='"query"', more=""),
            refused="these may not",
        ),
    ),
)
