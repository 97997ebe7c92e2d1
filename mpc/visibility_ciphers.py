"""Who sees what of ciphertexts, and of records that are looked up: lines of the visibility table. Pure.

- *Sums of one table in parts*: holders encrypt under the inspector's key, and a collector adds up.
- *Sums over rows of two owners*: the inspector encrypts its columns, the other one multiplies.
- *Scores*: who has the rows encrypts them under a key of its own, who has the model adds up.
- *Records*: a register is sealed, keys are blinded, and a column is asked for without saying which (`mpc.lookup`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mpc.lookup.parameters import CHECKS
from mpc.lookup.plan import Way
from mpc.protocols.planning import encrypted_columns, factors, lookups, own_cells, score_of
from plans.joint import JointPlan, Part, SeenAs, Shape, Sight, Step
from plans.joint_guards import vectors_of

VOTES = "whether that part of each figure passes all tests by itself"
"""What each holder of one table says of its own part, never in the clear."""


def encrypts(joint: JointPlan) -> Iterator[Sight]:
    """Yield the lines of the step `encrypt`."""
    shape = joint.reading.shape
    if shape is Shape.SCORED:
        yield from _features(joint)
    elif shape is Shape.LOOKUP:
        yield from _sealed(joint)
        yield from _blinded(joint)
    elif joint.task.collector and shape is Shape.STACKED:
        yield from _parts(joint)
    elif joint.task.collector:
        yield from _columns(joint)


def computes(joint: JointPlan) -> Iterator[Sight]:
    """Yield the lines of the step `compute` where nothing is computed on shares."""
    task, reading = joint.task, joint.reading
    if reading.shape is Shape.SCORED:
        what = f"the score of each of its rows by the model of {_other(joint)}, all else in it hidden"
        rows = reading.portions[0].bound
        yield Sight(Step.COMPUTE, task.finder, Part.FINDER, what, SeenAs.CIPHERTEXT, rows)
    elif reading.shape is Shape.LOOKUP:
        yield from _asked(joint)
    elif task.collector:
        whose = (
            "of all holders together, and no single holder's; of how many parts pass"
            if reading.shape is Shape.STACKED
            else "over the rows that match, all else in it hidden"
        )
        yield Sight(
            Step.COMPUTE,
            task.inspector,
            Part.INSPECTOR,
            f"each sum of each cell {whose}",
            SeenAs.CIPHERTEXT,
            reading.cells * vectors_of(joint),
        )


def _other(joint: JointPlan) -> str:
    return joint.reading.portions[1].domain


def _key(domain: str, part: Part, owner: str) -> Sight:
    what = f"the public key of this attempt, of which {owner}'s box alone has the secret one"
    return Sight(Step.ENCRYPT, domain, part, what, SeenAs.CLEAR, 1)


def _parts(joint: JointPlan) -> Iterator[Sight]:
    task, reading = joint.task, joint.reading
    told = [(portion.domain, Part.OWNER) for portion in reading.portions if portion.domain != task.inspector]
    for domain, part in (*told, (task.collector, Part.COLLECTOR)):
        yield _key(domain, part, task.inspector)
    yield Sight(
        Step.ENCRYPT,
        task.collector,
        Part.COLLECTOR,
        f"each sum of each cell of each holder's own rows, and {VOTES}, under a key that it lacks and "
        f"{task.inspector} has",
        SeenAs.CIPHERTEXT,
        len(reading.portions) * vectors_of(joint) * reading.cells,
    )


def _columns(joint: JointPlan) -> Iterator[Sight]:
    task, reading = joint.task, joint.reading
    place = [portion.domain for portion in reading.portions].index(task.inspector)
    columns = len(factors(reading, place)) * own_cells(reading, place)
    yield _key(task.collector, Part.COLLECTOR, task.inspector)
    yield Sight(
        Step.ENCRYPT,
        task.collector,
        Part.COLLECTOR,
        f"each number of each row of {task.inspector}'s list in each of its groups, rows that stand for nobody among "
        "them, under a key that it lacks",
        SeenAs.CIPHERTEXT,
        columns * reading.portions[place].bound,
    )


def _features(joint: JointPlan) -> Iterator[Sight]:
    finder, reading = joint.task.finder, joint.reading
    yield _key(_other(joint), Part.OWNER, finder)
    if score_of(reading).trees:
        made = "a public key with which two ciphertexts of this attempt are multiplied, and none is opened"
        yield Sight(Step.ENCRYPT, _other(joint), Part.OWNER, made, SeenAs.CLEAR, 1)
        what = (
            f"of each row of {finder} whether its features are at least each value that a threshold may have"
        )
    else:
        what = f"each feature of each row of {finder}"
    yield Sight(
        Step.ENCRYPT,
        _other(joint),
        Part.OWNER,
        f"{what}, up to its public number, under a key that it lacks",
        SeenAs.CIPHERTEXT,
        reading.portions[0].bound * encrypted_columns(reading),
    )


def _sealed(joint: JointPlan) -> Iterator[Sight]:
    register, finder = joint.reading.portions[1], joint.task.finder
    yield Sight(
        Step.ENCRYPT,
        finder,
        Part.FINDER,
        f"the shape of the sealed table of {register.domain}, by public sizes, and digests that bind it to one version",
        SeenAs.CLEAR,
        1,
    )
    if lookups(joint.reading).way is Way.HIDDEN:
        what = (
            f"of all sealed records of {register.domain} together what every question needs, the same for all"
        )
    else:
        what = (
            f"every record of {register.domain}, each sealed under a key of its own that it gets for the persons alone "
            "whom it asks about; filled up, so that nobody sees how many there are"
        )
    yield Sight(Step.ENCRYPT, finder, Part.FINDER, what, SeenAs.CIPHERTEXT, register.bound)


def _blinded(joint: JointPlan) -> Iterator[Sight]:
    asked, register = joint.reading.portions
    yield Sight(
        Step.ENCRYPT,
        register.domain,
        Part.OWNER,
        f"exactly {asked.bound:,} identifiers, each under an exponent drawn for it, so that it could be anybody's, "
        "and those that stand for nobody among them",
        SeenAs.MASKED,
        asked.bound,
    )
    yield Sight(
        Step.ENCRYPT,
        register.domain,
        Part.OWNER,
        f"with each of them {CHECKS} check keys that everybody knows, which show the finder that all have one exponent",
        SeenAs.CLEAR,
        CHECKS * asked.bound,
    )
    what = f"the same identifiers under an exponent that {register.domain} alone has"
    yield Sight(Step.ENCRYPT, asked.domain, Part.FINDER, what, SeenAs.PSEUDONYM, asked.bound)


def _asked(joint: JointPlan) -> Iterator[Sight]:
    asked, register = joint.reading.portions
    if lookups(joint.reading).way is not Way.HIDDEN:
        return
    yield Sight(
        Step.COMPUTE,
        register.domain,
        Part.OWNER,
        f"{asked.bound:,} questions, each for a column of its table, under keys that it lacks",
        SeenAs.CIPHERTEXT,
        asked.bound,
    )
    yield Sight(
        Step.COMPUTE,
        asked.domain,
        Part.FINDER,
        "for each question one column of sealed records, of which it has the key of its own person's alone",
        SeenAs.CIPHERTEXT,
        asked.bound,
    )
