"""`python -m examples.encrypted [--story NAME]`: agencies compute on what they cannot read.

A league's income is added up by an office that has no key. A bank's applicants are scored by a model that nobody shows,
and the applicants of one loan are looked up in a register that does not learn who they are. Two owners alone make a
table of what both have. `docs/encrypted-stories.md` tells who learns what.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from examples.encrypted.data import Sizes, write
from examples.encrypted.stories import BY_ROWS, STORIES, TITLES
from examples.encrypted.truth import differing
from examples.joint import region
from examples.joint.answering import approve, ask, opened
from examples.joint.region import Agencies, Scenery
from examples.joint.stories import Story
from examples.story.telling import Teller
from plans.errors import DarkroomError
from server.running import address, started

SCENERY = Scenery(TITLES, Path(__file__).parent)


def main() -> int:
    """Tell the stories; return 0 when every answer is what DuckDB says of the same rows."""
    plain = Sizes()
    parser = argparse.ArgumentParser(prog="examples.encrypted", description=__doc__)
    parser.add_argument("--story", choices=(*STORIES, "all"), default="all")
    parser.add_argument(
        "--households", type=int, default=plain.households, help="persons in the largest part"
    )
    parser.add_argument("--applicants", type=int, default=plain.applicants)
    parser.add_argument("--persons", type=int, default=plain.persons, help="in the register")
    options = parser.parse_args()
    stories = tuple(STORIES.values()) if options.story == "all" else (STORIES[options.story],)
    folder = Path(tempfile.mkdtemp(prefix="darkroom-encrypted-"))
    folder.chmod(0o711)
    try:
        return _tell(folder, stories, Sizes(options.households, options.applicants, options.persons))
    except DarkroomError as problem:
        sys.stderr.write(f"\nThe story broke off: {problem}\n")
        return problem.exit_code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(folder: Path, stories: tuple[Story, ...], sizes: Sizes) -> int:
    teller = Teller()
    teller.line("Darkroom 暗室: computed by those who cannot read it (密文计算, 匿踪查询)")
    with teller.chapter("Agencies and a centre are founded"):
        agencies = region.found(folder / "region", stories, SCENERY)
        supervisor = started(agencies.site)
        teller.say(f"{len(supervisor.pids())} processes; the portal is at {address(agencies.site)}")
        teller.say("One machine has one administrator: this shape separates keys and processes, not people.")
    with supervisor:
        with teller.chapter("Everybody arrives, and the parties get to know each other's root keys"):
            region.arrivals(agencies, folder / "people")
            region.read_out_keys(agencies)
        with teller.chapter("Every agency ingests its registers at its own desk"):
            region.ingest(agencies, folder / "files", partial(write, sizes=sizes))
            for manifest in agencies.manifests.values():
                of = "persons" if manifest.about_persons else "row about nobody"
                teller.say(f"{manifest.rows:,} {of} in {manifest.relation}")
        with teller.chapter("Whoever asks is granted columns by each owner"):
            region.grant(agencies)
        for story in stories:
            _answered(teller, agencies, story, folder / "files")
        teller.line(f"\n{len(stories)} answers, each DuckDB's to the last digit or as it was rounded.")
        teller.end()
    return 0


def _answered(teller: Teller, agencies: Agencies, story: Story, files: Path) -> None:
    """Tell one question from its statement to the checked answer.

    Raises:
        SystemExit: a figure or a row is not what it must be.
    """
    with teller.chapter(story.title):
        number = ask(teller, agencies, story)
        approve(teller, agencies, story, number, detailed=True)
        plan = agencies.asker(story).connection.joint_plan(number)
        for reason in plan.scheme.reasons:
            teller.say(f"parameters: {reason}")
        result = opened(teller, agencies, story, number)
        wrong = differing(story, result, files)
        if wrong:
            raise SystemExit(f"{wrong} figures or rows are not what DuckDB says of the same rows")
        if story.truth is BY_ROWS:
            teller.say(f"{len(result.rows):,} rows, each as DuckDB has it.")
            return
        teller.say(
            "Every figure is DuckDB's on the same rows, within the digits that the airlock keeps, or withheld."
        )


if __name__ == "__main__":
    sys.exit(main())
