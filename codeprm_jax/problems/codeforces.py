"""Codeforces problems, in the form of the CodePRM release and in that of `open-r1/codeforces`.

Which form a record has is told by its fields.

* The release of CodePRM (github.com/SIMONLQY/CodePRM, folder dataProcess/codeforces; it names no
  licence): PATH/CONTEST/INDEX.json, each an object with `name`, `description`, `full_description`,
  `train_in_outs` and `test_in_outs` (each {"inputs": […], "outputs": […]}), `code` (a solution) and
  `rating`. The tests of both are one list; its first half, rounded down and 15 at most, is public,
  as in the release. The release judges all problems by comparison, also those where any of several
  answers is right; here they are left out: those whose text says so, and those with one input and
  two outputs.
* `open-r1/codeforces` on the Hub (Parquet, or its rows as JSON Lines; CC-BY-4.0): `id`, `title`,
  `description`, `input_format`, `output_format`, `note`, `examples` and `official_tests` (lists of
  {"input", "output"}), `time_limit` (seconds), `memory_limit` (MB; both also as "2 seconds", "256
  megabytes"), `rating`, `generated_checker`, `input_mode`, `interaction_format`. Examples are
  public, the other official tests private. Left out: problems with a checker, interactive ones,
  those that read a file and those without official tests (many are missing or cut short there).

Records of the first form in one file need an `id`, or `contest_id` and `index`, as they have no
path to take it from. Ids are "Codeforces/1006/B". A warning counts all that is left out. A problem
with one test has it as a private one. Difficulty is that of the rating.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from codeprm_jax.problems import contest
from codeprm_jax.problems.contest import Pair, Tally, UnusableError
from codeprm_jax.problems.foreign_code import as_module
from codeprm_jax.problems.problem import Problem, ProblemError
from codeprm_jax.problems.records import field, find_files, gather, read_records
from codeprm_jax.problems.selection import ALL, Selection, band_of_rating

SOURCE = "Codeforces"
MOST_PUBLIC = 15  # of the release

Remark = Callable[[str], None]

_MANY_ANSWERS = re.compile(
    r"\bany (?:one )?of (?:them|these|those|the (?:answers|solutions|possible))"
    r"|\b(?:print|output|find) any\b(?! (?:extra|additional|other))"
    r"|\b(?:many|multiple|several|more than one) "
    r"(?:possible |correct |valid |optimal |suitable |such )*(?:answers?|solutions?)\b"
    r"|\b(?:print|output)\b[^.]{0,80}\bin any order\b",
    re.IGNORECASE,
)


def load(path: Path | str, selection: Selection = ALL) -> list[Problem]:
    """The problems of a folder or file, in its order; warns about what is left out.

    Raises:
      ProblemError: the path is missing, damaged or of another form, or nothing is left; names the
        file, the line or row, the field and the remedy.
    """
    tally = Tally(path)
    problems = gather(
        _records(Path(path), selection),
        lambda record, where: _problem(record, where, selection, tally),
        path,
        selection,
    )
    tally.warn(len(problems))
    return problems


def accepts_many_answers(statement: str) -> bool:
    """Whether a statement says that more than one answer is right, in the words that are usual."""
    return _MANY_ANSWERS.search(statement) is not None


def _records(path: Path, selection: Selection) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in find_files(path, selection.split):
        from_path = f"{file.parent.name}/{file.stem}"
        for where, record in read_records(file):
            if path.is_dir() and file.suffix == ".json" and "train_in_outs" in record:
                record = {"id": from_path, **record}
            yield where, record


def _problem(
    record: dict[str, Any], where: str, selection: Selection, tally: Tally
) -> Problem | None:
    if "train_in_outs" in record:
        make = _of_release
    elif "official_tests" in record:
        make = _of_open_r1
    else:
        raise ProblemError(
            f"{where}: neither 'train_in_outs' (the form of the CodePRM release) nor "
            f"'official_tests' (open-r1/codeforces) is among the fields: "
            f"{', '.join(sorted(record)) or 'none'}"
        )
    problem_id = f"Codeforces/{_id(record, where)}"
    rating = _rating(record, where)
    if not selection.wants(problem_id, band_of_rating(rating), rating=rating):
        return None
    try:
        problem = make(
            record,
            where,
            problem_id,
            band_of_rating(rating),
            partial(tally.remark, problem_id),
        )
    except UnusableError as reason:
        tally.leave_out(problem_id, reason)
        return None
    if not problem.public.tests:
        tally.remark(problem_id, "no public test")
    return problem


def _of_release(
    record: dict[str, Any], where: str, problem_id: str, difficulty: str, remark: Remark
) -> Problem:
    statement = field(record, "full_description", str, where, SOURCE)
    title = contest.optional_text(record, "name", where)
    code = contest.optional_text(record, "code", where)
    pairs: list[Pair] = []
    for name in ("train_in_outs", "test_in_outs"):
        tests = field(record, name, dict, where, SOURCE)
        pairs += contest.text_pairs(tests.get("inputs"), tests.get("outputs"), name)
    if accepts_many_answers(statement):
        raise UnusableError("a text that accepts more than one answer")
    public, private = contest.halves(contest.distinct(pairs, remark), MOST_PUBLIC)
    reference = as_module(code, None) if code.strip() else None
    return contest.make_problem(
        problem_id=problem_id,
        source="codeforces",
        statement=contest.sections([("", title), ("", statement)]),
        entry_point=None,
        public=public,
        private=private,
        references=() if reference is None else (reference,),
        difficulty=difficulty,
    )


def _of_open_r1(
    record: dict[str, Any], where: str, problem_id: str, difficulty: str, remark: Remark
) -> Problem:
    texts = {
        name: contest.optional_text(record, name, where)
        for name in ("title", "input_format", "output_format", "note")
    }
    description = field(record, "description", object, where, SOURCE)
    if not isinstance(description, str) or not description.strip():
        raise UnusableError("no description")
    if contest.optional_text(record, "generated_checker", where):
        raise UnusableError("a checker of its own")
    if contest.optional_text(record, "interaction_format", where):
        raise UnusableError("interaction")
    if contest.optional_text(record, "input_mode", where) not in ("", "stdio"):
        raise UnusableError("input or output through a file")
    examples = contest.distinct(contest.example_pairs(record.get("examples"), "examples"), remark)
    official = contest.example_pairs(record["official_tests"], "official_tests")
    pairs = contest.distinct(examples + official, remark)
    return contest.make_problem(
        problem_id=problem_id,
        source="codeforces",
        statement=contest.sections(
            [
                ("", texts["title"]),
                ("", description),
                ("Input", texts["input_format"]),
                ("Output", texts["output_format"]),
                ("Examples", contest.shown_examples(examples)),
                ("Note", texts["note"]),
            ]
        ),
        entry_point=None,
        public=pairs[: len(examples)],
        private=pairs[len(examples) :],
        cpu_s=contest.number(record.get("time_limit"), "seconds?|s"),
        memory_mib=contest.number(record.get("memory_limit"), "megabytes?|mebibytes?|MB|MiB"),
        difficulty=difficulty,
        licence="CC-BY-4.0",
    )


def _id(record: dict[str, Any], where: str) -> str:
    parts = ["id"] if "id" in record else ["contest_id", "index"]
    values = [field(record, name, object, where, SOURCE) for name in parts]
    for name, value in zip(parts, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            raise ProblemError(f"{where}: field {name!r} must be a text, not {value!r}")
    return "/".join(map(str, values))


def _rating(record: dict[str, Any], where: str) -> int | None:
    value = record.get("rating")
    if value is None or value == "":
        return None
    number = contest.number(value)
    if number is None:
        if value == 0 and not isinstance(value, bool):
            return None
        raise ProblemError(f"{where}: field 'rating' must be a number, not {value!r}")
    return int(number)
