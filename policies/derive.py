"""From a decision to what really runs: the program and its boxes. Pure, and derived twice like the decision itself.

The keeper builds these from its own bundle and manifests and compares bytes with the plan; so every choice
made here must depend on nothing but the arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from plans import names
from plans.box import BoxSpec, Entry, Input, Limits, Link, Outputs
from plans.checks import Privacy, strictest
from plans.constraints import Mask
from plans.decision import Tier
from plans.errors import Malformed
from plans.handover import (
    ARTIFACTS,
    FINISHED,
    HELD,
    OPENED,
    OUTPUT,
    PROTECTED,
    RECORD,
    RESULT,
    SEALED,
    SETS,
    SHOWN,
    TABLE,
)
from plans.manifest import Kind, Manifest
from plans.plan import Program, Relation, work_stages
from plans.reading import Level, Reading
from plans.statements import Bundle
from plans.tasks import Task
from policies.decide import Case
from policies.private import Asked, masked_columns, privately
from policies.view import enterprise_column, views

WRITES: Mapping[Entry, tuple[str, ...]] = MappingProxyType(
    {
        Entry.QUERY: (RESULT, SETS),
        Entry.PARSE: (TABLE,),
        Entry.PROTECT: (PROTECTED,),
        Entry.FINISH: (FINISHED,),
        Entry.JUDGE: (SEALED, RECORD, HELD, SHOWN),
        Entry.LOAD: (),
        Entry.PYTHON: (OUTPUT,),
        Entry.COMPONENT: (OUTPUT, SETS),
        Entry.REENCODE: (ARTIFACTS,),
        Entry.RELOAD: (),
        Entry.INSPECT: (SEALED, RECORD, HELD, SHOWN),
        Entry.EXTRACT: (),
        Entry.PARTY: (OPENED,),
    }
)
"""What each box may leave, by its stage; what the next one reads of it is the first."""


@dataclass(frozen=True, slots=True)
class Furnishing:
    """What boxes are made of here: the image and the limits of each stage."""

    images: Mapping[Entry, str]
    limits: Mapping[Entry, Limits]


_NO_MASKS: Mapping[str, tuple[Mask, ...]] = MappingProxyType({})


def program_of(case: Case) -> Program:
    """Return what will run for a case that is allowed, on the asker's view of every relation.

    Raises:
        Malformed: a relation has no manifest or no policy (an allowed decision has both).
    """
    seen = views(case.request, case.bundle, case.manifests, case.index, case.now)
    masks = {each.shadow.relation: each.masks for each in seen}
    made = program(case.reading, case.bundle, case.manifests, masks)
    privacy = _privacy(case, made)
    if privacy is None or made.level is not Level.CELLS:
        return made
    asked = Asked(case.reading, case.request.spend_micro, case.manifests, masked_columns(masks))
    return dataclasses.replace(made, private=privately(made, asked, privacy))


def _privacy(case: Case, made: Program) -> Privacy | None:
    """Return the budget by which the answer is noised, the strictest of all datasets; none in the mode rules."""
    digests = {relation.manifest for relation in made.relations}
    read = [each for each in case.manifests if each.digest in digests and each.about_persons]
    policies = [case.bundle.policy(each.dataset) for each in read]
    return strictest([policy.privacy for policy in policies if policy and policy.privacy])


def program(
    reading: Reading,
    bundle: Bundle,
    manifests: tuple[Manifest, ...],
    masks: Mapping[str, tuple[Mask, ...]] = _NO_MASKS,
) -> Program:
    """Return what will run for a reading; `masks` are those of each relation's view.

    Raises:
        Malformed: a relation has no manifest or no policy (an allowed decision has both).
    """
    return Program(
        relations=tuple(
            _relation(name, reading, (bundle, manifests), masks.get(name, ())) for name in reading.relations
        ),
        level=reading.level,
        tables=reading.tables,
        finish=reading.finish,
        outputs=reading.outputs,
        order=reading.order,
        limit=reading.limit,
    )


def _relation(
    name: str, reading: Reading, owner: tuple[Bundle, tuple[Manifest, ...]], masks: tuple[Mask, ...]
) -> Relation:
    bundle, manifests = owner
    manifest = next((m for m in manifests if m.relation == name), None)
    policy = bundle.policy(manifest.dataset) if manifest else None
    if manifest is None or policy is None:
        raise Malformed("a relation without a manifest and a policy cannot be run", name)
    identifiers = {column.name for column in manifest.columns if column.kind is Kind.IDENTIFIER}
    used = {use.column for use in reading.uses if use.relation == name} - {names.PERSON} - identifiers
    if any(table.enterprises for table in reading.tables):
        used |= {enterprise_column(manifest, policy) or names.PERSON} - {names.PERSON}
    return Relation(
        name,
        manifest.digest,
        manifest.attributes.sha256,
        tuple(sorted(used)),
        policy.row_filter,
        tuple(mask for mask in masks if mask.column in used),
        manifest.about_persons,
    )


def sql_boxes(
    program: Program, manifests: tuple[Manifest, ...], image: str, tier: Tier, limits: Mapping[Entry, Limits]
) -> tuple[BoxSpec, ...]:
    """Return the boxes of a SQL plan, in the order of the program's stages.

    The query box's inputs are the attribute files of its relations, each once; every other box reads what the one
    before wrote, and nothing else: no box after it has a file or a key of the data.
    """
    reads = _files(program, manifests)
    boxes = []
    for entry in program.stages:
        writes = WRITES[entry]
        boxes.append(BoxSpec(entry, image, reads, limits[entry], tier, outputs=Outputs(len(writes), writes)))
        reads = (Input(writes[0], ""),)
    return tuple(boxes)


def work_boxes(
    task: Task, program: Program, manifests: tuple[Manifest, ...], tier: Tier, house: Furnishing
) -> tuple[BoxSpec, ...]:
    """Return the boxes of a task's plan, in the order of `plans.plan.work_stages`.

    A loader reads the attribute files, and streams one table over each link, `rows-0` for the first relation; a
    reloader does so again over `check-0` … for the box that inspects a model. No other box has a file of the data,
    and none after the loader a key of it.
    """
    links = {Entry.LOAD: "rows", Entry.RELOAD: "check"}
    reads: dict[Entry, tuple[Input, ...]] = {
        entry: _files(program, manifests) for entry in (Entry.LOAD, Entry.RELOAD)
    }
    reads |= {Entry.REENCODE: (Input(OUTPUT, ""),), Entry.INSPECT: (Input(ARTIFACTS, ""),)}
    stages, boxes = work_stages(task), []
    job = stages[1]
    peers = {Entry.LOAD: job, job: Entry.LOAD}
    peers |= {Entry.RELOAD: Entry.INSPECT, Entry.INSPECT: Entry.RELOAD} if Entry.RELOAD in stages else {}
    for entry in stages:
        peer, writes = peers.get(entry), WRITES[entry]
        named = links.get(entry) or links.get(peer or entry, "")
        joined = (
            tuple(Link(f"{named}-{place}", f"stage:{peer}") for place in range(len(program.relations)))
            if peer
            else ()
        )
        boxes.append(
            BoxSpec(
                entry=entry,
                image=house.images[entry],
                inputs=reads.get(entry, ()),
                limits=house.limits[entry],
                tier=tier,
                outputs=Outputs(len(writes), writes),
                links=joined,
            )
        )
    return tuple(boxes)


def _files(program: Program, manifests: tuple[Manifest, ...]) -> tuple[Input, ...]:
    """Return the attribute files of a program's relations, each once, by name."""
    by_digest = {manifest.digest: manifest for manifest in manifests}
    files = {relation.manifest: by_digest[relation.manifest].attributes for relation in program.relations}
    return tuple(Input(file.name, file.sha256) for file in sorted(files.values(), key=lambda file: file.name))
