"""`python -m examples.joint [--story NAME]`: agencies answer, and nobody learns anything else.

A bureau that holds no data asks. Education and taxes: how many students work, and did it keep them from graduating in
time? Health, taxes and civil affairs: what do people with diabetes earn, league by league? An office that owns nothing
matches pseudonyms. Three departments: what do they pay, of one table in parts, opened by an airlock of theirs? And a
department asks about its own students: which of them have an income? The statement of the study at the size of the
original, half a million by ten million rows, is what `benchmarks/joint.py` measures; `docs/joint-stories.md` tells what
is different here.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from darkroom import joint as asking
from darkroom.joint_result import JointResult
from examples.joint import region
from examples.joint.data import Sizes
from examples.joint.region import Agencies
from examples.joint.stories import STORIES, Story
from examples.joint.truth import differing
from examples.story.telling import Teller
from plans.errors import DarkroomError
from server.running import address, started

MOST_SHOWN, FEW_SHOWN = 20, 3
"""Rows of an answer that are all shown, and how many of a longer one."""


def main() -> int:
    """Tell the stories; return 0 when every answer is what DuckDB says of the joined rows."""
    plain = Sizes()
    parser = argparse.ArgumentParser(prog="examples.joint", description=__doc__)
    parser.add_argument("--story", choices=(*STORIES, "all"), default="all")
    parser.add_argument(
        "--persons", type=int, default=plain.persons, help="in the region of the diabetes story"
    )
    parser.add_argument("--students", type=int, default=plain.students)
    parser.add_argument("--records", type=int, default=plain.records, help="persons with working income")
    parser.add_argument("--staff", type=int, default=plain.staff, help="of the largest of three departments")
    options = parser.parse_args()
    stories = tuple(STORIES.values()) if options.story == "all" else (STORIES[options.story],)
    folder = Path(tempfile.mkdtemp(prefix="darkroom-joint-"))
    folder.chmod(0o711)
    try:
        sizes = Sizes(options.persons, options.students, options.records, options.staff)
        return _tell(folder, stories, sizes)
    except DarkroomError as problem:
        sys.stderr.write(f"\nThe story broke off: {problem}\n")
        return problem.exit_code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(folder: Path, stories: tuple[Story, ...], sizes: Sizes) -> int:
    teller = Teller()
    teller.line("Darkroom 暗室: several agencies, one answer, nothing else learned (联合计算)")
    with teller.chapter("Agencies, an office that owns nothing and a centre are founded"):
        agencies = region.found(folder / "region", stories)
        supervisor = started(agencies.site)
        teller.say(f"{len(supervisor.pids())} processes; the portal is at {address(agencies.site)}")
        teller.say("One machine has one administrator: this shape separates keys and processes, not people.")
    with supervisor:
        with teller.chapter("Everybody arrives, and the parties get to know each other's root keys"):
            region.arrivals(agencies, folder / "people")
            region.read_out_keys(agencies)
        with teller.chapter("Every agency ingests its registers at its own desk"):
            region.ingest(agencies, folder / "files", sizes)
            for manifest in agencies.manifests.values():
                teller.say(f"{manifest.rows:,} persons in {manifest.relation}")
        with teller.chapter(
            "Whoever asks is granted columns by each owner; most questions a bureau without data asks"
        ):
            region.grant(agencies)
        told = [
            answered(teller, agencies, story, folder / "files", detailed=story is stories[-1])
            for story in stories
        ]
        total, kept = (sum(each) for each in zip(*told, strict=True))
        teller.line(
            f"\n{len(stories)} answers, each DuckDB's to the last digit or as it was rounded. Of {total + kept} figures"
            f" {total} were opened, and {kept} withheld, each by a rule."
        )
        teller.end()
    return 0


def answered(
    teller: Teller, agencies: Agencies, story: Story, files: Path, *, detailed: bool
) -> tuple[int, int]:
    """Tell one question from its statement to the checked answer; return how many figures were opened and withheld.

    Raises:
        SystemExit: a figure is not what it must be.
    """
    with teller.chapter(story.title):
        number = ask(teller, agencies, story)
        approve(teller, agencies, story, number, detailed=detailed)
        result = opened(teller, agencies, story, number)
        wrong = differing(story, result, files)
        if wrong:
            raise SystemExit(f"{wrong} figures or persons are not what DuckDB says of the same rows")
        if "persons" in story.truth.figures:
            teller.say(
                f"{len(result.rows):,} persons, the same as DuckDB finds; nobody else learned who they are."
            )
            return 0, 0
        cells = [cell for row in result.rows for cell in row[len(story.truth.keys) :]]
        kept = sum(cell is None for cell in cells)
        rounded = " within the digits that the airlock keeps" if story.task.inspector else ""
        teller.say(
            f"{len(cells) - kept} figures equal DuckDB's on the same rows{rounded}; {kept} are withheld by a rule."
        )
    return len(cells) - kept, kept


def ask(teller: Teller, agencies: Agencies, story: Story) -> str:
    """Submit the statement, and wait until its plan is made."""
    teller.say(f"{story.asker} asks:")
    teller.say(story.statement)
    connection = agencies.asker(story).connection
    number = str(connection.ask_jointly(story.task, project=story.project, purpose=story.purpose)["id"])
    until = time.monotonic() + 60
    while (found := connection.joint(number))["state"] == "submitted" and time.monotonic() < until:
        time.sleep(0.1)
    if found["problem"]:
        raise asking.problem_of(found)
    teller.say(f"Its plan is made and waits for {found['waits_for']}.")
    return number


def approve(teller: Teller, agencies: Agencies, story: Story, number: str, *, detailed: bool) -> None:
    """Let an approver of every party read the plan on their own machine, and sign its digest."""
    for place, domain in enumerate(story.parties):
        connection = agencies.approver(domain).connection
        plan = connection.joint_plan(number)
        if detailed and not place:
            teller.say("What each of them reads first, from the plan's own bytes:")
            heads = ("step", "who", "form", "at most")
            teller.table(heads, [[str(cell) for cell in row[:4]] for row in asking.sight_lines(plan)])
            for sentence in plan.trust.collusions:
                teller.say(f"if they collude: {sentence}")
        connection.hand_in(asking.approval_of(plan, domain, connection.signer()))
        teller.say(f"{domain} signs {plan.digest[:19]}…")


def opened(teller: Teller, agencies: Agencies, story: Story, number: str) -> JointResult:
    """Wait for the end, and open the answer."""
    connection, began = agencies.asker(story).connection, time.monotonic()
    connection.wait_jointly(number, 300)
    result = connection.open_jointly(number)
    teller.say(f"opened {time.monotonic() - began:.1f} s after the last signature")
    shown = result.texts()
    if result.judged is None:  # what an airlock rounded stands as it left
        shown = [
            [f"{cell:,.2f}" if isinstance(cell, float) else text for cell, text in zip(*row, strict=True)]
            for row in zip(result.rows, shown, strict=True)
        ]
    most = MOST_SHOWN if len(shown) <= MOST_SHOWN else FEW_SHOWN
    teller.table(result.columns, shown[:most])
    if shown[most:]:
        teller.say(f"… and {len(shown) - most:,} more")
    for note in result.notes[:2]:
        teller.say(f"note: {note}")
    return result


if __name__ == "__main__":
    sys.exit(main())
