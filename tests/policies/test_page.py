"""`docs/policies.md` is what stewards read; its examples are read by the program, and its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plans.constraints import ANY, Action, Effect, Mask, MaskKind, Reveal, Share, Use
from plans.decision import Tier
from plans.errors import DarkroomError
from plans.statements import Bundle
from policies.api import short
from policies.reading.grammar import AGGREGATES
from server import policy_words as words
from server.policy_files import read_policies
from server.policy_words import FUNCTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
EXAMPLE, LONG, NOBODY = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def read(tmp_path: Path, text: str) -> Bundle:
    file = tmp_path / "policies.toml"
    file.write_text(text, encoding="utf-8")
    return read_policies(file).bundle("nm/tax", 1)


def test_the_example_is_read_as_the_page_says(tmp_path: Path) -> None:
    (policy,) = read(tmp_path, EXAMPLE).policies
    assert (policy.minimum_group, policy.rounding, policy.largest_result) == (10, 5, 5_000)
    assert (policy.tier, policy.each_plan, policy.row_filter) == (Tier.T1, False, "year >= 2020")
    assert policy.about("income") == (short("income", ("avg", "sum")),)
    assert policy.about("region") == (short("region", ("filter", "group")),)
    assert policy.about("other") == ()


def test_what_is_left_out_has_the_defaults_that_the_page_states(tmp_path: Path) -> None:
    (policy,) = read(tmp_path, '["nm/tax/income"]\n["nm/tax/income".columns]\nregion = []\n').policies
    stated = dict(re.findall(r"^\| `(\w+)` \| `?\"?([^`\"|]+)\"?`? \|", PAGE, re.MULTILINE))
    for name in ("minimum_group", "rounding", "largest_result", "tier"):
        assert stated[name] == str(getattr(policy, name))
    assert stated["each_plan"] == str(policy.each_plan).lower() and policy.row_filter == ""
    assert policy.about("region") == (short("region", ()),)


def test_the_long_example_is_read_as_the_page_says(tmp_path: Path) -> None:
    bundle = read(tmp_path, LONG)
    (policy,) = bundle.policies
    allowed, denied = policy.about("income")
    assert (allowed.minimum, allowed.functions, allowed.purposes) == (20, ("avg",), ("research on poverty",))
    assert (denied.effect, denied.parties, denied.roles) == (Effect.DENY, ("nm/uni/guests",), (ANY,))
    assert policy.about("phone")[0].mask == Mask("phone", MaskKind.LAST, "4")
    assert [tag.name for tag in bundle.tags] == ["wealth"] and policy.tagged[0].tags == ("wealth",)
    assert policy.access[0].parties == ("nm/uni", "wu@nm/centre")


def test_the_example_of_data_about_nobody_shows_rows_and_joins(tmp_path: Path) -> None:
    (policy,) = read(tmp_path, NOBODY).policies
    assert (policy.minimum_group, policy.rounding) == (1, 1)
    assert policy.access[0].actions == (Action.QUERY, Action.READ_ROWS)
    for column in ("code", "name"):
        assert policy.about(column) == (short(column, ("select", "filter", "join", "group")),)


def section(name: str) -> str:
    """A section of the page."""
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("name", "words"), [
    ("Uses of a column", (*Use, *FUNCTIONS, *AGGREGATES)),
    ("The long form", (*Reveal, *Effect, *words.RULE, *(f'"{kind}' for kind in MaskKind))),
    ("Access", tuple(Action)),
    ("Settings of a dataset", (*words.SETTINGS, *Share)),
])  # fmt: skip
def test_every_word_is_on_the_page(name: str, words: tuple[str, ...]) -> None:
    text = section(name)
    assert [word for word in words if f"`{word}" not in text and f'`"{word}"' not in text] == []


def test_every_function_of_the_guard_can_be_named() -> None:
    assert set(AGGREGATES) <= FUNCTIONS


@pytest.mark.parametrize("text", [
    '["nm/tax/income"]\n',
    '["nm/tax/income"]\ncolumns = 3\n',
    '["nm/tax/income"]\nminimun_group = 5\n["nm/tax/income".columns]\n',
    '["nm/tax/income"]\nminimum_group = "many"\n["nm/tax/income".columns]\n',
    '["nm/tax/income"]\ntier = "T9"\n["nm/tax/income".columns]\n',
    '["nm/tax/*"]\n["nm/tax/*".columns]\n',
    '["nm/tax/income"]\n["nm/tax/income".columns]\n"Region" = ["group"]\n',
    '["nm/tax/income"]\n["nm/tax/income".columns]\nregion = 1\n',
    "not toml",
])  # fmt: skip
def test_a_wrong_file_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(DarkroomError):
        read(tmp_path, text)
