"""An ingest keeps every value, parts identifiers from attributes, and tells nobody else who is who."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import description as described
from inside import engine, ingest, ingest_task
from inside.session import BoxFailure
from plans import canonical as spelling
from plans.box import Limits
from plans.errors import Malformed
from plans.key import BoxKeys
from plans.manifest import Kind
from tests.inside.ingest_cases import FILES, Case, column, description, identifier

PEOPLE = description(
    identifier(),
    column("region", kind=Kind.QUASI),
    column("born", "date", Kind.QUASI),
    column("income", "decimal(12,2)", Kind.SENSITIVE),
    column("score", "real"),
    column("visits", "integer"),
    column("urban", "boolean"),
)
TEXT = '''\
id,region,born,income,score,visits,urban
a1,新城,1980-02-29,1234.50,0.25,3,true
 A1 ,新城,1980-02-29,1234.50,0.25,3,true
b2,"回民, 区",,,,,
c3,"said ""no""",2001-01-01,-0.01,-1e300,9223372036854775807,false
'''


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, PEOPLE)


def test_every_value_arrives_with_its_type_beside_the_token(case: Case) -> None:
    report = case.run(TEXT)
    a, b, c = case.token("A1"), case.token("B2"), case.token("C3")
    born, income = datetime.date(1980, 2, 29), Decimal("1234.50")
    expected = [
        (a, "新城", born, income, 0.25, 3, True),
        (a, "新城", born, income, 0.25, 3, True),
        (b, "回民, 区", None, None, None, None, None),
        (c, 'said "no"', datetime.date(2001, 1, 1), Decimal("-0.01"), -1e300, 2**63 - 1, False),
    ]
    assert sorted(case.rows("attributes.parquet"), key=str) == sorted(expected, key=str)
    assert report == {
        "rows": 4,
        "persons": 3,
        "columns": [
            {"name": "id", "nulls": 0},
            {"name": "region", "nulls": 0},
            *({"name": name, "nulls": 1} for name in ("born", "income", "score", "visits", "urban")),
        ],
        "files": list(FILES),
    }


def test_identifiers_lie_in_their_own_file_and_nowhere_else(case: Case) -> None:
    case.run(TEXT)
    names = {row[0] for row in case.rows("identifiers.parquet", "id")}
    assert names == {"a1", " A1 ", "b2", "c3"}
    assert {row[0] for row in case.rows("identifiers.parquet", "person")} == {
        case.token(n) for n in ("A1", "B2", "C3")
    }
    with pytest.raises(duckdb.Error):
        case.rows("attributes.parquet", "id")


def test_the_token_is_the_person_whatever_the_blanks_and_the_case(case: Case) -> None:
    assert case.run(TEXT)["persons"] == 3
    assert case.token("A1") != case.token("a1")


def test_another_owner_has_other_tokens(case: Case, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Case(tmp_path / "other", PEOPLE)
    case.run(TEXT)
    other.run(TEXT)
    mine, theirs = ({row[0] for row in each.rows("attributes.parquet", "person")} for each in (case, other))
    assert not mine & theirs


def test_neither_file_reads_without_its_own_key(case: Case) -> None:
    case.run(TEXT)
    swapped = dict(zip(FILES, reversed(list(case.keys.outputs.values())), strict=True))
    assert len(case.rows("attributes.parquet")) == 4, "the control: with the key it reads"
    case.keys.outputs.update(swapped)  # type: ignore[attr-defined]
    for name in FILES:
        with pytest.raises(duckdb.Error):
            case.rows(name)


def test_no_value_is_found_in_the_bytes_of_the_files(case: Case, tmp_path: Path) -> None:
    canary = "CANARY9876543210"
    text = f"id,region,born,income,score,visits,urban\n{canary}I,{canary}R,,,,,\n"
    case.run(text * 1)
    everything = b"".join(
        path.read_bytes() for path in [*case.out.iterdir(), *case.folder.joinpath("temp").rglob("*.*")]
    )
    assert canary.encode() not in everything
    plain = tmp_path / "plain.parquet"
    duckdb.sql(f"COPY (FROM read_csv('{case.source}')) TO '{plain}' (COMPRESSION zstd)")
    assert canary.encode() in plain.read_bytes(), "the control: in a plain file it would be found"


def test_the_file_may_have_its_columns_in_any_order_and_under_its_own_names(tmp_path: Path) -> None:
    case = Case(
        tmp_path, description(identifier(header="身份证号"), column("pay", "integer", header="工资 (元)"))
    )
    case.run("\ufeff工资 (元),身份证号\r\n7,x\r\n8,y\r\n")
    assert set(case.rows("attributes.parquet")) == {(case.token("X"), 7), (case.token("Y"), 8)}


def test_more_identifiers_are_kept_once_per_person(tmp_path: Path) -> None:
    case = Case(
        tmp_path, description(identifier(), identifier("name"), identifier("phone"), column("x", "integer"))
    )
    report = case.run("id,name,phone,x\na,王,1,1\na,王,1,2\na,王,,3\nb,李,,4\n")
    assert {row[1:] for row in case.rows("identifiers.parquet")} == {
        ("a", "王", "1"),
        ("a", "王", None),
        ("b", "李", None),
    }
    assert len(case.rows("identifiers.parquet")) == 3
    nulls = {entry["name"]: entry["nulls"] for entry in report["columns"]}
    assert nulls == {"id": 0, "name": 0, "phone": 2, "x": 0}


def test_a_unique_key_keeps_one_row_for_each_person(tmp_path: Path) -> None:
    case = Case(tmp_path, description(identifier(), identifier("name"), column("x"), unique=True))
    report = case.run("id,name,x\na,王,1\nb,,2\n")
    assert {entry["name"]: entry["nulls"] for entry in report["columns"]} == {"id": 0, "name": 1, "x": 0}
    assert len(case.rows("identifiers.parquet")) == 2


def test_texts_that_share_the_engines_hash_are_told_apart(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can wait for 64 bits to collide, so the hash is cut to 1 bit: rows would double, and do not."""
    case.run(TEXT)
    expected = sorted(case.rows("attributes.parquet"), key=str)
    written = []
    copy = ingest._copy

    def coarse(
        connection: engine.Connection, work: ingest.Work, name: str, select: str, *more: object
    ) -> object:
        select = select.replace("hash(", "1 & hash(")
        written.append((name, copy(connection, work, name, select, *more)))
        return written[-1][1]

    monkeypatch.setattr(ingest, "_copy", coarse)
    case.run(TEXT)
    assert [name for name, _ in written] == [
        "attributes.parquet",
        "attributes.parquet",
        "identifiers.parquet",
    ]
    assert written[0][1][0] > written[1][1][0] == 4, "the control: the first join made rows too many"
    assert sorted(case.rows("attributes.parquet"), key=str) == expected


class TestEveryRowItsOwnPerson:
    """`person = "row"`: survey data, in which nobody is named."""

    def test_tokens_are_distinct_and_of_this_file(self, tmp_path: Path) -> None:
        case = Case(tmp_path, description(column("x", "integer"), person="row"))
        report = case.run("x\n" + "5\n" * 3000)
        assert (report["rows"], report["persons"], report["files"]) == (3000, 3000, ["attributes.parquet"])
        digest = case.session().plan.stages[0].inputs[0].sha256
        expected = {case.token(f"row/{digest}/{n}") for n in range(1, 3001)}
        assert {row[0] for row in case.rows("attributes.parquet", "person")} == expected
        assert case.leftovers() == ["attributes.parquet"]

    def test_both_files_give_a_row_the_same_token(self, tmp_path: Path) -> None:
        case = Case(tmp_path, description(identifier("name"), column("x", "integer"), person="row"))
        case.run("name,x\n" + "".join(f"n{n},{n}\n" for n in range(200_000)))
        names = dict(case.rows("identifiers.parquet"))
        attributes = dict(case.rows("attributes.parquet"))
        assert all(names[token] == f"n{number}" for token, number in attributes.items())
        assert len(attributes) == 200_000


class TestAboutNobody:
    """`person = "none"`: codes, calendars, prices."""

    PLACES = description(
        column("code"), column("name"), column("price", "decimal(5,2)"), column("n", "integer"), person="none"
    )
    TEXT = "code,name,price,n\n01,东,1.50,1\n02,西,,2\n02,西,,2\n"

    def test_rows_arrive_as_they_are_without_a_token_and_nobody_is_counted(self, tmp_path: Path) -> None:
        case = Case(tmp_path, self.PLACES)
        case.keys = BoxKeys({}, case.keys.outputs, "")
        report = case.run(self.TEXT)
        two = ("02", "西", None, 2)
        assert sorted(case.rows("attributes.parquet"), key=str) == [
            ("01", "东", Decimal("1.50"), 1),
            two,
            two,
        ]
        assert (report["rows"], report["persons"], report["files"]) == (3, 0, ["attributes.parquet"])
        assert {entry["name"]: entry["nulls"] for entry in report["columns"]} == {
            "code": 0, "name": 0, "price": 2, "n": 0,
        }  # fmt: skip
        assert case.leftovers() == ["attributes.parquet"]
        with pytest.raises(duckdb.Error):
            case.rows("attributes.parquet", "person")

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("code,name,price,n\n", "ingest.empty"),
            ("code,name,price,n\n01,a,1,1.5\n", "ingest.type"),
            ("code,name,price,n\n01,a,x,1\n", "ingest.type"),
            ("code,name,price\n01,a,1\n", "ingest.missing-column"),
        ],
    )
    def test_what_is_wrong_is_found_as_in_any_file(self, tmp_path: Path, text: str, code: str) -> None:
        case = Case(tmp_path, self.PLACES)
        with pytest.raises(BoxFailure) as caught:
            case.run(text)
        assert caught.value.code == code and case.leftovers() == []

    @pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
    def test_every_format(self, tmp_path: Path, form: str) -> None:
        case = Case(tmp_path, description(column("code"), column("n", "integer"), person="none", form=form))
        if form == "parquet":
            duckdb.sql(f"COPY (SELECT 'a' AS code, 1 AS n) TO '{tmp_path / 'f'}' (FORMAT parquet)")
        texts = {"csv": b"code,n\na,1\n", "jsonl": b'{"code": "a", "n": 1}\n'}
        case.run(texts.get(form) or (tmp_path / "f").read_bytes())
        assert case.rows("attributes.parquet") == [("a", 1)]

    def test_the_box_refuses_identifiers_whatever_the_catalog_said(self) -> None:
        plain = description(identifier(), column("x")).plain() | {"person": "none"}
        material = spelling.encode({"description": plain, "version": 1}).decode()
        with pytest.raises(Malformed, match="identify nobody"):
            ingest_task.read(material)


VALUES = {
    "text": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "decimal(12,2)": st.decimals(-9_999_999_999, 9_999_999_999, places=2),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "date": st.dates(),
    "boolean": st.booleans(),
}
ROW = st.tuples(
    st.text("abXY019汉é \u3000", min_size=1, max_size=6).filter(str.strip),
    *map(st.none().__or__, VALUES.values()),
)
TYPED = description(identifier(), *(column(f"c{n}", kind) for n, kind in enumerate(VALUES)))


def quoted(value: object) -> str:
    """RFC 4180, section 2: quotes around, quotes inside doubled; nothing at all for no value."""
    if isinstance(value, bool):
        value = str(value).lower()
    return "" if value is None else '"' + str(value).replace('"', '""') + '"'


def as_csv(rows: list[tuple]) -> str:
    header = ",".join(each.name for each in TYPED.columns)
    return "\n".join([header, *(",".join(map(quoted, row)) for row in rows)]) + "\n"


def as_json_lines(rows: list[tuple]) -> str:
    names = [each.name for each in TYPED.columns]
    plain = [
        [value if isinstance(value, bool | int | float | None) else str(value) for value in row]
        for row in rows
    ]
    return "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in plain)


SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
ROWS = st.lists(ROW, min_size=1, max_size=8)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@settings(suppress_health_check=SLOW, max_examples=5)
@given(rows=ROWS)
def test_what_goes_in_comes_out_in_every_format(tmp_path: Path, rows: list[tuple], form: str) -> None:
    require_the_same(tmp_path, rows, form)


@pytest.mark.long
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@settings(suppress_health_check=SLOW, max_examples=40)
@given(rows=ROWS)
def test_what_goes_in_comes_out_in_every_format_of_many(tmp_path: Path, rows: list[tuple], form: str) -> None:
    require_the_same(tmp_path, rows, form)


def require_the_same(tmp_path: Path, rows: list[tuple], form: str) -> None:
    case = Case(tmp_path, description(*TYPED.columns, form=form))
    if form == "parquet":
        write_parquet(case.source, rows)
        report = case.run(case.source.read_bytes())
    else:
        report = case.run(as_csv(rows) if form == "csv" else as_json_lines(rows))
    expected = [(case.token(canonical(row[0])), *row[1:]) for row in rows]
    assert sorted(map(repr, case.rows("attributes.parquet"))) == sorted(map(repr, expected))
    assert report["persons"] == len({canonical(row[0]) for row in rows})


def canonical(text: str) -> str:
    return text.strip(" \u3000").upper()


def write_parquet(path: Path, rows: list[tuple]) -> None:
    types = ", ".join(f"{each.name} {each.engine_type}" for each in TYPED.columns)
    with duckdb.connect() as plain:
        plain.execute(f"CREATE TABLE t ({types})")
        plain.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(TYPED.columns))})", rows)
        plain.execute(f"COPY t TO '{path}' (FORMAT parquet)")


def test_box_and_catalog_offer_the_same_types() -> None:
    """A box carries no catalog, so each side has the list; they must not drift apart."""
    for offered in [*described.SIMPLE_TYPES, "decimal(1,0)", "decimal(38,38)"]:
        assert ingest_task.engine_type(offered) == described.engine_type(offered)
    for refused in ["", "VARCHAR", "decimal(39,2)", "decimal(2,3)", "decimal(0,0)", "integer); DROP TABLE t"]:
        for offer in (ingest_task.engine_type, described.engine_type):
            with pytest.raises(Malformed):
                offer(refused)


def test_a_description_that_was_tampered_with_is_refused(case: Case) -> None:
    case.source.write_text(TEXT)
    plan = case.session().plan
    for old, new in [
        ('"name":"region"', '"name":"x\\" OR 1"'),
        ('"type":"integer"', '"type":"INTEGER; SELECT"'),
    ]:
        assert old in plan.material
        with pytest.raises(Malformed):
            ingest_task.read(plan.material.replace(old, new))


@pytest.mark.long
def test_larger_than_memory_goes_through(tmp_path: Path) -> None:
    """Every row another person: the persons alone are more than the engine may keep, so they are spilled, encrypted."""
    case = Case(
        tmp_path, description(identifier(), column("x")), Limits(512, 64, 4096, 4096, 600, 600, 64, 64, 2)
    )
    with duckdb.connect() as plain:
        plain.execute(
            f"COPY (SELECT 'person' || i AS id, md5(i::VARCHAR) AS x FROM range(5000000) r(i))"
            f" TO '{case.source}' (FORMAT csv, HEADER)"
        )
    assert case.source.stat().st_size > 200 * 2**20
    report = ingest.run(case.session())
    assert (report["rows"], report["persons"]) == (5_000_000, 5_000_000)
