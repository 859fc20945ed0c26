from __future__ import annotations

import ast
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.problems.chain import Chain
from codeprm_jax.problems.loading import load_chains, load_problems
from codeprm_jax.problems.problem import ProblemError
from codeprm_jax.problems.syntax_chain import FEWEST_WRONG, chain_from_reference
from codeprm_jax.problems.syntax_mutate import mutants
from codeprm_jax.problems.syntax_units import enclosing_headers, flatten, source_of

SOLUTION = '''"""Module."""
import math
LIMIT = 10

def helper(x):
    """Helper."""
    return x % LIMIT  # a comment

def solve(numbers, k):
    """Docstring."""
    import bisect
    total, best = 0, []
    for i in range(len(numbers)):
        if helper(numbers[i]) >= k and numbers[i] not in best:
            total += numbers[i]
            best.append(i)
        elif total > 3:
            break
    while total > k:
        total -= 1
    return sorted(best), math.floor(total)

ALIAS = solve
'''


def _check(chain: Chain, rng: random.Random, samples: int = 8) -> None:
    """What every chain must hold."""
    assert 1 <= len(chain.steps) <= 5
    for step in chain.steps:
        assert len({v.thought for v in step.variants}) == len(step.variants)
        assert len({v.code for v in step.variants}) == len(step.variants)
        assert all(v.thought.endswith(".") and v.thought[0] != " " for v in step.variants)
    singles = [
        [k if i == n else 0 for i in range(len(chain.steps))]
        for n, step in enumerate(chain.steps)
        for k in range(len(step.variants))
    ]
    drawn = [[rng.randrange(len(s.variants)) for s in chain.steps] for _ in range(samples)]
    for choices in [*singles, *drawn]:
        compile(chain.program(choices), "program", "exec")


def test_the_parts_of_a_chain() -> None:
    chain = chain_from_reference("x", SOLUTION, "solve")
    assert chain.prologue == (
        "import math\nLIMIT = 10\ndef helper(x):\n    return x % LIMIT\n"
        "def solve(numbers, k):\n    import bisect\n"
    )
    assert chain.epilogue == "ALIAS = solve\n"
    fragments = "".join(step.right.code for step in chain.steps)
    assert chain.reference == chain.prologue + fragments + chain.epilogue
    assert "Docstring" not in chain.reference
    assert 3 <= len(chain.steps) <= 5
    assert all(len(step.wrong) >= FEWEST_WRONG for step in chain.steps)
    _check(chain, random.Random(0), 100)


def test_the_same_arguments_give_the_same_chain_in_any_process() -> None:
    chain = chain_from_reference("x", SOLUTION, "solve", 3)
    assert chain == chain_from_reference("x", SOLUTION, "solve", 3)
    assert chain.steps != chain_from_reference("x", SOLUTION, "solve", 4).steps
    code = (
        "import sys\nfrom codeprm_jax.problems.syntax_chain import chain_from_reference\n"
        "sys.stdout.write(repr(chain_from_reference('x', sys.stdin.read(), 'solve', 3)))"
    )
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            input=SOLUTION,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert run.stdout == repr(chain)


def test_a_stdin_program_is_cut_whole() -> None:
    source = (
        "import sys\n\ndef f(x):\n    return x + 1\n"
        "for line in sys.stdin:\n    n = int(line)\n    print(f(n))\n"
    )
    chain = chain_from_reference("x", source, None)
    assert chain.prologue == "import sys\n"
    assert ast.dump(ast.parse(chain.reference)) == ast.dump(ast.parse(source))
    _check(chain, random.Random(0), 30)


def test_a_body_of_one_statement() -> None:
    chain = chain_from_reference("x", "def f(x):\n    return x ** 2\n", "f")
    assert len(chain.steps) == 1
    assert len(chain.steps[0].wrong) >= FEWEST_WRONG
    empty = chain_from_reference("x", 'def f(x):\n    "only words"\n', "f")
    assert empty.reference == "def f(x):\n    pass\n"


@pytest.mark.parametrize(
    ("source", "entry_point", "message"),
    [
        ("def f(:", "f", "is no Python"),
        ("def g(): pass\n", "f", "defines no function 'f'"),
        ("f = lambda: 1\n", "f", "defines no function 'f'"),
    ],
)
def test_what_cannot_be_cut(source: str, entry_point: str, message: str) -> None:
    with pytest.raises(ProblemError, match=f"'own/1'.*{message}"):
        chain_from_reference("own/1", source, entry_point)


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("if a < b:\n    c()", "if a <= b:\n    c()"),
        ("x = a + b", "x = a - b"),
        ("for i in range(n):\n    c()", "for i in range(n + 1):\n    c()"),
        ("for i in range(2, n - 1):\n    c()", "for i in range(2, n):\n    c()"),
        ("x = max(xs)", "x = min(xs)"),
        ("x = any(xs)", "x = all(xs)"),
        ("xs.append(a)", "xs.insert(0, a)"),
        ("x = s.lower()", "x = s.upper()"),
        ("x = xs[1:]", "x = xs[2:]"),
        ("x = f(a, b)", "x = f(b, a)"),
        ("x = a and b", "x = a or b"),
        ("x = [a for a in b if a]", "x = [a for a in b]"),
        ("x = []", "x = [0]"),
        ("x += a", "x = a"),
        ("a()\nb()", "b()"),
        ("if a:\n    b()\nc()", "c()"),
        ("if a:\n    b()\nc()", "b()\nc()"),
        ("for a in b:\n    c += a\nreturn c", "for a in b:\n    c += a\n    return c"),
        ("if a:\n    b()\nelse:\n    c()\nd()", "if a:\n    b()\nd()"),
        ("return True", "return False"),
        ("return a, b", "return (b, a)"),
    ],
)
def test_slips_that_are_made(source: str, wrong: str) -> None:
    units = flatten(ast.parse(source).body, 0)
    made = {source_of(m.units).strip() for m in mutants(units, (), ())}
    assert wrong in made


def test_what_keeps_a_loop_going_is_changed_last() -> None:
    units = flatten(ast.parse("while n > 0:\n    total += n\n    n -= 1\nreturn total").body, 0)
    for mutant in mutants(units, (), ("n", "total")):
        source = source_of(mutant.units)
        if mutant.kind != "risky":
            assert "while n > 0:" in source and "n -= 1" in source
    inner = mutants(units[2:3], enclosing_headers(units, 2), ())
    assert {m.kind for m in inner} == {"risky"}


EXPRESSIONS = st.sampled_from(
    ["a", "b + 1", "len(xs)", "xs[0]", "max(a, b)", "a % 2 == 0", "[]", "not a", "xs[1:]", "f'{a}'"]
)


@st.composite
def bodies(draw: st.DrawFn, depth: int = 0) -> list[str]:
    lines: list[str] = []
    kinds = ["assign", "update", "call", "return"]
    if depth < 3:
        kinds += ["if", "else", "for", "while", "try", "def"]
    for _ in range(draw(st.integers(1, 3))):
        kind, value = draw(st.sampled_from(kinds)), draw(EXPRESSIONS)
        heads = {
            "if": (f"if {value}:",),
            "else": (f"if {value}:", "elif b:", "else:"),
            "for": (f"for i in {value}:",),
            "while": (f"while {value}:",),
            "try": ("try:", "except ValueError:", "finally:"),
            "def": ("def g(c):",),
        }
        if kind not in heads:
            simple = {"assign": f"a = {value}", "update": f"b += {value}",
                      "call": f"xs.append({value})", "return": f"return {value}"}  # fmt: skip
            lines.append(simple[kind])
        for head in heads.get(kind, ()):
            lines += [head, *("    " + line for line in draw(bodies(depth + 1)))]
    return lines


@settings(max_examples=60, deadline=None)
@given(bodies(), st.integers(0, 1000))
def test_any_program_gives_a_sound_chain(lines: list[str], seed: int) -> None:
    source = "def f(a, b, xs):\n" + "".join(f"    {line}\n" for line in lines)
    chain = chain_from_reference("x", source, "f", seed)
    if len(lines) > 1:
        assert ast.dump(ast.parse(chain.reference)) == ast.dump(ast.parse(source))
    _check(chain, random.Random(seed), 4)


def _spec(name: str, path: Path) -> str:
    return f"{name}:{path}"


def test_humaneval(humaneval_path: Path) -> None:
    _check_benchmark(_spec("humaneval", humaneval_path))


def test_mbpp(mbpp_path: Path) -> None:
    _check_benchmark(_spec("mbpp", mbpp_path))


def _check_benchmark(spec: str) -> None:
    problems = load_problems(spec)
    chains = load_chains(spec, problems)
    assert set(chains) == {p.id for p in problems}
    rng = random.Random(0)
    steps = [step for chain in chains.values() for step in chain.steps]
    enough = sum(len(step.wrong) >= FEWEST_WRONG for step in steps)
    assert enough >= 0.95 * len(steps)
    for chain in chains.values():
        _check(chain, rng, 4)
