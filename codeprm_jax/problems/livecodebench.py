"""LiveCodeBench, code generation: problems of LeetCode, AtCoder and Codeforces by their date.

Where from: the Hub data sets `livecodebench/code_generation_lite` and `code_generation`
(test.jsonl, test2.jsonl, …; a folder of them is read as one). Licence: "cc" on the Hub, which does
not say which one; the texts belong to the contest sites.

Fields: `question_title`, `question_content`, `platform`, `question_id`, `contest_date`,
`starter_code`, `difficulty` (easy, medium, hard), `public_test_cases` (a JSON text of [{"input",
"output", "testtype"}, …]), `private_test_cases` (the same, or base64 of zlib of a pickle of that
text) and `metadata` (a JSON text; `func_name` of a function). The pickle is read by
`pickled_text`, which unpickles nothing, and no more than MAX_UNPACKED_MIB are unpacked.

A test of type "stdin" is for a whole program; one of type "functional" is a call: its input is one
JSON value a line, one an argument, its output a JSON value. LeetCode's starter is a method of the
class `Solution`; here it is a function of that name. Public and private tests are those that the
file calls so; private ones that repeat a public one are dropped. There are no reference solutions.

Left out, with a warning that counts them: problems with both types of tests, without private tests,
with tests that cannot be read or are too long, and with one input and two outputs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from codeprm_jax.problems import contest
from codeprm_jax.problems.contest import Pair, Tally, UnusableError
from codeprm_jax.problems.foreign_code import function_starter
from codeprm_jax.problems.pickled_text import PickledTextError, unpacked_text
from codeprm_jax.problems.problem import Problem
from codeprm_jax.problems.records import field, load_each
from codeprm_jax.problems.selection import ALL, BANDS, Selection

SOURCE = "LiveCodeBench"
CPU_S = 6.0  # a test, as in the authors' judge
MAX_UNPACKED_MIB = 256


def load(path: Path | str, selection: Selection = ALL) -> list[Problem]:
    """The problems of a LiveCodeBench file or folder, in its order; warns about what is left out.

    Raises:
      ProblemError: the path is missing, damaged or of another form, or nothing is left; names the
        file, the line, the field and the remedy.
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
    problem_id = f"LiveCodeBench/{field(record, 'question_id', str, where, SOURCE)}"
    band = contest.optional_text(record, "difficulty", where)
    if band not in BANDS:
        band = "unknown"
    if not selection.wants(problem_id, band):
        return None
    title = contest.optional_text(record, "question_title", where)
    content = field(record, "question_content", str, where, SOURCE)
    starter = contest.optional_text(record, "starter_code", where)
    public_text = field(record, "public_test_cases", str, where, SOURCE)
    private_text = field(record, "private_test_cases", str, where, SOURCE)
    metadata_text = contest.optional_text(record, "metadata", where)
    try:
        public_cases = _cases(public_text, "public_test_cases")
        private_cases = _cases(_unpacked(private_text), "private_test_cases")
        types = {case.get("testtype") for case in (*public_cases, *private_cases)}
        if types not in ({"stdin"}, {"functional"}):
            raise UnusableError("tests that are not all of type stdin or all functional")
        entry_point = _function_name(metadata_text) if types == {"functional"} else None
        remark = partial(tally.remark, problem_id)
        public = contest.distinct(_pairs(public_cases, "public_test_cases", entry_point), remark)
        hidden = _pairs(private_cases, "private_test_cases", entry_point)
        pairs = contest.distinct(public + hidden, remark)
        problem = contest.make_problem(
            problem_id=problem_id,
            source="livecodebench",
            statement=contest.sections([("", title), ("", content)]),
            entry_point=entry_point,
            public=pairs[: len(public)],
            private=pairs[len(public) :],
            starter_code=function_starter(starter, entry_point) if entry_point else "",
            cpu_s=CPU_S,
            difficulty=band,
            licence="CC",
        )
    except UnusableError as reason:
        tally.leave_out(problem_id, reason)
        return None
    if not public:
        tally.remark(problem_id, "no public test")
    return problem


def _unpacked(text: str) -> str:
    if text.lstrip()[:1] in ("[", ""):
        return text
    try:
        return unpacked_text(text, MAX_UNPACKED_MIB * 2**20)
    except PickledTextError as error:
        raise UnusableError(f"private_test_cases that are {error}") from None


def _cases(text: str, what: str) -> list[dict[str, Any]]:
    cases = contest.parsed_json(text, what) if text.strip() else []
    if not isinstance(cases, list) or not all(isinstance(c, dict) for c in cases):
        raise UnusableError(f"{what}: not a list of objects")
    return cases


def _pairs(cases: list[dict[str, Any]], what: str, entry_point: str | None) -> list[Pair]:
    texts = contest.example_pairs(cases, what)
    if entry_point is None:
        return texts
    return [
        (
            [contest.parsed_json(line, what) for line in given.split("\n") if line.strip()],
            contest.parsed_json(output, what),
        )
        for given, output in texts
    ]


def _function_name(text: str) -> str:
    metadata = contest.parsed_json(text, "metadata") if text.strip() else {}
    name = metadata.get("func_name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name.isidentifier():
        raise UnusableError("functional tests, and no func_name in the metadata")
    return name
