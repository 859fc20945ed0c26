"""What takes more than one program, or a look at the machine, to find out about hostile programs.

Programs that stand for themselves are in tests/attacks; test_sandbox_attacks judges them.
"""

from __future__ import annotations

import os
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
