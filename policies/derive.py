"""From a decision to what really runs: the program and its boxes. Pure, and derived twice like the decision itself.

The keeper builds these from its own bundle and manifests and compares bytes with the plan; so every choice
made here must depend on nothing but the arguments.
"""

from __future__ import annotations

from collections.abc import Mapping

from plans import names
from plans.box import BoxSpec, Entry, Input, Limits, Outputs
from plans.decision import Tier
from plans.errors import Malformed
from plans.manifest import Kind, Manifest
from plans.plan import Program, Relation
from plans.reading import Reading
from plans.statements import Bundle

RESULT, TABLE, SEALED = "result.bin", "table.bin", "release.bin"
"""What the query box hands to the parse box, that to the judge box, and that to the recipient."""


def program(reading: Reading, bundle: Bundle, manifests: tuple[Manifest, ...]) -> Program:
    """Return what will run for a reading.

    Raises:
        Malformed: a relation has no manifest or no policy (an allowed decision has both).
    """
    return Program(
        relations=tuple(_relation(name, reading, bundle, manifests) for name in reading.relations),
        level=reading.level,
        tables=reading.tables,
        finish=reading.finish,
        outputs=reading.outputs,
        order=reading.order,
        limit=reading.limit,
    )


def _relation(name: str, reading: Reading, bundle: Bundle, manifests: tuple[Manifest, ...]) -> Relation:
    manifest = next((m for m in manifests if m.relation == name), None)
    policy = bundle.policy(manifest.dataset) if manifest else None
    if manifest is None or policy is None:
        raise Malformed("a relation without a manifest and a policy cannot be run", name)
    identifiers = {column.name for column in manifest.columns if column.kind is Kind.IDENTIFIER}
    used = {use.column for use in reading.uses if use.relation == name} - {names.PERSON} - identifiers
    return Relation(name, manifest.digest, manifest.attributes.sha256, tuple(sorted(used)), policy.row_filter)


def sql_boxes(
    relations: tuple[Relation, ...],
    manifests: tuple[Manifest, ...],
    image: str,
    tier: Tier,
    limits: Mapping[Entry, Limits],
) -> tuple[BoxSpec, ...]:
    """Return the three boxes of a SQL plan: query, parse, judge.

    The query box's inputs are the attribute files of its relations, each once; the others read what the one
    before wrote.
    """
    by_digest = {manifest.digest: manifest for manifest in manifests}
    files = {relation.manifest: by_digest[relation.manifest].attributes for relation in relations}
    inputs = tuple(
        Input(file.name, file.sha256) for file in sorted(files.values(), key=lambda file: file.name)
    )

    def _box(entry: Entry, reads: tuple[Input, ...], writes: str) -> BoxSpec:
        return BoxSpec(entry, image, reads, limits[entry], tier, outputs=Outputs(1, (writes,)))

    return (
        _box(Entry.QUERY, inputs, RESULT),
        _box(Entry.PARSE, (Input(RESULT, ""),), TABLE),
        _box(Entry.JUDGE, (Input(TABLE, ""),), SEALED),
    )
