"""The words of policies in one table: what each is, how it is written, and its sentence in English and Chinese.

The documentation (`docs/vocabulary.md`) and the portal's texts come from here, and a test holds the table against
the code: a word without a sentence, or a sentence without a word, fails the build.

The grammar of a permission, as the documents and the portal write it:

    permission = verb ":" object [ "?" obligation *( "&" obligation ) ]
    verb       = one of the actions on data, or of the acts of duties
    object     = "dataset" / "column" / "plan" / "output" / "policies" / "log" / "platform"
    obligation = one of the obligations

`query:dataset?minimum-group&rounding` reads: may ask for figures of a dataset, and every answer has at least so
many persons behind each figure, and rounded counts. A permission is read exactly; there is no star in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from plans.constraints import Action, MaskKind, Reveal, Share, Use
from plans.decision import Outcome
from plans.errors import Malformed
from policies.explain import RemedyKind


class Sort(StrEnum):
    """What a word is."""

    VERB = "verb"
    OBJECT = "object"
    ROLE = "role"
    OBLIGATION = "obligation"
    USE = "use"
    REVEAL = "reveal"
    MASK = "mask"
    SHARE = "share"
    OUTCOME = "outcome"
    RULE = "rule"
    REMEDY = "remedy"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Word:
    """A word: what it is, how it is written, and what it means."""

    sort: Sort
    word: str
    english: str
    chinese: str


def _words(sort: Sort, *rows: tuple[str, str, str]) -> tuple[Word, ...]:
    return tuple(Word(sort, *row) for row in rows)


VERBS = _words(
    Sort.VERB,
    (Action.DESCRIBE, "see that a dataset is there, and its columns", "查看数据资源及其字段的描述"),
    (Action.QUERY, "ask for figures about groups of persons", "查询关于人群的统计结果"),
    (Action.READ_ROWS, "read rows of columns whose values are shown", "读取允许展示字段的逐行数据"),
    (Action.TRAIN, "train a model", "训练模型"),
    (Action.JOINT, "take part in joint computations", "参与联合计算"),
    (Action.ENCRYPTED, "take part in joint computations on ciphertexts only", "仅参与基于密文的联合计算"),
    ("apply", "ask for a grant", "申请授权"),
    ("approve", "sign a grant, or a yes to one plan", "签署授权或批准单个计划"),
    ("revoke", "end a grant or an approval", "撤销授权或批准"),
    ("review", "look at an output that is held, and let it out or not", "审查被扣留的结果并决定是否放行"),
    ("sign", "put policies in force", "签署策略使其生效"),
    ("ingest", "bring a dataset version in", "接入数据资源版本"),
    ("verify", "read and verify the audit log", "查阅并验证审计日志"),
    ("run", "run the platform", "运行平台"),
)

OBJECTS = _words(
    Sort.OBJECT,
    ("dataset", "a dataset, named like nm/tax/income", "数据资源"),
    ("column", "a column of a dataset", "字段"),
    ("plan", "one plan, by its digest", "计划"),
    ("output", "an output before it is released", "待出域结果"),
    ("policies", "a domain's bundle", "策略包"),
    ("log", "the audit log", "审计日志"),
    ("platform", "the services, not the data", "平台服务"),
)

ROLES = _words(
    Sort.ROLE,
    ("researcher", "develops on look-alike data and asks for results on real data", "研究员"),
    ("operator", "submits joint computations across agencies", "操作员"),
    ("approver", "grants access to the domain's datasets, and approves plans", "审批员"),
    ("reviewer", "looks at outputs that are held", "审查员"),
    ("steward", "describes and ingests datasets, and signs policies", "数据管理员"),
    ("auditor", "reads and verifies the audit log", "审计员"),
    ("administrator", "runs the platform; has no grant to data", "平台管理员"),
)

OBLIGATIONS = _words(
    Sort.OBLIGATION,
    ("minimum-group", "at least so many persons stand behind every figure", "每个统计结果至少涉及规定人数"),
    ("rounding", "counts are rounded to multiples of a base", "计数按规定基数取整"),
    ("largest-result", "a result has at most so many cells", "结果的单元格数不超过上限"),
    ("tier", "the data are read in isolation at least this strong", "数据只在不低于规定等级的隔离环境中读取"),
    (
        "row-filter",
        "rows that do not meet a condition are as if they were not there",
        "不满足条件的行视同不存在",
    ),
    ("masks", "values are masked before the statement runs", "语句运行前先对字段值脱敏"),
    ("each-plan", "an approver signs every single plan", "每个计划须由审批员单独批准"),
)

USES = _words(
    Sort.USE,
    (Use.SELECT, "be an output, row by row", "逐行输出"),
    (Use.FILTER, "stand in any condition", "用于任意筛选条件"),
    (Use.COMPARE, "be compared with a constant", "与常量比较"),
    (Use.JOIN, "be a key on which relations are joined", "作为关联键"),
    (Use.GROUP, "be a key of groups", "作为分组键"),
    (Use.AGGREGATE, "stand inside the aggregate functions that are named", "用于指定的聚合函数"),
    (Use.MODEL, "feed a training job", "用于模型训练"),
    (Use.SHARED, "be an input of joint computations, never in clear", "参与联合计算，不以明文出现"),
    (Use.ENCRYPTED, "be an input of joint computations on ciphertexts only", "仅参与基于密文的联合计算"),
)

REVEALS = _words(
    Sort.REVEAL,
    (Reveal.NEVER, "nothing", "不披露"),
    (Reveal.NOISED, "what has noise added (nothing in this version)", "仅披露加噪结果（本版本不披露）"),
    (Reveal.AGGREGATED, "figures over enough persons", "仅披露足够人数的聚合结果"),
    (Reveal.GROUPED, "also keys of groups with enough persons", "可披露足够人数分组的键"),
    (
        Reveal.JOINED,
        "also values of rows that met a row of another relation",
        "可披露与其他表关联成功的行的值",
    ),
    (Reveal.MASKED, "also what a mask leaves of single values", "可披露脱敏后的值"),
    (Reveal.PLAIN, "values as they are", "披露原值"),
)

MASKS = _words(
    Sort.MASK,
    (MaskKind.LAST, "the last characters", "仅保留末尾若干字符"),
    (MaskKind.DATE, "the month, quarter or year", "日期仅保留到月、季或年"),
    (MaskKind.PLACE, "the first characters of a place's code or name", "地点仅保留前若干字符"),
    (MaskKind.BUCKET, "the lower bound of an interval", "数值归入区间，仅保留下界"),
    (MaskKind.NULL, "nothing", "置空"),
    (MaskKind.PSEUDONYM, "a keyed hash, equal for equal values", "加密钥的假名，相同的值假名相同"),
)

SHARES = _words(
    Sort.SHARE,
    (Share.UNCONDITIONAL, "may be given to every agency", "无条件共享"),
    (Share.CONDITIONAL, "may be given under conditions", "有条件共享"),
    (Share.NONE, "is given on a legal basis only", "不予共享（须有法律依据）"),
)

OUTCOMES = _words(
    Sort.OUTCOME,
    (Outcome.ALLOW, "it may run", "允许"),
    (Outcome.DENY, "it may not run; every failing rule is told", "拒绝，并说明所有未通过的规则"),
    (
        Outcome.NEEDS_APPROVAL,
        "it may run once an approver has signed this very plan",
        "须审批员批准该计划后方可运行",
    ),
)

RULES = _words(
    Sort.RULE,
    ("unknown-relation", "a relation is no current dataset version", "关系表不是现行的数据资源版本"),
    ("one-owner", "the relations belong to several owners", "关系表属于不同的数据方"),
    ("no-policy", "the owner has set no policy", "数据方未设定策略"),
    ("share-none", "the share type is none and no legal basis is named", "不予共享且未注明法律依据"),
    ("grant-role", "the grant is for a role that reads no data", "授权给予了不得读取数据的角色"),
    ("access", "the owner's access rules do not let the member do this", "数据方的访问规则不允许该操作"),
    ("identifier", "a direct identifier is used", "使用了直接标识符"),
    ("column-rules", "the rules about a column contradict each other", "字段的规则相互矛盾"),
    ("column-use", "a column's rules do not allow this use", "字段规则不允许该用法"),
    ("column-reveal", "a column's rules reveal less than this use would", "字段规则允许的披露程度低于该用法"),
    ("column-noised", "a column is revealed with noise only", "字段仅允许加噪披露"),
    ("after-join", "values shown after a join are not joined", "须关联后披露的字段未与其他表关联"),
    ("no-grant", "no grant fits member, keys, project and purpose", "没有与用户、密钥、项目和用途相符的授权"),
    ("grant-inactive", "the grant has expired, was revoked or is used up", "授权已过期、被撤销或已用完"),
    ("grant-columns", "the grant does not name every column", "授权未包含全部字段"),
    (
        "two-modes",
        "exact and private datasets are asked for at once",
        "精确模式与差分隐私模式的数据不能一并使用",
    ),
    ("private-code", "a program would read a private dataset", "差分隐私模式的数据不接受程序"),
    ("private-rows", "rows of a private dataset would leave", "差分隐私模式不输出行级数据"),
    (
        "private-shape",
        "no single table about single persons can be noised",
        "加噪结果须为单表且每行只涉及一人",
    ),
    (
        "private-enterprises",
        "an owner asks for enterprises, which noise does not hide",
        "所有者要求企业数下限，加噪只保护个人",
    ),
    ("private-figure", "a figure has no noisy form", "该统计量没有加噪形式"),
    ("private-bounds", "nobody declared the bounds of a column", "字段未声明取值范围"),
    ("private-cells", "declared values have too many combinations", "声明取值的组合过多"),
    ("private-spend", "more would be spent than the budget holds", "请求超过隐私预算"),
    ("joint-grade", "data graded important or core would be shared", "重要或核心数据不参与联合计算"),
    ("joint-terms", "the owner has no terms of joint computations", "数据方未规定联合计算条件"),
    ("joint-matching", "the owner does not accept the matching", "数据方不接受该隐私求交方式"),
    ("joint-opening", "the owner does not accept the opening", "数据方不接受该结果揭示方式"),
    (
        "joint-sizes",
        "the owner does not let others learn how many rows match",
        "数据方不允许他方获知匹配行数",
    ),
    (
        "joint-ciphertexts",
        "the owner does not have sums added up as ciphertexts",
        "数据方不接受以密文汇总",
    ),
    ("joint-checks", "a rule of the owner cannot be kept jointly", "数据方的规则无法在联合计算中执行"),
    ("model-unknown", "no such kept model is there for the project", "项目没有该留存模型"),
    ("model-purpose", "a kept model was fitted for another purpose", "留存模型用于其他用途"),
    (
        "model-data",
        "a kept model was fitted to more than the task reads",
        "留存模型的训练数据超出任务所读数据",
    ),
    ("each-plan", "the owner approves every plan by itself", "数据方逐个批准计划"),
)

REMEDIES = _words(
    Sort.REMEDY,
    (RemedyKind.LEAVE_OUT, "leave a use of a column out of the statement", "从语句中去掉该字段的用法"),
    (RemedyKind.LEAVE_RELATION, "leave a relation out of the statement", "从语句中去掉该关系表"),
    (RemedyKind.USE_INSTEAD, "use another function", "改用其他函数"),
    (
        RemedyKind.ASK_FIGURES,
        "ask for figures about groups instead of rows",
        "改为查询关于人群的统计结果，而非逐行数据",
    ),
    (RemedyKind.APPLY, "apply for a grant", "申请授权"),
    (RemedyKind.ASK_RULE, "ask the owner for a rule about the column", "请数据方增加字段规则"),
    (RemedyKind.ASK_ACCESS, "ask the owner for an access rule", "请数据方增加访问规则"),
    (RemedyKind.ASK_POLICY, "ask the owner for a policy", "请数据方设定策略"),
    (RemedyKind.ASK_BASIS, "ask the owner for the legal basis", "请数据方注明法律依据"),
    (RemedyKind.WAIT, "wait for an approver", "等待审批员批准"),
)

CALLS = _words(
    Sort.CALL,
    ("read-catalog", "read the catalog", "查阅数据目录"),
    ("apply-for-data", "apply for data", "申请使用数据"),
    ("see-own-applications", "see own applications and grants", "查看本人的申请与授权"),
    ("see-applications-to-decide", "see applications that wait for a decision", "查看待审批的申请"),
    ("decline-application", "decline an application", "驳回申请"),
    ("hand-in-statement", "hand in a grant, approval or revocation", "提交授权、批准或撤销声明"),
    ("submit-job", "run a statement", "运行语句"),
    ("see-own-jobs", "see own jobs", "查看本人的任务"),
    ("cancel-job", "cancel a job", "取消任务"),
    ("fetch-result", "fetch a result", "取回结果"),
    ("read-plan-to-approve", "read a plan that waits for approval", "查阅待批准的计划"),
    ("see-self", "see own membership", "查看本人的成员信息"),
    ("enrol-keys", "enrol keys", "登记密钥"),
    ("change-password", "change the own password", "修改本人的密码"),
    ("make-token", "make a token", "创建令牌"),
    ("open-lab", "open a lab", "打开实验室"),
)

TABLE = (
    *VERBS, *OBJECTS, *ROLES, *OBLIGATIONS, *USES, *REVEALS, *MASKS, *SHARES, *OUTCOMES, *RULES, *REMEDIES, *CALLS,
)  # fmt: skip

_ACTS = {word.word for word in VERBS}
_THINGS = {word.word for word in OBJECTS}
_DEMANDS = {word.word for word in OBLIGATIONS}
_FORM = re.compile(r"([a-z-]+):([a-z-]+)(?:\?([a-z-]+(?:&[a-z-]+)*))?")


@dataclass(frozen=True, slots=True)
class Permission:
    """A verb on an object, under obligations."""

    verb: str
    object: str
    obligations: tuple[str, ...] = ()

    def __str__(self) -> str:
        asked = f"?{'&'.join(self.obligations)}" if self.obligations else ""
        return f"{self.verb}:{self.object}{asked}"


def permission(text: str) -> Permission:
    """Read a permission.

    Raises:
        Malformed: it does not follow the grammar, or uses a word that the table does not have.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise Malformed(
            f"{text!r:.60} is not a permission", "permission", "Write verb:object, as query:dataset."
        )
    verb, thing, demands = found.group(1), found.group(2), tuple((found.group(3) or "").split("&"))
    demands = tuple(demand for demand in demands if demand)
    unknown = {verb} - _ACTS | {thing} - _THINGS | set(demands) - _DEMANDS
    if unknown:
        raise Malformed(
            f"{min(unknown)!r} is no word of permissions", "permission", "docs/vocabulary.md lists them."
        )
    return Permission(verb, thing, demands)


_ASKING = ("describe:dataset", "query:dataset", "read-rows:dataset", "train:dataset", "apply:dataset")
_OF_ROLES: dict[str, tuple[str, ...]] = {
    "researcher": _ASKING,
    "operator": (*_ASKING, "joint:dataset", "encrypted:dataset"),
    "approver": ("describe:dataset", "approve:dataset", "approve:plan", "revoke:dataset", "revoke:plan"),
    "reviewer": ("describe:dataset", "review:output"),
    "steward": ("describe:dataset", "ingest:dataset", "sign:policies"),
    "auditor": ("describe:dataset", "verify:log"),
    "administrator": ("describe:dataset", "run:platform"),
}


def can(role: str, verb: str, thing: str) -> bool:
    """Return whether a role is one that may be *given* a permission; an unknown role is given nothing.

    That somebody has it takes more: a roster for duties, access rules and a grant for data. Whoever approves,
    reviews, stewards, audits or administers cannot be given data, so that nobody decides about what they read.
    """
    return f"{verb}:{thing}" in _OF_ROLES.get(role, ())


def about(sort: Sort) -> tuple[Word, ...]:
    """Return the words of one sort, in the order of the table."""
    return tuple(word for word in TABLE if word.sort is sort)


def sentence(sort: Sort, word: str) -> Word:
    """Return a word with its sentences.

    Raises:
        Malformed: there is no such word.
    """
    for found in about(sort):
        if found.word == word:
            return found
    raise Malformed(f"{word!r:.60} is no {sort}", "vocabulary", "docs/vocabulary.md lists all words.")


# --- the page -----------------------------------------------------

_TITLES = {
    Sort.VERB: "Actions 操作",
    Sort.OBJECT: "Objects 对象",
    Sort.ROLE: "Roles 角色",
    Sort.OBLIGATION: "Obligations 义务",
    Sort.USE: "Uses of a column 字段用法",
    Sort.REVEAL: "What is revealed 披露程度",
    Sort.MASK: "Masks: what is left of a value 脱敏方式",
    Sort.SHARE: "Share types 共享属性",
    Sort.OUTCOME: "Decisions 决策结果",
    Sort.RULE: "Rules that a decision names 决策规则",
    Sort.REMEDY: "What can be done about a no 补救办法",
    Sort.CALL: "What can be asked of the portal 门户操作",
}


def page() -> str:
    """Return `docs/vocabulary.md`."""
    grammar = (__doc__ or "").partition("portal write it:\n\n")[2].rstrip()
    parts = [
        "# The vocabulary of policies 策略词汇\n",
        "Generated from `policies/vocabulary.py` by `tools/policies_reference.py`; a test compares.\n",
        "## How a permission is written 权限的写法\n",
        grammar + "\n",
        "## Who can be given what 角色与权限\n",
        "A tick says that the role can be *given* the permission, not that it has it: that takes a roster for duties, "
        "access rules and a grant for data.\n",
        _matrix(),
    ]
    for sort in Sort:
        parts += [f"## {_TITLES[sort]}\n", _list(about(sort))]
    return "\n".join(parts)


def _matrix() -> str:
    roles = [word.word for word in ROLES]
    every = sorted({text for permissions in _OF_ROLES.values() for text in permissions})
    rows = [
        f"| `{text}` | " + " | ".join("✓" if text in _OF_ROLES[r] else "–" for r in roles) + " |"
        for text in every
    ]
    head = f"| permission | {' | '.join(roles)} |\n|---|{'---|' * len(roles)}\n"
    return head + "\n".join(rows) + "\n"


def _list(words: Iterable[Word]) -> str:
    rows = [f"| `{word.word}` | {word.english} | {word.chinese} |" for word in words]
    return "| word | English | 中文 |\n|---|---|---|\n" + "\n".join(rows) + "\n"
