"""The signals that ask a run to end after its step."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Stop:
    """Which signal asked this process to stop; None as long as none did."""

    signal: signal.Signals | None = None


@contextlib.contextmanager
def stop_requested() -> Iterator[Stop]:
    """Notes SIGTERM and Ctrl-C and lets the process go on, so that a loop can end after its step.

    A second Ctrl-C interrupts at once. In a thread other than the main one, which gets no signals,
    it notes nothing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, _: object) -> None:
        if number == signal.SIGINT and stop.signal == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signal = signal.Signals(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
