"""The command that shows an auditor whom a member looked up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from darkroom import terminal
from darkroom.cli_access import FormatOption, room
from darkroom.joint_looked_up import looked_up, questions
from darkroom.terminal import Format
from plans.joint_evidence import JointEvidence
from plans.joint_persons import Shown

NOBODY = "(nobody)"


def show_looked_up(
    number: Annotated[str, typer.Argument(metavar="ID", help="A released computation of lookups of yours.")],
    person: Annotated[
        str, typer.Argument(metavar="[PERSON]", help="One person; without it, all questions, to nobody too.")
    ] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Show whom you looked up, so that an auditor can check it: salt and commitment of each, beside the evidence."""
    connection = room()
    found = looked_up(connection.open_jointly(number), connection.joint_evidence(number), person or None)

    def draw() -> None:
        terminal.rows(
            ("person", "salt", "commitment"),
            [[each.person or NOBODY, each.salt, each.commitment] for each in found],
        )

    plain = [{"person": each.person, "salt": each.salt, "commitment": each.commitment} for each in found]
    terminal.write(plain, form, draw)
    terminal.say(
        "These are what the launcher of the finder's box signed, and what the log of the platform has."
    )
    terminal.say(
        "Whoever is given person and salt of a row checks it, and learns of no other row: darkroom joint verify "
        "--file EVIDENCE --root DOMAIN=KEY … --looked-up PERSON=SALT"
    )


def say_shown(persons: Sequence[Shown], evidence: JointEvidence) -> None:
    """Say which questions an auditor was shown, and how many not."""
    for each in persons:
        terminal.say(f"It was asked about: {each.person or NOBODY}")
    if persons:
        terminal.say(
            f"Shown are {len(persons)} of the {questions(evidence.joint)} questions that were asked."
        )
