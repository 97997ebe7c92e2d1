"""`docs/policies.md` is what stewards read; its example is read by the program, and its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plans.decision import Tier
from plans.errors import DarkroomError
from plans.statements import Bundle
from policies.api import short
from policies.reading.grammar import AGGREGATES
from server.policy_files import read_policies

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]


def read(tmp_path: Path, text: str) -> Bundle:
    file = tmp_path / "policies.toml"
    file.write_text(text, encoding="utf-8")
    return Bundle("nm/tax", 1, read_policies(file))


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


def test_every_word_of_a_column_is_on_the_page() -> None:
    uses = PAGE.partition("## Uses of a column")[2].partition("\n## ")[0]
    for word in ("filter", "join", "group", "aggregate", *AGGREGATES):
        assert f"`{word}`" in uses


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
