"""How many cells are opened jointly of one lineage together with another, in a period. Pure rules, and their memory.

    joint/nm/tax/income+nm/health      a pair: the own dataset, and another owner

A joint plan is charged to every pair of its own lineage with one of the other owners, so that a further owner who is
joined opens no new quota, nor does another relation of the same one: who wants to know more might ingest the same
persons under another name. It takes all its cells times the numbers that a cell opens (`mpc.derive.opened_numbers`),
those that will not be opened included: which are not is an answer too. It is charged before a box has a key of the
data, and nothing is given back when an attempt fails.

Beside that, of every sensitive column at most `exact_cells` cells are opened jointly within the owner's period, with
whomever, and no more than one for ten persons (`plans.checks`): the ledger of other statements does not know of these
cells, and many exact sums over chosen persons tell nearly everybody's value (Dinur and Nissim 2003).

The same statement again is another joint plan, and charged again: between the two, one row may have changed (ATTACKS
74), and what two answers tell together is more than what one does. Further attempts at the *same* joint plan are not:
it names the version of every dataset by its hash, so that there is one answer, and the parties hand over that of one
attempt at the most.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from keeper.ledger_quota import Charge, Quota, Quotas, Room
from mpc import api as mpc
from plans.checks import Checks
from plans.errors import BudgetSpent
from plans.joint import JointPlan
from plans.joint_rules import JointRules
from plans.manifest import Kind, Manifest
from plans.reading import Clause, Reading

CHARGED = "joint-charged"
"""The kind of the journal's lines about it."""


def pairs(joint: JointPlan, own: int, dataset: str) -> tuple[str, ...]:
    """Return the subjects of a joint plan's quotas: the own lineage with each of the other owners."""
    others = (each for place, each in enumerate(joint.reading.portions) if place != own)
    return tuple(f"joint/{dataset}+{each.domain}" for each in others)


def cells(joint: JointPlan) -> int:
    """Return how many numbers a joint plan may open."""
    return mpc.opened_numbers(joint)


Column = tuple[Quota, int]
"""The quota of a sensitive column, and how many numbers of a joint plan rest on it."""


def columns(
    joint: JointPlan, own: int, stand_in: Reading, manifest: Manifest, checks: Checks
) -> tuple[Column, ...]:
    """Return the sensitive columns on which numbers of a joint plan rest: all of them, where a column chooses rows or
    cells, else those sums whose operand names it.
    """
    used = [use for use in stand_in.uses if use.relation == manifest.relation]
    chosen = {use.column for use in used if use.clause is not Clause.AGGREGATE}
    found = []
    for column in manifest.columns:
        if column.kind is Kind.SENSITIVE and column.name in {use.column for use in used}:
            subject = f"joint-cells/{manifest.relation}.{column.name}"
            quota = Quota(subject, checks.cells_of(manifest.persons), checks.period_days)
            resting = cells(joint) if column.name in chosen else _resting(joint, own, f'"{column.name}"')
            found.append((quota, resting))
    return tuple(found)


def _resting(joint: JointPlan, own: int, written: str) -> int:
    """Return how many numbers of a plan are made of a column, by how operands write it; a count of values is one."""
    reading = joint.reading
    opened = {place for figure in reading.figures for place in figure.sums}
    of_it = [
        place
        for place in opened
        if any(
            portion == own and written in reading.portions[own].operands[operand].expression
            for portion, operand in reading.sums[place].operands
        )
    ]
    return reading.cells * max(1, len(of_it))


class JointQuotas:
    """What was charged. Whoever asks and charges holds the keeper's lock meanwhile."""

    def __init__(self) -> None:
        self._quotas = Quotas()
        self._charged: set[str] = set()
        self._subjects: set[str] = set()

    def charge(
        self, joint: JointPlan, own: int, dataset: str, rules: JointRules, now: int
    ) -> dict[str, Any] | None:
        """Return the line of the journal that charges a joint plan, or none if it was charged before.

        Raises:
            BudgetSpent: a pair has not so many cells left. No number is told: how much is left tells how much others
                asked.
        """
        if joint.digest in self._charged:
            return None
        subjects, wanted = pairs(joint, own, dataset), cells(joint)
        for subject in subjects:
            room = self.room(subject, rules, now)
            if wanted > room.left:
                raise _spent(subject, room)
        member = joint.request.member
        return {"joint": joint.digest, "member": member, "cells": wanted, "subjects": list(subjects)}

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
        self._charged.add(entry["joint"])
        for subject in entry["subjects"]:
            self._subjects.add(subject)
            self._quotas.charge(subject, Charge(at, entry["joint"], entry["member"], entry["cells"]))
        for subject, amount in entry.get("columns", {}).items():
            self._quotas.charge(subject, Charge(at, entry["joint"], entry["member"], amount))

    def room(self, subject: str, rules: JointRules, now: int) -> Room:
        """Return what is left of a pair. All of it may go to one member: approvers look at every joint plan."""
        return self._quotas.room(Quota(subject, rules.cells, rules.period_days), "", now)

    def status(self, dataset: str, rules: JointRules | None, now: int) -> list[dict[str, Any]]:
        """Return what is left of every pair with a dataset from which something was taken: for the owner."""
        subjects = sorted(each for each in self._subjects if each.startswith(f"joint/{dataset}+"))
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
    when = (
        datetime.datetime.fromtimestamp(room.renews, datetime.UTC).date().isoformat() if room.renews else ""
    )
    return BudgetSpent(
        "what may be opened jointly about these two within the period is used up, or would be by this answer",
        subject.partition("/")[2],
        f"Ask for fewer cells or figures, use an earlier answer, or ask again from {when or 'the next period'}.",
    )
