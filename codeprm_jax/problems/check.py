"""Whether problems are sound: every reference solution must pass every test of its problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codeprm_jax.problems.problem import Problem
from sandbox_runner.pool import Pool
from sandbox_runner.types import TestResult

SHOWN = 200  # characters of a value in a message


@dataclass(frozen=True)
class ReferenceFailure:
    """A reference solution that does not pass.

    Attributes:
      problem_id: its problem.
      reference: its index among the problem's references; -1: the problem has none.
      failed: the results of the tests that it does not pass, in the problem's order.
    """

    problem_id: str
    reference: int
    failed: tuple[TestResult, ...]

    def __str__(self) -> str:
        if self.reference < 0:
            return f"{self.problem_id}: no reference solution"
        lines = [f"{self.problem_id}: reference {self.reference} fails {len(self.failed)} tests"]
        for result in self.failed:
            parts = [f"  {result.id} {result.verdict}: {_short(result.input)}"]
            if result.expected:
                parts.append(f"expected {_short(result.expected)}")
            if result.actual:
                parts.append(f"got {_short(result.actual)}")
            if result.stderr:
                # The last line of a traceback names the error.
                parts.append(_short(result.stderr.strip().splitlines()[-1]))
            lines.append(", ".join(parts))
        return "\n".join(lines)


def check_references(
    problems: Sequence[Problem], pool: Pool, progress: Callable[[], object] | None = None
) -> list[ReferenceFailure]:
    """The reference solutions that do not pass all tests, in the order of `problems`.

    A problem without a reference solution is among them: nothing shows that it can be solved.

    Args:
      problems: what to check; ids must be unique.
      pool: judges the solutions.
      progress: called once a problem, when its last reference has been judged.

    Raises:
      sandbox_runner.pool.PoolClosedError: the pool was closed.
    """
    places = [(p, i) for p in problems for i in range(len(p.references))]
    waiting = {p.id: len(p.references) for p in problems}
    failures: dict[tuple[str, int], ReferenceFailure] = {}

    def finished(problem_id: str) -> None:
        if waiting[problem_id] <= 0 and progress is not None:
            progress()

    for problem in problems:
        if not problem.references:
            failures[problem.id, -1] = ReferenceFailure(problem.id, -1, ())
            finished(problem.id)
    jobs = (p.label_job(str(n), p.references[i]) for n, (p, i) in enumerate(places))
    for report in pool.run(jobs):
        problem, index = places[int(report.id)]
        failed = tuple(t for t in report.tests if not t.passed)
        if failed:
            failures[problem.id, index] = ReferenceFailure(problem.id, index, failed)
        waiting[problem.id] -= 1
        finished(problem.id)
    order = {p.id: n for n, p in enumerate(problems)}
    return sorted(failures.values(), key=lambda f: (order[f.problem_id], f.reference))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
