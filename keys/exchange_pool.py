"""The same exponentiations in several processes, since one core does 25,000 a second.

Each worker is a fresh interpreter, not a fork: a fork of a process with threads can wait forever for a lock of OpenSSL
that no thread of its own will open. It is told everything through its standard input, the exponent too, so that no
argument or environment that others can list holds it; and answers with a status and points.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from keys.exchange import POINT, Bytes, Exponent
from plans.errors import DarkroomError, Defect, LinkBroken

_START = "import sys; sys.path[:] = sys.argv[1:]; from keys.exchange_pool import work; work()"
_FEWEST = 2000  # rows for which a process is worth its start, some 0.2 s
_GOOD, _REFUSED = b"\0", b"\1"


def of_identifiers(exponent: Exponent, blocks: Bytes, tag: bytes, workers: int) -> Bytes:
    """Return `Exponent.of_identifiers`, worked out by up to so many processes.

    Raises:
        Defect: a worker ended before its work was done.
    """
    if _alone(blocks, workers):
        return exponent.of_identifiers(blocks, tag)
    return _spread(exponent, blocks, tag.hex(), workers)


def of_points(exponent: Exponent, points: Bytes, workers: int) -> Bytes:
    """Return `Exponent.of_points`, worked out by up to so many processes.

    Raises:
        LinkBroken: a point was refused.
        Defect: a worker ended before its work was done.
    """
    if _alone(points, workers):
        return exponent.of_points(points)
    return _spread(exponent, points, "", workers)


def work() -> None:
    """Do one worker's part: read a line that says what is asked, then rows; write a status, then points."""
    told, answer = sys.stdin.buffer, sys.stdout.buffer
    asked = json.loads(told.readline())
    rows = np.frombuffer(told.read(), dtype=np.uint8).reshape(-1, asked["width"])
    exponent = Exponent(bytes.fromhex(asked["exponent"]))
    try:
        tag = bytes.fromhex(asked["tag"])
        found = exponent.of_identifiers(rows, tag) if tag else exponent.of_points(rows)
    except DarkroomError as refused:
        answer.write(_REFUSED + refused.what.encode())
        return
    answer.write(_GOOD + found.tobytes())


def _alone(rows: Bytes, workers: int) -> bool:
    return workers < 2 or len(rows) < 2 * _FEWEST


def _spread(exponent: Exponent, rows: Bytes, tag: str, workers: int) -> Bytes:
    parts = np.array_split(rows, min(workers, len(rows) // _FEWEST))
    playing: list[subprocess.Popen[bytes]] = []
    try:
        for part in parts:
            playing.append(_started(exponent, part, tag))
        answers = [(process.stdout.read(), process.wait()) for process in playing if process.stdout]
    except OSError:  # no more processes than these: the box allows few
        for process in playing:
            process.kill()
            process.communicate()
        return exponent.of_identifiers(rows, bytes.fromhex(tag)) if tag else exponent.of_points(rows)
    found = []
    for part, (answer, status) in zip(parts, answers, strict=True):
        if status == 0 and answer[:1] == _REFUSED:
            raise LinkBroken(answer[1:].decode(), "match")
        if status or answer[:1] != _GOOD or len(answer) != 1 + POINT * len(part):
            raise Defect(
                "a process that works out points ended early", "exchange", "Give the box more memory."
            )
        found.append(np.frombuffer(answer, dtype=np.uint8, offset=1).reshape(-1, POINT))
    return np.concatenate(found)


def _started(exponent: Exponent, part: Bytes, tag: str) -> subprocess.Popen[bytes]:
    """Start one worker and hand it its rows; it reads all of them before it works, so that this does not wait."""
    words = [sys.executable, "-I", "-S", "-B", "-c", _START, *filter(None, sys.path)]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
    )
    asked = {"exponent": exponent.unsafe_secret().hex(), "tag": tag, "width": part.shape[1]}
    if process.stdin:
        try:
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.write(np.ascontiguousarray(part).data.cast("B"))
            process.stdin.close()
        except BrokenPipeError:
            process.wait()  # it ended before it read; its empty answer says so
    return process
