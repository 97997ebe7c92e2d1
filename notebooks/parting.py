"""The end of a lab that goes on: its pages are told why, and have some seconds (`grace_s`) to save what is open.

A lab ends because its member may not have it any more, because nobody used it, or because of its age. The Hub says so
to the lab's own server, at its port; the server wakes the pages (`darkroom_lab.notices`). Whoever asks later is told by
the Hub itself: on its home page, or, with the key that the lab's pages have, at `lab-ended` (`notebooks.ends`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from notebooks.stages import Failure, Said
from plans.labs import loopback_of

HEAR_S = 10.0
"""How long the lab's server may take to hear it; one that does not is stopped at once."""

WARNED_AGAIN_S = 60.0
"""How soon a lab that did not hear a warning is warned again: one may hold up every look after it for `HEAR_S`."""

MOST_WARNED_S = 86_400
"""How long before its greatest age a lab is warned, at the most."""

HEADER = "X-Darkroom-Key"
ENDING, WARNING = "ending", "warning"
_HEARD = b" 204 "
_LONGEST_STATUS = 256


@dataclass(frozen=True, slots=True)
class Parting:
    """Why a lab ends: what is said while it does, and what when it has. `rights`: its token ends before anything is
    said, since its member may not have it.
    """

    soon: Said
    over: Failure
    rights: bool = False

    def told(self) -> dict[str, Any]:
        """What pages show of it while the lab ends."""
        return {"reason": self.over.reason, "en": self.soon.english, "zh": self.soon.chinese}


def _parting(reason: str, why: tuple[str, str], then: tuple[str, str], rights: bool = False) -> Parting:
    soon = Said(
        f"Your lab ends in a moment, because {why[0]}. What kernels hold in memory is lost.",
        f"{why[1]}，实验室即将结束，内核内存中的内容将丢失。",
    )
    over = Said(f"The lab was stopped because {why[0]}. {then[0]}", f"{why[1]}，实验室已停止。{then[1]}")
    return Parting(soon, Failure(reason, over), rights)


MEMBERSHIP_ENDED = _parting(
    "membership-ended",
    ("you are no longer a member, or in no project any more", "您的成员资格已结束，或您不再属于任何项目"),
    ("Your files stay. Ask an operator.", "文件保留。请联系操作员。"),
    rights=True,
)
PROJECT_ENDED = _parting(
    "project-ended",
    ("you are no longer in its project, or the project has ended", "您已不在该项目中或项目已结束"),
    (
        "Your files stay, and are there in a lab of another project.",
        "文件保留，在其他项目的实验室中仍可使用。",
    ),
    rights=True,
)


def idle(hours: int) -> Parting:
    """Return that nobody used a lab for as long as it may be left alone."""
    many = "1 hour" if hours == 1 else f"{hours} hours"
    return _parting(
        "idle",
        (f"nothing happened in it for {many}", f"实验室已 {hours} 小时无活动"),
        ("Your files are where they were: start it again.", "文件仍在原处，可重新启动。"),
    )


def old(days: int) -> Parting:
    """Return that a lab is as old as it may be."""
    return _parting(
        "age",
        (
            f"it was started {_days(days)} ago, which is as long as a lab may run",
            f"实验室已运行 {days} 天，达到上限",
        ),
        ("Your files are where they were: start it again.", "文件仍在原处，可重新启动。"),
    )


def is_for_good(reason: str) -> bool:
    """Whether no other lab may be had after an end for this reason, in which a page could save what it keeps."""
    return reason == MEMBERSHIP_ENDED.over.reason


def is_warned(days: int, left_s: float) -> bool:
    """Whether a lab with so many seconds left of its greatest age is warned."""
    return 0 < left_s <= min(MOST_WARNED_S, 86_400 * days / 4)


def warning(days: int) -> dict[str, Any]:
    """Return what is said before a lab is that old; pages put the time of their clock for `{time}`."""
    return {
        "reason": "age",
        "en": f"This lab ends at {{time}}, {_days(days)} after its start, which is as long as a lab may run. Write "
        "what kernels hold in memory into files before, or stop the lab and start it again when it suits you.",
        "zh": f"本实验室将于 {{time}} 结束（自启动起最多运行 {days} 天）。请提前把内核内存中的内容写入文件，"
        "或在方便时停止并重新启动实验室。",
    }


async def tell(port: int, base: str, key: str, said: Mapping[str, Any]) -> bool:
    """Say something to a lab's server; return whether it heard. What else it answers is a lab's, and is not read."""
    body = json.dumps(dict(said)).encode()
    head = (
        f"POST {base}darkroom/notice HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{HEADER}: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(HEAR_S):
            reader, writer = await asyncio.open_connection(loopback_of(port), port, limit=_LONGEST_STATUS)
            try:
                writer.write(head.encode() + body)
                return _HEARD in await reader.readline()
            finally:
                writer.close()
    return False


def hours_since(moment: datetime | None) -> float:
    """Return how many hours ago something was; the Hub's database has moments in UTC without saying so."""
    if moment is None:
        return 0.0
    return (datetime.now(UTC) - moment.replace(tzinfo=UTC)).total_seconds() / 3600


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
