"""The stories: who has what, what is asked, and who computes on ciphertexts that it cannot open.

* **Banners**: what do people of a league earn, by occupation? The league and two banners have one table in parts; an
  office that has neither data nor key adds up what they encrypt.
* **Scores**: how likely are a bank's applicants to fall into arrears, by a model that the tax service does not show?
* **Registration**: is this applicant registered, and where? The register's owner does not learn whom the bank asks
  about.
* **Two owners**: what do people declare, district by district? Nobody but the two owners takes part.
"""

from __future__ import annotations

from darkroom.joint_task import Named
from examples.encrypted.data import APPLICATION, HIGHEST_INCOME
from examples.joint.stories import Register, Story, Truth
from server.enrolment import Titles

OFFICE = "nm/office"
"""It owns nothing, has no key, and adds up ciphertexts."""

TITLES = {
    "nm/hulunbuir": Titles("Hulunbuir, Bureau of Statistics", "呼伦贝尔市统计局"),
    "nm/ewenki": Titles("Ewenki Banner", "鄂温克族自治旗"),
    "nm/oroqen": Titles("Oroqen Banner", "鄂伦春自治旗"),
    "nm/bank": Titles("Bank of the Region", "自治区银行"),
    "nm/tax": Titles("Tax Service", "税务局"),
    "nm/civil": Titles("Civil Affairs", "民政厅"),
    OFFICE: Titles("Office of Data", "大数据管理局"),
}
BANKER = "wu@nm/bank"
"""Of the bank: only who has the applicants is told something of each of them."""

BY_ROWS = Truth("", figures=("rows",))
"""DuckDB runs the statement itself on the files (`examples.encrypted.truth`)."""

PARTS = tuple(
    Register(f"nm/{place}", "households", ("occupation", "income"), f"households_{place}")
    for place in ("hulunbuir", "ewenki", "oroqen")
)
APPLICANTS = Register("nm/bank", "applicants", ("application", "income", "debt", "age", "children"))
MODEL = Register("nm/tax", "risk_model", ("base", "income", "debt", "age", "children"))
CIVIL = Register("nm/civil", "register", ("district", "status"))
DECLARED = Register("nm/tax", "declared", ("income",))

BANNERS = Story(
    title="What do people of a league earn? Its banners' sums are added up by an office that cannot read them",
    project="income-of-the-league",
    purpose="Income by occupation, for the plan of the league",
    registers=PARTS,
    named=Named(inspector="nm/hulunbuir", collector=OFFICE),
    statement=(
        "select occupation, count(*) as persons, avg(income) as mean_income, stddev(income) as deviation\n"
        "from ("
        + "\n      union all ".join(f"select occupation, income from {each.relation}" for each in PARTS)
        + ") h\n"
        "group by occupation"
    ),
    truth=Truth(
        joined="(" + " UNION ALL ".join(f"FROM {each.file}" for each in PARTS) + ")",
        keys=("occupation",),
        figures=("count", "mean", "deviation"),
        value="income",
        highest=HIGHEST_INCOME,
        parts=len(PARTS),
        rounding=5,
    ),
)
SCORES = Story(
    title="Who may fall into arrears? The bank's applicants by a model that the tax service does not show",
    project="loans",
    purpose="Scores of this year's applicants for loans",
    registers=(APPLICANTS, MODEL),
    named=Named(finder="nm/bank"),
    statement=(
        "select a.person, round(1 / (1 + exp(-(m.base + a.income * m.income + a.debt * m.debt\n"
        "                                      + a.age * m.age + a.children * m.children))), 4) as risk\n"
        "from bank.applicants a cross join tax.risk_model m"
    ),
    truth=BY_ROWS,
    asker=BANKER,
)
REGISTRATION = Story(
    title="Are the applicants of one loan registered? The register is asked without saying about whom",
    project=SCORES.project,
    purpose=SCORES.purpose,
    registers=(APPLICANTS, CIVIL),
    named=Named(finder="nm/bank"),
    statement=(
        "select a.person, r.district, r.status\n"
        "from bank.applicants a left join civil.register r using (person)\n"
        f"where a.application = {APPLICATION} limit 3"
    ),
    truth=BY_ROWS,
    asker=BANKER,
)
TWO_OWNERS = Story(
    title="What do people declare, district by district? Two owners alone, one of whom has the key",
    project="income-of-districts",
    purpose="Declared income by district, for the budget",
    registers=(CIVIL, DECLARED),
    named=Named(inspector="nm/civil", collector="nm/tax"),
    statement=(
        "select r.district, count(*) as persons, sum(t.income) as total\n"
        "from civil.register r join tax.declared t using (person)\n"
        "group by r.district"
    ),
    truth=Truth(
        joined="register JOIN declared USING (id18)",
        keys=("district",),
        figures=("count", "total"),
        value="income",
        highest=1_000_000,
        rounding=5,
    ),
)
STORIES = {"banners": BANNERS, "scores": SCORES, "registration": REGISTRATION, "two-owners": TWO_OWNERS}
