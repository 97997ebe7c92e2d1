"""What the lab's runner tells about the home (`inside.lab_home`), and the sentences that a member reads about it."""

from __future__ import annotations

import errno
import json
import os
import resource
from dataclasses import dataclass
from pathlib import Path

STATE = Path("/tmp/darkroom/home.json")
TEMPORARY = "/tmp"

FULL = (
    "Your home is full ({used_mb:,} of {limit_mb:,} MB, {files:,} of {files_limit:,} files): delete what you can miss."
    " Documents can still be saved; kernels and terminals cannot write larger files until there is room."
    " 您的主目录已满：请删除不需要的文件。文档仍可保存；在腾出空间之前，内核和终端不能写入较大的文件。"
)
NO_ROOM = (
    "Your home has no room left, so this was not saved. Delete files, then save again; what you wrote is still in this"
    " browser tab. 主目录已无空间，因此未能保存。请删除一些文件后再保存；您写的内容仍在此浏览器标签页中。"
)

TOO_LARGE = (
    "One file can have at most {most_mb:,} MB in this lab: write it in parts or in a smaller form (Parquet, fewer"
    " columns), or ask for a profile with a larger home."
    " 本实验室中单个文件最多 {most_mb:,} MB：请分块写入或改用更小的格式（如 Parquet），或申请主目录更大的规格。"
)
TEMPORARY_FULL = (
    "/tmp is full ({most_mb:,} MB, which are of the lab's memory): delete what you can miss there, or write into your"
    " home. 临时目录 /tmp 已满（{most_mb:,} MB，占用实验室内存）：请删除不需要的文件，或写入主目录。"
)
DISK_FULL = (
    "The node's disk has no room left: delete what you can miss, and tell an administrator."
    " 节点磁盘已无空间：请删除不需要的文件，并告知管理员。"
)

OUT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the kernel says where there is no room, or where there is a bound."""

_MIB = 2**20
_LEFT = 0.8
"""The part of the reserve that documents may take: with the rest the lab is not ended while they are written."""


@dataclass(frozen=True, slots=True)
class Home:
    """How much of the home is used, as of some seconds ago."""

    used_mb: int = 0
    limit_mb: int = 1
    reserve_mb: int = 0
    files: int = 0
    files_limit: int = 1
    full: bool = False

    def has_room(self, size: int) -> bool:
        """Whether a document of so many bytes may be saved, in the reserve if need be."""
        most_mb = self.limit_mb + _LEFT * self.reserve_mb
        return not self.full or self.used_mb + size / 2**20 <= most_mb

    def sentence(self) -> str:
        """Say that it is full; nothing if it is not."""
        if not self.full:
            return ""
        return FULL.format(
            used_mb=self.used_mb, limit_mb=self.limit_mb, files=self.files, files_limit=self.files_limit
        )


def why(problem: OSError) -> str:
    """Return what an error of `OUT_OF_ROOM` means here, and what to do about it."""
    full = look().sentence()
    if full:
        return full
    if problem.errno == errno.EFBIG:
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        return TOO_LARGE.format(most_mb=most // _MIB) if most != resource.RLIM_INFINITY else str(problem)
    temporary = os.statvfs(TEMPORARY)
    if temporary.f_bavail * temporary.f_frsize < _MIB:
        return TEMPORARY_FULL.format(most_mb=temporary.f_blocks * temporary.f_frsize // _MIB)
    return DISK_FULL


def look(path: Path = STATE) -> Home:
    """Return what was told last; where nothing is told, a home with room."""
    try:
        told = json.loads(path.read_text())
        return Home(**{name: told[name] for name in Home.__slots__})
    except (OSError, ValueError, KeyError, TypeError):
        return Home()
