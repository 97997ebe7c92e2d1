"""The form on which a member chooses a project and a profile: what may be had, and what the node can give now."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from notebooks.planning import Choice

_GPUS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Node:
    """What the node of labs offers: its tiers, how many GPUs boxes of each may have, and which images it lacks."""

    gpus: Mapping[str, int]
    absent: frozenset[str] = frozenset()

    @classmethod
    def read(cls, tiers: Iterable[Mapping[str, Any]], absent: frozenset[str] = frozenset()) -> Node:
        """Return what a launcher's `status` says (`sandbox.contract.Offer`); a tier that names no GPUs has none.
        `absent` are the images that are not there, as profiles call them.
        """
        return cls({str(tier["tier"]): _gpus(tier.get("protections") or ()) for tier in tiers}, absent)

    def lacks(self, profile: Mapping[str, Any]) -> tuple[str, str]:
        """Return what of a profile cannot be given here, in English and Chinese; nothing if it can."""
        tier, wanted = str(profile["tier"]), int(profile["gpus"])
        if profile.get("image") in self.absent:
            return "its image is not on this node: ask an administrator", "节点上没有其镜像，请联系管理员"
        if tier not in self.gpus:
            return f"this node has no {tier}", f"节点不支持 {tier}"
        if wanted > self.gpus[tier]:
            have = self.gpus[tier]
            return f"this node has {have} GPUs for {tier}", f"节点可用于 {tier} 的 GPU 为 {have} 个"
        return "", ""


def _gpus(protections: Iterable[Mapping[str, Any]]) -> int:
    for each in protections:
        if each.get("name") == "GPUs" and (found := _GPUS.match(str(each.get("how", "")))):
            return int(found[0])
    return 0


def options_form(me: Mapping[str, Any], offered: list[Choice], node: Node | None, last: str) -> str:
    """Return the form's inner part: one list, projects as groups and profiles as lines.

    What the node cannot give is shown, cannot be chosen, and says why. `last` is what the member chose last, which is
    chosen again; else the first that can be had is.
    """
    titles = {each["project"]: each for each in me["projects"]}
    lacks = {each.word: _lacks(me["profiles"][each.profile], node) for each in offered}
    open_ = [word for word, why in lacks.items() if not why]
    chosen = last if last in open_ else next(iter(open_), "")
    lines = [
        '<label for="choice">Project and profile · 项目与规格</label>',
        '<select id="choice" name="choice" required>',
    ]
    for project in dict.fromkeys(choice.project for choice in offered):
        lines.append(f'<optgroup label="{_both(titles[project], project)}">')
        for choice in offered:
            if choice.project == project:
                profile = me["profiles"][choice.profile]
                mark = " selected" if choice.word == chosen else ""
                mark += " disabled" if lacks[choice.word] else ""
                text = _profile(choice.profile, profile) + html.escape(lacks[choice.word])
                lines.append(f'<option value="{html.escape(choice.word)}"{mark}>{text}</option>')
        lines.append("</optgroup>")
    return "\n".join([*lines, "</select>"])


def _lacks(profile: Mapping[str, Any], node: Node | None) -> str:
    english, chinese = node.lacks(profile) if node is not None else ("", "")
    return f" — {english} · {chinese}" if english else ""


def _profile(name: str, profile: Mapping[str, Any]) -> str:
    size = f"{profile['cpus']} CPU, {profile['memory_mb']} MiB, {profile['tier']}"
    gpus = f", {profile['gpus']} GPU" if profile["gpus"] else ""
    return f"{_both(profile, name)} ({size}{gpus})"


def _both(titled: Mapping[str, Any], name: str) -> str:
    english, chinese = titled.get("title") or name, titled.get("title_zh") or ""
    return html.escape(f"{english} · {chinese}" if chinese else english)
