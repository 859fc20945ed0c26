from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from codeprm_jax.search import event_loop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_work_and_is_raised_when_that_has_ended(number: int) -> None:
    said = []

    async def waits() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            said.append("cleaned up")

    async def work() -> None:
        tasks = [asyncio.create_task(waits()) for _ in range(3)]
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), number)
        try:
            await tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        event_loop.run(work())
    assert len(said) == 3 and signal.getsignal(signal.SIGTERM) is before


def test_results_come_back_in_any_thread() -> None:
    async def work() -> int:
        return 3

    found = []
    thread = threading.Thread(target=lambda: found.append(event_loop.run(work())))
    thread.start()
    thread.join()
    assert found == [3] and event_loop.run(work()) == 3
