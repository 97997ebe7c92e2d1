"""The disclosure ledger: what was released about whom, and what may still be. Its exact semantics: docs/ledger.md.

Between the box that counts persons and the one that protects or judges, the keeper opens the sets of persons that the
first has left, weighs them against everything that was ever released about the lineages, and gives the second box the
positions of the rows that it must keep back. What was weighed is on disk before that key is given, and counts from then
on, whatever becomes of the plan.
"""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keeper.ledger_book import Book, Page
from keeper.ledger_case import BITS, Case
from keeper.ledger_quota import Charge, Quota, Quotas, Room
from keeper.ledger_rules import Apart, Lineage, released_from, withheld_rows
from plans.errors import BudgetSpent, HashMismatch, PolicyDenied, StateConflict
from plans.sets import SIGNS, Sets

Withheld = tuple[tuple[int, ...], ...]
Note = Callable[[str, dict[str, Any]], None]
"""Writes a line of the journal durably, and has it taken in (`keeper.keeper`)."""

SPENT = "quota"
PAGE, BEGUN, CLOSED = "ledger", "ledger-begun", "ledger-closed"
"""Kinds of lines of the journal."""

FAILURE_BITS = 16
"""What a run of members' code tells that leaves nothing, in bits: one of few codes, whether a line was that of its
trial, and about how long it took."""

FAILURE_CELLS = 1
"""What a statement or component tells that fails: whether it had too many large groups, say."""

REFUSAL_BITS = 1_000
"""What the refusal of an output tells at the most, in bits: its rule classes, and how long it took."""


class Ledger:
    """One keeper's ledger. Whoever weighs or reserves does so one at a time, so that what is left is spent once; lines
    are noted, and taken in, under the keeper's lock.
    """

    def __init__(self, book: Book, note: Note) -> None:
        self._book, self._note = book, note
        self._lineages: defaultdict[str, Lineage] = defaultdict(Lineage)
        self._quotas = Quotas()
        self._pages: dict[str, Page] = {}
        self._questions: dict[str, Page] = {}
        self._reserved: dict[str, Page] = {}
        self._closed: set[str] = set()
        self._begun: dict[str, int] = {}

    # --- asking -----------------------------------------------------

    def require_room(self, case: Case, now: int) -> None:
        """Check, before any box has a key of the data, that each quota has room for the least answer.

        It is decided from earlier answers alone, so it costs nothing.

        Raises:
            BudgetSpent: one has none.
        """
        if case.plan not in self._pages and case.question not in self._questions:
            self._require(case, {quota.subject: 1 for quota in case.quotas}, now)

    def weigh(self, case: Case, attempt: int, tables: Sequence[Sets], now: int) -> Withheld:
        """Return the rows of each table that are kept back, and charge for what leaves; asked again, the same.

        Raises:
            BudgetSpent: a quota has no room. Where that depends on how many rows there are, it was charged as well.
            HashMismatch: the sets are not those of the tables, or of another attempt at the same plan.
        """
        page = self._pages.get(case.plan)
        if page is None:
            page = self._repeated(case, attempt, tables) or self._fresh(case, attempt, tables, now)
            self._write(page)
        if page.refused:
            raise self._refusal(case, now)
        withheld = _as_before(page, tables)
        if withheld is None:
            raise HashMismatch(
                "another attempt at the same plan counts other persons", "sets", "Submit the job again."
            )
        return withheld

    def begin(self, case: Case, attempt: int, now: int) -> None:
        """Charge what an attempt tells even if it fails, before a box has a key of the data.

        What is reserved or left takes the place of what its own attempt was charged; what failed before it stays
        charged. A statement that was answered before tells nothing new.

        Raises:
            BudgetSpent: there is no room for it.
            StateConflict: the plan's output has left or was refused, so there is nothing to run for.
        """
        code = any(quota.subject.startswith(f"{BITS}/") for quota in case.quotas)
        over = case.plan in self._pages and case.plan not in self._reserved
        if not code and (over or case.question in self._questions):
            return
        if over or case.plan in self._closed:
            raise StateConflict(
                "the output of this plan has left or was refused", "ledger", "Submit the job again."
            )
        if attempt <= self._begun.get(case.plan, 0):
            return
        reserved = self._reserved.get(case.plan)
        first = reserved.charges if reserved else {}
        charges = {
            quota.subject: first.get(quota.subject, 0) + _failing(quota) * (attempt - (reserved is not None))
            for quota in case.quotas
        }
        self._require(case, charges, now)
        self._note(BEGUN, {"plan": case.plan, "member": case.member, "attempt": attempt, "charges": charges})

    def take_in_begun(self, entry: Mapping[str, Any], at: int) -> None:
        """Believe that an attempt was charged."""
        self._begun[entry["plan"]] = entry["attempt"]
        for subject, amount in entry["charges"].items():
            self._quotas.charge(subject, Charge(at, entry["plan"], entry["member"], amount))

    def reserve(self, case: Case, attempt: int, amount: int, now: int) -> None:
        """Reserve bits of members' code; asked again for the same plan, nothing more.

        Raises:
            BudgetSpent: there is no room for so many.
            StateConflict: the plan's output was refused, and its reservation given back.
        """
        if case.plan in self._closed:
            raise StateConflict("the output of this plan was refused", "ledger", "Submit the job again.")
        if case.plan not in self._pages:
            failed = FAILURE_BITS * self._failed(case.plan)
            charges = {quota.subject: amount + failed for quota in case.quotas}
            self._require(case, charges, now)
            self._write(_page(case, attempt, (), charges))

    def settle(self, plan: str, bits: int | None) -> None:
        """Take note of how many bits really left; where nobody has measured them, what was reserved stays."""
        page = self._reserved.pop(plan, None) if bits is not None else None
        if page is not None and bits is not None:
            for subject in page.charges:
                if subject.startswith(f"{BITS}/"):
                    self._quotas.settle(subject, plan, bits + FAILURE_BITS * self._failed(plan))

    def _failed(self, plan: str) -> int:
        """Return how many attempts at a plan have begun before the last, and so left nothing."""
        return max(0, self._begun.get(plan, 1) - 1)

    def reserved(self) -> tuple[Page, ...]:
        """Return the pages of members' code of which nobody has said yet how many bits left."""
        return tuple(self._reserved.values())

    def close(self, plan: str) -> None:
        """Take note that a plan's output was refused: what its refusal tells is charged, and nothing of it leaves."""
        self._note(CLOSED, {"plan": plan})

    def take_in_closed(self, plan: str) -> None:
        """Believe that."""
        self.settle(plan, REFUSAL_BITS)
        self._closed.add(plan)

    def may_leave(self, plan: str) -> bool:
        """Return whether a plan was weighed, or reserved, and nothing was refused of it."""
        page = self._pages.get(plan)
        return page is not None and not page.refused and plan not in self._closed

    def room(self, quota: Quota, member: str, now: int) -> Room:
        """Return what is left of a quota."""
        return self._quotas.room(quota, member, now)

    def cells(self, dataset: str) -> int:
        """Return how many vectors are kept about a lineage: released sets and what follows from them."""
        return len(self._lineages[dataset])

    def page(self, plan: str) -> Page | None:
        """Return what was weighed for a plan, or none."""
        return self._pages.get(plan)

    # --- weighing -----------------------------------------------------

    def _fresh(self, case: Case, attempt: int, tables: Sequence[Sets], now: int) -> Page:
        self.require_room(case, now)
        charges = _charges(case, tables)
        if self._lacking(case, charges, now):
            least = dict.fromkeys(charges, 1)
            return replace(_page(case, attempt, (), least), refused=SPENT)
        lineages = [self._lineages[dataset] for dataset in case.datasets]
        withheld = self._weighed(case, tables, lineages)
        return _page(case, attempt, tables, charges, withheld)

    def _weighed(self, case: Case, tables: Sequence[Sets], lineages: Sequence[Lineage]) -> Withheld:
        """Weigh table after table; those of one answer leave together, so each is weighed against those before."""
        found: list[tuple[int, ...]] = []
        before, apart = Lineage(), Apart(case.differ, case.enterprises, case.missing)
        for table in tables:
            rows = withheld_rows(table, (*lineages, before), apart, case.minimum, case.persons)
            before.take_in(*released_from(table, rows, case.minimum, apart.enterprises), *case.persons)
            found.append(rows)
        return tuple(found)

    def _repeated(self, case: Case, attempt: int, tables: Sequence[Sets]) -> Page | None:
        """Return the page of a question that was answered before: the same rows are kept back, at no charge."""
        known = self._questions.get(case.question)
        withheld = None if known is None or known.refused else _as_before(known, tables)
        if withheld is None:
            return None
        return replace(_page(case, attempt, tables, {}, withheld), repeats=True)

    def _write(self, page: Page) -> None:
        self._note(PAGE, {"plan": page.plan, "page": self._book.write(page)})

    def take_in(self, plan: str, digest: str, at: int) -> None:
        """Believe a page that the journal names."""
        page = self._book.read(plan, digest)
        self._pages[plan] = page
        if any(subject.startswith(f"{BITS}/") for subject in page.charges):
            self._reserved[plan] = page
        for subject, amount in page.charges.items():
            self._quotas.charge(subject, Charge(at, plan, page.member, amount))
        if page.refused or page.repeats:
            return
        self._questions.setdefault(page.question, page)
        for table, rows in zip(page.tables, page.withheld, strict=True):
            released = released_from(table, rows, page.minimum, page.enterprises)
            for dataset, persons in zip(page.datasets, page.persons, strict=True):
                self._lineages[dataset].take_in(*released, persons)

    # --- quotas -----------------------------------------------------

    def _lacking(self, case: Case, charges: Mapping[str, int], now: int) -> Room | None:
        for quota in case.quotas:
            room = self._quotas.room(quota, case.member, now, case.plan)
            if charges.get(quota.subject, 0) > room.own:
                return room
        return None

    def _require(self, case: Case, charges: Mapping[str, int], now: int) -> None:
        if self._lacking(case, charges, now):
            raise self._refusal(case, now)

    def _refusal(self, case: Case, now: int) -> BudgetSpent:
        """Return the refusal. It names a subject and a day, no number: how much is left tells how much others asked."""
        rooms = [self._quotas.room(quota, case.member, now) for quota in case.quotas]
        least = min(rooms, key=lambda room: room.own, default=None)
        subject = least.quota.subject.partition("/")[2] if least else "ledger"
        when = _day(least.renews) if least and least.renews else "the next period"
        return BudgetSpent(
            "what may leave about this within the period is used up, or would be by this answer",
            subject,
            f"Ask for fewer or coarser cells, use an earlier answer, or ask again from {when}.",
        )


def without_sets() -> PolicyDenied:
    """Return the refusal of an answer that cannot be weighed."""
    return PolicyDenied(
        "the persons behind this answer are not known, so it cannot be weighed against earlier ones",
        "ledger",
        "Submit the job again; tell the owner if it happens again.",
    )


def _page(
    case: Case,
    attempt: int,
    tables: Sequence[Sets],
    charges: Mapping[str, int],
    withheld: Withheld = (),
) -> Page:
    return Page(
        plan=case.plan,
        attempt=attempt,
        question=case.question,
        member=case.member,
        datasets=case.datasets,
        charges=dict(charges),
        minimum=case.minimum,
        persons=case.persons,
        refused="",
        repeats=False,
        withheld=withheld,
        tables=tuple(tables),
        enterprises=case.enterprises,
    )


def _charges(case: Case, tables: Sequence[Sets]) -> dict[str, int]:
    """Return what an answer takes: for each row of each table, its figures that rest on the column."""
    charges: Counter[str] = Counter()
    for place, table in enumerate(tables):
        figures = case.figures[min(place, len(case.figures) - 1)] if case.figures else {}
        for column, count in figures.items():
            charges[f"cells/{column}"] += max(table.rows, 1) * count  # that there is no row is an answer, too
    return {subject: amount for subject, amount in charges.items() if amount}


def _failing(quota: Quota) -> int:
    return FAILURE_BITS if quota.subject.startswith(f"{BITS}/") else FAILURE_CELLS


def _as_before(page: Page, tables: Sequence[Sets]) -> Withheld | None:
    """Return which rows are kept back if these are the rows of the page, in whatever order; else none."""
    if len(page.tables) != len(tables):
        return None
    found = []
    for known, table, rows in zip(page.tables, tables, page.withheld, strict=True):
        before, now = _rows(known), _rows(table)
        if Counter(before) != Counter(now):
            return None
        back = {before[place] for place in rows}
        found.append(tuple(place for place, row in enumerate(now) if row in back))
    return tuple(found)


def _rows(table: Sets) -> list[bytes]:
    """Return a digest of the sets of each row."""
    wide, found = table.per_row, []
    for row in range(table.rows):
        persons = table.persons[row * wide : (row + 1) * wide]
        prints = table.prints[row * wide * SIGNS : (row + 1) * wide * SIGNS]
        text = ",".join(map(str, persons)) + ";" + ",".join(map(str, prints))
        found.append(hashlib.sha256(text.encode()).digest())
    return found


def _day(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date().isoformat()
