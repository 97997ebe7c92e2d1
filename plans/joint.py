"""Joint plans 联合计算: what several parties compute together, who sees what of it, and who must not collude.

One joint plan is the same bytes at every party. Each party's own side derives from it the plan of its own boxes
(`mpc.api.party_plan`), whose material is the joint plan; approvers sign the digest of the joint plan.

    request ─► reading ─► JOINT PLAN (portions, scheme, sights) ─► approvals of all parties ─► boxes of all parties

An *owner* has data in it, a *server* computes on shares (there are three), the *helper* matches pseudonyms and has
no data. A party may be owner and server; the helper is neither. Where sums are computed on ciphertexts there are no
servers: a *collector* adds up what holders of one table encrypt, and has neither key nor data; of two owners that join,
the collector is the other one, and multiplies. The *recipient* is the key that the request names, and may belong to a
domain that is no party. What is made for it first passes an *inspector* where the request names one: an owner whose
airlock opens. What is told person by person (who is in common, scores, records) only the owner of these persons
learns, the *finder*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plans import names
from plans.decision import Decision
from plans.errors import Malformed
from plans.joint_reading import MOST_HOLDERS as MOST_HOLDERS
from plans.joint_reading import MOST_JOINT_CELLS as MOST_JOINT_CELLS
from plans.joint_reading import MOST_OWNERS as MOST_OWNERS
from plans.joint_reading import Field as Field
from plans.joint_reading import Grouping as Grouping
from plans.joint_reading import JointFigure as JointFigure
from plans.joint_reading import JointReading as JointReading
from plans.joint_reading import Measure as Measure
from plans.joint_reading import Operand as Operand
from plans.joint_reading import Portion as Portion
from plans.joint_reading import Score as Score
from plans.joint_reading import ScoreFunction as ScoreFunction
from plans.joint_reading import ScoreNode as ScoreNode
from plans.joint_reading import ScoreTree as ScoreTree
from plans.joint_reading import Shape as Shape
from plans.joint_reading import Sum as Sum
from plans.joint_rules import Matching, Opening
from plans.joint_shadows import JointShadow
from plans.joint_sights import Part as Part
from plans.joint_sights import SeenAs as SeenAs
from plans.joint_sights import Sight as Sight
from plans.joint_sights import Step as Step
from plans.joint_sights import Trust as Trust
from plans.plan import Relation
from plans.record import Record
from plans.request import Request

SERVERS = 3
"""Replicated sharing has three servers, of which one may be corrupt (Araki et al., CCS 2016, section 2)."""

MOST_ATTEMPTS = 20
"""Attempts at one joint plan. How an attempt fails tells something of the data, if only how long it took."""

MOST_ATTEMPTS_TOLD = 3
"""Attempts at one joint plan at the most of which another owner has the answer before all have ended: who opens first,
or is told of persons. Its side may say that it failed, and put other rows in for the next, so what approvers read of an
answer is told so often.
"""


@dataclass(frozen=True, slots=True)
class JointTask(Record):
    """What a member asks of several owners: a statement over their relations, and how it is to be computed.

    `servers` are three domains, or none where nothing is computed on shares: what a `finder` learns of its persons, and
    what a `collector` computes on ciphertexts. `helper` is a domain with the matching `helper`, else empty; `inspector`
    an owner with the opening `inspected`, `finder` one with an opening of persons (`Opening.of_persons`). In canonical
    form it is the text of a request (`plans.request`).
    """

    KIND: ClassVar[str] = "joint-task"

    statement: str
    matching: Matching
    opening: Opening
    servers: tuple[str, ...]
    helper: str = ""
    inspector: str = ""
    finder: str = ""
    collector: str = ""

    def check(self) -> None:
        for domain in (*self.servers, *self.others):
            names.require("domain", domain, "joint-task")
        if len(set(self.servers)) != len(self.servers) or len(self.servers) != (
            SERVERS if self.shared else 0
        ):
            raise Malformed(
                "a computation on shares has three different servers, and any other has none",
                "joint-task.servers",
                "Name three domains; none for persons in common, or beside a collector.",
            )
        if bool(self.helper) != (self.matching is Matching.HELPER) or self.helper in self.servers:
            raise Malformed(
                "matching by a helper names one, which is no server; other matching names none",
                "joint-task.helper",
            )
        if bool(self.inspector) != (self.opening is Opening.INSPECTED):
            raise Malformed("an inspected opening names its inspector, and no other does", "joint-task")
        if bool(self.finder) != self.opening.of_persons:
            raise Malformed(
                "what is told of persons names who learns it, and nothing else does", "joint-task"
            )
        if self.finder and (self.matching is Matching.NONE) == (self.opening is Opening.INTERSECTION):
            raise Malformed(
                "persons in common are found by matching, scores and records without", "joint-task.matching"
            )
        if self.collector and (not self.inspector or self.matching is Matching.HELPER):
            raise Malformed(
                "a collector computes for an inspector, who has the key, and without a helper",
                "joint-task.collector",
            )

    @property
    def shared(self) -> bool:
        """Whether servers compute on shares."""
        return not (self.finder or self.collector)

    @property
    def others(self) -> tuple[str, ...]:
        """All domains that it names beside servers: helper, inspector, finder, collector."""
        return tuple(filter(None, (self.helper, self.inspector, self.finder, self.collector)))


_SHAPES = {
    Opening.INTERSECTION: Shape.COMMON,
    Opening.SCORES: Shape.SCORED,
    Opening.RECORDS: Shape.LOOKUP,
}
"""Which statements the openings of persons are for."""


@dataclass(frozen=True, slots=True)
class Party(Record):
    """A domain as it describes itself to others, signed by its root key (statement `party`).

    `administration` is who employs its administrators, `hosting` whose machines it runs on, `software` who signs
    what runs there: by these others judge who could collude. `agent` is the SHA-256 of the certificate (DER) with
    which its agent speaks TLS, `address` where it listens (`host:port`).
    """

    KIND: ClassVar[str] = "party"

    domain: str
    number: int
    administration: str
    hosting: str
    software: str
    agent: str
    address: str

    def check(self) -> None:
        names.require("domain", self.domain, "party.domain")
        names.require("digest", self.agent, "party.agent")
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise Malformed("an agent listens at host:port", "party.address")
        for text in (self.administration, self.hosting, self.software):
            if not 0 < len(text) <= 200 or not text.isprintable():
                raise Malformed(
                    "a party says who administers, hosts and supplies it, in one line each", "party"
                )


@dataclass(frozen=True, slots=True)
class Scheme(Record):
    """How it is computed: ring of 64 or 128 bits, rows that pass through matching, and when a cell is opened.

    `matched` is the public number of rows after matching, rows that stand for nobody included; of one table in parts it
    is that of all rows. A figure is opened where at least `minimum_group` persons stand behind it and, for every total,
    the two largest persons that the
    public caps allow are together at most `dominance` percent of the total's magnitude (conservative: it needs no
    look at a single person). `noise_micro` is the rate of discrete noise in millionths, 0 for none. `reasons` say, as
    sentences for people, how parameters of ciphertexts or of a lookup came to be what they are; every party makes them
    again.
    """

    ring_bits: int
    matched: int
    minimum_group: int
    dominance: int
    noise_micro: int = 0
    reasons: tuple[str, ...] = ()

    def check(self) -> None:
        if self.ring_bits not in (64, 128):
            raise Malformed("a ring has 64 or 128 bits", "scheme.ring_bits")
        if self.matched < 1 or self.minimum_group < 1 or not 1 <= self.dominance <= 100:
            raise Malformed("rows, minimum group and dominance are at least 1", "scheme")


@dataclass(frozen=True, slots=True)
class PortionDecision(Record):
    """An owner's decision about its own portion, and the relation that its box reads.

    `identifiers` is the SHA-256 of the file of identifiers, `files` the names of the files of attributes and of
    identifiers in the owner's data folder. A model is about nobody: it has neither digest nor file of identifiers.
    """

    domain: str
    decision: Decision
    relation: Relation
    identifiers: str
    files: tuple[str, ...] = ()

    def check(self) -> None:
        names.require("domain", self.domain, "part-decision.domain")
        if self.identifiers:
            names.require("digest", self.identifiers, "part-decision.identifiers")
        for name in self.files:
            names.require("file", name, "part-decision.files")


@dataclass(frozen=True, slots=True)
class JointPlan(Record):
    """A joint plan. `parties` are all that take part, in the order of their domains' names.

    `images` are digests of the images of the boxes `extract` and `party`, the same at all parties. `decisions` are
    one per portion, in their order: each owner derives its own again and believes nobody's. `shadows` are what the
    statement was read on, one for each portion: so every owner can have it read again, and compares its own one.
    """

    KIND: ClassVar[str] = "joint-plan"

    request: Request
    request_signature: str
    task: JointTask
    parties: tuple[Party, ...]
    reading: JointReading
    decisions: tuple[PortionDecision, ...]
    scheme: Scheme
    sights: tuple[Sight, ...]
    trust: Trust
    extract_image: str
    party_image: str
    nonce: str
    made_at: int
    shadows: tuple[JointShadow, ...] = ()

    def check(self) -> None:
        names.require("signature", self.request_signature, "joint-plan.request_signature")
        names.require("nonce", self.nonce, "joint-plan.nonce")
        for image in (self.extract_image, self.party_image):
            names.require("digest", image, "joint-plan.image")
        domains = [party.domain for party in self.parties]
        if sorted(set(domains)) != domains:
            raise Malformed("parties stand in the order of their names, each once", "joint-plan.parties")
        owners = tuple(portion.domain for portion in self.reading.portions)
        task = self.task
        if {*owners, *task.servers, *task.others} != set(domains):
            raise Malformed("the parties are owners and whom the task names", "joint-plan.parties")
        self._check_parts(owners)
        if tuple(part.domain for part in self.decisions) != owners:
            raise Malformed("there is one decision for each portion", "joint-plan.decisions")
        for part, portion in zip(self.decisions, self.reading.portions, strict=True):
            if bool(part.identifiers) != bool(portion.key):
                raise Malformed("data about persons have identifiers, and no other", "joint-plan.decisions")

    def _check_parts(self, owners: tuple[str, ...]) -> None:
        """Check that the task is for a statement of this shape, and who owns what in it."""
        task, shape = self.task, self.reading.shape
        if _SHAPES.get(task.opening, shape) is not shape or (task.finder == "" and shape in _SHAPES.values()):
            raise Malformed("the task is for a statement of another shape", "joint-plan.task")
        if not task.finder and (shape is Shape.STACKED) != (task.matching is Matching.NONE):
            raise Malformed("parts of one table are not matched, and all else is", "joint-plan.task")
        if task.helper in owners or not {*filter(None, (task.inspector, task.finder))} <= set(owners):
            raise Malformed("a helper owns nothing; an inspector and a finder are owners", "joint-plan.task")
        if task.finder and shape is not Shape.COMMON and task.finder != owners[0]:
            raise Malformed("whose persons are scored or looked up learns it", "joint-plan.task.finder")
        if task.collector and (task.collector in owners) == (shape is Shape.STACKED):
            raise Malformed(
                "a collector owns none of the parts; of two owners that join, it is the other one",
                "joint-plan.task.collector",
            )
        if task.collector == task.inspector != "" or (task.collector in owners and len(owners) != 2):
            raise Malformed("who computes on ciphertexts has no key to them", "joint-plan.task.collector")

    def party(self, domain: str) -> Party:
        """Return a party by its domain.

        Raises:
            Malformed: it takes no part.
        """
        for party in self.parties:
            if party.domain == domain:
                return party
        raise Malformed(f"{domain} takes no part in this computation", "joint-plan.parties")

    def owns(self, domain: str) -> int | None:
        """Return the place of a domain's portion, or none."""
        owners = [portion.domain for portion in self.reading.portions]
        return owners.index(domain) if domain in owners else None

    def serves(self, domain: str) -> int | None:
        """Return which server (0, 1, 2) a domain is, or none."""
        return self.task.servers.index(domain) if domain in self.task.servers else None

    @property
    def handing(self) -> tuple[str, ...]:
        """Return the domains whose boxes leave something for the recipient: the servers, or who opens first."""
        opener = self.task.inspector or self.task.finder
        return (opener,) if opener else self.task.servers

    @property
    def learner(self) -> str:
        """Return the domain that is told something of single persons: a finder, or of two owners that join, a
        collector, who finds out which of its rows match; nobody else is.
        """
        owned = self.task.collector if self.owns(self.task.collector) is not None else ""
        return self.task.finder or owned

    @property
    def matcher(self) -> str:
        """Return the domain that compares pseudonyms: the helper, or the first server that owns nothing in this plan;
        of two owners alone, who learns which of its own rows match.

        Raises:
            Malformed: every server is an owner, one of whom would learn which of its own rows match.
        """
        if self.task.helper or self.learner:
            return self.task.helper or self.learner
        found = [domain for domain in self.task.servers if self.owns(domain) is None]
        if not found:
            raise Malformed(
                "matching without a helper needs a server that owns none of the rows",
                "joint-task.servers",
                "Name a server that has no part in the data, or a helper.",
            )
        return found[0]

    def partner(self, portion: int) -> str:
        """Return the server that expands the masks of a portion and reorders them: neither its owner nor the matcher.

        It is the first such server after the owner; for an owner that is none, counted from the portion's place, so
        that as few as possible serve two owners.
        """
        owner = self.reading.portions[portion].domain
        place = self.serves(owner)
        start = portion if place is None else place + 1
        order = [self.task.servers[(start + turn) % SERVERS] for turn in range(SERVERS)]
        return next(domain for domain in order if domain not in (owner, self.matcher))


@dataclass(frozen=True, slots=True)
class Opened(Record):
    """What one server hands to whoever opens: for every figure, of each cell, its two shares of the bit and of each
    sum times the bit, in hex of fixed width (little-endian ring elements), figure by figure and cell by cell.
    """

    KIND: ClassVar[str] = "joint-opened"

    plan: str
    attempt: int
    server: int
    first: tuple[str, ...]
    second: tuple[str, ...]

    def check(self) -> None:
        names.require("digest", self.plan, "opened.plan")
        if self.server not in range(SERVERS) or len(self.first) != len(self.second):
            raise Malformed("a server opens two shares of everything", "opened")


@dataclass(frozen=True, slots=True)
class Receipt(Record):
    """What a party's keeper signs at the end of an attempt, and every other party keeps (statement `receipt`).

    `records` are digests of its launcher's signed stage records, in the order of stages; `sealed` the SHA-256 of what
    it handed to the recipient (empty for none); `code` is empty for a good end, else the stable code of the failure
    that all parties report, with `failed_at` (party and step).
    """

    KIND: ClassVar[str] = "receipt"

    joint: str
    attempt: int
    party: str
    records: tuple[str, ...]
    sealed: str
    code: str = ""
    failed_at: str = ""
    sent_bytes: int = 0

    def check(self) -> None:
        names.require("digest", self.joint, "receipt.joint")
        names.require("domain", self.party, "receipt.party")
        for record in (*self.records, *filter(None, (self.sealed,))):
            names.require("digest", record, "receipt")


def joint_of(material: str) -> JointPlan:
    """Return the joint plan that is the material of a party's plan.

    Raises:
        Malformed: it is none.
    """
    return JointPlan.decode(material.encode())


def joint_task_of(request: Request) -> JointTask:
    """Return what a request asks of several owners.

    Raises:
        Malformed: it asks for something else.
    """
    return JointTask.decode(request.statement.encode())
