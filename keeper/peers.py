"""What a keeper holds of other domains: who speaks for them, and how they describe themselves. Pure.

Their root keys are settings of this keeper, brought by people, so whoever carries these statements need not be
believed. Rules:

1.  A roster is signed by its domain's root key, and has a higher number than any before; so has a party's
    description. "Before" includes what a backup has forgotten (`floor`, from the journal's mark).
2.  A domain without a root key in the settings is nobody: nothing of it is taken, and no computation has it as a party.
3.  A statement counts within its validity, asked again at every use.
4.  The own domain's description is held here too; its roster is not (`keeper.trust`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from keeper.trust import in_time
from keys import api as keys
from plans.errors import Malformed, Outdated, SignatureWrong, StateConflict
from plans.joint import JointPlan, Party
from plans.statements import Duty, Roster, Signed, Statement, Type

PEER = "peer"
"""The kind of the journal's lines about them."""


@dataclass(slots=True)
class Peers:
    """The newest statements of each domain. `roots` are root keys by domain, the own one included."""

    domain: str
    roots: Mapping[str, str]
    floor: Mapping[str, int] = field(default_factory=dict)
    _rosters: dict[str, tuple[Statement, Roster]] = field(default_factory=dict)
    _parties: dict[str, tuple[Statement, Party]] = field(default_factory=dict)

    def require_new(self, signed: Signed, now: int) -> bool:
        """Verify an offered statement; return whether it says anything new.

        Raises:
            SignatureWrong: not by the root key that this keeper was told of, or about nobody that it knows.
            Outdated: not newer than what is held, or not valid now (ATTACKS 81).
            Malformed: it is no roster and no description of a party.
        """
        statement = self._verified(signed)
        if not in_time(statement, now):
            raise Outdated("the statement is not valid now", statement.type)
        number, held = _number(statement), self._held(statement)
        floor = self.floor.get(_name(statement), 0)
        if held is not None and held[0].subject == statement.subject and number >= floor:
            return False
        if number <= max(held[1].number if held else 0, floor - 1):
            raise Outdated(
                f"this {statement.type} statement of {statement.domain} is not newer than the one that is held",
                statement.type,
                "Ask that domain for its newest.",
            )
        return True

    def take_in(self, signed: Signed) -> None:
        """Hold a statement that the journal has, if its domain still has the root key that signed it."""
        statement = signed.statement
        if self.roots.get(statement.domain) != statement.signer:
            return
        if statement.type is Type.ROSTER:
            self._rosters[statement.domain] = statement, Roster.read(statement.body)
        else:
            self._parties[statement.domain] = statement, Party.read(statement.body)

    def remember(self, numbers: Mapping[str, int]) -> None:
        """Let the highest numbers of the journal's mark count: what is held below them is not in force."""
        self.floor = {name: number for name, number in numbers.items() if "/" in name}

    def numbers(self) -> dict[str, int]:
        """Return the highest numbers that were ever held, by what they number: `roster/nm/tax`, `party/nm/tax`."""
        found = dict(self.floor)
        for held in (self._rosters, self._parties):
            for statement, body in held.values():
                found[_name(statement)] = max(body.number, found.get(_name(statement), 0))
        return found

    def numbers_after(self, signed: Signed) -> dict[str, int]:
        """Return the same as it will be with a statement taken in."""
        statement = signed.statement
        found = self.numbers()
        return found | {_name(statement): max(_number(statement), found.get(_name(statement), 0))}

    def holds(self, domain: str, key: str, duty: Duty, now: int) -> bool:
        """Return whether a key speaks for another domain in a duty, by the newest roster that is held."""
        held = self._rosters.get(domain)
        if held is None or domain == self.domain:
            return False
        return self._stands(*held, now) and held[1].holds(key, duty)

    def vouching(self, launchers: Iterable[tuple[str, str]], now: int) -> bool:
        """Return whether all these are still launchers of their domains: pairs of a domain and a key."""
        return all(self.holds(domain, key, Duty.LAUNCHER, now) for domain, key in launchers)

    def require_parties(self, joint: JointPlan, now: int) -> None:
        """Check that the parties of a joint plan are described as they describe themselves.

        Raises:
            StateConflict: nothing is held of one.
            Outdated: the plan has another description than the newest.
        """
        for party in joint.parties:
            held = self._parties.get(party.domain)
            if held is None or not self._stands(*held, now):
                raise StateConflict(
                    f"this keeper holds no valid description of the party {party.domain}",
                    "joint-plan.parties",
                    "Bring the root key of that domain into the settings, and offer its newest statements.",
                )
            if held[1] != party:
                raise Outdated(
                    f"the plan describes {party.domain} otherwise than it does itself",
                    "joint-plan.parties",
                    "Make the plan anew with the newest statement of every party.",
                )

    def told(self) -> dict[str, dict[str, int]]:
        """Return the numbers of what is held, by domain: for everybody."""
        return {
            domain: {
                name: held[domain][1].number if domain in held else 0
                for name, held in (("roster", self._rosters), ("party", self._parties))
            }
            for domain in sorted(self.roots)
        }

    def _verified(self, signed: Signed) -> Statement:
        statement = keys.verify(signed)
        own_roster = statement.type is Type.ROSTER and statement.domain == self.domain
        if statement.type not in (Type.ROSTER, Type.PARTY) or own_roster:
            raise Malformed(
                "rosters of other domains and descriptions of parties are taken here", statement.type
            )
        root = self.roots.get(statement.domain)
        if root is None:
            raise SignatureWrong(
                f"this keeper was told no root key of {statement.domain}",
                statement.type,
                "The owner's administrator brings it into the keeper's settings, after checking it with that domain.",
            )
        if statement.signer != root or statement.duty is not Duty.ROOT:
            raise SignatureWrong(
                f"the statement is not signed by the root key of {statement.domain}", statement.type
            )
        kind = Roster if statement.type is Type.ROSTER else Party
        if kind.read(statement.body).domain != statement.domain:
            raise SignatureWrong("the statement is about another domain than it says", statement.type)
        return statement

    def _held(self, statement: Statement) -> tuple[Statement, Roster | Party] | None:
        held = self._rosters if statement.type is Type.ROSTER else self._parties
        return held.get(statement.domain)

    def _stands(self, statement: Statement, body: Roster | Party, now: int) -> bool:
        return in_time(statement, now) and body.number >= self.floor.get(_name(statement), 0)


def _name(statement: Statement) -> str:
    return f"{statement.type}/{statement.domain}"


def _number(statement: Statement) -> int:
    return int(statement.body["number"])
