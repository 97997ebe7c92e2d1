"""Four domains that compute jointly, in values: keys, rosters, descriptions, a signed plan, what launchers say.

The own side is `house` (`nm/tax`, an owner and a server); `nm/health` is the other owner, `nm/civil` a server without
data, `nm/office` the helper. As there: every builder makes the good thing, signatures are real, an attack changes one
thing. Statements are read by the reader that the checker box has.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from keeper.meeting import Shown
from keys import api as keys
from mpc import api as mpc
from plans.box import Entry, Limits
from plans.constraints import Action
from plans.decision import Decision
from plans.joint import (
    JointPlan,
    JointReading,
    Party,
    Portion,
    PortionDecision,
    Receipt,
    Shape,
    joint_of,
)
from plans.joint_reports import key_owner
from plans.joint_rules import JointRules, Matching, Opening
from plans.joint_shadows import DeclaredColumn, JointShadow
from plans.key import BoxKeys
from plans.manifest import Column, Declared, Kind, Manifest
from plans.plan import Plan, Relation
from plans.reading import Cells, Clause, ColumnUse, Level, Output, Reading, Role, Shadow, ShadowColumn
from plans.release import KEYS_INFO
from plans.request import Request, RequestKind, statement_digest
from plans.statements import (
    BoxStatement,
    DatasetPolicy,
    Duty,
    Erasure,
    Roster,
    RosterEntry,
    Signed,
    StageInput,
    StageOutput,
    StageRecord,
    Type,
)
from policies import api as policies
from policies.api import short
from policies.reading.joint import read_joint
from tests.keeper import house
from tests.keeper.house import DAY, DOMAIN, NOW
from tests.plans import joint_examples as examples

OWN, HEALTH, CIVIL, OFFICE = DOMAIN, "nm/health", "nm/civil", "nm/office"
PEERS = (CIVIL, HEALTH, OFFICE)
EXTRACT_IMAGE, PARTY_IMAGE = house.IMAGE, house.digest("image crypto")
STAND_IN = examples.PORTIONS[1].stand_in
TERMS = JointRules(
    (Matching.HELPER,), (Opening.OBLIVIOUS,), cells=100, period_days=90, sizes=True, exact=True
)
POLICY = replace(
    house.INCOME_POLICY,
    access=(replace(house.EVERYBODY, actions=(Action.JOINT,)),),
    constraints=(short("income", ("avg", "sum", "count")),),
    joint=TERMS,
)


def party(domain: str, number: int = 1, **changes: Any) -> Party:
    """A domain's description of itself."""
    return replace(
        Party(
            domain,
            number,
            f"bureau of {domain}",
            "its own hall",
            "darkroom",
            house.digest(domain),
            "localhost:7001",
        ),
        **changes,
    )


def described(body: Party, signer: str = "", **changes: Any) -> Signed:
    """A description under its domain's root key."""
    return _by_root(Type.PARTY, body.domain, body, signer, **changes)


def peer_entries(domain: str) -> tuple[RosterEntry, ...]:
    """A peer's approver, launcher and keeper."""
    named = (("approver", Duty.APPROVER), ("launcher", Duty.LAUNCHER), ("keeper", Duty.KEEPER))
    return tuple(RosterEntry(name, duty, house.key(f"{name} of {domain}").public) for name, duty in named)


def peer_roster(
    domain: str,
    /,
    number: int = 1,
    entries: tuple[RosterEntry, ...] | None = None,
    signer: str = "",
    **changes: Any,
) -> Signed:
    """A peer's roster under its root key."""
    body = Roster(domain, number, peer_entries(domain) if entries is None else entries)
    return _by_root(Type.ROSTER, domain, body, signer, **changes)


def _by_root(kind: Type, domain: str, body: Any, signer: str, /, **changes: Any) -> Signed:
    draft = keys.Draft(kind, domain, Duty.ROOT, body, not_before=NOW)
    return keys.sign(replace(draft, **changes), house.key(signer or root_name(domain)))


def root_name(domain: str) -> str:
    """The name of a domain's root key."""
    return "root" if domain == OWN else f"root of {domain}"


def peer_statements() -> tuple[Signed, ...]:
    """What a keeper holds of others, and the own description."""
    domains = (OWN, *PEERS)
    return (*(peer_roster(domain) for domain in PEERS), *(described(party(domain)) for domain in domains))


# --- the plan -----------------------------------------------------

SQL = examples.JOINT_SQL
_REGIONS = Declared(values=("east", "west", "north"))
HEALTH_SHADOW = JointShadow(
    HEALTH,
    "id_number",
    900,
    Shadow(
        "health.visits",
        (
            ShadowColumn("person", "UBIGINT", False),
            *(ShadowColumn(name, "VARCHAR", False) for name in ("id_number", "region", "icd")),
        ),
    ),
    (DeclaredColumn("region", _REGIONS),),
)
CELLS = 3 * 3
"""Three regions; a total, the number of values behind it, the number of rows."""


def manifest(version: int = 1) -> Manifest:
    """Incomes in yuan and fen, whose range the owner declared."""
    plain = house.manifest(version=version)
    income = Column("income", "DECIMAL(12,2)", "", Kind.SENSITIVE, 3, Declared("0", "1000000"))
    columns = tuple(income if column.name == "income" else column for column in plain.columns)
    return replace(plain, columns=columns, persons=plain.rows)


def stand_in(text: str) -> Reading:
    """What the own checker box finds in the own stand-in, which is over incomes, by region or over the rich."""
    figure = Output("n", "BIGINT", Role.FIGURE, "count", 0)
    sums = ("sum", "count") if '("income")' in text else ()
    uses = tuple(ColumnUse("tax.income", "income", Clause.AGGREGATE, name) for name in sums)
    uses += (ColumnUse("tax.income", "region", Clause.GROUP, ""),) if "GROUP BY region" in text else ()
    uses += (ColumnUse("tax.income", "income", Clause.FILTER, ""),) if "WHERE" in text else ()
    return Reading(
        statement=statement_digest(text),
        level=Level.CELLS,
        relations=("tax.income",),
        uses=uses,
        functions=("count", "sum"),
        tables=(Cells("SELECT 1", (figure,), 1),),
        finish="",
        outputs=(figure,),
        order=(),
        limit=None,
    )


def request(number: int = 0, **changes: Any) -> Request:
    """The signed question: the joint task in canonical form."""
    asked = replace(
        house.REQUEST,
        kind=RequestKind.JOINT,
        statement=examples.JOINT_TASK.canonical().decode(),
        nonce=f"{number:032x}",
    )
    return replace(asked, **changes)


def own_shadow(keeper: Keeper, asked: Request) -> JointShadow:
    """The likeness of the own relation on which this request is read."""
    trusted = keeper.trusted
    _, bundle = trusted.in_force()
    manifests = trusted.current_manifests()
    (seen,) = policies.views(asked, bundle, manifests, trusted.granted(asked.digest), NOW)
    found = mpc.joint_shadow(manifests[0], seen.shadow, [mask.column for mask in seen.masks])
    assert found is not None
    return found


def joint(
    keeper: Keeper, asked: Request | None = None, found: JointReading | None = None, **changes: Any
) -> JointPlan:
    """The joint plan that an honest centre makes, knowing what the own keeper believes; `found` is what readers find
    in the statement, of which every owner but the own one has this keeper's terms.
    """
    asked = asked or request()
    trusted = keeper.trusted
    roster, bundle = trusted.in_force()
    manifests = trusted.current_manifests()
    shadow = own_shadow(keeper, asked)
    reading = found or read_joint(SQL, (HEALTH_SHADOW, shadow))
    place = [portion.domain for portion in reading.portions].index(OWN)
    case = policies.Case(
        asked, stand_in(reading.portions[place].stand_in), bundle, manifests, trusted.granted(asked.digest),
        roster.named(Duty.APPROVER), NOW, roster.number,
    )  # fmt: skip
    decision = policies.decide(case)
    assert decision.obligations, decision.reasons
    (relation,) = policies.program_of(case).relations
    name, sha256 = mpc.identifiers_file(manifests[0])
    own = PortionDecision(OWN, decision, relation, sha256, (manifests[0].attributes.name, name))
    terms = bundle.policies[0].joint
    owners = [
        mpc.Owner(shadow, own, terms) if portion.domain == OWN else _other_owner(portion, decision, terms)
        for portion in reading.portions
    ]
    made = mpc.compile_joint(
        mpc.SignedRequest(asked, keys.sign_bytes("request", asked.canonical(), house.key("member"))),
        reading,
        owners,
        [party(domain) for domain in {OWN, *PEERS, *(portion.domain for portion in reading.portions)}],
        mpc.Making(EXTRACT_IMAGE, PARTY_IMAGE, asked.nonce, NOW),
    )
    return replace(made, **changes)


def _other_owner(portion: Portion, decision: Decision, terms: JointRules | None) -> mpc.Owner:
    """Another owner, who decides as the own one; of what it has, this keeper knows what the plan says."""
    said = PortionDecision(
        portion.domain,
        decision,
        Relation(portion.relation, house.digest("1"), house.digest("2"), ("icd", "region"), ""),
        house.digest(f"identifiers of {portion.domain}"),
        ("visits-v1-attributes.parquet", "visits-v1-identifiers.parquet"),
    )
    return mpc.Owner(replace(HEALTH_SHADOW, domain=portion.domain), said, terms)


def remade(plan: JointPlan) -> JointPlan:
    """A changed plan with everything in it that code makes of the rest."""
    scheme = mpc.scheme_of(
        plan.reading, [each.decision for each in plan.decisions], plan.scheme.noise_micro, plan.task
    )
    made = replace(plan, scheme=scheme)
    return replace(made, sights=mpc.sights(made), trust=mpc.trust(made))


def with_range(plan: JointPlan, high: int) -> JointPlan:
    """The plan with another range of incomes."""
    (income,) = plan.reading.portions[1].operands
    changed = replace(plan.reading.portions[1], operands=(replace(income, high=high),))
    reading = replace(plan.reading, portions=(plan.reading.portions[0], changed))
    return remade(replace(plan, reading=reading))


def party_plan(plan: JointPlan, domain: str, limits: Mapping[Entry, Limits] = house.LIMITS) -> Plan:
    """The plan of a party's boxes."""
    return mpc.party_plan(plan, domain, limits)


# --- what launchers and keepers say -----------------------------------------------------


def own_box(
    keeper: Keeper,
    plan: Plan,
    stage: Entry = Entry.PARTY,
    attempt: int = 1,
    vouch: house.Vouch = house.Vouch(),
) -> Signed:
    """The own launcher's statement about a fresh box."""
    return house.box(plan, keeper.challenge(plan.digest), stage, vouch, attempt=attempt)


def peer_box(
    domain: str, plan: JointPlan, attempt: int = 1, vouch: house.Vouch | None = None, **changes: Any
) -> Shown:
    """A peer's box statement, with the plan of its boxes."""
    own = party_plan(plan, domain)
    good = vouch or house.Vouch(signer=f"launcher of {domain}", domain=domain)
    changes = {"box_key": house.opening(f"box of {domain}").public, "attempt": attempt, **changes}
    return Shown(
        house.box(own, hashlib.sha256(domain.encode()).hexdigest()[:32], Entry.PARTY, good, **changes), own
    )


def boxes(plan: JointPlan, attempt: int = 1) -> tuple[Shown, ...]:
    """The box statements of all peers."""
    domains = [party.domain for party in plan.parties]
    return tuple(peer_box(domain, plan, attempt) for domain in domains if domain != OWN)


def records(plan: Plan, /, attempt: int = 1, signer: str = "launcher", **changes: Any) -> tuple[Signed, ...]:
    """What a launcher saw of the boxes of a party, which ended well; the same whenever it is asked."""
    return _records(plan, attempt, signer, tuple(changes.items()))


@cache
def _records(
    plan: Plan, attempt: int, signer: str, changes: tuple[tuple[str, Any], ...]
) -> tuple[Signed, ...]:
    found = []
    for spec in plan.stages:
        inputs = tuple(StageInput(item.name, item.sha256) for item in spec.inputs)
        left = spec.outputs.names
        outputs = tuple(StageOutput(name, house.digest(f"{name} of {plan.domain}"), 100) for name in left)
        body = StageRecord(plan.digest, spec.entry, attempt, inputs, outputs, _reported(plan, spec.entry))
        body = replace(body, **dict(changes))
        found.append(house.signed(Type.STAGE, Duty.LAUNCHER, body, signer, domain=plan.domain))
    return tuple(found)


def _reported(plan: Plan, entry: Entry) -> dict[str, Any]:
    """What a box says beside: how often its key decrypted; of lookups which table it was at, and of who looks persons
    up commitments to as many as the plan has.
    """
    about = joint_of(plan.material)
    if entry is not Entry.PARTY:
        return {}
    said: dict[str, Any] = {"decryptions": 1} if key_owner(about) == plan.domain else {}
    if about.reading.shape is Shape.LOOKUP:
        said["table"] = house.digest(f"table of {about.digest}")
        if about.task.finder == plan.domain:
            asked = range(about.reading.portions[0].bound)
            said["looked_up"] = [hashlib.sha256(b"person %d" % place).hexdigest() for place in asked]
    return said


def receipt(plan: Plan, attempt: int = 1, ran: tuple[Signed, ...] | None = None, **changes: Any) -> Receipt:
    """What a party says of an attempt that ended well."""
    ran = records(plan, attempt) if ran is None else ran
    about = joint_of(plan.material)
    left = plan.stage(Entry.PARTY).outputs.names
    sealed = house.digest(f"{left[0]} of {plan.domain}") if left else ""
    names = tuple(each.statement.digest for each in ran)
    return replace(Receipt(about.digest, attempt, plan.domain, names, sealed, sent_bytes=1_000), **changes)


def peer_receipt(domain: str, plan: JointPlan, signer: str = "", **changes: Any) -> Signed:
    """A peer's receipt under its keeper's key."""
    own = party_plan(plan, domain)
    ran = records(own, signer=f"launcher of {domain}")
    body = receipt(own, ran=ran, **changes)
    return house.signed(Type.RECEIPT, Duty.KEEPER, body, signer or f"keeper of {domain}", domain=domain)


def erasure(gone: Manifest) -> Erasure:
    """The certificate that a version is gone."""
    files = tuple(file.name for file in gone.files)
    return Erasure(gone.dataset, gone.version, gone.digest, files, NOW, NOW)


# --- the keeper -----------------------------------------------------


@dataclass
class Readers:
    """Stand where the checker box stands: both give what the reader finds, and the one of the stand-in is laid down."""

    asked: int = 0
    known: dict[str, JointReading] = field(default_factory=dict)
    """What is found in statements that are none of visits and incomes, by their digests."""

    def joint(self, plan: JointPlan) -> JointReading:
        """Read the joint statement on the likenesses that the plan names."""
        self.asked += 1
        known = self.known.get(statement_digest(plan.task.statement))
        return known or read_joint(plan.task.statement, plan.shadows)

    def own(self, _: Plan, statement: str) -> Reading:
        """Read the own stand-in."""
        return stand_in(statement)


def config(settings: KeeperConfig, **changes: Any) -> KeeperConfig:
    """Settings of a keeper that computes jointly."""
    good = replace(
        settings,
        peers={domain: house.key(root_name(domain)).public for domain in PEERS},
        work_images={Entry.EXTRACT: (EXTRACT_IMAGE,), Entry.PARTY: (PARTY_IMAGE,)},
    )
    return replace(good, **changes)


def server_without_data(folder: Path) -> Keeper:
    """The keeper of `nm/civil`: it has a roster, peers, and neither bundle nor data."""
    made = house.config(
        folder,
        domain=CIVIL,
        root=house.key(root_name(CIVIL)).public,
        peers={domain: house.key(root_name(domain)).public for domain in (HEALTH, OFFICE, OWN)},
        work_images={Entry.PARTY: (PARTY_IMAGE,)},
    )
    house.build(made)
    keeper = Keeper(made, Readers().own, house.Clock(), Readers().joint)
    keeper.joint.wait_s = 0.0
    keeper.believe(peer_roster(CIVIL))
    own = peer_entries(OWN)
    for statement in (*peer_statements(), peer_roster(OWN, entries=own)):
        if statement.statement.type is Type.PARTY or statement.statement.domain != CIVIL:
            keeper.meet(statement)
    return keeper


@dataclass
class JointSide:
    """An owner's keeper with peers, which can be started again."""

    settings: KeeperConfig
    keeper: Keeper
    readers: Readers
    clock: house.Clock
    grant: Signed

    @classmethod
    def make(cls, settings: KeeperConfig, policy: DatasetPolicy = POLICY) -> JointSide:
        """Furnish a keeper with these settings, whose folders may be there."""
        folder, grant = _furnished(policy)
        shutil.copytree(folder.name, settings.home.parent, dirs_exist_ok=True)
        made = cls(config(settings), None, Readers(), house.Clock(), grant)  # type: ignore[arg-type]
        made.restart()
        return made

    def restart(self) -> None:
        """Start the keeper from what is on disk."""
        self.keeper = None  # type: ignore[assignment]
        self.keeper = Keeper(self.settings, self.readers.own, self.clock, self.readers.joint)
        self.keeper.joint.wait_s = 0.0

    def approved(self, plan: JointPlan, **changes: Any) -> Plan:
        """Approve a joint plan, and return the plan of the own boxes."""
        house.believe(self.keeper, house.approval(plan.digest, **changes))
        return party_plan(plan, OWN)

    def extract(self, plan: Plan, attempt: int = 1) -> BoxKeys:
        """The keys that an honest extract box opens."""
        return self.opened(own_box(self.keeper, plan, Entry.EXTRACT, attempt), plan)

    def party(self, plan: Plan, attempt: int = 1) -> BoxKeys:
        """The keys that an honest party box opens, once its peers are there."""
        self.keeper.joint.bring(
            joint_of(plan.material).digest, attempt, boxes(joint_of(plan.material), attempt)
        )
        return self.opened(own_box(self.keeper, plan, Entry.PARTY, attempt), plan)

    def opened(self, statement: Signed, plan: Plan) -> BoxKeys:
        """Ask for keys with a box statement, and open them as that box."""
        sealed = self.keeper.unwrap(statement, plan)
        body = BoxStatement.read(statement.statement.body)
        return BoxKeys.decode(
            house.opening("box").open(bytes.fromhex(sealed.sealed), KEYS_INFO, body.canonical())
        )


@cache
def _furnished(policy: DatasetPolicy) -> tuple[TemporaryDirectory[str], Signed]:
    """The folder of a keeper that believes all that it has to, made once for a policy; and the grant."""
    folder, grant = (
        TemporaryDirectory(),
        house.grant(replace(house.GRANT, uses=100), not_after=NOW + 30 * DAY),
    )
    settings = house.config(Path(folder.name))
    house.build(settings)
    keeper = Keeper(config(settings), Readers().own, house.Clock(), Readers().joint)
    house.believe(
        keeper, house.roster(), house.bundle(policy=(policy,)), house.signed_manifest(manifest()), grant
    )
    for statement in peer_statements():
        keeper.meet(statement)
    return folder, grant
