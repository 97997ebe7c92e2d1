"""Promise: two parties look up over a channel in messages of public sizes and numbers, and find what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.lookup import dialogue, fields
from mpc.lookup.dialogue import Found, seek, serve
from mpc.lookup.layout import of_columns
from mpc.lookup.plan import Plan, Way, planned
from mpc.lookup.table import TableRecord
from mpc.protocols.memory import MemoryChannel, together
from plans.errors import EvidenceBroken, KeyRepeated, LinkBroken, Malformed, TooLarge
from tests.mpc.lookup_world import WIDTH, coins, hidden, rows

WHOLE = planned(50, WIDTH, 512)
BUCKETS = replace(WHOLE, layout=of_columns(50, WIDTH, 8), once=0, leaks_bits=3)
PLANS = {"hidden": hidden(50), "whole": WHOLE, "buckets": BUCKETS}


def shape(plan: Plan) -> Plan:
    """The plan with the bytes that are fetched once, which follow from its way."""
    once = plan.layout.hint if plan.way is Way.HIDDEN else plan.once
    return replace(plan, once=once)


def meet(
    plan: Plan, keys: Sequence[bytes], questions: int, count: int = 50
) -> tuple[Found, TableRecord, list[int]]:
    sizes: list[int] = []

    def owner(channel: MemoryChannel) -> object:
        record = serve(channel, "bank", rows(count), shape(plan), questions, coins(1))
        sizes.extend((channel.traffic()["bank"].received_messages, channel.traffic()["bank"].received_bytes))
        return record

    def seeker(channel: MemoryChannel) -> object:
        return seek(channel, "registry", keys, shape(plan), questions, coins(2))

    done, _ = together({"registry": owner, "bank": seeker})
    found, record = done["bank"], done["registry"]
    assert isinstance(found, Found) and isinstance(record, TableRecord)
    return found, record, sizes


@pytest.mark.parametrize("way", PLANS)
def test_each_key_has_its_record_or_none_in_its_place(way: str) -> None:
    keys, records = rows(50)
    asked = [keys[7], b"nobody", keys[0], keys[7], keys[49]]
    found, record, _ = meet(PLANS[way], asked, 40)
    assert found.records == [records[7], None, records[0], records[7], records[49]]
    assert found.table == record


@pytest.mark.parametrize("way", PLANS)
def test_an_owner_does_not_learn_how_many_keys_there_were(way: str) -> None:
    seen = [meet(PLANS[way], rows(50)[0][:count], 40)[2] for count in (0, 1, 40)]
    assert seen[0] == seen[1] == seen[2]
    unfilled = [meet(PLANS[way], rows(50)[0][:count], count)[2] for count in (1, 2)]
    assert unfilled[0] != unfilled[1], "the control: with as many questions as keys it does"


def test_more_keys_than_questions_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(TooLarge, match="public number") as refused:
        meet(PLANS["hidden"], rows(50)[0][:3], 2)
    assert "3" not in str(refused.value)
    with pytest.raises(Malformed, match="1 keys are empty"):
        meet(PLANS["hidden"], [b""], 2)


def test_what_the_seeker_is_sent_in_pieces_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "_PIECE", 1000)
    monkeypatch.setattr(dialogue, "_QUESTIONS", 3)
    keys, records = rows(50)
    for plan in PLANS.values():
        assert meet(plan, keys[:8], 10)[0].records == records[:8]


def test_a_table_of_another_shape_than_the_plans_is_refused() -> None:
    good = meet(PLANS["hidden"], [], 1)[1]
    plan = PLANS["hidden"]
    assert dialogue._read(good.canonical(), plan) == good
    for bad in (
        b"{}",
        replace(good, hint="").canonical(),
        replace(good, layout=of_columns(51, WIDTH, 8)).canonical(),
    ):
        with pytest.raises(LinkBroken):
            dialogue._read(bad, plan)


def test_rows_that_cannot_be_looked_up_end_the_owners_part_before_anything_is_sent() -> None:
    def owner(channel: MemoryChannel) -> object:
        return serve(channel, "bank", ([b"a", b"a"], [bytes(WIDTH)] * 2), WHOLE, 1, coins(1))

    def seeker(channel: MemoryChannel) -> object:
        return seek(channel, "registry", [], WHOLE, 1, coins(2))

    with pytest.raises(KeyRepeated):
        together({"registry": owner, "bank": seeker})


# ----------------------------------------------------------------------------------- fields of a record

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=6)), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_texts_come_back_from_records_of_one_width(texts: list[str | None]) -> None:
    widths = [24] * len(texts)
    record = fields.pack(texts, widths)
    assert len(record) == fields.width_of(widths) == 26 * len(texts)
    assert fields.unpack(record, widths) == texts


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=7, max_size=7))
def test_bytes_that_nobody_packed_are_refused_and_others_are_the_only_form(raw: bytes) -> None:
    try:
        texts = fields.unpack(raw, [2, 1])
    except EvidenceBroken:
        return
    assert fields.pack(texts, [2, 1]) == raw


def test_texts_that_do_not_fit_are_refused_with_the_field_and_not_shown() -> None:
    assert fields.pack(["税务", ""], [6, 1]) != fields.pack(["税务", None], [6, 1])
    with pytest.raises(TooLarge, match="longer than 5 bytes.*field 2") as refused:
        fields.pack(["a", "税务"], [6, 5])
    assert "税" not in str(refused.value)
    with pytest.raises(Malformed, match="1 texts were given for 2"):
        fields.pack(["a"], [6, 5])
    for widths in ([], [0], [1, 2**16]):
        with pytest.raises(Malformed):
            fields.width_of(widths)
    with pytest.raises(EvidenceBroken):
        fields.unpack(bytes(9), [6, 5])
    with pytest.raises(EvidenceBroken, match="no text"):
        fields.unpack(b"\3\0\xff\xff", [2])
