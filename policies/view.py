"""What one asker gets to see of a dataset: its shadow with masked types, and the masks that make it.

A view is made from a manifest, the owner's policy and a request, before anybody reads a statement: statements are
read on views, not on datasets. A masked column *is* what its mask leaves, its type included; a column is `shown`
when the asker may see its values, after the mask, row by row, and may read rows of the dataset at all. Centre and
keeper make the same views from the same statements, so a changed mask is a changed plan.

The role of an asker is that of the newest grant on the dataset that fits the request and stands. Without one
nothing is shown and nothing masked: the statement is then read as one about groups, and the decision says which
grant is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from plans import masks, names
from plans.constraints import Action, Mask
from plans.manifest import Column, Kind, Manifest
from plans.reading import Shadow, ShadowColumn
from plans.request import Request
from plans.statements import Bundle, DatasetPolicy, Grant
from policies import access
from policies.constraints import Asker, Effective, effective, links_rows
from policies.grants import Granted, Grants
from policies.joint import scored


@dataclass(frozen=True, slots=True)
class View:
    """A dataset as one asker's statement is read on it. The masks are sorted by column."""

    shadow: Shadow
    masks: tuple[Mask, ...]


def views(
    request: Request, bundle: Bundle, manifests: tuple[Manifest, ...], grants: Grants, now: int
) -> tuple[View, ...]:
    """Return the view of every dataset for a request, in the order of the manifests."""
    found, scores = [], scored(request)
    for manifest in manifests:
        asker = asker_of(request, grants, manifest.dataset, now)
        found.append(view(manifest, bundle.policy(manifest.dataset), bundle, asker, scores))
    return tuple(found)


def shadows(
    request: Request, bundle: Bundle, manifests: tuple[Manifest, ...], grants: Grants, now: int
) -> tuple[Shadow, ...]:
    """Return the shadows on which a request's statement is read, in the order of the manifests."""
    return tuple(each.shadow for each in views(request, bundle, manifests, grants, now))


def view(
    manifest: Manifest,
    policy: DatasetPolicy | None,
    bundle: Bundle,
    asker: Asker | None,
    scores: bool = False,
) -> View:
    """Return an asker's view of a dataset; without a policy or an asker nothing is shown or masked.

    Where the owner hides rows, any column may be without a value: whether one is, may be so in a hidden row alone,
    and how persons are counted for it stands in the plan, which the asker reads. Where `scores` are asked for, columns
    of which these may tell are shown, too: the statement over them is one over rows, which nobody sees.
    """
    laid: list[Mask] = []
    filtered = policy is not None and bool(policy.row_filter)
    rules = _rules(manifest, policy, bundle, asker)
    seen = {name for name, found in rules.items() if found.shown or (scores and found.scored)}
    rows = bool(seen) and _rows_allowed(policy, asker)
    linked = rows and policy is not None and asker is not None and links_rows(policy, bundle, asker)
    columns = [ShadowColumn(names.PERSON, "UBIGINT", False, linked)] if manifest.about_persons else []
    for column in manifest.columns:
        found = rules.get(column.name)
        shown = rows and column.name in seen
        if found is not None and found.mask is not None:
            laid.append(found.mask)
            columns.append(masked_column(column, found.mask, shown))
        else:
            columns.append(ShadowColumn(column.name, column.type, column.nulls > 0 or filtered, shown))
    ordered = tuple(sorted(laid, key=lambda mask: mask.column))
    return View(Shadow(manifest.relation, tuple(columns), enterprise_column(manifest, policy)), ordered)


def enterprise_column(manifest: Manifest, policy: DatasetPolicy | None) -> str | None:
    """Return the column that names enterprises, if the owner asks for a number of them behind every figure.

    It is empty if nobody can count them: the policy names no column, or one that does not stand beside the others,
    since it is not there or was cut off as an identifier. The person token is one, where the persons are enterprises.
    """
    if policy is None or policy.checks.enterprises == 0:
        return None
    known = {column.name for column in manifest.columns if column.kind is not Kind.IDENTIFIER}
    known |= {names.PERSON} if manifest.about_persons else set()
    return policy.enterprise if policy.enterprise in known else ""


def _rules(
    manifest: Manifest, policy: DatasetPolicy | None, bundle: Bundle, asker: Asker | None
) -> dict[str, Effective]:
    if policy is None or asker is None:
        return {}
    columns = (column for column in manifest.columns if column.kind is not Kind.IDENTIFIER)
    return {column.name: effective(policy, bundle, column, asker) for column in columns}


def _rows_allowed(policy: DatasetPolicy | None, asker: Asker | None) -> bool:
    """Return whether the owner lets the asker read rows at all; else their statements ask for figures."""
    if policy is None or asker is None:
        return False
    action = Action.READ_ROWS
    question = access.Question(asker.member, asker.role, asker.purpose, action, policy.dataset, asker.now)
    return access.answer(policy, question).allowed


def masked_column(column: Column, mask: Mask, shown: bool) -> ShadowColumn:
    """Return a column as its mask leaves it; nothing may be left where there was a value.

    A mask that does not fit the type changes nothing here: no decision allows the column then.
    """
    type_ = masks.masked_type(mask, column.type) if masks.fits(mask, column.type) else column.type
    return ShadowColumn(column.name, type_, True, shown)


# --- who asks -----------------------------------------------------


def asker_of(request: Request, grants: Grants, dataset: str, now: int) -> Asker | None:
    """Return in which role the request's member asks about a dataset, or none without a standing grant."""
    standing = standing_grants(request, grants, dataset, now)
    return Asker(request.member, standing[0].grant.role, request.purpose, now) if standing else None


def fitting_grants(request: Request, grants: Grants, dataset: str) -> tuple[Granted, ...]:
    """Return the grants on a dataset that are about this member, these keys, this project and purpose."""
    return tuple(one for one in grants.about(dataset, request.member) if _fits(one.grant, request, dataset))


def standing_grants(request: Request, grants: Grants, dataset: str, now: int) -> tuple[Granted, ...]:
    """Return those of them that can be used now and give the role of the newest one, the newest first.

    One request is one role: an older grant in another role stays unused as long as the newer one stands.
    """
    fitting = fitting_grants(request, grants, dataset)
    standing = sorted((one for one in fitting if one.stands(now)), key=newest_first)
    return tuple(one for one in standing if one.grant.role == standing[0].grant.role)


def newest_first(granted: Granted) -> tuple[int, str]:
    """Order grants so that one which was renewed is used up after the old one is forgotten, not before.

    The centre does not count uses, so both sides must come to the same grant without knowing them.
    """
    return -granted.not_before, granted.digest


def _fits(grant: Grant, request: Request, dataset: str) -> bool:
    return (
        grant.dataset == dataset
        and (grant.member, grant.signer, grant.recipient)
        == (request.member, request.signer, request.recipient)
        and (grant.project, grant.purpose) == (request.project, request.purpose)
    )
