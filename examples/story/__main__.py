"""`python -m examples.story [--scale 1.0] [--keep]`: tell the story, then clean up."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from examples.story.chapters import CHAPTERS
from examples.story.region import found
from examples.story.state import Story
from examples.story.telling import Teller
from plans.errors import DarkroomError
from server.running import address, started

NEXT = """
Where to look next
   docs/architecture.md   the six nouns and three sides
   docs/security.md       what is promised, where it is held, which test attacks it
   make up                leaves a platform running on this machine; `darkroom --help` and `darkroom-server --help`
"""


def main() -> int:
    """Tell the story; return 0 when everything in it came out as told."""
    parser = argparse.ArgumentParser(prog="examples.story", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1.0 is a million persons")
    parser.add_argument("--keep", action="store_true", help="leave the platform running until Ctrl-C")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="darkroom-demo-"))
    folder.chmod(0o711)
    try:
        return _tell(folder, options.scale, options.keep)
    except DarkroomError as problem:
        sys.stderr.write(f"\nThe story broke off: {problem}\n")
        return problem.exit_code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(folder: Path, scale: float, keep: bool) -> int:
    teller = Teller()
    teller.line("Darkroom 暗室: use data that you may never see (可用不可见)")
    with teller.chapter("A region is founded: three owners and a centre, on one machine"):
        region = found(folder / "region")
        supervisor = started(region.site)
        teller.say(f"{len(supervisor.pids())} processes; the portal is at {address(region.site)}")
        teller.say("One machine has one administrator: this shape separates keys and processes, not people.")
    with supervisor:
        story = Story(teller, region, folder, scale)
        for title, chapter in CHAPTERS:
            with teller.chapter(title):
                chapter(story)
        teller.end()
        teller.line(NEXT)
        if keep:
            _wait(address(region.site))
    return 0


def _wait(url: str) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.stdout.write(f"Still running at {url}; Ctrl-C ends it.\n")
    stop.wait()


if __name__ == "__main__":
    sys.exit(main())
