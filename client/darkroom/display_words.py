"""The words of displays, progress and advice, each in English and Chinese, and which of the two is spoken.

`DARKROOM_LANG` decides (`en` or `zh`), else what JupyterLab was set to, else the locale of the environment.
`darkroom.use(lang="zh")` decides for this session. What scripts read (`str(error)`, `Job.state`) is English always.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from darkroom.display_terms import TERMS
from plans.errors import Malformed


class Tongue(StrEnum):
    """The languages that displays speak."""

    EN = "en"
    ZH = "zh"


_chosen: list[Tongue] = []

_LOCALE = re.compile(r'^\s*"locale"\s*:\s*"([A-Za-z_-]{1,20})"', re.MULTILINE)
_SETTINGS = Path("@jupyterlab", "translation-extension", "plugin.jupyterlab-settings")
_LONGEST_SETTINGS = 10_000


def use_language(lang: str) -> None:
    """Speak this language from now on, in this session; an empty text goes back to what the environment says.

    Raises:
        Malformed: it is neither `en` nor `zh`.
    """
    if lang and lang not in list(Tongue):
        raise Malformed("displays speak en or zh", "lang", 'For example: darkroom.use(lang="zh").')
    _chosen[:] = [Tongue(lang)] if lang else []


def language() -> Tongue:
    """Return the language that displays speak now."""
    if _chosen:
        return _chosen[0]
    for found in (os.environ.get("DARKROOM_LANG", ""), _of_jupyterlab(), _of_locale()):
        if found:
            return Tongue.ZH if found.lower().startswith("zh") else Tongue.EN
    return Tongue.EN


def say(key: str, /, **values: object) -> str:
    """Return a message in the language that is spoken, with these values in it.

    Raises:
        KeyError: there is no such message; a defect.
    """
    return WORDS[key][language() is Tongue.ZH].format(**values)


def told(sentence: str) -> str:
    """Return a sentence that the house says (of an error, a reason, a remedy) in the language that is spoken; as it is
    where it has no Chinese. What programs read is the sentence itself.
    """
    if language() is not Tongue.ZH:
        return sentence
    from plans.chinese import in_chinese  # read when it is needed first

    return in_chinese(sentence)


def place(where: str) -> str:
    """Return where an error is in the language that is spoken: lines and cells in words, all else by its own name."""
    for key in ("place.line-character", "place.cell-line", "place.line", "place.cell"):
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>\\d+)", WORDS[key][0]), where)
        if found:
            return say(key, **found.groupdict())
    return where


def known(key: str) -> bool:
    """Return whether there is such a message."""
    return key in WORDS


def term(group: str, word: str) -> str:
    """Return a word of records (`state`, `rule`, …) as a person reads it; one that is not known stays as it is."""
    return say(f"{group}.{word}") if f"{group}.{word}" in WORDS else word


def _of_locale() -> str:
    """Return the locale by the order of POSIX; the plain ones say nothing."""
    named = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    found = next(filter(None, named), "")
    return "" if found.partition(".")[0] in ("C", "POSIX") else found


def _of_jupyterlab() -> str:
    """Return the language that this lab's JupyterLab was set to in its menu, or nothing."""
    if not os.environ.get("DARKROOM_LAB"):
        return ""
    folder = os.environ.get("JUPYTERLAB_SETTINGS_DIR") or Path.home() / ".jupyter" / "lab" / "user-settings"
    try:
        with open(Path(folder) / _SETTINGS, encoding="utf-8") as file:
            found = _LOCALE.search(file.read(_LONGEST_SETTINGS))
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1] if found and found[1] != "default" else ""


_OF_DISPLAYS: Mapping[str, tuple[str, str]] = {
    # results
    "result.title": ("Result", "结果"),
    "result.size": ("{rows} rows × {columns} columns", "{rows} 行 × {columns} 列"),
    "result.head": ("the first {shown} of {rows} rows", "{rows} 行中的前 {shown} 行"),
    "result.wide": ("{more} more columns", "另有 {more} 列"),
    "result.withheld": ("{cells} cells withheld (▒)", "{cells} 个单元格被隐去（▒）"),
    "result.none-withheld": ("no cell withheld", "没有单元格被隐去"),
    "cell.withheld": (
        "withheld: fewer than {persons} persons stand behind it, or a rule of the airlock protects it",
        "已隐去：其背后不足 {persons} 人，或受出域规则保护",
    ),
    "cell.withheld-plain": ("withheld by a rule of the airlock", "按出域规则隐去"),
    "result.protection": (
        "Protection: at least {persons} persons behind a figure; counts in multiples of {rounding}",
        "保护：每个数字背后至少 {persons} 人；计数按 {rounding} 的倍数取整",
    ),
    "result.private": (
        "Protection: noise was added to every figure (differential privacy)",
        "保护：每个数字都加入了噪声（差分隐私）",
    ),
    "result.plan": ("plan {digest}", "计划 {digest}"),
    "result.verified": (
        "signature, plan and hash verified against the keeper key {key} of {domain}",
        "已用 {domain} 密钥管家的公钥 {key} 验证签名、计划与哈希",
    ),
    "result.owner": ("from {domain}", "来自 {domain}"),
    "twin.title": ("LOOK-ALIKE DATA", "仿真数据"),
    "twin.banner": (
        "仿真数据 look-alike data: made up, about nobody. Nothing here says anything about real persons.",
        "仿真数据：全部为虚构，不涉及任何真实个人，不能作为结论。",
    ),
    "twin.next": ('The same on real data: on="real".', '在真实数据上运行同一语句：on="real"。'),
    "check.title": ("Checked, nothing ran", "已检查，未运行"),
    "check.leaves": ("Would leave", "将会出域"),
    "output.title": ("Output {name}", "产出 {name}"),
    "files.title": ("Released files", "已出域文件"),
    "files.save": ('.save("outputs") writes them.', '用 .save("outputs") 写入文件夹。'),
    # jobs
    "job.title": ("Job {id}", "任务 {id}"),
    "jobs.title": ("{count} jobs", "{count} 个任务"),
    "jobs.none": ("You have no jobs yet.", "您还没有任务。"),
    "job.meaning": ("What this means", "含义"),
    "job.waits": ("Waits for", "等待"),
    "job.nobody": ("nobody: it has ended", "无需等待，已结束"),
    "job.before": ("{who}, {before} jobs before it", "{who}，前面还有 {before} 个任务"),
    "job.acts": ("Who must act", "由谁处理"),
    "job.you": ("you", "您"),
    "job.owner": ("Owner of the data", "数据方"),
    "job.timeline": ("So far", "经过"),
    "job.verdict": ("Inspection", "检查结论"),
    "job.rules": ("{finding} Rules applied: {rules}", "{finding} 所用规则：{rules}"),
    "job.cost": ("Cost", "开销"),
    "job.cost-told": ("{cost} of processor time", "处理器时间 {cost}"),
    "job.attempt": ("Attempt", "第几次尝试"),
    "job.next": ("Next step", "下一步"),
    "job.why": ("Why", "原因"),
    "job.back": (
        "The job goes on. Come back with: darkroom.job({id!r})",
        "任务仍在继续。随时可用 darkroom.job({id!r}) 回来查看",
    ),
    "job.left": ("You stopped watching; job {id} goes on.", "已停止查看；任务 {id} 仍在继续。"),
    "next.wait": ("Wait for it: job.wait(); it goes on by itself, too.", "用 job.wait() 等待；其间可做别的事。"),
    "next.approval": (
        "An approver signs or declines it; you need not do anything.",
        "等待审批员签署或拒绝；您无需操作。",
    ),
    "next.held": (
        "Reviewers of the owner look at it; you need not do anything.",
        "等待数据方审查员复核；您无需操作。",
    ),
    "next.released": ("Open it: job.result()", "打开结果：job.result()"),
    "next.refused": ("See what would make it pass: job.explain()", "查看怎样才能通过：job.explain()"),
    "next.failed": ("Try again: job.retry()", "重试：job.retry()"),
    "next.ended": ("Ask again when you are ready.", "准备好后可重新提交。"),
    # lists
    "datasets.title": ("{count} datasets", "{count} 个数据资源"),
    "datasets.none": ("There are no datasets yet.", "目前没有数据资源。"),
    "datasets.next": ("Look at one: darkroom.describe({dataset!r})", "查看其中一个：darkroom.describe({dataset!r})"),
    "description.columns": ("{count} columns", "{count} 列"),
    "description.persons": ("about persons", "涉及个人"),
    "description.reference": ("reference data, about nobody", "参考数据，不涉及个人"),
    "description.sample": (
        "See look-alike rows: darkroom.sample({dataset!r})",
        "查看仿真行：darkroom.sample({dataset!r})",
    ),
    "sample.title": ("Sample of {name}", "{name} 的仿真样例"),
    "grants.title": ("{count} grants", "{count} 项授权"),
    "grants.none": ("No grant serves you yet. Apply: darkroom.apply(…)", "您还没有授权。申请：darkroom.apply(…)"),
    "applications.title": ("{count} applications", "{count} 份申请"),
    "application.title": ("Application {id}", "申请 {id}"),
    "application.uses": ("{uses} plans", "{uses} 次"),
    "application.next": (
        "An approver of the owner decides about it: darkroom.applications() says what became of it.",
        "由数据方的审批员决定；用 darkroom.applications() 查看结果。",
    ),
    "components.title": ("{count} components", "{count} 个算法控件"),
    "packages.title": ("What can be imported, in each image", "各镜像中可导入的模块"),
    "trial.title": ("Trial on made-up tables", "在仿真表上的试运行"),
    "trial.well": ("ended well", "正常结束"),
    "trial.failed": ("ended with {code}", "以 {code} 结束"),
    "trial.place": ("{error} at {file}, line {line}", "{error}，位于 {file} 第 {line} 行"),
    "trial.left": ("It leaves", "产出"),
    "trial.log": ("What it printed", "输出内容"),
    "trial.text": ("The error's text", "错误信息"),
    "joint.title": ("Joint computation {id}", "联合计算 {id}"),
    "joint.result": ("Joint result", "联合计算结果"),
    "joint.parties": ("Parties", "参与方"),
    "budget.title": ("Budget", "预算"),
    "budget.left": ("{left} of {uses} plans", "{left}/{uses} 次"),
    "budget.cells": ("{cells} cells in {days} days", "{days} 天内 {cells} 个单元格"),
    "budget.jobs": ("{active} of {most} jobs at once are active.", "正在进行的任务：{active}，同时最多 {most} 个。"),
    "budget.rho": (
        "{rho} millionths of rho in {days} days, shared; yours: {own}",
        "{days} 天内共 {rho} 微 rho（共用），您已用 {own}",
    ),
    "head.bound": ("figures are bounded to", "数值输出上限"),
    "budget.none": ("No budget applies to you.", "目前没有适用的预算。"),
    "list.more": ("… {more} more", "……另有 {more} 项"),
    "size": ("{size:,} bytes", "{size:,} 字节"),
    # heads of tables
    "head.relation": ("table in SQL", "SQL 表名"), "head.dataset": ("dataset", "数据资源"),
    "head.title": ("title", "名称"), "head.grade": ("grade", "分级"), "head.domain": ("owner", "数据方"),
    "head.version": ("version", "版本"), "head.name": ("name", "名称"), "head.type": ("type", "类型"),
    "head.unit": ("unit", "单位"), "head.kind": ("kind", "种类"), "head.uses": ("may be used for", "可用于"),
    "head.state": ("state", "状态"), "head.columns": ("columns", "列"), "head.project": ("project", "项目"),
    "head.purpose": ("purpose", "用途"), "head.until": ("until", "有效期至"), "head.id": ("id", "编号"),
    "head.rule": ("rule", "规则"), "head.why": ("why", "原因"), "head.help": ("what would help", "怎样解决"),
    "head.waits": ("waits for", "等待"), "head.form": ("form", "形式"), "head.description": ("description", "说明"),
    "head.left": ("left", "剩余"), "head.total": ("total", "总额"), "head.role": ("role", "角色"),
    "head.period": ("period", "周期"), "head.member": ("member", "用户"), "head.parameters": ("parameters", "参数"),
    "head.spent": ("spent", "已用"), "head.description-zh": ("description (Chinese)", "中文说明"),
    "head.modules": ("modules", "模块"), "head.stage": ("stage", "阶段"),
    "head.at-most": ("at most", "最多"), "head.size": ("size", "大小"), "head.meaning": ("meaning", "含义"),
}  # fmt: skip

_OF_HELP: Mapping[str, tuple[str, str]] = {
    # the magic
    "magic.stage": ("{state}: {sentence}", "{state}：{sentence}"),
    "magic.elapsed": ("{seconds:.0f} s so far", "已用时 {seconds:.0f} 秒"),
    "magic.dry": ("Dry run: nothing ran on data", "预检：未接触任何数据"),
    "magic.outcome": ("It would be answered", "答复将是"),
    "magic.price": ("{rho} millionths of rho, of {datasets}", "百万分之 {rho} rho，来自 {datasets}"),
    "magic.cost": ("It would cost", "将花费"),
    "magic.noise": ("Noise of {output}", "{output} 的噪声"),
    "magic.kept": ("The answer is in {name}.", "结果已存入变量 {name}。"),
    # errors
    "error.where": ("Where", "位置"), "error.rule": ("Failing rule", "未通过的规则"),
    "error.whom": ("Whom to ask", "向谁询问"), "error.do": ("What to do", "怎么办"),
    "error.rewrite": ("This would say it differently, ready to copy", "可改写为（可直接复制）"),
    "error.unchecked": (
        "Not checked yet; dry runs check them, for nothing: darkroom.try_it()",
        "尚未核验；可免费预检：darkroom.try_it()",
    ),
    "error.apply-page": ("Or apply for it on the portal, filled in", "或在门户上提出申请（已填好）"),
    "error.apply": ("Or apply for it", "或提出申请"),
    "error.remedies": ("All of this together makes it pass", "以下各项全部做到即可通过"),
    "error.remedies-some": ("This helps; it may not be all", "以下各项有帮助，但未必足够"),
    "error.alternatives": ("Or the owner could allow it", "或由数据方放行"),
    "error.last": (
        "Your own lines only; all of it: darkroom.last_traceback()",
        "只显示您自己的代码行；完整信息：darkroom.last_traceback()",
    ),
    "place.line-character": ("line {line}, character {character}", "第 {line} 行，第 {character} 个字符"),
    "place.cell-line": ("cell {cell}, line {line}", "第 {cell} 个单元格，第 {line} 行"),
    "place.line": ("line {line}", "第 {line} 行"),
    "place.cell": ("cell {cell}", "第 {cell} 个单元格"),
    "error.line": ("{file}, line {line}", "{file} 第 {line} 行"),
    "error.cell": ("this cell", "本单元"),
    "error.tried": ("{label}: {outcome}", "{label}：{outcome}"),
    "error.dry-limits": (
        "A dry run knows the rules and not the data: a group may still be too small.",
        "预检只看规则，不看数据：分组仍可能过小。",
    ),
    "error.nothing-to-try": ("There is no rewrite to try.", "没有可供预检的改写。"),
    "whom.owner": ("a steward or approver of {domain}", "{domain} 的数据管理员或审批员"),
    "whom.approvers": ("the approvers {names}", "审批员 {names}"),
    "whom.administrator": ("the platform's administrator", "平台管理员"),
    "whom.owner-and-auditor": ("the owner of the data and the auditor", "数据方与审计员"),
    "whom.nobody": ("nobody: you can change it yourself", "无需询问，您可自行修改"),
    "why.coarser": ("{column} left out of GROUP BY: larger groups", "GROUP BY 中去掉 {column}：分组更大"),
    "why.year": ("{column} by year: larger groups", "{column} 改按年：分组更大"),
    "why.band": ("{column} in bands: larger groups", "{column} 分段：分组更大"),
    "why.star": ("the columns by name, those that you may use", "逐一写出您可用的列"),
    "why.instead": ("{instead} in place of {function}", "用 {instead} 代替 {function}"),
    "why.percentile": (
        "a percentile in place of {function}, which shows one person's value",
        "用分位数代替 {function}，后者会暴露某一个人的值",
    ),
    "why.left-out": ("{column} left out", "去掉 {column}"),
    "why.figures": ("figures about groups in place of rows", "用分组数字代替逐行数据"),
    "why.group": ("{column} added to GROUP BY", "把 {column} 加入 GROUP BY"),
    "why.name": ("{right} in place of {wrong}", "用 {right} 代替 {wrong}"),
    "why.full-width": ("plain signs in place of {signs}", "用半角符号代替 {signs}"),
    "why.limit": ("without LIMIT and ORDER BY over rows: aggregate first", "去掉对逐行的 LIMIT 与 ORDER BY：先聚合"),
    "why.limit-number": ("a plain whole number in LIMIT", "LIMIT 用整数"),
    "why.output": ("the key {column} made an output", "把键 {column} 加入输出列"),
    "note.limit-late": (
        "LIMIT does not make a result smaller for the airlock: it is applied to what is protected already.",
        "LIMIT 不会让出域检查更容易通过：它在保护之后才生效。",
    ),
    # modules
    "module.missing": (
        "{module} is not in this image. darkroom.packages() lists what is; ask {whom} to add it{mirror}.",
        "本镜像中没有 {module}。darkroom.packages() 列出已有的包；请 {whom} 添加{mirror}。",
    ),
    "module.mirror": (
        ", or install it from the mirror: %pip install {module}",
        "，或从镜像安装：%pip install {module}",
    ),
    "module.administrator": ("the platform's administrator", "平台管理员"),
    # keys
    "keys.prompt": ("Passphrase of your keys (it is not shown or kept): ", "您的密钥口令（不显示、不保存）："),
    "keys.new": ("A new passphrase for your keys (8 characters or more): ", "为密钥设置新口令（至少 8 个字符）："),
    "keys.again": ("The same again: ", "再输入一次："),
    "keys.open": ("Your keys are open in this session.", "本次会话中密钥已打开。"),
    "keys.title": ("Your keys, their public halves", "您的密钥（公开部分）"),
    "keys.signing": ("Signing key", "签名公钥"), "keys.opening": ("Opening key", "解封公钥"),
    "keys.fingerprint": ("fingerprint", "指纹"),
    "keys.fingerprint-why": (
        "Approvers will ask you for the fingerprint.",
        "审批员会向您核对指纹。",
    ),
    "keys.enrol": ("Enrol them on the portal's page", "在门户页面登记"),
    "keys.enrol-why": (
        "Sign in, paste both public keys on that page, and run your cell again.",
        "登录后把两个公钥都粘贴到该页，再重新运行本单元。",
    ),
    "keys.enrolled": ("These keys are enrolled.", "这对密钥已登记。"),
    # keepers
    "trust.not-pinned": ("The key of this keeper is not pinned yet", "尚未确认该密钥管家的公钥"),
    "trust.pinned": ("The key of the keeper of {domain} is pinned", "已确认 {domain} 密钥管家的公钥"),
    "trust.key": ("Key", "公钥"),
    "trust.done": (
        "The portal names the same key. From now on results of {domain} are believed if it signed them.",
        "与门户给出的公钥一致。今后由它签名的 {domain} 结果才会被接受。",
    ),
    "trust.offered": ("The portal says that the keeper of {domain} signs with", "门户称 {domain} 密钥管家的公钥为"),
    "trust.compare": (
        "The portal could lie: this key is worth something only once you have compared it with the word of {domain} "
        "itself, by another way than this platform.",
        "门户可能说谎：只有通过平台以外的途径与 {domain} 本身的说法核对之后，这个公钥才有意义。",
    ),
    "trust.again": (
        "Then pin it, with the key that the owner told you",
        "核对后，用数据方告诉您的公钥确认",
    ),
    "trust.differs": (
        "The portal names another key: {key}. Do not go on before {domain} has told you which one is its keeper's.",
        "门户给出的是另一个公钥：{key}。在 {domain} 告诉您哪个正确之前，请勿继续。",
    ),
}  # fmt: skip

WORDS: Mapping[str, tuple[str, str]] = {**TERMS, **_OF_DISPLAYS, **_OF_HELP}
"""Every message of displays: English, Chinese. What errors say, in English everywhere, `plans.chinese` translates."""
