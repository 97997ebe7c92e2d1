"""How many cells are opened jointly of one lineage together with another, in a period. Pure rules, and their memory.

    joint/nm/tax/income+nm/health              a pair: the own dataset, and another owner
    joint-members/nm/tax/income+nm/health      the own dataset, and of whom in it `nm/health` is told something
    joint-model/nm/tax/model                   a model, and how many scores by it were told to anybody, ever

A joint plan is charged to every pair of its own lineage with one of the other owners, so that a further owner who is
joined opens no new quota, nor does another relation of the same one: who wants to know more might ingest the same
persons under another name. It takes all its cells times the numbers that a cell opens (`mpc.derive.opened_numbers`),
those that will not be opened included: which are not is an answer too. It is charged before a box has a key of the
data, and nothing is given back when an attempt fails.

What is told person by person has no cells: persons in common, scores, records that are looked up. Beside its cells a
collector of two owners that join finds out which of its rows match. Every owner but the one that is told so
(`JointPlan.learner`) charges as many persons as it may be told of (`mpc.derive.told_persons`), whoever of them is
there: who is not is an answer too. Whoever is told knows these persons itself, so for them it charges nothing.

A linear model is known to whoever has as many scores as it has unknowns, whenever they were told, and two finders may
put theirs together. So all scores by a model whose owner keeps it (`JointRules.given_away`) stay below that, of all
finders together and without a period; over its versions too, of which each says nearly what the last one did. A score
in which several coefficients have room side by side counts for as many (`mpc.told_by_score`).

Beside that, of every sensitive column at most `exact_cells` cells are opened jointly within the owner's period, with
whomever, and no more than one for ten persons (`plans.checks`): the ledger of other statements does not know of these
cells, and many exact sums over chosen persons tell nearly everybody's value (Dinur and Nissim 2003).

The same statement again is another joint plan, and charged again: between the two, one row may have changed (ATTACKS
74), and what two answers tell together is more than what one does. Further attempts at the *same* joint plan are not:
it names the version of every dataset by its hash, so that there is one answer, and the parties hand over that of one
attempt at the most. But where another owner opens first, or is told of persons, its side has that as soon as its box
has ended, and may say that the attempt failed and put other rows in for the next. There every attempt is charged, and
there are no more than `MOST_ATTEMPTS_TOLD`: approvers signed what one answer tells.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keeper.ledger_quota import Charge, Quota, Quotas, Room
from mpc import api as mpc
from plans.checks import Checks
from plans.errors import BudgetSpent, Outdated
from plans.joint import MOST_ATTEMPTS_TOLD, JointPlan, Shape
from plans.joint_rules import JointRules
from plans.manifest import Kind, Manifest
from plans.reading import Clause, Reading

CHARGED = "joint-charged"
"""The kind of the journal's lines about it."""

_CELLS, _MEMBERS, _MODEL = "joint/", "joint-members/", "joint-model/"
"""How subjects begin: of both kinds of pairs, and of models."""

_EVER = 1_000_000
"""Days of a period that does not end."""


def costs(joint: JointPlan, own: int, dataset: str) -> dict[str, int]:
    """Return what a joint plan takes of each subject of the own dataset: numbers that it may open, with each of the
    other owners; persons of whom it may tell, and scores by a model, to who learns it, which itself charges none.
    """
    domains = [portion.domain for portion in joint.reading.portions]
    found = {}
    if joint.reading.figures:
        opened = mpc.opened_numbers(joint)
        found = {f"{_CELLS}{dataset}+{each}": opened for each in domains if each != domains[own]}
    if joint.learner not in ("", domains[own]):
        found[f"{_MEMBERS}{dataset}+{joint.learner}"] = mpc.told_persons(joint)
        if joint.reading.score is not None:
            each = mpc.told_by_score(joint.reading)
            found[f"{_MODEL}{dataset}"] = mpc.told_persons(joint) * each
    return found


Column = tuple[Quota, int]
"""The quota of a sensitive column, and how many numbers of a joint plan rest on it."""


def columns(
    joint: JointPlan, own: int, stand_in: Reading, manifest: Manifest, checks: Checks
) -> tuple[Column, ...]:
    """Return the sensitive columns on which numbers of a joint plan rest: all of them, where a column chooses rows or
    cells, else those sums whose operand names it. Data about nobody have none; and of a register whose records are
    looked up, persons are counted and not cells.
    """
    if not manifest.about_persons or joint.reading.portions[own].fields:
        return ()
    used = [use for use in stand_in.uses if use.relation == manifest.relation]
    chosen = {use.column for use in used if use.clause is not Clause.AGGREGATE}
    found = []
    for column in manifest.columns:
        if column.kind is Kind.SENSITIVE and column.name in {use.column for use in used}:
            subject = f"joint-cells/{manifest.relation}.{column.name}"
            quota = Quota(subject, checks.cells_of(manifest.persons), checks.period_days)
            written = f'"{column.name}"'
            found.append((quota, _chosen(joint) if column.name in chosen else _resting(joint, own, written)))
    return tuple(found)


def _chosen(joint: JointPlan) -> int:
    """Return how many numbers of a plan rest on a column that chooses rows or cells: all; where persons are told of
    one, as of the count that stands in for the finder's condition. So it is with features that are scored.
    """
    return max(1, mpc.opened_numbers(joint))


def _resting(joint: JointPlan, own: int, written: str) -> int:
    """Return how many numbers of a plan are made of a column, by how operands write it; a count of values is one.

    Sums over one table in parts name the operands of its first holder, and mean those of all at the same place.
    """
    reading = joint.reading
    named = 0 if reading.shape is Shape.STACKED else own
    opened = {place for figure in reading.figures for place in figure.sums}
    of_it = [
        place
        for place in opened
        if any(
            portion == named and written in reading.portions[own].operands[operand].expression
            for portion, operand in reading.sums[place].operands
        )
    ]
    return reading.cells * max(1, len(of_it))


@dataclass(frozen=True, slots=True)
class Run:
    """An attempt at a joint plan, for the owner of the portion at this place, and the dataset that is behind it."""

    joint: JointPlan
    own: int
    dataset: str
    attempt: int = 1

    @property
    def charged_as(self) -> int:
        """The attempt's number where every one is charged, since another owner has its answer, or part of it, before
        all have ended; 0 where the first stands for all.
        """
        joint, own = self.joint, self.joint.reading.portions[self.own].domain
        return self.attempt if {joint.task.inspector, joint.learner} - {"", own} else 0


class JointQuotas:
    """What was charged. Whoever asks and charges holds the keeper's lock meanwhile."""

    def __init__(self) -> None:
        self._quotas = Quotas()
        self._charged: set[tuple[str, int]] = set()
        self._subjects: set[str] = set()

    def charge(self, run: Run, rules: JointRules, now: int) -> dict[str, Any] | None:
        """Return the line of the journal that charges an attempt at a joint plan, or none if it was charged before.

        Raises:
            BudgetSpent: a pair has not so many cells, or persons, left. No number is told: how much is left tells how
                much others asked.
            Outdated: another owner may have had the answer of as many attempts as there may be.
        """
        joint = run.joint
        if (joint.digest, run.charged_as) in self._charged:
            return None
        told = sum(digest == joint.digest and attempt > 0 for digest, attempt in self._charged)
        if told >= MOST_ATTEMPTS_TOLD:
            raise Outdated(
                f"another owner may have the answers of {told} attempts at this joint plan, and there are no more",
                f"attempt {run.attempt}",
                "Ask anew, so that people look at it again.",
            )
        wanted = costs(joint, run.own, run.dataset)
        for subject, amount in wanted.items():
            if subject.startswith(_MODEL):
                self._require_kept(subject, amount, joint, rules, now)
                continue
            room = self.room(subject, rules, now)
            if amount > room.left:
                raise _spent(subject, room)
        return {
            "joint": joint.digest,
            "attempt": run.charged_as,
            "member": joint.request.member,
            "subjects": wanted,
        }

    def _require_kept(self, subject: str, amount: int, joint: JointPlan, rules: JointRules, now: int) -> None:
        """Check that nobody has enough scores by a model to work it out, unless its owner gives it away."""
        quota = Quota(subject, mpc.unknowns(joint.reading) - 1, _EVER)
        if not rules.given_away and amount > self._quotas.room(quota, "", now).left:
            raise BudgetSpent(
                "all scores by this model that were ever told to anybody, and those of this answer, are enough to work "
                "it out",
                subject.removeprefix(_MODEL),
                "Use the scores that were told, or ask its owner to say in its terms that the model is given away.",
            )

    def of_columns(self, wanted: tuple[Column, ...], now: int) -> dict[str, int]:
        """Return what a joint plan takes of each sensitive column, if there is room.

        Raises:
            BudgetSpent: a column has not so many cells left. No number is told.
        """
        for quota, amount in wanted:
            if amount > self._quotas.room(quota, "", now).left:
                raise BudgetSpent(
                    "what may be opened jointly of this column within the period is used up, or would be by this "
                    "answer",
                    quota.subject.partition("/")[2],
                    "Ask for fewer cells or figures, use an earlier answer, or ask again in the next period.",
                )
        return {quota.subject: amount for quota, amount in wanted}

    def take_in(self, entry: Mapping[str, Any], at: int) -> None:
        """Believe a line of the journal."""
        joint, attempt, member = entry["joint"], entry.get("attempt", 0), entry["member"]
        self._charged.add((joint, attempt))
        name = f"{joint}/{attempt}" if attempt else joint  # charges of one name replace each other
        self._subjects |= set(entry["subjects"])
        for subject, amount in (entry["subjects"] | entry.get("columns", {})).items():
            self._quotas.charge(subject, Charge(at, name, member, amount))

    def room(self, subject: str, rules: JointRules, now: int) -> Room:
        """Return what is left of a pair. All of it may go to one member: approvers look at every joint plan."""
        amount = rules.members if subject.startswith(_MEMBERS) else rules.cells
        return self._quotas.room(Quota(subject, amount, rules.period_days), "", now)

    def status(self, dataset: str, rules: JointRules | None, now: int) -> list[dict[str, Any]]:
        """Return what is left of every pair with a dataset from which something was taken: for the owner."""
        kinds = (f"{_CELLS}{dataset}+", f"{_MEMBERS}{dataset}+")
        subjects = sorted(each for each in self._subjects if each.startswith(kinds))
        rooms = [self.room(subject, rules, now) for subject in subjects] if rules else []
        return [
            {
                "subject": room.quota.subject,
                "amount": room.quota.amount,
                "days": room.quota.days,
                "left": room.left,
                "renews": room.renews,
            }
            for room in rooms
        ]


def _spent(subject: str, room: Room) -> BudgetSpent:
    if subject.startswith(_MEMBERS):
        what = "of how many persons here another owner may be told something within the period"
        fewer = "Ask with fewer rows of the own"
    else:
        what, fewer = (
            "what may be opened jointly about these two within the period",
            "Ask for fewer cells or figures",
        )
    when = (
        datetime.datetime.fromtimestamp(room.renews, datetime.UTC).date().isoformat() if room.renews else ""
    )
    return BudgetSpent(
        f"{what} is used up, or would be by this answer",
        subject.partition("/")[2],
        f"{fewer}, use an earlier answer, or ask again from {when or 'the next period'}.",
    )
