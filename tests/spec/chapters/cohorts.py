"""Cohorts."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec

_POLICY = """
["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["group", "join"]
income = ["avg", "compare"]

["nm/tax/house"]
minimum_group = 10
rounding = 1

["nm/tax/house".columns]
town = ["compare"]
region = ["join"]
houses = ["compare"]
"""

CHAPTER = Chapter(
    "Cohorts",
    "Rows may be chosen by the person, by what other rows of this person say. Unlike a join this leaves as many rows as"
    " there were, so that a person of many houses does not weigh more than one of a single house.",
    {
        "tax.income": """
            person | region | income
            1-20   | east   | 1000
            21-50  | west   | 2000
        """,
        "tax.house": """
            person | region | town  | houses
            1-15   | east   | blue  | 1
            1-15   | east   | red   | 2
            21-23  | west   | blue  | 1
            31-42  | west   | red   | 2
        """,
    },
    _POLICY,
    (
        Spec(
            "A cohort of too few persons does not appear",
            "select region, count(*) as n, avg(income) as mean from tax.income"
            " where person in (select person from tax.house where town = 'blue') group by region",
            says="Three persons in the west have a house in the blue town.",
            result="""
                region | n  | mean
                east   | 15 | 1000
            """,
        ),
        Spec(
            "Who is not in the cohort",
            "select region, count(*) as n from tax.income i where not exists"
            " (select 1 from tax.house h where h.person = i.person and h.town = 'red') group by region order by region",
            says="Five persons in the east have no house in the red town, and eighteen in the west.",
            result="""
                region | n
                west   | 18
            """,
        ),
        Spec(
            "A cohort and the others side by side",
            "select case when person in (select person from tax.house) then 'owns' else 'rents' end as home,"
            " count(*) as n from tax.income group by 1 order by 1",
            result="""
                home  | n
                owns  | 30
                rents | 20
            """,
        ),
        Spec(
            "A part of a cell is counted like every branch",
            "select region, avg(case when person in (select person from tax.house where houses > 1) then income else 0"
            " end) as mean from tax.income group by region order by region",
            says="In the east five persons are not in the cohort: by subtraction the figure would tell of them.",
            result="""
                region | mean
                east   | ~
                west   | 800
            """,
        ),
        Spec(
            "Other columns choose no rows: one rich person would be found among the many of a region",
            "select region, count(*) as n from tax.income"
            " where region in (select region from tax.income where income > 1500) group by region",
            refused="something else than the person",
        ),
        Spec(
            "Persons who are joined inside would decide about others",
            "select count(*) as n from tax.income where person in"
            " (select h.person from tax.house h join tax.income i on h.region = i.region where i.income > 1500)",
            refused="about different persons",
        ),
        Spec(
            "What is asked inside needs its use like anywhere",
            "select count(*) as n from tax.income where person in"
            " (select person from tax.house where region = 'east')",
            denied={"column-use": "tax.house.region"},
        ),
    ),
)
