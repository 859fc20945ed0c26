from __future__ import annotations

import base64
import json
import logging
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax.problems.loading import load_problems
from codeprm_jax.problems.problem import Problem, ProblemError
from sandbox_runner.pool import Pool
from sandbox_runner.types import FunctionTest, StdinTest
from tests.problems.contest_files import SUM, assert_sound, verdicts, write_lines


def packed(text: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(text))).decode()


def cases(kind: str, *pairs: tuple[str, str]) -> str:
    return json.dumps([{"input": i, "output": o, "testtype": kind} for i, o in pairs])


STDIN: dict[str, Any] = {
    "question_title": "Sum",
    "question_content": "Add two numbers.",
    "platform": "atcoder",
    "question_id": "abc999_a",
    "contest_id": "abc999",
    "contest_date": "2024-01-06T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": cases("stdin", ("1 2\n", "3\n")),
    "private_test_cases": packed(cases("stdin", ("1 2\n", "3\n"), ("3 4\n", "7\n"))),
    "metadata": "{}",
}
CALLS: dict[str, Any] = {
    **STDIN,
    "platform": "leetcode",
    "question_id": "9999",
    "starter_code": "class Solution:\n    def pick(self, nums: List[int], key: str) -> int:\n"
    + " " * 8,
    "difficulty": "hard",
    "public_test_cases": cases("functional", ('[1, 2]\n"last"', "2")),
    "private_test_cases": cases("functional", ('[1, 2]\n"first"', "1"), ('[]\n"last"', "null")),
    "metadata": json.dumps({"func_name": "pick"}),
}
PICK = (
    "def pick(nums, key):\n"
    "    return nums[-1 if key == 'last' else 0] if nums else None\n"
)  # fmt: skip


def _load(tmp_path: Path, *records: dict[str, Any], options: str = "") -> list[Problem]:
    path = write_lines(tmp_path / "test.jsonl", *records)
    return load_problems(f"livecodebench:{path}{options}")


def test_programs_and_calls(tmp_path: Path, pool: Pool) -> None:
    problems = _load(tmp_path, STDIN, CALLS)
    stdin, calls = problems
    assert (stdin.id, calls.id) == ("LiveCodeBench/abc999_a", "LiveCodeBench/9999")
    assert stdin.public.tests == (StdinTest("public-0", "1 2\n", "3\n"),)
    assert stdin.private.tests == (StdinTest("private-0", "3 4\n", "7\n"),)
    assert calls.public.entry_point == "pick"
    assert calls.public.starter_code == (
        "from typing import List\n\n\ndef pick(nums: List[int], key: str) -> int:\n"
    )
    assert calls.public.tests == (FunctionTest("public-0", ([1, 2], "last"), 2),)
    assert calls.private.tests[1] == FunctionTest("private-1", ([], "last"), None)
    assert_sound(problems)
    assert verdicts(stdin, SUM, pool) == ["AC", "AC"]
    assert verdicts(calls, PICK, pool) == ["AC"] * 3
    assert verdicts(calls, PICK.replace("0]", "1]"), pool) == ["AC", "WA", "AC"]
    assert [p.id for p in _load(tmp_path, STDIN, CALLS, options="?difficulty=hard")] == [calls.id]


def test_private_tests_as_plain_json_are_the_same(tmp_path: Path) -> None:
    plain = {**STDIN, "private_test_cases": cases("stdin", ("1 2\n", "3\n"), ("3 4\n", "7\n"))}
    assert _load(tmp_path, plain) == _load(tmp_path, STDIN)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"private_test_cases": "[]"}, "no private test"),
        ({"private_test_cases": ""}, "no private test"),
        ({"private_test_cases": packed(Evil())}, "a pickle of more than one text"),
        ({"private_test_cases": packed(["[]"])}, "a pickle of more than one text"),
        ({"private_test_cases": "no base64!"}, "no base64 of zlib"),
        ({"private_test_cases": STDIN["private_test_cases"][:-12]}, "private_test_cases that are"),
        ({"private_test_cases": packed("{")}, "private_test_cases is no JSON"),
        ({"private_test_cases": packed("{}")}, "not a list of objects"),
        ({"private_test_cases": cases("functional", ("1", "1"))}, "not all of type stdin"),
        ({"public_test_cases": cases("other", ("1", "1"))}, "not all of type stdin"),
        ({**CALLS, "metadata": "{}"}, "no func_name"),
        ({**CALLS, "public_test_cases": cases("functional", ("[1", "1"))}, "is no JSON"),
    ],
)
def test_what_cannot_be_judged_is_left_out_and_counted(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    change: dict[str, Any],
    reason: str,
) -> None:
    with caplog.at_level(logging.WARNING):
        problems = _load(tmp_path, {**STDIN, **change, "question_id": "bad"}, STDIN)
    assert [p.id for p in problems] == ["LiveCodeBench/abc999_a"]
    assert "1 of 2 problems left out" in caplog.text and reason in caplog.text
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_id": 3}, "field 'question_id' must be str"),
        ({"private_test_cases": None}, "field 'private_test_cases' must be str"),
        ({"metadata": {}}, "field 'metadata' must be a text or null"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=rf"test\.jsonl, line 1: {message}"):
        _load(tmp_path, {**STDIN, **change})


def test_a_folder_of_releases(tmp_path: Path) -> None:
    write_lines(tmp_path / "test.jsonl", STDIN)
    write_lines(tmp_path / "test2.jsonl", CALLS)
    assert len(load_problems(f"livecodebench:{tmp_path}")) == 2
    assert len(load_problems(f"livecodebench:{tmp_path}?split=test2")) == 1
