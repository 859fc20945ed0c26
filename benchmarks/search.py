"""Does a search keep model server, sandbox and scorer busy at once?

    python benchmarks/search.py RUN [--problems 200] [--latency 0.5] [--concurrency 64]

RUN is a trained PRM, such as runs/quickstart-bank/train. Four arms, best-of-8, on copies of the
bank's problems, with a simulated generator that takes as long to answer as a model server would.
The peers are its own parts: what the answers cost at this concurrency, and what the same programs
and the same traces cost, executed and scored alone on the idle machine. Sandbox and scorer share
the cores, so their times add up; the generator's wait goes on beside them.

Prints one JSON line: `ratio` is the wall time over what the slower of the two implies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from codeprm_jax.data.layout import StepInput
from codeprm_jax.evaluation.benchmark import RESULTS, STAGES, BenchmarkConfig, run_benchmark
from codeprm_jax.files import read_json, read_jsonl
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import (
    ImplementRequest,
    ProposeRequest,
    RefineRequest,
    Text,
    Thoughts,
)
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.problems.problem import Problem
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.search.arms import GVR_LAST, GVR_PRM, GVR_RANDOM, TESTS_ONLY
from codeprm_jax.search.execution import Execution
from codeprm_jax.search.ledger import Budget
from codeprm_jax.traces.trace import Feedback
from sandbox_runner.pool import Pool
from sandbox_runner.types import Job

ARMS = (TESTS_ONLY, GVR_RANDOM, GVR_LAST, GVR_PRM)


class Server(MutationPolicy):
    """A generator that takes its time, as many requests at once as it is told."""

    def __init__(self, chains: Any, latency: float, concurrency: int) -> None:
        super().__init__(chains)
        self.latency, self.concurrency = latency, concurrency
        self.calls = 0

    async def _wait(self) -> None:
        self.calls += 1
        await asyncio.sleep(self.latency)

    async def propose(self, request: ProposeRequest) -> Thoughts:
        await self._wait()
        return await super().propose(request)

    async def implement(self, request: ImplementRequest) -> Text:
        await self._wait()
        return await super().implement(request)

    async def refine(self, request: RefineRequest) -> Text:
        await self._wait()
        return await super().refine(request)


def copies(count: int) -> tuple[list[Problem], dict[str, Any]]:
    """Problems of the bank, again and again under other ids, and their chains."""
    problems, chains = [], {}
    for number in range(count):
        entry = ENTRIES[number % len(ENTRIES)]
        name = f"{entry.problem.id}-{number}"
        problems.append(replace(entry.problem, public=replace(entry.problem.public, id=name)))
        chains[name] = replace(entry.chain, problem_id=name)
    return problems, chains


def jobs_of(records: list[dict[str, Any]], problems: list[Problem]) -> list[Job]:
    """Every execution of a run, once: public tests for the searches, private for the verdicts."""
    by_id = {p.id: p for p in problems}
    pairs = {(r["problem_id"], a["program"]) for r in records for a in r["attempts"]}
    jobs = []
    for problem_id, program in sorted(pairs):
        public = by_id[problem_id].public.public_job(problem_id, program)
        jobs += [] if public is None else [public]
        jobs.append(by_id[problem_id].final_job(problem_id, program))
    return jobs


def traces_of(records: list[dict[str, Any]], problems: list[Problem]) -> list[StepInput]:
    """Every trace that was scored."""
    statements = {p.id: p.public.statement for p in problems}
    return [
        StepInput(
            statements[r["problem_id"]],
            tuple(a["thoughts"]),
            a["program"],
            Feedback.from_json(a["feedback"]),
        )
        for r in records
        for a in r["attempts"]
        if a["scores"] is not None
    ]


def execute_alone(pool: Pool, jobs: list[Job]) -> float:
    async def run() -> None:
        with Execution(pool) as execution:
            await asyncio.gather(*(execution.run(job) for job in jobs))

    began = time.perf_counter()
    asyncio.run(run())
    return time.perf_counter() - began


def score_alone(scorer: StepScorer, traces: list[StepInput], at_once: int) -> float:
    began = time.perf_counter()
    for start in range(0, len(traces), at_once):
        scorer.score_each(traces[start : start + at_once])
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds a request")
    parser.add_argument("--concurrency", type=int, default=64, help="requests in flight")
    given = parser.parse_args()
    problems, chains = copies(given.problems)
    server = Server(chains, given.latency, given.concurrency)
    scorer = StepScorer(given.model)
    compiled = scorer.warm_up()
    config = BenchmarkConfig(Budget(8), repeats=1, concurrency=4 * given.concurrency)
    groups = dict.fromkeys((p.id for p in problems), "all")
    with (
        Pool(allow_weak_isolation=True) as pool,
        tempfile.TemporaryDirectory() as d,
    ):
        began = time.perf_counter()
        run_benchmark(problems, groups, server, pool, scorer, Path(d), ARMS, config)
        wall = time.perf_counter() - began
        (start,) = read_json(Path(d) / STAGES)
        records = list(read_jsonl(Path(d) / RESULTS))
        scorer.forget()
        jobs, traces = jobs_of(records, problems), traces_of(records, problems)
        executing = execute_alone(pool, jobs)
        scoring = score_alone(scorer, traces, 64)
    generating = server.calls * given.latency / given.concurrency
    implied = max(generating, executing + scoring)
    print(
        json.dumps(
            {
                "benchmark": "search",
                "problems": given.problems,
                "searches": len(records),
                "latency_seconds": given.latency,
                "concurrency": given.concurrency,
                "requests": server.calls,
                "executions": len(jobs),
                "scored_traces": len(traces),
                "wall_seconds": round(wall, 1),
                "alone_seconds": {
                    "generation": round(generating, 1),
                    "execution": round(executing, 1),
                    "scoring": round(scoring, 1),
                },
                "sum_of_alone_seconds": round(generating + executing + scoring, 1),
                "ratio": round(wall / implied, 2),
                "utilisation": {
                    name: round(s["worked_seconds"] / s["capacity"] / start["wall_seconds"], 2)
                    for name, s in start["stages"].items()
                },
                "compiled": [compiled, scorer.compiled],
            }
        )
    )


if __name__ == "__main__":
    main()
