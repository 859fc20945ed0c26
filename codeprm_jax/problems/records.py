"""Files of problems, read with errors that help.

JSON Lines or one JSON list, plain or gzip, or Parquet. All but a JSON list are read a record at a
time: some of these files are larger than memory.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from codeprm_jax.problems.problem import Problem, ProblemError
from codeprm_jax.problems.selection import ALL, Selection

GZIP_MAGIC = b"\x1f\x8b"
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_PARQUET_ROWS = 16  # at a time: a problem of CodeContests may have megabytes of tests
_Value = TypeVar("_Value")


def read_records(path: Path | str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (where, object) for every object of a .jsonl, .json or .parquet file, or in gzip.

    `where` names the file and the line (of a JSON list the item, of Parquet the row), for messages.
    Blank lines are passed over.

    Raises:
      ProblemError: the file is missing, a folder, unreadable, empty, no gzip although its name
        says so, no UTF-8 text, no Parquet, or holds a line that is no JSON object.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz")
    read = _json_list if name.endswith(".json") else _lines
    found = False
    for where, record in (_parquet_rows if name.endswith(".parquet") else read)(path):
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
    path: Path | str,
    make: Callable[[dict[str, Any], str], Problem | None],
    selection: Selection = ALL,
) -> list[Problem]:
    """`make(record, where)` for every record of a file or a folder of files; a None is left out.

    Of a folder, the files with a name in SUFFIXES are read, in the order of their names; those of
    the selection's split, if it names one. Reading ends at the selection's limit; all else of the
    selection is for `make` to look at.

    Raises:
      ProblemError: as `read_records`; from `make`, with file and line put before it where it does
        not name them; two problems with one id; nothing left.
    """
    files = find_files(path, selection.split)
    return gather((r for file in files for r in read_records(file)), make, path, selection)


def gather(
    records: Iterable[tuple[str, dict[str, Any]]],
    make: Callable[[dict[str, Any], str], Problem | None],
    path: Path | str,
    selection: Selection = ALL,
) -> list[Problem]:
    """`load_each` for records that are at hand; `path` stands in messages."""
    problems: dict[str, Problem] = {}
    for where, record in records:
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
        if len(problems) == selection.limit:
            break
    selection.check_found(list(problems), path)
    if not problems:
        raise ProblemError(f"{path} holds no problem that can be used; see the warnings")
    return list(problems.values())


def find_files(path: Path | str, split: str | None = None) -> list[Path]:
    """The files of problems at a path: itself, or all in a folder, or those of a split.

    A file is of a split if it lies in a folder of that name, or its own name begins with it.

    Raises:
      ProblemError: a split of a single file; a folder without such files.
    """
    path = Path(path)
    if not path.is_dir():
        if split is not None:
            raise ProblemError(f"{path} is one file, so it has no split {split!r}; name a folder")
        return [path]
    files = sorted(f for f in path.rglob("*") if f.name.endswith(SUFFIXES) and f.is_file())
    if split is not None:
        begins = re.compile(rf"{re.escape(split)}(?![A-Za-z0-9])")
        files = [
            f for f in files if begins.match(f.name) or split in f.relative_to(path).parent.parts
        ]
    if not files:
        what = f"no file of the split {split!r}" if split else "no file of problems"
        raise ProblemError(f"{path} is a folder with {what}; names end with {', '.join(SUFFIXES)}")
    return files


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


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The file's content, unpacked. Raises ProblemError if it cannot be had."""
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by who reads it)
        packed = file.peek(2)[:2] == GZIP_MAGIC
    except FileNotFoundError:
        raise ProblemError(f"{path} does not exist; check the path after the colon") from None
    except IsADirectoryError:
        raise ProblemError(f"{path} is a folder; name the file of problems in it") from None
    except OSError as error:
        raise ProblemError(f"{path} cannot be read: {error.strerror or error}") from error
    if packed:
        file.close()
        return gzip.open(path)
    if path.name.endswith(".gz"):
        file.close()
        raise ProblemError(
            f"{path} is named .gz but is no gzip file; rename it to {path.name[:-3]!r} if it is "
            "plain text, or download it again"
        )
    return file


def _text_lines(path: Path) -> Iterator[str]:
    # Lines of bytes end with "\n" alone: JSON strings may hold U+2028 and its like unescaped.
    try:
        with _open(path) as file:
            for line in file:
                yield line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProblemError(f"{path} is not UTF-8 text: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ProblemError(
            f"{path} is a damaged gzip file ({error}); download or copy it again"
        ) from error
    except OSError as error:
        raise ProblemError(f"{path} cannot be read: {error.strerror or error}") from error


def _lines(path: Path, lines: Iterable[str] | None = None) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_text_lines(path) if lines is None else lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            yield where, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ProblemError(
                f"{where}: not valid JSON ({error}); was the file cut off while it was copied? "
                "Download or export it again"
            ) from error


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with _open(path) as file, pyarrow.parquet.ParquetFile(file) as rows:
            for batch in rows.iter_batches(batch_size=_PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (pyarrow.ArrowException, OSError) as error:
        raise ProblemError(
            f"{path} is no Parquet file, or a damaged one ({error}); download it again"
        ) from error


def _json_list(path: Path) -> Iterator[tuple[str, Any]]:
    text = "".join(_text_lines(path))
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # several objects: JSON Lines under another name
            yield from _lines(path, text.split("\n"))
            return
        raise ProblemError(
            f"{path}, line {error.lineno}: not valid JSON ({error}); was the file cut off while "
            "it was copied? Download or export it again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ProblemError(f"{path} is no file of problems: {error}") from error
    if not isinstance(records, list):
        records = [records]
    for number, record in enumerate(records, 1):
        yield f"{path}, item {number}", record
