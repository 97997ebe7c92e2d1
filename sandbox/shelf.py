"""What a launcher remembers: plans by digest, results of stages, and the outputs it collected.

    plans/<64 hex>.json                        the plan's canonical bytes
    results/<64 hex>/<attempt>/<stage>.json    a stage's answer, written once and before it is told to anybody
    collected/<64 hex>/<attempt>/<stage>/      its outputs, read-only
    boxes/                                     folders of living boxes; wiped at the start

Everything but `boxes` survives a crash. A result that is there is the answer: asking again runs nothing. After
`KEPT_S` a plan is removed with all that came of it. Keys are safe from that: a keeper counts uses in its own
journal, and a release that nobody has fetched for so long is asked for again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from plans import canonical, names
from plans.box import BoxSpec, Entry
from plans.errors import DiskFull, EvidenceBroken, HashMismatch, Malformed, NotFound, SettingsWrong
from plans.plan import Plan
from plans.statements import Signed, StageRecord

KEPT_S = 30 * 86_400
"""How long a plan, its results and collected outputs are kept after it was put last."""

HAND_OVER = (
    Entry.QUERY, Entry.PARSE, Entry.PROTECT, Entry.FINISH, Entry.PYTHON, Entry.COMPONENT, Entry.REENCODE,
)  # fmt: skip
"""The stages whose outputs are for the next stage only. What a stage that judges leaves stays: a held output and what
its reviewers read, until the plan is swept.
"""

MOST_BYTES = 2 * 2**30
"""Bytes of plans that are kept."""

MOST_ATTEMPTS = 100
"""How often a stage may be tried: whoever reaches the socket says the number, and each leaves a result here."""

SWEEP_AFTER = 200
"""After how many new plans the shelf is swept, beside the hourly time."""


@dataclass(frozen=True, slots=True)
class StageName:
    """Which stage is meant: one attempt at one stage of one plan."""

    plan: str
    stage: Entry
    attempt: int

    @classmethod
    def read(cls, question: dict[str, Any]) -> StageName:
        """Read it from a question of the launcher's socket; raises `Malformed`."""
        plan, stage, attempt = (question.get(name) for name in ("plan", "stage", "attempt"))
        if not isinstance(plan, str) or stage not in list(Entry) or type(attempt) is not int:
            raise Malformed("a stage is named by plan, stage and attempt", "launcher")
        if not 1 <= attempt <= MOST_ATTEMPTS:
            raise Malformed(f"a stage has attempts 1 to {MOST_ATTEMPTS}", "launcher")
        return cls(names.require("digest", plan, "plan"), Entry(stage), attempt)


def output_path(home: Path, name: StageName, output: str) -> Path:
    """Return where a stage's collected output lies below a launcher's home."""
    return _below(home / "collected", name) / name.stage.value / names.require("file", output, "output")


class Shelf:
    """The folder described above."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._put = 0
        self.boxes = home / "boxes"

    def prepare(self) -> None:
        """Make the folders; what earlier boxes left in theirs is the reaper's.

        Raises:
            SettingsWrong: they cannot be made or written.
        """
        modes = {"": 0o711, "plans": 0o700, "results": 0o700, "collected": 0o700, "boxes": 0o711}
        try:
            for name, mode in modes.items():
                (self._home / name).mkdir(parents=True, exist_ok=True)
                (self._home / name).chmod(mode)
        except OSError as problem:
            advice = "It must belong to the launcher's user, on a disk that can be written."
            raise SettingsWrong(
                f"the launcher cannot use its folder ({problem.strerror})", str(self._home), advice
            ) from None

    def put(self, plan: Plan, in_use: Collection[str] = ()) -> None:
        """Keep a plan; one that is kept already stays, and counts as put now. Those `in_use` make no room for it."""
        path, content = self._home / "plans" / f"{_hex(plan.digest)}.json", plan.canonical()
        with contextlib.suppress(OSError):
            if path.read_bytes() == content:
                os.utime(path)
                return
        _write(path, content)
        self._put += 1
        if self._put % SWEEP_AFTER == 0:
            self.sweep({plan.digest, *in_use})

    def sweep(self, in_use: Collection[str], now: float | None = None) -> None:
        """Remove plans that are too old, or too many, with all that came of them; those `in_use` stay.

        Too many are those beyond `MOST_BYTES` of plans: of these the ones without a result go first, and the
        oldest first. Whoever still wants one puts it again.
        """
        kept = []
        for path in (self._home / "plans").glob("*.json"):
            with contextlib.suppress(OSError):
                status = path.stat()
                has_result = (self._home / "results" / path.stem).exists()
                kept.append((has_result, status.st_mtime, status.st_size, path.stem))
        total, oldest = sum(size for _, _, size, _ in kept), (now or time.time()) - KEPT_S
        for _, changed, size, name in sorted(kept):
            if f"sha256:{name}" not in in_use and (changed < oldest or total > MOST_BYTES):
                total -= size
                self._forget(name)

    def _forget(self, name: str) -> None:
        """Remove a plan and all that came of it; the plan last, so that a crash in between leaves it to the next."""
        for folder in ("results", "collected"):
            shutil.rmtree(self._home / folder / name, ignore_errors=True)
        (self._home / "plans" / f"{name}.json").unlink(missing_ok=True)

    def plan(self, digest: str) -> Plan:
        """Return a plan.

        Raises:
            NotFound: it was not put.
            HashMismatch: what is kept is not the plan of this digest.
        """
        try:
            content = (self._home / "plans" / f"{_hex(digest)}.json").read_bytes()
        except OSError:
            raise NotFound(
                "the launcher does not have this plan", digest[:19] + "…", "Put it first."
            ) from None
        if canonical.digest_bytes(Plan.KIND, content) != digest:
            raise HashMismatch("the kept plan is not the plan of this digest", digest[:19] + "…")
        return Plan.decode(content)

    def result(self, name: StageName) -> dict[str, Any] | None:
        """Return the answer that was given for a stage, or none."""
        try:
            answer = canonical.decode(self._result_file(name).read_bytes())
        except OSError:
            return None
        if not isinstance(answer, dict):
            raise EvidenceBroken("a kept result is no object", name.stage.value)
        return dict(answer)

    def keep_result(self, name: StageName, answer: dict[str, Any]) -> None:
        """Make an answer durable."""
        path = self._result_file(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise _full(problem, name.stage.value) from None
        _write(path, canonical.encode(answer))

    def keep_private(self, name: StageName, found: dict[str, Any]) -> None:
        """Keep what the owner alone may know of a stage's failure; nobody is answered with it."""
        path = self._result_file(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise _full(problem, name.stage.value) from None
        _write(path.with_suffix(".private"), canonical.encode(found))

    def pair(self, plan: str, trial: str) -> str:
        """Bind a plan to the plan of the one trial with which a failure may be compared, or to none; the first binding
        stays, and is returned.
        """
        path = self._home / "results" / _hex(plan) / "trial.json"
        with contextlib.suppress(OSError):
            return str(canonical.decode(path.read_bytes()))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise _full(problem, "trial") from None
        _write(path, canonical.encode(trial))
        return trial

    def record(self, name: StageName) -> StageRecord:
        """Return the record of a stage that ended well.

        Raises:
            NotFound: it has not.
        """
        answer = self.result(name)
        if answer is None or "ok" not in answer:
            raise NotFound(
                "the stage before has no result", name.stage.value, "Run the stages in their order."
            )
        return StageRecord.read(Signed.read(answer["ok"]["record"]).statement.body)

    def fresh_collection(self, name: StageName) -> Path:
        """Return the empty folder for a stage's outputs."""
        folder = _below(self._home / "collected", name) / name.stage.value
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
        except OSError as problem:
            raise _full(problem, "collected outputs") from None
        return folder

    def collected(self, name: StageName, output: str) -> BinaryIO:
        """Open an output that a stage left; raises `NotFound`."""
        try:
            return output_path(self._home, name, output).open("rb")
        except OSError:
            raise NotFound("what the stage left is not kept any more", name.stage.value) from None

    def forget_handed_over(self, name: StageName) -> None:
        """Remove what stages handed to each other in this attempt and those before; what leaves the house stays.

        It holds the groups that were not shown, under keys that the owner's keyring can derive again: it must
        not outlive its use, or an erased version could be read from it.
        """
        whole = self._home / "collected" / _hex(name.plan)
        for earlier in whole.iterdir() if whole.exists() else ():  # a caller says which attempt it is
            if int(earlier.name) <= name.attempt:
                for stage in HAND_OVER:
                    shutil.rmtree(earlier / stage.value, ignore_errors=True)

    def handed_over(self, plan: Plan, spec: BoxSpec, attempt: int) -> dict[str, tuple[Path, str]]:
        """Return file and hash of every input of `spec` that a stage before it wrote; one beside it hands nothing over.

        Raises:
            NotFound: no stage before it has written one.
        """
        found: dict[str, tuple[Path, str]] = {}
        for before in _before(plan, spec):
            name = StageName(plan.digest, before, attempt)
            if any(not item.sha256 for item in spec.inputs):
                for output in self.record(name).outputs:
                    found[output.name] = (output_path(self._home, name, output.name), output.sha256)
        return found

    def _result_file(self, name: StageName) -> Path:
        return _below(self._home / "results", name) / f"{name.stage.value}.json"


def _before(plan: Plan, spec: BoxSpec) -> Iterator[Entry]:
    """Yield the stages that have ended when a stage begins."""
    for batch in plan.batches:
        if spec.entry in batch:
            return
        yield from batch


def _below(folder: Path, name: StageName) -> Path:
    return folder / _hex(name.plan) / str(name.attempt)


def _hex(digest: str) -> str:
    return names.require("digest", digest).removeprefix("sha256:")


def _write(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it is whole or not there, and its name too is on the disk."""
    new = path.with_name(path.name + ".new")
    try:
        with open(new, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as problem:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise _full(problem, path.name) from None


def _full(problem: OSError, what: str) -> DiskFull:
    return DiskFull(f"the launcher could not write ({problem.strerror})", what)
