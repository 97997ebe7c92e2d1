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

from examples.joint.data import DIABETES as CODE
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


@dataclass(frozen=True, slots=True)
class Register:
    """A register that an owner ingests: `<name>.csv` as `<name>.toml` describes it, under `policies/<name>.toml`.

    `columns` are those that the bureau is granted.
    """

    domain: str
    name: str
    columns: tuple[str, ...]

    @property
    def dataset(self) -> str:
        """Its name at the centre."""
        return f"{self.domain}/{self.name}"


@dataclass(frozen=True, slots=True)
class Truth:
    """How DuckDB answers on the joined files: `joined` is what stands after FROM, `keys` group it, and `figures` are
    the statement's: of `count`, `mean` and `deviation`, the latter two of `value`, whose declared end is `highest`.
    """

    joined: str
    keys: tuple[str, ...] = ()
    figures: tuple[str, ...] = ("count",)
    value: str = "NULL"
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """One question: of which owners, by which servers, for which purpose."""

    title: str
    project: str
    purpose: str
    registers: tuple[Register, ...]
    servers: tuple[str, str, str]
    statement: str
    truth: Truth

    @property
    def parties(self) -> tuple[str, ...]:
        """Whose approvers sign: owners, servers and the helper."""
        owners = [register.domain for register in self.registers]
        return tuple(dict.fromkeys((*owners, *self.servers, HELPER)))


STUDENTS = Register("nm/education", "students", ("enrolled", "field", "in_time"))
WORKING = Register("nm/tax", "working", ("income",))

OVERLAP = Story(
    title="How many students have an income from work? The cheapest question comes first",
    project="students-and-taxes",
    purpose="Working during the studies, and graduation in time",
    registers=(STUDENTS, WORKING),
    servers=("nm/education", "nm/tax", "nm/civil"),
    statement="select count(*) as persons from education.students s join tax.working w using (person)",
    truth=Truth("students JOIN working USING (id18)"),
)
STUDY = Story(
    title="Did working during the studies keep students from graduating in time?",
    project=OVERLAP.project,
    purpose=OVERLAP.purpose,
    registers=OVERLAP.registers,
    servers=OVERLAP.servers,
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
    servers=("nm/civil", "nm/health", "nm/tax"),
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
STORIES = {"overlap": OVERLAP, "study": STUDY, "diabetes": DIABETES}


def registers_of(stories: tuple[Story, ...]) -> tuple[Register, ...]:
    """Return the registers that stories need, each once."""
    return tuple(dict.fromkeys(register for story in stories for register in story.registers))


def parties_of(stories: tuple[Story, ...]) -> tuple[str, ...]:
    """Return who takes part in any of the stories, the helper last."""
    found = dict.fromkeys(domain for story in stories for domain in story.parties)
    return (*(domain for domain in found if domain != HELPER), HELPER)
