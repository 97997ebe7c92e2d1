"""A policy file that is not right is refused with what is wrong, where, and where its form is described."""

from __future__ import annotations

from pathlib import Path

import pytest

from plans.errors import DarkroomError, NotFound, SettingsWrong
from server.policy_files import read_policies

GOOD = '["nm/tax/income"]\ntier = "T1"\n["nm/tax/income".columns]\nregion = ["group", "filter"]\n'

WRONG = {
    "no TOML": ("[", "not TOML"),
    "not UTF-8": ("\udcff", "not TOML"),
    "no table": ('"nm/tax/income" = 7', "no table of settings"),
    "no columns": ('["nm/tax/income"]', "no table of columns"),
    "columns are no table": ('["nm/tax/income"]\ncolumns = 7', "no table of columns"),
    "an unknown setting": (GOOD.replace("tier", "teer"), "unknown setting 'teer'"),
    "an unknown tier": (GOOD.replace("T1", "T9"), "no isolation tier"),
    "a word for a list": (GOOD.replace('["group", "filter"]', '"group"'), "a list of words"),
    "a number for a list": (GOOD.replace('["group", "filter"]', "7"), "a list of words"),
    "lists in a list": (GOOD.replace('"group"', '["group"]'), "a list of words"),
    "an unknown word": (GOOD.replace('"group"', '"min"'), "no clause and no function"),
    "a number as text": (GOOD.replace('tier = "T1"', 'rounding = "5"'), "written as int"),
}


def policies(folder: Path, text: str) -> Path:
    file = folder / "policies.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    return file


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_not_right_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsWrong, match=said) as refused:
        read_policies(policies(tmp_path, text))
    assert refused.value.where and "docs/settings.md" not in refused.value.next_step


@pytest.mark.parametrize(("old", "new"), [("nm/tax/income", "income"), ('tier = "T1"', "rounding = 0")])
def test_what_no_policy_may_say_is_refused_too(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(DarkroomError):
        read_policies(policies(tmp_path, GOOD.replace(old, new)))


def test_a_file_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_policies(tmp_path / "none.toml")


def test_control_the_same_file_without_the_mistake_is_read(tmp_path: Path) -> None:
    (policy,) = read_policies(policies(tmp_path, GOOD))
    assert policy.dataset == "nm/tax/income" and policy.columns[0].column == "region"
