"""How the tests of one job share processes and cells, and what each is charged with."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox_runner import landlock, linux, seccomp
from sandbox_runner.pool import Pool
from sandbox_runner.types import CheckTest, FunctionTest, Job, JobFormatError, Limits, StdinTest
from sandbox_runner.worker import Worker, image_of

LIMITS = Limits(cpu_s=0.5, wall_s=1.0, memory_mib=256, output_kib=64, processes=16)


def function(program: str, *expected: object, limits: Limits = LIMITS) -> Job:
    """f(0), f(1), … must give these."""
    tests = tuple(FunctionTest(str(i), (i,), e) for i, e in enumerate(expected))
    return Job("job", program, "function", tests, "f", limits=limits)


def stdin(program: str, *tests: tuple[str, str], reuse: bool = True) -> Job:
    cases = tuple(StdinTest(str(i), a, b) for i, (a, b) in enumerate(tests))
    return Job("job", program, "stdin", cases, limits=LIMITS, reuse_process=reuse)


def verdicts(pool: Pool, job: Job) -> list[str]:
    (report,) = pool.run([job])
    return [str(t.verdict) for t in report.tests]


def test_calls_share_a_process_as_in_a_test_file(pool: Pool) -> None:
    seen = "seen = []\ndef f(x):\n  seen.append(x)\n  return len(seen)"
    assert verdicts(pool, function(seen, 1, 2, 3)) == ["AC"] * 3


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        ("os._exit(0)", "RE"),
        ("os.abort()", "RE"),
        ("raise ValueError", "RE"),
        ("sys.exit(0)", "RE"),
        ("[None for _ in iter(int, 1)]", "TLE|MLE"),
        ("time.sleep(9)", "TLE"),
        ("bytearray(1 << 30)", "MLE"),
        ("ctypes.CDLL(None).unshare(0x10000000)", "SV"),
        ("os.write(1, bytes(1 << 20))", "OLE"),
    ],
)
def test_a_test_that_ends_its_process_leaves_the_others_alone(
    pool: Pool, ending: str, verdict: str
) -> None:
    program = f"import ctypes, os, sys, time\ndef f(x):\n  if x == 1: {ending}\n  return x"
    first, second, *rest = verdicts(pool, function(program, 0, 1, 2, 3))
    assert (first, rest) == ("AC", ["AC", "AC"])
    assert second in verdict.split("|")


EATS = "level, n = [], 1\n    while n:\n        n += 1\n        level.append(n)\n"


@pytest.mark.parametrize(
    "program",
    [
        f"def f(x):\n    {EATS}",
        f"def f(x, depth=50):\n    if depth: f(x, depth - 1)\n    {EATS}",
        "level, n = [], 1\ndef f(x):\n    while True: level.append(object())\n",
        f"if True:\n    {EATS}def f(x): pass\n",
    ],
)
def test_who_uses_all_memory_is_told_so(pool: Pool, program: str) -> None:
    """Where nothing is left to say it with, CPython came to no end, or ended without a word."""
    limits = Limits(cpu_s=3.0, wall_s=9.0, memory_mib=64)
    check = CheckTest("0", "for i in [1]: assert candidate(i) == 1")
    jobs = [
        function(program, 1, limits=limits),
        Job("check", program, "function", (check,), "f", limits=limits),
        replace(stdin(f"{program}\nf(1)\n", ("", "x")), limits=limits),
        replace(stdin(f"{program}\nf(1)\n", ("", "x"), reuse=False), limits=limits),
    ]
    for report in pool.run(jobs):
        assert report.tests[0].verdict == "MLE", report
        assert "MemoryError" in report.tests[0].stderr


def test_each_test_has_its_own_time(pool: Pool) -> None:
    # Each takes three quarters of the limit, together they take three times as much.
    program = (
        "import time\ndef f(x):\n  end = time.process_time() + 0.375\n"
        "  while time.process_time() < end: pass\n  return x"
    )
    job = function(program, 0, 1, 2, 3, limits=replace(LIMITS, wall_s=30))
    assert verdicts(pool, job) == ["AC"] * 4


def test_an_overrun_is_ended_within_50_ms(pool: Pool) -> None:
    loop = "def f(x):\n  while True: pass"
    wait = "import time\ndef f(x): time.sleep(60)"
    by_processor = function(loop, 0, limits=replace(LIMITS, wall_s=30))
    for job, seconds in ((by_processor, LIMITS.cpu_s), (function(wait, 0), LIMITS.wall_s)):
        over = []
        for _ in range(5):  # a busy machine may be late once, not every time
            (report,) = pool.run([job])
            (result,) = report.tests
            assert result.verdict == "TLE"
            over.append((result.cpu_s if job is by_processor else result.wall_s) - seconds)
            assert over[-1] >= 0
            if over[-1] < 0.05:
                break
        assert min(over) < 0.05, over


def test_processor_time_of_children_counts(pool: Pool) -> None:
    program = (
        "import os\ndef f(x):\n  for _ in range(4):\n    if os.fork() == 0:\n"
        "      while True: pass\n  os.wait()"
    )
    (report,) = pool.run([function(program, None, limits=Limits(cpu_s=0.4, wall_s=30))])
    assert report.tests[0].verdict == "TLE"
    assert report.tests[0].wall_s < 5


def test_an_import_that_fails_is_not_tried_for_each_test(pool: Pool) -> None:
    began = time.monotonic()
    program = "while True: pass\ndef f(x): return x"
    assert verdicts(pool, function(program, *range(20))) == ["TLE"] * 20
    assert time.monotonic() - began < 10 * LIMITS.cpu_s  # half of what twenty tries take


SUM = "a, b = map(int, input().split())\nprint(a + b)"


@pytest.mark.parametrize("reuse", [False, True])
def test_a_process_for_all_tests_gives_the_same_verdicts(pool: Pool, reuse: bool) -> None:
    job = stdin(SUM, ("1 2", "3"), ("x", "3"), ("2 2", "5"), ("1 1\nrest", "2"), reuse=reuse)
    assert verdicts(pool, job) == ["AC", "RE", "WA", "AC"]


def test_a_process_for_all_tests_may_end_at_any_of_them(pool: Pool) -> None:
    program = (
        "import os, atexit, threading, time\nn = int(input())\natexit.register(print, 'end')\n"
        "if n == 1: print('one', flush=True); os._exit(0)\n"
        "if n == 2:\n  while True: pass\n"
        "if n == 3: os._exit(3)\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print(n))).start()"
    )
    job = stdin(program, *((str(n), e) for n, e in enumerate(("0\nend", "one", "", "", "4\nend"))))
    assert verdicts(pool, job) == ["AC", "AC", "TLE", "RE", "AC"]


def test_what_a_test_prints_late_is_not_taken_for_its_output(pool: Pool) -> None:
    # It ends its first turn by hand, goes on for longer than the limit and only then answers.
    program = (
        "import json, os, struct, time\nn = int(input())\n"
        "if n == 0:\n"
        "  out = os.dup(1)\n"
        "  frame = json.dumps({'status': 0, 'error': '', 'cpu_s': 0.0}).encode()\n"
        "  for fd in range(3, 64):\n"
        "    try: os.write(fd, struct.pack('>I', len(frame)) + frame)\n"
        "    except OSError: pass\n"
        "  time.sleep(0.6)\n"
        "  os.write(out, b'right')\n"
        "print('right')"
    )
    assert "AC" not in verdicts(pool, stdin(program, ("0", "right"), ("1", "right")))


def test_many_tests_in_one_process(pool: Pool) -> None:
    tests = tuple((f"{n} 1", str(n + 1)) for n in range(230))
    assert verdicts(pool, stdin(SUM, *tests)) == ["AC"] * 230


def test_only_stdin_jobs_choose() -> None:
    tests = (FunctionTest("1", (1,), 1),)
    with pytest.raises(JobFormatError, match="reuse_process"):
        Job("x", "", "function", tests, "f", reuse_process=True)
    job = stdin(SUM, ("1 2", "3"))
    assert Job.from_json(job.to_json()) == job
    with pytest.raises(JobFormatError, match="reuse_process"):
        Job.from_json({**job.to_json(), "reuse_process": "yes"})


def test_a_program_has_its_three_streams_and_its_channel(pool: Pool) -> None:
    listing = "sorted(int(n) for n in os.listdir('/proc/self/fd'))"
    program = f"import os\ndef f(x): return len({listing}) - 1"  # one is the listing's own
    assert verdicts(pool, function(program, 4)) == ["AC"]
    script = f"import os\nfds = {listing}\nprint(len(fds) - 1)"
    both = verdicts(pool, stdin(script, ("", "3"), ("", "3"), reuse=False))
    assert both == ["AC", "AC"]


@pytest.mark.parametrize(
    "mark",
    [
        "open('file', 'w').close()",
        "os.utime('.', (0, 0))",
        "os.chmod('.', 0o500)",
        "os.fork() or os.setsid() or time.sleep(9)",
        "os.abort()",
    ],
)
def test_a_cell_that_bears_a_mark_is_not_used_again(mark: str) -> None:
    worker = Worker("T1")
    try:
        clean = function("def f(x): return x", 0)
        assert worker.judge(clean).all_passed
        first = worker._cells["lean", "program"]
        assert worker.judge(clean).all_passed
        assert worker._cells["lean", "program"] is first
        worker.judge(function(f"import os, time\ndef f(x):\n  {mark}", None))
        assert worker.judge(clean).all_passed
        assert worker._cells["lean", "program"] is not first
    finally:
        worker.stop()


def test_jobs_with_other_limits_get_other_cells(pool: Pool) -> None:
    program = "def f(x): return len(bytearray(300 << 20))"
    for memory, verdict in ((256, "MLE"), (512, "AC"), (256, "MLE")):
        limits = Limits(memory_mib=memory)
        assert verdicts(pool, function(program, 300 << 20, limits=limits)) == [verdict]


NUMPY = "import numpy as np\ndef f(x): return int(np.linalg.det(np.eye(3) * (x + 1)) + 0.5)"


NUMPY_BY_OTHER_WAYS = """
import importlib
x = 1; import numpy
try: import numpy as np
except ImportError: np = None
assert np is numpy is importlib.import_module("numpy")
def f(x): return [np.float32(1.5), np.bool_(True), np.str_("ab"), np.uint64(2**64 - 1)][x]
"""


@pytest.mark.parametrize("tier", ["T1", "T2"])
def test_programs_that_import_numpy_have_it(tier: str) -> None:
    job = function(NUMPY, 1, 8, 27, limits=Limits(memory_mib=256))
    check = CheckTest(
        "1", "import numpy\nfor i in range(2):\n  assert numpy.allclose(candidate(i), i)"
    )
    lean = Job("lean", "def f(x): return x", "function", (check,), "f")
    with Pool(workers=1, tier=tier) as pool:  # type: ignore[arg-type]
        assert verdicts(pool, job) == ["AC"] * 3
        assert verdicts(pool, lean) == ["AC"]
        assert (
            verdicts(pool, function(NUMPY_BY_OTHER_WAYS, 1.5, True, "ab", 2**64 - 1)) == ["AC"] * 4
        )


def test_a_program_that_names_numpy_has_its_image() -> None:
    for program in (NUMPY, NUMPY_BY_OTHER_WAYS, "def f():\n    from numpy.linalg import det"):
        assert image_of(function(program, 1)) == "numpy", program
    assert image_of(function("import math", 1)) == "lean"


HEADERS = {
    0: ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+)\s+(\d+)"),
    1: ("/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+)\s+(\d+)"),
}


@pytest.mark.parametrize("column", HEADERS)
def test_the_filter_s_numbers_are_the_kernel_s(column: int) -> None:
    path, pattern = HEADERS[column]
    if not os.path.exists(path):
        pytest.skip(f"no kernel headers at {path}")
    numbers = {m[0]: int(m[1]) for m in re.findall(pattern, Path(path).read_text())}
    ours = {
        **seccomp._NEVER_HONEST,
        **seccomp._REFUSED,
        **seccomp._SELF_ONLY,
        **seccomp._FORKS,
        **seccomp._SIGNALS,
        "setpriority": seccomp._SETPRIORITY,
        "socketpair": seccomp._SOCKETPAIR,
        "clone": seccomp._CLONE,
        "clone3": seccomp._CLONE3,
        "fcntl": seccomp._FCNTL,
        **seccomp._PIDFDS,
        "ioctl": seccomp._IOCTL,
        "mmap": seccomp._MMAP,
        "rt_sigaction": seccomp._RT_SIGACTION,
        "getsockopt": seccomp._GETSOCKOPT,
    }
    for name, pair in ours.items():
        if pair[column] >= 0:
            assert numbers.get(name, pair[column]) == pair[column], name


def test_landlock_holds_where_it_is_offered(tmp_path: Path) -> None:
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.write_text("secret")
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            linux.set_no_new_privs()
            landlock.restrict(
                {landlock.READ: ["/usr", "/no/such/path"], landlock.OWN: [str(inside)]}
            )
            (inside / "file").write_text("ours")
            try:
                outside.read_text()
            except PermissionError:
                os.write(writing, b"held")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        assert file.read() == "held"
    os.wait()
