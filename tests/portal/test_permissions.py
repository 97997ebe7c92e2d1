"""Who may do what, drawn as tables: one line per action, one column per role, and one per scope of a token."""

from __future__ import annotations

import itertools

import pytest

from plans.errors import NotAllowed
from portal.permissions import TABLE, TOKEN_SCOPES, Action, Role, Scope, Who, may, require, require_one

# r researcher, o operator, a approver, w reviewer, s steward, u auditor, d administrator
ROLES = """
                                                r o a w s u d
read the catalog                                x x x x x x x
apply for data                                  x x . . . . .
see own applications and grants                 x x . . . . .
see applications that wait for a decision       . . x . . . .
decline an application                          . . x . . . .
hand in a grant, approval or revocation         . . x . x . .
run a statement                                 x x . . . . .
see own jobs                                    x x . . . . .
cancel a job                                    x x . . . . .
fetch a result                                  x x . . . . .
read a plan that waits for approval             . . x . . . .
see own membership                              x x x x x x x
enrol keys                                      x x x x x x x
change the own password                         x x x x x x x
make a token                                    x x x x x x x
open a lab                                      x x . . . . .
"""

SCOPES = """
                                                catalog jobs results apply approve
read the catalog                                x       .    .       .     .
apply for data                                  .       .    .       x     .
see own applications and grants                 .       .    .       x     .
see applications that wait for a decision       .       .    .       .     x
decline an application                          .       .    .       .     x
hand in a grant, approval or revocation         .       .    .       .     x
run a statement                                 .       x    .       .     .
see own jobs                                    .       x    .       .     .
cancel a job                                    .       x    .       .     .
fetch a result                                  .       .    x       .     .
read a plan that waits for approval             .       .    .       .     x
see own membership                              x       x    x       x     x
enrol keys                                      .       .    .       .     .
change the own password                         .       .    .       .     .
make a token                                    .       .    .       .     .
open a lab                                      .       .    .       .     .
"""


def drawn(table: str) -> dict[tuple[str, int], bool]:
    lines = [line for line in table.splitlines() if line.strip()][1:]
    return {
        (line[:48].strip(), position): mark == "x"
        for line in lines
        for position, mark in enumerate(line[48:].split())
    }


def who(roles: set[str], scopes: set[str]) -> Who:
    return Who("m@nm", "nm", frozenset(roles), frozenset(scopes))


def test_every_action_is_in_every_table() -> None:
    actions = {action.word.english for action in Action}
    assert set(TABLE) == set(Action)
    assert {name for name, _ in drawn(ROLES)} == {name for name, _ in drawn(SCOPES)} == actions


@pytest.mark.parametrize(("action", "role"), list(itertools.product(Action, enumerate(Role))))
def test_roles(action: Action, role: tuple[int, Role]) -> None:
    position, name = role
    session = who({name}, {str(scope) for scope in Scope})
    assert may(session, action) is drawn(ROLES)[action.word.english, position]


@pytest.mark.parametrize(("action", "scope"), list(itertools.product(Action, enumerate(TOKEN_SCOPES))))
def test_scopes_narrow_even_a_member_with_all_roles(action: Action, scope: tuple[int, Scope]) -> None:
    position, name = scope
    assert (
        may(who({str(role) for role in Role}, {name}), action) is drawn(SCOPES)[action.word.english, position]
    )


@pytest.mark.parametrize("action", Action)
def test_nobody_without_roles_may_anything_and_unknown_roles_give_nothing(action: Action) -> None:
    scopes = {str(scope) for scope in Scope}
    assert not may(who(set(), scopes), action)
    assert not may(who({"root", "Approver", "*"}, scopes), action)


@pytest.mark.parametrize("action", Action)
def test_the_check_and_its_twin_agree(action: Action) -> None:
    for roles, scopes in itertools.product(
        ({"approver"}, {"researcher"}, set()), ({"jobs"}, {"approve"}, set())
    ):
        caller = who(roles, scopes)
        if may(caller, action):
            require(caller, action)
        else:
            with pytest.raises(NotAllowed):
                require(caller, action)


def test_no_choice_at_all_allows_nothing() -> None:
    everything = who({str(role) for role in Role}, {str(scope) for scope in Scope})
    with pytest.raises(NotAllowed):
        require_one(everything)
    require_one(everything, Action.APPLY, Action.DECLINE)


def test_a_token_can_never_change_its_member_nor_open_labs() -> None:
    assert not {Scope.SELF, Scope.LABS} & set(TOKEN_SCOPES)


def test_what_jupyterhub_holds_for_a_member_opens_labs_and_tells_who_it_is() -> None:
    entrance = who({str(role) for role in Role}, {Scope.LABS})
    assert {action for action in Action if may(entrance, action)} == {Action.OPEN_LAB, Action.SEE_SELF}
