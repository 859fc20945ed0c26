"""What takes more than one program, or a look at the machine, to find out about hostile programs.

Programs that stand for themselves are in tests/attacks; test_sandbox_attacks judges them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox_runner import accounting
from sandbox_runner.pool import Pool
from sandbox_runner.types import (
    CheckTest,
    FunctionTest,
    Job,
    Limits,
    StdinTest,
    TestResult,
    Verdict,
)

Judge = Callable[..., TestResult]
LIMITS = Limits(cpu_s=1.0, wall_s=2.0, memory_mib=256, output_kib=64, processes=16)


def test_memory_of_other_processes_cannot_be_read(feed: Judge) -> None:
    program = """
import os
read = []
for pid in os.listdir('/proc'):
    if pid.isdecimal() and int(pid) != os.getpid():
        for name in ('mem', 'environ', 'maps', 'fd/0', 'root/etc'):
            try:
                os.stat(f'/proc/{pid}/{name}') if '/' in name else open(f'/proc/{pid}/{name}').close()
                read.append((pid, name))
            except OSError:
                pass
print(read)
"""  # noqa: E501
    result = feed(program, "", "[]")
    assert result.verdict == "AC", result


def test_the_machine_cannot_be_seen_or_written(feed: Judge, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("here", encoding="utf-8")
    for directory in [tmp_path, *tmp_path.parents[:-1]]:
        assert directory.exists()
    program = f"""
import os
print(os.path.exists({str(secret)!r}), os.path.exists('/root'), os.path.exists('/home'))
for path in ('/x', '/usr/x', '/etc/x', '/dev/x', '/proc/sys/kernel/hostname', '/usr/bin/env'):
    try:
        open(path, 'w').close()
        print('wrote', path)
    except OSError:
        pass
print(sorted(os.environ), os.getuid(), os.listdir('.'), len(os.listdir('/proc/self/fd')))
"""
    result = feed(program, "", "")
    first, *rest = result.actual.splitlines()
    assert first.startswith("False"), result
    assert not any(line.startswith("wrote") for line in rest), result
    assert "1000 []" in rest[-1], result
    assert all(name not in rest[-1] for name in ("TOKEN", "KEY", "USER")), result


STARTS = {
    "double fork": "if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(9999)\n"
    "  os._exit(0)",
    "process": "subprocess.Popen(['/bin/sleep', '9999'], start_new_session=True)",
    "thread": "threading.Thread(target=time.sleep, args=(9999,), daemon=True).start()",
}


@pytest.fixture(scope="module")
def lone_worker() -> Iterator[Pool]:
    """A pool of one worker: with more, the next program may find a cell that is yet to be made."""
    with Pool(workers=1) as pool:
        yield pool


@pytest.mark.parametrize("mode", STARTS)
def test_nothing_outlives_its_job(mode: str, lone_worker: Pool) -> None:
    def judge(program: str, stdout: str) -> TestResult:
        job = Job(mode, program, "stdin", (StdinTest("t", "", stdout),), limits=LIMITS)
        (report,) = lone_worker.run([job])
        return report.tests[0]

    judge("", "")  # so that the zygote is there, and a cell that no program has touched
    before = set(accounting.descendants(os.getpid()))
    program = f"""
import os, subprocess, threading, time
{STARTS[mode]}
print('right', flush=True)
os._exit(0)
"""
    result = judge(program, "right")
    assert result.verdict == "AC", result
    deadline = time.monotonic() + 2
    while (left := _running() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def test_state_does_not_reach_the_next_program(pool: Pool) -> None:
    program = """
import os, sys, builtins
def f(x):
    seen = [os.listdir('/tmp'), os.listdir('/dev/shm'), hasattr(builtins, 'left')]
    open('/tmp/left', 'w').close()
    open('/dev/shm/left2', 'w').close()
    os.mkdir('/tmp/d'); open('/tmp/d/x', 'w').close(); os.chmod('/tmp/d', 0)
    os.symlink('/', '/tmp/root')
    builtins.left = 1
    return seen
"""
    tests = (FunctionTest("t", (1,), [[], [], False]),)
    jobs = [Job(str(i), program, "function", tests, entry_point="f") for i in range(12)]
    for report in pool.run(jobs):
        assert report.all_passed, report


def test_the_harness_lives_on(pool: Pool) -> None:
    good = Job("good", "def f(x): return x", "function", (FunctionTest("1", (1,), 1),), "f")
    kill = "import os\ndef f(x):\n  os.kill(-1, 9)\n  os.kill(1, 9)\n  os.kill(0, 9)"
    bad = Job("bad", kill, "function", (FunctionTest("1", (1,), 1),), "f", limits=LIMITS)
    reports = list(pool.run([good, bad] * 5))
    assert sum(r.all_passed for r in reports) == 5
    assert {r.tests[0].verdict for r in reports if r.id == "bad"} <= {Verdict.RE, Verdict.WA}


def test_output_up_to_the_limit_is_kept(feed: Judge) -> None:
    limits = Limits(output_kib=64)
    assert feed("print('x' * 60000)", "", "x" * 60000, limits=limits).verdict == "AC"
    assert feed("print('x' * 70000)", "", "x" * 70000, limits=limits).verdict == "OLE"


def test_stdin_job_sees_only_its_input(pool: Pool) -> None:
    tests = (StdinTest("a", "first", "first"), StdinTest("b", "second", "second"))
    (report,) = pool.run([Job("x", "print(open('/dev/stdin').read())", "stdin", tests)])
    assert report.all_passed, report


def _running() -> set[int]:
    """Descendants of this process that are no zombies."""
    found = set()
    for pid in accounting.descendants(os.getpid()):
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if state != b"Z":
            found.add(pid)
    return found


def test_an_exception_cannot_end_the_iteration_of_test_code(pool: Pool) -> None:
    check = CheckTest("t", "for i, e in zip(map(candidate, [1, 2]), [2, 3]):\n    assert i == e")
    job = Job("x", "def f(x): raise StopIteration", "function", (check,), "f", limits=LIMITS)
    (report,) = pool.run([job])
    assert report.tests[0].verdict == Verdict.RE, report


# Looks for the inputs of later tests where they might be, and answers from what it worked out
# about them in the time of an earlier test.
WORKS_AHEAD = """
import os, sys, time
known = {}

def work(x):
    if x not in known:
        end = time.process_time() + (0.35 if x == 2 else 0)
        while time.process_time() < end: pass
        known[x] = x
    return known[x]

def look_ahead():
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            job = getattr(value, "job", value)
            if isinstance(job, dict) and job.get("tests"):
                return [args[0] for calls in job["tests"] for args, _ in calls]
        frame = frame.f_back
    found = []
    for fd in range(3, 64):
        try:
            found.append(int(os.pread(fd, 9, 0)))
        except (OSError, ValueError):
            pass
    return found

def f(x):
    ahead = [n for n in look_ahead() if n > x]
    end = time.process_time() + 0.2
    while time.process_time() < end and not ahead: pass
    for n in ahead: work(n)
    return work(x)
"""


@pytest.mark.parametrize("reuse", [False, True])
def test_no_test_works_in_the_time_of_another(pool: Pool, reuse: bool) -> None:
    limits = Limits(cpu_s=0.4, wall_s=4.0)
    if reuse:
        program = (
            WORKS_AHEAD
            + "\nsys.known = known = getattr(sys, 'known', known)\nprint(f(int(input())))"
        )
        cases = tuple(StdinTest(str(i), f"{i}\n", f"{i}\n") for i in range(3))
        job = Job("lent", program, "stdin", cases, limits=limits, reuse_process=True)
    else:
        calls = tuple(FunctionTest(str(i), (i,), i) for i in range(3))
        job = Job("lent", WORKS_AHEAD, "function", calls, "f", limits=limits)
    (report,) = pool.run([job])
    assert [str(t.verdict) for t in report.tests] == ["AC", "AC", "TLE"]


def test_the_inputs_of_a_batch_cannot_be_changed_or_grown(pool: Pool) -> None:
    program = """
import os
for fd in range(64):
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
        if "memfd" in name and os.fstat(fd).st_size < 64:
            os.pwrite(fd, b"7", 0)
            print("wrote", name)
    except OSError: pass
    try: os.ftruncate(fd, 1 << 30)
    except OSError: pass
print(input())
"""
    cases = tuple(StdinTest(str(i), f"{i}\n", f"{i}\n") for i in range(4))
    (report,) = pool.run([Job("inputs", program, "stdin", cases, reuse_process=True)])
    assert report.all_passed, report


def test_limits_hold_while_the_judge_is_busy() -> None:
    limits = Limits(cpu_s=0.2, wall_s=2.0)
    loop = Job("loop", "while True: pass", "stdin", (StdinTest("1", "", ""),), limits=limits)
    with Pool(workers=1) as pool:
        next(pool.run([loop]))  # so that all is started
        reports = pool.run([loop])
        busy = threading.Timer(0.05, lambda: pow(3, 1 << 21, 7 ** (1 << 17)))
        busy.start()
        began = time.monotonic()
        (report,) = reports
        waited = time.monotonic() - began
        busy.join()
    # No thread of this process could run for longer than that.
    assert waited > 2 * limits.cpu_s, "the machine was not busy enough to tell"
    assert report.tests[0].verdict == "TLE"
    assert report.tests[0].cpu_s < limits.cpu_s + 0.1


def test_a_process_that_ends_between_two_tests_costs_neither(pool: Pool) -> None:
    program = """
import os, threading, time
def f(x):
    end = time.process_time() + 0.08
    while time.process_time() < end: pass
    if x == 1:
        # It ends when this test has been answered, and before the next one can be.
        threading.Timer(0.02, os._exit, (3,)).start()
    if x == 2:
        time.sleep(0.2)
    return x
"""
    tests = tuple(FunctionTest(str(i), (i,), i) for i in range(4))
    (report,) = pool.run([Job("ends", program, "function", tests, "f")])
    verdicts = [str(t.verdict) for t in report.tests]
    assert verdicts[:2] == ["AC", "AC"] and verdicts[3] == "AC", verdicts


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        # The top level calls candidate, and `check` is run all the same.
        ("x = candidate(1)\ndef check(c):\n    for i in [1]: assert c(i) == 5", "WA"),
        ("assert candidate(1) == 1\nif 1:\n  def check(c):\n    [c(1)]\n    assert 0", "WA"),
        ("candidate(1)\ncheck = lambda c: c(1) + None", "RE"),
        # Run by the code itself, it is not run again.
        ("n = []\ndef check(c):\n  n.append(c(1))\n  assert len(n) < 2\ncheck(candidate)", "AC"),
        ("def check(a, b):\n  assert a == b\nfor i in [1]: check(candidate(i), i)", "AC"),
    ],
)
def test_a_check_that_is_defined_is_run(pool: Pool, code: str, verdict: str) -> None:
    job = Job("check", "def f(x): return x", "function", (CheckTest("1", code),), "f")
    (report,) = pool.run([job])
    assert str(report.tests[0].verdict) == verdict, report.tests[0].stderr


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("assert candidate(1)", "AC"),
        ("assert not candidate(0)", "AC"),
        ("assert not candidate(1)", "WA"),
        ("assert candidate(2)", "WA"),  # its truth raises
        ("for i in [1]: assert candidate(i) and not candidate(0)", "AC"),
        ("for i in [1]: assert candidate(i) is not None", "AC"),
        ("for i in [1]: assert candidate(i) == 1", "WA"),
        ("for i in [1]: assert 1 == candidate(i)", "WA"),
        ("for i in [1]: assert candidate(i).x == 1", "WA"),
        ("for i in [1]: assert candidate(i) in [1]", "WA"),
        ("for i in [1]: assert isinstance(candidate(i), int)", "WA"),
        ("for i in [1]:\n  with candidate(i): assert False", "WA"),
    ],
)
def test_an_object_is_true_or_false_and_nothing_else(pool: Pool, code: str, verdict: str) -> None:
    program = """
class Always:
    def __init__(self, x): self.x = x
    def __bool__(self): return bool(1 // (2 - self.x) and self.x)
    def __eq__(self, other): return True
    def __enter__(self): return self
    def __exit__(self, *_): return True
def f(x): return Always(x)
"""
    (report,) = pool.run([Job("object", program, "function", (CheckTest("1", code),), "f")])
    assert str(report.tests[0].verdict) == verdict, report.tests[0]
