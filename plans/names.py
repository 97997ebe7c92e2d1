"""How things are named: domains, datasets, columns, members, digests, keys.

One place for each form, so that no name is matched by a pattern elsewhere (ATTACKS 60).
"""

from __future__ import annotations

import re
from functools import lru_cache

from plans.errors import Malformed

_SEGMENT = r"[a-z][a-z0-9_]{0,39}"
_TOP = rf"(?!any(?![a-z0-9_])){_SEGMENT}"
"""The top of a tree of domains: not `any`, which means everybody where parties are named (`plans.constraints`)."""
_SOURCE = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
_FORMS = {
    "domain": re.compile(rf"{_TOP}(/{_SEGMENT}){{0,7}}"),
    "dataset": re.compile(rf"{_TOP}(/{_SEGMENT}){{1,8}}"),
    "column": re.compile(r"[a-z][a-z0-9_]{0,62}"),
    "member": re.compile(rf"[a-z][a-z0-9._-]{{0,39}}@{_TOP}(/{_SEGMENT}){{0,7}}"),
    "project": re.compile(r"[a-z][a-z0-9-]{0,62}"),
    "digest": re.compile(r"sha256:[0-9a-f]{64}"),
    "signing key": re.compile(r"ed25519:[0-9a-f]{64}"),
    "opening key": re.compile(r"x25519:[0-9a-f]{64}"),
    "signature": re.compile(r"[0-9a-f]{128}"),
    "nonce": re.compile(r"[0-9a-f]{32}"),
    "file": re.compile(r"[a-z0-9][a-z0-9._-]{0,99}"),
    "relation": re.compile(rf"{_SEGMENT}\.{_SEGMENT}"),
    "source path": re.compile(rf"{_SOURCE}(/{_SOURCE}){{0,7}}"),
}

PERSON = "person"
"""The column that every relation about persons has beside its own: the owner's keyed token of the person (or
enterprise). Reference data have none.
"""


def require(form: str, value: str, where: str = "") -> str:
    """Return `value` if it is a well-formed `form`.

    Raises:
        Malformed: it is not.
    """
    if not _FORMS[form].fullmatch(value):
        raise Malformed(f"{value[:60]!r} is not a well-formed {form} name", where or form)
    return value


def is_a(form: str, value: object) -> bool:
    """Return whether `value` is a well-formed `form`."""
    return isinstance(value, str) and _FORMS[form].fullmatch(value) is not None


def domain_of(dataset: str) -> str:
    """Return the domain that owns the dataset: `nm/tax` for `nm/tax/income`."""
    return require("dataset", dataset).rpartition("/")[0]


@lru_cache(maxsize=10_000)
def relation_of(dataset: str) -> str:
    """Return the dataset's name in SQL: `tax.income` for `nm/tax/income`."""
    return ".".join(require("dataset", dataset).split("/")[-2:])


def within(domain: str, ancestor: str) -> bool:
    """Return whether `domain` is `ancestor` or lies below it in the tree."""
    return domain == ancestor or domain.startswith(ancestor + "/")
