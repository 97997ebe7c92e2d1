"""What is computed after protection."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec

CHAPTER = Chapter(
    "Computing with figures",
    "Analysts write what they are used to: WITH, HAVING, windows, CASE, set operations. Such a statement is split: its"
    " inner tables of groups are protected first, and all else is computed from what is left of them. So whatever it"
    " computes, it computes from figures that could have left as they are.",
    {
        "tax.income": """
            person | region | year | income
            1-12   | east   | 2023 | 1000
            13-40  | west   | 2023 | 2000
            41-60  | west   | 2024 | 3000
            61-63  | north  | 2024 | 9000
        """
    },
    """
["nm/tax/income"]
minimum_group = 10
rounding = 1

["nm/tax/income".columns]
region = ["group", "filter"]
year = ["group", "filter"]
income = ["sum", "avg", "count_distinct"]
""",
    (
        Spec(
            "HAVING keeps groups by their protected figures",
            "select region, count(*) as n from tax.income group by region having count(*) > 20",
            result="region | n\nwest | 48",
        ),
        Spec(
            "… and finds nothing in a group that is too small",
            "select region, count(*) as n from tax.income group by region having count(*) < 13",
            says="Three persons live in the north.",
            result="region | n\neast | 12",
        ),
        Spec(
            "A table of figures in WITH, ranked by a window",
            "with t as (select region, avg(income) as mean from tax.income group by region)"
            " select region, mean, rank() over (order by mean desc) as place from t order by place",
            result="""
                region | mean | place
                west   | 2400 | 1
                east   | 1000 | 2
            """,
        ),
        Spec(
            "A table of rows in WITH becomes part of the statement around it",
            "with early as (select region, income * 2 as twice from tax.income where year = 2023)"
            " select region, avg(twice) as mean from early group by region order by region",
            result="""
                region | mean
                east   | 2000
                west   | 4000
            """,
        ),
        Spec(
            "A share of the total is a share of what leaves",
            "select region, count(*) * 100 / sum(count(*)) over () as percent from tax.income group by region"
            " order by region",
            says="The three persons of the north are in no total, so they cannot be found by subtraction.",
            result="""
                region | percent
                east   | 20
                west   | 80
            """,
        ),
        Spec(
            "ROLLUP adds up what is left of the finest groups",
            "select region, year, count(*) as n from tax.income group by rollup (region, year) order by region, year",
            result="""
                region | year | n
                east   | 2023 | 12
                east   |      | 12
                west   | 2023 | 28
                west   | 2024 | 20
                west   |      | 48
                       |      | 60
            """,
        ),
        Spec(
            "… so a mean, which does not add up, is refused there",
            "select region, avg(income) as mean from tax.income group by cube (region, year)",
            refused="there are sums and counts only",
        ),
        Spec(
            "CASE over figures",
            "select region, case when count(*) > 30 then 'large' else 'small' end as size from tax.income"
            " group by region order by region",
            result="""
                region | size
                east   | small
                west   | large
            """,
        ),
        Spec(
            "QUALIFY keeps the largest group",
            "select region, count(*) as n from tax.income group by region"
            " qualify row_number() over (order by count(*) desc) = 1",
            result="region | n\nwest | 48",
        ),
        Spec(
            "Tables of figures are put together",
            "select region as what, count(*) as n from tax.income group by region"
            " union all select 'year ' || year, n from"
            " (select year, count(*) as n from tax.income where region <> 'north' group by year) t order by what",
            result="""
                what      | n
                east      | 12
                west      | 48
                year 2023 | 40
                year 2024 | 20
            """,
        ),
        Spec(
            "A figure about all in a subquery",
            "select region, avg(income) - (select avg(income) from tax.income) as above from tax.income"
            " group by region order by region",
            result="""
                region | above
                east   | -1500
                west   | -100
            """,
        ),
        Spec(
            "What stands in a finish still needs the owner's word",
            "select region, count(*) as n from tax.income group by region having max(income) > 5000",
            denied={"column-use": "tax.income.income in max()"},
        ),
        Spec(
            "Rows and figures are not mixed",
            "select region, income - avg(income) over () as above from tax.income",
            refused="row-level output",
        ),
        Spec(
            "A statement that repeats itself is refused",
            "with recursive r as (select 1 as x union all select x + 1 from r) select count(*) from r",
            refused="WITH RECURSIVE",
        ),
    ),
)
