from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from sandbox_runner.pool import Pool
from sandbox_runner.types import FunctionTest, Job, Limits, StdinTest, TestResult

LIMITS = Limits(cpu_s=1.0, wall_s=2.0, memory_mib=256, output_kib=64, processes=16)

Judge = Callable[..., TestResult]


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with Pool(workers=2) as pool:
        yield pool


@pytest.fixture(scope="session")
def as_a_user() -> list[str]:
    """A command that starts Python, 3.11 or newer, as user 4242. Skips where nothing can."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user; these tests run as an ordinary one already")
    become = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"]
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        command = [*become, python, "-B"]
        # It must be able to start itself, too, as the judge does.
        code = (
            "import ctypes, subprocess, sys; assert sys.version_info >= (3, 11); "
            "subprocess.run([sys.executable, '-c', ''], check=True)"
        )
        if subprocess.run([*command, "-c", code], capture_output=True, cwd="/").returncode == 0:
            return command
    pytest.skip("no Python 3.11 here that another user can read")


@pytest.fixture(scope="session")
def call(pool: Pool) -> Judge:
    """Judges `f(*args) == expected` for one program."""
    numbers = itertools.count()

    def judge(program: str, *args: object, expected: object, **options: object) -> TestResult:
        tests = (FunctionTest("t", args, expected),)
        name = f"call-{next(numbers)}"
        options = {"limits": LIMITS, **options}
        job = Job(name, program, "function", tests, entry_point="f", **options)  # type: ignore[arg-type]
        (report,) = pool.run([job])
        assert report.id == name
        (result,) = report.tests
        return result

    return judge


@pytest.fixture(scope="session")
def feed(pool: Pool) -> Judge:
    """Judges a whole program on one input."""

    def judge(program: str, stdin: str, stdout: str, **options: object) -> TestResult:
        tests = (StdinTest("t", stdin, stdout),)
        options = {"limits": LIMITS, **options}
        (report,) = pool.run([Job("feed", program, "stdin", tests, **options)])  # type: ignore[arg-type]
        (result,) = report.tests
        return result

    return judge
