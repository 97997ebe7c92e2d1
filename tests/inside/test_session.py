"""What one box hands to the next tells nothing by its size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inside.session import SMALLEST_HANDOVER, padded, unpadded
from plans.errors import Malformed


@given(st.binary(max_size=300_000))
def test_padding_is_undone_exactly(content):
    assert unpadded(padded(content)) == content


@given(st.binary(max_size=SMALLEST_HANDOVER - 8), st.binary(max_size=SMALLEST_HANDOVER - 8))
def test_two_small_results_have_the_same_size(first, second):
    assert len(padded(first)) == len(padded(second)) == SMALLEST_HANDOVER


@given(st.integers(SMALLEST_HANDOVER, 1 << 20))
def test_a_larger_one_has_a_power_of_two_of_bytes(size):
    assert len(padded(bytes(size))).bit_count() == 1


def test_a_length_that_lies_is_refused():
    with pytest.raises(Malformed):
        unpadded((100).to_bytes(8, "big") + b"short")
