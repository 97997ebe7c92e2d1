"""Libraries use one processor here: several would only wait for each other on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    with threadpool_limits(1):
        yield
