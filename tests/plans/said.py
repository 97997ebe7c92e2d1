"""Which modules say sentences that a researcher can meet, in a lab or by the client; their words must have Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from darkroom.joint_task import _OPTION, _argument
from plans.chinese import NEXT_SENTENCE
from plans.errors import by_code
from portal.permissions import Action
from tests.plans.sentences import VALUE, numbered, of_file, of_table

PLACE = re.compile(r"\{\d+\}")
ROOT = Path(__file__).resolve().parents[2]

SAYING = (
    "client/darkroom/*.py",
    "portal/*.py",
    "notebooks/asking.py", "notebooks/authenticator.py", "notebooks/entrance.py", "notebooks/planning.py",
    "notebooks/porter.py", "notebooks/spawner.py",
    "compute/*.py", "cluster/*.py", "sharing/*.py",
    "store/members.py", "store/projects.py", "store/sessions.py", "store/jobs.py", "store/joint.py",
    "store/manifests.py", "store/applications.py", "store/database.py", "store/tables.py",
    "policies/*.py", "policies/reading/*.py",
    "plans/*.py",
    "sandbox/*.py", "sandbox/images/listing.py",
    "keeper/keyring.py", "keeper/rederive.py", "keeper/ledger*.py", "keeper/budgets.py", "keeper/review*.py",
    "keeper/held.py", "keeper/models.py", "keeper/keeper.py", "keeper/fitting.py", "keeper/trust.py", "keeper/twins.py",
    "keeper/server.py",
    "inside/*.py", "airlock/*.py", "airlock/*/*.py", "components/*.py", "components/library/*.py",
    "keys/keyfile.py", "keys/sealing.py", "keys/signing.py",
    "mpc/possible.py", "mpc/compile.py",
)  # fmt: skip
"""Modules of the ways that a researcher's requests take, and of labs."""

NOT_SAYING = {
    "client/darkroom/cli*.py": "the command line speaks English",
    "client/darkroom/terminal.py": "the command line speaks English",
    "plans/joint*.py": "what parties check of each other's statements; who asks hears of the code",
    "plans/frames*.py": "between processes of the house",
    "plans/constraints.py": "stewards' rules",
    "plans/manifest.py": "what owners ingest",
    "plans/statements.py": "what people with duties sign",
    "plans/impact.py": "stewards' reports",
    "sandbox/recipes.py": "building images",
    "sandbox/packages.py": "building images",
    "sandbox/layout.py": "building images",
    "sandbox/settings.py": "a launcher's settings",
    "sandbox/config.py": "a launcher's settings",
    "sandbox/own_user.py": "starting a launcher",
    "sandbox/fake.py": "for tests",
    "sandbox/trying.py": "for tests",
    "inside/ingest*.py": "what owners ingest",
    "inside/*party*.py": "boxes of joint computations, whose words reach their owner alone",
    "inside/portions.py": "boxes of joint computations, whose words reach their owner alone",
    "inside/terms.py": "boxes of joint computations, whose words reach their owner alone",
}
"""What of these is left out, and why."""

TABLES = (
    ("sandbox/telling.py", "SENTENCES"),
    ("sandbox/stage.py", "KILLED"),
    ("policies/explain.py", "_SENTENCES"),
    ("compute/jobs.py", "_SENTENCES"),
    ("compute/joint.py", "_SENTENCES"),
    ("airlock/outputs/rules.py", "_WORDS"),
    ("airlock/classes.py", "_REFUSALS"),
    ("plans/verdict.py", "_SENTENCES"),
    ("client/darkroom/job.py", "_SENTENCES"),
    ("client/darkroom/twin_run.py", "SENTENCES"),
    ("client/darkroom/twin_trial.py", "_SENTENCES"),
)
"""Tables of sentences that are told by what stands in them, and not where an error is raised."""

PHRASES = (("policies/reading/sources.py", "_PART_NAMES"),)
"""Tables of words that stand in sentences."""


def parts(template: str) -> list[str]:
    """Return a template's sentences, each with its values numbered anew."""
    found, rest = [], template
    while (end := NEXT_SENTENCE.search(rest)) is not None:
        found.append(rest[: end.start()])
        rest = rest[end.end() :]
    return [numbered(PLACE.sub(VALUE, each)) for each in (*found, rest)]


IN_PYTHON = ("client/darkroom/joint_forms.py", "client/darkroom/joint_task.py")
"""Modules whose sentences name options, and where they are called from Python (`joint_task.in_python`) arguments."""


def modules() -> list[Path]:
    """Return every module whose sentences must have Chinese."""
    found = {path for pattern in SAYING for path in ROOT.glob(pattern)}
    left_out = (path for path in found if any(fnmatch(_name(path), pattern) for pattern in NOT_SAYING))
    return sorted(found - set(left_out))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def bare(template: str) -> str:
    """Return a template without its full stop, as catalogues have it."""
    return template[:-1] if template.endswith(".") and not template.endswith("..") else template


@cache
def sentences() -> tuple[tuple[str, str], ...]:
    """Return every sentence as a template, without its full stop, and where it is said."""
    return tuple(_sentences())


def _sentences() -> Iterator[tuple[str, str]]:
    for path in modules():
        for template, line in of_file(path):
            for each in sorted(_written(template, _name(path))):
                yield each, f"{_name(path)}:{line}"
    for name, table in TABLES:
        for template in of_table(ROOT / name, table):
            yield bare(template), f"{name}, {table}"
    for kind in by_code().values():
        yield bare(kind.advice), f"plans/errors.py, {kind.__name__}"


def _written(template: str, module: str) -> set[str]:
    """Return a template as it is said: in a call of Python with arguments in place of options."""
    return {bare(template), *([bare(_OPTION.sub(_argument, template))] if module in IN_PYTHON else [])}


def phrases() -> Iterator[tuple[str, str]]:
    """Yield every phrase that stands in a sentence, and where it is said."""
    for name, table in PHRASES:
        for phrase in of_table(ROOT / name, table):
            yield phrase, f"{name}, {table}"
    for action in Action:
        yield action.word.english, "portal/permissions.py"
