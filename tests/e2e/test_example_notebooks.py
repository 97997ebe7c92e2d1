"""The notebooks of `examples/notebooks` say what one sees: their cells run in a real kernel at a real platform.

The one that asks several agencies is in `tests/e2e/joint`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from darkroom import notebook, notebook_file
from examples.notebooks import data
from examples.story.people import arrive
from server.enrolment import current_roster, sign_policies
from server.twins import ordered
from tests.e2e import notebook_kernel as kernels
from tests.e2e import town as towns
from tests.e2e.notebook_kernel import NOTEBOOKS, Reader, Seen, Told

pytestmark = [pytest.mark.box, pytest.mark.ray]

NAMES = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.py"))
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def town(town: towns.Town) -> Iterator[towns.Town]:
    """The town with the registers of the notebooks, granted to Wang; and Qian, who has no grant."""
    for name, path in data.write(town.folder / "notebook-data").items():
        town.ingest(path, data.description(name))
        ordered(town.site.home, f"{data.DOMAIN}/{name}", order=False)
    _sign(town, towns.POLICY + data.policy())
    for name, columns in data.GRANTED.items():
        town.give_grant(columns, dataset=f"{data.DOMAIN}/{name}")
    qian = arrive(town.site, town.url, town.folder / "people", f"qian@{towns.DOMAIN}", ("researcher",))
    keeper = next(entry.key for entry in current_roster(town.owner).entries if entry.duty == "keeper")
    qian.connection.trust_keeper(towns.DOMAIN, keeper)
    town.people["qian"] = qian
    yield town
    _sign(town, towns.POLICY)


def _sign(town: towns.Town, policy: str) -> None:
    path = town.folder / "notebook-policies.toml"
    path.write_text(policy)
    sign_policies(town.owner, path, town.people["zhao"].keys)


@pytest.fixture
def as_(town: towns.Town, tmp_path: Path) -> Callable[..., Reader]:
    """Return who reads a notebook, in an empty folder."""
    return lambda who, **acts: Reader(
        town.people[who], tmp_path / "work", {name.replace("_", "-"): act for name, act in acts.items()}
    )


def until_real(name: str) -> Callable[[Told], bool]:
    """Return whether a cell stands before the first one that asks something of real data."""
    before = takewhile(lambda cell: 'on="real"' not in cell.source, kernels.told(name))
    return list(before).__contains__


def refusals(seen: list[Seen]) -> list[str]:
    return [each.code for each in seen if each.cell.refusal]


@pytest.mark.parametrize("name", NAMES)
def test_its_text_is_a_notebook_with_a_chinese_title_and_sentence_for_each_step(
    name: str, tmp_path: Path
) -> None:
    text = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    made = tmp_path / f"{name}.ipynb"
    made.write_bytes(notebook.notebook_of(text))
    cells = kernels.told(name)
    assert [(each.kind, each.source) for each in notebook_file.read(made)] == [
        (each.kind, each.source) for each in cells
    ]
    assert any(each.refusal for each in cells), "one refusal at least"
    steps = [each.source.rstrip() for each in cells if each.kind == "markdown"]
    assert [step for step in steps if not (CHINESE.search(step) and step.endswith("。"))] == []
    titles = [step.partition("\n")[0] for step in steps if step.startswith("#")]
    assert [title for title in titles if not CHINESE.search(title)] == []


def test_01_a_first_query_a_refusal_and_its_advice(as_: Callable[..., Reader]) -> None:
    seen = kernels.read_through("01_first_query", as_("wang"))
    assert kernels.wrong(seen) == []
    (refused,) = [each.shown for each in seen if each.cell.refusal]
    assert "steward or approver of nm/tax" in refused and "avg(income)" in refused, "whom to ask, what passes"
    assert any("LOOK-ALIKE" in each.shown for each in seen)


def test_02_a_study_from_application_to_release(town: towns.Town, as_: Callable[..., Reader]) -> None:
    def grant() -> None:
        li, qian = town.people["li"].connection, town.people["qian"]
        (wish,) = [each for each in li.applications() if each["member"] == qian.name]
        li.trust_member(qian.name, qian.fingerprint)
        li.hand_in(li.grant(str(wish["id"])), str(wish["id"]))

    seen = kernels.read_through("02_from_application_to_release", as_("qian", somebody_grants=grant))
    assert kernels.wrong(seen) == []


def test_03_a_model_on_unseen_data(as_: Callable[..., Reader]) -> None:
    seen = kernels.read_through("03_a_model_on_unseen_data", as_("wang"))
    assert kernels.wrong(seen) == []


def test_04_privacy_and_budgets(as_: Callable[..., Reader]) -> None:
    seen = kernels.read_through("04_privacy_and_budgets", as_("wang"))
    assert kernels.wrong(seen) == []
    assert refusals(seen) == ["policy.denied", "budget.spent"]


CHINESE_TEXT = "06_chinese_text_and_recognition"


def test_06_chinese_text_and_recognition_on_twins(as_: Callable[..., Reader]) -> None:
    seen = kernels.read_through(CHINESE_TEXT, as_("wang"), until_real(CHINESE_TEXT))
    assert len(seen) >= 3 and kernels.wrong(seen) == []


@pytest.mark.long
def test_06_chinese_text_and_recognition(as_: Callable[..., Reader]) -> None:
    seen = kernels.read_through(CHINESE_TEXT, as_("wang"))
    assert kernels.wrong(seen) == []
    assert any("供暖" in each.shown for each in seen) and any("营业执照" in each.shown for each in seen)
