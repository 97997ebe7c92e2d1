"""What may be told about a program that failed on data: pure rules, tried as tables in `tests/sandbox/test_trial.py`.

A program that has seen data can put what it saw into everything that it says: a message, a line number, a time. Ten
thousand `raise` lines are thirteen bits a run (ATTACKS 90). So its author hears one of few codes and a sentence. A line
is told only when the *one* trial that belongs to the job (`plans.trial.trial_of`) fails at the same line on a twin,
which holds no data; the text that comes with it is the trial's. What is left is the answer to one question that the
trial asked beforehand: did it fail there? That is one bit, and is counted as such. With a choice of trials it would
be as many questions as there are trials.

Times are told as one of few words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plans.errors import DarkroomError
from plans.trial import Folder, Place, TrialReport

_TRY = "Try it on made-up tables, where the whole error is shown."

SENTENCES = {
    "python.failed": ("the program ended with an error, or with a status other than 0", _TRY),
    "python.memory": (
        "the program needed more memory than its box has",
        "Work on fewer columns or in parts, or ask the administrator for a higher limit (docs/settings.md).",
    ),
    "python.time": (
        "the program used up its processor time",
        "Work on less data, or ask the administrator for a higher limit (docs/settings.md).",
    ),
    "python.inputs": (
        "a table did not come to its end, so the program was ended before it could take a part for the whole",
        "Submit it again; if it happens again, the owner's administrator sees why the loader ended.",
    ),
    "python.outputs": (
        "the program left something that its plan does not let it leave",
        "Leave plain files with lower-case names in $DARKROOM_OUT, as many and as large as the plan says.",
    ),
    "python.absent": (
        "the program did not leave every output that it declares",
        "Write each declared output in every case, also where a table is empty; or declare fewer.",
    ),
    "python.undeclared": (
        "the program left an output that it does not declare",
        "Declare it with its form, or write it below $TMPDIR: nothing undeclared leaves.",
    ),
    "python.unfenced": (
        "the box could not keep the program apart from its keys, so the program was not started",
        "Tell the administrator: `darkroom-server doctor` on this node says which wall is missing.",
    ),
}
"""Why a Python box gave up, as a sentence, and what to do."""

SECONDS = (
    (1, "under 1 s"),
    (10, "under 10 s"),
    (60, "under 1 min"),
    (600, "under 10 min"),
    (3600, "under 1 h"),
)
LONGEST = "1 h or more"


@dataclass(frozen=True, slots=True)
class Failed:
    """How a program failed on data, as its launcher knows it.

    `trial` is the digest of the trial that belongs to it. `place` is for comparing, and is never told by itself.
    """

    code: str
    trial: str
    place: Place | None


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a trial, and the trial's digest."""

    trial: str
    report: TrialReport


@dataclass(frozen=True, slots=True)
class Told:
    """What the author of the program hears; `line` and `text` are the trial's, or nothing."""

    code: str
    sentence: str
    next_step: str
    line: Place | None
    text: str


def told(failed: Failed, tried: Tried | None) -> Told:
    """Return what is told of a failure: code and sentence, and the trial's error if it is the same failure.

    `tried` is the outcome that was kept *before* the program ran on data, and never another: a program can fail at
    a line of its own choice each time, and asking again until it fits would be asking more than once.
    """
    code = failed.code if failed.code in SENTENCES else "python.failed"
    sentence, next_step = SENTENCES[code]
    if tried is None or not _same(failed, tried):
        return Told(code, sentence, next_step, None, "")
    return Told(code, sentence, next_step, tried.report.place, tried.report.text)


def place_in(facts: Mapping[str, str | int], folder: Folder) -> Place | None:
    """Return the place that a box's facts name, if it is a line of the folder, or none.

    The facts come from a box that has seen data, so nothing but a line that exists is kept of them. The name of the
    error is not compared and may say anything; it is dropped.
    """
    try:
        place = Place.read({"file": facts.get("file"), "line": facts.get("line"), "error": "Error"})
    except DarkroomError:
        return None
    content = folder.content().get(place.file)
    if content is None or place.line > content.count(b"\n") + 1:
        return None
    return place


def bucket(seconds: float) -> str:
    """Return a duration as one of six words."""
    return next((word for limit, word in SECONDS if seconds < limit), LONGEST)


def _same(failed: Failed, tried: Tried) -> bool:
    """Whether both are the same job's failure with the same code at the same line of the same file."""
    real, trial = failed.place, tried.report.place
    if real is None or trial is None or not tried.report.code or failed.trial != tried.trial:
        return False
    return (real.file, real.line, failed.code) == (trial.file, trial.line, tried.report.code)
