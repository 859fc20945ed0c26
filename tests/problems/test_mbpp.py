from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax.problems import mbpp
from codeprm_jax.problems.problem import Problem, ProblemError
from sandbox_runner.types import CheckTest, FunctionTest

RECORD: dict[str, Any] = {
    "task_id": 7,
    "text": "Write a function to double a number.",
    "code": "import math\r\nclass Box:\r\n    pass\r\ndef helper(x):\r\n    return x\r\n"
    "def double(x):\r\n    return 2 * helper(x)",
    "test_setup_code": "",
    "test_list": ["assert double(1) == 2", "assert double(2) == 4"],
    "challenge_test_list": ["assert math.isclose(double(0.5), 1.0)"],
}


def _load(tmp_path: Path, *records: dict[str, Any]) -> list[Problem]:
    path = tmp_path / "mbpp.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return mbpp.load(path)


def test_a_problem_has_all_its_parts(tmp_path: Path) -> None:
    (problem,) = _load(tmp_path, RECORD)
    assert problem.id == "MBPP/7"
    assert problem.public.entry_point == "double"
    assert problem.public.statement == (
        "Write a function to double a number.\n\n"
        "Your function must satisfy:\n\nassert double(1) == 2\n"
    )
    assert problem.public.tests == (FunctionTest("public-0", (1,), 2),)
    assert problem.private.tests == (
        FunctionTest("private-0", (2,), 4),
        CheckTest("private-1", "import math\nassert math.isclose(candidate(0.5), 1.0)\n"),
    )
    assert "\r" not in problem.references[0]


def test_set_up_code_stands_before_the_assertion(tmp_path: Path) -> None:
    change = {
        "test_setup_code": "numbers = [1]",
        "test_list": ["assert double(numbers[0]) == 2"] * 2,
    }
    (problem,) = _load(tmp_path, {**RECORD, **change})
    assert problem.public.tests == (
        CheckTest("public-0", "numbers = [1]\nassert candidate(numbers[0]) == 2\n"),
    )


def test_the_sanitized_edition(tmp_path: Path) -> None:
    record = {
        "source_file": "x",
        "task_id": 7,
        "prompt": RECORD["text"],
        "code": RECORD["code"],
        "test_imports": ["import json"],
        "test_list": ["assert double(1) == 2", "assert double(json.loads('2')) == 4"],
    }
    path = tmp_path / "sanitized.json"
    path.write_text(json.dumps([record]))
    (problem,) = mbpp.load(path)
    assert problem.private.tests == (
        CheckTest("private-0", "import json\nassert candidate(json.loads('2')) == 4\n"),
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"test_list": ["assert double(Box()) == 2"] * 2}, "Box"),
        ({"test_list": ["assert double(int) == 2"] * 2}, "int"),
        ({"test_list": RECORD["test_list"][:1], "challenge_test_list": []}, "one test only"),
    ],
)
def test_what_cannot_be_judged_is_left_out_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], reason: str
) -> None:
    with caplog.at_level(logging.WARNING):
        problems = _load(tmp_path, RECORD, {**RECORD, "task_id": 8, **change})
    assert [p.id for p in problems] == ["MBPP/7"]
    assert "1 of 2 problems left out: MBPP/8" in caplog.text
    assert reason in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_list": [], "challenge_test_list": []}, "has no tests"),
        ({"test_list": ["assert double(1) =="]}, "is no Python"),
        ({"test_list": [1]}, "list of strings"),
        ({"test_list": ["assert triple(1) == 3"] * 2, "challenge_test_list": []}, "no function"),
        ({"code": "def double(x)"}, "is no Python"),
        ({"task_id": "7"}, "field 'task_id' must be int"),
    ],
)
def test_bad_records(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=rf"mbpp\.jsonl, line 1.*{message}"):
        _load(tmp_path, {**RECORD, **change})


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    only = {**RECORD, "test_list": ["assert double(Box()) == 2"] * 2}
    with pytest.raises(ProblemError, match="no problem that can be used"):
        _load(tmp_path, only)


def test_the_public_file(mbpp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    problems = mbpp.load(mbpp_path)
    assert len(problems) == 471
    assert all(len(p.public.tests) == 1 and len(p.private.tests) >= 2 for p in problems)
    assert all(f"MBPP/{n} (" in caplog.text for n in (533, 601, 927))
