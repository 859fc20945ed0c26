from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.problems.docstring_examples import Example, find_examples


def _found(docstring: str, parameters: tuple[str, ...] = ("x",)) -> list[tuple[Any, Any]]:
    return [(e.args, e.expected) for e in find_examples(docstring, "f", parameters)]


@pytest.mark.parametrize(
    ("line", "args", "expected"),
    [
        (">>> f([1, 2])\n[2, 1]", ([1, 2],), [2, 1]),
        (">>> f([])\n\nmore text", ([],), None),
        (">>> f(1) == 'one'", (1,), "one"),
        (">>> f(1)\n[1,\n 2]\n>>> g(2)", (1,), [1, 2]),
        (">>> f(1) # a remark\n4", (1,), 4),
        ("f(1) ==> 2", (1,), 2),
        ("f(1)==>2", (1,), 2),
        ("f(1) => -2.5", (1,), -2.5),
        ("f(1) -> [1, 2] and so on", (1,), [1, 2]),
        ("* f(1) ➞ True", (1,), True),
        ("f(1) = {'a': 1}", (1,), {"a": 1}),
        ("f(1) == (None, 1)", (1,), (None, 1)),
        ("f(1) returns 'Hi'", (1,), "Hi"),
        ("f(1) should return 15 and f stops", (1,), 15),
        ("f(1) should\n return 15.", (1,), 15),
        ('f(1)   # returns "x"', (1,), "x"),
        ("f(1) # => 'No' (because)", (1,), "No"),
        ("f(1) => true", (1,), True),
        ("f(word) => False", ("word",), False),
        ("f([\n [1],\n [2]\n]) == [1]", ([[1], [2]],), [1]),
        ("f('a)b') -> '('", ("a)b",), "("),
        ("f(1) == 1 + 9 + 0 = 10", (1,), 10),
        ("f(1) -> 19 - 5 - 6 = 8", (1,), 8),
        ("For x = [1, 2] the output should be 6", ([1, 2],), 6),
        ('For x = "AB" the output should be 1.', ("AB",), 1),
        ("Input: [4, 2]\nOutput: [2, 1]\nExplanation: so", ([4, 2],), [2, 1]),
        ("Input: x = 5\nOutput: 24 # why", (5,), 24),
        ("x = [2, 1]\n -> sort\n return ['B']", ([2, 1],), ["B"]),
        ("g(1) ==> 2", (1,), 2),
    ],
)
def test_forms(line: str, args: tuple[Any, ...], expected: Any) -> None:
    assert _found(f"Some text about f.\n{line}\n") == [(args, expected)]


@pytest.mark.parametrize(
    "line",
    [
        "f(x) -> f(x - 1)",
        "f(n) == f(n-1) + f(n-2)",
        'f(1) == ""quoted""',
        "f(1) = 1 + 2",
        "f(1, 2) = 3",
        "f(open('a')) = 3",
        "f(1) is described below",
        "calls f(1)",
        ">>> print(f(1))\n1",
        "f(1",
    ],
)
def test_what_is_no_example(line: str) -> None:
    assert _found(line) == []


def test_several_parameters() -> None:
    text = (
        'For a = "xy", b = "y" the result should be ("x", False)\nInput: a : 1\n b : 2\nOutput: 3'
    )
    assert _found(text, ("a", "b")) == [(("xy", "y"), ("x", False)), ((1, 2), 3)]


def test_round_around_the_call_is_kept() -> None:
    (example,) = find_examples(">>> round(f([1, 2]), 2) # why\n-0.5", "f", ("x",))
    assert example == Example(([1, 2],), -0.5, "round(candidate([1, 2]), 2)")
    assert example.call("f") == "round(f([1, 2]), 2)"


def test_repetitions_are_dropped_and_the_order_is_kept() -> None:
    assert _found("f(2) == 4\nf(1) == 1\nf( 2 ) == 4") == [((2,), 4), ((1,), 1)]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab ')(\\n", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=6,
)


@given(plain, plain)
def test_any_literal_can_be_read(argument: Any, result: Any) -> None:
    for line in (f">>> f({argument!r})\n{result!r}", f"f({argument!r}) ➞ {result!r}"):
        assert _found(line) == [((argument,), result)]


@given(st.text("f(x)=>-# '\"[]\n1,ab:", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    find_examples(text, "f", ("x",))
