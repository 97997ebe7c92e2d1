"""Salted commitments to persons who were looked up, so that who looked is held to whom it asked about. Pure hashing.

A log holds one for each question, those for nobody included. The salt of a row follows from the salt of the table that
the recipient was handed, which nobody else has: it can show an auditor whom it looked up, row by row, and nobody else
can try persons. From the salt of one row no other row's follows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from plans import canonical
from plans.released import Released

NOBODY = ""
"""The identifier of a row that fills up."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What an auditor is shown of one question: the person as it was compared (`NOBODY` for none), the salt of that
    row in hex, and the commitment that follows.
    """

    person: str
    salt: str
    commitment: str


def commitment(key: bytes, salt: bytes) -> str:
    """Return what a log may hold of a key: whoever is later given the key and the salt can check it, and nobody else.

    Args:
        key: what was looked up.
        salt: 32 bytes that nobody can guess, for this entry alone; who has it can try keys.
    """
    return hashlib.sha256(b"darkroom/v1/lookup/key/" + len(salt).to_bytes(2, "big") + salt + key).hexdigest()


def row_salt(table: Released, place: int) -> bytes:
    """Return the salt of the commitment to a row of a table."""
    return hashlib.sha256(canonical.encode({"lookup": table.salt, "row": place})).digest()


def shown(table: Released, count: int) -> tuple[Shown, ...]:
    """Return what an auditor is shown of all questions: the table's persons, then nobody, up to the plan's public
    number.

    That a row is nobody's is to be shown alike: an auditor who is shown all of them makes each commitment again, so
    nobody who was looked up passes for a row that fills up.
    """
    persons = [str(row[0].v) for row in table.rows]
    persons += [NOBODY] * (count - len(persons))
    found = []
    for place, person in enumerate(persons):
        salt = row_salt(table, place)
        found.append(Shown(person, salt.hex(), commitment(person.encode(), salt)))
    return tuple(found)


def commitments(table: Released, count: int) -> list[str]:
    """Return what a log may hold of the persons who were looked up, and to the plan's public number of nobody."""
    return [each.commitment for each in shown(table, count)]
