"""The keys that a keeper gives to a box, and the lease that comes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from plans.record import Record


@dataclass(frozen=True, slots=True)
class BoxKeys(Record):
    """Keys in hex, 256 bits each: `inputs` by input name, `outputs` for what the box writes, `token` for ingest only,
    `pseudonyms` by relation, for a query box whose program has such masks; `links` by name, for what streams between
    two boxes; `signs` for the secret projections of the disclosure ledger, for boxes that count persons.

    `models` are no keys but kept models, in base64, by the name by which a task's program calls them.

    `withheld` are none either: for the box that protects or judges, the positions of the rows of each table that the
    owner's disclosure ledger keeps back.

    `peers` are no secrets: for the box of a party to a joint computation, the public key of the box at the other end of
    each link, vouched for by the launcher of its side (`keeper.joint`).

    Sealed by the keeper to the box's own fresh key; exists in clear only in the keeper and in that box. The
    values never show in `repr`.
    """

    KIND: ClassVar[str] = "box-keys"

    inputs: Mapping[str, str] = field(repr=False)
    outputs: Mapping[str, str] = field(repr=False)
    token: str = field(repr=False)
    pseudonyms: Mapping[str, str] = field(default_factory=dict, repr=False)
    links: Mapping[str, str] = field(default_factory=dict, repr=False)
    signs: str = field(default="", repr=False)
    withheld: tuple[tuple[int, ...], ...] = ()
    models: Mapping[str, str] = field(default_factory=dict, repr=False)
    peers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SealedKeys(Record):
    """`sealed` is hex of HPKE output for the box; `lease` names the lease; `expires` is in Unix seconds."""

    KIND: ClassVar[str] = "sealed-keys"

    sealed: str
    lease: str
    expires: int
