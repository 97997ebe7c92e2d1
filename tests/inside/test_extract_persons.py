"""The extracting box of a model and of a register: one row without a key; records of fixed width, as the engine prints
them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from inside import extract
from inside.session import BoxFailure
from mpc.lookup import fields
from mpc.protocols.identifiers import unpack
from mpc.protocols.joint_rows import OwnRows
from plans.errors import KeyRepeated, Malformed
from plans.joint import Field
from tests.inside import party_persons as persons
from tests.inside.joint_cases import Files, Table, extracted
from tests.inside.party_forms import CIVIL, TAX
from tests.inside.party_persons import BANK, MODEL, REGISTER


def register_rows(folder: Path, rows: Any = REGISTER.rows, row_filter: str = "", **changes: Any) -> OwnRows:
    """What the register's party box has of these rows."""
    table = replace(REGISTER, rows=rows, row_filter=row_filter)
    files = persons.lookup_files(folder, table)
    joint = persons.looked_up(files, persons.KEY)
    register = replace(joint.reading.portions[1], **changes)
    joint = replace(joint, reading=replace(joint.reading, portions=(joint.reading.portions[0], register)))
    return extracted(joint, CIVIL, files[CIVIL])


def test_records_are_the_texts_that_the_engine_prints_in_fields_of_fixed_width(tmp_path: Path) -> None:
    found = register_rows(tmp_path)
    widths = [field.width for field in persons.FIELDS]
    assert found.records.shape == (len(REGISTER.rows), fields.width_of(widths))
    told = dict(zip(unpack(found.keys), found.records, strict=True))
    for key, *values in REGISTER.rows:
        texts = [None if value is None else str(value) for value in values]
        assert bytes(told[key]) == fields.pack(texts, widths)
        assert fields.unpack(bytes(told[key]), widths) == texts


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("DATE", "2024-02-29", "2024-02-29"),
        ("DECIMAL(12,2)", Decimal("12.50"), "12.50"),
        ("BOOLEAN", True, "true"),
        ("TIMESTAMP", "2024-02-29 08:00:00", "2024-02-29 08:00:00"),
        ("BIGINT", -(2**63), str(-(2**63))),
        ("VARCHAR", "二〇二四", "二〇二四"),
        ("VARCHAR", "", ""),
        ("VARCHAR", 'a"\x00\n', 'a"\x00\n'),
        ("VARCHAR", None, None),
    ],
)
def test_every_type_has_one_text(tmp_path: Path, kind: str, value: Any, text: str | None) -> None:
    """An empty text is no missing one, and zeros behind a text are no part of it."""
    table = Table("civil.register", {"told": kind}, [("15010219800101002X", value)])
    files = persons.lookup_files(tmp_path, table)
    field = Field("told", "told", kind, 40)
    joint = persons.looked_up(files, persons.KEY, (field,))
    found = extracted(joint, CIVIL, files[CIVIL])
    assert fields.unpack(bytes(found.records[0]), [40]) == [text]


def test_what_the_asker_may_not_see_is_in_no_record(tmp_path: Path) -> None:
    """A row filter makes persons absent; the control has them."""
    everybody = register_rows(tmp_path / "all")
    found = register_rows(tmp_path / "some", row_filter="region = 'east'")
    east = {row[0] for row in REGISTER.rows if row[1] == "east"}
    assert set(unpack(found.keys)) == east < set(unpack(everybody.keys))


def test_a_text_that_is_longer_than_its_field_stops_it_whoever_is_asked_for(tmp_path: Path) -> None:
    """Length counts in bytes of UTF-8; the control has room for one byte more."""
    short = tuple(replace(field, width=3) if field.name == "note" else field for field in persons.FIELDS)
    rows = [(*row[:3], "中a" if n == 3 else None) for n, row in enumerate(REGISTER.rows)]
    with pytest.raises(BoxFailure) as caught:
        register_rows(tmp_path / "long", rows, fields=short)
    assert caught.value.code == "extract.width" and "中" not in repr(caught.value.facts)
    room = tuple(replace(field, width=4) if field.name == "note" else field for field in persons.FIELDS)
    assert len(register_rows(tmp_path / "room", rows, fields=room).keys) == len(rows)


def test_a_person_who_is_twice_in_a_register_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(KeyRepeated):
        register_rows(tmp_path, [*REGISTER.rows, REGISTER.rows[0]])


def test_a_register_of_many_batches_arrives_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "BATCH_ROWS", 2048)
    rows = [
        (f"15010219{n:010d}", ("east", "west")[n % 2], f"s{n}", None if n % 3 else "x" * (n % 40))
        for n in range(5_000)
    ]
    found = register_rows(tmp_path, rows, bound=5_000)
    widths = [field.width for field in persons.FIELDS]
    at = {key: place for place, key in enumerate(unpack(found.keys))}
    for key, *texts in rows[::97]:
        assert fields.unpack(bytes(found.records[at[key]]), widths) == texts


# ------------------------------------------------------------------------------------------------- whom it is about


def test_more_persons_than_are_looked_up_are_refused(tmp_path: Path) -> None:
    """As many as the public number; the control leaves one of them out."""
    files = persons.lookup_files(tmp_path)
    with pytest.raises(BoxFailure) as caught:
        extracted(persons.looked_up(files, persons.KEY, where=""), persons.OWN, files[persons.OWN])
    assert caught.value.code == "extract.rows"
    kept = extracted(persons.looked_up(files, persons.KEY), persons.OWN, files[persons.OWN])
    assert len(kept.keys) == persons.ASKED


# --------------------------------------------------------------------------------------------------------- a model


def model(folder: Path, rows: Any = MODEL.rows, **changes: Any) -> OwnRows:
    files = persons.score_files(folder, replace(MODEL, rows=rows))
    joint = persons.scored(files, persons.KEY)
    mine = replace(joint.reading.portions[1], **changes)
    joint = replace(joint, reading=replace(joint.reading, portions=(joint.reading.portions[0], mine)))
    return extracted(joint, TAX, files[TAX])


def test_a_model_is_one_row_of_coefficients_without_a_key(tmp_path: Path) -> None:
    found = model(tmp_path)
    assert found.values[:, 0].tolist() == persons.COEFFICIENTS and found.present.all()
    assert found.keys.shape == (1, 16) and not found.keys.any()


@pytest.mark.parametrize("rows", [[], [*MODEL.rows, *MODEL.rows]])
def test_no_model_and_two_models_are_none(tmp_path: Path, rows: Any) -> None:
    with pytest.raises(BoxFailure) as caught:
        model(tmp_path, rows)
    assert caught.value.code == "extract.rows"


def test_a_coefficient_beyond_its_range_does_not_begin(tmp_path: Path) -> None:
    row = (None, *(Decimal("99.9") for _ in persons.COEFFICIENTS))
    with pytest.raises(BoxFailure) as caught:
        model(tmp_path, [row])
    assert caught.value.code == "extract.range"


def test_a_coefficient_without_a_value_does_not_begin(tmp_path: Path) -> None:
    row = (None, None, *MODEL.rows[0][2:])
    with pytest.raises(BoxFailure) as caught:
        model(tmp_path, [row])
    assert caught.value.code == "extract.range"


def test_features_are_those_of_the_rows_that_the_condition_leaves(tmp_path: Path) -> None:
    files = persons.score_files(tmp_path)
    joint = persons.scored(files, persons.KEY, where='"age" >= 40')
    found = extracted(joint, BANK, files[BANK])
    wanted = {key: (int(income * 100), age) for key, income, age in persons.APPLICANTS if age >= 40}
    assert dict(zip(unpack(found.keys), map(tuple, found.values.T.tolist()), strict=True)) == wanted


def test_a_model_whose_file_bears_tokens_of_persons_is_none(tmp_path: Path) -> None:
    """Whoever calls data about persons a model would send a person's row uncounted (ATTACKS 83)."""
    files = persons.score_files(tmp_path)
    joint = persons.scored(files, persons.KEY)
    table = Table(MODEL.relation, MODEL.columns, [("15010219800101002X", *MODEL.rows[0][1:])])
    files[TAX] = Files(tmp_path / "persons", table)
    bearing = replace(files[TAX].part, about_persons=False)
    own = replace(joint.decisions[1], relation=bearing, files=tuple(files[TAX].keys)[:1])
    with pytest.raises(Malformed, match="tokens of persons"):
        extracted(replace(joint, decisions=(joint.decisions[0], own)), TAX, files[TAX])
    own = replace(own, relation=files[TAX].part)
    with pytest.raises(Malformed, match="a model's row has none"):
        extracted(replace(joint, decisions=(joint.decisions[0], own)), TAX, files[TAX])
