"""Running candidate programs on public tests: the only execution that a search can ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

from codeprm_jax.files import RunError
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.search.stages import Stage
from codeprm_jax.traces.trace import Feedback
from sandbox_runner.types import Job, Report


class Judge(Protocol):
    """What runs jobs, for several threads at once; `sandbox_runner.pool.Pool` does."""

    workers: int

    def run(self, jobs: Iterable[Job]) -> Iterable[Report]:
        """One report for each job, in any order."""


class InternalJudgeError(RunError):
    """The sandbox failed on a program again and again: no verdict, so nothing to go on with."""


class Execution:
    """Judges jobs for one event loop, as many at once as the judge has workers.

    Attributes:
      stage: how busy the workers are.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._threads = ThreadPoolExecutor(judge.workers, "execution")
        self.stage = Stage("execution", judge.workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # After an error nobody waits for what is queued, nor for programs that run.
        self._threads.shutdown(wait=kind is None, cancel_futures=True)

    async def run(self, job: Job) -> Report:
        """The report of a job. Raises InternalJudgeError naming it if there is no verdict."""
        report = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, job)
        if report.internal_error:
            raise InternalJudgeError(f"the sandbox failed on a program for {job.id}")
        return report

    async def feedback(self, problem: PublicProblem, program: str) -> Feedback:
        """What the public tests say of a program; 0 of 0 where there are none."""
        job = problem.public_job(problem.id, program)
        return Feedback(0, 0) if job is None else Feedback.from_results((await self.run(job)).tests)

    def _run(self, job: Job) -> Report:
        with self.stage:
            (report,) = self._judge.run([job])
        return report
