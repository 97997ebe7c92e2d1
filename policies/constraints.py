"""What column constraints mean together: for one asker, about one column.

A *rule* is one constraint. For an asker (member, role, purpose, moment) only rules count that name the asker, and
that have not ended. Of these:

* each allowing rule is a pair of uses and a reveal: a use is allowed if *one* rule covers the use *and* what it
  reveals; uses of one rule never borrow the reveal of another;
* a prohibition takes its uses away from all of them, and its functions where it names any;
* the column's classes are ceilings: a use that one of them lacks is taken away, a reveal above a ceiling is
  lowered to it, the largest minimum holds. Of a class, all classes above it count as well;
* a mask wins over no mask: the column then *is* what the mask leaves, for every use. Two different masks for the
  same asker contradict each other, and then nothing is allowed.

Nothing means nothing: without a rule that counts there is no use. A class that the bundle does not describe, or
one that is above itself, allows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from plans import masks as masking
from plans import names
from plans.constraints import ANY, Constraint, Effect, Mask, MaskKind, Reveal, Tag, Use
from plans.manifest import Column, Kind
from plans.reading import Clause
from plans.statements import Bundle, DatasetPolicy

_REVEALED = {
    Use.GROUP: Reveal.GROUPED,
    Use.AGGREGATE: Reveal.AGGREGATED,
    Use.MODEL: Reveal.AGGREGATED,
    Use.SELECT: Reveal.PLAIN,
    Use.SHARED: Reveal.AGGREGATED,
    Use.ENCRYPTED: Reveal.AGGREGATED,
}


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom rules are read: the member, the role that the grant gives, the request's purpose, Unix seconds."""

    member: str
    role: str
    purpose: str
    now: int

    @property
    def domain(self) -> str:
        """The member's own domain."""
        return self.member.partition("@")[2]


@dataclass(frozen=True, slots=True)
class Allowed:
    """One way in which a column may be used: an allowing rule, cut down by prohibitions and ceilings."""

    uses: frozenset[Use]
    functions: frozenset[str]
    reveal: Reveal
    minimum: int

    def covers(self, use: Use, function: str, reveal: Reveal) -> bool:
        """Return whether this rule allows the use (in aggregates: with the function) and reveals enough for it."""
        named = use is not Use.AGGREGATE or function in self.functions
        return use in self.uses and named and self.reveal.level >= reveal.level


@dataclass(frozen=True, slots=True)
class Effective:
    """What one asker may do with one column. `trouble` names what makes the rules unusable, empty if nothing."""

    allowed: tuple[Allowed, ...]
    mask: Mask | None
    forbidden: frozenset[Use] = frozenset()
    forbidden_functions: frozenset[str] = frozenset()
    trouble: str = ""

    @property
    def shown(self) -> bool:
        """Whether the asker may see the values (after the mask) of single rows, if need be after a join."""
        return any(one.covers(Use.SELECT, "", Reveal.JOINED) and one.minimum <= 1 for one in self.allowed)

    @property
    def joined_only(self) -> bool:
        """Whether they may be seen of such rows only that met a row of another relation."""
        plainly = any(one.covers(Use.SELECT, "", Reveal.MASKED) and one.minimum <= 1 for one in self.allowed)
        return self.shown and not plainly

    @property
    def scored(self) -> bool:
        """Whether something may be told of single values (after the mask) that was computed on ciphertexts of them."""
        return any(one.covers(Use.ENCRYPTED, "", Reveal.MASKED) and one.minimum <= 1 for one in self.allowed)

    def covering(
        self, clause: Clause, function: str = "", noised: bool = False, joint: tuple[Use, ...] = ()
    ) -> tuple[Allowed, ...]:
        """Return the ways in which figures may use the column in a clause; none means no.

        Where all that leaves is `noised`, no rule has to reveal more than that. In a joint computation the uses `joint`
        (`policies.joint.joint_uses`) stand for every clause, with as much reveal as the clause asks for.
        """
        if clause not in _FIGURES or self.forbids(clause, function):
            return ()
        words, reveal = _FIGURES[clause]
        if noised:
            reveal = min(reveal, Reveal.NOISED, key=lambda each: each.level)
        if clause is Clause.COMPARE and self.mask is not None and self.mask.kind is MaskKind.PSEUDONYM:
            # Whoever may compare a pseudonym with a constant follows one person through every answer.
            words = (Use.COMPARE,)
        else:
            words = (*words, *joint)
        return tuple(one for one in self.allowed if any(one.covers(word, function, reveal) for word in words))

    def forbids(self, clause: Clause, function: str = "") -> bool:
        """Return whether a prohibition takes the clause away, also from one who may see the values.

        A forbidden `filter` forbids every condition, comparisons with constants included.
        """
        return not _FORBIDDEN_BY.get(clause, _SELECT).isdisjoint(self.forbidden) or (
            clause is Clause.AGGREGATE and function in self.forbidden_functions
        )

    def minimum(self, clause: Clause, function: str = "", joint: tuple[Use, ...] = ()) -> int:
        """Return the smallest number of persons that the rules ask for behind what a use reveals; 0 is none.

        Of several rules that allow the use the mildest counts, for it alone would allow it.
        """
        return min((one.minimum for one in self.covering(clause, function, joint=joint)), default=0)


_FIGURES: dict[Clause, tuple[tuple[Use, ...], Reveal]] = {
    Clause.GROUP: ((Use.GROUP,), Reveal.GROUPED),
    Clause.AGGREGATE: ((Use.AGGREGATE,), Reveal.AGGREGATED),
    Clause.JOIN: ((Use.JOIN,), Reveal.NEVER),
    Clause.FILTER: ((Use.FILTER,), Reveal.NEVER),
    Clause.COMPARE: ((Use.FILTER, Use.COMPARE), Reveal.NEVER),
    Clause.MODEL: ((Use.MODEL,), Reveal.AGGREGATED),
}
"""What a clause of a statement about groups asks of a rule: one of these uses, and at least this reveal."""

_SELECT = frozenset({Use.SELECT})
_FORBIDDEN_BY = {
    Clause.GROUP: frozenset({Use.GROUP}),
    Clause.AGGREGATE: frozenset({Use.AGGREGATE}),
    Clause.JOIN: frozenset({Use.JOIN}),
    Clause.FILTER: frozenset({Use.FILTER}),
    Clause.COMPARE: frozenset({Use.FILTER, Use.COMPARE}),
    Clause.MODEL: frozenset({Use.MODEL}),
}
"""Which prohibitions take a clause away; one on `select` takes away what only rows have."""


def effective(policy: DatasetPolicy, bundle: Bundle, column: Column, asker: Asker) -> Effective:
    """Return what an asker may do with a column of a dataset, after every rule, prohibition and ceiling."""
    rules = tuple(rule for rule in policy.about(column.name) if concerns(rule, asker))
    classes, trouble = classes_of(policy, bundle, column.name)
    masks = sorted({rule.mask for rule in rules if rule.mask is not None}, key=lambda mask: mask.digest)
    if len(masks) > 1:
        trouble = "two rules mask it in different ways"
    mask = masks[0] if masks else None
    if mask is not None and not masking.fits(mask, column.type):
        trouble = f"the mask {mask.kind} does not fit its type {column.type}"
    if trouble:
        return Effective((), mask, trouble=trouble)
    forbidden, functions = _forbidden(rule for rule in rules if rule.effect is Effect.DENY)
    allowing = (rule for rule in rules if rule.effect is Effect.ALLOW)
    cut = (_cut(rule, classes, mask) for rule in allowing)
    left = (Allowed(one.uses - forbidden, one.functions - functions, one.reveal, one.minimum) for one in cut)
    return Effective(tuple(one for one in left if one.uses), mask, forbidden, functions)


def links_rows(policy: DatasetPolicy, bundle: Bundle, asker: Asker) -> bool:
    """Return whether the owner lets rows be linked by the person token: a rule on `person` with the use `join`."""
    token = Column(names.PERSON, "UBIGINT", "", Kind.IDENTIFIER, 0)
    return bool(effective(policy, bundle, token, asker).covering(Clause.JOIN))


def _forbidden(rules: Iterable[Constraint]) -> tuple[frozenset[Use], frozenset[str]]:
    """Return the uses and the functions that prohibitions take away; one with functions means only these."""
    uses: set[Use] = set()
    functions: set[str] = set()
    for rule in rules:
        uses |= set(rule.uses) - ({Use.AGGREGATE} if rule.functions else set())
        functions |= set(rule.functions)
    return frozenset(uses), frozenset(functions)


def concerns(rule: Constraint, asker: Asker) -> bool:
    """Return whether a rule names the asker and has not ended."""
    return (
        any(_is_party(party, asker) for party in rule.parties)
        and (ANY in rule.roles or asker.role in rule.roles)
        and (ANY in rule.purposes or asker.purpose in rule.purposes)
        and (rule.until == 0 or asker.now < rule.until)
    )


def _is_party(party: str, asker: Asker) -> bool:
    """Names are compared whole; a domain includes all below it, because the rule names the subtree."""
    if "@" in party or party == ANY:
        return party in (ANY, asker.member)
    return names.within(asker.domain, party)


def _cut(rule: Constraint, classes: tuple[Tag, ...], mask: Mask | None) -> Allowed:
    """Return what a rule allows below the ceilings of the column's classes."""
    uses, functions = frozenset(rule.uses), frozenset(rule.functions)
    reveal, minimum = rule.reveal, rule.minimum
    for ceiling in classes:
        uses &= frozenset(ceiling.uses)
        functions &= frozenset(ceiling.functions)
        reveal = min(reveal, ceiling.reveal, key=lambda each: each.level)
        minimum = max(minimum, ceiling.minimum)
    if reveal is Reveal.MASKED and mask is None:
        # A class caps the reveal at what a mask leaves, and no rule says which mask.
        reveal = Reveal.GROUPED
    return Allowed(uses, functions, reveal, minimum)


# --- classes -----------------------------------------------------


def classes_of(policy: DatasetPolicy, bundle: Bundle, column: str) -> tuple[tuple[Tag, ...], str]:
    """Return a column's classes with all classes above them, and what is wrong with them (empty: nothing)."""
    known = {tag.name: tag for tag in bundle.tags}
    found: dict[str, Tag] = {}
    tagged = next((entry.tags for entry in policy.tagged if entry.column == column), ())
    for name in tagged:
        chain, trouble = chain_of(name, known)
        found |= {tag.name: tag for tag in chain}
        if trouble:
            return tuple(found.values()), trouble
    return tuple(found.values()), ""


def chain_of(name: str, known: dict[str, Tag]) -> tuple[tuple[Tag, ...], str]:
    """Return a class and all above it, and what is wrong: one that nobody described, or one above itself."""
    chain: list[Tag] = []
    while name:
        if name not in known:
            return tuple(chain), f"its class {name} is not described"
        if known[name] in chain:
            return tuple(chain), f"its class {name} lies above itself"
        chain.append(known[name])
        name = known[name].parent
    return tuple(chain), ""


def short(column: str, words: Iterable[str]) -> Constraint:
    """Return the constraint that a list of words means: uses, and names of aggregates; for everybody, without end.

    The reveal is the least that makes sense of the uses.
    """
    words = tuple(words)
    uses = {Use(word) for word in words if word in set(Use)}
    functions = tuple(sorted(word for word in words if word not in set(Use)))
    if functions:
        uses.add(Use.AGGREGATE)
    reveal = max(_needed(uses), key=lambda each: each.level, default=Reveal.NEVER)
    everybody = ((ANY,), (ANY,), (ANY,))
    return Constraint(column, Effect.ALLOW, *everybody, 0, tuple(sorted(uses)), functions, reveal)


def _needed(uses: Iterable[Use]) -> Iterator[Reveal]:
    return (_REVEALED.get(use, Reveal.NEVER) for use in uses)
