"""What readers of a joint statement know of one owner's dataset, from its manifest and the asker's view. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from plans.joint_shadows import DeclaredColumn, JointShadow
from plans.manifest import Declared, FileRole, Manifest
from plans.names import domain_of
from plans.reading import Shadow


def joint_shadow(manifest: Manifest, shadow: Shadow, masked: Iterable[str] = ()) -> JointShadow | None:
    """Return the likeness of a dataset as it takes part in joint statements; none for persons without a file of
    identifiers. Data about nobody have no key, and as many rows as the version.

    `shadow` is what the asker sees of it (`policies.api.views`). Of columns that a mask covers nothing is declared:
    what the mask leaves has another range. Rows are counted as persons are: one of each leaves at the
    most, and a version of few persons with many rows each is a small one.
    """
    if manifest.about_persons and identifiers_file(manifest) == ("", ""):
        return None
    hidden = set(masked)
    declared = tuple(
        DeclaredColumn(column.name, column.declared)
        for column in manifest.columns
        if column.declared != Declared() and column.name not in hidden
    )
    rows = manifest.persons if manifest.about_persons else manifest.rows
    return JointShadow(domain_of(manifest.dataset), manifest.person, rows, shadow, declared)


def identifiers_file(manifest: Manifest) -> tuple[str, str]:
    """Return name and SHA-256 of the file of identifiers; empty texts if there is none."""
    for file in manifest.files:
        if file.role is FileRole.IDENTIFIERS:
            return file.name, file.sha256
    return "", ""
