"""From a decision to what really runs: the program and its boxes. Pure, and derived twice like the decision itself.

The keeper builds these from its own bundle and manifests and compares bytes with the plan; so every choice
made here must depend on nothing but the arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from plans import names
from plans.box import BoxSpec, Entry, Input, Limits, Outputs
from plans.constraints import Mask
from plans.decision import Tier
from plans.errors import Malformed
from plans.manifest import Kind, Manifest
from plans.plan import Program, Relation
from plans.reading import Reading
from plans.statements import Bundle
from policies.decide import Case
from policies.view import views

RESULT, TABLE, PROTECTED, FINISHED, SEALED = (
    "result.bin", "table.bin", "protected.bin", "finished.bin", "release.bin",
)  # fmt: skip
"""What the query, parse, protect and finish boxes hand on, and what the judge box leaves for the recipient."""

_WRITES = {
    Entry.QUERY: RESULT,
    Entry.PARSE: TABLE,
    Entry.PROTECT: PROTECTED,
    Entry.FINISH: FINISHED,
    Entry.JUDGE: SEALED,
}

_NO_MASKS: Mapping[str, tuple[Mask, ...]] = MappingProxyType({})


def program_of(case: Case) -> Program:
    """Return what will run for a case that is allowed, on the asker's view of every relation.

    Raises:
        Malformed: a relation has no manifest or no policy (an allowed decision has both).
    """
    seen = views(case.request, case.bundle, case.manifests, case.index, case.now)
    masks = {each.shadow.relation: each.masks for each in seen}
    return program(case.reading, case.bundle, case.manifests, masks)


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
    by_digest = {manifest.digest: manifest for manifest in manifests}
    files = {relation.manifest: by_digest[relation.manifest].attributes for relation in program.relations}
    reads = tuple(
        Input(file.name, file.sha256) for file in sorted(files.values(), key=lambda file: file.name)
    )
    boxes = []
    for entry in program.stages:
        writes = _WRITES[entry]
        boxes.append(BoxSpec(entry, image, reads, limits[entry], tier, outputs=Outputs(1, (writes,))))
        reads = (Input(writes, ""),)
    return tuple(boxes)
