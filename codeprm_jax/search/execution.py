"""Running candidate programs on public tests: the only execution that a search can ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from codeprm_jax.files import RunError
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.traces.trace import Feedback
from sandbox_runner.types import Job, Report


class Judge(Protocol):
    """What runs jobs; `sandbox_runner.pool.Pool` does."""

    def run(self, jobs: Iterable[Job]) -> Iterable[Report]:
        """One report for each job, in any order."""


class InternalJudgeError(RunError):
    """The sandbox failed on a program again and again: no verdict, so nothing to go on with."""


class PublicExecutor:
    """Feedback from the public tests; equal programs of a problem are run once."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._known: dict[tuple[str, str], Feedback] = {}

    def run(self, programs: Sequence[tuple[PublicProblem, str]]) -> list[Feedback]:
        """Feedback for each (problem, program), in order. Raises InternalJudgeError."""
        jobs: dict[str, Job] = {}
        keys: dict[str, tuple[str, str]] = {}
        for problem, program in programs:
            key = (problem.id, program)
            if key in self._known or key in keys.values():
                continue
            job_id = str(len(keys))
            job = problem.public_job(job_id, program)
            if job is None:
                self._known[key] = Feedback(0, 0)
            else:
                jobs[job_id], keys[job_id] = job, key
        for report in self._judge.run(jobs.values()):
            if report.internal_error:
                problem_id = keys[report.id][0]
                raise InternalJudgeError(f"the sandbox failed on a program for {problem_id}")
            self._known[keys[report.id]] = Feedback.from_results(report.tests)
        return [self._known[problem.id, program] for problem, program in programs]
