"""A question on its way, as it is told: it is asked, every party's approver signs, and the answer is opened."""

from __future__ import annotations

import time

from darkroom import joint_asking as asking
from darkroom.joint_result import JointResult
from examples.joint.region import Agencies
from examples.joint.stories import Story
from examples.story.telling import Teller

MOST_SHOWN, FEW_SHOWN = 20, 3
"""Rows of an answer that are all shown, and how many of a longer one."""


def ask(teller: Teller, agencies: Agencies, story: Story) -> str:
    """Submit the statement, and wait until its plan is made."""
    teller.say(f"{story.asker} asks:")
    teller.say(story.statement)
    connection = agencies.asker(story).connection
    number = str(connection.ask_jointly(story.task, project=story.project, purpose=story.purpose)["id"])
    until = time.monotonic() + 60
    while (found := connection.joint(number))["state"] == "submitted" and time.monotonic() < until:
        time.sleep(0.1)
    if found["problem"]:
        raise asking.problem_of(found)
    teller.say(f"Its plan is made and waits for {found['waits_for']}.")
    return number


def approve(teller: Teller, agencies: Agencies, story: Story, number: str, *, detailed: bool) -> None:
    """Let an approver of every party read the plan on their own machine, and sign its digest."""
    for place, domain in enumerate(story.parties):
        connection = agencies.approver(domain).connection
        plan = connection.joint_plan(number)
        if detailed and not place:
            teller.say("What each of them reads first, from the plan's own bytes:")
            heads = ("step", "who", "form", "at most")
            teller.table(heads, [[str(cell) for cell in row[:4]] for row in asking.sight_lines(plan)])
            for sentence in plan.trust.collusions:
                teller.say(f"if they collude: {sentence}")
        connection.hand_in(asking.approval_of(plan, domain, connection.signer()))
        teller.say(f"{domain} signs {plan.digest[:19]}…")


def opened(teller: Teller, agencies: Agencies, story: Story, number: str) -> JointResult:
    """Wait for the end, and open the answer."""
    connection, began = agencies.asker(story).connection, time.monotonic()
    connection.wait_jointly(number, 300)
    result = connection.open_jointly(number)
    teller.say(f"opened {time.monotonic() - began:.1f} s after the last signature")
    shown = result.texts()
    if result.judged is None:  # what an airlock rounded stands as it left
        shown = [
            [f"{cell:,.2f}" if isinstance(cell, float) else text for cell, text in zip(*row, strict=True)]
            for row in zip(result.rows, shown, strict=True)
        ]
    most = MOST_SHOWN if len(shown) <= MOST_SHOWN else FEW_SHOWN
    teller.table(result.columns, shown[:most])
    if shown[most:]:
        teller.say(f"… and {len(shown) - most:,} more")
    for note in result.notes[:2]:
        teller.say(f"note: {note}")
    return result
