"""Who may do what with a dataset as a whole: the owner's access rules, answered by Casbin.

This is the first of two questions, *subject × domain × dataset × action*; what may be done with each column
is the second (`policies.constraints`). The only source of the rules is the owner's signed bundle: its lines
are handed to Casbin question by question, and only those of the one dataset that speak about the one action.

How Casbin is used, and why so (decision 20):

* A denial overrides, and where nothing speaks the answer is no: both are in the model below.
* Names are compared whole and as they are spelled. Casbin's pattern functions (`keyMatch`, `regexMatch`,
  `globMatch` …) do not appear, so a star or a dot in a name is a letter like any other (ATTACKS 60).
* Nobody inherits a role. A rule for the party `nm` covers all below it because it names the subtree; for that, the
  question lists the domains in which its member lives. A rule for `nm/hohhot` says nothing about `nm`.
* Every question has an enforcer of its own, which costs 0.05 ms. So there is no state to share between
  threads, and nothing to reload while an answer is being made.
* Model and matcher are parsed once, when this module is loaded, and only read afterwards. Casbin would parse the
  matcher at every question, and in Python 3.11 two threads that parse at the same moment can both fail
  (`SystemError`, CPython issue 106905).
* `enforce_ex` names one rule at most, and none for a no. Here every rule whose conditions hold notes its number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import casbin
from casbin.effect import Effector
from casbin.effect.default_effectors import AllowAndDenyEffector
from casbin.model import Model
from casbin.util import SimpleEval

from plans import names
from plans.constraints import ANY, Access, Action, Effect
from plans.statements import DatasetPolicy

MODEL = """
[request_definition]
# parties: the member, the member's domain and every domain above it, and "any"; now: Unix seconds
r = dataset, action, parties, role, purpose, now, notes

[policy_definition]
# one line for one rule of the owner's; number: its place in the policy
p = dataset, actions, parties, roles, purposes, until, number, eft

[policy_effect]
# a denial overrides, and nothing means no
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
# what is cheap to compare comes first; a rule notes its number when all else holds
m = r.dataset == p.dataset && r.action in p.actions && (p.until == 0 || r.now < p.until) && \\
    named(r.role, p.roles) && named(r.purpose, p.purposes) && meets(r.parties, p.parties) && \\
    noted(r.notes, p.number)
"""


@dataclass(frozen=True, slots=True)
class Question:
    """May this member, in this role and for this purpose, do this with this dataset, now (Unix seconds)?"""

    member: str
    role: str
    purpose: str
    action: Action
    dataset: str
    now: int

    @property
    def parties(self) -> tuple[str, ...]:
        """The parties that a rule can name to mean this member."""
        return parties_of(self.member)


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes or no, and the rules that spoke for and against it, by their place in `DatasetPolicy.access`."""

    allowed: bool
    allowed_by: tuple[int, ...] = ()
    denied_by: tuple[int, ...] = ()


def answer(policy: DatasetPolicy, question: Question) -> Answer:
    """Return what a dataset's access rules say to a question; a question about another dataset is answered no.

    Raises:
        Malformed: the question's member or dataset has not the form of a name.
    """
    names.require("dataset", question.dataset, "question.dataset")
    candidates = [line for line in lines(policy) if question.action in line[1]]
    notes: list[int] = []
    asked = (
        question.dataset,
        question.action.value,
        question.parties,
        question.role,
        question.purpose,
        question.now,
        notes,
    )
    allowed = bool(candidates) and bool(enforcer(candidates).enforce(*asked))
    return Answer(allowed, *_by_effect(policy, notes))


def answered(policy: DatasetPolicy, question: Question) -> Answer:
    """Return what access rules say, those for a wider action included: what is `encrypted` is `joint`, too.

    A computation on ciphertexts is a joint one. So a rule for either word allows it, and one that forbids either word
    forbids it; to compute on shares `encrypted` says nothing. Raises as `answer` does.
    """
    found = answer(policy, question)
    if question.action is not Action.ENCRYPTED:
        return found
    wider = answer(policy, replace(question, action=Action.JOINT))
    yes = tuple(sorted({*found.allowed_by, *wider.allowed_by}))
    no = tuple(sorted({*found.denied_by, *wider.denied_by}))
    return Answer(bool(yes and not no), yes, no)


def parties_of(member: str) -> tuple[str, ...]:
    """Return all parties that mean a member: the word `any`, the member, the domain, the domains above it.

    Raises:
        Malformed: the member has not the form of a name.
    """
    parts = names.require("member", member, "member").partition("@")[2].split("/")
    above = ("/".join(parts[:depth]) for depth in range(len(parts), 0, -1))
    return (ANY, member, *above)


def lines(policy: DatasetPolicy) -> list[tuple[Any, ...]]:
    """Return a dataset's access rules as Casbin's lines, in the order of `policy_definition`."""
    return [_line(policy.dataset, number, rule) for number, rule in enumerate(policy.access)]


def enforcer(of_lines: Iterable[tuple[Any, ...]]) -> casbin.Enforcer:
    """Return a Casbin enforcer that holds these lines, for one caller; it is not to be shared or changed."""
    rules = copy(_model["p"]["p"])
    rules.policy = list(of_lines)
    model = Model()
    for section, parts in _model.items():
        model[section] = parts
    model["p"] = {"p": rules}
    fresh = casbin.Enforcer(model)
    fresh.eft = _HearAll()
    for function in (named, meets, noted):
        fresh.add_function(function.__name__, function)
    fresh._get_expression = _matcher
    return fresh


# --- the words of the matcher -----------------------------------------------------


def named(word: str, listed: tuple[str, ...]) -> bool:
    """Return whether a rule names a word, or any."""
    return word in listed or ANY in listed


def meets(parties: tuple[str, ...], listed: tuple[str, ...]) -> bool:
    """Return whether a rule names one of the parties."""
    return not set(parties).isdisjoint(listed)


def noted(notes: list[int], number: int) -> bool:
    """Note a rule that holds; always true."""
    notes.append(number)
    return True


class _HearAll:
    """Casbin's own effect, without stopping at the first denial: all rules that speak are told."""

    _whole = AllowAndDenyEffector()

    def intermediate_effect(self, effects: set[int]) -> Any:
        return Effector.INDETERMINATE

    def final_effect(self, effects: set[int]) -> Any:
        return self._whole.final_effect(effects)


def _written() -> str:
    """Return the matcher as Casbin hands it to its evaluator."""
    text: str = _model["m"]["m"].value
    return text.replace("&&", "and").replace("||", "or")


_starting = threading.Lock()
_model = casbin.Enforcer.new_model(text=MODEL)
_parsed = SimpleEval(_written(), {}).ast_parsed_value


def _matcher(_text: str, functions: dict[str, Any]) -> SimpleEval:
    """Return an evaluator of the matcher. One at a time: a new one changes the process's filter of warnings, and sets
    it back, and two at once could leave it changed.
    """
    with _starting:
        evaluator = SimpleEval("", functions)
    evaluator.ast_parsed_value = _parsed
    return evaluator


def _line(dataset: str, number: int, rule: Access) -> tuple[Any, ...]:
    actions = tuple(action.value for action in rule.actions)
    return (
        dataset, actions, rule.parties, rule.roles, rule.purposes, rule.until, number, rule.effect.value,
    )  # fmt: skip


def _by_effect(policy: DatasetPolicy, notes: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    def spoke(effect: Effect) -> tuple[int, ...]:
        return tuple(number for number in notes if policy.access[number].effect is effect)

    return spoke(Effect.ALLOW), spoke(Effect.DENY)
