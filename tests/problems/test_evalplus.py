from __future__ import annotations

import ast
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.files import RunError
from codeprm_jax.problems import evalplus
from codeprm_jax.problems.contest import UnusableError
from codeprm_jax.problems.evalplus_tests import from_check_program, literal, retyped
from codeprm_jax.problems.loading import load_problems
from codeprm_jax.problems.problem import Problem, ProblemError
from sandbox_runner.jail import IsolationError
from sandbox_runner.pool import Pool
from sandbox_runner.types import CheckTest, FunctionTest
from tests.problems.contest_files import (
    assert_references_pass,
    assert_sound,
    verdicts,
    write_lines,
)

PROMPT = '''from typing import List


def halves(numbers: List[int]) -> List[float]:
    """ Halve each number.
    >>> halves([1, 2])
    [0.5, 1.0]
    """
'''
# As the data have it: floats within a tolerance, all else by ==.
PLAIN = """import numpy as np

def floating(value):
    return isinstance(value, (float, list))

def assertion(out, exp, atol):
    same = out == exp
    if atol == 0 and floating(exp):
        atol = 1e-6
    if not same and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert same
"""
AS_SETS = """def assertion(out, exp, atol):
    out, exp = set(out), set(exp)
    assert out == exp
"""
LOOP = "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
CHECK = f"""

def check(candidate):
    inputs = [[[1, 2]], [[]], [[-3]], [[10**6]]]
    results = [[0.5, 1.0], [], [-1.5], [500000.0]]
    {LOOP}        assertion(candidate(*inp), exp, 0)

check(halves)
""".replace("10**6", "1000000")
HUMAN: dict[str, Any] = {
    "task_id": "HumanEval/900",
    "prompt": PROMPT,
    "entry_point": "halves",
    "canonical_solution": "    return [n / 2 for n in numbers]\n",
    "test": PLAIN + CHECK,
}
NATIVE: dict[str, Any] = {
    **{k: v for k, v in HUMAN.items() if k != "test"},
    "contract": "\n    assert all(type(n) is int for n in numbers)\n",
    "base_input": [[[1, 2]], [[]]],
    "plus_input": [[[-3]], [[1000000]]],
    "atol": 0,
}
COMMON = "def common(a, b):\n    return tuple(set(a) & set(b))\n"
ASSERTS = ["assert set(common((1, 2), (2, 3))) == {2}", "assert set(common((4,), (5,))) == set()"]
MBPP: dict[str, Any] = {
    "task_id": 900,
    "code": COMMON,
    "prompt": "Write a function to find what two tuples share.",
    "source_file": "x.ipynb",
    "test_imports": [],
    "test_list": ASSERTS,
    "test": AS_SETS + "\n"
    "inputs = [[(1, 2), (2, 3)], [(4,), (5,)], [(), ()], [(1, 2, 3), (3, 2)]]\n"
    "results = [(2,), (), (), (2, 3)]\n" + LOOP + "    assertion(common(*inp), exp, 0)\n",
}
MBPP_NATIVE: dict[str, Any] = {
    "task_id": "Mbpp/900",
    "prompt": '"""\nWrite a function to find what two tuples share.\nassert set(common(…"""\n',
    "entry_point": "common",
    "canonical_solution": "\n" + COMMON,
    "contract": "",
    "base_input": [[[1, 2], [2, 3]], [[4], [5]]],
    "plus_input": [[[], []], [[1, 2, 3], [3, 2]]],
    "atol": 0,
    "assertion": "\n".join(ASSERTS),
}
MBPP_NATIVE["prompt"] = f'"""\n{MBPP["prompt"]}\n{ASSERTS[0]}\n"""\n'


def _human(tmp_path: Path, *records: dict[str, Any], options: str = "") -> list[Problem]:
    return load_problems(f"humanevalplus:{write_lines(tmp_path / 'he.jsonl', *records)}{options}")


def _mbpp(tmp_path: Path, *records: dict[str, Any], options: str = "") -> list[Problem]:
    return load_problems(f"mbppplus:{write_lines(tmp_path / 'mbpp.jsonl', *records)}{options}")


def test_humaneval_plus_with_a_check_program(tmp_path: Path, pool: Pool) -> None:
    problems = _human(tmp_path, HUMAN)
    (problem,) = problems
    assert problem.id == "HumanEvalPlus/900"
    assert problem.public.tests == (FunctionTest("public-0", ([1, 2],), [0.5, 1.0]),)
    # The first pair is the docstring's example.
    assert problem.private.tests == (
        FunctionTest("private-1", ([],), []),
        FunctionTest("private-2", ([-3],), [-1.5]),
        FunctionTest("private-3", ([1000000],), [500000.0]),
    )
    assert problem.public.comparator == "float:1e-06,1e-07"
    assert problem.public.starter_code.endswith("def halves(numbers: List[int]) -> List[float]:\n")
    assert_sound(problems)
    assert_references_pass(problems, pool)
    near = "def halves(numbers):\n    return [n / 2 + 1e-8 for n in numbers]\n"
    assert verdicts(problem, near, pool) == ["AC"] * 4
    # Half a million may be wrong by 0.05.
    assert verdicts(problem, near.replace("-8", "-3"), pool) == ["WA", "AC", "WA", "AC"]


def test_humaneval_plus_from_running_the_solution(tmp_path: Path, pool: Pool) -> None:
    native, hub = _human(tmp_path, NATIVE)[0], _human(tmp_path, HUMAN)[0]
    assert native == hub
    assert_references_pass([native], pool)
    # An input that the canonical solution fails on decides nothing.
    failing = {**NATIVE, "plus_input": [["no list"], [[-3]]]}
    (problem,) = _human(tmp_path, failing)
    assert len(problem.private.tests) == 2


def test_inputs_without_an_expected_value_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failing = {**NATIVE, "plus_input": [["no list"]]}
    fails = {**NATIVE, "task_id": "HumanEval/901", "canonical_solution": "    return object()\n"}
    assert [p.id for p in _human(tmp_path, failing, fails)] == ["HumanEvalPlus/900"]
    assert "1 with inputs that the canonical solution fails on" in caplog.text
    assert "1 with a canonical solution that fails (WA) (HumanEvalPlus/901)" in caplog.text


def test_mbpp_plus_that_compares_sets(tmp_path: Path, pool: Pool) -> None:
    hub, native = _mbpp(tmp_path, MBPP), _mbpp(tmp_path, MBPP_NATIVE)
    for problems in (hub, native):
        (problem,) = problems
        assert problem.id == "MBPPPlus/900"
        assert problem.public.statement == (
            f"{MBPP['prompt']}\n\nYour function must satisfy:\n\n{ASSERTS[0]}\n"
        )
        assert all(isinstance(t, CheckTest) for t in problem.all_tests)
        assert_sound(problems)
        assert_references_pass(problems, pool)
        wrong = "def common(a, b):\n    return [x for x in (3, 2) if x in a and b]\n"
        assert verdicts(problem, wrong, pool)[-2:] == ["AC", "AC"]
        assert set(verdicts(problem, "def common(a, b):\n    return [9]\n", pool)) == {"WA"}


def test_a_function_for_the_truth(tmp_path: Path, pool: Pool) -> None:
    record = {
        **MBPP_NATIVE,
        "canonical_solution": "import re\ndef starts(text):\n    return re.match('a', text)\n",
        "entry_point": "starts",
        "base_input": [["ab"], ["ba"]],
        "plus_input": [["a"], [""]],
        "assertion": "assert starts('ab')\nassert not starts('ba')",
    }
    (problem,) = _mbpp(tmp_path, record)
    codes = [t.code for t in problem.private.tests if isinstance(t, CheckTest)]
    # The first input is the public assertion's.
    assert codes == [
        "assert not candidate('ba')\n",
        "assert candidate('a')\n",
        "assert not candidate('')\n",
    ]
    right = "def starts(text):\n    return text[:1] == 'a'\n"
    assert set(verdicts(problem, right, pool)) == {"AC"}


def test_a_reference_function_in_the_check_program(tmp_path: Path, pool: Pool) -> None:
    program = (
        PLAIN + "\ndef ref_func(numbers):\n    return [n / 2 for n in numbers]\n\n"
        "def check(candidate):\n    inputs = [[[7]], [[1, 2]]]\n"
        "    for i, inp in enumerate(inputs):\n"
        "        assertion(candidate(*inp), ref_func(*inp), 0)\n"
    )
    problems = _human(tmp_path, {**HUMAN, "test": program})
    (problem,) = problems
    assert all(isinstance(t, CheckTest) for t in problem.private.tests)
    assert_sound(problems)
    assert_references_pass(problems, pool)
    assert verdicts(problem, "def halves(n):\n    return n\n", pool) == ["WA", "WA", "WA"]


def test_only_what_compares_plainly_is_compared_outside() -> None:
    """Any other assertion is run as it stands."""
    loop = "inputs = [[1]]\nresults = [2]\n" + LOOP + "    assertion(f(*inp), exp, 0)\n"
    assert isinstance(from_check_program(PLAIN + loop, "f").tests[0], FunctionTest)
    changed = [
        PLAIN.replace("same = out == exp", "same = exp is None or out is not None"),
        PLAIN.replace("    same = ", "    out = list(out)\n    same = "),
        PLAIN.replace("    if atol", "    out = exp\n    if atol"),
        AS_SETS,
    ]
    for assertion in changed:
        assert isinstance(from_check_program(assertion + loop, "f").tests[0], CheckTest)
    for old, new in [
        (", 0)", ", i)"),
        ("f(*inp)", "f(inp)"),
        ("assertion(", "print() or assertion("),
    ]:
        other = PLAIN + loop.replace(old, new)
        assert isinstance(from_check_program(other, "f").tests[0], CheckTest)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("def check(candidate:", "is no Python"),
        ("def check(candidate):\n    assert candidate(1)\n", "no loop over a list of inputs"),
        (PLAIN + CHECK.replace("[], [-1.5]", "[]"), "more inputs than results"),
        (PLAIN + CHECK.replace("[[-3]]", "[[some_name]]"), "a value that is no literal"),
        (PLAIN + CHECK.replace("i, (inp, exp)", "(inp, exp)"), "other variables"),
        (PLAIN + CHECK.replace("-3", "1" * 5000), "is no Python"),
    ],
)
def test_check_programs_of_another_form_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, test: str, reason: str
) -> None:
    with caplog.at_level(logging.WARNING):
        problems = _human(tmp_path, HUMAN, {**HUMAN, "task_id": "HumanEval/901", "test": test})
    assert len(problems) == 1
    assert "1 of 2 problems left out" in caplog.text and reason in caplog.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"assertion": "assert common((1, 2), (9, 9)) == ()"}, "not among its inputs"),
        ({"assertion": "assert len(common((1,), (2,))) == 0"}, "of another form"),
        ({"assertion": "assert common(x, y) == 1"}, "arguments that are no literals"),
        ({"assertion": ASSERTS[0] + "\nassert common((4,), (5,)) == ()"}, "in different ways"),
        ({"assertion": "assert common((4,), (5,)) == ()\nassert common([1], []) == ()"}, "types"),
        ({"base_input": [1]}, "an input that is no list of arguments"),
    ],
)
def test_inputs_whose_types_are_not_told_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], reason: str
) -> None:
    with caplog.at_level(logging.WARNING):
        problems = _mbpp(tmp_path, MBPP, {**MBPP_NATIVE, "task_id": "Mbpp/901", **change})
    assert len(problems) == 1
    assert "1 of 2 problems left out" in caplog.text and reason in caplog.text


def test_humaneval_32_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(_human(tmp_path, {**HUMAN, "task_id": "HumanEval/32"}, HUMAN)) == 1
    assert "HumanEvalPlus/32" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_id": 3}, "field 'task_id' must be str"),
        ({"test": 3}, "field 'test' must be str"),
        ({"entry_point": "other"}, "does not define 'other'"),
        ({"canonical_solution": "    return ("}, "is no Python"),
        ({"test": None, "base_input": []}, "field 'test' must be str"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=rf"he\.jsonl, line 1: .*{message}"):
        _human(tmp_path, {**HUMAN, **change})


def test_bad_native_records_are_named(tmp_path: Path) -> None:
    for change, message in [
        ({"base_input": "x"}, "field 'base_input' must be list"),
        ({"atol": "x"}, "field 'atol' must be a number"),
    ]:
        with pytest.raises(ProblemError, match=message):
            _human(tmp_path, {**NATIVE, **change})  # type: ignore[dict-item]
    with pytest.raises(ProblemError, match="there is no assertion"):
        _mbpp(tmp_path, {**MBPP_NATIVE, "assertion": ""})
    with pytest.raises(ProblemError, match="no function that the assertions"):
        _mbpp(tmp_path, {**MBPP_NATIVE, "assertion": "assert other(1) == 1"})


def test_only_what_is_wanted_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise IsolationError("no namespaces")

    monkeypatch.setattr(evalplus, "find_tier", refuse)
    with pytest.raises(RunError, match=r"no namespaces.*on a machine with isolation"):
        _human(tmp_path, NATIVE)
    records = [NATIVE, {**HUMAN, "task_id": "HumanEval/901"}]
    assert len(_human(tmp_path, *records, options="?ids=901")) == 1
    assert len(_human(tmp_path, *reversed(records), options="?limit=1")) == 1


PLAIN_VALUES = st.recursive(
    st.integers() | st.text() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple),
    max_leaves=8,
)


@given(PLAIN_VALUES)
def test_types_come_back_from_an_example_of_itself(value: Any) -> None:
    """Or an error says that the example does not tell them."""

    def through_json(part: Any) -> Any:
        if isinstance(part, (list, tuple)):
            return [through_json(p) for p in part]
        return str(part) if isinstance(part, complex) else part

    try:
        assert repr(retyped(through_json(value), [value])) == repr(value)
    except UnusableError:
        kinds = {type(n) for n in ast.walk(ast.parse(repr(value)))}
        assert {ast.List, ast.Tuple} <= kinds


def test_types_of_sets_and_keys() -> None:
    assert retyped([[1, 2], []], [[{1}, {3, 4}]]) == [{1, 2}, set()]
    assert retyped({"1": [2]}, [{3: (4,)}]) == {1: (2,)}
    assert retyped([1, [2]], [(3, (4,)), (5, (6,))]) == (1, (2,))
    assert retyped([[1], [2]], [[(3,), [4]]]) == [(1,), [2]]
    assert retyped([], []) == []


def test_literals() -> None:
    source = "[inf, -math.inf, {1: (2, set())}, 1 + 2j]"
    found = literal(ast.parse(source, mode="eval").body)
    assert found == [float("inf"), -float("inf"), {1: (2, set())}, 1 + 2j]
    with pytest.raises(ValueError, match="malformed"):
        literal(ast.parse("print(1)", mode="eval").body)


def test_the_file_form_keeps_everything(tmp_path: Path) -> None:
    problems = _human(tmp_path, HUMAN) + _mbpp(tmp_path, MBPP)
    path = tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(p.to_json()) + "\n" for p in problems))
    assert load_problems(f"file:{path}") == problems
