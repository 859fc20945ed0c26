from __future__ import annotations

import itertools
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
