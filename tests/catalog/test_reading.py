"""A description is what a person wrote: it reads back whole, and every slip is told with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.api import Description, Share, read_file, read_folder, read_text
from plans.errors import Malformed, NotFound, TooLarge
from plans.manifest import Grade, Kind

TEXT = """\
id = "nm/tax/income"
title = "Income"
title_zh = "收入"
source_system = "Tax"
grade = "general-3"
person = "id18"

[[columns]]
name = "id18"
type = "code"
kind = "identifier"
check_digit = "id18"

[[columns]]
name = "income"
header = "收入 (元)"
type = "decimal(12,2)"
kind = "sensitive"
unit = "CNY"
range = [0, 1000.50]

[[columns]]
name = "since"
type = "date"
kind = "plain"
range = [1990-01-01, ""]
categories = [1990-01-01, "1991-01-01"]
"""


def read(text: str) -> Description:
    return read_text(text.encode(), "income.toml")


def test_a_description_reads_with_its_defaults() -> None:
    found = read(TEXT)
    assert (found.dataset, found.domain, found.grade, found.share) == (
        "nm/tax/income", "nm/tax", Grade.GENERAL_3, Share.CONDITIONAL,
    )  # fmt: skip
    assert (found.format.value, found.person, found.unique) == ("csv", "id18", False)
    income, since = found.column("income"), found.column("since")
    assert income and (income.header, income.engine_type, income.kind) == (
        "收入 (元)",
        "DECIMAL(12,2)",
        Kind.SENSITIVE,
    )
    assert (income.minimum, income.maximum, income.unit) == ("0", "1000.50", "CNY")
    assert since and (since.minimum, since.maximum) == ("1990-01-01", None)
    assert since.categories == ("1990-01-01", "1991-01-01")
    assert found.column("nobody") is None


ABOUT_NOBODY = """\
id = "nm/tax/place"
title = "Places"
title_zh = "地名"
source_system = "Statistics"
grade = "general-1"
person = "none"

[[columns]]
name = "code"
type = "code"
kind = "plain"
"""


def test_data_about_nobody_are_called_so_in_a_word() -> None:
    found = read(ABOUT_NOBODY)
    assert not found.about_persons and read(TEXT).about_persons
    with pytest.raises(Malformed, match="unique"):
        read(ABOUT_NOBODY.replace('person = "none"', 'person = "none"\nunique = true'))


def test_a_description_survives_its_canonical_form() -> None:
    found = read(TEXT)
    assert Description.decode(found.canonical()) == found


SLIPS = [
    ('title = "Income"\n', "", "'title' is missing"),
    ('grade = "general-3"', 'grade = "secret"', "'secret'"),
    ('grade = "general-3"', 'grades = "general-3"', "'grade' is missing"),
    ('person = "id18"', 'person = "id18"\nowner = "me"', "'owner' is unknown"),
    ('person = "id18"', 'person = "income"', "not a column of the kind identifier"),
    ('person = "id18"', 'person = ""', "not a column of the kind identifier"),
    ('person = "id18"', 'person = "none"', "data that identify people are about persons, and 'id18' does"),
    ('person = "id18"\n\n[[columns]]\nname = "id18"\ntype = "code"\nkind = "identifier"',
     'person = "none"\n\n[[columns]]\nname = "id18"\ntype = "code"\nkind = "plain"', "'id18' does"),
    ('id = "nm/tax/income"', 'id = "NM/tax"', "dataset"),
    ('title_zh = "收入"', 'title_zh = " "', "title in both languages"),
    ('type = "date"', 'type = "timestamp"', "'timestamp' is not an offered type"),
    ('type = "decimal(12,2)"', 'type = "decimal(2,3)"', "not an offered type"),
    ('type = "decimal(12,2)"', 'type = "text"', "only numbers and dates have a range"),
    ('kind = "plain"', 'kind = "secret"', "'secret'"),
    ('name = "since"', 'name = "income"', "two columns have the name 'income'"),
    ('name = "since"', 'name = "person"', "cannot be called 'person'"),
    ('name = "since"', 'name = "row"', "cannot be called 'row'"),
    ('name = "since"', 'name = "none"', "cannot be called 'none'"),
    ('name = "since"', 'name = "Since"', "column name"),
    ('name = "since"', 'name = "since"\nheader = "id18"', "two columns have the header 'id18'"),
    ('header = "收入 (元)"', 'header = " x"', "without blanks around it"),
    ("range = [0, 1000.50]", "range = [10, 1]", "minimum is above the maximum"),
    ("range = [0, 1000.50]", "range = [0]", "a range has two ends"),
    ("range = [0, 1000.50]", 'range = ["nan", ""]', "finite"),
    ("range = [0, 1000.50]", 'range = ["x", ""]', "not a value of the type"),
    ('"1991-01-01"]', '"yesterday"]', "not a value of the type date"),
    ('"1991-01-01"]', '"1990-01-01"]', "listed twice"),
    ('check_digit = "id18"', 'check_digit = "luhn"', "'luhn'"),
    ("[[columns]]", "[[column]]", "'columns' is missing"),
    ('unit = "CNY"', "unit = 7", "does not belong here"),
    ('id = "nm', 'id = nm', "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), SLIPS, ids=[slip[2] for slip in SLIPS])
def test_a_slip_is_told_with_the_file_and_what_to_do(old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(Malformed) as caught:
        read(TEXT.replace(old, new))
    assert told in str(caught.value)
    assert "income.toml" in caught.value.where and caught.value.next_step


def test_text_that_is_no_utf8_is_told() -> None:
    with pytest.raises(Malformed, match="UTF-8"):
        read_text("标题".encode("gbk"), "x.toml")


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "a.toml").write_text(TEXT.replace("nm/tax/income", "nm/tax/wage"), encoding="utf-8")
    assert [found.dataset for found in read_folder(tmp_path)] == ["nm/tax/income", "nm/tax/wage"]
    (tmp_path / "c.toml").write_text(TEXT, encoding="utf-8")
    with pytest.raises(Malformed, match="both describe"):
        read_folder(tmp_path)
    with pytest.raises(NotFound):
        read_file(tmp_path / "none.toml")
    (tmp_path / "d.toml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(TooLarge):
        read_file(tmp_path / "d.toml")
