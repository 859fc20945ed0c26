"""Check code of ordinary habits. Ordinary programs are in tests/honest, one a file."""

from __future__ import annotations

from sandbox_runner.pool import Pool
from sandbox_runner.types import CheckTest, FunctionTest, Job


def test_checks_of_every_kind(pool: Pool) -> None:
    program = "class Odd(Exception): pass\ndef f(x, y=1):\n"
    program += "  if x < 0: raise ValueError('negative')\n"
    program += "  if x > 99: raise Odd('large')\n  return [x, y]"
    codes = {
        "one": "assert candidate(1) == [1, 1]",
        "named": "assert f(1, y=2) == [1, 2]",
        "loop": "for i in range(9):\n  assert candidate(i, i) == [i, i]",
        "check": "import random\ndef check(candidate):\n"
        "  for _ in range(9):\n    n = random.randint(0, 99)\n    assert candidate(n)[0] == n\n"
        "check(candidate)",
        "uncalled check": "def check(candidate):\n  x = 3\n  assert candidate(x) == [x, 1]",
        "raises": "try:\n  candidate(-1)\n  assert False\nexcept ValueError as e:\n"
        "  assert str(e) == 'negative'",
        "raises its own": "try:\n  candidate(100)\n  assert False\nexcept Exception as e:\n"
        "  assert 'large' in str(e)",
    }
    tests = tuple(CheckTest(name, code) for name, code in codes.items())
    (report,) = pool.run([Job("checks", program, "function", tests, "f")])
    assert [(t.id, t.verdict) for t in report.tests if not t.passed] == []


def test_mixed_tests_come_back_in_order(pool: Pool) -> None:
    tests = (
        CheckTest("loop", "for i in range(2):\n  assert candidate(i) == i"),
        FunctionTest("one", (1,), 1),
        CheckTest("simple", "assert candidate(2) == 3"),
        CheckTest("loop2", "for i in range(2):\n  assert candidate(i) == i + 1"),
        FunctionTest("two", (2,), 2),
    )
    (report,) = pool.run([Job("mixed", "def f(x): return x", "function", tests, "f")])
    assert [t.id for t in report.tests] == [t.id for t in tests]
    assert [t.verdict for t in report.tests] == ["AC", "AC", "WA", "WA", "AC"]
