"""The stop button ends a statement on look-alike data as it ends a loop of the member's own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from darkroom.twin_engine import TwinEngine
from plans.errors import NotFound
from plans.trial import TwinTable

ENDLESS = "select count(*) from range(10000000000) a(x), range(1000) b(y) where x + y = 3"


def none(relation: str) -> TwinTable:
    raise NotFound("there is no relation", relation)


def once_it_runs(act: Callable[[], None], thread: int) -> None:
    """Do something once a thread waits for the engine."""
    while sys._current_frames()[thread].f_code is not TwinEngine._answer.__code__:
        time.sleep(0.01)
    time.sleep(0.2)
    act()


def key_pressed() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_of_a_statement_is_no_error_that_a_loop_swallows() -> None:
    engine, swallowed = TwinEngine(), list[Exception]()
    typing = threading.Thread(target=once_it_runs, args=(key_pressed, threading.get_ident()))
    with pytest.raises(KeyboardInterrupt):
        typing.start()
        try:
            engine.run(ENDLESS, none)
        except Exception as problem:  # noqa: BLE001 - as a member's loop has it
            swallowed.append(problem)
    typing.join()
    assert swallowed == []
    assert engine.run("select 1 as n", none).rows[0][0].v == "1", "the engine goes on to work"


def test_what_another_signal_raises_comes_as_it_is() -> None:
    class LateError(Exception):
        pass

    def late(*_: Any) -> None:
        raise LateError

    before = signal.signal(signal.SIGALRM, late)
    alarm = threading.Thread(
        target=once_it_runs, args=(lambda: os.kill(os.getpid(), signal.SIGALRM), threading.get_ident())
    )
    try:
        with pytest.raises(LateError):
            alarm.start()
            TwinEngine().run(ENDLESS, none)
    finally:
        alarm.join()
        signal.signal(signal.SIGALRM, before)
