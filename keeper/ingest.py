"""The desk's two orders: ingest a file as a new dataset version, and erase one.

Ingest: the file is laid into the owner's staging folder, an ingest plan is made, and the owner's own launcher
runs it in a box that gets two fresh data keys and the token key. Only when both files lie in the data folder
and their keys in the keyring is the manifest signed, and only with it does the version exist. Whatever fails
before leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import api as catalog
from keeper import twins
from keeper.keeper import Keeper
from keys import api as keys
from plans import canonical, names
from plans.box import BoxSpec, Entry, Input
from plans.decision import Tier
from plans.errors import BoxFailed, BoxLimit, DiskFull, IngestRefused, NotFound, StateConflict
from plans.key import BoxKeys
from plans.manifest import Column, DataFile, FileRole, Grade, Manifest
from plans.plan import Plan, PlanKind
from plans.statements import Erasure, Signed, StageOutput, StageRecord, Type
from sandbox import api as sandbox

SOURCE = "source"
_ROLES = {role: f"{role.value}.parquet" for role in (FileRole.ATTRIBUTES, FileRole.IDENTIFIERS)}
KEYRING_BACKUP_DAYS = 30
"""How long copies of the keyring are kept; an erased version is unreadable everywhere after that."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the owner's people ask for: a file, and its description as TOML text."""

    source: Path
    description: str


def ingest(keeper: Keeper, order: Order) -> Signed:
    """Ingest a file and return the signed manifest of the new version.

    Raises:
        Malformed: the description is not right.
        IngestRefused: the file does not fit its description; says the column and the number of the row.
        StateConflict: the grade may not be ingested in this shape of deployment, or the dataset was about persons
            before and would be about nobody.
        DiskFull: there is no space; nothing was registered.
    """
    description = catalog.read_text(order.description.encode(), "description")
    _require_here(keeper, description)
    with keeper.ingesting, _staged(keeper, order.source) as (staged, digest):
        version = len(keeper.trusted.manifests.get(description.dataset, [])) + 1
        plan = _plan(keeper, description, version, Input(staged, digest))
        box_keys = _fresh_keys(keeper, description)
        keeper.expect_ingest(plan, box_keys)
        try:
            record = _run(keeper, plan)
            signed = _register(keeper, description, (plan, box_keys, record))
        finally:
            keeper.forget_ingest(plan)
        repeats = not description.unique and description.person != catalog.ROW
        twins.at_ingest(keeper, Manifest.read(signed.statement.body), repeats)
        return signed


def erase(keeper: Keeper, dataset: str, version: int) -> Signed:
    """Destroy the keys of a version and return the signed certificate.

    Raises:
        NotFound: there is no such version.
    """
    versions = keeper.trusted.manifests.get(names.require("dataset", dataset), [])
    manifest = next((m for m in versions if m.version == version), None)
    if manifest is None or manifest.digest in keeper.trusted.erased:
        raise NotFound(
            "there is no such version, or it was erased before",
            f"{dataset} version {version}",
            "`darkroom-server keeper status` lists the datasets that are held.",
        )
    now = int(time.time())
    files = tuple(file.name for file in manifest.files)
    unreadable = now + KEYRING_BACKUP_DAYS * 86_400
    certificate = keeper.sign(
        Type.ERASURE, Erasure(dataset, version, manifest.digest, files, now, unreadable)
    )
    keeper.believe(certificate)
    for name in files:
        keeper.keyring.erase_data_key(name)
        (keeper.config.data / name).unlink(missing_ok=True)
    return certificate


def _require_here(keeper: Keeper, description: catalog.Description) -> None:
    if description.domain != keeper.config.domain:
        raise StateConflict(
            f"{description.dataset} does not belong to {keeper.config.domain}",
            "description",
            "Ingest it at its own domain's desk.",
        )
    if description.grade.level > Grade(keeper.config.highest_grade).level:
        raise StateConflict(
            f"data graded {description.grade} may not be held in this shape of deployment",
            description.dataset,
            "Use a deployment whose administrators are separate; see docs/security.md.",
        )
    if not description.about_persons:
        keeper.trusted.require_nobody_before(description.dataset)


@contextmanager
def _staged(keeper: Keeper, source: Path) -> Iterator[tuple[str, str]]:
    """Lay a copy of the source where the launcher looks; yield its name and hash; take it away again."""
    if not source.is_file():
        raise NotFound(
            "there is no such file", source.name, "Check the path; it is read on the owner's machine."
        )
    staging = keeper.config.data / "staging"
    staging.mkdir(exist_ok=True)
    staged = staging / SOURCE
    try:
        digest = _copy(source, staged)
        _give_to_launcher(keeper, staged)
        yield SOURCE, digest
    except OSError as problem:
        raise DiskFull(
            f"the file cannot be laid into the staging folder ({problem.strerror})", source.name
        ) from None
    finally:
        staged.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> str:
    """Copy and hash in one pass, so that what is hashed is what the box will read."""
    target.unlink(missing_ok=True)
    hashed = hashlib.sha256()
    with source.open("rb") as incoming, target.open("wb") as outgoing:
        while piece := incoming.read(1 << 22):
            hashed.update(piece)
            outgoing.write(piece)
    target.chmod(0o444)
    return "sha256:" + hashed.hexdigest()


def _plan(keeper: Keeper, description: catalog.Description, version: int, source: Input) -> Plan:
    material = canonical.encode({"description": description.plain(), "version": version}).decode()
    limits = keeper.config.limits[Entry.INGEST]
    box = BoxSpec(Entry.INGEST, keeper.config.images[0], (source,), limits, Tier.T1)
    return Plan(
        kind=PlanKind.INGEST,
        domain=keeper.config.domain,
        request=None,
        request_signature="",
        decision=None,
        program=None,
        material=material,
        stages=(box,),
        nonce=keys.fresh_nonce(),
        made_at=int(time.time()),
    )


def _fresh_keys(keeper: Keeper, description: catalog.Description) -> BoxKeys:
    """Return a new key for each file, and the key of tokens where there are persons to name."""
    outputs = {name: keys.fresh_key().hex() for name in _ROLES.values()}
    return BoxKeys({}, outputs, keeper.keyring.token_key.hex() if description.about_persons else "")


def _run(keeper: Keeper, plan: Plan) -> StageRecord:
    keeper.launcher.put(plan)
    try:
        result = keeper.launcher.run(plan.digest, Entry.INGEST, 1)
    except BoxFailed as failure:
        if isinstance(failure, BoxLimit) and failure.where != BoxLimit.code:
            raise  # killed at a limit, so the launcher speaks: the box itself had no time to
        raise catalog.ingest_problem(failure.where, sandbox.facts_of(failure)) from None
    return StageRecord.read(result.record.statement.body)


def _register(
    keeper: Keeper, description: catalog.Description, done: tuple[Plan, BoxKeys, StageRecord]
) -> Signed:
    """Move the files in, keep their keys, sign the manifest; undo it all if any of that fails."""
    plan, box_keys, record = done
    version = int(str(_material(plan)["version"]))
    files = tuple(_data_file(description, version, output) for output in record.outputs)
    manifest = _manifest(description, version, files, (plan, record.report))
    registered = False
    try:
        for output, file in zip(record.outputs, files, strict=True):
            keeper.keyring.store_data_key(file.name, bytes.fromhex(box_keys.outputs[output.name]))
            _move_in(keeper, record, output.name, file.name)
        signed = keeper.sign(Type.MANIFEST, manifest)
        keeper.believe(signed)
        registered = True
        return signed
    finally:
        if not registered:
            for file in files:
                keeper.keyring.erase_data_key(file.name)
                (keeper.config.data / file.name).unlink(missing_ok=True)


def _data_file(description: catalog.Description, version: int, output: StageOutput) -> DataFile:
    role = next((role for role, name in _ROLES.items() if name == output.name), None)
    if role is None:
        raise IngestRefused("the ingest box wrote a file that it should not", output.name)
    leaf = description.dataset.rpartition("/")[2]
    return DataFile(role, f"{leaf}-v{version}-{output.name}", output.sha256, output.size)


def _move_in(keeper: Keeper, record: StageRecord, output: str, name: str) -> None:
    """Move a collected file in; raises `DiskFull` if it cannot be moved, and what `sandbox.move_output` raises."""
    home, target = keeper.config.launcher_home, keeper.config.data / name
    try:
        sandbox.move_output(
            home, sandbox.StageName(record.plan, record.stage, record.attempt), output, target
        )
        target.chmod(0o444)
        _give_to_launcher(keeper, target)
        _sync(target)
    except OSError as problem:
        raise DiskFull(f"an ingested file cannot be moved in ({problem.strerror})", name) from None


def _give_to_launcher(keeper: Keeper, path: Path) -> None:
    """Let the launcher link a file into boxes: the kernel lets only a file's owner do so (fs.protected_hardlinks).

    Only a keeper that runs as root can give a file away, and then the launcher has a user of its own: the one to
    whom its home belongs. The folder stays the keeper's, so nothing can be put into it or taken away.
    """
    if os.geteuid() == 0:
        os.chown(path, os.stat(keeper.config.launcher_home).st_uid, -1)


def _sync(path: Path) -> None:
    for each, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(each, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _manifest(
    description: catalog.Description,
    version: int,
    files: tuple[DataFile, ...],
    done: tuple[Plan, Mapping[str, Any]],
) -> Manifest:
    plan, report = done
    nulls = {str(item["name"]): int(item["nulls"]) for item in report["columns"]}
    columns = tuple(
        Column(
            column.name,
            column.engine_type,
            column.unit,
            column.kind,
            nulls[column.name],
            catalog.declared(column),
        )
        for column in description.columns
    )
    return Manifest(
        dataset=description.dataset,
        version=version,
        grade=description.grade,
        title=f"{description.title_zh} / {description.title}",
        person=description.person if description.about_persons else "",
        columns=columns,
        files=files,
        rows=int(report["rows"]),
        persons=int(report["persons"]),
        source_sha256=plan.stages[0].inputs[0].sha256,
        created=plan.made_at,
    )


def _material(plan: Plan) -> Mapping[str, Any]:
    material = canonical.decode(plan.material.encode())
    if not isinstance(material, Mapping):
        raise IngestRefused("the plan's material is no description", "ingest")
    return material
