"""APPS: 10,000 problems from open contest sites, in three bands of difficulty.

Where from: the archive of the authors (github.com/hendrycks/apps), or the Hub data set
`codeparrot/apps` (train.jsonl, test.jsonl; its copies in Parquet too). Licence: MIT.

Two forms are read:

* a folder: PATH/0000/{question.txt, input_output.json, solutions.json, starter_code.py,
  metadata.json}, or PATH/train/0000/… and PATH/test/0000/…; only question.txt must be there;
* records with `problem_id` (or `id`), `question`, `solutions`, `input_output`, `difficulty` and
  `starter_code`, where `solutions` and `input_output` are JSON in a text, empty where there are
  none.

Ids are "APPS/train/0000", or "APPS/0000" where the split is not known: it is a folder's name, or
the name of the file (train.jsonl).

Tests are the pairs of `input_output`. The first half of them, rounded down, is public. A problem
with one test is kept: the test is private, and a warning counts such problems.

Problems with `fn_name` are calls of a function; their inputs are lists of arguments. The authors'
judge takes an output for right if it equals the expected value or, where that is a list, its first
element: many of these problems hold each expected value in a list of its own. Here one rule holds
for a whole problem: if every output is a list of exactly one element, that element is the expected
value, otherwise the outputs are as they stand. A dict whose keys all read as integers gets integer
keys, as JSON has none, where it is an argument or the result.

Left out, with a warning that counts them: problems without tests, with tests that cannot be read or
that are longer than the limits of `contest`, and those with one input and two outputs. The
reference is the first solution that is Python 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from codeprm_jax.problems import contest
from codeprm_jax.problems.contest import Pair, Tally, UnusableError
from codeprm_jax.problems.foreign_code import as_module, function_starter
from codeprm_jax.problems.problem import Problem, ProblemError
from codeprm_jax.problems.records import field, find_files, gather, read_records
from codeprm_jax.problems.selection import ALL, Selection

SOURCE = "APPS"
SPLITS = ("train", "test")
BANDS = {"introductory": "easy", "interview": "medium", "competition": "hard"}

CPU_S = 4.0  # a test, as in the authors' judge
MAX_INPUT_OUTPUT_MIB = 64

_FILES = {"question": "question.txt", "input_output": "input_output.json"}
_FILES |= {"solutions": "solutions.json", "starter_code": "starter_code.py"}


def load(path: Path | str, selection: Selection = ALL) -> list[Problem]:
    """The problems of an APPS folder or file, in its order; warns about what is left out.

    Raises:
      ProblemError: the path is missing, damaged or of another form, or nothing is left; names the
        file, the line or folder, the field and the remedy.
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


def _records(path: Path, selection: Selection) -> Iterator[tuple[str, dict[str, Any]]]:
    roots = [path / s for s in SPLITS if (path / s).is_dir()] or [path]
    if folders := [f for root in roots for f in _problem_folders(root)]:
        if selection.split is not None:
            folders = [f for f in folders if _split_of(f) == selection.split]
            if not folders:
                raise ProblemError(f"{path} has no split {selection.split!r} with problems in it")
        for folder in folders:
            yield str(folder), _folder_record(folder)
        return
    for file in find_files(path, selection.split):
        split = file.name.partition(".")[0].partition("-")[0]
        for where, record in read_records(file):
            yield where, {**record, "split": split if split in SPLITS else ""}


def _problem_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(f for f in root.iterdir() if (f / _FILES["question"]).is_file())


def _split_of(folder: Path) -> str:
    return folder.parent.name if folder.parent.name in SPLITS else ""


def _folder_record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = {n: _read(folder / f) for n, f in _FILES.items()}
    record |= {"problem_id": folder.name, "split": _split_of(folder)}
    if text := _read(folder / "metadata.json"):
        try:
            metadata = contest.parsed_json(text, "metadata.json")
        except UnusableError as error:
            raise ProblemError(f"{folder}: {error}; unpack the archive again") from None
        if not isinstance(metadata, dict):
            raise ProblemError(f"{folder}: metadata.json must hold an object")
        record["difficulty"] = metadata.get("difficulty")
    return record


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(f"{path} cannot be read: {error}; unpack the archive again") from error


def _problem(
    record: dict[str, Any], where: str, selection: Selection, tally: Tally
) -> Problem | None:
    problem_id = _id(record, where)
    band = contest.optional_text(record, "difficulty", where)
    difficulty = BANDS.get(band, "unknown")
    if not selection.wants(problem_id, band, difficulty):
        return None
    question = field(record, "question", str, where, SOURCE)
    starter = contest.optional_text(record, "starter_code", where)
    tests = contest.optional_text(record, "input_output", where)
    solutions = contest.optional_text(record, "solutions", where)
    try:
        entry_point, pairs = _tests(tests)
        pairs = contest.distinct(pairs, partial(tally.remark, problem_id))
        public, private = contest.halves(pairs)
        problem = contest.make_problem(
            problem_id=problem_id,
            source="apps",
            statement=question,
            entry_point=entry_point,
            public=public,
            private=private,
            starter_code=function_starter(starter, entry_point) if entry_point else "",
            cpu_s=CPU_S,
            references=_references(solutions, entry_point),
            difficulty=difficulty,
            licence="MIT",
        )
    except UnusableError as reason:
        tally.leave_out(problem_id, reason)
        return None
    if not public:
        tally.remark(problem_id, contest.ONE_TEST)
    return problem


def _id(record: dict[str, Any], where: str) -> str:
    name = "problem_id" if "problem_id" in record else "id"
    number = field(record, name, object, where, SOURCE)
    if isinstance(number, bool) or not isinstance(number, (int, str)) or number == "":
        raise ProblemError(f"{where}: field {name!r} must be a number or a text, not {number!r}")
    text = f"{number:04d}" if isinstance(number, int) else number
    return "/".join(part for part in ("APPS", record.get("split"), text) if part)


def _tests(text: str) -> tuple[str | None, list[Pair]]:
    """(entry point, tests); the entry point is None for whole programs."""
    if not text.strip():
        raise UnusableError("no tests")
    if len(text) > MAX_INPUT_OUTPUT_MIB * 2**20:
        raise UnusableError(f"more than {MAX_INPUT_OUTPUT_MIB} MiB of tests")
    data = contest.parsed_json(text, "input_output")
    if not isinstance(data, dict):
        raise UnusableError("input_output is no object")
    if not data.get("inputs") and not data.get("outputs"):
        raise UnusableError("no tests")
    name = data.get("fn_name")
    if name is None:
        return None, contest.text_pairs(data.get("inputs"), data.get("outputs"), "input_output")
    if not isinstance(name, str) or not name.isidentifier():
        raise UnusableError("fn_name is no Python name")
    inputs, outputs = data.get("inputs"), data.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise UnusableError("input_output: inputs and outputs are not two lists of one length")
    if not all(isinstance(arguments, list) for arguments in inputs):
        raise UnusableError("input_output: an input is no list of arguments")
    if all(isinstance(o, list) and len(o) == 1 for o in outputs):
        outputs = [o[0] for o in outputs]
    return name, [
        ([_integer_keys(a) for a in arguments], _integer_keys(output))
        for arguments, output in zip(inputs, outputs, strict=True)
    ]


def _integer_keys(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    try:
        keys = [int(key) for key in value]
    except ValueError:
        return value
    return dict(zip(keys, value.values(), strict=True)) if len({*keys}) == len(keys) else value


def _references(text: str, entry_point: str | None) -> tuple[str, ...]:
    if not text.strip():
        return ()
    solutions = contest.parsed_json(text, "solutions")
    if not isinstance(solutions, list) or not all(isinstance(s, str) for s in solutions):
        raise UnusableError("solutions is no list of texts")
    modules = (as_module(solution, entry_point) for solution in solutions)
    found = next((module for module in modules if module is not None), None)
    return () if found is None else (found,)
