"""Which keys a box of a member's plan has: data keys for those that open files, and what stages share.

The plan's boxes are those that the owner derives (`keeper.rederive`): a file is named by its hash, what a stage hands
over is not, and what the judge box leaves is sealed to the recipient by another key.
"""

from __future__ import annotations

from keeper.keyring import Keyring
from plans.box import Entry
from plans.constraints import MaskKind
from plans.key import BoxKeys
from plans.manifest import Manifest
from plans.plan import Plan
from plans.statements import BoxStatement
from policies import api as policies

_READ_DATA = (Entry.QUERY, Entry.LOAD, Entry.RELOAD)
"""The stages that open the owner's files, and have their keys."""


def stage_keys(keyring: Keyring, plan: Plan, box: BoxStatement, manifests: tuple[Manifest, ...]) -> BoxKeys:
    """Return the keys of one stage: data keys for the boxes that read data alone."""

    def between(name: str) -> str:
        return keyring.stage_key(plan.digest, box.attempt, name).hex()

    spec = plan.stage(box.stage)
    writes = {name: between(name) for name in spec.outputs.names if name != policies.SEALED}
    links = {link.name: between(f"link/{link.name}") for link in spec.links}
    if box.stage not in _READ_DATA:
        return BoxKeys({item.name: between(item.name) for item in spec.inputs}, writes, "", links=links)
    files = {item.name: keyring.data_key(item.name).hex() for item in spec.inputs}
    signs = keyring.signs_key().hex()
    return BoxKeys(files, writes, "", _pseudonym_keys(keyring, plan, manifests), links, signs)


def _pseudonym_keys(keyring: Keyring, plan: Plan, manifests: tuple[Manifest, ...]) -> dict[str, str]:
    """Return a key for every relation that shows pseudonyms, by its name."""
    datasets = {manifest.digest: manifest.dataset for manifest in manifests}
    relations = plan.program.relations if plan.program else ()
    return {
        relation.name: keyring.pseudonym_key(datasets[relation.manifest]).hex()
        for relation in relations
        if any(mask.kind is MaskKind.PSEUDONYM for mask in relation.masks)
    }
