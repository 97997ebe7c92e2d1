"""Sealed bytes on their way from a launcher's folder to where members fetch them; held ones wait here in between.

Everything here is ciphertext. What leaves is sealed to its recipient; of a held output these bytes lie under a key of
the owner's besides, which the keeper hands out when reviewers have let the output go.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compute.service import result_name
from keys import api as keys
from plans.errors import HashMismatch, Malformed
from plans.handover import handover, unpadded
from plans.plan import Plan
from plans.release import Release
from plans.statements import Signed
from policies import api as policies
from sandbox import api as sandbox


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where results lie, and where each domain's launcher keeps its outputs."""

    results: Path
    launcher_home: Callable[[str], Path]

    def take(self, plan: Plan, attempt: int, release: Signed) -> None:
        """Keep the sealed bytes of an output that may leave.

        Raises:
            HashMismatch: these are not the bytes whose release the keeper signed.
        """
        self._keep(plan, release, self._left(plan, attempt, policies.SEALED))

    def hold(self, plan: Plan, attempt: int) -> None:
        """Keep the bytes of a held output, still under the owner's key, for as long as people take."""
        _write(self._held(plan.digest), self._left(plan, attempt, policies.HELD))

    def let_go(self, plan: Plan, attempt: int, release: Signed, key: str) -> None:
        """Keep the sealed bytes of a held output that reviewers have let out; `key` is the owner's, in hex.

        Raises:
            EvidenceBroken: the key does not open them.
            HashMismatch: these are not the bytes whose release the keeper signed.
        """
        try:
            secret = bytes.fromhex(key)
        except ValueError:
            raise Malformed("the key of a held output is hexadecimal", "keeper") from None
        if self._kept(plan, release):  # by somebody who was killed before it was noted
            self._held(plan.digest).unlink(missing_ok=True)
            return
        aad = handover(plan, attempt, policies.HELD)
        self._keep(plan, release, unpadded(keys.decrypt(secret, self._held(plan.digest).read_bytes(), aad)))
        self._held(plan.digest).unlink(missing_ok=True)

    def forget_held(self, digest: str) -> None:
        """Remove the bytes of a plan's held output that will not leave."""
        self._held(digest).unlink(missing_ok=True)

    def _left(self, plan: Plan, attempt: int, name: str) -> bytes:
        stage = sandbox.StageName(plan.digest, plan.ends, attempt)
        with sandbox.open_output(self.launcher_home(plan.domain), stage, name) as source:
            return source.read()

    def _held(self, digest: str) -> Path:
        return self.results / (digest.removeprefix("sha256:") + ".held")

    def _kept(self, plan: Plan, release: Signed) -> bool:
        """Return whether what was released lies here already."""
        target = self.results / result_name(plan.digest)
        return (
            target.is_file() and _digest(target.read_bytes()) == Release.read(release.statement.body).sealed
        )

    def _keep(self, plan: Plan, release: Signed, content: bytes) -> None:
        target = self.results / result_name(plan.digest)
        if _digest(content) != Release.read(release.statement.body).sealed:
            raise HashMismatch("there are other bytes than those that were released", target.name)
        _write(target, content)


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _write(target: Path, content: bytes) -> None:
    """Write a file in one step."""
    fresh = target.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)
