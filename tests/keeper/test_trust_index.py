"""The index of grants that a keeper keeps is, after any history, what going through every statement would find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.trust import TrustedSet
from plans.errors import SignatureWrong
from plans.statements import Duty, Grant, RosterEntry, Signed
from policies.api import Granted
from tests.keeper import house
from tests.keeper.house import NOW

MEMBERS = (house.MEMBER, "wu@nm/uni")
OFFERS = [
    house.grant(replace(house.GRANT, member=member, dataset=dataset, uses=uses), signer)
    for member in MEMBERS
    for dataset in (house.INCOME, house.PROPERTY)
    for uses, signer in ((1, "approver"), (3, "second approver"))
]


@dataclass
class History:
    """A keeper, and beside it all that happened, kept in the plainest way."""

    believed: TrustedSet
    rosters: int = 1
    entries: tuple[RosterEntry, ...] = house.ENTRIES
    signed: dict[str, Signed] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    uses: set[tuple[str, str]] = field(default_factory=set)

    def in_office(self, key: str) -> bool:
        return any(entry.key == key and entry.duty is Duty.APPROVER for entry in self.entries)

    def grants(self, offer: Signed) -> None:
        try:
            self.believed.add(offer, NOW)
            self.signed[offer.statement.digest] = offer
        except SignatureWrong:
            assert not self.in_office(offer.statement.signer)

    def revokes(self, offer: Signed) -> None:
        self.believed.add(house.revocation(offer, "steward", duty=Duty.STEWARD), NOW)
        self.revoked.add(offer.statement.digest)

    def runs(self, offer: Signed, request: str) -> None:
        self.believed.use((offer.statement.digest,), request)
        self.uses.add((offer.statement.digest, request))

    def is_left_by(self, approver: str) -> None:
        self.rosters, self.entries = self.rosters + 1, house.entries_without(approver)
        self.believed.add(house.roster(self.rosters, self.entries), NOW)

    def expected(self, request: str) -> list[Granted]:
        """Go through every statement, as if there were no index."""
        found = []
        for digest, offer in sorted(self.signed.items()):
            statement = offer.statement
            if self.in_office(statement.signer):
                grant = Grant.read(statement.body)
                left = grant.uses - len({user for used, user in self.uses if used == digest} - {request})
                times = (statement.not_before, statement.not_after)
                found.append(Granted(digest, grant, *times, digest in self.revoked, left, statement.signer))
        return found


OFFER = st.sampled_from(OFFERS)
EVENTS: st.SearchStrategy[Callable[[History], None]] = st.one_of(
    st.builds(lambda offer: lambda history: history.grants(offer), OFFER),
    st.builds(lambda offer: lambda history: history.grants(offer), OFFER),
    st.builds(lambda offer: lambda history: history.revokes(offer), OFFER),
    st.builds(lambda offer, name: lambda history: history.runs(offer, name), OFFER, st.sampled_from("abc")),
    st.builds(lambda who: lambda history: history.is_left_by(who),
              st.sampled_from((house.APPROVER, "hu@nm/tax", "nobody"))),
)  # fmt: skip


@given(st.lists(EVENTS, max_size=25))
@settings(max_examples=80, deadline=None)
def test_after_any_history_the_index_holds_what_every_statement_says(
    events: list[Callable[[History], None]],
) -> None:
    history = History(house.trusted(*house.house_statements()))
    for event in events:
        event(history)
    for request in ("a", "b", "a request that never ran"):
        expected, found = history.expected(request), history.believed.granted(request)
        assert list(found) == expected
        for member in MEMBERS:
            about = [g for g in expected if (g.grant.dataset, g.grant.member) == (house.INCOME, member)]
            assert list(found.about(house.INCOME, member)) == about


@given(st.lists(EVENTS, max_size=12))
@settings(max_examples=30, deadline=None)
def test_asking_what_a_statement_would_change_changes_nothing(
    events: list[Callable[[History], None]],
) -> None:
    history = History(house.trusted(*house.house_statements()))
    for event in events:
        event(history)
    before = repr(history.believed)
    offer = house.grant(house.GRANT, "keeper")
    for statement in (house.revocation(offer, "steward", duty=Duty.STEWARD), house.roster(1_000)):
        history.believed.after(statement, NOW)
    assert repr(history.believed) == before
