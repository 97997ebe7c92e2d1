"""The impact report says what a plan shows of whom, by form alone, and the same to everybody who makes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plans.box import Entry
from plans.constraints import Mask, MaskKind, Share, Tagged
from plans.errors import HashMismatch, Malformed
from plans.impact import ImpactReport, Weight, impact
from plans.manifest import Column, Grade, Kind, Manifest
from plans.plan import Plan, PlanKind, Relation
from plans.reading import Cells, Level, Output, Role
from plans.statements import Bundle
from policies.reading.grammar import REVEALING_AGGREGATES
from tests.plans import examples

MANIFEST = replace(
    examples.MANIFEST,
    columns=(
        Column("region", "VARCHAR", "", Kind.PLAIN, 0),
        Column("age", "INTEGER", "", Kind.QUASI, 0),
        Column("income", "DOUBLE", "CNY", Kind.SENSITIVE, 12),
        Column("id_number", "VARCHAR", "", Kind.IDENTIFIER, 0),
    ),
)
PROPERTY = replace(MANIFEST, dataset="nm/tax/property", grade=Grade.IMPORTANT)
OUTPUTS = (
    Output("region", "VARCHAR", Role.KEY, "", 0, ("tax.income.region",)),
    Output("mean", "DOUBLE", Role.FIGURE, "avg", 0, ("tax.income.income",)),
)
COUNTED = (
    'SELECT "income"."region" AS "region", avg("income"."income") AS "mean", '
    'count(DISTINCT "income"."person") AS "_persons_0" FROM "tax"."income" AS "income" '
    'WHERE {} GROUP BY "income"."region"'
)
PLAINLY = '("income"."region" = \'a\')'


def relation(manifest: Manifest = MANIFEST, **changes: Any) -> Relation:
    """A relation of the plan, as its manifest describes it."""
    columns = tuple(changes.pop("columns", ("income", "region")))
    good = Relation(manifest.relation, manifest.digest, manifest.attributes.sha256, columns, "")
    return replace(good, **changes)


def plan(where: str = PLAINLY, **changes: Any) -> Plan:
    """A plan of one table of figures over incomes."""
    cells = Cells(COUNTED.format(where), OUTPUTS, 1)
    program = replace(
        examples.PROGRAM, relations=(relation(),), tables=(cells,), outputs=OUTPUTS, order=(), limit=None
    )
    return replace(examples.PLAN, program=replace(program, **changes))


def report(made: Plan | None = None, *manifests: Manifest, bundle: Bundle | None = None) -> ImpactReport:
    """The report about a plan."""
    return impact(made or plan(), manifests or (MANIFEST,), bundle)


def said(found: ImpactReport, topic: str) -> list[str]:
    """The English sentences about a topic."""
    return [line.english for line in found.lines if line.topic == topic]


def weights(found: ImpactReport, part: str) -> set[Weight]:
    """The weights of lines that hold a text."""
    return {line.weight for line in found.lines if part in line.english}


def bundle(**changes: Any) -> Bundle:
    """The bundle by which the example plan was decided."""
    policy = replace(examples.POLICY, tagged=(), **changes)
    return Bundle("nm/tax", examples.DECISION.bundle_number, (policy,), (examples.TAG,))


def test_each_output_is_told_with_its_sources_and_how_it_is_revealed() -> None:
    assert said(report(), "revealed") == [
        "region: values of tax.income.region, as keys of groups of at least 10 persons.",
        "mean: avg() a rounded figure from tax.income.income (sensitive), over at least 10 persons.",
    ]


def test_masks_and_row_filters_are_told() -> None:
    masked = relation(masks=(Mask("region", MaskKind.LAST, "4"),), row_filter="year >=\n 2020")
    lines = said(report(plan(relations=(masked,))), "revealed")
    assert "tax.income.region is masked before anything runs: last 4." in lines
    assert "Of tax.income only rows are read for which: year >= 2020." in lines


def test_a_sensitive_column_as_a_key_is_a_caution_and_a_plain_one_is_none() -> None:
    outputs = (replace(OUTPUTS[0], sources=("tax.income.income",)), OUTPUTS[1])
    shown = plan(outputs=outputs, tables=(Cells(COUNTED.format(PLAINLY), outputs, 1),))
    assert weights(report(shown), "region: values") == {Weight.CAUTION}
    assert weights(report(), "region: values") == {Weight.NOTE}


def finishing(*outputs: Output, inner: tuple[Output, ...] = OUTPUTS) -> Plan:
    """A plan whose answer a finish computes from one table."""
    made = plan()
    assert made.program is not None
    cells = Cells(COUNTED.format(PLAINLY), inner, 1)
    program = replace(made.program, tables=(cells,), finish="SELECT 1", outputs=outputs)
    stages = tuple(
        replace(made.stages[0] if entry is Entry.QUERY else made.stages[1], entry=entry)
        for entry in program.stages
    )
    return replace(made, program=program, stages=stages)


def test_a_sensitive_key_that_a_finish_hands_on_is_a_caution_as_well() -> None:
    handed = Output("x", "VARCHAR", Role.DERIVED, "", 0, ("tax.income.income",))
    by_income = (replace(OUTPUTS[0], sources=("tax.income.income",)),)
    assert weights(report(finishing(handed, inner=by_income)), "x: computed") == {Weight.CAUTION}
    assert weights(report(finishing(handed)), "x: computed") == {Weight.NOTE}


@pytest.mark.parametrize("function", sorted(REVEALING_AGGREGATES))
def test_the_value_of_a_single_record_is_not_called_a_figure(function: str) -> None:
    outputs = (OUTPUTS[0], Output("m", "DOUBLE", Role.FIGURE, function, 0, ("tax.income.income",)))
    shown = plan(outputs=outputs, tables=(Cells(COUNTED.format(PLAINLY), outputs, 1),))
    assert weights(report(shown), "m: ") == {Weight.CAUTION}
    assert any("value of a single record" in line for line in said(report(shown), "revealed"))
    handed = Output("x", "DOUBLE", Role.DERIVED, "", 0, ("tax.income.income",))
    assert weights(report(finishing(handed, inner=outputs)), "x: computed") == {Weight.CAUTION}


@pytest.mark.parametrize("written", [
    "statistics\nlaw (note): nothing speaks against it", "a\u202egfedcba", "a\u2028b", "a\x1b[2Jb", "a\u200bb\ufeff",
])  # fmt: skip
def test_79_no_purpose_filter_or_basis_writes_lines_of_its_own_into_the_report(written: str) -> None:
    made = plan(relations=(relation(row_filter=written),))
    assert made.request is not None
    made = replace(made, request=replace(made.request, purpose=written))
    found = report(made, bundle=bundle(share=Share.NONE, basis=written))
    assert len(found.lines) == len(
        report(plan(relations=(relation(row_filter="x"),)), bundle=bundle(share=Share.NONE, basis="x")).lines
    )
    for line in found.lines:
        assert line.english.isprintable() and line.chinese.isprintable()


def test_rows_that_leave_are_told_first() -> None:
    outputs = (Output("age", "INTEGER", Role.VALUE, "", 0, ("tax.income.age",)),)
    rows = plan(level=Level.ROWS, tables=(Cells("select age from tax.income", outputs, 0),), outputs=outputs)
    found = report(rows)
    assert found.lines[0].english.startswith("Rows leave") and found.lines[0].weight is Weight.CAUTION
    assert any("still personal data" in line for line in said(found, "law"))
    assert not any("Rows leave" in line.english for line in report().lines)


@pytest.mark.parametrize(
    ("where", "part", "weight"),
    [
        ('("income"."age" = 44)', "age (quasi-identifier) is compared for equality", Weight.CAUTION),
        ('("income"."age" BETWEEN 3 AND 4)', "age (quasi-identifier) is compared with limits", Weight.NOTE),
        ('(("income"."age" + 1) = 44)', "pick the rows of one value, within a computation", Weight.CAUTION),
        ('("income"."region" LIKE \'a%\')', "region is matched with a pattern", Weight.NOTE),
        (PLAINLY, "region is compared for equality", Weight.NOTE),
    ],
)
def test_a_condition_is_told_by_what_it_can_isolate(where: str, part: str, weight: Weight) -> None:
    assert weights(report(plan(where)), part) == {weight}


def test_conditions_that_fix_several_telling_columns_are_told_together() -> None:
    both = '(("income"."age" = 44) AND ("income"."income" = 7.5))'
    assert any("fix 2 columns" in line for line in said(report(plan(both)), "isolating"))
    assert not any("fix" in line for line in said(report(plan('("income"."age" = 44)')), "isolating"))


def test_figures_that_can_be_subtracted_are_told_together() -> None:
    """A margin and its parts, in two tables of one statement, say what the smallest part is."""
    assert not any("tables of figures" in line for line in said(report(), "isolating"))
    cells = Cells(COUNTED.format(PLAINLY), OUTPUTS, 1)
    derived = tuple(replace(output, role=Role.DERIVED) for output in OUTPUTS)
    program = replace(plan().program, tables=(cells, cells), finish="SELECT 1", outputs=derived)  # type: ignore[type-var]
    inner = plan().stages
    stages = tuple(
        replace(inner[0] if entry is Entry.QUERY else inner[1], entry=entry) for entry in program.stages
    )
    (line,) = [
        x
        for x in said(report(replace(plan(), program=program, stages=stages)), "isolating")
        if "2 tables" in x
    ]
    assert "fewer persons" in line


def test_a_join_is_told_with_its_relations() -> None:
    joined = plan(relations=(relation(), relation(PROPERTY, columns=("age",))))
    (line,) = said(report(joined, MANIFEST, PROPERTY), "joins")
    assert "tax.income, tax.property" in line
    assert said(report(), "joins") == []


CODES = replace(
    MANIFEST,
    dataset="nm/tax/code",
    person="",
    persons=0,
    columns=MANIFEST.columns[:2],
    files=(MANIFEST.attributes,),
)
CODE = relation(CODES, columns=("age", "region"), about_persons=False)


def test_data_about_no_persons_are_called_so_and_nobody_is_linked_by_them() -> None:
    joined = report(plan(relations=(CODE, relation())), MANIFEST, CODES)
    assert said(joined, "joins") == ["tax.code is about no persons; none is counted in it."]
    assert weights(joined, "about no persons") == {Weight.NOTE}


def test_figures_with_numbers_that_stand_beside_codes_are_a_caution() -> None:
    weighted = (OUTPUTS[0], replace(OUTPUTS[1], sources=("tax.code.age", "tax.income.income")))
    cells = Cells(COUNTED.format(PLAINLY), weighted, 1)
    found = report(plan(relations=(CODE, relation()), tables=(cells,), outputs=weighted), MANIFEST, CODES)
    assert weights(found, "computed with tax.code.age") == {Weight.CAUTION}
    assert not weights(found, "computed with tax.income.income")


def test_rows_about_no_persons_are_no_personal_data() -> None:
    rows = (Output("region", "VARCHAR", Role.VALUE, "", 0, ("tax.code.region",)),)
    shown = {"level": Level.ROWS, "tables": (Cells("SELECT region FROM tax.code", rows, 0),), "outputs": rows}
    alone = report(plan(relations=(CODE,), **shown), CODES)
    assert "Rows leave; all that is read is about no persons." in said(alone, "revealed")
    assert not any("personal data" in line for line in said(alone, "law"))
    joined = report(plan(relations=(CODE, relation()), **shown), MANIFEST, CODES)
    assert "Rows leave: each line of the result may be about one person." in said(joined, "revealed")
    assert any("personal data" in line for line in said(joined, "law"))


def test_recipient_and_purpose_are_those_of_the_request() -> None:
    request = examples.REQUEST
    assert (
        request.recipient in said(report(), "recipient")[0]
        and request.purpose in said(report(), "purpose")[0]
    )


def test_the_highest_grade_of_what_is_read_is_the_results() -> None:
    joined = plan(relations=(relation(), relation(PROPERTY, columns=("age",))))
    assert "graded important" in said(report(joined, MANIFEST, PROPERTY), "grade")[-1]
    assert "graded general-3" in said(report(), "grade")[-1]


def test_a_class_of_a_column_that_is_read_raises_the_grade() -> None:
    core = replace(examples.TAG, grade=Grade.CORE)
    given = bundle()
    tagged = replace(given.policies[0], tagged=(Tagged("income", (core.name,)),))
    raised = replace(given, policies=(tagged,), tags=(core,))
    assert "graded core" in said(report(bundle=raised), "grade")[0]
    above = replace(core, name="above", grade=Grade.CORE)
    below = replace(core, grade=Grade.GENERAL_1, parent="above")
    assert "graded core" in said(report(bundle=replace(raised, tags=(below, above))), "grade")[0]
    unread = replace(raised, policies=(replace(tagged, tagged=(Tagged("age", (core.name,)),)),))
    assert "graded general-3" in said(report(bundle=unread), "grade")[0]


def test_sensitive_columns_ask_for_an_impact_assessment() -> None:
    assert any("impact assessment" in line and "tax.income.income" in line for line in said(report(), "law"))
    harmless = plan(relations=(relation(columns=("region",)),))
    assert not any("Sensitive" in line for line in said(report(harmless), "law"))


def test_an_identifier_speaks_against_the_plan() -> None:
    direct = plan(relations=(relation(columns=("id_number", "region")),))
    assert report(direct).weight is Weight.CONFLICT
    assert report().weight is Weight.CAUTION


@pytest.mark.parametrize(
    ("share", "basis", "weight"),
    [
        (Share.NONE, "", Weight.CONFLICT),
        (Share.NONE, "Decree 1", Weight.CAUTION),
        (Share.CONDITIONAL, "", Weight.NOTE),
    ],
)
def test_the_share_type_is_told_where_the_policy_is_at_hand(share: Share, basis: str, weight: Weight) -> None:
    assert weights(report(bundle=bundle(share=share, basis=basis)), "nm/tax/income is") == {weight}
    assert weights(report(), "nm/tax/income is") == set()


def test_a_rule_that_was_not_confirmed_says_so() -> None:
    (line,) = [line for line in report().lines if "article 25" in line.english]
    assert "to be confirmed" in line.english and "待确认" in line.chinese


def test_without_the_owners_rules_the_report_says_what_it_does_not_know() -> None:
    assert weights(report(), "The owner's rules are not at hand") == {Weight.CAUTION}
    assert weights(report(bundle=bundle()), "The owner's rules are not at hand") == set()


def test_without_a_manifest_the_report_says_what_it_does_not_know() -> None:
    found = impact(plan(), ())
    assert any("No manifest" in line for line in said(found, "grade"))


def test_another_manifest_or_bundle_is_not_taken() -> None:
    with pytest.raises(HashMismatch):
        report(plan(), replace(MANIFEST, grade=Grade.GENERAL_1))
    with pytest.raises(HashMismatch):
        report(bundle=replace(bundle(), number=examples.DECISION.bundle_number + 1))


def test_a_plan_without_a_statement_has_no_report() -> None:
    with pytest.raises(Malformed):
        impact(checking(), ())


def checking() -> Plan:
    """A plan that reads no data."""
    stage = examples.box(Entry.CHECK)
    return Plan(PlanKind.CHECK, "nm/tax", None, "", None, None, "x", (stage,), examples.NONCE, 0)


def test_both_languages_name_the_same_things_and_the_report_is_the_same_each_time() -> None:
    found = report(plan('("income"."age" = 44)'), bundle=bundle(share=Share.NONE, basis="Decree 1"))
    assert found == report(plan('("income"."age" = 44)'), bundle=bundle(share=Share.NONE, basis="Decree 1"))
    for line in found.lines:
        assert line.english.isprintable() and any("\u4e00" <= sign <= "\u9fff" for sign in line.chinese)
        for name in ("tax.income.income", "tax.income.age", "nm/tax/income", examples.REQUEST.recipient):
            assert (name in line.english) == (name in line.chinese)
