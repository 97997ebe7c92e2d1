"""What the catalog says of each column's uses: the owner's rules, and no fact about rows."""

from __future__ import annotations

from dataclasses import replace

from plans.constraints import ANY, Constraint, Effect, Reveal, Use
from plans.statements import Bundle
from portal import column_uses
from tests.keeper.house import INCOME_POLICY
from tests.portal.region import DATASET, OWNER, Region
from tests.portal.test_rule_pages import MEI, SignedIn, facts, offer_bundle


def test_a_column_is_described_with_what_it_may_be_used_for(region: Region, signed_in: SignedIn) -> None:
    def columns() -> dict[str, list[str]]:
        answer = signed_in(MEI).get(f"/api/v1/datasets/{DATASET}")
        assert not facts(answer.text)
        return {column["name"]: column["uses"] for column in answer.json()["columns"]}

    assert set(map(tuple, columns().values())) == {()}, "without a policy nothing is allowed"
    offer_bundle(region, Bundle(OWNER, 1, (INCOME_POLICY,)))
    assert "aggregate" in columns()["income"] and columns()["id_number"] == []


def test_what_is_forbidden_to_everybody_is_not_offered_to_anybody() -> None:
    def forbidding(*parties: str) -> Bundle:
        rule = Constraint("income", Effect.DENY, parties, (), (), 0, (Use.AGGREGATE,), (), Reveal.NEVER)
        return Bundle(OWNER, 1, (replace(INCOME_POLICY, constraints=(*INCOME_POLICY.constraints, rule)),))

    assert "aggregate" in column_uses.told(forbidding("nm/health"), DATASET, "income")["uses"]
    told = column_uses.told(forbidding(ANY), DATASET, "income")
    assert "aggregate" not in told["uses"] and any("deny" in line for line in told["rules"])
