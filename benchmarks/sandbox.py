"""Programs per second of the sandbox, against a fresh unisolated Python process for each program.

    python benchmarks/sandbox.py [programs]

The bank's single-variant programs with all their tests. The peer writes the program and its asserts
into one file and runs `python -I -S` on it, as many label scripts do: no isolation, one time limit
for the whole suite, no verdict per test.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from codeprm_jax.problems.bank import ENTRIES
from sandbox_runner.pool import Pool
from sandbox_runner.types import FunctionTest, Job


def function_jobs(count: int) -> list[Job]:
    jobs = []
    for entry in ENTRIES:
        if entry.entry_point is None:
            continue
        for index, step in enumerate(entry.chain.steps):
            for variant in range(len(step.variants)):
                choices = [0] * len(entry.chain.steps)
                choices[index] = variant
                program = entry.chain.program(choices)
                jobs.append(entry.problem.label_job(str(len(jobs)), program))
    return (jobs * (1 + count // len(jobs)))[:count]


def unisolated(job: Job) -> bool:
    asserts = [
        f"assert {job.entry_point}(*{t.args!r}, **{dict(t.kwargs)!r}) == {t.expected!r}"
        for t in job.tests
        if isinstance(t, FunctionTest)
    ]
    source = job.program + "\n" + "\n".join(asserts)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source], capture_output=True, timeout=20, check=False
    )
    return done.returncode == 0


def rate(run: Callable[[], list[bool]], count: int) -> tuple[float, list[bool]]:
    began = time.perf_counter()
    passed = run()
    return count / (time.perf_counter() - began), passed


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    jobs = function_jobs(count)
    workers = len(os.sched_getaffinity(0))
    ours, theirs = [], []
    with Pool(workers) as pool, ThreadPoolExecutor(workers) as threads:
        list(pool.run(jobs[:20]))
        for _ in range(3):
            ours.append(rate(lambda: [r.all_passed for r in pool.run(jobs)], count))
            theirs.append(rate(lambda: list(threads.map(unisolated, jobs)), count))
        tier = pool.tier
    assert sum(ours[0][1]) == sum(theirs[0][1]), "the two disagree on how many programs pass"
    mine, peer = (statistics.median(r for r, _ in runs) for runs in (ours, theirs))
    line = {
        "benchmark": "sandbox",
        "tier": tier,
        "workers": workers,
        "programs": count,
        "tests_per_program": round(statistics.mean(len(j.tests) for j in jobs), 1),
        "programs_per_second": round(mine, 1),
        "peer": "python -I -S process per program, no isolation",
        "peer_programs_per_second": round(peer, 1),
        "ratio": round(mine / peer, 3),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
