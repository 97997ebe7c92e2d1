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
from pathlib import Path

from examples.joint import region
from examples.joint.answering import approve, ask, opened
from examples.joint.data import Sizes
from examples.joint.region import Agencies
from examples.joint.stories import STORIES, Story
from examples.joint.truth import differing
from examples.story.telling import Teller
from plans.errors import DarkroomError
from server.running import address, started


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
            region.ingest(agencies, folder / "files", region.of_sizes(sizes))
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


if __name__ == "__main__":
    sys.exit(main())
