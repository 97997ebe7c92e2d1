"""The domain over which deciding is measured: many members, a hundred datasets of twenty columns, many grants.

Grant `n` is always the same. Members have three grants each on one dataset: an older one, another project's, and
the one that counts.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace

from keeper.trust import TrustedSet
from keys import api as keys
from plans.constraints import ANY, Access, Action, Effect
from plans.decision import Tier
from plans.manifest import Column, DataFile, FileRole, Grade, Kind, Manifest
from plans.reading import Cells, Clause, ColumnUse, Level, Output, Reading, Role
from plans.request import Request, statement_digest
from plans.statements import Bundle, DatasetPolicy, Duty, Grant, Revocation, Roster, RosterEntry, Type
from policies import api as policies
from store import api as store

NOW = 1_750_000_000
DOMAIN = "nm/tax"
COLUMNS = tuple(f"c{n:02d}" for n in range(20))
DATASETS = 100
EACH = 3
OWNER = store.DomainRow(DOMAIN, "Tax", "税务", "", "", "")
KEYS = {
    name: keys.SigningKey.from_bytes(hashlib.sha256(name.encode()).digest())
    for name in ("root", "approver", "steward", "keeper")
}
APPROVER = KEYS["approver"].public
ROSTER = Roster(
    DOMAIN,
    1,
    (
        RosterEntry("bao@nm/tax", Duty.APPROVER, APPROVER),
        RosterEntry("su@nm/tax", Duty.STEWARD, KEYS["steward"].public),
        RosterEntry("keeper", Duty.KEEPER, KEYS["keeper"].public),
    ),
)
SQL = "select c00, sum(c01), avg(c02) from tax.d000 group by c00"


def digest(text: str) -> str:
    """A digest."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def member(n: int) -> str:
    """Whom grant `n` serves."""
    return f"m{n // EACH}@nm/uni{n // EACH % 97}"


def dataset(n: int) -> str:
    """What grant `n` is about."""
    return f"{DOMAIN}/d{n // EACH % DATASETS:03d}"


def grant(n: int) -> Grant:
    """Grant `n`."""
    return Grant(
        member=member(n),
        signer="ed25519:" + "1" * 64,
        recipient="x25519:" + "2" * 64,
        project="wealth" if n % EACH == 1 else "poverty",
        purpose="research on poverty",
        dataset=dataset(n),
        columns=COLUMNS[: 10 if n % EACH == 0 else 20],
        uses=1_000,
    )


def granted(n: int) -> policies.Granted:
    """Grant `n` as verified."""
    return standing(digest(f"grant {n}"), grant(n), NOW + n % EACH)


def standing(name: str, body: Grant, since: int = NOW) -> policies.Granted:
    """A verified grant that stands."""
    return policies.Granted(name, body, since, NOW + 10**7, False, 1_000, APPROVER)


@functools.cache
def manifest(name: str) -> Manifest:
    """A dataset of twenty columns."""
    files = tuple(DataFile(role, f"{role.value}.parquet", digest(role.value), 1_000) for role in FileRole)
    columns = tuple(Column(column, "DOUBLE", "", Kind.PLAIN, 0) for column in COLUMNS)
    return Manifest(name, 1, Grade.GENERAL_3, "", "id", columns, files, 100, 90, digest(name), NOW)


RULES = tuple(
    rule
    for column in COLUMNS
    for rule in (
        policies.short(column, ("filter", "group")),
        policies.short(column, ("avg", "sum", "count", "stddev")),
    )
)
ACCESS = (
    Access(Effect.ALLOW, ("nm",), ("researcher", "operator"), (Action.QUERY,), (ANY,)),
    Access(Effect.ALLOW, (ANY,), ("operator",), (Action.JOINT,), (ANY,)),
    Access(Effect.DENY, ("nm/press",), (ANY,), (Action.QUERY, Action.READ_ROWS), (ANY,)),
)
BUNDLE = Bundle(
    DOMAIN,
    7,
    tuple(
        DatasetPolicy(f"{DOMAIN}/d{n:03d}", ACCESS, RULES, (), "", 10, 5, 5_000, Tier.T1, False)
        for n in range(DATASETS)
    ),
)
MANIFESTS = tuple(manifest(policy.dataset) for policy in BUNDLE.policies)


def request(n: int) -> Request:
    """The request of grant `n`'s member, for the project of the grant that counts."""
    return Request(
        member(n),
        "ed25519:" + "1" * 64,
        "x25519:" + "2" * 64,
        "poverty",
        "research on poverty",
        SQL,
        "3" * 32,
        NOW + 9,
    )


@functools.cache
def reading_of(relation: str) -> Reading:
    """A statement that uses all twenty columns: ten to group and filter, ten in aggregates."""
    uses = tuple(
        ColumnUse(relation, column, (Clause.GROUP, Clause.FILTER)[n % 2], "")
        if n < 10
        else ColumnUse(relation, column, Clause.AGGREGATE, ("sum", "avg")[n % 2])
        for n, column in enumerate(COLUMNS)
    )
    outputs = (Output("c00", "DOUBLE", Role.KEY, "", 0), Output("sum", "DOUBLE", Role.FIGURE, "sum", 0))
    return Reading(
        statement_digest(SQL), Level.CELLS, (relation,), uses, ("avg", "sum"), (Cells(SQL, outputs, 1),), "", outputs,
        (), None,
    )  # fmt: skip


def reading(n: int) -> Reading:
    """The statement over grant `n`'s dataset."""
    return reading_of(manifest(dataset(n)).relation)


def case(index: policies.Grants, n: int) -> policies.Case:
    """What is decided for grant `n`'s member."""
    return policies.Case(
        request=request(n),
        reading=reading(n),
        bundle=BUNDLE,
        manifests=MANIFESTS,
        grants=index,
        approvers=("bao@nm/tax",),
        now=NOW + 10,
        roster_number=1,
    )


# --- in a database, and at a keeper -----------------------------------------------------


def fill(url: str, number: int) -> store.Database:
    """Make the centre's database with so many grants."""
    database = store.open_database(url)
    store.migrate(database)
    with database.session() as session:
        store.statements.add(session, _row(Type.ROSTER, ROSTER, Duty.ROOT, "root", "roster"))
        store.statements.add(session, _row(Type.BUNDLE, BUNDLE, Duty.STEWARD, "steward", "bundle"))
        for each in MANIFESTS:
            signed = _row(Type.MANIFEST, each, Duty.KEEPER, "keeper", "").signed
            store.manifests.add(
                session,
                store.ManifestRow(
                    each.digest, each.dataset, 1, each.relation, DOMAIN, "general-3", "", signed, NOW
                ),
            )
        form = _row(Type.GRANT, grant(0), Duty.APPROVER, "approver", member(0))
        for n in range(number):
            # The signatures are not asked here; making 100,000 would be most of the time.
            store.statements.add(session, form if n == 0 else _like(form, n))
    return database


def revoke(database: store.Database, n: int) -> None:
    """End all grants of grant `n`'s member."""
    with database.session() as session:
        for each in store.statements.digests(session, DOMAIN, Type.GRANT.value, member(n)):
            store.statements.add(
                session, _row(Type.REVOCATION, Revocation(each), Duty.APPROVER, "approver", each)
            )


def believed(number: int) -> TrustedSet:
    """A keeper's trusted set with so many grants."""
    trusted = TrustedSet(DOMAIN, KEYS["root"].public, ROSTER, BUNDLE)
    trusted.grants = policies.Grants(granted(n) for n in range(number))
    return trusted


def use(trusted: TrustedSet, n: int) -> int:
    """Count a use of grant `n` by a request, and return what another would have left."""
    trusted.use((granted(n).digest,), f"request {n}")
    return sum(each.uses_left for each in trusted.granted("another").about(dataset(n), member(n)))


def _row(
    kind: Type, body: Roster | Bundle | Manifest | Grant | Revocation, duty: Duty, signer: str, about: str
) -> store.StatementRow:
    signed = keys.sign(
        keys.Draft(kind, DOMAIN, duty, body, not_before=NOW, not_after=NOW + 10**7), KEYS[signer]
    )
    statement = signed.statement
    return store.StatementRow(
        statement.digest, kind.value, DOMAIN, statement.signer, about, signed.canonical().decode(), NOW
    )


def _like(form: store.StatementRow, n: int) -> store.StatementRow:
    if n < 1_000:
        return _row(Type.GRANT, grant(n), Duty.APPROVER, "approver", member(n))
    return replace(form, digest=digest(f"statement {n}"), subject_of=member(n))
