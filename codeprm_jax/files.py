"""Files that are whole or not there at all, and JSON Lines that survive a kill.

A file is written under a temporary name and renamed when complete. A JSON Lines file is appended
to in whole lines; a reader takes the valid prefix, so that a torn last line costs one record. What
may be another's file is never cut, and an output is never one of the inputs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from sandbox_runner.store import is_torn, parse


class InputError(ValueError):
    """Input that the user must change: reported without a traceback, with exit code 2."""


class RunError(RuntimeError):
    """Work that cannot go on through no fault of the input: a message, and exit code 1."""


def check_output(out: Path, *inputs: Path | None) -> None:
    """Raises InputError where `out` is no file to write: a folder, a device, or one of `inputs`."""
    if out.is_dir():
        raise InputError(f"{out} is a folder; name a file")
    if out.exists():
        if not out.is_file():
            raise InputError(f"{out} is no regular file; name another one")
        for path in inputs:
            if path is not None and path.exists() and out.samefile(path):
                raise InputError(f"{out} is an input of this command; name another --out")


@contextlib.contextmanager
def write_whole(path: Path | str) -> Iterator[IO[str]]:
    """Opens `path` for text that appears there only if the block ends without an error."""
    with _replacing(path, "w") as file:
        yield file


def write_bytes(path: Path | str, content: bytes) -> None:
    """Writes a binary file, whole or not at all."""
    with _replacing(path, "wb") as file:
        file.write(content)


@contextlib.contextmanager
def _replacing(path: Path | str, mode: str) -> Iterator[IO[Any]]:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, data: Any) -> None:
    """Writes `data` as indented JSON, whole or not at all."""
    with write_whole(path) as file:
        json.dump(data, file, indent=2)
        file.write("\n")


def read_json(path: Path | str) -> Any:
    """Reads a JSON file. Raises InputError if it is missing or malformed."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def read_jsonl(path: Path | str) -> Iterator[dict[str, Any]]:
    """Yields the objects of a complete JSON Lines file.

    Raises:
      InputError: the file is missing, or a line is no JSON object; names the line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield parse_line(line, f"{path}, line {number}")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; a JSON Lines file is needed") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from error


def parse_line(line: str, where: str) -> dict[str, Any]:
    """The object on one line. Raises InputError that begins with `where`."""
    try:
        data = parse(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}: not valid JSON ({error}); was the file cut off while it was copied?"
        ) from error
    if not isinstance(data, dict):
        raise InputError(f"{where}: a JSON object is needed, not {type(data).__name__}")
    return data


def count_lines(path: Path | str) -> int | None:
    """Lines of a text file, without parsing them; None of a pipe, which could be read only once.

    Raises InputError if it is missing or a folder.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_dir():
        raise InputError(f"{path} is a folder; a JSON Lines file is needed")
    if not path.is_file():
        return None
    count, last = 0, b"\n"
    with open(path, "rb") as file:
        while block := file.read(2**20):
            count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")


def read_valid_prefix(path: Path | str, cut: bool = True) -> list[dict[str, Any]]:
    """`iterate_valid_prefix` as a list."""
    return list(iterate_valid_prefix(path, cut))


def iterate_valid_prefix(path: Path | str, cut: bool = True) -> Iterator[dict[str, Any]]:
    """The complete lines of a file that is being appended to; at the end it cuts a torn last line.

    With `cut` False the file stays as it is, for who reads what another process writes. A missing
    file is an empty one. Raises InputError if a line other than the last is damaged.
    """
    path = Path(path)
    if not path.exists():
        return
    end = 0
    with open(path, "rb") as file:
        # Lines of bytes: in a text, a string may hold U+2028 and its like unescaped.
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                if number == 1 and not _is_torn(line):
                    raise InputError(
                        f"{path} is no JSON Lines file of ours: its only line has no line feed; "
                        "name another one"
                    )
                break
            try:
                yield parse_line(line.decode("utf-8"), f"{path}, line {number}")
            except UnicodeDecodeError as error:
                raise InputError(f"{path} is not UTF-8 text: {error}") from error
            end += len(line)
        else:
            return
    if cut:  # only now: a file that is not ours stays as it is
        with open(path, "r+b") as torn:
            torn.truncate(end)


def _is_torn(line: bytes) -> bool:
    """Whether the only line of a file may be the beginning of a record, and is no whole one."""
    try:
        json.loads(line)
    except ValueError:
        return is_torn(line, (b'{"',))
    return False


def append_jsonl(path: Path | str, records: Iterable[Mapping[str, Any]]) -> None:
    """Appends records in one write, so that a kill tears one line at most; creates the file."""
    content = _lines(records)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Unbuffered: a buffer would be written again, after the truncation, when the file is closed.
    with open(path, "ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            while content:
                content = content[file.write(content) :]
        except OSError:  # a full disk: leave what was there, not half a record
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), before)
            raise


def write_jsonl(path: Path | str, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes a JSON Lines file, whole or not at all."""
    with write_whole(path) as file:
        file.write(_lines(records).decode("utf-8"))


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode("utf-8")


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for a message: the first few, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def stable_seed(*parts: object) -> int:
    """A 63-bit seed from values with a stable `str`: the same in every process and Python."""
    digest = hashlib.blake2b("\x1f".join(str(p) for p in parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
