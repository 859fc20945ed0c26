"""CodeContests: 13,000 problems of five contest sites, by DeepMind.

Where from: the Hub data set `deepmind/code_contests` (Parquet), or its rows as JSON Lines. Licence:
CC-BY-4.0. A folder of its files is read as one, and `split=valid` takes those of a split.

Fields: `name`, `description`, `public_tests`, `private_tests` and `generated_tests` (each {"input":
[…], "output": […]} or a list of {"input", "output"}), `difficulty` (the class: 1 easy, 2 medium, 3
hard, 4 harder, 5 hardest; all others say nothing), `cf_rating` (0: none), `time_limit` ({"seconds",
"nanos"} or null), `memory_limit_bytes`, `input_file`, `output_file`, and `solutions` ({"language":
[…], "solution": […]}; the language 3 is Python 3).

Public tests are `public_tests`; private ones are `private_tests`, then `generated_tests`, without
those that are public. A problem's difficulty is that of its rating, if it has one, else its class.

Left out, with a warning that counts them: problems that read or write a file, those without private
tests, and those with one input and two outputs. The file does not tell which problems have more
than one right answer; many do, and on those a right program can fail. The reference is the first
Python 3 solution.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from codeprm_jax.problems import contest
from codeprm_jax.problems.contest import Pair, Tally, UnusableError
from codeprm_jax.problems.foreign_code import as_module
from codeprm_jax.problems.problem import Problem, ProblemError
from codeprm_jax.problems.records import field, load_each
from codeprm_jax.problems.selection import ALL, Selection, band_of_rating

SOURCE = "CodeContests"
CLASSES = {1: "easy", 2: "medium", 3: "hard", 4: "hard", 5: "hard"}
PYTHON_3 = 3


def load(path: Path | str, selection: Selection = ALL) -> list[Problem]:
    """The problems of a CodeContests file or folder, in its order; warns about what is left out.

    Raises:
      ProblemError: the path is missing, damaged or of another form, or nothing is left; names the
        file, the line or row, the field and the remedy.
    """
    tally = Tally(path)
    problems = load_each(
        path, lambda record, where: _problem(record, where, selection, tally), selection
    )
    tally.warn(len(problems))
    return problems


def _problem(
    record: dict[str, Any], where: str, selection: Selection, tally: Tally
) -> Problem | None:
    problem_id = f"CodeContests/{field(record, 'name', str, where, SOURCE)}"
    rating = record.get("cf_rating") or None
    if rating is not None and (isinstance(rating, bool) or not isinstance(rating, int)):
        raise ProblemError(f"{where}: field 'cf_rating' must be int, not {rating!r}")
    band = band_of_rating(rating)
    if rating is None:
        band = CLASSES.get(field(record, "difficulty", int, where, SOURCE), "unknown")
    if not selection.wants(problem_id, band, rating=rating):
        return None
    description = field(record, "description", str, where, SOURCE)
    try:
        for name in ("input_file", "output_file"):
            if contest.optional_text(record, name, where):
                raise UnusableError("input or output through a file")
        remark = partial(tally.remark, problem_id)
        public = contest.distinct(_pairs(record, "public_tests", where), remark)
        hidden = _pairs(record, "private_tests", where) + _pairs(record, "generated_tests", where)
        pairs = contest.distinct(public + hidden, remark)
        problem = contest.make_problem(
            problem_id=problem_id,
            source="code_contests",
            statement=description,
            entry_point=None,
            public=pairs[: len(public)],
            private=pairs[len(public) :],
            cpu_s=_seconds(record.get("time_limit"), where),
            memory_mib=_mib(record.get("memory_limit_bytes")),
            references=_references(record, where),
            difficulty=band,
            licence="CC-BY-4.0",
        )
    except UnusableError as reason:
        tally.leave_out(problem_id, reason)
        return None
    if not public:
        tally.remark(problem_id, "no public test")
    return problem


def _pairs(record: dict[str, Any], name: str, where: str) -> list[Pair]:
    tests = field(record, name, object, where, SOURCE)
    if isinstance(tests, dict):
        return contest.text_pairs(tests.get("input"), tests.get("output"), name)
    return contest.example_pairs(tests, name)


def _seconds(limit: object, where: str) -> float | None:
    if limit is None:
        return None
    if not isinstance(limit, dict):
        raise ProblemError(
            f"{where}: field 'time_limit' must be an object with seconds and nanos, not {limit!r}"
        )
    parts = [contest.number(limit.get(name)) or 0.0 for name in ("seconds", "nanos")]
    return contest.number(parts[0] + parts[1] / 1e9)


def _mib(limit: object) -> float | None:
    number = contest.number(limit)
    return None if number is None else number / 2**20


def _references(record: dict[str, Any], where: str) -> tuple[str, ...]:
    solutions = record.get("solutions")
    if solutions is None:
        return ()
    if isinstance(solutions, list) and all(isinstance(s, dict) for s in solutions):
        solutions = {n: [s.get(n) for s in solutions] for n in ("language", "solution")}
    if not isinstance(solutions, dict):
        raise ProblemError(
            f"{where}: field 'solutions' must be an object with language and solution, or null"
        )
    codes, languages = solutions.get("solution"), solutions.get("language")
    if not isinstance(codes, list) or not isinstance(languages, list):
        raise ProblemError(f"{where}: field 'solutions' must hold the lists language and solution")
    for language, code in zip(languages, codes, strict=False):
        if language == PYTHON_3 and isinstance(code, str):
            module = as_module(code, None)
            if module is not None:
                return (module,)
    return ()
