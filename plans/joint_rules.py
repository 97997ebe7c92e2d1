"""What an owner allows of its dataset in joint computations; without such rules nobody may compute with it jointly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from plans.errors import Malformed
from plans.record import Record


class Matching(StrEnum):
    """How rows of one person at several owners find each other.

    `helper`: a helper compares pseudonyms under a key that only the owners have. `diffie-hellman`: pseudonyms under
    exponents of all owners, on a prime-order group; nobody who is no server learns which rows matched. `none`: they do
    not, since each owner holds a part of one table and adds up its own.
    """

    HELPER = "helper"
    DIFFIE_HELLMAN = "diffie-hellman"
    NONE = "none"


class Opening(StrEnum):
    """Who sees figures first: nobody but the recipient, small and dominated cells being blotted out on shares; or the
    airlock of a named owner. `intersection`: there are no figures; a named owner learns which of its own persons all
    others have, too. `scores`: it learns what another's model says of each of its own; `records`: what another's
    register has of the few that it asks for.
    """

    OBLIVIOUS = "oblivious"
    INSPECTED = "inspected"
    INTERSECTION = "intersection"
    SCORES = "scores"
    RECORDS = "records"

    @property
    def of_persons(self) -> bool:
        """Whether something is told of single persons, to their owner."""
        return self in (Opening.INTERSECTION, Opening.SCORES, Opening.RECORDS)


@dataclass(frozen=True, slots=True)
class JointRules(Record):
    """The owner's terms, part of a dataset's policy.

    `matchings` and `openings` are those that it accepts; none of them is a no. `separate` demands that parties
    that open more together have different administrations: servers and helper, whoever matches and an owner, an owner
    and its partner, a collector and the inspector. `sizes` says that whoever matches may learn how many of its rows
    matched, after filters; no matching hides that, so without it there is none. `exact` says that
    figures may leave unrounded though the policy rounds: on shares nothing is rounded, so the opening `oblivious` needs
    it there, or noise. Of one lineage together with the same other owner at most `cells` cells are opened within
    `period_days`, each sum of a figure counted. `noise_micro` is the rate of the noise that the servers add to every
    sum, in millionths (`plans.joint_guards.noise_scale`); 0: none. `ciphertexts` says that a collector may add
    up its sums under the key of an inspector, who must not collude, or that the other owner of two may compute
    with its encrypted rows. Within the same period another owner is told something (an opening of persons) of at most
    `members` persons; 0: of none. `given_away` says of a model that so many may be scored that it can be worked out:
    one more than it has coefficients.
    """

    matchings: tuple[Matching, ...]
    openings: tuple[Opening, ...]
    cells: int
    period_days: int
    separate: bool = True
    sizes: bool = False
    exact: bool = False
    noise_micro: int = 0
    ciphertexts: bool = False
    members: int = 0
    given_away: bool = False

    def check(self) -> None:
        if self.cells < 1 or self.period_days < 1:
            raise Malformed("a quota of joint cells, and its period in days, are at least 1", "policy.joint")
        if self.noise_micro < 0:
            raise Malformed("a rate of noise is not negative", "policy.joint", "Write 0 for none.")
        if self.members < 0 or (self.members > 0) != any(each.of_persons for each in self.openings):
            raise Malformed(
                "whoever accepts an opening of persons says of how many (members), and nobody else does",
                "policy.joint.members",
            )
