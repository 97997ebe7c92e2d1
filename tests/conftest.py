"""What every test may rely on.

Properties run with the same seed each time in CI, so that a red build can be run again; `make test-long`
searches further. No test leaves the process with other answers to signals than it found, since with SIGPIPE at its
default the next write to something that has ended would end all tests without a word. Libraries of numbers
compute with one thread. Nothing else is shared here: a fixture lives beside the tests that use it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

SLOW = (HealthCheck.too_slow,)
"""That a machine is slow says nothing about what is tested; there is no deadline for the same reason."""

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, suppress_health_check=SLOW)
settings.register_profile("search", deadline=None, max_examples=2000, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("DARKROOM_TEST_PROFILE", "ci"))

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    # They start a thread for each core, and these wait for each other by counting: where others have the cores as
    # well, a second of work takes many. They read this when they are imported, which is later.
    os.environ.setdefault(name, "1")

WATCHED = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


@pytest.fixture(autouse=True)
def signals_stay_as_they_were() -> Iterator[None]:
    before = [signal.getsignal(number) for number in WATCHED]
    yield
    assert [signal.getsignal(number) for number in WATCHED] == before, "a test changed what a signal does"


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Interrupts reach this process and what it starts; a shell has its background jobs ignore them, and theirs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
