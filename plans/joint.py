"""Joint plans 联合计算: what several parties compute together, who sees what of it, and who must not collude.

One joint plan is the same bytes at every party. Each party's own side derives from it the plan of its own boxes
(`mpc.api.party_plan`), whose material is the joint plan; approvers sign the digest of the joint plan.

    request ─► reading ─► JOINT PLAN (portions, scheme, sights) ─► approvals of all parties ─► boxes of all parties

An *owner* has data in it, a *server* computes on shares (there are three), the *helper* matches pseudonyms and has
no data. A party may be owner and server; the helper is neither. The *recipient* is the key that the request names,
and may belong to a domain that is no party.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.decision import Decision
from plans.errors import Malformed
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

MOST_OWNERS, MOST_JOINT_CELLS = 8, 4096
"""Owners that join, and cells of an answer, at the most."""

MOST_ATTEMPTS = 20
"""Attempts at one joint plan. How an attempt fails tells something of the data, if only how long it took."""


class Measure(StrEnum):
    """What the servers add up over the rows of a cell, on shares.

    `rows` counts them, `present` those where an operand has a value, `total` adds an operand, `magnitude` its
    absolute values (for the test of dominance), `square` its squares, `product` two operands of two owners.
    """

    ROWS = "rows"
    PRESENT = "present"
    TOTAL = "total"
    MAGNITUDE = "magnitude"
    SQUARE = "square"
    PRODUCT = "product"


@dataclass(frozen=True, slots=True)
class JointTask(Record):
    """What a member asks of several owners: a statement over their relations, and how it is to be computed.

    `servers` are three domains. `helper` is a domain with the matching `helper`, else empty. `inspector` is an owner
    with the opening `inspected`, else empty. In canonical form it is the text of a request (`plans.request`).
    """

    KIND: ClassVar[str] = "joint-task"

    statement: str
    matching: Matching
    opening: Opening
    servers: tuple[str, ...]
    helper: str = ""
    inspector: str = ""

    def check(self) -> None:
        for domain in (*self.servers, *filter(None, (self.helper, self.inspector))):
            names.require("domain", domain, "joint-task")
        if len(set(self.servers)) != SERVERS:
            raise Malformed(
                "a joint computation has three different servers", "joint-task.servers", "Name three domains."
            )
        if bool(self.helper) != (self.matching is Matching.HELPER) or self.helper in self.servers:
            raise Malformed(
                "matching by a helper names one, which is no server; other matching names none",
                "joint-task.helper",
            )
        if bool(self.inspector) != (self.opening is Opening.INSPECTED):
            raise Malformed("an inspected opening names its inspector, and no other does", "joint-task")


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
class Grouping(Record):
    """A key of GROUP BY: the output's name, the column, and its public code list, in the order of the cells."""

    name: str
    column: str
    codes: tuple[str, ...]

    def check(self) -> None:
        names.require("column", self.column, "grouping")
        if not self.codes or len(set(self.codes)) != len(self.codes):
            raise Malformed("a key of groups has a public list of different codes", self.name)


@dataclass(frozen=True, slots=True)
class Operand(Record):
    """A number that one owner computes for each of its rows, over its own relation alone.

    `expression` is SQL over the relation's columns. Its values are whole after multiplication by 10^`decimals` and
    then between `low` and `high`, both included; rows without a value count as 0 with `present` 0. The owner's own
    box refuses to begin where one is outside.
    """

    expression: str
    low: int
    high: int
    decimals: int
    nullable: bool

    def check(self) -> None:
        if self.low > self.high or not 0 <= self.decimals <= 18:
            raise Malformed("a range has a low and a high end, and at most 18 decimals", "operand")

    @property
    def cap(self) -> int:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    @property
    def flag(self) -> bool:
        """Whether it is 0 or 1."""
        return self.decimals == 0 and self.low >= 0 and self.high <= 1


@dataclass(frozen=True, slots=True)
class Portion(Record):
    """What one owner brings: its relation, the key by which rows find each other, and what it computes by itself.

    `where` is a condition over the relation (empty: none). `stand_in` is the statement on which this owner's
    decision rests: figures over its own relation alone, that use every column as the joint statement does. `bound` is
    how many rows it sends, rows that stand for nobody included, so that sizes after filters stay hidden.
    """

    domain: str
    relation: str
    key: str
    where: str
    groups: tuple[Grouping, ...]
    operands: tuple[Operand, ...]
    stand_in: str
    bound: int

    def check(self) -> None:
        names.require("domain", self.domain, "portion.domain")
        names.require("relation", self.relation, "portion.relation")
        names.require("column", self.key, "portion.key")
        if self.bound < 1:
            raise Malformed("an owner sends at least one row", self.relation)


@dataclass(frozen=True, slots=True)
class Sum(Record):
    """One vector of sums, a number for each cell; `operands` are (place of portion, place of operand) in pairs."""

    measure: Measure
    operands: tuple[tuple[int, int], ...]

    def check(self) -> None:
        wanted = {Measure.ROWS: 0, Measure.PRODUCT: 2}.get(self.measure, 1)
        if len(self.operands) != wanted:
            raise Malformed(f"a sum of the measure {self.measure} has {wanted} operands", "joint.sums")


@dataclass(frozen=True, slots=True)
class JointFigure(Record):
    """An output that is a number: its function, and of which sums it is made after opening.

    `persons` is the place of the sum that counts the persons behind it; it is opened where that is at least the
    minimum group and every total in `sums` and `beside` passes the test of dominance. What stands in `beside` is tested
    alone and never opened: summands of a value, that a known one must not hide. Nor is what stands in `rest`: how many
    persons a CASE leaves out, as many as the minimum group at least, since a figure over all shows them by subtraction.
    """

    name: str
    function: str
    sums: tuple[int, ...]
    persons: int
    beside: tuple[int, ...] = ()
    rest: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class JointReading(Record):
    """What a statement over several owners' relations is, as the reader in a checker box finds it.

    `outputs` are the names in the order of the statement, each of a grouping (of any portion) or of a figure. Bounds
    and ranges come from what owners declared (`plans.manifest.Declared`), which is public.
    """

    KIND: ClassVar[str] = "joint-reading"

    statement: str
    portions: tuple[Portion, ...]
    sums: tuple[Sum, ...]
    figures: tuple[JointFigure, ...]
    outputs: tuple[str, ...]

    def check(self) -> None:
        names.require("digest", self.statement, "joint-reading.statement")
        if not 2 <= len(self.portions) <= MOST_OWNERS:
            raise Malformed(f"a joint statement is over 2 to {MOST_OWNERS} owners", "joint-reading.portions")
        if len({portion.domain for portion in self.portions}) != len(self.portions):
            raise Malformed("each portion is another owner's", "joint-reading.portions")
        if not self.figures or self.cells > MOST_JOINT_CELLS:
            raise Malformed(f"an answer has figures, and at most {MOST_JOINT_CELLS} cells", "joint-reading")
        places = [place for total in self.sums for place in total.operands]
        if any(not self._has(*place) for place in places):
            raise Malformed("a sum is over an operand that is not there", "joint-reading.sums")
        used = {
            place
            for figure in self.figures
            for place in (*figure.sums, figure.persons, *figure.beside, *figure.rest)
        }
        if not used <= set(range(len(self.sums))):
            raise Malformed("a figure is made of sums that are not there", "joint-reading.figures")
        named = [group.name for portion in self.portions for group in portion.groups]
        if sorted(self.outputs) != sorted([*named, *(figure.name for figure in self.figures)]):
            raise Malformed("outputs are the keys and the figures, each once", "joint-reading.outputs")

    def _has(self, portion: int, operand: int) -> bool:
        return 0 <= portion < len(self.portions) and 0 <= operand < len(self.portions[portion].operands)

    @property
    def groups(self) -> tuple[Grouping, ...]:
        """All keys of groups, portion by portion; the last one turns fastest in the order of cells."""
        return tuple(group for portion in self.portions for group in portion.groups)

    @property
    def cells(self) -> int:
        """How many cells the answer has: the product of the code lists."""
        found = 1
        for group in self.groups:
            found *= len(group.codes)
        return found


@dataclass(frozen=True, slots=True)
class Scheme(Record):
    """How it is computed: ring of 64 or 128 bits, rows that pass through matching, and when a cell is opened.

    `matched` is the public number of rows after matching, rows that stand for nobody included. A figure is opened
    where at least `minimum_group` persons stand behind it and, for every total, the two largest persons that the
    public caps allow are together at most `dominance` percent of the total's magnitude (conservative: it needs no
    look at a single person). `noise_micro` is the rate of discrete noise in millionths, 0 for none.
    """

    ring_bits: int
    matched: int
    minimum_group: int
    dominance: int
    noise_micro: int = 0

    def check(self) -> None:
        if self.ring_bits not in (64, 128):
            raise Malformed("a ring has 64 or 128 bits", "scheme.ring_bits")
        if self.matched < 1 or self.minimum_group < 1 or not 1 <= self.dominance <= 100:
            raise Malformed("rows, minimum group and dominance are at least 1", "scheme")


@dataclass(frozen=True, slots=True)
class PortionDecision(Record):
    """An owner's decision about its own portion, and the relation that its box reads.

    `identifiers` is the SHA-256 of the file of identifiers, `files` the names of the files of attributes and of
    identifiers in the owner's data folder.
    """

    domain: str
    decision: Decision
    relation: Relation
    identifiers: str
    files: tuple[str, ...] = ()

    def check(self) -> None:
        names.require("domain", self.domain, "part-decision.domain")
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
        needed = {*owners, *self.task.servers, *filter(None, (self.task.helper, self.task.inspector))}
        if needed != set(domains):
            raise Malformed("the parties are owners, servers, helper and inspector", "joint-plan.parties")
        if self.task.helper in owners or (self.task.inspector and self.task.inspector not in owners):
            raise Malformed("a helper owns nothing, an inspector does", "joint-plan.task")
        if tuple(part.domain for part in self.decisions) != owners:
            raise Malformed("there is one decision for each portion", "joint-plan.decisions")

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
    def matcher(self) -> str:
        """Return the domain that compares pseudonyms: the helper, or the first server that owns nothing in this plan.

        Raises:
            Malformed: every server is an owner, one of whom would learn which of its own rows match.
        """
        if self.task.helper:
            return self.task.helper
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
