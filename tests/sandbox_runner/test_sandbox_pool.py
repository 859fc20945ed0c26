from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox_runner import accounting, jail
from sandbox_runner import pool as pool_module
from sandbox_runner.pool import JOBS_AHEAD, Pool, PoolClosedError
from sandbox_runner.types import CheckTest, FunctionTest, Job, JobFormatError, Limits, StdinTest
from sandbox_runner.worker import Worker

ROOT = Path(__file__).resolve().parents[2]


def echo(name: str, value: int = 1, program: str = "def f(x): return x") -> Job:
    return Job(name, program, "function", (FunctionTest("t", (value,), value),), "f")


def test_every_job_gives_one_report(pool: Pool) -> None:
    names = [str(i) for i in range(40)]
    reports = list(pool.run(echo(n) for n in names))
    assert sorted(r.id for r in reports) == sorted(names)
    assert all(r.all_passed and r.tier == pool.tier for r in reports)


def test_reports_come_in_completion_order(pool: Pool) -> None:
    slow = echo("slow", program="import time\ndef f(x):\n  time.sleep(0.5)\n  return x")
    assert [r.id for r in pool.run([slow, echo("a"), echo("b")])][-1] == "slow"


def test_jobs_are_taken_only_as_needed(pool: Pool) -> None:
    taken = 0

    def jobs() -> Iterator[Job]:
        nonlocal taken
        while True:
            taken += 1
            yield echo(str(taken))

    for seen, _ in enumerate(pool.run(jobs()), 1):
        assert taken <= seen + JOBS_AHEAD * pool.workers
        if seen == 10:
            break


def test_an_abandoned_run_leaves_the_pool_usable(pool: Pool) -> None:
    run = pool.run(echo(str(i)) for i in range(50))
    next(run)
    run.close()
    assert [r.id for r in pool.run([echo("after")])] == ["after"]


def test_an_error_of_the_caller_comes_through(pool: Pool) -> None:
    def jobs() -> Iterator[Job]:
        yield echo("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(pool.run(jobs()))
    with pytest.raises(JobFormatError, match="comparator"):
        list(pool.run([Job("x", "", "stdin", (StdinTest("t", "", ""),), None, "best")]))
    assert list(pool.run([])) == []


def test_two_runs_at_once(pool: Pool) -> None:
    found: list[str] = []

    def other() -> None:
        found.extend(r.id for r in pool.run(echo(f"b{i}") for i in range(20)))

    thread = threading.Thread(target=other)
    thread.start()
    mine = [r.id for r in pool.run(echo(f"a{i}") for i in range(20))]
    thread.join()
    assert sorted(mine) == sorted(f"a{i}" for i in range(20))
    assert sorted(found) == sorted(f"b{i}" for i in range(20))


def test_closing_stops_everything_at_once() -> None:
    before = set(accounting.descendants(os.getpid()))
    pool = Pool(workers=2)
    stuck = echo("stuck", program="import time\ndef f(x): time.sleep(60)")
    run = pool.run(
        Job(str(i), stuck.program, "function", stuck.tests, "f", limits=Limits(wall_s=60))
        for i in range(4)
    )
    closer = threading.Timer(0.4, pool.close)
    closer.start()
    started = time.monotonic()
    with pytest.raises(PoolClosedError):
        for report in run:
            assert report.internal_error
    assert time.monotonic() - started < 20
    closer.join()
    with pytest.raises(PoolClosedError):
        next(pool.run([echo("x")]))
    assert set(accounting.descendants(os.getpid())) <= before


def test_wrong_numbers_of_workers() -> None:
    with pytest.raises(ValueError, match="workers"):
        Pool(workers=0)


def test_a_killed_zygote_costs_nothing() -> None:
    before = set(accounting.descendants(os.getpid()))
    program = "import time\ndef f(x):\n  time.sleep(0.2)\n  return x"
    with Pool(workers=2) as pool:
        stop = threading.Event()

        def kill() -> None:
            for _ in range(2):
                time.sleep(0.3)
                for pid in set(accounting.descendants(os.getpid())) - before:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                if stop.is_set():
                    return

        killer = threading.Thread(target=kill)
        killer.start()
        reports = list(pool.run(echo(str(i), program=program) for i in range(10)))
        stop.set()
        killer.join()
    assert len(reports) == 10
    assert sum(r.all_passed for r in reports) >= 8
    assert all(r.all_passed or r.internal_error for r in reports)


def test_a_cell_that_is_always_lost_is_an_internal_error() -> None:
    worker = Worker("T1")
    try:
        zygotes = []

        def lose(*_: object) -> None:
            zygotes.append(1)
            raise OSError("no more processes")

        import sandbox_runner.worker as module

        real, module._Zygote = module._Zygote, lose  # type: ignore[assignment,misc]
        try:
            report = worker.judge(echo("x"))
        finally:
            module._Zygote = real  # type: ignore[misc]
        assert report.internal_error
        assert "no more processes" in report.tests[0].stderr
        assert len(zygotes) == 2
        assert worker.judge(echo("x")).all_passed
    finally:
        worker.stop()


def test_a_compiler_that_does_not_end_is_the_program_s_fault() -> None:
    limits = Limits(wall_s=0.05)
    tests = (FunctionTest("t", (1,), 1), FunctionTest("u", (2,), 2))
    with Pool(workers=1) as pool:
        slow = Job("slow", "x = [1, 2]\n" * 200_000, "function", tests, "f", limits=limits)
        (report,) = pool.run([slow])
        assert [t.verdict for t in report.tests] == ["TLE", "TLE"]
        assert "compiled" in report.tests[0].stderr


def test_without_isolation_it_refuses_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tier: jail.Tier) -> None:
        if tier != "T3":
            raise jail.IsolationError(f"the {tier} step: not permitted")

    monkeypatch.setattr(pool_module, "probe", refuse)
    with pytest.raises(jail.IsolationError, match=r"T1 step.*T2 step.*allow-weak-isolation"):
        Pool(workers=1)
    with pytest.raises(jail.IsolationError, match="T1 step"):
        Pool(workers=1, tier="T1", allow_weak_isolation=True)
    with pytest.raises(jail.IsolationError, match="allow-weak-isolation"):
        Pool(workers=1, tier="T3")
    with Pool(workers=1, allow_weak_isolation=True) as pool:
        assert pool.tier == "T3"


def test_a_strong_tier_is_preferred_to_a_weak_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tier: jail.Tier) -> None:
        if tier == "T1":
            raise jail.IsolationError("user namespace: not permitted")

    monkeypatch.setattr(pool_module, "probe", refuse)
    with Pool(workers=1, allow_weak_isolation=True) as pool:
        assert pool.tier == "T2"


WEAK = {
    "right": ("def f(x): return x", {"AC"}),
    "wrong": ("def f(x): return -x", {"WA"}),
    "exit": ("import os\ndef f(x): os._exit(0)", {"RE"}),
    "loop": ("import itertools\ndef f(x): return sum(itertools.repeat(0))", {"TLE"}),
    "memory": ("def f(x): return len(bytearray(1 << 33))", {"MLE"}),
    "flood": ("def f(x):\n  while True: print('x' * 100)", {"OLE"}),
    "parent": ("import os\ndef f(x):\n  os.kill(os.getppid(), 9)\n  return 0", {"SV"}),
    "daemon": (
        "import os, time\ndef f(x):\n  if os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(9999)\n    os._exit(0)\n  return x",
        {"AC"},
    ),
    "check": ("def f(x): return x", {"AC"}),
}


def test_weak_isolation_still_judges_and_sweeps() -> None:
    limits = Limits(cpu_s=1, wall_s=2, memory_mib=256, output_kib=64)
    before = set(accounting.descendants(os.getpid()))
    with Pool(workers=2, allow_weak_isolation=True, tier="T3") as pool:
        jobs = []
        for name, (program, _) in WEAK.items():
            test = FunctionTest("t", (1,), 1)
            check = CheckTest("t", "for i in range(3):\n  assert candidate(i) == i")
            tests = (check,) if name == "check" else (test,)
            jobs.append(Job(name, program, "function", tests, "f", limits=limits))
        for report in pool.run(jobs):
            assert report.tier == "T3"
            assert report.tests[0].verdict in WEAK[report.id][1], report
    left = set(accounting.descendants(os.getpid())) - before
    assert not left


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from sandbox_runner.pool import Pool
from sandbox_runner.types import CheckTest, FunctionTest, Job, StdinTest
stdin = Job("s", "print(int(input()) + 1)", "stdin", (StdinTest("t", "1", "2"),))
checks = (CheckTest("t", "for i in [1]:\\n  assert candidate(i) == 1"), FunctionTest("u", (1,), 1))
with Pool(workers=2) as pool:
    for report in pool.run([stdin, Job("f", "def f(x): return x", "function", checks, "f")]):
        assert report.all_passed, report
    sys.stdout.write(pool.tier)
"""


def test_an_ordinary_script(tmp_path: Path) -> None:
    script = textwrap.dedent(SCRIPT.format(root=str(ROOT)))
    assert _output([sys.executable, "-c", script]) == "T1"


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"), [(64, 4096, "AC"), (250, 250, "AC"), (110, 110, "at most 1")]
)
def test_few_open_files_are_raised_shared_or_refused(soft: int, hard: int, wanted: str) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from sandbox_runner.jail import IsolationError
from sandbox_runner.pool import Pool
from sandbox_runner.types import Job, StdinTest
tests = tuple(StdinTest(str(i), str(i), str(i)) for i in range(95))
try:
    with Pool(2) as pool:
        (report,) = pool.run([Job("j", "print(input())", "stdin", tests, reuse_process=True)])
    print(*{{str(t.verdict) for t in report.tests}})
except IsolationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert wanted in done.stdout, done
