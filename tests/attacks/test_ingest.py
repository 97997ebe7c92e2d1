"""Malicious and broken uploads (ATTACKS 66, 86): a clear code, the place, no value, and nothing half-written.

Every file plants a canary beside what is wrong with it. Whatever a box answers, the canary is not in it; the control
shows that the engine's own words would have told it.
"""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from catalog.api import ingest_problem
from inside import ingest, ingest_source, ingest_tokens
from inside.session import BoxFailure
from plans.errors import by_code
from plans.manifest import Kind
from tests.inside.ingest_cases import Case, column, description, identifier

ROOT = Path(__file__).parents[2]
CANARY = "Canary-7391-值"
COLUMNS = (
    identifier(),
    column("born", "date", Kind.QUASI, minimum="1900-01-01"),
    column("pay", "decimal(8,2)", Kind.SENSITIVE, minimum="0", maximum="5000.50"),
    column("sex", "code", categories=("f", "m")),
)
CSV = description(*COLUMNS)
UNIQUE = description(*COLUMNS, unique=True)
JSONL = description(*COLUMNS, form="jsonl")
GOOD = f"id,born,pay,sex\n{CANARY},1990-01-01,10.5,f\nb,1991-01-01,20,m\n"


def failure(case: Case, data: bytes | str) -> BoxFailure:
    """Ingest what must be refused; check that it is told safely and leaves nothing."""
    with pytest.raises(BoxFailure) as caught:
        case.run(data)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.facts)
    told += str(ingest_problem(caught.value.code, caught.value.facts))
    assert CANARY not in told and caught.value.__cause__ is None
    assert case.leftovers() == []
    assert caught.value.code in by_code()
    return caught.value


def change(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def typed(column: str, row: int, expected: str) -> dict:
    return {"column": column, "row": row, "expected": expected}


def looks(found: str, row: int) -> dict:
    return {"row": row, "found": found}


def too_long(row: int) -> dict:
    return {"row": row, "limit_bytes": 1 << 20}


def no_object(row: int) -> dict:
    return {"row": row, "expected": "jsonl"}


BAD_CSV: list[tuple[str, str | bytes, str, dict]] = [
    ("an empty file", b"", "ingest.empty", {}),
    ("a header alone", "id,born,pay,sex\n", "ingest.empty", {}),
    ("a header without an end of line", "id,born,pay,sex", "ingest.empty", {}),
    ("a column twice", change("pay,sex", "sex,sex"), "ingest.duplicate-column", {"position": 4, "column": "sex"}),
    ("a missing column", change(",sex\n", "\n"), "ingest.missing-column", {"column": "sex"}),
    ("an extra column", change(",sex\n", f",sex,{CANARY}\n"), "ingest.extra-column", {"position": 5, "expected": 4}),
    ("no header", GOOD.split("\n", 1)[1], "ingest.missing-column", {"column": "id"}),
    ("a date that is none", change("1991-01-01", CANARY), "ingest.type", typed("born", 2, "DATE")),
    ("30 February", change("1991-01-01", "1991-02-30"), "ingest.type", typed("born", 2, "DATE")),
    ("too many digits", change("10.5", "1234567.1"), "ingest.type", typed("pay", 1, "DECIMAL(8,2)")),
    ("a row too short", change(",20,m", ",20"), "ingest.row-width", {"row": 2, "expected": 4}),
    ("a row too long", change(",20,m", ",20,m,x"), "ingest.row-width", {"row": 2, "expected": 4}),
    ("no key", change("b,1991", ",1991"), "ingest.key-missing", {"column": "id", "row": 2}),
    ("a blank key", change("b,1991", '"  ",1991'), "ingest.key-missing", {"column": "id", "row": 2}),
    ("below the range", change("1991-01-01", "1899-12-31"), "ingest.range", {"column": "born", "row": 2}),
    ("above the range", change("10.5", "5000.51"), "ingest.range", {"column": "pay", "row": 1}),
    ("an unknown category", change("20,m", f"20,{CANARY}"), "ingest.category", {"column": "sex", "row": 2}),
    ("a quote that never ends", change("20,m", '20,"m'), "ingest.quote", {"row": 2}),
    ("text after a quote", change("20,m", '20,"m"x'), "ingest.quote", {"row": 2}),
    ("GBK", GOOD.replace("b,", "汉字编码,").encode("gb18030"), "ingest.encoding", looks("gb18030", 2)),
    ("UTF-16", GOOD.encode("utf-16"), "ingest.encoding", looks("utf-16", 0)),
    ("UTF-16 without a mark", GOOD.encode("utf-16-le"), "ingest.encoding", looks("utf-16", 0)),
    ("broken UTF-8", GOOD.encode() + b"c,1991-01-01,1,\xff\xfe\xfd\n", "ingest.encoding", looks("unknown", 3)),
    ("a line without end", GOOD + "c,1991-01-01,1," + "f" * 3_000_000, "ingest.line-too-long", too_long(3)),
    ("a header without end", "i" * 3_000_000, "ingest.line-too-long", too_long(0)),
    ("a Parquet file", b"PAR1" + GOOD.encode(), "ingest.malformed", {"expected": "csv"}),
    ("a packed file", b"\x1f\x8b\x08" + GOOD.encode(), "ingest.malformed", {"expected": "csv"}),
    ("a spreadsheet", b"PK\x03\x04" + GOOD.encode(), "ingest.malformed", {"expected": "csv"}),
    ("zero bytes", b"\0" * 5000, "ingest.encoding", looks("utf-16", 0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code", "facts"), [row[1:] for row in BAD_CSV], ids=[row[0] for row in BAD_CSV]
)
def test_a_bad_csv_file_is_refused_with_the_place(
    tmp_path: Path, data: str | bytes, code: str, facts: dict
) -> None:
    found = failure(Case(tmp_path, CSV), data)
    assert (found.code, dict(found.facts)) == (code, facts)


def test_the_good_file_would_have_been_taken(tmp_path: Path) -> None:
    """The control of all the files above."""
    assert Case(tmp_path, CSV).run(GOOD)["rows"] == 2


def test_the_engine_itself_would_have_told_the_value() -> None:
    """The control of the canary: this is why no text of the engine ever leaves."""
    with pytest.raises(duckdb.Error, match=CANARY):
        duckdb.sql(f"SELECT CAST('{CANARY}' AS DATE)").fetchall()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("person", ["id", "row"])
def test_a_fraction_is_not_rounded_away(tmp_path: Path, form: str, person: str) -> None:
    """The engine itself turns 1.5 into 2; whole numbers may be written 3.0 or 1e3, and no otherwise."""
    case = Case(tmp_path, description(identifier(), column("n", "integer"), person=person, form=form))
    numbers = ["3.0", "1e3", "7"]
    assert case.run(_numbers(form, numbers))["rows"] == 3
    assert sorted(case.rows("attributes.parquet", "n")) == [(3,), (7,), (1000,)]
    for path in case.out.iterdir():
        path.unlink()
    found = failure(case, _numbers(form, [*numbers, "1.05"]))
    assert (found.code, found.facts) == ("ingest.type", typed("n", 4, "BIGINT"))


def _numbers(form: str, numbers: list[str]) -> str:
    if form == "csv":
        return "id,n\n" + "".join(f"p{n},{text}\n" for n, text in enumerate(numbers))
    return "".join(f'{{"id": "p{n}", "n": {text}}}\n' for n, text in enumerate(numbers))


def test_a_repeated_key_is_told_with_both_rows(tmp_path: Path) -> None:
    found = failure(Case(tmp_path, UNIQUE), GOOD + "c,1990-01-01,1,f\n B ,1990-01-01,1,f\n")
    assert (found.code, found.facts) == ("ingest.key-repeated", {"column": "id", "row": 4, "first": 2})


def test_the_row_is_counted_in_rows_where_values_hold_line_breaks(tmp_path: Path) -> None:
    text = 'id,born,pay,sex\n"a\nb\nc",1990-01-01,1,f\nd,1990-01-01,1,f\ne,yesterday,1,f\n'
    assert failure(Case(tmp_path, CSV), text).facts["row"] == 3


def test_the_first_bad_row_of_a_large_file_is_found(tmp_path: Path) -> None:
    lines = [f"p{n},1990-01-01,{n % 5000},f" for n in range(300_000)]
    for bad in (123_456, 234_567):
        lines[bad] = f"p{bad},{CANARY},1,f"
    found = failure(Case(tmp_path, CSV), "id,born,pay,sex\n" + "\n".join(lines))
    assert (found.code, found.facts["row"]) == ("ingest.type", 123_457)


BAD_JSON = [
    ("no JSON", "id,born\n", "ingest.malformed", no_object(1)),
    ("a list", '["x"]\n', "ingest.malformed", no_object(1)),
    ("cut off", '{"id":"a","born":null,"pay":1,"sex":"f"}\n{"id":', "ingest.malformed", no_object(2)),
    ("deep", '{"id":' + "[" * 100_000, "ingest.malformed", no_object(1)),
    ("an extra member", '{"id":"a","born":null,"pay":1,"sex":"f","more":1}\n', "ingest.extra-column", None),
    ("a member that never comes", '{"id":"a","born":null,"pay":1}\n', "ingest.missing-column", {"column": "sex"}),
    ("a member twice", '{"id":"a","id":"b","born":null,"pay":1,"sex":"f"}\n', "ingest.duplicate-column", {"row": 1}),
    ("a wrong type", '{"id":"a","born":"x","pay":1,"sex":"f"}\n', "ingest.type", typed("born", 1, "DATE")),
    ("nested", '{"id":"a","born":null,"pay":1,"sex":["f"]}\n', "ingest.type", typed("sex", 1, "VARCHAR")),
    ("GBK", '{"id":"汉字","born":null,"pay":1,"sex":"f"}\n'.encode("gbk"), "ingest.encoding", looks("gb18030", 1)),
    ("blank", "\n\n", "ingest.empty", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code", "facts"), [row[1:] for row in BAD_JSON], ids=[row[0] for row in BAD_JSON]
)
def test_bad_json_lines_are_refused_with_the_place(
    tmp_path: Path, data: str | bytes, code: str, facts: dict | None
) -> None:
    found = failure(Case(tmp_path, JSONL), data)
    assert found.code == code and (facts is None or dict(found.facts) == facts)


class TestParquet:
    """Parquet brings its own schema, which is as little to be trusted."""

    def case(self, folder: Path, select: str) -> Case:
        case = Case(folder, description(*COLUMNS, form="parquet"))
        duckdb.sql(f"COPY ({select}) TO '{case.source}' (FORMAT parquet)")
        return case

    GOOD = "SELECT 'a' AS id, DATE '1990-01-01' AS born, 1.5::DECIMAL(8,2) AS pay, 'f' AS sex"

    def test_control(self, tmp_path: Path) -> None:
        case = self.case(tmp_path, self.GOOD)
        assert case.run(case.source.read_bytes())["rows"] == 1

    @pytest.mark.parametrize(
        ("old", "new", "code"),
        [
            ("'a' AS id", "NULL::VARCHAR AS id", "ingest.key-missing"),
            ("DATE '1990-01-01'", "TIMESTAMP '1990-01-01 10:00:00'", "ingest.type"),
            ("'f' AS sex", "['f'] AS sex", "ingest.type"),
            ("1.5::DECIMAL(8,2)", "12345678::DECIMAL(12,2)", "ingest.type"),
            ("1.5::DECIMAL(8,2)", "-1::DECIMAL(8,2)", "ingest.range"),
            ("'f' AS sex", "'f' AS sex, 1 AS more", "ingest.extra-column"),
            (" AS sex", " AS sex WHERE false", "ingest.empty"),
        ],
    )
    def test_refused(self, tmp_path: Path, old: str, new: str, code: str) -> None:
        case = self.case(tmp_path, self.GOOD.replace(old, new))
        assert failure(case, case.source.read_bytes()).code == code

    @pytest.mark.parametrize(
        "damage", [lambda b: b[:-10], lambda b: b[:60] + b"\xff" * 40 + b[100:], lambda b: b"PAR1"]
    )
    def test_damaged(self, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
        case = self.case(
            tmp_path,
            f"SELECT '{CANARY}' || i AS id, DATE '1990-01-01' AS born, 1 AS pay, 'f' AS sex FROM range(9) r(i)",
        )
        assert failure(case, damage(case.source.read_bytes())).code in (
            "ingest.malformed",
            "ingest.key-missing",
        )


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_source, "LARGEST_SOURCE", 10)
    assert failure(Case(tmp_path, CSV), GOOD).code == "ingest.too-large"


def test_a_wrong_check_digit_is_found_and_a_right_one_taken(tmp_path: Path) -> None:
    case = Case(tmp_path, description(identifier(check_digit="id18"), column("firm", check_digit="uscc")))
    # The numbers that the two standards print as their examples.
    right = "id,firm\n11010519491231002X,91350100M000100Y43\n440524188001010014,\n"
    assert case.run(right)["persons"] == 2
    for wrong, name, row in [
        (right.replace("002X", "0021"), "id", 1),
        (right.replace("440524188001010014", "44052418800101001"), "id", 2),
        (right.replace("440524188001010014", "+40524188001010014"), "id", 2),
        (right.replace("Y43", "Y44"), "firm", 1),
        (right.replace("M000100", "I000100"), "firm", 1),
    ]:
        for path in case.out.iterdir():
            path.unlink()
        found = failure(case, wrong)
        assert (found.code, found.facts) == ("ingest.check-digit", {"column": name, "row": row})


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    case = Case(tmp_path, CSV)
    (case.out / "attributes.parquet").symlink_to("/dev/full")
    assert failure(case, GOOD).code == "disk.full"


def test_two_persons_with_one_token_stop_the_ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No collision of 64 bits can be made here, so the token is cut to 4 bits."""
    whole = ingest_tokens.token
    monkeypatch.setattr(ingest_tokens, "token", lambda text, pads: f"({whole(text, pads)} % 16)")
    rows = "".join(f"p{n},1990-01-01,1,f\n" for n in range(40))
    assert failure(Case(tmp_path, CSV), "id,born,pay,sex\n" + rows).code == "ingest.token-collision"


def test_formulas_are_values_like_any_other(tmp_path: Path) -> None:
    """They come in as text; what leaves is judged by the airlock, which neutralises them."""
    case = Case(tmp_path, description(identifier(), column("x")))
    case.run("id,x\na,=cmd|' /C calc'!A0\n")
    assert case.rows("attributes.parquet", "x") == [("=cmd|' /C calc'!A0",)]


def test_a_killed_ingest_leaves_no_readable_row(tmp_path: Path) -> None:
    """Killed while it writes: what lies in the folders, spill included, holds no canary (ATTACKS 86)."""
    case = Case(tmp_path, description(identifier(), column("x")))
    case.source.write_text("id,x\n" + "".join(f"{CANARY}{n},{CANARY}\n" for n in range(200_000)))
    program = "import sys; from tests.attacks import test_ingest; test_ingest.work_for_ever(sys.stdin.read())"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, cwd=ROOT, text=True
    ) as child:
        assert child.stdin
        child.stdin.write(str(case.folder))
        child.stdin.close()
        while not any(case.out.iterdir()) and child.poll() is None:
            time.sleep(0.01)
        child.kill()
    assert case.leftovers(), "it was killed before it wrote: the test proves nothing"
    left = [
        path for folder in (case.out, case.folder / "temp") for path in folder.rglob("*") if path.is_file()
    ]
    assert [path for path in left if CANARY.encode() in path.read_bytes()] == []


def work_for_ever(folder: str) -> None:
    """What the killed process does."""
    case = Case(Path(folder), description(identifier(), column("x")))
    while True:
        ingest.run(case.session())
