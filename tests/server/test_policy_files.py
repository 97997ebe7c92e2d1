"""A policy file that is not right is refused with what is wrong, on which line, and where its form is described."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from airlock import presets
from plans.constraints import (
    ANY,
    Access,
    Action,
    Constraint,
    Effect,
    Mask,
    MaskKind,
    Reveal,
    Share,
    Tag,
    Tagged,
    Use,
)
from plans.errors import NotFound, SettingsWrong
from plans.joint_rules import JointRules, Matching, Opening
from plans.manifest import Grade
from policies.api import short
from server.policy_files import Written, read_policies
from server.policy_words import EVERYBODY

GOOD = """\
["nm/tax/income"]
tier = "T1"

["nm/tax/income".columns]
region = ["group", "filter"]
"""

LONG = """\
# Income tax, 2024.
[tags.personal]
grade = "general-3"
uses = ["filter", "group", "aggregate"]
functions = ["sum", "avg"]
reveal = "as-group-key"

[tags.finance]
parent = "personal"
grade = "general-4"
uses = ["aggregate"]
functions = ["avg"]
reveal = "after-aggregation"
minimum = 20

["nm/tax/income"]
share = "none"
basis = "Decree 809, article 12"
row_filter = \"\"\"
year >= 2020
\"\"\"

[["nm/tax/income".access]]
parties = ["nm/uni", "wu@nm/centre"]
roles = ["researcher"]
actions = ["query", "read-rows"]
purposes = ["research on poverty"]
until = 2027-12-31

[["nm/tax/income".access]]
effect = "deny"
parties = ["nm/uni/guests"]
actions = ["read-rows"]

["nm/tax/income".tags]
income = ["finance"]

["nm/tax/income".columns]
region = ["group", "filter"]

[["nm/tax/income".columns.income]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
functions = ["avg"]
minimum = 20

[["nm/tax/income".columns.income]]
effect = "deny"
parties = ["nm/uni/guests"]
uses = ["aggregate"]

[["nm/tax/income".columns.phone]]
parties = ["nm/uni"]
roles = ["researcher"]
purposes = ["any"]
uses = ["select", "group"]
mask = "last 4"
until = 2027-12-31
"""
END = int(datetime.datetime(2028, 1, 1, tzinfo=datetime.UTC).timestamp())

AVERAGE = 'functions = ["avg"]\nminimum = 20\n\n[["'
DENIAL = 'uses = ["aggregate"]\n\n[['
INCOME = '[["nm/tax/income".columns.income]]'

# What is wrong: the text, how the line that is named begins, and what is said.
WRONG = {
    "an empty file": ("", "", "a policy for no dataset"),
    "tags and no dataset": ('[tags.a]\ngrade = "core"\n', "[tags.a]", "a policy for no dataset"),
    "no table": ('"nm/tax/income" = 7', '"nm', "no table of settings"),
    "no columns": ('["nm/tax/income"]', '["nm', "no table of columns"),
    "columns are no table": ('["nm/tax/income"]\ncolumns = 7', "columns", "no table of settings"),
    "an unknown setting": (GOOD.replace("tier", "teer"), "teer", "'teer' is no setting here"),
    "an unknown tier": (GOOD.replace("T1", "T9"), "tier", "'T9' is no tier"),
    "a limit of nothing": (GOOD.replace('tier = "T1"', "rounding = 0"), "rounding", "at least 1"),
    "a number as text": (GOOD.replace('tier = "T1"', 'rounding = "5"'), "rounding", "a whole number"),
    "a truth as text": (GOOD.replace('tier = "T1"', 'each_plan = "false"'), "each_plan", "true or false"),
    "a word for a list": (GOOD.replace('["group", "filter"]', '"group"'), "region", "a list of words"),
    "a number for a list": (GOOD.replace('["group", "filter"]', "7"), "region", "a list of words"),
    "lists in a list": (GOOD.replace('"group"', '["group"]'), "region", "words or tables"),
    "words and tables": (GOOD.replace('"group"', "{}"), "region", "words or tables"),
    "an unknown word": (GOOD.replace('"group"', '"grope"'), "region", "'grope' is no use and no function"),
    "an unknown word further down": (
        GOOD.replace('"filter"', '\n # which?\n "fliter"'), ' "fliter"', "'fliter' is no use"
    ),
    "an unknown share type": (LONG.replace('"none"', '"some"'), "share", "'some' is no share"),
    "a rule without parties": (LONG.replace('parties = ["any"]\n', ""), INCOME, "parties are named"),
    "a rule for nobody": (LONG.replace('parties = ["any"]', "parties = []"), "parties = []", "parties are named"),
    "anybody and somebody": (
        LONG.replace('parties = ["any"]', 'parties = ["any", "nm/x"]'), 'parties = ["any"', "beside 'any' none is"
    ),
    "a role that reads nothing": (
        LONG.replace('roles = ["any"]', 'roles = ["auditor"]'), 'roles = ["auditor', "'auditor' is no role"
    ),
    "an unknown action": (
        LONG.replace('"query", "read', '"delete", "read'), "actions", "'delete' is no word of actions"
    ),
    "no action": (LONG.replace('["query", "read-rows"]', "[]"), '[["nm/tax/income".access', "names its actions"),
    "access that is misspelt": (
        LONG.replace('[["nm/tax/income".access]]', '[["nm/tax/income".axes]]', 1), '[["nm/tax/income".axes', "'axes'"
    ),
    "a day as text": (LONG.replace("2027-12-31", '"2027-12-31"', 1), "until", "an end is a day"),
    "an hour": (LONG.replace("2027-12-31", "2027-12-31T12:00:00Z", 1), "until", "an end is a day"),
    "a day before the first": (LONG.replace("2027-12-31", "1969-12-31", 1), "until", "between the years 1970"),
    "a day after the last": (LONG.replace("2027-12-31", "9999-12-31", 1), "until", "between the years 1970 and 9998"),
    "a number of a hundred digits": (
        GOOD.replace('tier = "T1"', "rounding = 1" + "0" * 100), "rounding", "too large a number"
    ),
    "a basis with hidden signs": (
        GOOD.replace('tier = "T1"', 'basis = "a\\u202Eb"'), "basis", "RIGHT-TO-LEFT OVERRIDE"
    ),
    "a filter with hidden signs": (
        GOOD.replace('tier = "T1"', 'row_filter = "year \\u0007 > 3"'), "row_filter", "a control character"
    ),
    "an unknown mask": (LONG.replace("last 4", "first 4"), "mask", "'first' is no mask"),
    "a mask of nothing": (LONG.replace("last 4", "last 0"), "mask", "does not take '0'"),
    "a prohibition that reveals": (LONG.replace(DENIAL, 'reveal = "plain"\n\n[['), INCOME, "reveals nothing"),
    "an aggregate of nothing": (LONG.replace(AVERAGE, 'uses = ["aggregate"]\n[["'), INCOME, "names its functions"),
    "an unknown function": (
        LONG.replace(AVERAGE, 'functions = ["mode"]\n[["'), 'functions = ["mode', "'mode' is no function"
    ),
    "a tag without a grade": (LONG.replace('grade = "general-4"\n', ""), "[tags.finance]", "has a grade"),
    "a tag that nobody describes": (LONG.replace('["finance"]', '["finances"]'), "income = ", "'finances' is not"),
    "a tag below nothing": (LONG.replace('parent = "personal"', 'parent = "none"'), "parent", "'none' is not"),
    "tags in a circle": (
        LONG.replace("[tags.personal]", '[tags.personal]\nparent = "finance"'),
        "parent",
        "personal \u2192 finance \u2192 personal",
    ),
    "a tag above itself": (
        LONG.replace('parent = "personal"', 'parent = "finance"'), "parent", "finance \u2192 finance"
    ),
    "a domain for a dataset": (GOOD.replace("nm/tax/income", "income"), '["income"]', "not a well-formed dataset"),
}  # fmt: skip

# Names that could be taken for another one, or for a pattern (ATTACKS 60).
NAMES = ["nm/tax/*", "nm/tax/income,nm/tax/x", "nm/tax/income/", "nm//income", "nm/tax/Income", "nm/tax/inc\u043eme",
         "nm/tax/income ", "nm/tax/'income'", "nm%2ftax%2fincome", "nm/tax/in.*", "\uff4em/tax/income"]  # fmt: skip
COLUMNS = [
    "region,income",
    "*",
    "re*",
    "Region",
    "r\u0435gion",
    "reg ion",
    'reg\\"ion',
    "tax/region",
    "region\u200b",
    "",
]
PARTIES = ["nm/*", "nm,uni", "NM/uni", "nm/uni/", "/nm", "nm/\u0443ni", "*@nm/uni", "li@nm@uni", "", "any "]


def policies(folder: Path, text: str) -> Path:
    file = folder / "policies.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    return file


def read(folder: Path, text: str) -> Written:
    return read_policies(policies(folder, text))


def refused(folder: Path, text: str) -> SettingsWrong:
    with pytest.raises(SettingsWrong) as found:
        read(folder, text)
    assert found.value.where.startswith(str(folder)) and "docs/settings.md" not in found.value.next_step
    return found.value


def named_line(problem: SettingsWrong, text: str) -> str:
    """The line of the text that an error names."""
    number = int(problem.where.rpartition(" ")[2])
    return (text or "\n").splitlines()[number - 1]


@pytest.mark.parametrize(("text", "begins", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_not_right_is_refused_with_its_line(
    tmp_path: Path, text: str, begins: str, said: str
) -> None:
    problem = refused(tmp_path, text)
    assert said in problem.what
    assert named_line(problem, text).startswith(begins)


@pytest.mark.parametrize(("text", "line"), [("[[a]\n", 1), (GOOD + "region = []\n", 6), (GOOD + "x\n", 6)])
def test_what_is_no_toml_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    problem = refused(tmp_path, text)
    assert "not TOML" in problem.what and f"line {line}," in problem.what


HOSTILE = {
    "a number of thousands of digits": (
        GOOD.replace('tier = "T1"', "rounding = 1" + "0" * 5_000),
        "too long",
    ),
    "lists in lists": (GOOD + "more = " + "[" * 5_000 + "]" * 5_000, "nest too deeply"),
    "a file without end": (GOOD + "#" * 4_000_000, "more than 4,000,000 characters"),
}


@pytest.mark.parametrize(("text", "said"), HOSTILE.values(), ids=HOSTILE.keys())
def test_66_a_file_that_is_made_to_break_its_reader_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text).what


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_has_one_spelling(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, GOOD.replace("nm/tax/income", name)).where.endswith("line 1")


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_has_one_spelling(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, GOOD.replace("region", f'"{name}"')).where.endswith("line 5")


@pytest.mark.parametrize("party", PARTIES)
def test_a_party_has_one_spelling_and_is_no_pattern(tmp_path: Path, party: str) -> None:
    text = LONG.replace('parties = ["any"]', f'parties = ["{party}"]')
    assert named_line(refused(tmp_path, text), text).startswith(f'parties = ["{party}"]')


def test_a_letter_that_looks_like_another_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path, GOOD.replace("region", '"r\u0435gion"')).what
    assert "CYRILLIC SMALL LETTER IE" in said and said.isascii()


@pytest.mark.parametrize("data", [b"\xff\xfe", b'["nm/tax/income"]\n\xff'])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "policies.toml"
    file.write_bytes(data)
    with pytest.raises(SettingsWrong, match="UTF-8"):
        read_policies(file)


def test_a_file_that_is_not_there_or_cannot_be_read_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_policies(tmp_path / "none.toml")
    with pytest.raises(SettingsWrong, match="cannot be read"):
        read_policies(tmp_path)


def test_control_the_same_file_without_the_mistake_is_read(tmp_path: Path) -> None:
    (policy,) = read(tmp_path, GOOD).policies
    assert policy.dataset == "nm/tax/income" and policy.access == (EVERYBODY,)
    assert policy.about("region") == (short("region", ("group", "filter")),)


def test_the_long_form_is_read(tmp_path: Path) -> None:
    written = read(tmp_path, LONG)
    everybody = ((ANY,), (ANY,), (ANY,))
    (policy,) = written.policies
    assert (policy.share, policy.basis, policy.row_filter) == (
        Share.NONE,
        "Decree 809, article 12",
        "year >= 2020\n",
    )
    purposes = ("research on poverty",)
    assert policy.access == (
        Access(
            Effect.ALLOW,
            ("nm/uni", "wu@nm/centre"),
            ("researcher",),
            (Action.QUERY, Action.READ_ROWS),
            purposes,
            END,
        ),
        Access(Effect.DENY, ("nm/uni/guests",), (ANY,), (Action.READ_ROWS,), (ANY,)),
    )
    average = Constraint(
        "income", Effect.ALLOW, *everybody, 0, (Use.AGGREGATE,), ("avg",), Reveal.AGGREGATED, 20
    )
    assert policy.about("income") == (
        average,
        replace(
            average,
            effect=Effect.DENY,
            parties=("nm/uni/guests",),
            functions=(),
            reveal=Reveal.NEVER,
            minimum=0,
        ),
    )
    (phone,) = policy.about("phone")
    assert (phone.mask, phone.reveal, phone.until) == (Mask("phone", MaskKind.LAST, "4"), Reveal.MASKED, END)
    assert policy.tagged == (Tagged("income", ("finance",)),)
    uses = (Use.AGGREGATE, Use.FILTER, Use.GROUP)
    personal = Tag("personal", "", Grade.GENERAL_3, uses, ("avg", "sum"), Reveal.GROUPED)
    finance = Tag("finance", "personal", Grade.GENERAL_4, (Use.AGGREGATE,), ("avg",), Reveal.AGGREGATED, 20)
    assert written.tags == (personal, finance)
    assert written.bundle("nm/tax", 3).tags == written.tags


def test_every_setting_is_found_on_its_line(tmp_path: Path) -> None:
    """Quoted keys, dotted keys, comments, texts and lists over several lines move nothing."""
    written = read(tmp_path, LONG)
    for n, line in enumerate(LONG.splitlines(), 1):
        if line.startswith("mask"):
            assert written.place("nm/tax/income", "columns", "phone", 0, "mask").endswith(f"line {n}")
        if line.startswith("region"):
            assert written.place("nm/tax/income", "columns", "region").endswith(f"line {n}")
    n = LONG.splitlines().index('["nm/tax/income".columns]') + 1
    assert written.place("nm/tax/income", "columns", "not there").endswith(f"line {n}")


CHECKED = GOOD.replace(
    '["nm/tax/income".columns]',
    """["nm/tax/income".checks]
preset = "acro"
dominance_percent = 85

["nm/tax/income".columns]""",
)


def test_a_preset_is_a_whole_set_of_numbers_and_single_ones_stand_beside_it(tmp_path: Path) -> None:
    (policy,) = read(tmp_path, CHECKED).policies
    acro = presets.load("acro")
    assert policy.checks == replace(acro.checks, dominance_percent=85)
    assert (policy.minimum_group, policy.rounding) == (acro.minimum_group, acro.rounding)


def test_who_says_nothing_about_checks_has_the_regions(tmp_path: Path) -> None:
    (policy,) = read(tmp_path, GOOD).policies
    assert policy.checks == presets.load("region").checks


@pytest.mark.parametrize(
    ("honest", "wrong"),
    [
        ('"acro"', '"arco"'),
        ("dominance_percent = 85", "dominance_percnet = 85"),
        ("dominance_percent = 85", "dominance_percent = 0"),
        ("dominance_percent = 85", "dominance_percent = true"),
    ],
)
def test_a_misspelt_rule_is_no_rule_that_is_off(tmp_path: Path, honest: str, wrong: str) -> None:
    assert refused(tmp_path, CHECKED.replace(honest, wrong))


JOINT = """
["nm/tax/income".joint]
matchings = ["helper"]
openings = ["oblivious"]
cells = 500
period_days = 90
"""


def test_without_terms_nothing_is_computed_jointly(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).policies[0].joint is None


def test_terms_of_joint_computations_are_strict_where_they_say_nothing(tmp_path: Path) -> None:
    terms = read(tmp_path, GOOD + JOINT).policies[0].joint
    assert terms == JointRules((Matching.HELPER,), (Opening.OBLIVIOUS,), cells=500, period_days=90)
    assert terms.separate and not terms.sizes and not terms.exact
    more = GOOD + JOINT + "separate = false\nsizes = true\nexact = true\nnoise_micro = 5\n"
    wanted = replace(terms, separate=False, sizes=True, exact=True, noise_micro=5)
    assert read(tmp_path, more).policies[0].joint == wanted


@pytest.mark.parametrize(
    ("honest", "wrong", "begins", "said"),
    [
        ('matchings = ["helper"]', 'matchings = ["helpers"]', "matchings", "'helpers' is no word of matchings"),
        ('openings = ["oblivious"]', 'openings = "oblivious"', "openings", "openings is a list of words"),
        ("cells = 500", "cells = 0", "cells", "cells is at least 1"),
        ("cells = 500", "cells = 500\nnoise_micro = -1", '["nm/tax/income".joint]', "a rate of noise is not negative"),
        ("cells = 500", 'cells = "500"', "cells", "cells is written as a whole number"),
        ("period_days = 90", "period = 90", "period", "'period' is no setting here"),
        ("period_days = 90", "sizes = 1", '["nm/tax/income".joint]', "say their period_days"),
        ("period_days = 90", 'period_days = 90\nexact = "true"', "exact", "exact is written as true or false"),
    ],
)  # fmt: skip
def test_terms_that_are_not_right_are_refused_with_their_line(
    tmp_path: Path, honest: str, wrong: str, begins: str, said: str
) -> None:
    text = GOOD + JOINT.replace(honest, wrong)
    problem = refused(tmp_path, text)
    assert said in problem.what
    assert named_line(problem, text).startswith(begins)
