"""Promise: whoever looks up a key gets its record or "absent", at every size, and the owner sees the same messages."""

from __future__ import annotations

import math
import secrets
from dataclasses import replace

import numpy as np
import pytest

from mpc.lookup import gpu, simple_pir, table
from mpc.lookup import seeker as seeking
from mpc.lookup.layout import of_columns
from mpc.lookup.owner import Owner
from mpc.lookup.plan import Plan, Way, planned
from mpc.lookup.seeker import Seeker
from plans.errors import EvidenceBroken, LinkBroken, StateConflict
from plans.joint_persons import commitment
from tests.mpc.lookup_world import (
    WIDTH,
    coins,
    granted,
    hidden,
    kept,
    looked_up,
    multiplied,
    owner,
    rows,
    seeker,
)


def checked(plan: Plan, count: int) -> Owner:
    """Look up some keys that are there and some that are not, the first and the last among them."""
    of = owner(plan, count)
    asks, (keys, records) = seeker(of), rows(count, plan.layout.width)
    for at in sorted({0, count // 3, count - 1}):
        assert looked_up(asks, of, keys[at], at) == records[at]
    for absent in (b"nobody", keys[0] + b"0", keys[0][:-1]):
        assert looked_up(asks, of, absent) is None
    return of


@pytest.mark.parametrize("count", [1, 2, 10, 1000, 10_000])
def test_present_and_absent_keys_are_told_right_without_saying_which(count: int) -> None:
    assert checked(hidden(count), count).record.hint


@pytest.mark.long
def test_it_is_right_with_a_hundred_thousand_rows() -> None:
    checked(hidden(100_000), 100_000)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_it_is_right_with_a_million_rows() -> None:
    plan = planned(1_000_000, WIDTH, 4096)
    assert plan.way is Way.HIDDEN
    checked(plan, 1_000_000)


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_a_small_table_is_handed_out_whole(count: int) -> None:
    plan = planned(count, WIDTH, 512)
    assert (plan.way, plan.layout.columns, plan.leaks_bits) == (Way.COLUMNS, 1, 0)
    of = checked(plan, count)
    assert of.record.hint == "" and len(of.column(0)) == plan.once


def test_buckets_are_right_too() -> None:
    plan = replace(planned(3000, WIDTH, 512), layout=of_columns(3000, WIDTH, 16), leaks_bits=4)
    checked(plan, 3000)


def test_fewer_rows_than_the_bound_make_messages_of_the_same_sizes() -> None:
    sizes = set()
    for count in (0, 5, 2000):
        of = owner(hidden(2000), count)
        lookup = seeker(of).ask(b"k", coins(1))
        evaluation = of.evaluate(lookup.blinded)
        opening = lookup.opening(evaluation.commitment)
        lookup.evaluated(evaluation.revealed(opening))
        answer = of.answer(lookup.question)
        sent = lookup.blinded, opening, lookup.question, evaluation.commitment, answer, of.hint.tobytes()
        sizes.add(tuple(len(each) for each in sent))
    assert len(sizes) == 1


def transcript(of: Owner, key: bytes, seed: int) -> tuple[bytes, bytes]:
    lookup = granted(seeker(of).ask(key, coins(seed)), of)
    return lookup.blinded, lookup.question


@pytest.mark.parametrize("games", [80, pytest.param(200, marks=pytest.mark.long)])
def test_an_owner_that_sees_everything_it_is_sent_guesses_no_better_than_by_chance(games: int) -> None:
    """A game: which of two keys was it? The owner takes the key whose column's word is nearer to q/p."""
    of = owner(hidden(300, layout=of_columns(300, WIDTH, 64)), 300)
    keys = rows(300)[0][:2]
    stream = coins(11)
    asks = seeker(of)
    choice, right = np.random.default_rng(0).integers(0, 2, games), 0
    for which in choice:
        lookup = granted(asks.ask(keys[which], stream), of)
        words = np.frombuffer(lookup.question, dtype="<u4")
        outputs = [table.place_of(of.record, _output(of, key)) for key in keys]
        distances = [min(int(words[at]) ^ 2**24, 2**32 - int(words[at])) for at in outputs]
        right += int(np.argmin(distances)) == which
    assert abs(right - games / 2) < 2.2 * math.sqrt(games), (
        "four standard deviations, and the control is right always"
    )


def test_control_without_a_secret_the_same_owner_is_always_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpc.lookup.simple_pir.combine", lambda *_: None)
    of = owner(hidden(300, layout=of_columns(300, WIDTH, 64)), 300)
    for at, key in enumerate(rows(300)[0][:20]):
        _, question = transcript(of, key, at)
        place = table.place_of(of.record, _output(of, key))
        assert int(np.abs(np.frombuffer(question, dtype="<i4")).argmax()) == place


def _output(of: Owner, key: bytes) -> bytes:
    from mpc.lookup import oprf

    return oprf.outputs(of._exponent, oprf.blocks_of([key]), of.record.name)[0].tobytes()


def test_several_keys_together_are_as_good_as_one_by_one() -> None:
    of = owner(hidden(200), 200)
    keys, records = rows(200)
    lookups = [
        granted(each, of) for each in seeker(of).ask_several([*keys[:3], b"nobody", keys[0]], coins(4))
    ]
    answers = of.answers([each.question for each in lookups])
    found = [each.opened(answer) for each, answer in zip(lookups, answers, strict=True)]
    assert found == [*records[:3], None, records[0]]
    assert len({each.question for each in lookups}) == 5, "each with secrets of its own"


def test_a_table_on_a_device_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = owner(hidden(200), 200)
    monkeypatch.setattr(gpu, "on_gpu", lambda matrix: gpu.DeviceTable(matrix, kept, multiplied))
    of = owner(hidden(200), 200)
    lookups = [granted(each, of) for each in seeker(of).ask_several(rows(200)[0][:5], coins(4))]
    asked = [each.question for each in lookups]
    assert plain._device is None and of._device is not None
    answers = of.answers(asked)
    assert answers == [simple_pir.answer(of._sealed.matrix, each) for each in asked]
    assert [each.opened(answer) for each, answer in zip(lookups, answers, strict=True)] == rows(200)[1][:5]


def test_no_gpu_is_looked_for_where_a_table_is_small_and_none_is_needed_where_it_is_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def absent(name: str) -> object:
        asked.append(name)
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("mpc.lookup.gpu.importlib.import_module", absent)
    assert gpu.on_gpu(np.zeros((64, 64), dtype=np.uint8)) is None and asked == []
    assert gpu.on_gpu(np.zeros((1 << 13, 1 << 13), dtype=np.uint8)) is None and asked == ["torch"]


def test_steps_out_of_order_are_refused() -> None:
    of = owner(hidden(20), 20)
    lookup = seeker(of).ask(b"k", coins(1))
    for early in (lambda: lookup.question, lambda: lookup.place):
        with pytest.raises(StateConflict):
            early()
    evaluation = of.evaluate(lookup.blinded)
    with pytest.raises(StateConflict):
        lookup.evaluated(bytes(160))
    revealed = evaluation.revealed(lookup.opening(evaluation.commitment))
    lookup.evaluated(revealed)
    with pytest.raises(StateConflict):
        lookup.evaluated(revealed)
    answer = of.answer(lookup.question)
    lookup.opened(answer)
    with pytest.raises(StateConflict):
        lookup.opened(answer)


def test_a_table_has_one_way_and_no_other() -> None:
    """A hidden table hands out no column, which would say which; a table of columns answers no hidden question."""
    of = owner(hidden(20), 20)
    with pytest.raises(StateConflict, match="without saying which"):
        of.column(0)
    whole = owner(planned(20, WIDTH, 512), 20)
    with pytest.raises(StateConflict, match="as they are"):
        whole.answer(bytes(4))
    for place in (-1, 1):
        with pytest.raises(LinkBroken):
            whole.column(place)
    with pytest.raises(StateConflict, match="none to this table"):
        _ = looked(whole).question


def looked(of: Owner) -> seeking.Lookup:
    return granted(seeker(of).ask(b"k", coins(1)), of)


def test_an_answer_of_another_version_is_found_out() -> None:
    old, new = owner(hidden(50), 50, 1), owner(hidden(50), 50, 2)
    lookup = seeker(new).ask(rows(50)[0][0], coins(1))
    with pytest.raises(EvidenceBroken, match="beside a key"):
        granted(lookup, old)
    lookup = looked(new)
    with pytest.raises(EvidenceBroken):
        lookup.opened(old.answer(lookup.question))


def test_nothing_of_a_lookup_or_an_owner_shows_in_repr() -> None:
    of = owner(hidden(20), 20)
    lookup = looked(of)
    shown = repr(lookup) + repr(of) + repr(lookup._blinding) + repr(lookup._prepared)
    assert "matrix" not in shown and "_output" not in shown and "Exponent" not in shown
    assert lookup._output.hex()[:16] not in shown and repr(lookup._output)[2:20] not in shown


def test_a_seeker_keeps_a_hint_and_asks_any_number_of_times() -> None:
    of = owner(hidden(200), 200)
    asks, (keys, records) = Seeker(of.record, of.hint.tobytes()), rows(200)
    stream = coins(8)
    for at in (5, 5, 77):
        lookup = granted(asks.ask(keys[at], stream), of)
        assert lookup.opened(of.answer(lookup.question)) == records[at]


def test_a_commitment_is_checked_by_who_has_key_and_salt_and_tells_others_nothing_twice() -> None:
    one, other = secrets.token_bytes(32), secrets.token_bytes(32)
    assert commitment(b"k", one) == commitment(b"k", one)
    found = {commitment(key, salt) for key in (b"k", b"l") for salt in (one, other)}
    assert len(found) == 4
    # key and salt do not run into one another
    assert commitment(b"b", b"a") != commitment(b"", b"ab")
