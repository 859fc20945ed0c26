from __future__ import annotations

import ast
import textwrap

import pytest

from codeprm_jax.problems.syntax_describe import describe
from codeprm_jax.problems.syntax_units import enclosing_headers, flatten


def _units(source: str):
    return flatten(ast.parse(textwrap.dedent(source)).body, 0)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("total = 0", "Set `total` to `0`."),
        ("xs = []", "Start `xs` as an empty list."),
        ("a, b = b, a + b", "Set `a` to `b` and `b` to `a + b` at once."),
        ("total += x", "Add `x` to `total`."),
        ("n //= 2", "Divide `n` by `2`, rounding down."),
        ("xs.append(x + 1)", "Append `x + 1` to `xs`."),
        ("xs.insert(0, x)", "Insert `x` at the front of `xs`."),
        ("return len(set(xs))", "Return the length of the set of `xs`."),
        ("return sorted(xs, reverse=True)", "Return `xs` in descending order."),
        ("return max(words, key=len)", "Return the item of `words` with the largest `len`."),
        ("return s[::-1]", "Return `s` reversed."),
        ("return ''.join(xs)", "Return `xs` joined into one string."),
        ("return [x * 2 for x in xs if x > 0]",
         "Return the list of `x * 2` for each `x` in `xs` where `x > 0`."),
        ("return all(x > 0 for x in xs)", "Return whether `x > 0` for every `x` in `xs`."),
        ("return a if a > b else b", "Return `a` if `a > b`, otherwise `b`."),
        ("if not xs:\n    return None", "If `not xs`, return `None`."),
        ("if a:\n    x = 1\nelif b:\n    x = 2\nelse:\n    x = 3",
         "If `a`, set `x` to `1`; otherwise, if `b`, set `x` to `2`; otherwise, set `x` to `3`."),
        ("for i in range(n):\n    if x % 2 == 0:\n        total += x",
         "Loop over `i` in `range(n)`, if `x % 2 == 0`, add `x` to `total`."),
        ("for i, x in enumerate(xs):\n    use(x)",
         "For each `x` of `xs`, with its index `i`, call `use(x)`."),
        ("while n:\n    n -= 1\n    break",
         "While `n`: subtract `1` from `n`; leave the loop."),
        ("while True:\n    pass", "Repeat without end, do nothing."),
        ("def g(x):\n    return x", "Define the helper `g(x)`: return `x`."),
        ("try:\n    x = int(s)\nexcept ValueError:\n    x = 0",
         "Try: set `x` to `s` as an integer; on `ValueError`, set `x` to `0`."),
        ("import math", "Import `math`."),
        ("yield x", "Yield `x`."),
        ("del xs[0]", "Delete `xs[0]`."),
    ],
)  # fmt: skip
def test_statements(source: str, words: str) -> None:
    assert describe(_units(source), (), 0) == words


def test_a_step_inside_a_block_tells_its_surroundings() -> None:
    units = _units(
        """
        for x in xs:
            if x > 0:
                total += x
            else:
                total -= x
        return total
        """
    )
    around = enclosing_headers(units, 3)
    assert describe(units[3:], around, 0) == (
        "Inside the loop over `x`, otherwise, subtract `x` from `total`. Return `total`."
    )
    around = enclosing_headers(units, 2)
    assert describe(units[2:3], around, 0) == "In the case that `x > 0`, add `x` to `total`."


def test_long_expressions_are_said_in_words() -> None:
    source = (
        "return some_long_function_name(a) + another_long_function_name(b)\n"
        "if first_long_condition(x) and second_long_condition(y) < 3:\n    pass"
    )
    assert describe(_units(source), (), 0) == (
        "Return `some_long_function_name(a)` plus `another_long_function_name(b)`. "
        "If `first_long_condition(x)` and `second_long_condition(y) < 3`, do nothing."
    )


def test_where_a_statement_stands_changes_the_words() -> None:
    inside = "for x in xs:\n    if x:\n        a()\n    b()\n"
    deeper = "for x in xs:\n    if x:\n        a()\n        b()\n"
    outside = "for x in xs:\n    if x:\n        a()\nb()\n"
    assert len({describe(_units(s), (), 0) for s in (inside, deeper, outside)}) == 3
