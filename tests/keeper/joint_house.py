"""Four domains that compute jointly, in values: keys, rosters, descriptions, a signed plan, what launchers say.

The own side is `house` (`nm/tax`, an owner and a server); `nm/health` is the other owner, `nm/civil` a server without
data, `nm/office` the helper. As there: every builder makes the good thing, signatures are real, an attack changes one
thing. How a party's plan follows from the joint plan is written here once more, from the design.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from keeper.config import KeeperConfig
from keeper.joint_rules import Deriving, Told
from keeper.keeper import Keeper
from keys import api as keys
from plans.box import BoxSpec, Entry, Input, Limits, Link, Outputs
from plans.constraints import Action
from plans.joint import (
    JointPlan,
    JointReading,
    Party,
    PortionDecision,
    Receipt,
    Scheme,
    joint_of,
)
from plans.joint_rules import JointRules, Matching, Opening
from plans.key import BoxKeys
from plans.manifest import FileRole, Manifest
from plans.plan import Plan, PlanKind
from plans.reading import Cells, Clause, ColumnUse, Level, Output, Reading, Role
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

READING = Reading(
    statement=statement_digest(STAND_IN),
    level=Level.CELLS,
    relations=("tax.income",),
    uses=(
        ColumnUse("tax.income", "income", Clause.AGGREGATE, "sum"),
        ColumnUse("tax.income", "income", Clause.AGGREGATE, "count"),
    ),
    functions=("count", "sum"),
    tables=(Cells("SELECT 1", (Output("n", "BIGINT", Role.FIGURE, "count", 0),), 1),),
    finish="",
    outputs=(Output("n", "BIGINT", Role.FIGURE, "count", 0),),
    order=(),
    limit=None,
)
"""What the own checker box finds in the own stand-in."""


def request(number: int = 0, **changes: Any) -> Request:
    """The signed question: the joint task in canonical form."""
    asked = replace(
        house.REQUEST,
        kind=RequestKind.JOINT,
        statement=examples.JOINT_TASK.canonical().decode(),
        nonce=f"{number:032x}",
    )
    return replace(asked, **changes)


def joint(keeper: Keeper, asked: Request | None = None, **changes: Any) -> JointPlan:
    """The joint plan that an honest centre makes, knowing what the own keeper believes."""
    asked = asked or request()
    trusted = keeper.trusted
    roster, bundle = trusted.in_force()
    manifests = trusted.current_manifests()
    case = policies.Case(
        asked, READING, bundle, manifests, trusted.granted(asked.digest), roster.named(Duty.APPROVER), NOW,
        roster.number,
    )  # fmt: skip
    decision = policies.decide(case)
    assert decision.obligations, decision.reasons
    (relation,) = policies.program_of(case).relations
    manifest = next(each for each in manifests if each.relation == "tax.income")
    identifiers = next(file.sha256 for file in manifest.files if file.role is FileRole.IDENTIFIERS)
    theirs = PortionDecision(
        HEALTH, decision, replace(relation, name="health.visits"), house.digest("identifiers of health")
    )
    made = JointPlan(
        request=asked,
        request_signature=keys.sign_bytes("request", asked.canonical(), house.key("member")),
        task=examples.JOINT_TASK,
        parties=tuple(party(domain) for domain in sorted((OWN, *PEERS))),
        reading=examples.JOINT_READING,
        decisions=(theirs, PortionDecision(OWN, decision, relation, identifiers)),
        scheme=Scheme(ring_bits=64, matched=1_000, minimum_group=10, dominance=90),
        sights=(examples.SIGHT,),
        trust=examples.TRUST,
        extract_image=EXTRACT_IMAGE,
        party_image=PARTY_IMAGE,
        nonce=asked.nonce,
        made_at=NOW,
    )
    return replace(made, **changes)


def with_range(plan: JointPlan, high: int) -> JointReading:
    """The plan's reading with another range of incomes."""
    (income,) = plan.reading.portions[1].operands
    changed = replace(plan.reading.portions[1], operands=(replace(income, high=high),))
    return replace(plan.reading, portions=(plan.reading.portions[0], changed))


def party_plan(plan: JointPlan, domain: str, limits: Mapping[Entry, Limits]) -> Plan:
    """The plan of a party's boxes, as the design has it."""
    place = plan.owns(domain)
    tiers = (each.decision.obligations.tier for each in plan.decisions if each.decision.obligations)
    tier = max(tiers, key=lambda each: each.level)
    others = [(number, each.domain) for number, each in enumerate(plan.parties) if each.domain != domain]
    links = tuple(Link(f"peer-{number}", f"party:{other}") for number, other in others)
    rows = (Link("rows-0", f"stage:{Entry.EXTRACT}"),) if place is not None else ()
    left = ("opened.bin",) if plan.serves(domain) is not None else ()
    party_box = BoxSpec(
        Entry.PARTY, plan.party_image, (), limits[Entry.PARTY], tier,
        outputs=Outputs(len(left), left), links=(*rows, *links),
    )  # fmt: skip
    boxes: tuple[BoxSpec, ...] = (party_box,)
    if place is not None:
        said = plan.decisions[place]
        files = (
            Input("income-v1-attributes.parquet", said.relation.file),
            Input("income-v1-identifiers.parquet", said.identifiers),
        )
        extract = BoxSpec(
            Entry.EXTRACT, plan.extract_image, files, limits[Entry.EXTRACT], tier,
            outputs=Outputs(0), links=(Link("rows-0", f"stage:{Entry.PARTY}"),),
        )  # fmt: skip
        boxes = (extract, party_box)
    return Plan(
        kind=PlanKind.JOINT,
        domain=domain,
        request=None,
        request_signature="",
        decision=None,
        program=None,
        material=plan.canonical().decode(),
        stages=boxes,
        nonce=plan.nonce,
        made_at=plan.made_at,
    )


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
) -> Told:
    """A peer's box statement, with the plan of its boxes."""
    own = party_plan(plan, domain, house.LIMITS)
    good = vouch or house.Vouch(signer=f"launcher of {domain}", domain=domain)
    changes = {"box_key": house.opening(f"box of {domain}").public, "attempt": attempt, **changes}
    return Told(
        house.box(own, hashlib.sha256(domain.encode()).hexdigest()[:32], Entry.PARTY, good, **changes), own
    )


def boxes(plan: JointPlan, attempt: int = 1) -> tuple[Told, ...]:
    """The box statements of all peers."""
    return tuple(peer_box(domain, plan, attempt) for domain in PEERS)


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
        body = StageRecord(plan.digest, spec.entry, attempt, inputs, outputs, {})
        body = replace(body, **dict(changes))
        found.append(house.signed(Type.STAGE, Duty.LAUNCHER, body, signer, domain=plan.domain))
    return tuple(found)


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
    own = party_plan(plan, domain, house.LIMITS)
    ran = records(own, signer=f"launcher of {domain}")
    body = receipt(own, ran=ran, **changes)
    return house.signed(Type.RECEIPT, Duty.KEEPER, body, signer or f"keeper of {domain}", domain=domain)


def erasure(manifest: Manifest) -> Erasure:
    """The certificate that a version is gone."""
    files = tuple(file.name for file in manifest.files)
    return Erasure(manifest.dataset, manifest.version, manifest.digest, files, NOW, NOW)


# --- the keeper -----------------------------------------------------


@dataclass
class Readers:
    """Stand where the checker box stands: what is found in the joint statement, and how often it was asked."""

    found: JointReading = examples.JOINT_READING
    asked: int = 0

    def __call__(self, plan: JointPlan) -> JointReading:
        self.asked += 1
        return self.found


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
    keeper = Keeper(made, house.Checker(), house.Clock(), Deriving(party_plan, Readers()))
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
        """Furnish a keeper from settings whose folders are there."""
        grant = house.grant(replace(house.GRANT, uses=100), not_after=NOW + 30 * DAY)
        made = cls(config(settings), None, Readers(), house.Clock(), grant)  # type: ignore[arg-type]
        made.restart()
        house.believe(
            made.keeper, house.roster(), house.bundle(policy=(policy,)), house.signed_manifest(), grant
        )
        for statement in peer_statements():
            made.keeper.meet(statement)
        return made

    def restart(self) -> None:
        """Start the keeper from what is on disk."""
        self.keeper = None  # type: ignore[assignment]
        deriving = Deriving(party_plan, self.readers)
        self.keeper = Keeper(self.settings, house.Checker(READING), self.clock, deriving)
        self.keeper.joint.wait_s = 0.0

    def approved(self, plan: JointPlan, **changes: Any) -> Plan:
        """Approve a joint plan, and return the plan of the own boxes."""
        house.believe(self.keeper, house.approval(plan.digest, **changes))
        return party_plan(plan, OWN, house.LIMITS)

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
