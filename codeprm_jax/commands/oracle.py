"""Outcomes on all tests, private ones too, for collection: two numbers, remembered for labelling.

Reports are kept by content (`sandbox_runner.store`) beside the traces, where `sandbox-runner label`
looks for them, so that no program is run a second time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from codeprm_jax.files import InputError
from codeprm_jax.problems.problem import Problem, PublicProblem
from codeprm_jax.search.execution import Execution, InternalJudgeError
from codeprm_jax.search.rollouts import Oracle, Outcome
from codeprm_jax.traces.trace import Feedback
from sandbox_runner.pool import Pool
from sandbox_runner.store import ResultStore, StoreError, job_key, results_path


@contextmanager
def open_oracle(problems: Sequence[Problem], pool: Pool, traces: Path) -> Iterator[Oracle]:
    """What says how a program does on all tests of one of `problems`.

    Raises InputError if the results beside `traces` are being written by another run.
    """
    by_id = {p.id: p for p in problems}
    traces.parent.mkdir(parents=True, exist_ok=True)
    try:
        store = ResultStore(results_path(traces))
    except StoreError as error:
        raise InputError(str(error)) from error
    try:
        with Execution(pool) as execution:

            async def outcome(public: PublicProblem, program: str) -> Outcome | None:
                job = by_id[public.id].label_job(public.id, program)
                key = job_key(job, pool.tier)
                if key not in store:
                    try:
                        report = await execution.run(job)
                    except InternalJudgeError:
                        return None  # no label; the labeller will try this program again
                    store.put(key, replace(report, id=key))
                report = store.get(key)
                shown = [r for r in report.tests if r.id in {t.id for t in public.tests}]
                return Outcome(report.passes, report.trials, Feedback.from_results(shown))

            yield outcome
    finally:
        store.close()


def digest_of_tests(problems: Sequence[Problem]) -> str:
    """A digest of all that outcomes are judged by."""
    found = hashlib.blake2b(digest_size=16)
    for problem in problems:
        content = problem.label_job("", "").to_json()
        found.update(json.dumps([problem.id, content], sort_keys=True).encode())
    return found.hexdigest()
