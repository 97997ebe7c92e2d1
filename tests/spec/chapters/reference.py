"""Reference data."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec

_INCOME = """
["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["group", "join"]
age = ["join"]
income = ["avg", "sum"]
"""

_POLICY = (
    _INCOME
    + """
["nm/tax/places"]
minimum_group = 1
rounding = 1

[["nm/tax/places".access]]
parties = ["any"]
roles = ["researcher", "operator"]
actions = ["query", "read-rows"]
purposes = ["any"]

["nm/tax/places".columns]
region = ["select", "group", "filter", "join"]
area = ["select", "group", "filter"]
price = ["select", "group", "filter", "join", "sum", "avg"]
"""
)

_AFTER_JOIN = (
    _POLICY.replace('income = ["avg", "sum"]\n', "")
    + """
[["nm/tax/income".access]]
parties = ["any"]
roles = ["researcher"]
actions = ["query", "read-rows"]
purposes = ["any"]

[["nm/tax/income".columns.income]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
uses = ["select"]
reveal = "after-join"
"""
).replace('region = ["group", "join"]', 'region = ["select", "group", "join"]')

CHAPTER = Chapter(
    "Reference data",
    'Codes, calendars and prices are about nobody: their owner ingested them with `person = "none"`. They have no'
    " column `person` and bring no persons into a join; whoever is counted is counted in the data about persons.",
    {
        "tax.income": """
            person | region | age | income
            1-20   | n1     | 30  | 1000
            21-32  | n2     | 40  | 2000
            33-35  | n3     | 50  | 9000
            36-39  | s1     | 60  | 500
            40-51  | s2     | 70  | 600
        """,
        "tax.places": """
            region | area  | price
            n1     | north | 10
            n2     | north | 20
            n3     | far   | 30
            s1     | south | 40
            s2     | south | 50
            s9     | empty | 60
        """,
    },
    _POLICY,
    (
        Spec(
            "Codes get their names, and the persons of a group are those of the other dataset",
            "select p.area, count(*) as n, avg(i.income) as mean from tax.income i join tax.places p"
            " on i.region = p.region group by p.area order by n",
            says="Three persons live in `far`, too few to be shown.",
            result="""
                area  | n  | mean
                south | 16 | 580
                north | 32 | 1400
            """,
        ),
        Spec(
            "A place where nobody lives is not shown either",
            "select p.area, sum(p.price) as total from tax.places p left join tax.income i using (region) group by 1",
            says="However many rows of reference data fall into a group: without persons it is small.",
            result="""
                area  | total
                north | 440
                south | 760
            """,
        ),
        Spec(
            "A code that is there twice doubles rows, not persons",
            "select count(*) as n, count(distinct i.person) as persons from tax.income i join tax.places p"
            " using (region) where p.area = 'far'",
            says="Six rows are about three persons.",
            tables={"tax.places": "region | area | price\nn1 | north | 1\nn3 | far | 1\nn3 | far | 2"},
            held=("small-group",),
        ),
        Spec(
            "A table with one row for each person tells about none",
            "select p.price, avg(i.income) as mean from tax.income i join tax.places p on i.age = p.price group by 1",
            says="Whatever is in the table: a group holds as many persons as the data about persons have in it.",
            tables={
                "tax.income": """
                    person | region | age | income
                    1      | n1     | 30  | 1000
                    2      | n1     | 31  | 2000
                    3-14   | n2     | 32  | 3000
                """,
                "tax.places": "region | area | price\nx | a | 30\ny | b | 31\nz | c | 32",
            },
            result="""
                price | mean
                32    | 3000
            """,
        ),
        Spec(
            "By itself it is read like any data that may be seen",
            "select area, count(*) as places, max(price) as most from tax.places group by area"
            " having count(*) > 1 order by area",
            result="""
                area  | places | most
                north | 2      | 20
                south | 2      | 50
            """,
        ),
        Spec("How many rows there are", "select count(*) as n from tax.places", result="n\n6"),
        Spec(
            "Figures about nobody are no figures about groups of persons",
            "select area, sum(price) as total from tax.places group by area",
            says="Where its owner does not show the columns as they are, it only serves joins.",
            policy=_POLICY.replace(', "read-rows"', ""),
            refused="no relation of this statement is about persons",
        ),
        Spec(
            "It has no `person`",
            "select count(*) as n from tax.income i join tax.places p using (person)",
            refused="person",
        ),
        Spec(
            "Meeting a code is not meeting somebody",
            "select income from tax.income join tax.places using (region)",
            says="Values that are shown after a join are shown of persons whom another dataset about persons holds.",
            policy=_AFTER_JOIN,
            denied={"after-join": "tax.income.income"},
        ),
    ),
)
