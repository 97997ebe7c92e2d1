"""The part of the story that is about code: tried on made-up data, run on data, checked by a machine and by people."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pyarrow.csv

from darkroom.files import Files
from darkroom.job import Job
from examples.story import region as scene
from examples.story.state import PROJECT, PURPOSE, Story
from keeper.api import DeskClient
from plans.errors import OutputRefused
from plans.inspection import Effect, Inspection
from plans.statements import Answer
from plans.trial import TrialReport
from server.reviewing import give_opinion, show_held

FOLDERS = Path(__file__).parent.parent
STUDY, PICTURE = FOLDERS / "study", FOLDERS / "picture"
RIGHT, WRONG = 'groupby("region")', 'groupby("league")'
SMALL, BASE = "区外", 5
"""Seven persons live there, at every scale; the rounding of the policy (policies/tax.toml)."""

HOLDS_S = 180


def code_is_tried(story: Story) -> None:
    """A first draft fails on the twin, with its line; the folder of the repository does not."""
    text = (STUDY / "main.py").read_text(encoding="utf-8")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if RIGHT in each)
    draft = story.folder / "draft"
    draft.mkdir()
    (draft / "darkroom.toml").write_bytes((STUDY / "darkroom.toml").read_bytes())
    (draft / "main.py").write_text(text.replace(RIGHT, WRONG), encoding="utf-8")
    story.teller.say(
        "Wang writes a folder of Python (examples/study) and tries it where the data are, on a look-alike\n"
        "table that was made from the catalog alone. Whatever happens there may be shown whole:"
    )
    report = story.researcher.connection.attempt(draft)
    place = report.place
    require(report.code == "python.failed" and place is not None, "the draft did not fail")
    require(place is not None and (place.file, place.line) == ("main.py", line), "another line failed")
    story.teller.say(f"  ✗ main.py:{line}: {text.splitlines()[line - 1].replace(RIGHT, WRONG).strip()}")
    story.teller.say(f"    {_last_line(report)}")
    report = story.researcher.connection.attempt(STUDY)
    require(report.code == "", f"the corrected folder failed: {report.code} {report.text}")
    left = ", ".join(f"{each.name}, {each.size:,} bytes" for each in report.left)
    story.teller.say(f'There is no column "league"; with "region" it ends well and leaves {left}.')


def code_runs(story: Story) -> None:
    """The same folder on data; its table is repaired and leaves, and a picture waits for people."""
    started = time.monotonic()
    files = _files(_submit(story, STUDY))
    table = pyarrow.csv.read_csv(io.BytesIO(files.read("by_region.csv"))).to_pylist()
    names = [row["region"] for row in table]
    require(SMALL not in names and len(names) > 1, "a group of seven persons left")
    require(all(row["persons"] % BASE == 0 for row in table), "counts left unrounded")
    story.teller.say(f"released after {time.monotonic() - started:.1f} s, with {len(table)} of 13 rows:")
    rows = [[_text(value) for value in row.values()] for row in table[:5]]
    story.teller.table(list(table[0]), rows)
    story.teller.say(f"  … {len(table) - len(rows)} more rows")
    for note in files.notes:
        story.teller.say(f"  note: {note}")
    story.teller.say(
        f"The program wrote {SMALL} with its 7 persons, too; what leaves was written anew and judged in two boxes."
    )


def people_look(story: Story) -> None:
    """A picture is held; two reviewers agree, each alone first, and only then it leaves."""
    job = _submit(story, PICTURE)
    _until(job, "held")
    story.teller.say(f"A folder that leaves a picture (examples/picture) waits: {job.sentence}")
    owner = story.region.site.owner("nm/tax")
    desk, plan = DeskClient(owner.desk), str(job.view["plan_digest"])
    reviewers = [story.people[f"tax {name}"] for name in scene.REVIEWERS]
    shown = show_held(story.region.site.home, owner.domain, plan, reviewers[0].name)
    struck = sorted({each.rule for each in shown.record.applied if each.effect is not Effect.PASSED})
    require("picture" in struck, "it is not held for its picture")
    story.teller.say(
        f"Reviewers read it at the owner's desk, with the rules that struck: {', '.join(struck)}."
    )
    for reviewer in reviewers:
        about = (Answer.RELEASE, "A bar for each league, each of many persons.", False)
        give_opinion(desk, owner.domain, plan, about, reviewer.keys)
        require(job.refresh().state == "held", "one opinion let it out")
        story.teller.say(f"  {reviewer.name} signs an opinion, without seeing any other: release")
    about = (Answer.RELEASE, "We agree.", True)
    give_opinion(desk, owner.domain, plan, about, reviewers[0].keys)
    story.teller.say(f"  {reviewers[0].name} consolidates both: release")
    picture = _files(job).read("means.png")
    require(picture.startswith(b"\x89PNG"), "what left is no picture")
    story.teller.say(f"Wang opens a picture of {len(picture):,} bytes: what they saw, drawn anew.")


def the_library(story: Story) -> None:
    """A component runs, which has no code of a member, about groups of which something else was told before."""
    wang, desk = story.researcher.connection, DeskClient(story.region.site.owner("nm/tax").desk)
    before = _entered(desk)
    question = "select region, count(*) as records, avg(income) as mean from tax.income group by region"
    story.teller.say(question)
    leagues = {row[0] for row in story.ask(question).result().rows}
    story.teller.say(f"released, {len(leagues)} rows. And of the same leagues, in which some have no income:")
    story.teller.say("darkroom component describe columns=income by=region --table tax.income")
    asked = {"columns": ["income"], "by": "region"}
    job = wang.component("describe", asked, ["tax.income"], project=PROJECT, purpose=PURPOSE)
    table = pyarrow.csv.read_csv(io.BytesIO(_files(job).read("summary.csv"))).to_pylist()
    require(SMALL not in str(table), "a group of seven persons left")
    require({row["region"] for row in table} == leagues, "the ledger kept a league back")
    require(_entered(desk) > before, "the ledger does not know of it")
    story.teller.table(list(table[0]), [[_text(value) for value in row.values()] for row in table[:4]])
    story.teller.say(
        "No code of Wang's ran, so the largest persons behind every figure were known, and the owner's ledger\n"
        "remembers which persons each cell is about: it compares what is asked later with it."
    )


def the_near_question(story: Story) -> None:
    """Two harmless answers whose difference is seven persons: the second is kept back."""
    whole = "select count(*) as people, avg(income) as mean from tax.income where year = 2025"
    near = f"{whole} and region <> '{SMALL}'"
    story.teller.say(whole)
    first = story.ask(whole).result()
    require(bool(first.rows), "the whole was kept back")
    story.teller.table(first.columns, first.texts())
    story.teller.say(near)
    job = story.ask(near)
    try:
        second = job.result()
    except OutputRefused as refusal:
        story.teller.say(f"  ✗ {refusal}")
    else:
        raise AssertionError(f"the ledger let seven persons be told apart: {second}")
    plan = story.researcher.connection.plan(job.id).digest
    record = Inspection.read(DeskClient(story.region.site.owner("nm/tax").desk).record(plan))
    kept = [each for each in record.applied if each.rule == "ledger" and each.effect is Effect.WITHHELD]
    require(bool(kept), "another rule than the ledger kept it back")
    story.teller.say(
        "Each alone is about many persons, the difference about seven. The owner's record\n"
        f"says which rule it was: {kept[0].rule}, {kept[0].cells} row {kept[0].effect}."
    )


def require(holds: bool, otherwise: str) -> None:
    """Let the story break off where something in it is not true."""
    if not holds:
        raise AssertionError(otherwise)


def _submit(story: Story, folder: Path) -> Job:
    return story.researcher.connection.run(folder, project=PROJECT, purpose=PURPOSE)


def _files(job: Job) -> Files:
    found = job.result()
    if not isinstance(found, Files):
        raise AssertionError("a task leaves files")
    return found


def _until(job: Job, state: str) -> None:
    ends = time.monotonic() + HOLDS_S
    while job.refresh().state != state and not job.finished and time.monotonic() < ends:
        time.sleep(0.1)
    require(job.state == state, f"the job is {job.state}, not {state}: {job.problem()}")


def _entered(desk: DeskClient) -> int:
    """Return how many sets of persons the ledger knows of the register of incomes."""
    return next(int(found["vectors"]) for found in desk.ledger() if found["dataset"] == "nm/tax/income")


def _last_line(report: TrialReport) -> str:
    return report.text.strip().splitlines()[-1]


def _text(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
