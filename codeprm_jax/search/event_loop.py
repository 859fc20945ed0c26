"""An event loop that an interrupt ends well."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, in which SIGTERM is what Ctrl-C is: the work is cancelled, and may clean up.

    What a handler of SIGTERM raises by itself would come up in any task or in the loop, and its
    cancelled tasks would be left pending. In a thread other than the main one, which gets no
    signals, this is `asyncio.run`.

    Raises:
      KeyboardInterrupt: after a signal, when the work has ended.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)
    previous = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return asyncio.run(work)
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)
