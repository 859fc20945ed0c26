from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax.problems import humaneval
from codeprm_jax.problems.problem import ProblemError
from sandbox_runner.types import CheckTest, FunctionTest

RECORD: dict[str, Any] = {
    "task_id": "T/0",
    "entry_point": "double_all",
    "prompt": (
        "from typing import List\n\n\ndef double(x):\n    '''Twice.'''\n    return 2 * x\n\n\n"
        'def double_all(xs: List[int]) -> List[int]:\n    """Doubles.\n'
        "    >>> double_all([1])\n    [2]\n    >>> double_all([])\n    []\n"
        '    double_all(["a\\n"]) => ["a\\na\\n"]\n    """\n'
    ),
    "canonical_solution": "    return [double(x) for x in xs]\n",
    "test": (
        "LIMIT = 3\nMETADATA = {}\n\ndef check(candidate):\n    import random\n    print\n"
        "    assert candidate([2]) == [double(2)], 'two'\n    assert True\n"
        "    for i in range(LIMIT):\n        x = random.randint(0, 9)\n"
        "        assert candidate([x]) == [2 * x]\n    ys = [5]\n    assert candidate(ys) == [10]\n"
    ),
}


def _load(tmp_path: Path, *records: dict[str, Any]) -> list[Any]:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return humaneval.load(path)


def test_a_problem_has_all_its_parts(tmp_path: Path) -> None:
    (problem,) = _load(tmp_path, RECORD)
    public = problem.public
    assert (public.id, public.kind, public.entry_point) == ("T/0", "function", "double_all")
    assert RECORD["prompt"].strip() in public.statement
    assert public.starter_code == (
        "from typing import List\ndef double(x):\n    return 2 * x\n\n"
        "def double_all(xs: List[int]) -> List[int]:\n"
    )
    assert public.tests == (
        FunctionTest("public-0", ([1],), [2]),
        FunctionTest("public-1", ([],), []),
        FunctionTest("public-2", (["a\n"],), ["a\na\n"]),
    )
    assert problem.references == (RECORD["prompt"] + RECORD["canonical_solution"],)


def test_private_tests_are_single_and_self_contained(tmp_path: Path) -> None:
    (problem,) = _load(tmp_path, RECORD)
    tests = problem.private.tests
    assert [t.id for t in tests] == ["private-0", "private-1", "private-2"]
    for number, test in enumerate(tests):
        assert isinstance(test, CheckTest)
        assert test.code.count("assert") == 1
        calls = []

        def candidate(xs: list[int], calls: list[Any] = calls) -> list[int]:
            calls.append(xs)
            return [2 * x for x in xs]

        exec(test.code, {"candidate": candidate})
        assert len(calls) == (1, 3, 1)[number]
        with pytest.raises(AssertionError):
            exec(test.code, {"candidate": lambda xs: [*xs, 0]})


def test_random_inputs_are_the_same_every_time(tmp_path: Path) -> None:
    (problem,) = _load(tmp_path, RECORD)
    runs = []
    for _ in range(2):
        seen: list[Any] = []
        exec(
            problem.private.tests[1].code,
            {"candidate": lambda xs, seen=seen: seen.append(xs) or [2 * x for x in xs]},
        )
        runs.append(seen)
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": None}, "field 'prompt' must be str"),
        ({"entry_point": "other"}, "does not define 'other'"),
        ({"canonical_solution": "    return (\n"}, "is no Python"),
        ({"test": "def check(candidate):\n    assert True\n"}, "no assertion about its candidate"),
        ({"test": "x = 1\n"}, "does not define check"),
        ({"test": "def check(candidate) assert"}, "is no Python"),
    ],
)
def test_bad_records(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=rf"problems\.jsonl, line 2.*{message}"):
        _load(tmp_path, RECORD, {**RECORD, "task_id": "T/1", **change})


def test_missing_field_and_repeated_id(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="line 1: field 'test' is missing"):
        _load(tmp_path, {k: v for k, v in RECORD.items() if k != "test"})
    with pytest.raises(ProblemError, match=r"line 2: the id 'T/0' occurs a second time"):
        _load(tmp_path, RECORD, RECORD)


def test_the_public_file(humaneval_path: Path) -> None:
    problems = humaneval.load(humaneval_path)
    assert len(problems) == 164
    without = {p.id for p in problems if not p.public.tests}
    assert without == {f"HumanEval/{n}" for n in (38, 41, 50, 83, 116, 160)}
    assert sum(len(p.public.tests) for p in problems) >= 450
    assert sum(len(p.private.tests) for p in problems) >= 1100


def test_errata_are_all_found_and_left_out(humaneval_path: Path) -> None:
    """Each entry of the table is an example of the file: a stale entry would hide nothing."""
    from codeprm_jax.problems.docstring_examples import find_examples

    problems = {p.id: p for p in humaneval.load(humaneval_path)}
    for (problem_id, call, expected), reason in humaneval.ERRATA.items():
        public = problems[problem_id].public
        parameters = public.starter_code.rpartition("(")[2].count(",") + 1
        names = [f"p{i}" for i in range(parameters)]
        examples = find_examples(public.statement, str(public.entry_point), names)
        assert (call, expected) in {
            (e.call(str(public.entry_point)), repr(e.expected)) for e in examples
        }
        assert reason
        kept = {
            f"{public.entry_point}({', '.join(map(repr, t.args))})"
            for t in public.tests
            if isinstance(t, FunctionTest)
        }
        assert call not in kept
