"""Joint computations, from a member's statement to the opened answer, through all processes, boxes and links."""

from __future__ import annotations

import csv
import os
import signal
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from darkroom.joint_asking import verified
from darkroom.joint_task import Named
from examples.joint.stories import COMMON, DIABETES, HELPER, PAYROLL, STUDY, Story
from examples.joint.truth import differing, found_in, truth_of
from keys.signing import SigningKey
from mpc.agent.config import AgentConfig
from plans.errors import DarkroomError
from plans.joint_rules import Matching
from server import party_health, party_view
from server.carrying import Carrier
from server.enrolment import open_store
from tests.e2e import hunt
from tests.e2e.joint_more import NOISED, PRODUCT, SCALES
from tests.e2e.joint_town import PARTIES, JointTown

pytestmark = [pytest.mark.box]


@pytest.fixture(scope="module")
def answered(town: JointTown) -> str:
    """A computation that was approved by all and released."""
    number, _ = town.answer(DIABETES)
    return number


def test_a_bureau_without_data_gets_an_answer_that_is_duckdbs_to_the_last_digit(
    town: JointTown, answered: str
) -> None:
    result = town.operator.open_jointly(answered)
    wanted, found = truth_of(DIABETES, town.folder / "files"), found_in(DIABETES, result)
    assert found == {league: wanted.get(league, (None, None)) for league in found}
    assert sum(count is not None for count, _ in found.values()) >= 3, "the control: something was opened"
    assert sum(count is None for count, _ in found.values()) >= 1, "and something was withheld"
    assert any("Adversary model" in note for note in result.notes)


def test_a_study_of_two_owners_on_another_ones_server_has_duckdbs_deviations(town: JointTown) -> None:
    """*Students and Taxes*, in small: who computes is not always who has data."""
    _, result = town.answer(STUDY)
    figures = found_in(STUDY, result)
    assert figures == truth_of(STUDY, town.folder / "files")
    assert len(figures) == 16
    opened = [deviation is not None for _, _, deviation in figures.values()]
    assert any(opened) and not all(opened), "some deviations are opened, and some cells are too small for one"


def roots_of(town: JointTown) -> dict[str, str]:
    """The parties' root keys, as they themselves tell them."""
    return {
        owner.domain: SigningKey.from_bytes(bytes.fromhex(owner.root_key.read_text())).public
        for owner in town.agencies.owners
    }


def test_a_finished_computation_is_verified_from_root_keys_on(town: JointTown, answered: str) -> None:
    evidence, roots = town.operator.joint_evidence(answered), roots_of(town)
    receipts = verified(evidence, roots)
    assert [receipt.party for receipt in receipts] == sorted(PARTIES)
    assert not any(receipt.code for receipt in receipts)
    with pytest.raises(DarkroomError):
        verified(evidence, roots | {"nm/tax": roots["nm/civil"]})
    less = replace(evidence, parties=evidence.parties[1:])
    with pytest.raises(DarkroomError):
        verified(less, roots)


OPENED_BY_TAX = replace(DIABETES, named=replace(DIABETES.named, inspector="nm/tax"))
ON_SHARES = replace(
    PAYROLL, named=replace(PAYROLL.named, inspector=""), truth=replace(PAYROLL.truth, rounding=1)
)
AS_CIPHERTEXTS = replace(PAYROLL, named=Named(inspector="nm/civil", collector=HELPER))
WITHOUT_HELPER = replace(COMMON, named=replace(COMMON.named, helper=""))


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(OPENED_BY_TAX, id="joined, inspected"),
        pytest.param(PAYROLL, id="in parts, inspected", marks=pytest.mark.long),
        pytest.param(ON_SHARES, id="in parts, on shares"),
        pytest.param(AS_CIPHERTEXTS, id="in parts, as ciphertexts"),
        pytest.param(COMMON, id="in common"),
        pytest.param(WITHOUT_HELPER, id="in common, no helper"),
    ],
)
def test_every_form_of_joint_computation_answers_as_duckdb_and_is_verified(
    town: JointTown, story: Story
) -> None:
    number, result = town.answer(story)
    assert differing(story, result, town.folder / "files") == 0
    asker, task = town.asker(story), story.task
    handed = (task.inspector or task.finder,) if task.inspector or task.finder else task.servers
    assert set(asker.joint_results(number)["sealed"]) == set(handed), "nobody else hands anything over"
    receipts = verified(asker.joint_evidence(number), roots_of(town))
    assert {receipt.party for receipt in receipts if receipt.sealed} == set(handed)
    if task.finder:
        assert len(result.rows) > 50, "the control: somebody is in common"
        places = [town.agencies.site.centre, town.agencies.site.run, town.agencies.site.owner(HELPER).folder]
        assert hunt.in_files(places, hunt.patterns_of_text(str(result.rows[0][0]))) == []
    else:
        figures = [figure for row in result.rows for figure in row[1:]]
        assert None in figures and any(figures), "the control: something was withheld, and something opened"


def test_three_servers_multiply_two_owners_columns_though_nobody_helps(town: JointTown) -> None:
    """Who compares is the server that owns none of the rows, under exponents of both owners."""
    number, result = town.answer(PRODUCT)
    plan = town.operator.joint_plan(number)
    assert (plan.task.matching, plan.task.helper) == (Matching.DIFFIE_HELLMAN, "")
    assert HELPER not in {
        receipt.party for receipt in verified(town.operator.joint_evidence(number), town.roots())
    }
    assert differing(PRODUCT, result, town.folder / "files") == 0
    opened = [product is not None for _, product in found_in(PRODUCT, result).values()]
    assert any(opened) and not all(opened), "the control: products are opened, and a small ward's is not"


def test_figures_of_an_owner_that_demands_noise_leave_near_the_truth_and_never_exactly(
    town: JointTown,
) -> None:
    """Noise within fifty scales has failed once in 10^20 runs; exact figures of all sums come once in 10^8."""
    number, result = town.answer(NOISED)
    plan = town.operator.joint_plan(number)
    assert plan.scheme.noise_micro == 1_000_000
    assert any("discrete noise on every sum" in sight.what for sight in plan.sights)
    assert any("noise" in note for note in result.notes)
    files = town.folder / "files"
    with duckdb.connect() as connection:
        exact = connection.execute(
            "SELECT count(*), sum(rooms), sum(income::DECIMAL(12, 2))"
            f" FROM '{files}/dwellings.csv' JOIN '{files}/yearly.csv' USING (id18)"
        ).fetchall()
    (found,), (wanted,) = result.rows, exact
    for told, true, scale in zip(found, wanted, SCALES, strict=True):
        assert abs(Fraction(str(told)) - Fraction(str(true))) < 50 * scale
    assert found != wanted, "the control: without noise figures are DuckDB's"
    spread = NOISED.statement.replace("sum(d.rooms)", "stddev(d.rooms)")
    with pytest.raises(DarkroomError, match="no noised form"):
        asked = {"project": NOISED.project, "purpose": NOISED.purpose}
        town.operator.explain_jointly(town.task(spread, NOISED), **asked)


def test_only_the_registers_owner_asks_who_is_in_common_and_for_itself_alone(town: JointTown) -> None:
    """Else a bureau, or another owner, would read who is in a register."""
    bureau = replace(COMMON, asker=DIABETES.asker, project=STUDY.project, purpose=STUDY.purpose)
    for_another = replace(COMMON, named=replace(COMMON.named, finder="nm/tax"))
    for story in (bureau, for_another):
        asked = {"project": story.project, "purpose": story.purpose}
        with pytest.raises(DarkroomError, match=story.task.finder):
            town.asker(story).explain_jointly(story.task, **asked)
    asked = {"project": COMMON.project, "purpose": COMMON.purpose}
    assert town.asker(COMMON).explain_jointly(COMMON.task, **asked).sights, (
        "the control: the owner for itself"
    )


def test_who_would_see_what_is_told_before_anybody_is_asked(town: JointTown, answered: str) -> None:
    before = len(town.operator.joints())
    asked = {"project": DIABETES.project, "purpose": DIABETES.purpose}
    told = town.operator.explain_jointly(town.task(DIABETES.statement), **asked)
    ran = town.operator.joint_plan(answered)
    assert (told.sights, told.trust, told.scheme, told.reading) == (
        ran.sights,
        ran.trust,
        ran.scheme,
        ran.reading,
    )
    assert len(town.operator.joints()) == before, "nothing was asked"
    mixed = (
        "select count(*) as n from health.patients h join civil.residents c using (person)"
        " where h.diagnosis = c.region"
    )
    with pytest.raises(DarkroomError, match="WHERE"):
        town.operator.explain_jointly(town.task(mixed), **asked)


def test_nothing_runs_until_every_party_has_approved(town: JointTown) -> None:
    number = town.planned(DIABETES.statement)
    town.approve(number, *PARTIES[:-1])
    time.sleep(2)
    found = town.operator.joint(number)
    assert (found["state"], found["waits_for"]) == ("waiting-approval", f"approvers of {HELPER}")
    town.operator.cancel_joint(number)


def test_no_identifier_is_in_any_file_of_the_centre_the_helper_or_a_node(
    town: JointTown, answered: str
) -> None:
    with (town.folder / "files" / "patients.csv").open() as file:
        person = next(csv.DictReader(file))["id18"]
    patterns = hunt.patterns_of_text(person)
    site = town.agencies.site
    helper = site.owner(HELPER)
    places = [
        site.centre,
        site.home / "nodes",
        site.run,
        helper.folder,
        *(o.data for o in town.agencies.owners),
    ]
    assert hunt.in_files(places, patterns) == []
    assert hunt.in_files([town.folder / "files"], patterns), "the control: it is in the source"


def test_what_was_handed_over_opens_to_nobody_else(town: JointTown, answered: str) -> None:
    approver = town.agencies.people["approver of nm/tax"].connection
    with pytest.raises(DarkroomError):
        approver.joint_results(answered)


def test_a_condition_over_two_owners_is_refused_by_its_clause(town: JointTown) -> None:
    number = town.ask(
        "select c.region, count(*) as n from health.patients h join civil.residents c using (person)"
        " where h.diagnosis = c.region group by c.region"
    )
    found = town.until(number, "refused", "failed", "waiting-approval")
    assert found["state"] == "refused"
    assert "WHERE" in str(found["problem"])


@pytest.fixture(scope="module")
def survived(town: JointTown) -> str:
    """A computation in which a party died, and which was ordered again and released.

    All others dial the party whose name is last, and so hear from itself that it has forgotten the attempt.
    """
    number = town.planned("select count(*) as n from health.patients h join tax.yearly t using (person)")
    town.approve(number, *PARTIES)
    town.until_computing(max(PARTIES), number)
    os.kill(town.supervisor.pid(f"agent:{max(PARTIES)}"), signal.SIGKILL)
    found = town.until(number, "released", "failed", "refused")
    assert found["state"] == "released", found["problem"]
    return number


def test_a_party_that_dies_ends_the_attempt_everywhere_and_the_next_one_answers(
    town: JointTown, survived: str
) -> None:
    result = town.operator.open_jointly(survived)
    with duckdb.connect() as connection:
        files = town.folder / "files"
        wanted = connection.execute(
            f"SELECT count(*) FROM '{files}/patients.csv' JOIN '{files}/yearly.csv' USING (id18)"
        ).fetchone()
    assert wanted is not None
    assert [tuple(row) for row in result.rows] == [(wanted[0],)]


def test_why_an_attempt_failed_is_told_to_the_owner_and_to_nobody_else(
    town: JointTown, survived: str
) -> None:
    owners = town.agencies.owners
    assert any("attempt 1 of sha256:" in line for owner in owners for line in party_view.told(owner))
    assert {owner.agent_log.stat().st_mode & 0o777 for owner in owners} == {0o600}
    logs = [path.name for path in (town.agencies.site.centre / "logs").iterdir()]
    assert logs and not [name for name in logs if "agent" in name]


def test_agents_that_run_are_nobody_and_the_doctor_finds_all_parties_well(town: JointTown) -> None:
    site = town.agencies.site
    for owner in town.agencies.owners:
        status = Path(f"/proc/{town.supervisor.pid(f'agent:{owner.domain}')}/status").read_text()
        users = set(status.partition("Uid:")[2].partition("\n")[0].split())
        wanted = AgentConfig.load(owner.agent_settings).user
        assert users == {str(os.geteuid() if wanted is None else wanted)}
        assert (wanted is None) == (os.geteuid() != 0)
    database = open_store(site)
    Carrier(site, database).carry()
    found = [each for owner in town.agencies.owners for each in party_health.examine(owner, database)]
    assert len(found) == len(town.agencies.owners) ** 2 and [each for each in found if not each[1]] == []


def test_an_approval_that_is_revoked_stops_it_before_it_runs(town: JointTown) -> None:
    number = town.planned("select count(*) as n from health.patients h join civil.residents c using (person)")
    digests = town.approve(number, *PARTIES[:-1])
    town.revoke(PARTIES[0], digests[0])
    town.approve(number, PARTIES[-1])
    time.sleep(1)
    assert town.operator.joint(number)["state"] == "waiting-approval"
    town.operator.cancel_joint(number)


def test_an_approval_that_is_revoked_while_it_runs_ends_it_everywhere(town: JointTown) -> None:
    counted = "select count(*) as n from health.patients h join tax.yearly t using (person)"
    number = town.planned(f"{counted} join civil.residents c using (person)")
    digests = dict(zip(PARTIES, town.approve(number, *PARTIES), strict=True))
    town.until_computing(HELPER, number)
    helper = town.supervisor.pid(f"agent:{HELPER}")
    os.kill(helper, signal.SIGSTOP)  # nothing ends well without its word, so that there is time to revoke
    try:
        town.until_computing("nm/health", number)
        town.until_rows_are_read("nm/health")  # a box that is ended before says that data may not fit
        town.revoke("nm/health", digests["nm/health"])
        town.until_over("nm/health", number)
    finally:
        os.kill(helper, signal.SIGCONT)
    found = town.until(number, "released", "refused", "failed")
    assert (found["state"], found["problem"]["code"]) == ("refused", "joint.party-stopped")
    assert "nm/health" in str(found["problem"])
    with pytest.raises(DarkroomError):
        town.operator.joint_results(number)
