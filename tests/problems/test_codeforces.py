from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax.problems.codeforces import accepts_many_answers
from codeprm_jax.problems.loading import load_problems
from codeprm_jax.problems.problem import Problem, ProblemError
from sandbox_runner.pool import Pool
from tests.problems.contest_files import (
    SUM,
    assert_references_pass,
    assert_sound,
    verdicts,
    write_lines,
)

RELEASE: dict[str, Any] = {
    "name": "Sum",
    "index": "A",
    "description": "Add two numbers.",
    "full_description": "Add two numbers.\nTwo integers.\nTheir sum.",
    "train_in_outs": {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3", "7\n"]},
    "test_in_outs": {
        "inputs": ["1 2", "5 6", "7 8", "-1 1", "9 9"],
        "outputs": ["3", "11", "15", "0", "18"],
    },
    "code": SUM.replace("\n", "\r\n"),
    "rating": "1200",
}
OPEN_R1: dict[str, Any] = {
    "id": "852/A",
    "aliases": None,
    "contest_id": "852",
    "index": "A",
    "time_limit": 1.5,
    "memory_limit": 64.0,
    "title": "Sum",
    "description": "Add two numbers.",
    "input_format": "Two integers.",
    "output_format": "Their sum.",
    "interaction_format": None,
    "note": None,
    "examples": [{"input": "1 2", "output": "3"}],
    "rating": 2100,
    "tags": ["math"],
    "official_tests": [
        {"input": "1 2\n", "output": "3\n"},
        {"input": "5 6\n", "output": "11\n"},
    ],
    "official_tests_complete": True,
    "input_mode": "stdio",
    "generated_checker": None,
    "executable": True,
}


def _release(root: Path, place: str, **changes: Any) -> None:
    path = root / f"{place}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**RELEASE, **changes}, indent=4))


def _load(tmp_path: Path, *records: dict[str, Any], options: str = "") -> list[Problem]:
    path = write_lines(tmp_path / "cf.jsonl", *records)
    return load_problems(f"codeforces:{path}{options}")


def test_the_folder_of_the_release(tmp_path: Path, pool: Pool) -> None:
    _release(tmp_path, "1006/B", name="Other", rating="900")
    _release(tmp_path, "31/A")
    problems = load_problems(f"codeforces:{tmp_path}")
    assert [p.id for p in problems] == ["Codeforces/1006/B", "Codeforces/31/A"]
    problem = problems[1]
    # Seven tests, one of them twice: the first half of six is public.
    assert [t.input for t in problem.public.tests] == ["1 2\n", "3 4\n", "5 6"]  # type: ignore[union-attr]
    assert [t.input for t in problem.private.tests] == ["7 8", "-1 1", "9 9"]  # type: ignore[union-attr]
    assert problem.public.statement.endswith("Sum\n\nAdd two numbers.\nTwo integers.\nTheir sum.\n")
    assert problem.references == (SUM,)
    assert problem.public.difficulty == "easy"
    assert_sound(problems)
    assert_references_pass(problems, pool)
    assert verdicts(problem, "print(0)", pool) == ["WA"] * 4 + ["AC", "WA"]
    assert [p.id for p in load_problems(f"codeforces:{tmp_path}?difficulty=800-1000")] == [
        "Codeforces/1006/B"
    ]
    assert len(load_problems(f"codeforces:{tmp_path}?ids=31/A")) == 1


def test_at_most_fifteen_tests_of_the_release_are_public(tmp_path: Path) -> None:
    many = {"inputs": [f"{n} 1" for n in range(100)], "outputs": [f"{n + 1}" for n in range(100)]}
    _release(tmp_path, "1/A", test_in_outs=many)
    (problem,) = load_problems(f"codeforces:{tmp_path}")
    assert (len(problem.public.tests), len(problem.private.tests)) == (15, 87)


def test_open_r1(tmp_path: Path, pool: Pool) -> None:
    problems = _load(tmp_path, OPEN_R1)
    (problem,) = problems
    assert problem.id == "Codeforces/852/A"
    assert problem.public.statement.endswith(
        "Sum\n\nAdd two numbers.\n\nInput\n\nTwo integers.\n\nOutput\n\nTheir sum.\n\n"
        "Examples\n\nInput:\n1 2\nOutput:\n3\n"
    )
    assert len(problem.public.tests) == len(problem.private.tests) == 1
    limits = problem.public.limits
    # 64 MB are enough for C++, and not for the interpreter's objects.
    assert (limits.cpu_s, limits.wall_s, limits.memory_mib) == (1.5, 4.5, 256)
    assert (problem.public.difficulty, problem.public.licence) == ("hard", "CC-BY-4.0")
    assert_sound(problems)
    assert verdicts(problem, SUM, pool) == ["AC", "AC"]
    texts = {"time_limit": "2 seconds", "memory_limit": "1024 megabytes"}
    limits = _load(tmp_path, {**OPEN_R1, **texts})[0].public.limits
    assert (limits.cpu_s, limits.memory_mib) == (2.0, 1024)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"generated_checker": "print(1)"}, "a checker of its own"),
        ({"interaction_format": "Ask."}, "interaction"),
        ({"input_mode": "file"}, "through a file"),
        ({"official_tests": []}, "no private test"),
        ({"official_tests": None}, "no private test"),
        ({"official_tests": [{"input": "1 2", "output": "4"}]}, "two different outputs"),
        ({"official_tests": [{"input": "1 2"}]}, "a test is no text"),
        ({"description": ""}, "no description"),
    ],
)
def test_what_cannot_be_judged_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], reason: str
) -> None:
    with caplog.at_level(logging.WARNING):
        problems = _load(tmp_path, OPEN_R1, {**OPEN_R1, "id": "1/B", **change})
    assert [p.id for p in problems] == ["Codeforces/852/A"]
    assert "1 of 2 problems left out" in caplog.text
    assert reason in caplog.text and "Codeforces/1/B" in caplog.text


def test_several_right_answers_of_the_release_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _release(tmp_path, "1/A")
    _release(tmp_path, "1/B", full_description="If there are several answers, print any of them.")
    _release(tmp_path, "1/C", test_in_outs={"inputs": ["1 2"], "outputs": ["2 1"]})
    assert [p.id for p in load_problems(f"codeforces:{tmp_path}")] == ["Codeforces/1/A"]
    assert "accepts more than one answer (Codeforces/1/B)" in caplog.text
    assert "two different outputs (Codeforces/1/C)" in caplog.text


@pytest.mark.parametrize(
    ("text", "many"),
    [
        ("If there are many possible answers, you may print any of them.", True),
        ("If there are multiple solutions, output any.", True),
        ("You may print the numbers in any order.", True),
        ("It is allowed to print any one of the answers.", True),
        ("Print one integer. The edges are given in any order.", False),
        ("Do not print any extra spaces.", False),
        ("In any case, print the number of solutions.", False),
        ("Several test cases follow. Is there any of the letters?", False),
    ],
)
def test_texts_that_accept_many_answers(text: str, many: bool) -> None:
    assert accepts_many_answers(text) is many


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "1/A", "title": "x"}, "neither 'train_in_outs' .* nor 'official_tests'"),
        ({**RELEASE}, "field 'contest_id' is missing"),
        ({**RELEASE, "id": "1/A", "rating": "high"}, "field 'rating' must be a number"),
        ({**RELEASE, "id": "1/A", "train_in_outs": []}, "field 'train_in_outs' must be dict"),
        ({**OPEN_R1, "title": 3}, "field 'title' must be a text or null"),
        ({**OPEN_R1, "id": ""}, "field 'id' must be a text"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=rf"cf\.jsonl, line 1: {message}"):
        _load(tmp_path, record)


def test_records_of_the_release_in_one_file(tmp_path: Path) -> None:
    (problem,) = _load(tmp_path, {**RELEASE, "contest_id": 31})
    assert problem.id == "Codeforces/31/A"
