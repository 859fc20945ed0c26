"""Files of problems: JSON Lines or one JSON list, plain or gzip, read with errors that help."""

from __future__ import annotations

import ast
import gzip
import json
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from codeprm_jax.problems.problem import Problem, ProblemError

GZIP_MAGIC = b"\x1f\x8b"
_Value = TypeVar("_Value")


def read_records(path: Path | str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (where, object) for every object of a .jsonl or .json file, or of one in gzip.

    `where` names the file and the line (for a JSON list: the file and the item), for messages.
    Blank lines are passed over.

    Raises:
      ProblemError: the file is missing, a folder, unreadable, empty, no gzip although its name
        says so, no UTF-8 text, or holds a line that is no JSON object.
    """
    path = Path(path)
    text = _read_text(path)
    names = path.name.removesuffix(".gz")
    found = False
    for where, record in _json_list(path, text) if names.endswith(".json") else _lines(path, text):
        found = True
        if not isinstance(record, dict):
            raise ProblemError(
                f"{where}: a JSON object is needed, not {type(record).__name__}; "
                "a file of problems holds one object a line"
            )
        yield where, record
    if not found:
        raise ProblemError(f"{path} holds no problem; was it cut off while it was copied?")


def field(
    record: Mapping[str, Any], name: str, kind: type[_Value], where: str, source: str
) -> _Value:
    """`record[name]`, checked. Raises ProblemError if it is missing or of another type."""
    if name not in record:
        raise ProblemError(
            f"{where}: field {name!r} is missing (found: {', '.join(sorted(record)) or 'none'}); "
            f"is this a {source} file?"
        )
    value = record[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ProblemError(
            f"{where}: field {name!r} must be {kind.__name__}, not {type(value).__name__}; "
            f"is this a {source} file?"
        )
    return value


def load_each(
    path: Path | str, make: Callable[[dict[str, Any], str], Problem | None]
) -> list[Problem]:
    """`make(record, where)` for every record of a file; a None is left out.

    Raises:
      ProblemError: as `read_records`; from `make`, with file and line put before it where it does
        not name them; two problems with one id; nothing left.
    """
    problems: dict[str, Problem] = {}
    for where, record in read_records(path):
        try:
            problem = make(record, where)
        except ProblemError as error:
            message = str(error)
            if message.startswith(where):
                raise
            raise ProblemError(f"{where}: {message}") from error
        if problem is None:
            continue
        if problem.id in problems:
            raise ProblemError(
                f"{where}: the id {problem.id!r} occurs a second time; ids must be unique, "
                "so remove one of the two lines"
            )
        problems[problem.id] = problem
    if not problems:
        raise ProblemError(f"{path} holds no problem that can be used; see the warnings")
    return list(problems.values())


def parse_source(source: str, what: str) -> ast.Module:
    """The syntax tree of Python that others wrote. Raises ProblemError that begins with `what`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about their escapes and comparisons
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ProblemError(
                f"{what} is no Python ({error}); the file is damaged, download it again"
            ) from error


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ProblemError(f"{path} does not exist; check the path after the colon") from None
    except IsADirectoryError:
        raise ProblemError(f"{path} is a folder; name the file of problems in it") from None
    except OSError as error:
        raise ProblemError(f"{path} cannot be read: {error.strerror or error}") from error
    if content.startswith(GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ProblemError(
                f"{path} is a damaged gzip file ({error}); download or copy it again"
            ) from error
    elif path.name.endswith(".gz"):
        raise ProblemError(
            f"{path} is named .gz but is no gzip file; rename it to {path.name[:-3]!r} if it is "
            "plain text, or download it again"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProblemError(f"{path} is not UTF-8 text: {error}") from error


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): JSON strings may hold U+2028 and its like unescaped.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            yield where, json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ProblemError(
                f"{where}: not valid JSON ({error}); was the file cut off while it was copied? "
                "Download or export it again"
            ) from error


def _json_list(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # several objects: JSON Lines under another name
            yield from _lines(path, text)
            return
        raise ProblemError(
            f"{path}, line {error.lineno}: not valid JSON ({error}); was the file cut off while "
            "it was copied? Download or export it again"
        ) from error
    except RecursionError as error:
        raise ProblemError(
            f"{path}: JSON nested too deeply; this is no file of problems"
        ) from error
    if not isinstance(records, list):
        records = [records]
    for number, record in enumerate(records, 1):
        yield f"{path}, item {number}", record
