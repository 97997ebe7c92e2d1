"""Boxes that tell an owner something of its own persons: scores by another's model, and records of another's register.

All boxes are threads of this process, which says that it is one; real ones are in `test_party_person_boxes.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darkroom.joint_judged import judged
from inside import party
from keys import sealing
from mpc.encrypted import crypto_box, scoring
from mpc.lookup.owner import Owner
from mpc.lookup.parameters import POINTS
from mpc.lookup.seeker import Lookup
from mpc.protocols import computation
from plans import canonical
from plans.box import Entry
from plans.errors import EvidenceBroken, LinkBroken, Refused, StateConflict
from plans.joint import JointPlan, ScoreFunction
from plans.joint_persons import commitment, commitments, row_salt
from plans.joint_reports import DECRYPTIONS, LOOKED_UP, TABLE
from plans.released import Cell, Released, ReleasedColumn
from policies.reading.joint import read_joint
from policies.reading.joint_lookup import MOST_LOOKUPS
from sandbox.conversation import LARGEST_REPORT
from tests.inside import party_persons as persons
from tests.inside.joint_cases import Files
from tests.inside.party_cases import Boxes
from tests.inside.party_forms import CANARY, CIVIL, TAX
from tests.inside.party_persons import APPLICANTS, ASKED, BANK, CASES, OWN, REGISTER
from tests.inside.test_party_forms import go, texts
from tests.policies.joint_cases import between, joint_shadow


@pytest.fixture
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])
    monkeypatch.setattr(crypto_box, "enter", lambda _job: None)


@pytest.fixture(scope="module")
def scoring_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    return persons.score_files(tmp_path_factory.mktemp("scores"))


@pytest.fixture(scope="module")
def lookup_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    return persons.lookup_files(tmp_path_factory.mktemp("lookups"))


Form = tuple[JointPlan, dict[str, Files]]


@pytest.fixture(params=["scores", "records"])
def form(
    request: pytest.FixtureRequest, scoring_files: dict[str, Files], lookup_files: dict[str, Files]
) -> Form:
    """Either form, with its files."""
    if request.param == "scores":
        return persons.scored(scoring_files, persons.KEY), scoring_files
    return persons.looked_up(lookup_files, persons.KEY), lookup_files


def went(form: Form, folder: Path, **changes: Any) -> Boxes:
    return go(form[0], folder, form[1], persons.KEY, **changes)


# ---------------------------------------------------------------------------------------------------- what is told


@pytest.mark.parametrize(("function", "decimals"), [("linear", 2), ("linear", 0), ("logistic", 4)])
def test_every_row_has_the_score_that_arithmetic_in_clear_gives(
    scoring_files: dict[str, Files], tmp_path: Path, in_a_box: None, function: str, decimals: int
) -> None:
    joint = persons.scored(scoring_files, persons.KEY, ScoreFunction(function), decimals)
    done = went((joint, scoring_files), tmp_path)
    table = done.judged()
    wanted = (
        persons.scores_in_clear(decimals)
        if function == "linear"
        else persons.probabilities_in_clear(decimals)
    )
    assert texts(table) == sorted(wanted.items())
    assert [(each.name, each.type) for each in table.columns] == [
        ("person", "VARCHAR"),
        ("score", f"DECIMAL(38,{decimals})"),
    ]
    assert done.left() == {BANK}
    told = {
        who: {word: said for word, said in each.items() if word != "sent_bytes"}
        for who, each in done.reports.items()
    }
    assert told == {who: {DECRYPTIONS: 1} if who == f"{BANK}/party" else {} for who in told}


def test_records_are_those_of_a_left_join_with_the_register(
    lookup_files: dict[str, Files], tmp_path: Path, in_a_box: None
) -> None:
    done = went((persons.looked_up(lookup_files, persons.KEY), lookup_files), tmp_path)
    table = done.judged()
    assert texts(table) == persons.records_in_clear()
    assert (None, None, None) in [row[1:] for row in texts(table)], "one of them is in no register"
    assert [column.name for column in table.columns] == ["person", "place", "status", "note"]
    assert done.left() == {OWN}
    tables = {report.get(TABLE) for who, report in done.reports.items() if who.endswith("/party")}
    assert len(tables) == 1 and None not in tables, (
        "launchers of both sides sign which table their box was at"
    )


TEXT = ("VARCHAR?", None)

STATEMENTS = {
    "scores": (
        "select a.person, round(m.base + a.income * m.income + a.age * m.age, 2) as score"
        " from bank.applicants a cross join tax.risk_model m where a.age >= 40",
        (
            joint_shadow(
                "bank.applicants",
                BANK,
                50,
                income=("DECIMAL(12,2)", between("0", "100000")),
                age=("INTEGER", between("0", "150")),
            ),
            joint_shadow(
                "tax.risk_model",
                TAX,
                1,
                "",
                base=("DECIMAL(9,4)", between("-9.9", "9.9")),
                income=("DECIMAL(9,4)", between("-9.9", "9.9")),
                age=("DECIMAL(9,4)", between("-9.9", "9.9")),
            ),
        ),
    ),
    "records": (
        "select c.person, r.region as place, r.status, r.note from court.cases c"
        " left join civil.register r using (person) where c.case_no = 17 limit 6",
        (
            joint_shadow("court.cases", OWN, 90, case_no=("INTEGER", None)),
            joint_shadow("civil.register", CIVIL, 80, region=TEXT, status=TEXT, note=TEXT),
        ),
    ),
}
"""As members write them."""


def test_statements_are_answered_as_they_are_meant(form: Form, tmp_path: Path, in_a_box: None) -> None:
    """The reader's portions, by all boxes on encrypted files and in clear."""
    first, files = form
    name = "scores" if first.reading.score else "records"
    statement, shadows = STATEMENTS[name]
    asked = read_joint(statement, shadows)
    joint = persons.told(asked, first.task.opening, files, persons.KEY, asked.portions[0].bound)
    done = went((replace(joint, shadows=shadows), files), tmp_path)
    assert judged(done.joint, done.judged()), "the recipient's client takes it"
    table = texts(done.judged())
    old = {key for key, _, age in APPLICANTS if age >= 40}
    scores = [pair for pair in sorted(persons.scores_in_clear().items()) if pair[0] in old]
    assert table == (scores if name == "scores" else persons.records_in_clear())


def test_the_report_of_as_many_lookups_as_a_statement_may_ask_for_is_one_that_launchers_take() -> None:
    columns, plan = (ReleasedColumn("person", "VARCHAR"),), "sha256:" + "1" * 64
    table = Released(plan, columns, (), (), secrets.token_hex(16))
    report: Any = {"sent_bytes": 2**50, TABLE: plan, LOOKED_UP: commitments(table, MOST_LOOKUPS)}
    assert len(canonical.encode(report)) <= LARGEST_REPORT[Entry.PARTY]


@pytest.mark.parametrize(("rows", "least"), [(100, 0), (10_000_000, 900)])
def test_a_box_waits_as_long_as_the_other_one_needs(
    lookup_files: dict[str, Files], rows: int, least: int
) -> None:
    """A large register takes its owner's box a quarter of an hour before it says a word."""
    joint = persons.looked_up(lookup_files, persons.KEY)
    register = replace(joint.reading.portions[1], bound=rows)
    large = replace(joint, reading=replace(joint.reading, portions=(joint.reading.portions[0], register)))
    assert party.patience(large) - party.PATIENCE_S >= least


def test_nothing_on_the_wire_is_a_person_or_a_record(form: Form, tmp_path: Path, in_a_box: None) -> None:
    """The control: the recipient's table has both."""
    done = went(form, tmp_path)
    carried = b"".join(bytes(content) for content in done.wire.values())
    content = done.judged().canonical()
    told = texts(done.judged())[0]
    assert all(text is None or text.encode() in content for text in told)
    assert len(carried) > 10_000
    assert not any(text.encode() in carried for text in (CANARY, *filter(None, told)) if len(text) > 5)


# ------------------------------------------------------------------------------------------------- what is counted


def fewer(form: Form, folder: Path) -> Form:
    """The same plan where the finder has one row, or one person of the case."""
    joint, files = form
    if joint.reading.score:
        few = persons.score_files(folder, applicants=APPLICANTS[:1])
        return persons.scored(few, persons.KEY), few
    few = persons.lookup_files(folder, cases=[CASES[-1]])
    return persons.looked_up(few, persons.KEY), few


def test_what_carriers_and_launchers_count_is_the_same_however_many_rows_there_are(
    form: Form, tmp_path: Path, in_a_box: None
) -> None:
    """Bytes of every link, of what leaves and of the report; the control: the tables have other numbers of rows."""
    seen, rows = [], []
    for name, one in (("all", form), ("few", fewer(form, tmp_path / "files"))):
        done = went(one, tmp_path / name)
        sizes = {ends: len(content) for ends, content in done.wire.items()}
        reports = {
            who: {word: str(told) for word, told in each.items()} for who, each in done.reports.items()
        }
        lengths = {who: {word: len(told) for word, told in each.items()} for who, each in reports.items()}
        seen.append((sizes, len(done.sealed()), lengths))
        rows.append(len(done.judged().rows))
    assert seen[0] == seen[1] and rows[0] > rows[1] == 1


def test_nobody_at_all_is_an_answer_like_any_other(form: Form, tmp_path: Path, in_a_box: None) -> None:
    joint, files = form
    asked = replace(joint.reading.portions[0], where="1 = 0")
    joint = replace(joint, reading=replace(joint.reading, portions=(asked, joint.reading.portions[1])))
    done = went((joint, files), tmp_path)
    assert done.judged().rows == () and judged(joint, done.judged()) and done.left() == {joint.task.finder}


def test_a_log_has_a_commitment_to_everybody_who_was_looked_up_and_to_nobody_more(
    lookup_files: dict[str, Files], tmp_path: Path, in_a_box: None
) -> None:
    """The recipient can show each one by itself. The control: without a salt, whoever guesses a person finds it."""
    done = went((persons.looked_up(lookup_files, persons.KEY), lookup_files), tmp_path)
    table, told = done.judged(), done.reports[f"{OWN}/party"][LOOKED_UP]
    assert len(told) == done.joint.reading.portions[0].bound > len(table.rows) == ASKED
    for place, row in enumerate(table.rows):
        assert told[place] == commitment(str(row[0].v).encode(), row_salt(table, place))
    register = [str(row[0]).encode() for row in REGISTER.rows]
    guesses = {commitment(key, salt) for key in register for salt in (b"", secrets.token_bytes(32))}
    assert not guesses & set(told)
    unsalted = {commitment(str(row[0].v).encode(), b"") for row in table.rows}
    assert guesses & unsalted


def test_commitments_are_other_ones_each_time() -> None:
    """So two logs cannot be compared for persons whom both looked up."""
    rows = ((Cell("15010219800101002X", False),),)
    columns, plan = (ReleasedColumn("person", "VARCHAR"),), "sha256:" + "1" * 64
    tables = [Released(plan, columns, rows, (), secrets.token_hex(16)) for _ in range(2)]
    found = [commitments(each, 3) for each in tables]
    assert len({*found[0], *found[1]}) == 6


def test_nobody_who_was_looked_up_passes_for_a_row_that_fills_up() -> None:
    """Two persons were looked up of three; the finder shows an auditor a table with one. Every row of that is in the
    log, and the control is an auditor who looks at no more: were the rest random, nothing would tell.
    """
    rows = tuple((Cell(text, False),) for text in ("15010219800101002X", "150102198001010028"))
    table = Released("sha256:" + "1" * 64, (ReleasedColumn("person", "VARCHAR"),), rows, (), "7" * 32)
    shown = replace(table, rows=rows[:1])
    logged = commitments(table, 3)
    assert len({*logged}) == 3 and commitments(table, 3) == logged
    assert commitments(shown, 3)[0] in logged, "the control: whom it shows, it looked up"
    assert commitments(shown, 3) != logged


# ------------------------------------------------------------------------------------------------------- the wall


def test_a_process_that_is_no_box_reads_nothing_of_others(form: Form, tmp_path: Path) -> None:
    done = went(form, tmp_path)
    assert Refused.code in done.failed.values() and done.left() == set()


def test_a_box_does_one_job(form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two boxes in one process: the second one finds what the first one left in memory, and does nothing."""
    monkeypatch.setattr(crypto_box, "_entered", [])
    monkeypatch.setattr(crypto_box, "is_confined", lambda: True)
    done = went(form, tmp_path)
    assert StateConflict.code in done.failed.values() and done.left() == set()


# -------------------------------------------------------------------------------------- what another party makes up


def beyond_the_modulus(raw: bytes) -> bytes:
    return b"\xff" * 8 + raw[8:]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(beyond_the_modulus, LinkBroken.code), (lambda raw: raw, "")],
)
def test_scores_that_are_none_end_the_attempt_with_a_stable_code(
    scoring_files: dict[str, Files],
    tmp_path: Path,
    in_a_box: None,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[bytes], bytes],
    code: str,
) -> None:
    """The model's owner seals what is no ciphertext. The control is the honest one. (Numbers that are scores of another
    model are as good as this one's.)
    """
    honest = scoring.Scorer.score
    monkeypatch.setattr(scoring.Scorer, "score", lambda *args: spoil(honest(*args)))
    joint = persons.scored(scoring_files, persons.KEY)
    done = went((joint, scoring_files), tmp_path)
    assert done.failed == ({f"{BANK}/party": code} if code else {})
    assert done.left() == (set() if code else {BANK})


def test_a_register_that_answers_with_other_columns_is_found_out(
    lookup_files: dict[str, Files], tmp_path: Path, in_a_box: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Owner.column
    monkeypatch.setattr(Owner, "column", lambda *args: beyond_the_modulus(honest(*args)))
    joint = persons.looked_up(lookup_files, persons.KEY)
    done = went((joint, lookup_files), tmp_path)
    assert set(done.failed) == {f"{OWN}/party"} and done.left() == set()


def test_a_seeker_that_sends_what_is_no_point_ends_the_registers_box_with_a_stable_code(
    lookup_files: dict[str, Files], tmp_path: Path, in_a_box: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lookup, "blinded", property(lambda _lookup: bytes(POINTS)))
    joint = persons.looked_up(lookup_files, persons.KEY)
    done = went((joint, lookup_files), tmp_path)
    assert done.failed[f"{CIVIL}/party"] == LinkBroken.code and done.left() == set()


def test_who_has_no_part_in_what_is_told_leaves_nothing(
    form: Form, tmp_path: Path, in_a_box: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flaw in a protocol that gave the model's or the register's owner something to hand over."""
    honest, finder = computation.take_part, form[0].task.finder

    def flawed(work: Any, rows: Any) -> Any:
        found = honest(work, rows)
        return found if work.domain == finder else computation.Scores((1,), 0)

    monkeypatch.setattr(party, "take_part", flawed)
    done = went(form, tmp_path)
    (other,) = {each.domain for each in form[0].parties} - {finder}
    assert done.failed == {f"{other}/party": "platform.defect"} and done.left() == {finder}


def test_whoever_is_not_the_recipient_opens_no_table(form: Form, tmp_path: Path, in_a_box: None) -> None:
    done = went(form, tmp_path)
    assert done.judged().rows
    done.recipient = sealing.OpeningKey.fresh()
    with pytest.raises(EvidenceBroken):
        done.judged()
