"""Who may ask the portal for what: one table, a check that raises, and its yes/no twin.

A person's roles say what they may do at all; a token's scopes narrow it. Both must allow an action. What a
member may do with *this* application or job (own, or of the approver's domain) is said in `sharing.rules` and
by the rooms that hold them; whether a statement may touch data is said by `policies.decide` and the owner's
keeper, never here.

How a role and an action are told to a person, in English and Chinese, is written in `policies.vocabulary`.

The token inside a lab carries `catalog`, `jobs` and `results`: whoever steals it can neither approve, apply nor enrol
keys, and a result that it fetches is sealed to the member's own key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from plans.errors import NotAllowed
from policies.api import Sort, Word, sentence


class Role(StrEnum):
    """What a member is in their domain; its sentences are those of the vocabulary."""

    RESEARCHER = "researcher"
    OPERATOR = "operator"
    APPROVER = "approver"
    REVIEWER = "reviewer"
    STEWARD = "steward"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"

    @property
    def word(self) -> Word:
        """The role's sentences: what whoever has it does."""
        return sentence(Sort.ROLE, self)


class Scope(StrEnum):
    """What a token may be used for. A session that began with a password has all of them."""

    CATALOG = "catalog"
    JOBS = "jobs"
    RESULTS = "results"
    APPLY = "apply"
    APPROVE = "approve"
    LABS = "labs"
    SELF = "self"


TOKEN_SCOPES = (Scope.CATALOG, Scope.JOBS, Scope.RESULTS, Scope.APPLY, Scope.APPROVE)
"""What a token can be made with. `self` (keys, passwords, further tokens) always needs a session, and `labs` (a lab's
token) a session or what JupyterHub holds.
"""

EVERYONE = frozenset(Role)
ASKERS = frozenset({Role.RESEARCHER, Role.OPERATOR})
APPROVERS = frozenset({Role.APPROVER})


class Action(StrEnum):
    """Everything that can be asked of the portal once somebody is signed in; its sentences are those of the
    vocabulary.
    """

    READ_CATALOG = "read-catalog"
    APPLY = "apply-for-data"
    SEE_OWN_APPLICATIONS = "see-own-applications"
    SEE_APPLICATIONS_TO_DECIDE = "see-applications-to-decide"
    DECLINE = "decline-application"
    HAND_IN_STATEMENT = "hand-in-statement"
    SUBMIT_JOB = "submit-job"
    SEE_OWN_JOBS = "see-own-jobs"
    CANCEL_JOB = "cancel-job"
    FETCH_RESULT = "fetch-result"
    READ_PLAN_TO_APPROVE = "read-plan-to-approve"
    SEE_SELF = "see-self"
    ENROL_KEYS = "enrol-keys"
    CHANGE_PASSWORD = "change-password"
    MAKE_TOKEN = "make-token"
    OPEN_LAB = "open-lab"

    @property
    def word(self) -> Word:
        """The action's sentences, each as it goes on after *you may*."""
        return sentence(Sort.CALL, self)


@dataclass(frozen=True, slots=True)
class Needs:
    """What an action asks for: one of these roles, and this scope (none: every scope will do)."""

    roles: frozenset[Role]
    scope: Scope | None


TABLE: dict[Action, Needs] = {
    Action.READ_CATALOG: Needs(EVERYONE, Scope.CATALOG),
    Action.APPLY: Needs(ASKERS, Scope.APPLY),
    Action.SEE_OWN_APPLICATIONS: Needs(ASKERS, Scope.APPLY),
    Action.SEE_APPLICATIONS_TO_DECIDE: Needs(APPROVERS, Scope.APPROVE),
    Action.DECLINE: Needs(APPROVERS, Scope.APPROVE),
    Action.HAND_IN_STATEMENT: Needs(APPROVERS | {Role.STEWARD}, Scope.APPROVE),
    Action.SUBMIT_JOB: Needs(ASKERS, Scope.JOBS),
    Action.SEE_OWN_JOBS: Needs(ASKERS, Scope.JOBS),
    Action.CANCEL_JOB: Needs(ASKERS, Scope.JOBS),
    Action.FETCH_RESULT: Needs(ASKERS, Scope.RESULTS),
    Action.READ_PLAN_TO_APPROVE: Needs(APPROVERS, Scope.APPROVE),
    Action.SEE_SELF: Needs(EVERYONE, None),
    Action.ENROL_KEYS: Needs(EVERYONE, Scope.SELF),
    Action.CHANGE_PASSWORD: Needs(EVERYONE, Scope.SELF),
    Action.MAKE_TOKEN: Needs(EVERYONE, Scope.SELF),
    Action.OPEN_LAB: Needs(ASKERS, Scope.LABS),
}


@dataclass(frozen=True, slots=True)
class Who:
    """The member behind a call: name, domain and roles as the store has them now, and the scopes of what they
    showed.
    """

    name: str
    domain: str
    roles: frozenset[str]
    scopes: frozenset[str]


def require(who: Who, action: Action) -> None:
    """Check that `who` may do `action`.

    Raises:
        NotAllowed: the roles or the token's scopes do not include it.
    """
    needs = TABLE[action]
    if not needs.roles & who.roles:
        raise NotAllowed(f"your roles do not let you {action.word.english}", who.name, _ask_for(needs.roles))
    if needs.scope is not None and needs.scope not in who.scopes:
        raise NotAllowed(
            f"this token does not let you {action.word.english}",
            f"scope {needs.scope}",
            "Sign in with your password, or make a token with that scope.",
        )


def require_one(who: Who, *actions: Action) -> None:
    """Check that `who` may do at least one of the actions; with none given nobody may.

    Raises:
        NotAllowed: none is allowed; the sentence is about the first.
    """
    if not any(may(who, action) for action in actions):
        for action in actions:
            require(who, action)
        raise NotAllowed("nothing is allowed here", who.name)


def may(who: Who, action: Action) -> bool:
    """Return whether `require` would let it pass; so pages leave out what would only lead to an error."""
    try:
        require(who, action)
    except NotAllowed:
        return False
    return True


def _ask_for(roles: frozenset[Role]) -> str:
    listed = " or ".join(sorted(roles))
    return f"Ask an administrator of your domain for the role {listed}."
