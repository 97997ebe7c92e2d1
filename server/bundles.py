"""What a new bundle changes, and whether it fits the datasets that there are. Nothing here signs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plans.errors import SettingsWrong
from plans.manifest import Manifest
from plans.statements import Bundle, DatasetPolicy
from policies import api as policies
from server.policy_files import Written
from server.policy_lines import Path as Way


def require_fitting(written: Written, bundle: Bundle, manifests: tuple[Manifest, ...]) -> None:
    """Check a bundle against the domain's datasets.

    Raises:
        SettingsWrong: it speaks of something that is not there, or contradicts itself; the first line is named,
            all problems are told.
    """
    found = policies.problems(bundle, manifests)
    if found:
        more = "".join(f"; {problem}" for problem in found[1:])
        what = f"{_subject(found[0])}: {found[0].what}{more}"
        raise SettingsWrong(what, written.place(*_way(found[0])), found[0].next_step)


def _subject(problem: policies.Problem) -> str:
    return ".".join(part for part in (problem.dataset, problem.subject) if part) or "the bundle"


def _way(problem: policies.Problem) -> Way:
    """Return the way in a file to what a problem is about."""
    if not problem.dataset:
        return ("tags", problem.subject)
    return (problem.dataset, "columns", problem.subject) if problem.subject else (problem.dataset,)


def changes(old: Bundle | None, new: Bundle) -> tuple[str, ...]:
    """Return what a new bundle takes away (`-`) and adds (`+`), a line for every setting and rule that differs.

    The order is that of names, so two readers see the same list.
    """
    before, after = (_lines(bundle) if bundle else {} for bundle in (old, new))
    told = []
    for subject in sorted(set(before) | set(after)):
        gone, come = before.get(subject, ()), after.get(subject, ())
        told += [f"- {subject}: {line}" for line in gone if line not in come]
        told += [f"+ {subject}: {line}" for line in come if line not in gone]
    return tuple(told)


def _lines(bundle: Bundle) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for subject, line in _said(bundle):
        found[subject] = (*found.get(subject, ()), line)
    return found


def _said(bundle: Bundle) -> Iterator[tuple[str, str]]:
    for tag in bundle.tags:
        yield f"class {tag.name}", policies.tag_line(tag)
    for policy in bundle.policies:
        yield from _said_of(policy)


def _said_of(policy: DatasetPolicy) -> Iterator[tuple[str, str]]:
    for name, value in policies.settings_lines(policy).items():
        yield f"{policy.dataset} {name}", value
    for access in policy.access:
        yield f"{policy.dataset} access", policies.access_line(access)
    for constraint in policy.constraints:
        yield f"{policy.dataset}.{constraint.column}", policies.constraint_line(constraint)
    for tagged in policy.tagged:
        yield f"{policy.dataset}.{tagged.column} tags", ", ".join(tagged.tags)
