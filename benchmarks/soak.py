"""A long run of mixed programs, a tenth of them hostile: does anything grow, or stay behind?

    python benchmarks/soak.py --programs 200000
    python benchmarks/soak.py --crowd 300

Programs are the honest and hostile ones of tests/ (the hostile ones that end by waiting for a time
limit are left out: they would only make it long), small functions, and test code in a second cell.
Every verdict is checked. The line compares the machine after a tenth of the run with its end.

With --crowd, all attacks run at once on ATTACKERS workers, over and over, beside that many honest
jobs on as many workers as there are cores. The line says how many honest verdicts were wrong, and
how long after its wall limit the latest one came (none should by more than half a second).
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import corpus

from sandbox_runner import accounting
from sandbox_runner.pool import Pool, find_tier
from sandbox_runner.types import CheckTest, FunctionTest, Job, Limits
from sandbox_runner.worker import Worker

SLOW = {"TLE"}
ATTACKERS = 6
SLEEPER = Job(
    "sleeper",
    "import time\ndef f(x): time.sleep(60)",
    "function",
    (FunctionTest("1", (1,), 1),),
    "f",
    limits=Limits(wall_s=1.0),
)
CHECK = CheckTest("1", "for i in range(3):\n    assert candidate(i) == i")


def state() -> dict[str, int]:
    """What must not grow. Memory is in KiB, of this process and of all that it started."""
    gc.collect()
    tasks = [os.getpid(), *accounting.descendants(os.getpid())]
    memory = 0
    spaces = set()
    for task in tasks:
        try:
            memory += int(Path(f"/proc/{task}/statm").read_text().split()[1]) * 4
            spaces |= {os.readlink(f"/proc/{task}/ns/{kind}") for kind in ("pid", "mnt", "ipc")}
        except OSError:
            continue
    folders = (tempfile.gettempdir(), "/dev/shm")
    return {
        "own_memory_kib": int(Path("/proc/self/statm").read_text().split()[1]) * 4,
        "memory_kib": memory,
        "processes": len(tasks),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "namespaces": len(spaces),
        "files": sum(len(os.listdir(f)) for f in folders if os.path.isdir(f)),
        "system_v_objects": sum(
            len(Path(f"/proc/sysvipc/{k}").read_text().splitlines()) - 1
            for k in ("shm", "msg", "sem")
        ),
    }


def work(count: int, tier: str) -> Iterator[tuple[Job, set[str]]]:
    attacks = [a for a in corpus.attacks().values() if tier in a.tiers and not a.verdicts & SLOW]
    honest = [h for h in corpus.honest().values() if tier in h.tiers]
    for number in range(count):
        name = str(number)
        if number % 10 == 0:
            attack = attacks[number // 10 % len(attacks)]
            yield attack.job(name), {str(v) for v in attack.verdicts}
        elif number % 100 == 1:
            yield honest[number // 100 % len(honest)].job(name), {"AC"}
        elif number % 20 == 2:
            yield Job(name, "def f(x): return x", "function", (CHECK,), "f"), {"AC"}
        else:
            tests = tuple(FunctionTest(str(i), (i,), i * number) for i in range(3))
            yield Job(name, f"def f(x): return x * {number}", "function", tests, "f"), {"AC"}


def crowd(count: int) -> None:
    tier = find_tier()
    attacks = [a for a in corpus.attacks().values() if tier in a.tiers]
    honest = [h for h in corpus.honest().values() if tier in h.tiers]
    every = [h.job("honest") for h in itertools.islice(itertools.cycle(honest), count)]
    # Those whose limit can be waited for: they come to no end.
    every[::10] = [SLEEPER] * len(every[::10])
    lock, over = threading.Lock(), threading.Event()
    attacked: Counter[str] = Counter()
    gained, wrong, late = [], [], []

    def attack(first: int) -> None:
        worker, number = Worker(tier), first
        while not over.is_set():
            one = attacks[number % len(attacks)]
            report = worker.judge(one.job(one.name))
            with lock:
                attacked[one.name] += 1
                gained.extend([one.name] * any(t.verdict == "AC" for t in report.tests))
            number += ATTACKERS
        worker.stop()

    def serve() -> None:
        worker = Worker(tier)
        while True:
            with lock:
                if not every:
                    break
                job = every.pop()
            began = time.monotonic()
            report = worker.judge(job)
            took = time.monotonic() - began
            with lock:
                late.append(took - job.limits.wall_s * len(job.tests))
                expected = "TLE" if job is SLEEPER else "AC"
                wrong.extend(t.to_json() for t in report.tests if t.verdict != expected)
        worker.stop()

    attackers = [threading.Thread(target=attack, args=(i,)) for i in range(ATTACKERS)]
    servers = [threading.Thread(target=serve) for _ in range(len(os.sched_getaffinity(0)))]
    began = time.monotonic()
    for thread in (*attackers, *servers):
        thread.start()
    for thread in servers:
        thread.join()
    while len(attacked) < len(attacks):
        time.sleep(0.1)
    over.set()
    for thread in attackers:
        thread.join()
    line = {
        "benchmark": "sandbox crowd",
        "tier": tier,
        "honest_jobs": count,
        "attacks": len(attacks),
        "attacks_run": attacked.total(),
        "attacks_that_gained": sorted(set(gained)),
        "seconds": round(time.monotonic() - began),
        "wrong_verdicts": len(wrong),
        "latest_after_its_limit_s": round(max(late), 3),
        "children_after_closing": len(accounting.descendants(os.getpid())),
    }
    print(json.dumps(line))
    for result in wrong[:10]:
        sys.stderr.write(json.dumps(result) + "\n")
    sys.exit(bool(wrong or gained))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=200_000)
    parser.add_argument("--crowd", type=int, metavar="HONEST")
    options = parser.parse_args()
    if options.crowd:
        crowd(options.crowd)
    count = options.programs
    right: dict[str, set[str]] = {}

    def jobs(tier: str) -> Iterator[Job]:
        for job, verdicts in work(count, tier):
            right[job.id] = verdicts
            yield job

    found: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    early: dict[str, int] = {}
    began = time.monotonic()
    with Pool() as pool:
        for done, report in enumerate(pool.run(jobs(pool.tier)), 1):
            verdicts = right.pop(report.id)
            found.update(str(t.verdict) for t in report.tests)
            wrong += [t.to_json() for t in report.tests if t.verdict not in verdicts]
            if done == count // 10:
                early = state()
            if done % 10_000 == 0:
                rate = done / (time.monotonic() - began)
                sys.stderr.write(f"{done} programs, {rate:.0f}/s, {len(wrong)} wrong\n")
        late = state()
    line = {
        "benchmark": "sandbox soak",
        "tier": pool.tier,
        "programs": count,
        "seconds": round(time.monotonic() - began),
        "wrong_verdicts": len(wrong),
        "verdicts": dict(sorted(found.items())),
        "after_a_tenth": early,
        "at_the_end": late,
        "children_after_closing": len(accounting.descendants(os.getpid())),
        "peak_memory_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(line))
    for result in wrong[:10]:
        sys.stderr.write(json.dumps(result) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
