from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax.problems.loading import load_problems
from codeprm_jax.problems.problem import Problem, ProblemError
from sandbox_runner.pool import Pool
from sandbox_runner.types import StdinTest
from tests.problems.contest_files import (
    SUM,
    assert_references_pass,
    assert_sound,
    verdicts,
    write_lines,
)

RECORD: dict[str, Any] = {
    "name": "9999_A. Sum",
    "description": "Print the sum of two numbers.\n\nInput\n\nTwo numbers.",
    "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
    "private_tests": {"input": ["3 4\n", "1 2\n"], "output": ["7\n", "3\n"]},
    "generated_tests": {"input": ["5 6\n", "3 4\n"], "output": ["11\n", "7\n"]},
    "source": 2,
    "difficulty": 7,
    "solutions": {
        "language": [2, 1, 3, 3],
        "solution": ["int main() {}", "print 3", "print 'also no Python 3'", SUM],
    },
    "incorrect_solutions": {"language": [3], "solution": ["print(3)"]},
    "cf_contest_id": 9999,
    "cf_index": "A",
    "cf_rating": 1500,
    "cf_tags": ["math"],
    "time_limit": {"seconds": 2, "nanos": 500000000},
    "memory_limit_bytes": 536870912,
    "input_file": "",
    "output_file": "",
}
UNRATED = {**RECORD, "name": "p0 AIZU", "cf_rating": 0, "difficulty": 1, "time_limit": None}


def _load(tmp_path: Path, *records: dict[str, Any], options: str = "") -> list[Problem]:
    path = write_lines(tmp_path / "contests.jsonl", *records)
    return load_problems(f"code_contests:{path}{options}")


def test_a_problem_has_all_its_parts(tmp_path: Path, pool: Pool) -> None:
    problems = _load(tmp_path, RECORD, UNRATED)
    problem, unrated = problems
    assert problem.id == "CodeContests/9999_A. Sum"
    assert problem.public.tests == (StdinTest("public-0", "1 2\n", "3\n"),)
    assert [t.input for t in problem.private.tests] == ["3 4\n", "5 6\n"]  # type: ignore[union-attr]
    assert problem.references == (SUM,)
    assert (problem.public.limits.cpu_s, problem.public.limits.memory_mib) == (2.5, 512)
    assert (problem.public.difficulty, unrated.public.difficulty) == ("medium", "easy")
    assert_sound(problems)
    assert_references_pass(problems, pool)
    assert verdicts(problem, "print(3)", pool) == ["AC", "WA", "WA"]


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    records = [{**RECORD, "name": f"{n}"} for n in range(40)]
    lines = _load(tmp_path, *records)
    folder = tmp_path / "data"
    folder.mkdir()
    table = pyarrow.Table.from_pylist(records)
    parquet.write_table(table.slice(0, 30), folder / "train-00000-of-00002.parquet")
    parquet.write_table(table.slice(30), folder / "valid-00000-of-00001.parquet")
    assert load_problems(f"code_contests:{folder}") == lines
    assert load_problems(f"code_contests:{folder}?split=valid") == lines[30:]
    assert load_problems(f"code_contests:{folder}?limit=3") == lines[:3]
    bad = folder / "test.parquet"
    bad.write_bytes(b"PAR1, but no more than that")
    with pytest.raises(ProblemError, match=r"test\.parquet is no Parquet file"):
        load_problems(f"code_contests:{bad}")


def test_lists_of_objects_and_gzip(tmp_path: Path) -> None:
    tests = [{"input": "1 2\n", "output": "3\n"}]
    solutions = [{"language": 3, "solution": SUM}]
    record = {**RECORD, "public_tests": tests, "solutions": solutions}
    path = tmp_path / "contests.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(record).encode()))
    assert load_problems(f"code_contests:{path}") == _load(tmp_path, RECORD)


def test_numbers_with_a_point_may_differ_a_little(tmp_path: Path, pool: Pool) -> None:
    half = {"input": ["1\n", "3\n"], "output": ["0.5\n", "1.5\n"]}
    record = {**RECORD, "private_tests": half, "generated_tests": {"input": [], "output": []}}
    (problem,) = _load(tmp_path, {**record, "public_tests": {"input": [], "output": []}})
    assert problem.public.comparator == "float:1e-06,1e-06"
    assert verdicts(problem, "print(f'{int(input()) / 2 + 1e-8:.9f}')", pool) == ["AC", "AC"]
    assert verdicts(problem, "print(int(input()) / 2 + 1e-3)", pool) == ["WA", "WA"]
    assert _load(tmp_path, RECORD)[0].public.comparator == "tokens"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input_file": "in.txt"}, "through a file"),
        ({"output_file": "out.txt"}, "through a file"),
        (
            {f"{k}_tests": {"input": [], "output": []} for k in ("private", "generated")},
            "no private test",
        ),
        ({"generated_tests": {"input": ["1 2"], "output": ["4"]}}, "two different outputs"),
        ({"generated_tests": {"input": ["1 2"], "output": []}}, "two lists of one length"),
    ],
)
def test_what_cannot_be_judged_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], reason: str
) -> None:
    with caplog.at_level(logging.WARNING):
        problems = _load(tmp_path, UNRATED, {**RECORD, **change})
    assert [p.id for p in problems] == ["CodeContests/p0 AIZU"]
    assert "1 of 2 problems left out" in caplog.text and reason in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "field 'name' must be str"),
        ({"cf_rating": "high"}, "field 'cf_rating' must be int"),
        ({"time_limit": 2}, "field 'time_limit' must be an object"),
        ({"solutions": "int main"}, "field 'solutions' must be an object"),
        ({"solutions": {"language": [3]}}, "field 'solutions' must hold the lists"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=rf"contests\.jsonl, line 1: {message}"):
        _load(tmp_path, {**RECORD, **change})
    missing = {k: v for k, v in RECORD.items() if k != "private_tests"}
    with pytest.raises(ProblemError, match="field 'private_tests' is missing"):
        _load(tmp_path, missing)


def test_ratings_and_classes_choose(tmp_path: Path) -> None:
    records = [RECORD, UNRATED, {**RECORD, "name": "hard", "cf_rating": 2400}]
    for options, names in [
        ("?difficulty=1400-2400", ["9999_A. Sum", "hard"]),
        ("?difficulty=1500", ["9999_A. Sum"]),
        ("?difficulty=easy,hard", ["p0 AIZU", "hard"]),
        ("?ids=hard", ["hard"]),
    ]:
        found = [p.id for p in _load(tmp_path, *records, options=options)]
        assert found == [f"CodeContests/{n}" for n in names]
