"""The stories: who has what, what is asked, and how DuckDB would answer if it had the joined rows.

* **Overlap**: how many persons do two registers share? The cheapest question that there is, asked before a study.
* **Study**: *Students and Taxes* (Bogdanov, Kamm, Kubo, Rebane, Sokk, Talviste, PETS 2016): did working during the
  studies keep students from graduating in time? The education ministry knows who graduated, the tax service what they
  earned, and neither may have the other's register.
* **Diabetes**: diabetes and income by league, over three agencies.

In all of them a bureau asks that holds no data, and nobody but it opens the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.joint_task import Named, task_of
from examples.joint.data import DIABETES as CODE
from examples.joint.data import HIGHEST_PAY, YEARS
from plans.joint import JointTask
from server.enrolment import Titles

TITLES = {
    "nm/civil": Titles("Civil Affairs", "民政厅"),
    "nm/health": Titles("Health Commission", "卫生健康委"),
    "nm/tax": Titles("Tax Service", "税务局"),
    "nm/education": Titles("Department of Education", "教育厅"),
    "nm/office": Titles("Office of Data", "大数据管理局"),
}
HELPER = "nm/office"
"""It owns nothing, and matches pseudonyms."""

OPERATOR = "gao@nm/bureau"
"""Of a bureau that holds no data: it asks, and is the recipient."""

FINDER = "sun@nm/education"
"""Of an owner: only that owner's own members ask which of its persons another has, too."""


@dataclass(frozen=True, slots=True)
class Register:
    """A register that an owner ingests: `<name>.toml` describes it, and `policies/<name>.toml` says what is allowed; in
    both, `{domain}` stands for the owner.

    `columns` are those that whoever asks is granted. The file is `<source>.csv`, after the name if it says none: of one
    table in parts every owner has a file.
    """

    domain: str
    name: str
    columns: tuple[str, ...]
    source: str = ""

    @property
    def dataset(self) -> str:
        """Its name at the centre."""
        return f"{self.domain}/{self.name}"

    @property
    def relation(self) -> str:
        """Its name in statements."""
        return f"{self.domain.partition('/')[2]}.{self.name}"

    @property
    def file(self) -> str:
        """The name of its file, without the end."""
        return self.source or self.name


@dataclass(frozen=True, slots=True)
class Truth:
    """How DuckDB answers on the joined files: `joined` is what stands after FROM, `keys` group it, and `figures` are
    the statement's: of `count`, `total`, `mean` and `deviation`, all but the first of `value`, whose declared end is
    `highest`; or `persons`, the identifiers themselves. `parts` are the holders of one table, each of whom may have a
    row of the same person; to multiples of `rounding` an airlock rounds counts, if one opens.
    """

    joined: str
    keys: tuple[str, ...] = ()
    figures: tuple[str, ...] = ("count",)
    value: str = "NULL"
    highest: int = 0
    parts: int = 1
    rounding: int = 1


@dataclass(frozen=True, slots=True)
class Story:
    """One question: of which owners, by whom, for which purpose, and who computes, matches and opens."""

    title: str
    project: str
    purpose: str
    registers: tuple[Register, ...]
    statement: str
    truth: Truth
    named: Named
    asker: str = OPERATOR

    @property
    def task(self) -> JointTask:
        """What is signed."""
        return task_of(self.statement, self.named)

    @property
    def parties(self) -> tuple[str, ...]:
        """Whose approvers sign: owners, and everybody who is named."""
        task, owners = self.task, [register.domain for register in self.registers]
        return tuple(dict.fromkeys((*owners, *task.servers, *task.others)))


STUDENTS = Register("nm/education", "students", ("enrolled", "field", "in_time"))
WORKING = Register("nm/tax", "working", ("income",))

OVERLAP = Story(
    title="How many students have an income from work? The cheapest question comes first",
    project="students-and-taxes",
    purpose="Working during the studies, and graduation in time",
    registers=(STUDENTS, WORKING),
    named=Named(("nm/education", "nm/tax", "nm/civil"), helper=HELPER),
    statement="select count(*) as persons from education.students s join tax.working w using (person)",
    truth=Truth("students JOIN working USING (id18)"),
)
STUDY = Story(
    title="Did working during the studies keep students from graduating in time?",
    project=OVERLAP.project,
    purpose=OVERLAP.purpose,
    registers=OVERLAP.registers,
    named=OVERLAP.named,
    statement=(
        "select s.enrolled, s.field, s.in_time,\n"
        "       count(*) as students, avg(w.income) as mean_income, stddev(w.income) as deviation\n"
        "from education.students s join tax.working w using (person)\n"
        "group by s.enrolled, s.field, s.in_time"
    ),
    truth=Truth(
        joined="students JOIN working USING (id18)",
        keys=("enrolled", "field", "in_time"),
        figures=("count", "mean", "deviation"),
        value="income",
        highest=100_000,
    ),
)
DIABETES = Story(
    title="What do people with diabetes earn, league by league?",
    project="diabetes-care",
    purpose="Diabetes and income by league, for the plan of care",
    registers=(
        Register("nm/civil", "residents", ("region",)),
        Register("nm/health", "patients", ("diagnosis",)),
        Register("nm/tax", "yearly", ("income",)),
    ),
    named=Named(("nm/civil", "nm/health", "nm/tax"), helper=HELPER),
    statement=(
        "select c.region, count(*) as patients, avg(t.income) as mean_income\n"
        "from health.patients h join tax.yearly t using (person) join civil.residents c using (person)\n"
        f"where h.diagnosis like '{CODE}%'\n"
        "group by c.region"
    ),
    truth=Truth(
        joined="patients JOIN yearly USING (id18) JOIN residents USING (id18)"
        f" WHERE diagnosis LIKE '{CODE}%'",
        keys=("region",),
        figures=("count", "mean"),
        value="income",
        highest=1_000_000,
    ),
)
HOLDERS = ("nm/civil", "nm/education", "nm/health")
PAYROLLS = tuple(
    Register(holder, "payroll", ("post", "pay"), f"payroll_{holder.partition('/')[2]}") for holder in HOLDERS
)
PAYROLL = Story(
    title="What do three departments pay, post by post? One table in parts, opened by an airlock of theirs",
    project="pay-of-staff",
    purpose="Pay by post, for the budget of the region",
    registers=PAYROLLS,
    named=Named(HOLDERS, inspector="nm/civil"),
    statement=(
        "select post, count(*) as staff, sum(pay) as total, avg(pay) as mean_pay\n"
        "from ("
        + "\n      union all ".join(f"select post, pay from {each.relation}" for each in PAYROLLS)
        + ") p\n"
        "group by post"
    ),
    truth=Truth(
        joined="(" + " UNION ALL ".join(f"FROM {each.file}" for each in PAYROLLS) + ")",
        keys=("post",),
        figures=("count", "total", "mean"),
        value="pay",
        highest=HIGHEST_PAY,
        parts=len(PAYROLLS),
        rounding=5,
    ),
)
COMMON = Story(
    title="Which of its students have an income? Only the register's owner learns who is in both",
    project="stipends",
    purpose="Review of the stipends of this year's students",
    registers=(STUDENTS, WORKING),
    named=Named(finder="nm/education", helper=HELPER),
    statement=(
        "select person from education.students s join tax.working w using (person)\n"
        f"where s.enrolled = {YEARS[-1]}"
    ),
    truth=Truth(
        joined=f"students JOIN working USING (id18) WHERE enrolled = '{YEARS[-1]}'", figures=("persons",)
    ),
    asker=FINDER,
)
STORIES = {
    "overlap": OVERLAP, "common": COMMON, "study": STUDY, "payroll": PAYROLL, "diabetes": DIABETES,
}  # fmt: skip


def registers_of(stories: tuple[Story, ...]) -> tuple[Register, ...]:
    """Return the registers that stories need, each once."""
    return tuple(dict.fromkeys(register for story in stories for register in story.registers))


def parties_of(stories: tuple[Story, ...]) -> tuple[str, ...]:
    """Return who takes part in any of the stories, the helper last, if there is one."""
    found = dict.fromkeys(domain for story in stories for domain in story.parties)
    return tuple(sorted(found, key=lambda domain: domain == HELPER))
