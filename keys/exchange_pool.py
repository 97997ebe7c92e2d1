"""The same exponentiations in several processes, since one core does 25,000 a second.

Each worker is a fresh interpreter, not a fork: a fork of a process with threads can wait forever for a lock of OpenSSL
that no thread of its own will open. It is told everything through its standard input, the exponent too, so that no
argument or environment that others can list holds it; it answers with a status, a length, and points or a sentence. It
ends when its input does, so it does not outlive the process that it works for.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from types import TracebackType
from typing import IO, Self

import numpy as np

from keys.exchange import POINT, Bytes, Exponent
from plans.errors import DarkroomError, Defect, LinkBroken

_START = "import sys; sys.path[:] = sys.argv[1:]; from keys.exchange_pool import work; work()"
_FEWEST = 500  # rows that are worth being handed to another process
_HEAD = struct.Struct("<?Q")  # whether it went well; bytes that follow


class ExchangePool:
    """An exponent with processes that raise to it, for as long as its `with` lasts; `repr` shows no exponent."""

    def __init__(self, exponent: Exponent, workers: int) -> None:
        """Begin; processes start with the first list that is worth it.

        Args:
            exponent: of the owner.
            workers: processes at the most; with fewer than two, or where none may be started, this one works alone.
        """
        self._exponent = exponent
        self._wanted = workers
        self._workers: list[subprocess.Popen[bytes]] = []

    def of_identifiers(self, blocks: Bytes, tag: bytes) -> Bytes:
        """Return `Exponent.of_identifiers`.

        Raises:
            Defect: a worker ended before its work was done.
        """
        if self._alone(blocks):
            return self._exponent.of_identifiers(blocks, tag)
        return self._spread(blocks, tag.hex())

    def of_points(self, points: Bytes) -> Bytes:
        """Return `Exponent.of_points`.

        Raises:
            LinkBroken: a point was refused.
            Defect: a worker ended before its work was done.
        """
        if self._alone(points):
            return self._exponent.of_points(points)
        return self._spread(points, "")

    def close(self) -> None:
        """End all workers."""
        for process in self._workers:
            process.kill()
            process.communicate()
        self._workers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ExchangePool(workers={self._wanted})"

    def _alone(self, rows: Bytes) -> bool:
        if self._wanted < 2 or len(rows) < _FEWEST * self._wanted:
            return True
        while len(self._workers) < self._wanted:
            try:
                self._workers.append(_started())
            except OSError:  # the box allows no more
                self._wanted = len(self._workers)
        return self._wanted < 2

    def _spread(self, rows: Bytes, tag: str) -> Bytes:
        parts = np.array_split(rows, len(self._workers))
        for process, part in zip(self._workers, parts, strict=True):
            self._ask(process, part, tag)
        # every worker is heard, also if one refuses: what is left unread would be taken for the next answer
        answers = [_answered(process) for process in self._workers]
        for part, (good, answer) in zip(parts, answers, strict=True):
            if not good:
                raise LinkBroken(answer.decode(), "match")
            if len(answer) != POINT * len(part):
                raise _ended()
        return np.concatenate([np.frombuffer(answer, dtype=np.uint8) for _, answer in answers]).reshape(
            -1, POINT
        )

    def _ask(self, process: subprocess.Popen[bytes], part: Bytes, tag: str) -> None:
        """Hand a worker its rows; it reads all of them before it works, so that this does not wait for the work."""
        secret = self._exponent.unsafe_secret().hex()
        asked = {"exponent": secret, "tag": tag, "width": part.shape[1], "size": part.size}
        try:
            _of(process.stdin).write(json.dumps(asked).encode() + b"\n")
            _of(process.stdin).write(np.ascontiguousarray(part).data.cast("B"))
            _of(process.stdin).flush()
        except BrokenPipeError:
            raise _ended() from None


def work() -> None:
    """Do a worker's part, until there is no more."""
    told, answer = sys.stdin.buffer, sys.stdout.buffer
    while line := told.readline():
        asked = json.loads(line)
        rows = np.frombuffer(told.read(asked["size"]), dtype=np.uint8).reshape(-1, asked["width"])
        exponent, tag = Exponent(bytes.fromhex(asked["exponent"])), bytes.fromhex(asked["tag"])
        try:
            found = exponent.of_identifiers(rows, tag) if tag else exponent.of_points(rows)
            good, said = True, found.tobytes()
        except DarkroomError as refused:
            good, said = False, refused.what.encode()
        answer.write(_HEAD.pack(good, len(said)) + said)
        answer.flush()


def _started() -> subprocess.Popen[bytes]:
    words = [sys.executable, "-I", "-S", "-B", "-c", _START, *filter(None, sys.path)]
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
    )


def _answered(process: subprocess.Popen[bytes]) -> tuple[bool, bytes]:
    head = _of(process.stdout).read(_HEAD.size)
    if len(head) != _HEAD.size:
        raise _ended()
    good, size = _HEAD.unpack(head)
    return good, _of(process.stdout).read(size)


def _of(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise _ended()
    return stream


def _ended() -> Defect:
    return Defect("a process that works out points ended early", "exchange", "Give the box more memory.")
