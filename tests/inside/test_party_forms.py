"""Boxes of the other forms of joint computations: an inspector's table, one table in parts, persons in common.

What leaves is one file of whoever opens first, for the recipient alone; of a size that tells nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airlock.rounding import count
from inside import party
from keys import sealing
from mpc.protocols import inspected as opening
from mpc.protocols.computation import Totals, take_part
from mpc.protocols.opening import hand_over
from mpc.protocols.replicated import refresh
from plans.errors import EvidenceBroken
from plans.handover import unpadded
from plans.joint import JointPlan
from plans.joint_answer import JUDGED_INFO, OPENED_INFO, judged_bound
from plans.released import SUPPRESSED, Released
from tests.inside import party_forms as forms
from tests.inside.joint_cases import Files
from tests.inside.party_cases import Boxes
from tests.inside.party_forms import CANARY, CIVIL, EAST, HEALTH, OFFICE, PARTS, TAX
from tests.inside.test_party import INCOMES, VISITS, expected, files, plan_of, recipient

__all__ = ["files", "recipient"]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    folder = tmp_path_factory.mktemp("parts")
    return {domain: Files(folder / domain.replace("/", "-"), table) for domain, table in PARTS.items()}


def go(
    joint: JointPlan, folder: Path, owners: dict[str, Files], key: sealing.OpeningKey, **changes: Any
) -> Boxes:
    folder.mkdir(exist_ok=True)
    went = Boxes(joint, folder, owners, key, **changes)
    went.go()
    return went


def texts(table: Released) -> list[tuple[str | None, ...]]:
    return [tuple("…" if cell.suppressed else cell.v for cell in row) for row in table.rows]


# ------------------------------------------------------------------------------------------------- inspected


def test_an_inspector_leaves_a_judged_table_and_servers_leave_nothing(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """It is an owner and a server itself here; figures are rounded, and a cell where nobody is stays back."""
    joint = plan_of(files, recipient, region=("east", "west", "south"))
    went = go(forms.inspected(joint, TAX, rounding=4), tmp_path, files, recipient)
    table = went.judged()
    shown = {row[0]: row[2] for row in texts(table)}
    wanted = {region: str(count(number, 4)) for region, (number, _) in expected().items()}
    assert shown == wanted | {"south": "…"}
    assert [column.name for column in table.columns] == ["region", "mean", "n"]
    assert table.rows[2][1:] == (SUPPRESSED, SUPPRESSED)
    assert table.plan == went.joint.digest and went.left() == {TAX}
    assert all(set(report) <= {"sent_bytes"} for report in went.reports.values())


def test_nobody_but_the_recipient_opens_it_and_as_nothing_else(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """The control opens it with what it was bound to."""
    went = go(forms.inspected(plan_of(files, recipient), TAX), tmp_path, files, recipient)
    sealed, digest = went.sealed(), went.joint.digest
    bound = judged_bound(digest, 1, TAX)
    attempts = [
        (sealing.OpeningKey.fresh(), JUDGED_INFO, bound),
        (went.secrets[TAX], JUDGED_INFO, bound),
        (recipient, OPENED_INFO, bound),
        (recipient, JUDGED_INFO, judged_bound(digest, 2, TAX)),
        (recipient, JUDGED_INFO, judged_bound(digest, 1, HEALTH)),
        (recipient, JUDGED_INFO, judged_bound("sha256:" + "1" * 64, 1, TAX)),
    ]
    for key, info, other in attempts:
        with pytest.raises(EvidenceBroken):
            key.open(sealed, info, other)
    assert unpadded(recipient.open(sealed, JUDGED_INFO, bound))


def lie(monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    """A server changes what it hands to the inspector: one more person in the first cell of the first sum."""
    honest = opening.hand_to

    def changed(me: Any, inspector: str, domain: str, sums: Any) -> Any:
        if domain != who:
            return honest(me, inspector, domain, sums)
        own, other = hand_over(refresh(me, sums))
        me.channel.send(inspector, opening.INSPECTED, bytes((own[0] + 1 & 255,)) + own[1:] + other)
        return None

    monkeypatch.setattr(opening, "hand_to", changed)


def test_an_inspector_that_two_servers_tell_different_things_opens_nothing(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control believes one of them, and a wrong number leaves."""
    joint = forms.inspected(plan_of(files, recipient), TAX)
    lie(monkeypatch, CIVIL)
    went = go(joint, tmp_path / "compared", files, recipient)
    assert went.failed == {f"{TAX}/party": "joint.shares-disagree"} and went.left() == set()

    def believing(ring: Any, shape: Any, pairs: Any) -> Any:
        own = [ring.from_raw(pair[0], shape) for pair in pairs]
        return ring.add(ring.add(own[0], own[1]), own[2])

    monkeypatch.setattr(opening, "reconstruct", believing)
    wrong = go(joint, tmp_path / "believed", files, recipient)
    assert texts(wrong.judged())[0][2] != str(expected()["east"][0])


def test_a_sum_that_owners_round_is_nowhere_in_what_leaves(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """The control: where no owner rounds, the exact number of persons is in the table."""
    for rounding, told in ((7, False), (1, True)):
        joint = forms.inspected(plan_of(files, recipient), HEALTH, rounding=rounding)
        went = go(joint, tmp_path / str(rounding), files, recipient)
        content = went.judged().canonical()
        assert any(f'"{number}"'.encode() in content for number, _ in expected().values()) is told
        assert CANARY.encode() not in content and went.left() == {HEALTH}


def test_the_size_of_what_leaves_tells_nothing(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """Of one plan: with everybody in it, and with nobody. The control: the tables are of different sizes."""
    few = {
        HEALTH: Files(tmp_path / "h", replace(files[HEALTH].table, rows=VISITS[:1])),
        TAX: Files(tmp_path / "t", replace(files[TAX].table, rows=INCOMES[-1:])),
    }
    sizes: dict[str, set[int]] = {}
    for name, owners in (("all", files), ("few", few)):
        plans = {
            "inspected": forms.inspected(plan_of(owners, recipient), TAX),
            "common": forms.common(owners, recipient),
        }
        for form, joint in plans.items():
            went = go(joint, tmp_path / f"{name}-{form}", owners, recipient)
            sizes.setdefault(form, set()).add(len(went.sealed()))
            sizes.setdefault(f"{form}, in clear", set()).add(len(went.judged().canonical()))
    assert {form: len(found) for form, found in sizes.items()} == {
        "inspected": 1, "inspected, in clear": 2, "common": 1, "common, in clear": 2
    }  # fmt: skip


# --------------------------------------------------------------------------------------------- one table in parts


def test_parts_of_one_table_are_added_up_for_the_recipient(
    parts: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """Columns have other names in each part; a person may be in both, so each part has a group of its own."""
    went = go(forms.stacked(parts, recipient), tmp_path, parts, recipient)
    answer = went.answer()
    assert {row[0]: row[1:] for row in answer.rows if row[2]} == {
        region: found for region, found in forms.stacked_rows().items() if found[1] >= 20
    }
    assert answer.withheld == 2 and went.left() == set(went.joint.task.servers)


@pytest.mark.parametrize("inspector", [HEALTH, TAX])
def test_parts_of_one_table_can_be_inspected(
    parts: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path, inspector: str
) -> None:
    went = go(forms.stacked(parts, recipient, inspector), tmp_path, parts, recipient)
    shown = {row[0]: row[2] for row in texts(went.judged())}
    rows = {
        region: str(number) if number >= 20 else "…" for region, (_, number) in forms.stacked_rows().items()
    }
    assert shown == rows and went.left() == {inspector}


def test_a_part_with_a_person_twice_says_nothing_to_anybody(
    parts: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    twice = parts | {HEALTH: Files(tmp_path / "twice", replace(PARTS[HEALTH], rows=[*EAST, EAST[0]]))}
    went = go(forms.stacked(twice, recipient), tmp_path / "went", twice, recipient)
    assert went.failed[f"{HEALTH}/party"] == "extract.keys" and went.left() == set()
    assert all(not content for (sender, _), content in went.wire.items() if sender == HEALTH)


# ------------------------------------------------------------------------------------------------- in common


@pytest.mark.parametrize("helper", [OFFICE, ""])
@pytest.mark.parametrize("where", ["", "\"region\" = 'east'"])
def test_a_finder_learns_which_of_its_own_persons_all_have(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path, helper: str, where: str
) -> None:
    """The condition is over the finder's own rows."""
    went = go(forms.common(files, recipient, helper, where), tmp_path, files, recipient)
    table = went.judged()
    incomes = {person for person, _ in INCOMES}
    both = [person for person, region, _ in VISITS if person in incomes and (not where or region == "east")]
    assert [row[0] for row in texts(table)] == sorted(both)
    assert [(column.name, column.type) for column in table.columns] == [("person", "VARCHAR")]
    assert went.left() == {HEALTH}
    assert all(set(report) <= {"sent_bytes"} for report in went.reports.values())


def test_what_carriers_see_of_persons_in_common_is_the_same_whoever_matches(
    files: dict[str, Files], recipient: sealing.OpeningKey, tmp_path: Path
) -> None:
    """Bytes on every link, in number; the control: with all persons and with none the tables differ."""
    others = [(str(int(CANARY) + 1 + n), "east", "E11.9") for n in range(len(VISITS))]
    strangers = files | {HEALTH: Files(tmp_path / "others", replace(files[HEALTH].table, rows=others))}
    seen, tables = [], []
    for name, owners in (("same", files), ("none", strangers)):
        went = go(forms.common(owners, recipient, ""), tmp_path / name, owners, recipient)
        tables.append(len(went.judged().rows))
        seen.append({ends: len(content) for ends, content in went.wire.items()})
    assert seen[0] == seen[1] and tables == [40, 0]


# --------------------------------------------------------------------------------------------- what is no one's


@pytest.mark.parametrize(("who", "handed"), [(CIVIL, Totals(((1,),))), (TAX, None)])
def test_a_box_leaves_nothing_that_is_not_its_own_to_leave(
    files: dict[str, Files],
    recipient: sealing.OpeningKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
    handed: Any,
) -> None:
    """A flaw in a protocol that gave sums to a server of an inspected answer, or none to the inspector."""
    honest = take_part

    def flawed(work: Any, rows: Any) -> Any:
        found = honest(work, rows)
        return handed if work.domain == who else found

    monkeypatch.setattr(party, "take_part", flawed)
    went = go(forms.inspected(plan_of(files, recipient), TAX), tmp_path, files, recipient)
    assert went.failed == {f"{who}/party": "platform.defect"}
    assert went.left() == ({TAX} - {who})
