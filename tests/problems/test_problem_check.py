from __future__ import annotations

from pathlib import Path

import pytest

from codeprm_jax.problems.check import check_references
from codeprm_jax.problems.loading import load_chains, load_problems
from codeprm_jax.problems.problem import PrivateTests, Problem, PublicProblem
from sandbox_runner.pool import Pool
from sandbox_runner.types import FunctionTest


def _problem(name: str, *references: str) -> Problem:
    public = PublicProblem(name, "own", "Add one.", "function", "inc", "", ())
    return Problem(public, PrivateTests((FunctionTest("private-0", (1,), 2),)), references)


def test_failures_are_named_in_order(pool: Pool) -> None:
    right, wrong = "def inc(x): return x + 1\n", "def inc(x): return x + 2\n"
    crash = "def inc(x): raise KeyError(x)\n"
    problems = [_problem("a", right), _problem("b", right, wrong), _problem("c"),
                _problem("d", crash)]  # fmt: skip
    done: list[None] = []
    failures = check_references(problems, pool, lambda: done.append(None))
    assert [(f.problem_id, f.reference) for f in failures] == [("b", 1), ("c", -1), ("d", 0)]
    assert len(done) == len(problems)
    texts = [str(f) for f in failures]
    assert "private-0 WA: inc(1), expected 2, got 3" in texts[0]
    assert "no reference" in texts[1]
    assert "KeyError" in texts[2]


def _with_chain_references(spec: str, problems: list[Problem]) -> list[Problem]:
    chains = load_chains(spec, problems)
    return [Problem(p.public, p.private, (*p.references, chains[p.id].reference)) for p in problems]


@pytest.mark.slow
def test_every_humaneval_reference_and_chain_passes(pool: Pool, humaneval_path: Path) -> None:
    spec = f"humaneval:{humaneval_path}"
    problems = _with_chain_references(spec, load_problems(spec))
    assert check_references(problems, pool) == []


@pytest.mark.slow
def test_every_mbpp_reference_passes(pool: Pool, mbpp_path: Path) -> None:
    spec = f"mbpp:{mbpp_path}"
    problems = load_problems(spec)
    checked = _with_chain_references(spec, problems[::3])
    rest = [p for n, p in enumerate(problems) if n % 3]
    assert check_references([*checked, *rest], pool) == []
