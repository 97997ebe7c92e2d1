"""Held outputs: what waits at the owner's desk for people, kept by the keeper itself.

The judging box has left three files under keys that only this keeper can make again (`policies.derive`): the sealed
bytes, the same output as reviewers read it, and the record of every rule with its numbers. A launcher's folder is
swept, and working days are long, so the keeper takes them over, still encrypted, the first time that it is asked for
the release. What reviewers read is opened here, at the desk on the owner's own machine, and nowhere else.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from keeper.deadlines import REVIEW_WORKDAYS, Deadline, after_workdays
from keeper.journal import replace_durably, sync_folder
from keeper.keyring import Keyring
from keeper.reviews import Held
from keys import api as keys
from plans import canonical, names
from plans.artifacts import ReleasedSet
from plans.errors import EvidenceBroken, Malformed, NotFound
from plans.handover import handover, unpadded
from plans.inspection import Inspection
from plans.plan import Plan, PlanKind
from plans.record import Record
from plans.released import Released
from plans.verdict import Verdict
from policies import api as policies

FILES = (policies.HELD, policies.SHOWN, policies.RECORD)
_NOTE = "note.json"


@dataclass(frozen=True, slots=True)
class HeldNote(Record):
    """What is held: the plan and its verdict, which attempt made it, and since when (Unix seconds)."""

    KIND: ClassVar[str] = "held-note"

    plan: Plan
    verdict: Verdict
    attempt: int
    since: int

    @property
    def deadline(self) -> Deadline:
        """By when the owner's reviewers have to answer."""
        return after_workdays(self.since, REVIEW_WORKDAYS)


class HeldOutputs:
    """The folder of a keeper's held outputs: one folder below it per plan, the note written last."""

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._folder, self._keyring = folder, keyring

    def keep(self, note: HeldNote, files: Mapping[str, bytes]) -> HeldNote:
        """Take the encrypted files of a held output over, durably; what is kept already stays as it is.

        Raises:
            EvidenceBroken: a file is missing, is not what this plan's judging box wrote, or not what it judged.
            DiskFull: they cannot be written; nothing is kept then.
        """
        known = self.find(note.plan.digest)
        if known is not None:
            return known
        if set(FILES) - set(files):
            raise EvidenceBroken(
                "a held output comes with what reviewers read, and its record", "held output"
            )
        self._require_judged(note, {name: self._open(note, name, files[name]) for name in FILES})
        place = self._place(note.plan.digest)
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in FILES:
            replace_durably(place / name, files[name])
        replace_durably(place / _NOTE, note.canonical())
        sync_folder(self._folder)
        return note

    def _require_judged(self, note: HeldNote, opened: Mapping[str, bytes]) -> None:
        """Check that reviewers will read what was judged, and that the sealed bytes are those of the verdict."""
        kind = Released.KIND if note.plan.kind is PlanKind.SQL else ReleasedSet.KIND
        judged = canonical.digest_bytes(kind, opened[policies.SHOWN]) == note.verdict.content
        sealed = "sha256:" + hashlib.sha256(opened[policies.HELD]).hexdigest() == note.verdict.sealed
        if not judged or not sealed:
            raise EvidenceBroken("what is held is not what was judged", "held output")

    def all(self) -> tuple[HeldNote, ...]:
        """Return what is held, the oldest first."""
        found = [HeldNote.decode(path.read_bytes()) for path in self._folder.glob(f"*/{_NOTE}")]
        return tuple(sorted(found, key=lambda note: (note.since, note.plan.digest)))

    def find(self, plan: str) -> HeldNote | None:
        """Return the note about a plan's held output, or none."""
        path = self._place(plan) / _NOTE
        return HeldNote.decode(path.read_bytes()) if path.is_file() else None

    def get(self, plan: str) -> HeldNote:
        """Return the note about a plan's held output.

        Raises:
            NotFound: nothing of this plan is held.
        """
        note = self.find(plan)
        if note is None:
            raise NotFound(
                "nothing of this plan is held here", plan[:19], "See `darkroom-server review list`."
            )
        return note

    def shown(self, plan: str) -> bytes:
        """Return in clear what reviewers read: for the desk alone."""
        return self._opened(plan, policies.SHOWN)

    def record(self, plan: str) -> Inspection:
        """Return every rule that was applied, with its numbers: for the desk alone."""
        return Inspection.decode(self._opened(plan, policies.RECORD))

    def case(self, plan: str) -> Held:
        """Return what reviews about a held output must name."""
        note = self.get(plan)
        if note.plan.request is None:
            raise Malformed("a plan without a request lets nothing leave", "plan")
        shown = "sha256:" + hashlib.sha256(self.shown(plan)).hexdigest()
        return Held(plan, note.verdict.digest, shown, note.plan.request)

    def forget(self, plan: str) -> None:
        """Remove a held output: a dataset version of which it was made was erased."""
        shutil.rmtree(self._place(plan), ignore_errors=True)

    def _opened(self, plan: str, name: str) -> bytes:
        note = self.get(plan)
        return self._open(note, name, (self._place(plan) / name).read_bytes())

    def _open(self, note: HeldNote, name: str, content: bytes) -> bytes:
        """Decrypt a file of the judging box, which binds it to plan, attempt and name (`inside.session`)."""
        key = self._keyring.stage_key(note.plan.digest, note.attempt, name)
        return unpadded(keys.decrypt(key, content, handover(note.plan, note.attempt, name)))

    def _place(self, plan: str) -> Path:
        return self._folder / names.require("digest", plan).removeprefix("sha256:")
