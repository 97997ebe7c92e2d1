"""One well-formed example of every noun, for tests that change a single thing about it."""

from __future__ import annotations

from plans.artifacts import Artifact, Form, ReleasedArtifact, ReleasedSet
from plans.asking import Asking
from plans.box import BoxSpec, Entry, Home, Input, Limits, Link
from plans.checks import Checks, Privacy
from plans.constraints import (
    ANY,
    Access,
    Action,
    Constraint,
    Effect,
    Mask,
    MaskKind,
    Reveal,
    Tag,
    Tagged,
    Use,
)
from plans.decision import Decision, Obligations, Outcome, Reason, Tier
from plans.impact import ImpactReport, Line, Weight
from plans.inspection import Applied, Inspection
from plans.inspection import Effect as Did
from plans.key import BoxKeys, SealedKeys
from plans.labs import SERVICES, Lab, home_of
from plans.manifest import Column, DataFile, FileRole, Grade, Kind, Manifest
from plans.plan import Plan, PlanKind, Program, Relation
from plans.reading import Cells, Clause, ColumnUse, Contributions, Level, Order, Output, Reading, Role, Shadow
from plans.record import Record
from plans.release import Release
from plans.released import SUPPRESSED, Cell, Note, Released, ReleasedColumn
from plans.request import Request, statement_digest
from plans.statements import Answer as ReviewAnswer
from plans.statements import (
    Approval,
    BoxStatement,
    Bundle,
    DatasetPolicy,
    Duty,
    Erasure,
    Grant,
    Head,
    Refund,
    Review,
    Revocation,
    Roster,
    RosterEntry,
    Signed,
    StageInput,
    StageOutput,
    StageRecord,
    Statement,
    Type,
)
from plans.tasks import ComponentTask, Need, PythonTask
from plans.trial import Folder, Left, Place, Trial, TrialReport, twin_of
from plans.twins import ColumnDistance, Dependence, Imitation, Twin, TwinReport, declared_recipe
from plans.verdict import Finding, Verdict
from tests.plans.joint_examples import joint_nouns

SIGNING = "ed25519:" + "1" * 64
OPENING = "x25519:" + "2" * 64
NONCE = "3" * 32
SQL = "select region, count(*), avg(income) from tax.income group by region"


def digest(character: str) -> str:
    """A well-formed digest of nothing."""
    return "sha256:" + character * 64


LIMITS = Limits(
    memory_mb=512, temp_mb=0, spill_mb=0, output_mb=64, cpu_s=60, wall_s=120, processes=16, files=64, cpus=1
)
OUTPUTS = (
    Output("region", "VARCHAR", Role.KEY, "", 0),
    Output("n", "BIGINT", Role.FIGURE, "count", 0),
    Output("income", "DOUBLE", Role.FIGURE, "avg", 1),
)
NO_DOMINANCE = Checks(dominance_largest=0, p_percent=0)
"""For tests about something else, whose tables do not say what each person adds."""
OBLIGATIONS = Obligations(
    minimum_group=10, rounding=5, largest_result=5_000, tier=Tier.T1, checks=NO_DOMINANCE
)
REASON = Reason("grant.missing", "tax.income", "No grant covers this dataset.", "Apply for it.")
REQUEST = Request("lin@nm/uni", SIGNING, OPENING, "poverty", "research on poverty", SQL, NONCE, 1_750_000_000)
DECISION = Decision(Outcome.ALLOW, (), 3, 2, (digest("a"),), (), OBLIGATIONS)
RELATION = Relation("tax.income", digest("b"), digest("c"), ("income", "region"), "year = 2024")
CELLS = Cells("SELECT 1", OUTPUTS, 2)


def direct(
    outputs: tuple[Output, ...],
    hidden: int,
    order: tuple[Order, ...] = (),
    limit: int | None = None,
    counted: str = "SELECT 1",
    relations: tuple[Relation, ...] = (RELATION,),
) -> Program:
    """A program of one table, which is the answer."""
    cells = (Cells(counted, outputs, hidden),)
    return Program(relations, Level.CELLS, cells, "", outputs, order, limit)


def at_level_rows(*outputs: Output, statement: str = "SELECT 1") -> Program:
    """A program of a member's own statement, whose rows may leave."""
    return Program((RELATION,), Level.ROWS, (Cells(statement, outputs, 0),), "", outputs, (), None)


PROGRAM = Program((RELATION,), Level.CELLS, (CELLS,), "", OUTPUTS, (Order(1, True, False),), 100)


def box(entry: Entry, *inputs: Input) -> BoxSpec:
    """A box of one stage."""
    return BoxSpec(entry, digest("d"), inputs, LIMITS, Tier.T1)


PLAN = Plan(
    kind=PlanKind.SQL,
    domain="nm/tax",
    request=REQUEST,
    request_signature="4" * 128,
    decision=DECISION,
    program=PROGRAM,
    material="",
    stages=(
        box(Entry.QUERY, Input("income-1.attributes", digest("c"))),
        box(Entry.PARSE, Input("result.bin", "")),
        box(Entry.JUDGE, Input("table.bin", "")),
    ),
    nonce=NONCE,
    made_at=1_750_000_000,
)
USE = ColumnUse("tax.income", "income", Clause.AGGREGATE, "avg")
READING = Reading(
    statement_digest(SQL), Level.CELLS, ("tax.income",), (USE,), ("avg", "count"), (CELLS,), "", OUTPUTS,
    (Order(0, False, True),), None,
)  # fmt: skip
MANIFEST = Manifest(
    dataset="nm/tax/income",
    version=1,
    grade=Grade.GENERAL_3,
    title="Incomes 2024 收入",
    person="id_number",
    columns=(
        Column("income", "DOUBLE", "CNY", Kind.SENSITIVE, 12),
        Column("id_number", "VARCHAR", "", Kind.IDENTIFIER, 0),
    ),
    files=(
        DataFile(FileRole.ATTRIBUTES, "income-1.attributes", digest("c"), 1_000),
        DataFile(FileRole.IDENTIFIERS, "income-1.identifiers", digest("e"), 900),
    ),
    rows=100,
    persons=90,
    source_sha256=digest("f"),
    created=1_750_000_000,
)  # fmt: skip
SHADOW: Shadow = MANIFEST.shadow()
GRANT = Grant("lin@nm/uni", SIGNING, OPENING, "poverty", "research", "nm/tax/income", ("income",), 10)
ENTRY = RosterEntry("launcher:node1", Duty.LAUNCHER, SIGNING)
CONSTRAINT = Constraint(
    "income", Effect.ALLOW, (ANY,), (ANY,), (ANY,), 0, (Use.AGGREGATE,), ("avg",), Reveal.AGGREGATED, 20
)
ACCESS = Access(Effect.ALLOW, (ANY,), ("researcher",), (Action.QUERY,), (ANY,))
TAG = Tag("wealth", "", Grade.GENERAL_3, (Use.AGGREGATE,), ("avg",), Reveal.AGGREGATED)
MASK = Mask("born", MaskKind.DATE, "year")
POLICY = DatasetPolicy(
    "nm/tax/income",
    (ACCESS,),
    (CONSTRAINT,),
    (Tagged("income", ("wealth",)),),
    "",
    10,
    5,
    5_000,
    Tier.T1,
    False,
)
STATEMENT = Statement(
    type=Type.GRANT,
    domain="nm/tax",
    subject=GRANT.digest,
    signer=SIGNING,
    duty=Duty.APPROVER,
    sequence=1,
    not_before=1_750_000_000,
    not_after=0,
    nonce=NONCE,
    body=GRANT.plain(),
)
STAGE_INPUT = StageInput("table.bin", digest("5"))
STAGE_OUTPUT = StageOutput("release.bin", digest("8"), 900)
BOX_STATEMENT = BoxStatement(
    PLAN.digest, Entry.JUDGE, 1, PLAN.stages[2].digest, digest("d"), Tier.T1, (STAGE_INPUT,), OPENING,
    "node1", NONCE,
)  # fmt: skip
VERDICT = Verdict(PLAN.digest, Finding.REPAIRED, ("small-group",), digest("6"), digest("7"), digest("8"))
RELEASED = Released(
    PLAN.digest,
    (ReleasedColumn("region", "VARCHAR"), ReleasedColumn("income", "DOUBLE")),
    ((Cell("东", False), Cell("52300", False)), (Cell(None, False), SUPPRESSED)),
    (Note("small-group", "A group of fewer than 10 persons does not appear."),),
    NONCE,
)

FOLDER = Folder({"main.py": "cHJpbnQoMSkK", "lib/a.py": ""}, "main.py", ("--fast",))
LAB = Lab("mei@nm/centre", "study", "Study of incomes", "small")
LAB_BOX = BoxSpec(
    Entry.LAB, digest("a"), (), LIMITS, Tier.T1, links=tuple(Link(each, f"service:{each}") for each in SERVICES),
    home=Home(home_of(LAB.member), 2048, 50_000),
)  # fmt: skip
TRIAL = Trial(FOLDER, (twin_of(MANIFEST),), 7)
TRIAL_REPORT = TrialReport(
    "python.failed", Place("main.py", 1, "ValueError"), "ValueError: no", "1\n", (Left("a.csv", 3),)
)

RECIPE = declared_recipe(MANIFEST, "ab" * 16, repeats=True)
IMITATION = Imitation(MANIFEST, ("income",), "", 1_000_000, "ab" * 16, True)
TWIN = Twin(1, MANIFEST.digest, RECIPE, Finding.PASS, "")
TWIN_REPORT = TwinReport(
    RECIPE.digest,
    500,
    2_500,
    2_000,
    (ColumnDistance("income", 6_491),),
    (Dependence("region", "income"),),
    487_000,
    500,
)

NEED = Need("tax.income", ("income", "region"), ("region",))
ARTIFACT = Artifact("by_region.csv", Form.TABLE, persons="n")
PYTHON_TASK = PythonTask(
    digest("a"), FOLDER.digest, "main.py", (), (Need("tax.income", ("income",)),), (ARTIFACT,)
)
COMPONENT_TASK = ComponentTask(digest("a"), "cross-tabulate", {"by": ["region"]}, (NEED,), (ARTIFACT,))
CHECKS = Checks()
PRIVACY = Privacy(rho_micro=500_000, period_days=365)
CONTRIBUTIONS = Contributions("SELECT 1", (1,))

NOUNS: tuple[Record, ...] = (
    Approval(PLAN.digest),
    BOX_STATEMENT,
    BoxKeys({"result.bin": "00" * 32}, {"table.bin": "11" * 32}, "", {"tax.income": "22" * 32}),
    Bundle("nm/tax", 3, (POLICY,), (TAG,)),
    ACCESS,
    CELLS,
    CONSTRAINT,
    MASK,
    TAG,
    POLICY.tagged[0],
    DECISION,
    FOLDER,
    Erasure("nm/tax/income", 1, MANIFEST.digest, ("income-1.attributes",), 1_750_000_000, 1_752_000_000),
    GRANT,
    ImpactReport(PLAN.digest, (Line("scope", Weight.NOTE, "It asks for two columns.", "申请使用两列。"),)),
    Head("centre", 17, "9" * 64, 1_750_000_000),
    MANIFEST,
    OBLIGATIONS,
    PLAN,
    PLAN.stages[0],
    PROGRAM,
    READING,
    RELEASED,
    Release(PLAN.digest, VERDICT.digest, OPENING, digest("8"), digest("7"), 1_750_000_000),
    REQUEST,
    Revocation(STATEMENT.digest),
    Roster("nm/tax", 2, (ENTRY,)),
    SHADOW,
    SealedKeys("ab" * 64, "lease-1", 1_750_000_060),
    Signed(STATEMENT, "4" * 128),
    StageRecord(PLAN.digest, Entry.JUDGE, 1, (STAGE_INPUT,), (STAGE_OUTPUT,), {}),
    STATEMENT,
    TRIAL,
    TRIAL_REPORT,
    RECIPE,
    IMITATION,
    TWIN,
    TWIN_REPORT,
    VERDICT,
    Inspection(
        PLAN.digest,
        Finding.REPAIRED,
        "region",
        (Applied("dominance", "income", Did.WITHHELD, 1, {"percent": 90, "by_itself": 1}),),
    ),
    NEED,
    ARTIFACT,
    PYTHON_TASK,
    COMPONENT_TASK,
    Asking(("by",), ("columns",), cells=True),
    CHECKS,
    PRIVACY,
    CONTRIBUTIONS,
    ReleasedSet(PLAN.digest, (ReleasedArtifact("fit.json", Form.METRICS, "e30="),), RELEASED.notes, NONCE),
    Refund(PLAN.digest, 1_000),
    Review(PLAN.digest, VERDICT.digest, digest("6"), ReviewAnswer.RELEASE, "Counts of hundreds, rounded."),
    LAB,
    LAB_BOX,
    *joint_nouns(DECISION, REQUEST),
)  # fmt: skip
"""Every noun that is signed, hashed or sent by itself."""
