"""The signed recipes of look-alike data: fetched from the portal, checked here, and kept for as long as they hold.

A recipe is believed if the keeper of its dataset's owner signed it. Where this member has pinned that keeper's key
(`trust_keeper`), the signature is checked against it, and another signer is refused. Where no key is pinned, the
portal's word stands for the owner's; everything that is shown of such rows says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from darkroom import taken
from darkroom.wire import Wire, listed
from keys import api as keys
from plans import names
from plans.errors import HashMismatch, Malformed, NotFound, SignatureWrong, StateConflict, Unreachable
from plans.statements import Duty, Signed, Type
from plans.trial import TwinTable
from plans.twins import Making, Twin

CATALOG_KEPT_S = 30.0
"""How long the list of datasets and their versions is believed; an owner's new version is seen after that."""

Pinned = Callable[[str], str | None]
"""Returns the keeper's key that is pinned for a domain, or none."""


@dataclass(frozen=True, slots=True)
class KnownTwin:
    """A recipe that was checked: of which version, who signed it, and whether that is the key that is pinned."""

    twin: Twin
    signer: str
    vouched: bool = False

    @property
    def dataset(self) -> str:
        """The dataset that it looks like."""
        return self.twin.recipe.dataset

    @property
    def table(self) -> TwinTable:
        """The table that it makes."""
        return self.twin.recipe.table

    @property
    def sentences(self) -> tuple[str, ...]:
        """What has to be known about rows of it."""
        made = "made of what its owner declared, and of nothing else"
        if self.twin.recipe.making is Making.NOISED:
            made = f"made of noisy marginals (rho {self.twin.recipe.rho_micro / 1_000_000:g})"
        told = (f"{self.table.name}: look-alike of version {self.twin.version}, {made}.",)
        if self.vouched:
            return told
        domain = names.domain_of(self.dataset)
        return (*told, f"No key of the keeper of {domain} is pinned here, so only the portal vouches for it.")


class TwinRecipes:
    """The recipes that this session has checked, one for each dataset version."""

    def __init__(self, wire: Wire, pinned: Pinned) -> None:
        self._wire, self._pinned = wire, pinned
        self._catalog: dict[str, dict[str, Any]] = {}
        self._listed_at = -CATALOG_KEPT_S
        self._known: dict[str, KnownTwin] = {}

    def of_relation(self, relation: str) -> KnownTwin:
        """Return the recipe of a relation in SQL, such as `tax.income`.

        Raises:
            NotFound: there is no such relation, or its owner has released no twin of it.
            SignatureWrong, HashMismatch: what the portal hands over is not the owner's.
            Unreachable: the portal is away, and this session has not met the relation.
        """
        return self._current("relation", relation)

    def of_dataset(self, dataset: str) -> KnownTwin:
        """Return the recipe of a dataset, such as `nm/tax/income`.

        Raises:
            DarkroomError: as `of_relation`.
        """
        return self._current("dataset", names.require("dataset", dataset))

    def _current(self, form: str, wanted: str) -> KnownTwin:
        entry = self._entry(form, wanted)
        dataset, version = str(entry["dataset"]), entry["version"]
        known = self._known.get(dataset)
        if known is None or known.twin.version != version:
            known = self._fetched(dataset, version)
            self._known[dataset] = known
        return replace(known, vouched=self._vouched(dataset, known.signer))

    def _entry(self, form: str, wanted: str) -> Mapping[str, Any]:
        """Return the catalog's line about a dataset; while the portal is away, the last one."""
        if time.monotonic() - self._listed_at > CATALOG_KEPT_S:
            try:
                found = listed(self._wire.get("/api/v1/datasets"), "datasets")
            except Unreachable:
                if not self._catalog:
                    raise
            else:
                self._catalog = {str(each["dataset"]): each for each in map(_line, found)}
                self._listed_at = time.monotonic()
        matching = [entry for entry in self._catalog.values() if entry[form] == wanted]
        if len(matching) > 1:
            both = " and ".join(sorted(str(entry["dataset"]) for entry in matching))
            raise StateConflict(
                f"{both} both have the name {wanted} in SQL, so it is not settled which is meant",
                wanted,
                "Name the dataset where you can, as in darkroom.sample(…); tell the administrator.",
            )
        if matching:
            return matching[0]
        there = ", ".join(sorted(str(entry[form]) for entry in self._catalog.values())[:12]) or "none"
        raise NotFound(
            f"there is no {form} {wanted}", form, f"There are: {there}. darkroom.datasets() lists all."
        )

    def _fetched(self, dataset: str, version: int) -> KnownTwin:
        answer = self._wire.get(f"/api/v1/datasets/{dataset}/twin")
        signed = Signed.read(answer.get("signed"))
        twin = read_twin(signed, dataset)
        if twin.version != version:
            raise HashMismatch(
                "the portal hands over the twin of another version", f"{dataset}, version {twin.version}"
            )
        return KnownTwin(twin, signed.statement.signer)

    def _vouched(self, dataset: str, signer: str) -> bool:
        """Return whether a pinned key signed it.

        Raises:
            SignatureWrong: another key is pinned.
        """
        pinned = self._pinned(names.domain_of(dataset))
        if pinned is not None and pinned != signer:
            raise SignatureWrong(
                "this twin was not signed by the keeper that you trust for its owner",
                dataset,
                "Do not use it; tell the owner of the data.",
            )
        return pinned is not None


def as_in_catalog(name: str) -> str:
    """Return a dataset or relation that a person wrote as the catalog has it: in small letters, as SQL reads it."""
    return taken.text(name, "dataset").strip().lower()


def _line(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of the catalog, if it has what is read of it.

    Raises:
        Malformed: it lacks something; the portal is of another version.
    """
    for name, kind in (("dataset", str), ("relation", str), ("version", int)):
        if not isinstance(entry.get(name), kind) or isinstance(entry[name], bool):
            raise Malformed(
                f"a line of the portal's catalog has no {name}",
                str(entry.get("dataset") or entry.get("relation") or "catalog")[:80],
                "Is the portal of another version? Tell its administrator.",
            )
    return dict(entry)


def read_twin(signed: Signed, dataset: str) -> Twin:
    """Return the twin in a statement, if a keeper of the dataset's owner signed it for this dataset.

    Raises:
        SignatureWrong: the signature does not fit, or it is no keeper's statement about a twin.
        HashMismatch: it is about another dataset.
    """
    statement = keys.verify(signed)
    expected = (Type.TWIN, Duty.KEEPER, names.domain_of(dataset))
    if (statement.type, statement.duty, statement.domain) != expected:
        raise SignatureWrong("this is no twin that the owner's keeper released", dataset)
    twin = Twin.read(dict(statement.body))
    if twin.recipe.dataset != dataset:
        raise HashMismatch("the portal hands over the twin of another dataset", dataset)
    return twin
