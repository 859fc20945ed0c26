"""What a function returns, from runs in the jail: expected values that no file holds.

The program is run as any other; what it returns crosses the jail as plain data, and is recorded
where a judge would compare it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox_runner.types import FunctionTest, Job, Limits, TestResult, Verdict
from sandbox_runner.worker import Worker


@dataclass(frozen=True)
class Returned:
    """One call.

    Attributes:
      returned: whether it returned plain data within its limits.
      value: what it returned; None where it did not.
      result: the time that it took, and what went wrong (its verdict is AC where nothing did).
    """

    returned: bool
    value: Any
    result: TestResult


def returned_values(
    program: str,
    entry_point: str,
    calls: Sequence[tuple[Any, ...]],
    limits: Limits,
    worker: Worker,
) -> list[Returned]:
    """The values of `entry_point(*arguments)` for each arguments of `calls`, in their order.

    All calls are made in one process, as those of a job are; arguments are not shared between them.

    Args:
      limits: of each call.
      worker: runs them; belongs to the thread that calls this.

    Raises:
      sandbox_runner.types.JobFormatError: no calls, or `entry_point` is no Python name.
    """
    values: dict[int, Any] = {}

    def record(actual: Any, expected: int) -> bool:
        values[expected] = actual
        return True

    tests = tuple(FunctionTest(str(i), tuple(a), i) for i, a in enumerate(calls))
    report = worker.judge(
        Job("values", program, "function", tests, entry_point, limits=limits), record
    )
    return [Returned(r.verdict is Verdict.AC, values.get(i), r) for i, r in enumerate(report.tests)]
