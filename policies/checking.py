"""Whether a bundle is fit to be put in force for the datasets that there are: everything that is wrong with it.

A bundle is well-formed by itself (`plans.statements`). Here it is held against the manifests: a rule about a column
that was renamed would silently allow nothing, or, worse, forbid nothing. Whoever signs or accepts a bundle asks
`problems` first, and keeps the old bundle in force while there are any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from plans import masks, names
from plans.checks import Mode
from plans.constraints import ANY, Constraint, Effect, Reveal, Share, Use
from plans.manifest import Column, Kind, Manifest
from plans.statements import Bundle, DatasetPolicy
from policies.constraints import chain_of
from policies.grants import Granted


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: the dataset (empty: the bundle itself), the column or class, what, and the next step."""

    dataset: str
    subject: str
    what: str
    next_step: str

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.dataset, self.subject) if part)
        return f"{where or 'the bundle'}: {self.what}. {self.next_step}"


def problems(bundle: Bundle, manifests: Iterable[Manifest]) -> tuple[Problem, ...]:
    """Return everything that is wrong with a bundle for the current versions of its datasets, sorted; none is well."""
    current = {manifest.dataset: manifest for manifest in manifests}
    found = [*_of_bundle(bundle), *_of_tags(bundle)]
    found += _alike_classes([tag.name for tag in bundle.tags])
    for policy in bundle.policies:
        found += _of_policy(policy, bundle)
        manifest = current.get(policy.dataset)
        if manifest is None:
            found.append(_no_dataset(policy.dataset, current))
        else:
            found += [*_of_columns(policy, manifest), *_of_enterprises(policy, manifest)]
    return tuple(sorted(set(found)))


def grant_problems(granted: Iterable[Granted], manifests: Iterable[Manifest]) -> tuple[Problem, ...]:
    """Return which grants give what is not there: a dataset that is gone, or a column that is gone."""
    current = {manifest.dataset: manifest for manifest in manifests}
    found = []
    for one in granted:
        manifest = current.get(one.grant.dataset)
        if manifest is None:
            found.append(
                Problem(one.grant.dataset, one.digest, "a grant outlives its dataset", "Revoke the grant.")
            )
            continue
        for column in one.grant.columns:
            if manifest.column(column) is None:
                what = f"a grant names the column {column}, which version {manifest.version} does not have"
                found.append(Problem(one.grant.dataset, one.digest, what, "Revoke it and sign a new one."))
    return tuple(sorted(set(found)))


# --- the bundle and its classes -----------------------------------------------------


def _of_bundle(bundle: Bundle) -> Iterator[Problem]:
    if not bundle.policies:
        yield Problem(
            "", "", "it has no policy, so nothing is allowed any more", "Write a policy for a dataset."
        )
    for policy in bundle.policies:
        if names.domain_of(policy.dataset) != bundle.domain:
            yield Problem(
                policy.dataset, "", f"the dataset does not belong to {bundle.domain}", "Leave it out."
            )


def _of_tags(bundle: Bundle) -> Iterator[Problem]:
    known = {tag.name: tag for tag in bundle.tags}
    for tag in bundle.tags:
        trouble = chain_of(tag.name, known)[1]
        if trouble:
            yield Problem("", tag.name, trouble, "Describe each class once, below a class that is described.")
        if tag.functions and Use.AGGREGATE not in tag.uses:
            yield Problem(
                "",
                tag.name,
                "it names functions and not the use aggregate",
                "Add the use, or leave them out.",
            )


def _of_policy(policy: DatasetPolicy, bundle: Bundle) -> Iterator[Problem]:
    """Yield what is wrong with a policy whatever the dataset's columns are."""
    dataset = policy.dataset
    if not policy.access:
        yield Problem(dataset, "", "no access rule, so nobody may do anything", "Write who may do what.")
    if not policy.constraints:
        yield Problem(
            dataset, "", "no column may be used", "Write a rule for a column, or leave the dataset out."
        )
    if policy.share is Share.NONE and not policy.basis and policy.constraints:
        yield Problem(
            dataset, "", "the share type none has no legal basis", "Name the law, or allow nothing."
        )
    for number, rule in enumerate(policy.access, 1):
        if not (rule.parties and rule.roles and rule.actions and rule.purposes):
            what = f"access rule {number} names no party, role, action or purpose, so it speaks about nobody"
            yield Problem(dataset, "", what, "Write `any` where everybody is meant.")
    known = {tag.name: tag for tag in bundle.tags}
    for tagged in policy.tagged:
        for name in tagged.tags:
            trouble = chain_of(name, known)[1]
            if trouble:
                yield Problem(dataset, tagged.column, trouble, "Describe the class in this bundle.")


# --- columns -----------------------------------------------------


def _of_columns(policy: DatasetPolicy, manifest: Manifest) -> Iterator[Problem]:
    columns = {column.name: column for column in manifest.columns}
    named = dict.fromkeys(
        [rule.column for rule in policy.constraints] + [each.column for each in policy.tagged]
    )
    for name in named:
        if name == names.PERSON and manifest.about_persons:
            yield from _of_person(policy)
        elif name not in columns:
            yield _no_column(policy.dataset, name, manifest)
    for rule in policy.constraints:
        yield from _of_rule(policy.dataset, rule, columns.get(rule.column))
    for name in named:
        yield from _of_masks(policy.dataset, name, policy.about(name))


def _of_enterprises(policy: DatasetPolicy, manifest: Manifest) -> Iterator[Problem]:
    """Yield why the enterprises that the policy speaks of can never be counted."""
    name, column = policy.enterprise, manifest.column(policy.enterprise)
    if name == names.PERSON and manifest.about_persons:
        return
    if name and column is None:
        yield _no_column(policy.dataset, name, manifest)
    elif column is not None and column.kind is Kind.IDENTIFIER:
        what = (
            "enterprises are counted by a column that was cut off as an identifier, so nobody can count them"
        )
        yield Problem(
            policy.dataset, name, what, "Name a column that stays, or `person` if they are the persons."
        )
    if policy.mode is Mode.PRIVATE and policy.checks.enterprises:
        what = "the mode private cannot promise a number of enterprises, so every answer would be refused"
        yield Problem(policy.dataset, name, what, "Ask for none, or use the mode rules.")


def _of_person(policy: DatasetPolicy) -> Iterator[Problem]:
    """The token is no column: a rule about it says whether rows may be linked by it, and nothing else."""
    odd = [
        rule
        for rule in policy.about(names.PERSON)
        if set(rule.uses) - {Use.JOIN} or rule.mask or rule.functions
    ]
    if odd or any(each.column == names.PERSON for each in policy.tagged):
        yield Problem(
            policy.dataset,
            names.PERSON,
            "the person token takes the use join (of rows), and no other rule",
            "Leave the other words out; figures may always join on it and count it.",
        )


def _of_rule(dataset: str, rule: Constraint, column: Column | None) -> Iterator[Problem]:
    def problem(what: str, next_step: str) -> Problem:
        return Problem(dataset, rule.column, what, next_step)

    if not (rule.parties and rule.roles and rule.purposes):
        yield problem(
            "a rule names no party, role or purpose, so it speaks about nobody", "Write `any` for everybody."
        )
    if rule.effect is Effect.DENY and not rule.uses and not rule.functions:
        yield problem("a prohibition names no use, so it forbids nothing", "Name the uses that it forbids.")
    if Use.SELECT in rule.uses and rule.minimum > 1 and rule.reveal.level >= Reveal.JOINED.level:
        yield problem(
            f"single values are shown, and only over {rule.minimum} persons: nothing meets both",
            "Reveal it as a group key, or leave the minimum out.",
        )
    if column is None:
        return
    if column.kind is Kind.IDENTIFIER and rule.effect is Effect.ALLOW and rule.uses:
        yield problem("it identifies people directly, so no rule can allow its use", "Leave the rule out.")
    if rule.mask is not None and not masks.fits(rule.mask, column.type):
        yield problem(
            f"the mask {rule.mask.kind} does not fit the type {column.type}", "Choose a mask that does."
        )


def _of_masks(dataset: str, column: str, rules: tuple[Constraint, ...]) -> Iterator[Problem]:
    """Yield pairs of rules that could concern one asker and mask a column in two ways."""
    masked = [rule for rule in rules if rule.mask is not None]
    for number, one in enumerate(masked):
        for other in masked[number + 1 :]:
            if one.mask != other.mask and _may_meet(one, other):
                what = "two rules that can hold for the same asker mask it in different ways"
                yield Problem(
                    dataset, column, what, "Tell parties, roles or purposes apart, or use one mask."
                )


def _may_meet(one: Constraint, other: Constraint) -> bool:
    """Return whether some asker is concerned by both rules."""
    return (
        any(_parties_meet(left, right) for left in one.parties for right in other.parties)
        and _words_meet(one.roles, other.roles)
        and _words_meet(one.purposes, other.purposes)
    )


def _parties_meet(left: str, right: str) -> bool:
    if ANY in (left, right) or left == right:
        return True
    domains = [party.partition("@")[2] or party for party in (left, right)]
    if "@" in left and "@" in right:
        return False
    if "@" in left:
        return names.within(domains[0], domains[1])
    if "@" in right:
        return names.within(domains[1], domains[0])
    return names.within(*domains) or names.within(domains[1], domains[0])


def _words_meet(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    if not left or not right:
        return False
    return ANY in left or ANY in right or not set(left).isdisjoint(right)


def _no_dataset(dataset: str, current: Iterable[str]) -> Problem:
    what = f"there is no current version of this dataset{_but(dataset, current)}"
    return Problem(dataset, "", what, "Ingest it first, or leave it out.")


def _no_column(dataset: str, column: str, manifest: Manifest) -> Problem:
    there = [each.name for each in manifest.columns]
    what = f"version {manifest.version} has no such column{_but(column, there)}"
    next_step = f"If it was renamed, use the new name; there are: {', '.join(there)}."
    return Problem(dataset, column, what, next_step)


# --- look-alikes -----------------------------------------------------

_ALIKE = str.maketrans(
    {"0": "o", "1": "l", "i": "l", "5": "s", "2": "z", "8": "b", "_": "", "-": "", "/": ""}
)


def look(name: str) -> str:
    """Return a form in which names are equal that a reader takes for one another.

    The forms of names admit ASCII letters only, so nothing of another alphabet comes here (`plans.names`).
    """
    return name.translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def _but(name: str, there: Iterable[str]) -> str:
    """Return the hint that something similar is there, or nothing."""
    alike = sorted(other for other in there if look(other) == look(name))
    return f", though {alike[0]} looks like it" if alike else ""


def _alike_classes(listed: Iterable[str]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in sorted(listed):
        other = seen.setdefault(look(name), name)
        if other != name:
            yield Problem("", name, f"the class looks like {other}", "Give one of them another name.")
