"""Pages of the ledger on disk: encrypted, bound to the journal, and whole or not there whenever a keeper is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from keeper.ledger_book import Page
from plans.errors import DiskFull, EvidenceBroken
from tests.keeper.people import CASE, Owner, People, case, plan_digest

PEOPLE = People(300)


def some(first: int, after: int) -> frozenset[int]:
    return frozenset(range(first, after))


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    made = Owner(tmp_path)
    made.weigh(case("a"), PEOPLE.cells(some(0, 100), some(100, 200)))
    return made


def pages(owner: Owner) -> list[Path]:
    return sorted((owner.folder / "ledger").glob("*.page"))


def test_nothing_of_a_page_is_read_from_a_stolen_disk(owner: Owner) -> None:
    (page,) = pages(owner)
    content = page.read_bytes()
    for word in (b"question", CASE.member.encode(), b"tax", b"DKS4"):
        assert word not in content
    assert page.stat().st_mode & 0o077 == 0
    assert all(set(line) == {"plan", "page"} for _, line in owner.lines), "nor from the journal"


def test_a_page_holds_what_was_weighed(owner: Owner) -> None:
    ((_, line),) = owner.lines
    page = owner.ledger.page(plan_digest("a"))
    assert page is not None and Page.decode(page.encode()) == page
    assert line["plan"] == page.plan and page.charges == {"cells/tax.income.income": 2}


TAMPERED: dict[str, Callable[[Owner, Path], Any]] = {
    "removed": lambda owner, page: page.unlink(),
    "cut short": lambda owner, page: os.truncate(page, 100),
    "another one": lambda owner, page: shutil.copy(pages(owner)[0], pages(owner)[1]),
    "a bit": lambda owner, page: page.write_bytes(
        page.read_bytes()[:-1] + bytes([page.read_bytes()[-1] ^ 1])
    ),
    "emptied": lambda owner, page: page.write_bytes(b""),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_82_a_page_that_is_gone_old_or_changed_is_noticed_at_the_start(owner: Owner, tamper: Any) -> None:
    owner.weigh(case("b"), PEOPLE.cells(some(200, 300)))
    owner.start()
    tamper(owner, pages(owner)[1])
    with pytest.raises(EvidenceBroken):
        owner.start()


def test_82_pages_of_an_older_backup_do_not_fit_a_newer_journal(owner: Owner, tmp_path: Path) -> None:
    shutil.copytree(owner.folder / "ledger", tmp_path / "backup")
    owner.weigh(case("b"), PEOPLE.cells(some(200, 300)))
    shutil.rmtree(owner.folder / "ledger")
    shutil.copytree(tmp_path / "backup", owner.folder / "ledger")
    with pytest.raises(EvidenceBroken, match="missing"):
        owner.start()


class Killed(BaseException):
    """The process is gone."""


STEPS = ("open", "fsync", "replace")


@contextmanager
def killed_at(step: str, after: bool) -> Iterator[None]:
    """Let the process end just before or after a call that the disk sees."""
    real = getattr(os, step)

    def dies(*words: Any, **more: Any) -> Any:
        if after:
            real(*words, **more)
        raise Killed

    with mock.patch(f"keeper.journal.os.{step}", dies), pytest.raises(Killed):
        yield


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_33_killed_at_any_step_of_a_page_no_key_was_given_and_asking_again_charges_once(
    owner: Owner, step: str, after: bool
) -> None:
    table = PEOPLE.cells(some(1, 100), some(200, 300))
    with killed_at(step, after):
        owner.weigh(case("b"), table)
    owner.start()
    assert owner.ledger.room(CASE.quotas[0], "", owner.now).left == 20_000 - 2, "as if it had not been asked"
    assert owner.weigh(case("b"), table) == ((0,),)
    assert owner.ledger.room(CASE.quotas[0], "", owner.now).left == 20_000 - 4


def test_33_killed_after_the_line_the_charge_stands_though_nobody_got_an_answer(owner: Owner) -> None:
    note = owner.ledger._note

    def dies(kind: str, line: dict[str, Any]) -> None:
        note(kind, line)
        raise Killed

    owner.ledger._note = dies
    table = PEOPLE.cells(some(1, 100), some(200, 300))
    with pytest.raises(Killed):
        owner.weigh(case("b"), table)
    owner.start()
    assert owner.ledger.room(CASE.quotas[0], "", owner.now).left == 20_000 - 4
    assert owner.weigh(case("b"), table) == ((0,),) and len(owner.lines) == 2


def test_a_full_disk_gives_no_answer_and_charges_nothing(owner: Owner) -> None:
    with (
        mock.patch("keeper.journal.os.fsync", side_effect=OSError(28, "No space left")),
        pytest.raises(DiskFull),
    ):
        owner.weigh(case("b"), PEOPLE.cells(some(200, 300)))
    assert len(owner.lines) == 1
    assert owner.ledger.room(CASE.quotas[0], "", owner.now).left == 20_000 - 2
