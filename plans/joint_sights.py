"""The visibility table 可见性表 of a joint plan: who sees what, when and in which form; and who must not collude."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from plans.record import Record


class Part(StrEnum):
    """What a party is in a joint plan."""

    OWNER = "owner"
    SERVER = "server"
    HELPER = "helper"
    INSPECTOR = "inspector"
    FINDER = "finder"
    COLLECTOR = "collector"
    RECIPIENT = "recipient"


class SeenAs(StrEnum):
    """In which form something is seen.

    A `share` or `masked` value alone is uniform; a `pseudonym` is an identifier under a key that its reader lacks, a
    `ciphertext` a number under such a key.
    """

    CLEAR = "clear"
    SHARE = "share"
    MASKED = "masked"
    PSEUDONYM = "pseudonym"
    CIPHERTEXT = "ciphertext"
    SIZE = "size"
    TIMING = "timing"


class Step(StrEnum):
    """The steps of a joint computation, in their order; receipts, failures and sights name them."""

    ASK = "ask"
    CHECK = "preflight"
    EXTRACT = "extract"
    MATCH = "match"
    SHARE = "share"
    ENCRYPT = "encrypt"
    COMPUTE = "compute"
    GUARD = "guard"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Sight(Record):
    """One line of the visibility table: at this step, this party (in this part) sees this, in this form.

    `what` is a sentence for people; `bound` is the public number of things seen (0 where it is not counted).
    """

    step: Step
    party: str
    part: Part
    what: str
    form: SeenAs
    bound: int = 0


@dataclass(frozen=True, slots=True)
class Trust(Record):
    """The model under which the table holds, printed on plan and result: the adversary, which sets of parties open
    what if they collude, and who supplies randomness. Sentences for people, made by code (`mpc.visibility`).
    """

    adversary: str
    collusions: tuple[str, ...]
    randomness: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A line of the table as people read it: all parties that see the same at one step, each with its part."""

    sight: Sight
    parties: tuple[tuple[str, Part], ...]


def together(sights: tuple[Sight, ...]) -> tuple[Seen, ...]:
    """Return the table with equal lines of several parties as one, each where the first of them stands.

    It is for reading: what is signed, and made again by each party, is the table line by line.
    """
    found: dict[tuple[Step, str, SeenAs, int], list[Sight]] = {}
    for sight in sights:
        found.setdefault((sight.step, sight.what, sight.form, sight.bound), []).append(sight)
    return tuple(Seen(same[0], tuple((each.party, each.part) for each in same)) for same in found.values())
