"""Small true-to-form records of each source of contest problems, and properties of all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codeprm_jax.problems.check import check_references
from codeprm_jax.problems.problem import Problem
from sandbox_runner.pool import Pool
from sandbox_runner.types import Limits

SUM = "a, b = map(int, input().split())\nprint(a + b)\n"


def write_lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def assert_sound(problems: Sequence[Problem]) -> None:
    """What must hold for the problems of every source."""
    ids = [p.id for p in problems]
    assert len(set(ids)) == len(ids)
    for problem in problems:
        test_ids = [t.id for t in problem.all_tests]
        assert len(set(test_ids)) == len(test_ids)
        assert problem.private.tests
        tests = [{**t.to_json(), "id": ""} for t in problem.all_tests]
        assert all(tests.count(t) == 1 for t in tests)
        limits = problem.public.limits
        assert Limits.from_json(json.loads(json.dumps(limits.to_json()))) == limits
        assert 1 <= limits.cpu_s <= 20 and limits.wall_s >= limits.cpu_s
        assert 256 <= limits.memory_mib <= 2048
        # What a search holds says nothing of a private test.
        public = repr(problem.public)
        assert "private-" not in public
        assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem


def assert_references_pass(problems: Sequence[Problem], pool: Pool) -> None:
    assert check_references(problems, pool) == []


def verdicts(problem: Problem, program: str, pool: Pool) -> list[str]:
    (report,) = pool.run([problem.label_job("x", program)])
    return [str(t.verdict) for t in report.tests]
