"""What is said while a lab starts, and when it does not: one sentence in English and one in Chinese.

A member sees both on the page that waits. Every failure says what was found and what to do next; a sentence from
another part of the house is quoted as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plans.chinese import in_chinese
from plans.errors import (
    BoxFailed,
    DarkroomError,
    DiskFull,
    HashMismatch,
    Malformed,
    NotAllowed,
    NotFound,
    NotSignedIn,
    StateConflict,
    TierMissing,
    Unreachable,
)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence in both languages, and how far a lab has come, in hundredths."""

    english: str
    chinese: str
    progress: int = 0

    def __str__(self) -> str:
        return f"{self.english} · {self.chinese}"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no lab: a stable word for programs, and the sentence for the member."""

    reason: str
    said: Said


ASKED = Said(
    "The portal is asked for your project and a token for the lab.", "正在向门户核对项目并领取实验室令牌。", 5
)
HANDED_IN = Said("The lab is handed to its node.", "实验室已交给节点。", 15)
STARTING = Said(
    "Its box is being started: walls first, then Python.", "正在启动暗盒：先建隔离，再启动 Python。", 40
)
RUNNING = Said("The box runs; JupyterLab gets its settings.", "暗盒已运行；正在把设置交给 JupyterLab。", 60)
SERVER = Said("JupyterLab is loading.", "JupyterLab 正在加载。", 75)
ANSWERS = Said("JupyterLab answers.", "JupyterLab 已应答。", 95)
BUSY = Said("The node has as many callers as it takes; asked again shortly.", "节点繁忙，稍后自动重试。", 15)

_WHY = {
    "places": ("no place is free on the node", "节点没有空位"),
    "memory": ("the node's memory for labs is taken", "节点分给实验室的内存已用完"),
}


def waiting(frame: Mapping[str, Any]) -> Said:
    """Return what a launcher's word of waiting means for a member."""
    before = int(frame.get("before", 0))
    english, chinese = _WHY.get(str(frame.get("why")), _WHY["places"])
    return Said(
        f"Waiting for a place: {_before(before)}, because {english}. It starts by itself.",
        f"排队中：前面还有 {before} 个，原因：{chinese}。轮到时自动启动。",
        20,
    )


def too_long(seconds: int, last: Said | None) -> Failure:
    """Return that a lab waited as long as it may, with the last that was known of its place."""
    known = last or Said("", "")
    minutes = max(seconds // 60, 1)
    return Failure(
        "waited-too-long",
        Said(
            f"No place came free within {minutes} min. {known.english} Start the lab again later.".replace(
                "  ", " "
            ),
            f"{minutes} 分钟内没有空位。{known.chinese}请稍后再启动。",
        ),
    )


def silent(seconds: int) -> Failure:
    """Return that a lab's server did not answer in time."""
    return Failure(
        "silent",
        Said(
            f"JupyterLab did not answer within {seconds} s. "
            "Start it again, and tell an administrator if that does not help.",
            f"JupyterLab 在 {seconds} 秒内没有应答。请重新启动；若再次发生请告知管理员。",
        ),
    )


LAUNCHER_DOWN = Failure(
    "launcher-down",
    Said(
        "The node of labs was restarted, and all labs with it. Your files are where they were: start yours again.",
        "实验室节点重启，所有实验室随之结束。文件仍在原处，请重新启动。",
    ),
)


def stopped(problem: DarkroomError | None) -> Failure:
    """Return why a lab that ran is gone."""
    if isinstance(problem, NotFound):
        return LAUNCHER_DOWN
    if problem is None:
        return Failure(
            "stopped",
            Said(
                "The lab has stopped. Your files are where they were: start it again.",
                "实验室已停止，文件仍在原处，可重新启动。",
            ),
        )
    return Failure(
        "ended",
        Said(
            f"The lab ended: {_told(problem)} Your files are where they were.",
            f"实验室已结束：{_told_in_chinese(problem)}文件仍在原处。",
        ),
    )


NO_PROJECT = Failure(
    "no-project",
    Said(
        "You are in no project that has labs. Ask an operator to add you: darkroom-server project change.",
        "您不属于任何可用实验室的项目。请联系操作员把您加入项目。",
    ),
)


OF_BOXES = ("box", "silent", "stopped")
"""Reasons of a lab whose box was made and did not come up."""


def failure(problem: DarkroomError, image: str = "") -> Failure:
    """Return what an error of another part means for whoever wanted a lab, in a profile with this image."""
    generic = Said(f"The lab was refused: {_told(problem)}", f"实验室被拒绝：{_told_in_chinese(problem)}")
    found = _at_portal(problem) or _of_image(problem, image) or _at_node(problem)
    return found or Failure("refused", generic)


def damaged(image: str) -> Failure:
    """Return that an image is not what it was: changed, or removed by half."""
    build = _build(image, "--anew ")
    return Failure(
        "image-damaged",
        Said(
            f"The image of this profile is damaged on the node, so no lab starts in it. Ask an administrator to "
            f"build it anew ({build}).",
            f"该规格的镜像在节点上已损坏，无法启动实验室，请联系管理员重新构建（{build}）。",
        ),
    )


def _of_image(problem: DarkroomError, image: str) -> Failure | None:
    """Return what an image that has disappeared means, whoever noticed it: the Hub, or the launcher a moment later."""
    if "image" not in problem.what:
        return None
    if isinstance(problem, HashMismatch):
        return damaged(image)
    if not isinstance(problem, NotFound | NotAllowed | Malformed):
        return None
    build = _build(image)
    english = f"The image of this profile is not on the node. Ask an administrator to build it ({build})."
    return Failure("image", Said(english, f"该规格的镜像不在节点上，请联系管理员重新构建（{build}）。"))


def _build(image: str, how: str = "") -> str:
    """Return the command that makes an image again; its recipe has the image's name."""
    name = image if image and not image.startswith("sha256:") else "NAME"
    return f"python -m sandbox.images build {how}images/{name}"


def _at_portal(problem: DarkroomError) -> Failure | None:
    match problem:
        case NotSignedIn():
            english = "Your sign-in at the portal has ended. Sign in again, then start the lab."
            return Failure("sign-in-ended", Said(english, "您在门户的登录已结束。请重新登录后再启动实验室。"))
        case NotFound() if problem.where == "project":
            return NO_PROJECT
        case NotAllowed() if problem.where == "portal" or ":" in problem.where:
            english = f"The portal does not allow this lab: {_told(problem)}"
            return Failure(
                "not-allowed", Said(english, f"门户不允许启动该实验室：{_told_in_chinese(problem)}")
            )
        case Unreachable() if problem.where == "portal":
            english = "The portal does not answer, so no lab can be started now. Try again shortly."
            return Failure("portal-down", Said(english, "门户暂无应答，现在无法启动实验室，请稍后再试。"))
    return None


def _at_node(problem: DarkroomError) -> Failure | None:
    match problem:
        case TierMissing() if problem.where == "box.gpus":
            english = f"This profile has a GPU, and the node cannot give it: {problem.what}. Choose another profile."
            return Failure(
                "gpus",
                Said(english, f"该规格带 GPU，而节点无法提供：{_what_in_chinese(problem)}请选择其他规格。"),
            )
        case TierMissing():
            english = f"The node cannot offer the isolation of this profile: {problem.what}. Choose another profile."
            return Failure(
                "tier",
                Said(english, f"节点无法提供该规格的隔离等级：{_what_in_chinese(problem)}请选择其他规格。"),
            )
        case StateConflict():
            english = (
                "Your home folder is in use by a lab of yours that is just ending. Try again in a minute."
            )
            return Failure(
                "lives-already", Said(english, "您的主目录正被一个即将结束的实验室使用，请稍后再试。")
            )
        case Unreachable():
            english = f"The node of labs does not answer: {problem.what}. Try again shortly."
            return Failure(
                "node-down", Said(english, f"实验室节点没有应答：{_what_in_chinese(problem)}请稍后再试。")
            )
        case DiskFull():
            return Failure(
                "disk",
                Said("The node's disk is full. Tell an administrator.", "节点磁盘已满，请告知管理员。"),
            )
        case BoxFailed():
            english = f"The lab's box ended before it was ready: {_told(problem)}"
            return Failure("box", Said(english, f"暗盒在就绪前结束：{_told_in_chinese(problem)}"))
    return None


def _told(problem: DarkroomError) -> str:
    what = problem.what.rstrip(".")
    return f"{what}. {problem.next_step}"


def _what_in_chinese(problem: DarkroomError) -> str:
    told = in_chinese(problem.what.rstrip(".") + ".")
    return told if told.endswith("。") else told + " "


def _told_in_chinese(problem: DarkroomError) -> str:
    """Return what `_told` says, in Chinese; a sentence that has none is quoted in English."""
    return _what_in_chinese(problem) + in_chinese(problem.next_step)


def _before(before: int) -> str:
    if before == 0:
        return "you are next"
    return "one lab is before yours" if before == 1 else f"{before} labs are before yours"
