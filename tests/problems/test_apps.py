from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax.problems import apps
from codeprm_jax.problems.loading import load_problems
from codeprm_jax.problems.problem import Problem, ProblemError
from sandbox_runner.pool import Pool
from sandbox_runner.types import FunctionTest, StdinTest
from tests.problems.contest_files import (
    SUM,
    assert_references_pass,
    assert_sound,
    verdicts,
    write_lines,
)

STDIN: dict[str, Any] = {
    "problem_id": 7,
    "question": "Add two numbers.\n\n-----Examples-----\nInput\n1 2\n\nOutput\n3\n",
    "solutions": json.dumps(["print 'Python 2'", SUM]),
    "input_output": json.dumps(
        {
            "inputs": ["1 2\n", "3 4\n", ["5 6", ""], "7 8\n", "1 2"],
            "outputs": ["3\n", "7\n", ["11"], "15\n", "3"],
        }
    ),
    "difficulty": "introductory",
    "url": "https://example.org/7",
    "starter_code": "",
}
CALLS: dict[str, Any] = {
    "problem_id": 8,
    "question": "Return the numbers that occur most often.",
    "solutions": json.dumps(
        [
            "class Solution:\n    def modes(self, nums: List[int]) -> List[int]:\n"
            "        counts = Counter(nums)\n"
            "        most = max(counts.values())\n"
            "        return tuple(n for n in counts if counts[n] == most)\n"
        ]
    ),
    "input_output": json.dumps(
        {
            "fn_name": "modes",
            "inputs": [[[1, 1, 2]], [[3]], [[4, 5]]],
            "outputs": [[[1]], [[3]], [[4, 5]]],
        }
    ),
    "difficulty": "interview",
    "url": "",
    "starter_code": "\nclass Solution:\n    def modes(self, nums: List[int]) -> List[int]:\n"
    + " " * 8,
}


def _load(tmp_path: Path, *records: dict[str, Any], options: str = "") -> list[Problem]:
    return load_problems(f"apps:{write_lines(tmp_path / 'apps.jsonl', *records)}{options}")


def _calls(name: str, inputs: list[Any], outputs: list[Any], **more: Any) -> dict[str, Any]:
    tests = {"fn_name": name, "inputs": inputs, "outputs": outputs}
    return {**CALLS, "input_output": json.dumps(tests), "starter_code": "", **more}


def test_a_program_has_all_its_parts(tmp_path: Path, pool: Pool) -> None:
    problems = _load(tmp_path, STDIN)
    (problem,) = problems
    assert problem.id == "APPS/0007"
    assert problem.public.kind == "stdin" and problem.public.difficulty == "easy"
    assert problem.public.licence == "MIT"
    assert "standard input" in problem.public.statement
    assert "Add two numbers." in problem.public.statement
    # Five tests, of which the last repeats the first; the first half of four.
    assert problem.public.tests == (
        StdinTest("public-0", "1 2\n", "3\n"),
        StdinTest("public-1", "3 4\n", "7\n"),
    )
    assert problem.private.tests == (
        StdinTest("private-0", "5 6\n", "11"),
        StdinTest("private-1", "7 8\n", "15\n"),
    )
    assert problem.references == (SUM,)
    assert_sound(problems)
    assert_references_pass(problems, pool)
    assert verdicts(problem, "print(3)", pool) == ["AC", "WA", "WA", "WA"]


def test_calls_of_a_method_become_calls_of_a_function(tmp_path: Path, pool: Pool) -> None:
    problems = _load(tmp_path, CALLS)
    (problem,) = problems
    assert problem.public.entry_point == "modes"
    assert problem.public.starter_code == (
        "from typing import List\n\n\ndef modes(nums: List[int]) -> List[int]:\n"
    )
    # Every output is a list of one: the expected value in a wrapper. A tuple is as good as a list.
    assert problem.public.tests == (FunctionTest("public-0", ([1, 1, 2],), [1]),)
    assert_sound(problems)
    assert_references_pass(problems, pool)
    wrapped = "def modes(nums):\n    return [[max(set(nums), key=nums.count)]]\n"
    assert set(verdicts(problem, wrapped, pool)) == {"WA"}


def test_outputs_that_are_not_all_wrapped_stay_as_they_are(tmp_path: Path, pool: Pool) -> None:
    record = _calls("evens", [[[1, 2]], [[2, 4]]], [[2], [2, 4]])
    record["solutions"] = json.dumps(["evens = lambda nums: [n for n in nums if n % 2 == 0]\n"])
    problems = _load(tmp_path, record)
    assert [t.expected for t in problems[0].all_tests] == [[2], [2, 4]]  # type: ignore[union-attr]
    assert_references_pass(problems, pool)


def test_json_turned_integer_keys_into_texts(tmp_path: Path, pool: Pool) -> None:
    record = _calls("f", [[{"1": 2}], [{"a": 2}]], [{"2": 1}, {"2": "a"}])
    record["solutions"] = json.dumps(["def f(d):\n    return {v: k for k, v in d.items()}\n"])
    problems = _load(tmp_path, record)
    assert problems[0].public.tests == (FunctionTest("public-0", ({1: 2},), {2: 1}),)
    assert_references_pass(problems, pool)


def test_one_test_is_private_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = {**STDIN, "input_output": json.dumps({"inputs": ["1 2"], "outputs": ["3"]})}
    (problem,) = _load(tmp_path, one)
    assert problem.public.tests == () and len(problem.private.tests) == 1
    assert "1 with one test only" in caplog.text and "APPS/0007" in caplog.text


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("", "no tests"),
        ('{"inputs": [], "outputs": []}', "no tests"),
        ("{}", "no tests"),
        ('{"inputs": ["1"', "input_output is no JSON"),
        ("[1]", "input_output is no object"),
        ('{"inputs": ["1", "2"], "outputs": ["1"]}', "two lists of one length"),
        ('{"inputs": "12", "outputs": "12"}', "two lists of one length"),
        ('{"inputs": [1], "outputs": ["1"]}', "a test is no text"),
        ('{"inputs": ["\\ud800"], "outputs": ["1"]}', "no valid Unicode"),
        ('{"inputs": ["1", "1\\n"], "outputs": ["1", "2"]}', "one input with two different"),
        ('{"fn_name": "f", "inputs": [1], "outputs": [1]}', "no list of arguments"),
        ('{"fn_name": "no name", "inputs": [[1]], "outputs": [1]}', "no Python name"),
        (json.dumps({"inputs": ["1" * 3 * 2**20], "outputs": ["1"]}), "no private test"),
        ('{"fn_name": "f", "inputs": [[1]], "outputs": [%s]}' % ("[" * 300 + "]" * 300), "nested"),
        ('{"inputs": ["1"], "outputs": [%s]}' % ("[" * 10**5), "no JSON"),
    ],
)
def test_what_cannot_be_judged_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tests: str, reason: str
) -> None:
    bad = {**STDIN, "problem_id": 9, "input_output": tests}
    with caplog.at_level(logging.WARNING):
        problems = _load(tmp_path, bad, STDIN)
    assert [p.id for p in problems] == ["APPS/0007"]
    assert "1 of 2 problems left out: 1 with" in caplog.text
    assert reason in caplog.text and "APPS/0009" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": None}, "field 'question' must be str"),
        ({"problem_id": None}, "field 'problem_id'"),
        ({"difficulty": 3}, "field 'difficulty' must be a text or null"),
        ({"input_output": {"inputs": []}}, "field 'input_output' must be a text or null"),
        ({"problem_id": 7}, "'APPS/0007' occurs a second time"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=rf"apps\.jsonl, line 2: .*{message}"):
        _load(tmp_path, STDIN, {**STDIN, "problem_id": 8, **change})


def test_bands_and_ids_and_limits(tmp_path: Path) -> None:
    records = [STDIN, CALLS, {**STDIN, "problem_id": 9, "difficulty": "competition"}]
    for options, numbers in [
        ("?difficulty=interview", [8]),
        ("?difficulty=medium,competition", [8, 9]),
        ("?ids=0009,APPS/0007", [7, 9]),
        ("?limit=2", [7, 8]),
        ("?difficulty=easy,hard&limit=1", [7]),
    ]:
        found = [p.id for p in _load(tmp_path, *records, options=options)]
        assert found == [f"APPS/{n:04d}" for n in numbers], options
    with pytest.raises(ProblemError, match="no problem 0001"):
        _load(tmp_path, *records, options="?ids=0001")


def _write_folder(folder: Path, record: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "question.txt").write_text(record["question"])
    (folder / "metadata.json").write_text(
        json.dumps({"difficulty": record["difficulty"], "url": record["url"]})
    )
    for name in ("input_output", "solutions"):
        if record[name]:
            (folder / f"{name}.json").write_text(record[name])
    if record["starter_code"]:
        (folder / "starter_code.py").write_text(record["starter_code"])


def test_the_folder_form_holds_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from_lines = _load(tmp_path, STDIN, CALLS)
    root = tmp_path / "APPS"
    _write_folder(root / "train" / "0007", STDIN)
    _write_folder(root / "train" / "0008", CALLS)
    _write_folder(root / "test" / "0000", {**STDIN, "solutions": ""})
    _write_folder(root / "test" / "0001", {**STDIN, "input_output": ""})
    problems = load_problems(f"apps:{root}")
    assert [p.id for p in problems] == ["APPS/train/0007", "APPS/train/0008", "APPS/test/0000"]
    assert "1 with no tests (APPS/test/0001)" in caplog.text
    assert problems[2].references == ()
    assert_sound(problems)
    for ours, theirs in zip(problems, from_lines, strict=False):
        assert ours.private == theirs.private and ours.references == theirs.references
        assert {**ours.to_json(), "id": theirs.id} == theirs.to_json()
    assert [p.id for p in load_problems(f"apps:{root}?split=test")] == ["APPS/test/0000"]
    assert [p.id for p in load_problems(f"apps:{root / 'train'}?limit=1")] == ["APPS/train/0007"]
    with pytest.raises(ProblemError, match="no split 'valid'"):
        load_problems(f"apps:{root}?split=valid")


def test_files_of_the_hub_name_their_split(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", STDIN)
    write_lines(tmp_path / "test.jsonl", STDIN)
    both = load_problems(f"apps:{tmp_path}")
    assert [p.id for p in both] == ["APPS/test/0007", "APPS/train/0007"]
    problems = load_problems(f"apps:{tmp_path}?split=train")
    assert [p.id for p in problems] == ["APPS/train/0007"]


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    _write_folder(tmp_path / "0003", STDIN)
    (tmp_path / "0003" / "metadata.json").write_text("{")
    with pytest.raises(ProblemError, match=r"0003: metadata\.json is no JSON"):
        apps.load(tmp_path)
    (tmp_path / "0003" / "metadata.json").write_text("[]")
    with pytest.raises(ProblemError, match=r"0003: metadata\.json must hold an object"):
        apps.load(tmp_path)
    (tmp_path / "0003" / "question.txt").write_bytes(b"\xff")
    with pytest.raises(ProblemError, match=r"question\.txt cannot be read"):
        apps.load(tmp_path)


def test_a_test_that_is_too_long_is_passed_over_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tests = {"inputs": ["1 2", "1" * 3 * 2**20, "3 4"], "outputs": ["3", "1", "7"]}
    (problem,) = _load(tmp_path, {**STDIN, "input_output": json.dumps(tests)})
    assert len(problem.all_tests) == 2
    assert "1 with tests of more than 2048 KiB, which are passed over (APPS/0007)" in caplog.text


def test_the_output_limit_has_room_for_what_is_expected(tmp_path: Path, pool: Pool) -> None:
    tests = {"inputs": ["1", "2"], "outputs": ["x" * 2**19, "x"]}
    (problem,) = _load(tmp_path, {**STDIN, "input_output": json.dumps(tests)})
    program = "print('x' * 2**19 if input() == '1' else 'x')"
    assert verdicts(problem, program, pool) == ["AC", "AC"]
