from __future__ import annotations

from sandbox_runner.pool import find_tier
from sandbox_runner.types import Limits
from sandbox_runner.values import returned_values
from sandbox_runner.worker import Worker


def test_values_come_from_the_jail() -> None:
    worker = Worker(find_tier(allow_weak_isolation=True))
    program = (
        "def f(x):\n    if x == 1:\n        raise KeyError(x)\n    if x == 2:\n"
        "        return object()\n    if x == 3:\n        while True: pass\n"
        "    return (x, {x: [None]})\n"
    )
    try:
        limits = Limits(cpu_s=0.2)
        found = returned_values(program, "f", [(n,) for n in range(5)], limits, worker)
    finally:
        worker.stop()
    assert [f.returned for f in found] == [True, False, False, False, True]
    assert [f.value for f in found][::4] == [(0, {0: [None]}), (4, {4: [None]})]
    assert [str(f.result.verdict) for f in found] == ["AC", "RE", "WA", "TLE", "AC"]
