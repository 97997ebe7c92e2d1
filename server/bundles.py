"""What a new bundle changes, and whether it fits the datasets that there are. Nothing here signs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plans.errors import SettingsWrong
from plans.manifest import Manifest
from plans.statements import Bundle, DatasetPolicy
from policies import api as policies
from policies import telling
from server.policy_files import PAGE, Written


def require_fitting(written: Written, bundle: Bundle, manifests: tuple[Manifest, ...]) -> None:
    """Check a bundle against the domain's datasets.

    Raises:
        SettingsWrong: it speaks of something that is not there, or contradicts itself; the first line is named,
            all problems are told.
    """
    found = policies.problems(bundle, manifests)
    if found:
        told = "; ".join(f"{problem.sentence} (line {written.lines.of(problem.where)})" for problem in found)
        raise SettingsWrong(told, written.place(*found[0].where), found[0].help or PAGE)


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
        yield f"tag {tag.name}", telling.tag_line(tag)
    for policy in bundle.policies:
        yield from _said_of(policy)


def _said_of(policy: DatasetPolicy) -> Iterator[tuple[str, str]]:
    for name, value in telling.settings_lines(policy).items():
        yield f"{policy.dataset} {name}", value
    for access in policy.access:
        yield f"{policy.dataset} access", telling.access_line(access)
    for constraint in policy.constraints:
        yield f"{policy.dataset}.{constraint.column}", telling.constraint_line(constraint)
    for tagged in policy.tagged:
        yield f"{policy.dataset}.{tagged.column} tags", ", ".join(tagged.tags)
