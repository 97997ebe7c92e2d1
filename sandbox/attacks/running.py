"""Carrying out attacks, or their controls, on one tier.

Attacks by texts share boxes: one per text, and for controls one per text and set of walls that is taken off.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from plans.decision import Tier
from plans.errors import DarkroomError
from sandbox.attacks.attack import Absence, Attack, CannotRun, Finding, NotHere, Outcome, Verdict
from sandbox.attacks.catalogue import ATTACKS
from sandbox.attacks.ground import Ground, Told, ground
from sandbox.attacks.statements import STATEMENTS
from sandbox.contract import Wall

LONGEST_S = 240.0
"""How long one attack, or one box full of them, may take before that is the finding."""

_NOT_OVER = f"it was not over after {LONGEST_S:.0f} s"
_T = TypeVar("_T")
Heard = Callable[[Finding], None]
"""Whoever wants to know of each finding as it comes."""


def wanted(tier: Tier, sample: bool) -> tuple[Attack, ...]:
    """Return the attacks that say something on a tier; of a sample those that are quick and show its walls."""
    return tuple(attack for attack in ATTACKS if tier in attack.tiers and (attack.sample or not sample))


def carry_out(
    tier: Tier, attacks: Iterable[Attack], image: str = "sql", heard: Heard = lambda _: None
) -> tuple[Finding, ...]:
    """Carry out attacks on boxes of a tier and return what came of each, in their order.

    Raises:
        NotFound: the image was not built.
        TierMissing: this node lacks the tier.
    """
    return asyncio.run(_carry_out(tier, tuple(attacks), image, heard))


async def _carry_out(
    tier: Tier, attacks: tuple[Attack, ...], image: str, heard: Heard
) -> tuple[Finding, ...]:
    found: dict[str, Finding] = {}
    async with ground(tier, image) as made:
        async for attack, verdict in outcomes(made, attacks):
            found[attack.name] = one = finding(tier, attack, verdict)
            heard(one)
    return tuple(found[attack.name] for attack in attacks)


async def controls(
    made: Ground, attacks: Iterable[Attack], spared: Mapping[str, frozenset[Wall]] | None = None
) -> dict[str, Verdict | str]:
    """Carry out attacks with the walls off that stop them; `spared` names walls to leave standing.

    The answer is a text where an attack could not be carried out.
    """
    by_walls: dict[frozenset[Wall], list[Attack]] = defaultdict(list)
    for attack in attacks:
        by_walls[attack.walls - (spared or {}).get(attack.name, frozenset())].append(attack)
    found: dict[str, Verdict | str] = {}
    for walls, group in by_walls.items():
        async for attack, verdict in outcomes(made.weaker(walls), tuple(group)):
            found[attack.name] = verdict
    return found


async def outcomes(made: Ground, attacks: tuple[Attack, ...]) -> AsyncIterator[tuple[Attack, Verdict | str]]:
    """Yield each attack with what came of it, or with the reason why it could not be carried out."""
    texts: dict[str, list[Attack]] = defaultdict(list)
    for attack in attacks:
        if attack.text:
            texts[attack.text].append(attack)
    for module, group in texts.items():
        answers = await _guarded(_by_text(made, module, group))
        for attack in group:
            yield attack, answers if isinstance(answers, str) else answers[attack.name]
    for attack in attacks:
        if attack.scenario:
            answer = await _guarded(attack.scenario(made))
            # An attack that hangs its launcher has gained something.
            yield attack, Verdict(True, _NOT_OVER) if answer == _NOT_OVER else answer


async def _by_text(made: Ground, module: str, group: list[Attack]) -> dict[str, Verdict | str]:
    """Run one box of attacks, and judge each."""
    names = [attack.name for attack in group]
    if module == "statements":
        root, own = "/links" if made.without else "", made.planted.canary("own")
        listed = [[name, *STATEMENTS[name]] for name in names]
        # A control has both off: the walls, and the engine's lock, which is taken off in each run beside it.
        told = await made.attack(
            module, own=own, root=root, locked=not made.without, unlocked=True, statements=listed
        )
        names_of = {name: [each for each in (name, name + "/unlocked") if each in told] for name in names}
        return {name: _judged(made, [told[each] for each in names_of[name]]) for name in names}
    told = await made.attack(module, only=names)
    return {
        name: _judged(made, [told[name]]) if name in told else "the text has no such attack" for name in names
    }


def _judged(made: Ground, answers: list[Told]) -> Verdict | str:
    """Return whether one of the answers gained anything: by its own word, or by a canary that is not the box's own."""
    own = made.planted.canaries.get("own", "")
    for told in answers:
        if told.defect:
            return f"the attack itself went wrong: {told.why}"
        foreign = [canary for canary in told.loot if canary != own]
        if told.gained and (foreign or not told.loot):
            places = made.planted.found_in(" ".join(foreign).encode())
            return Verdict(True, "found the canary of: " + ", ".join(places) if places else "it succeeded")
    if not answers:
        return "the box told nothing of it"
    return Verdict(False, answers[0].why or "found nothing but the box's own data")


async def _guarded(work: Awaitable[_T]) -> _T | str:
    """Return what came of it, or why nothing did."""
    try:
        return await asyncio.wait_for(work, LONGEST_S)
    except NotHere as problem:
        return Absence(problem)
    except CannotRun as problem:
        return str(problem)
    except TimeoutError:
        return _NOT_OVER
    except DarkroomError as problem:
        return f"{problem.what} [{problem.where}]"


def finding(tier: Tier, attack: Attack, verdict: Verdict | str) -> Finding:
    """Return what a verdict means: a leak, unless it is said openly of this tier that the attack gains this."""
    if isinstance(verdict, str):
        outcome = Outcome.NOT_HERE if isinstance(verdict, Absence) else Outcome.CANNOT_RUN
        return Finding(attack, tier, outcome, verdict)
    if verdict.gained and attack.known and tier is Tier.T1:
        return Finding(attack, tier, Outcome.KNOWN, attack.known)
    return Finding(attack, tier, Outcome.LEAK if verdict.gained else Outcome.REFUSED, verdict.how)
