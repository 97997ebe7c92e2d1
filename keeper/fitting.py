"""Whether a bundle fits the datasets that a keeper holds. One that does not is not believed, so the old one stays.

A dataset that is not here yet is no reason to refuse: nothing of it can be read. The steward's own command is
stricter, since there a name that is not known is most likely a mistake.
"""

from __future__ import annotations

from plans.errors import Malformed
from plans.manifest import Manifest
from plans.statements import Bundle, Statement, Type
from policies import api as policies


def require_fitting(statement: Statement, manifests: tuple[Manifest, ...]) -> None:
    """Check a bundle against the current manifests; statements of other types pass.

    Raises:
        Malformed: a rule is about a column that is not there, masks contradict each other, …; all of it is told.
    """
    if statement.type is not Type.BUNDLE:
        return
    held = {manifest.dataset for manifest in manifests}
    found = policies.problems(Bundle.read(statement.body), manifests)
    found = tuple(problem for problem in found if not problem.dataset or problem.dataset in held)
    if found:
        told = "; ".join(map(str, found))
        raise Malformed(
            f"the bundle does not fit, and the one in force stays: {told}", "bundle", found[0].next_step
        )
