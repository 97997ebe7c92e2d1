"""What a plan means for the people in the data: the report that approvers read before they sign.

It is made from the plan's own bytes and from the manifests whose digests the plan names, by the same code on the
approver's machine and in the portal, so nobody has to take anybody's word for it. It says what is so by form:
columns, joins, recipients, conditions, and which rules of law speak about that. It guesses nothing, and nothing in
it depends on a row.

The rules are those that a region's data office works under; where their text was not confirmed, the line says that
it is to be confirmed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.conditions import Condition, Form, conditions
from plans.constraints import Share, Tag
from plans.decision import Obligations
from plans.errors import HashMismatch, Malformed
from plans.manifest import Grade, Kind, Manifest
from plans.plan import Plan, Program
from plans.reading import Level, Output, Role
from plans.record import Record
from plans.request import Request
from plans.statements import Bundle, DatasetPolicy


class Weight(StrEnum):
    """How much a line matters: something to know, something to think about, something that speaks against it."""

    NOTE = "note"
    CAUTION = "caution"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Line(Record):
    """One sentence of the report, in both languages. `topic` groups lines."""

    topic: str
    weight: Weight
    english: str
    chinese: str


@dataclass(frozen=True, slots=True)
class ImpactReport(Record):
    """The report about one plan, by its digest."""

    KIND: ClassVar[str] = "impact"

    plan: str
    lines: tuple[Line, ...]

    @property
    def weight(self) -> Weight:
        """The gravest weight of all lines."""
        return max((line.weight for line in self.lines), key=list(Weight).index, default=Weight.NOTE)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A plan taken apart, with the manifests by relation and the owner's bundle where it is at hand."""

    request: Request
    program: Program
    obligations: Obligations
    domain: str
    manifests: dict[str, Manifest]
    bundle: Bundle | None

    def kind(self, source: str) -> Kind | None:
        """Return what a base column (`schema.table.column`) says about a person, or none if that is not known."""
        relation, _, column = source.rpartition(".")
        manifest = self.manifests.get(relation)
        found = manifest.column(column) if manifest else None
        return found.kind if found else None

    def policies(self) -> Iterator[DatasetPolicy]:
        """Yield the policies of the datasets that are read, as far as they are known."""
        for manifest in self.manifests.values():
            policy = self.bundle.policy(manifest.dataset) if self.bundle else None
            if policy is not None:
                yield policy

    @property
    def persons(self) -> tuple[str, ...]:
        """The relations that are about persons."""
        return tuple(each.name for each in self.program.relations if each.about_persons)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every base column that the plan reads, as `schema.table.column`."""
        return tuple(f"{r.name}.{column}" for r in self.program.relations for column in r.columns)


def impact(plan: Plan, manifests: tuple[Manifest, ...], bundle: Bundle | None = None) -> ImpactReport:
    """Return the report about a plan of a member's statement.

    `manifests` are those of the plan's relations; one that is missing makes the report say so. `bundle` is the
    owner's, where it is at hand.

    Raises:
        Malformed: it is no plan of a member's statement.
        HashMismatch: a manifest or the bundle is not the one that the plan was made with.
    """
    if (
        plan.request is None
        or plan.program is None
        or plan.decision is None
        or plan.decision.obligations is None
    ):
        raise Malformed("only a plan of a member's statement has an impact report", "plan")
    named = {relation.manifest: relation.name for relation in plan.program.relations}
    for manifest in manifests:
        if manifest.digest not in named:
            raise HashMismatch("the manifest is none that the plan names", manifest.dataset)
    if bundle is not None and bundle.number != plan.decision.bundle_number:
        raise HashMismatch(
            "the bundle is not the one that the plan was decided by", f"bundle {bundle.number}"
        )
    known = {named[manifest.digest]: manifest for manifest in manifests}
    subject = _Subject(plan.request, plan.program, plan.decision.obligations, plan.domain, known, bundle)
    parts = (_revealed, _joins, _recipient, _isolating, _grade, _law)
    return ImpactReport(plan.digest, tuple(line for part in parts for line in part(subject)))


# --- what is shown -----------------------------------------------------


def _revealed(subject: _Subject) -> Iterator[Line]:
    if subject.program.level is Level.ROWS and subject.persons:
        yield _line(
            "revealed", Weight.CAUTION, "Rows leave: each line of the result may be about one person.",
            "逐行结果出域：结果的每一行可能对应一个人。",
        )  # fmt: skip
    elif subject.program.level is Level.ROWS:
        yield _line(
            "revealed", Weight.NOTE, "Rows leave; all that is read is about no persons.",
            "逐行结果出域；所读数据均不涉及个人。",
        )  # fmt: skip
    for output in subject.program.outputs:
        yield _output(subject, output)
    for relation in subject.program.relations:
        for mask in relation.masks:
            how = f"{mask.kind} {mask.argument}".strip()
            yield _line(
                "revealed", Weight.NOTE, f"{relation.name}.{mask.column} is masked before anything runs: {how}.",
                f"{relation.name}.{mask.column} 在运算前已脱敏：{how}。",
            )  # fmt: skip
        if relation.row_filter:
            shown = _legible(relation.row_filter)
            yield _line(
                "revealed", Weight.NOTE, f"Of {relation.name} only rows are read for which: {shown}.",
                f"{relation.name} 只读取满足条件的行：{shown}。",
            )  # fmt: skip


def _output(subject: _Subject, output: Output) -> Line:
    sources = (
        ", ".join(f"{source}{_kind_word(subject.kind(source))}" for source in output.sources) or "rows alone"
    )
    least = subject.obligations.minimum_group
    single = output.role is Role.FIGURE and output.function in SINGLE
    english, chinese = _SINGLE if single else _ROLES[output.role]
    function = f"{output.function}() " if output.function else ""
    name = _legible(output.name)
    return _line(
        "revealed", Weight.CAUTION if single or _shows_values(subject, output) else Weight.NOTE,
        f"{name}: {function}{english.format(sources=sources, least=least)}",
        f"{name}：{function}{chinese.format(sources=sources, least=least)}",
    )  # fmt: skip


def _shows_values(subject: _Subject, output: Output) -> bool:
    """Return whether values of sensitive columns are in an output: as they are, or handed on by a finish."""
    telling = {
        source for source in output.sources if subject.kind(source) in (Kind.SENSITIVE, Kind.IDENTIFIER)
    }
    if output.role is not Role.DERIVED:
        return output.role is not Role.FIGURE and bool(telling)
    inner = [each for table in subject.program.tables for each in table.outputs]
    keys = {source for each in inner if each.role is Role.KEY for source in each.sources}
    single = {source for each in inner if each.function in SINGLE for source in each.sources}
    return not telling.isdisjoint(keys) or not single.isdisjoint(output.sources)


SINGLE = frozenset({"min", "max", "median", "quantile_cont", "quantile_disc"})
"""Functions whose figure is, or lies beside, the value of one record (docs/sql.md)."""

_SINGLE = (
    "the value of a single record, or one beside it, rounded; from {sources}, among at least {least} persons.",
    "单条记录的取值（或其相邻值），已取整；来自 {sources}，涉及至少 {least} 人。",
)


def _legible(text: str) -> str:
    """Return text that others wrote on one line, with signs escaped that reorder or hide what a person reads."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


_ROLES = {
    Role.KEY: (
        "values of {sources}, as keys of groups of at least {least} persons.",
        "{sources} 的取值，作为至少 {least} 人的分组键。",
    ),
    Role.FIGURE: (
        "a rounded figure from {sources}, over at least {least} persons.",
        "由 {sources} 得出的取整统计量，至少涉及 {least} 人。",
    ),
    Role.VALUE: ("values of single rows, from {sources}.", "单行取值，来自 {sources}。"),
    Role.DERIVED: (
        "computed after protection, from figures and keys about groups of at least {least} persons; from {sources}.",
        "在保护之后由至少 {least} 人的分组结果计算得出；来自 {sources}。",
    ),
}


def _kind_word(kind: Kind | None) -> str:
    return f" ({kind})" if kind is not None and kind is not Kind.PLAIN else ""


# --- who and with what -----------------------------------------------------


def _joins(subject: _Subject) -> Iterator[Line]:
    if len(subject.persons) > 1:
        listed = ", ".join(subject.persons)
        yield _line(
            "joins", Weight.CAUTION,
            f"Persons are linked across {listed}, all of {subject.domain}; each dataset needs its own grant.",
            f"将按人关联 {listed}，均归 {subject.domain} 所有；每个数据资源各需授权。",
        )  # fmt: skip
    for relation in subject.program.relations:
        if not relation.about_persons:
            yield _line(
                "joins", Weight.NOTE, f"{relation.name} is about no persons; none is counted in it.",
                f"{relation.name} 不涉及个人；其中不计人数。",
            )  # fmt: skip
    if subject.persons:
        yield from _weights(subject)


def _weights(subject: _Subject) -> Iterator[Line]:
    """Say which figures add up numbers that stand beside codes: known numbers tell how often each was added."""
    references = {each.name for each in subject.program.relations if not each.about_persons}
    outputs = (output for table in subject.program.tables for output in table.outputs if output.function)
    found = {source for output in outputs for source in output.sources}
    for source in sorted(source for source in found if source.rpartition(".")[0] in references):
        yield _line(
            "joins", Weight.CAUTION,
            f"Figures are computed with {source}: whoever knows its values can tell of one that is far larger than the "
            "others how many persons stand behind it.",
            f"统计量使用了 {source}：知道其取值的人，可由远大于其他取值的某一取值推断其涉及的人数。",
        )  # fmt: skip


def _recipient(subject: _Subject) -> Iterator[Line]:
    request = subject.request
    member = f"{request.member} ({request.recipient})"
    yield _line(
        "recipient", Weight.NOTE, f"Only the holder of this key can read the result: {member}.",
        f"只有此密钥持有人能读取结果：{member}。",
    )  # fmt: skip
    yield _line(
        "purpose", Weight.NOTE, f"Purpose: {_legible(request.purpose)} (project {request.project}).",
        f"用途：{_legible(request.purpose)}（项目 {request.project}）。",
    )  # fmt: skip


# --- which rows a condition can isolate -----------------------------------------------------


def _isolating(subject: _Subject) -> Iterator[Line]:
    """Say, from the form of the conditions, which rows they can single out before groups are counted."""
    if subject.program.level is Level.ROWS:
        return
    found = sorted({each for table in subject.program.tables for each in conditions(table.counted)})
    for condition in found:
        yield _condition(subject, condition)
    if len(subject.program.tables) > 1:
        count = len(subject.program.tables)
        yield _line(
            "isolating", Weight.CAUTION,
            f"{count} tables of figures are used together: the difference of two figures may be about fewer persons "
            "than each of them.",
            f"同时使用 {count} 张统计表：两个统计量之差涉及的人数可能少于其中任何一个。",
        )  # fmt: skip
    narrow = (Kind.QUASI, Kind.SENSITIVE, None)
    fixed = {
        f"{each.relation}.{each.column}"
        for each in found
        if each.form is Form.EQUAL and subject.kind(f"{each.relation}.{each.column}") in narrow
    }
    if len(fixed) > 1:
        listed = ", ".join(sorted(fixed))
        yield _line(
            "isolating", Weight.CAUTION,
            f"Together the conditions fix {len(fixed)} columns that can tell persons apart: {listed}.",
            f"这些条件合起来固定了 {len(fixed)} 个可区分个人的字段：{listed}。",
        )  # fmt: skip


def _condition(subject: _Subject, condition: Condition) -> Line:
    name = f"{condition.relation}.{condition.column}"
    kind = subject.kind(name)
    telling = kind is not Kind.PLAIN and condition.form in (Form.EQUAL, Form.PATTERN)
    english, chinese = _CONDITIONS[condition.form]
    within = ("", "") if condition.direct else (", within a computation", "（在表达式中）")
    return _line(
        "isolating", Weight.CAUTION if telling else Weight.NOTE,
        f"{name}{_kind_word(kind)} {english}{within[0]}.", f"{name}{_kind_word(kind)} {chinese}{within[1]}。",
    )  # fmt: skip


_CONDITIONS = {
    Form.EQUAL: (
        "is compared for equality with constants: it can pick the rows of one value",
        "与常量作相等比较：可选出某一取值的行",
    ),
    Form.RANGE: (
        "is compared with limits: two such statements can differ by the rows between two limits",
        "与界限比较：两次查询之差可为两个界限之间的行",
    ),
    Form.PATTERN: (
        "is matched with a pattern of text: it can pick the rows of one text",
        "按文本模式匹配：可选出某一文本的行",
    ),
    Form.OTHER: (
        "is compared in another way (not equal, empty, with another column)",
        "以其他方式比较（不等于、为空或与其他字段比较）",
    ),
}


# --- grade and law -----------------------------------------------------


def _grade(subject: _Subject) -> Iterator[Line]:
    grades = [manifest.grade for manifest in subject.manifests.values()]
    for policy in subject.policies():
        grades += [tag.grade for tag in _classes(subject, policy)]
    if subject.bundle is None:
        yield _line(
            "grade", Weight.CAUTION,
            "The owner's rules are not at hand: classes of columns can raise the grade; the share type is not known.",
            "缺少数据方的策略：字段分类可能提高定级，共享属性未知。",
        )  # fmt: skip
    for relation in subject.program.relations:
        if relation.name not in subject.manifests:
            yield _line(
                "grade", Weight.CAUTION, f"No manifest of {relation.name} is at hand: no kind of a column is known.",
                f"缺少 {relation.name} 的数据清单：其字段的性质未知。",
            )  # fmt: skip
    if grades:
        highest = max(grades, key=lambda grade: grade.level)
        weight = Weight.CAUTION if highest.level >= Grade.IMPORTANT.level else Weight.NOTE
        yield _line(
            "grade", weight, f"The result is graded {highest}, the highest of what it is made from (GB/T 43697).",
            f"结果定级为 {highest}，就高从严（GB/T 43697）。",
        )  # fmt: skip


def _classes(subject: _Subject, policy: DatasetPolicy) -> Iterator[Tag]:
    """Yield the classes of the columns that are read, and all classes above them."""
    known = {tag.name: tag for tag in (subject.bundle.tags if subject.bundle else ())}
    waiting = {
        name for tagged in policy.tagged if _read(subject, policy, tagged.column) for name in tagged.tags
    }
    while waiting:
        tag = known.pop(waiting.pop(), None)
        if tag is not None:
            yield tag
            waiting |= {tag.parent} - {""}


def _read(subject: _Subject, policy: DatasetPolicy, column: str) -> bool:
    return f"{names.relation_of(policy.dataset)}.{column}" in subject.columns


def _law(subject: _Subject) -> Iterator[Line]:
    yield from _shares(subject)
    identifiers = [name for name in subject.columns if subject.kind(name) is Kind.IDENTIFIER]
    if identifiers:
        listed = ", ".join(identifiers)
        yield _line(
            "law", Weight.CONFLICT, f"Direct identifiers are read: {listed}; no statement may (GB/T 37964).",
            f"读取了直接标识符：{listed}；任何语句均不得使用（GB/T 37964）。",
        )  # fmt: skip
    yield _line(
        "law", Weight.NOTE,
        "Shared data serve the approved scope and purpose only; compare both with the application "
        "(Decree 809, article 25, to be confirmed).",
        "共享数据只能用于批准的范围和用途；请与申请核对（政务数据共享条例第25条，待确认）。",
    )  # fmt: skip
    sensitive = [name for name in subject.columns if subject.kind(name) is Kind.SENSITIVE]
    if sensitive:
        listed = ", ".join(sensitive)
        yield _line(
            "law", Weight.CAUTION,
            f"Sensitive personal information is processed ({listed}): an impact assessment comes before, and is kept "
            "for 3 years (Personal Information Protection Law, articles 55 and 56).",
            f"处理敏感个人信息（{listed}）：事前须作影响评估，记录保存三年（个人信息保护法第55、56条）。",
        )  # fmt: skip
    if not names.within(subject.request.member.partition("@")[2], subject.domain):
        yield from _provision(subject)
    yield from _level(subject)


def _provision(subject: _Subject) -> Iterator[Line]:
    yield _line(
        "law", Weight.CAUTION if subject.program.level is Level.ROWS and subject.persons else Weight.NOTE,
        f"The recipient belongs to another unit than {subject.domain}: a provision record names purpose, manner, scope "
        "and duties, kept for 3 years (Network Data Security Regulation, article 12).",
        f"接收方不属于 {subject.domain}：须留存提供记录，载明目的、方式、范围和安全义务，"
        "保存三年（网络数据安全管理条例第12条）。",
    )  # fmt: skip


def _level(subject: _Subject) -> Iterator[Line]:
    if not subject.persons:
        return
    if subject.program.level is Level.ROWS:
        yield _line(
            "law", Weight.CAUTION,
            "De-identified rows are still personal data; providing them needs an impact assessment "
            "(Personal Information Protection Law, articles 4, 55, 73).",
            "去标识化的数据仍是个人信息；提供前须作影响评估（个人信息保护法第4、55、73条）。",
        )  # fmt: skip
    else:
        least = subject.obligations.minimum_group
        yield _line(
            "law", Weight.NOTE,
            "Figures from which one respondent can be inferred are protected (Statistics Law Regulation, article 29); "
            f"the law states no smallest group, {least} persons is the owner's choice.",
            "能推断出单个对象的统计资料受保护（统计法实施条例第29条）；"
            f"法律未规定最小人数，{least} 人为数据方的选择。",
        )  # fmt: skip


def _shares(subject: _Subject) -> Iterator[Line]:
    for policy in subject.policies():
        if policy.share is Share.NONE and not policy.basis:
            yield _line(
                "law", Weight.CONFLICT, f"{policy.dataset} is not shared, and no legal basis is named (Decree 809).",
                f"{policy.dataset} 属不予共享，且策略未载明依据（政务数据共享条例）。",
            )  # fmt: skip
        elif policy.share is Share.NONE:
            yield _line(
                "law", Weight.CAUTION, f"{policy.dataset} is not shared, save on this basis: {_legible(policy.basis)}.",
                f"{policy.dataset} 属不予共享，例外依据：{_legible(policy.basis)}。",
            )  # fmt: skip
        elif policy.share is Share.CONDITIONAL:
            yield _line(
                "law", Weight.NOTE, f"{policy.dataset} is shared on conditions; check that they are met (Decree 809).",
                f"{policy.dataset} 属有条件共享；请核对条件是否满足（政务数据共享条例）。",
            )  # fmt: skip


def _line(topic: str, weight: Weight, english: str, chinese: str) -> Line:
    return Line(topic, weight, english, chinese)
