"""Who asks, for what."""

from __future__ import annotations

from tests.spec.specs import Chapter, Spec

_LONG = """
["nm/tax/income"]
minimum_group = 10
rounding = 1

[["nm/tax/income".access]]
parties = ["nm/uni"]
roles = ["researcher"]
actions = ["query"]
purposes = ["any"]

[["nm/tax/income".access]]
effect = "deny"
parties = ["nm/uni/guests"]
actions = ["query"]

["nm/tax/income".columns]
region = ["group"]

[["nm/tax/income".columns.income]]
parties = ["any"]
roles = ["any"]
purposes = ["research on poverty"]
functions = ["avg"]

[["nm/tax/income".columns.income]]
effect = "deny"
parties = ["nm/uni/school"]
uses = ["aggregate"]
"""

_MEAN = "select region, avg(income) as mean from tax.income group by region"
_COUNT = "select region, count(*) as n from tax.income group by region"

CHAPTER = Chapter(
    "Who asks, and for what",
    "Access rules say who may do what with a dataset; rules about columns may speak about parties, roles and purposes."
    " A prohibition wins. A grant is needed beside all of it.",
    {
        "tax.income": """
            person | region | income | tax
            1-12   | east   | 1000   | 10
        """
    },
    _LONG,
    (
        Spec("Whom the rules name may ask", _MEAN, result="region | mean\neast | 1000"),
        Spec(
            "Another domain may not",
            _COUNT,
            member="lin@nm/health",
            denied={"access": "nm/tax/income"},
        ),
        Spec(
            "A domain with a similar name is another domain",
            _COUNT,
            member="lin@nm/university",
            denied={"access": "nm/tax/income"},
        ),
        Spec(
            "A domain below is named with the one above it",
            _COUNT,
            member="lin@nm/uni/lab",
            result="region | n\neast | 12",
        ),
        Spec(
            "… until a prohibition takes it out",
            _COUNT,
            member="lin@nm/uni/guests",
            denied={"access": "nm/tax/income"},
        ),
        Spec(
            "A role that is not named may not ask",
            _COUNT,
            role="operator",
            denied={"access": "nm/tax/income"},
        ),
        Spec(
            "No grant gives data to a role that approves",
            _COUNT,
            role="approver",
            denied={"grant-role": "approver", "access": "nm/tax/income"},
        ),
        Spec(
            "A prohibition of one use leaves the others",
            _MEAN,
            member="lin@nm/uni/school",
            denied={"column-use": "tax.income.income"},
        ),
        Spec(
            "… control: the count is not touched by it",
            _COUNT,
            member="lin@nm/uni/school",
            result="region | n\neast | 12",
        ),
        Spec(
            "A request for another purpose has no grant",
            _COUNT,
            purpose="marketing",
            denied={"no-grant": "nm/tax/income"},
        ),
        Spec(
            "A grant covers the columns that it names",
            _MEAN,
            columns=("region",),
            denied={"grant-columns": "income"},
        ),
        Spec(
            "All rules that fail are told, not the first",
            "select tax, avg(income) as mean from tax.income group by tax",
            columns=("region",),
            denied={"column-use": "tax.income.tax", "grant-columns": "income, tax"},
        ),
        Spec(
            "A dataset that is not shared needs a legal basis",
            _COUNT,
            policy='["nm/tax/income"]\nshare = "none"\n["nm/tax/income".columns]\nregion = ["group"]\n',
            denied={"share-none": "nm/tax/income"},
        ),
    ),
)
