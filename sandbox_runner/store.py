"""Append-only JSON Lines that a kill cannot spoil, and results kept by the hash of their job.

A record counts once its line feed is written. Whoever opens a file for appending holds a lock, so
that two runs never write to one file, and cuts off a torn last line. Nothing is cut before the file
is known to be of the kind that is to be appended to, and none of the inputs: the name that was
given may be that of anything.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox_runner.types import Job, Report

JUDGE_VERSION = 3  # raise it when verdicts change, so that no stale result is reused


class StoreError(ValueError):
    """A file that is not what it should be: other content, or in use by another run."""


class AppendFile:
    """A JSON Lines file opened for appending after its valid prefix; unchanged by that.

    Args:
      is_ours: whether a record is of the kind that this file holds.
      heads: how the line of such a record may begin.
      inputs: files that are read while this one is written.

    Attributes:
      end: the length of the valid prefix, in bytes.
      torn: what follows, a line without its line feed; empty as a rule.

    Raises:
      StoreError: it is one of the inputs, or holds something else; or another process is appending
        to it.
      OSError: it cannot be opened, read or written.
    """

    def __init__(
        self,
        path: Path,
        is_ours: Callable[[dict[str, Any]], bool],
        heads: tuple[bytes, ...] = (b'{"',),
        inputs: Iterable[Path] = (),
    ) -> None:
        self.path = path
        if path.exists():
            if not path.is_file():
                raise StoreError(f"{path} is no file that can be appended to; choose another one")
            for other in inputs:
                if other.exists() and path.samefile(other):
                    raise StoreError(f"{path} is an input of this command; choose another --out")
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 (closed by close)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"{path} is being written by another run; wait for it or choose another file"
                ) from None
            self.end, self.torn = _records(path, is_ours, heads)
        except BaseException:
            self._file.close()
            raise

    def truncate(self, size: int) -> None:
        """Cuts the file to `size` bytes."""
        self._file.truncate(size)
        self.end = size

    def append(self, records: list[dict[str, Any]]) -> int:
        """Writes `records`, a line each, in one call; returns where they begin.

        A failed write leaves the file as it was. Raises OSError, such as for a full disk.
        """
        start = self.end
        lines = (json.dumps(r, ensure_ascii=True, separators=(",", ":")) for r in records)
        data = ("\n".join(lines) + "\n").encode("ascii")
        if os.fstat(self._file.fileno()).st_size != start:
            self._file.truncate(start)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
        except OSError as error:
            self._file.truncate(start)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.end = start + len(data)
        return start

    def read(self, start: int, end: int) -> dict[str, Any]:
        """The record between two offsets."""
        data = bytearray()
        while start + len(data) < end:
            part = os.pread(self._file.fileno(), end - start - len(data), start + len(data))
            if not part:
                raise StoreError(f"{self.path} was shortened by another program; start again")
            data += part
        record: dict[str, Any] = json.loads(data)
        return record

    def close(self) -> None:
        """Writes everything through to the disk and gives the lock back."""
        if not self._file.closed:
            try:
                os.fsync(self._file.fileno())
            finally:
                self._file.close()

    def __enter__(self) -> AppendFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def parse(line: bytes | str) -> Any:
    """The JSON value on a line. Raises ValueError, also where an object has a key twice."""
    return json.loads(line, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"an object has the key {key!r} twice")
            seen.add(key)
    return found


def is_torn(line: bytes, heads: Iterable[bytes]) -> bool:
    """Whether a line without line feed may be the beginning of a record that begins so."""
    return any(line.startswith(head) or head.startswith(line) for head in heads)


def _records(
    path: Path, is_ours: Callable[[dict[str, Any]], bool], heads: tuple[bytes, ...]
) -> tuple[int, bytes]:
    """(where the whole lines of a file end, all records of ours; what follows). Raises StoreError.

    What follows must be the beginning of a record, or one that lacks its line feed only.
    """
    end = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            whole = line.endswith(b"\n")
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                if not whole and is_torn(line, heads):
                    return end, line
                record = None
            if not isinstance(record, dict) or not is_ours(record):
                raise StoreError(
                    f"{path}:{number} is no record of the kind that is written here, so nothing "
                    "was changed; choose another --out, or move the file away"
                )
            if not whole:
                return end, line
            end += len(line)
    return end, b""


def read_lines(path: Path) -> Iterator[tuple[dict[str, Any], int, int]]:
    """(record, start, end) for every record of the valid prefix of a file; offsets in bytes.

    The prefix ends before the first line that has no line feed or is no JSON object.
    """
    with open(path, "rb") as file:
        start = 0
        for line in file:
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                return
            yield record, start, start + len(line)
            start += len(line)


def job_key(job: Job, tier: str) -> str:
    """A hash of all that decides a job's report: not its id, which is only a name."""
    content = job.to_json()
    del content["id"]
    content["judge"] = [JUDGE_VERSION, tier, *sys.version_info[:2]]
    text = json.dumps(content, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def results_path(path: Path) -> Path:
    """Where the reports behind a file of traces or labels stand: beside it."""
    return path.with_name(path.name + ".results")


def _is_result(record: dict[str, Any]) -> bool:
    match record:
        case {"key": str(), "report": {"id": str(), "tier": str(), "tests": list()}}:
            return True
        case {"inputs": dict()} | {"problem": str(), "end": int(), "excluded": int()}:
            return True
    return False


class StoredReports:
    """The reports of a ResultStore's file, to read only: nothing is locked, cut or written.

    A missing file is an empty one.
    """

    def __init__(self, path: Path) -> None:
        self._where: dict[str, tuple[int, int]] = {}
        self._file = None
        if path.is_file():
            self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
            for record, start, end in read_lines(path):
                if isinstance(record.get("key"), str) and _is_result(record):
                    self._where[record["key"]] = start, end

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def get(self, key: str) -> Report:
        """The report kept under `key`. Raises KeyError."""
        start, end = self._where[key]
        assert self._file is not None
        self._file.seek(start)
        return Report.from_json(json.loads(self._file.read(end - start))["report"])

    def __enter__(self) -> StoredReports:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


class ResultStore:
    """Reports by job key, beside records of other kinds that share the file.

    Attributes:
      marks: the records that are no reports, in their order.

    Raises StoreError and OSError as AppendFile does.
    """

    def __init__(self, path: Path, inputs: Iterable[Path] = ()) -> None:
        heads = b'{"key":"', b'{"inputs":{"', b'{"problem":"'
        self._file = AppendFile(path, _is_result, heads, inputs)
        self._file.truncate(self._file.end)
        self._where: dict[str, tuple[int, int]] = {}
        self.marks: list[dict[str, Any]] = []
        for record, start, end in read_lines(path):
            if "key" in record:
                self._where[record["key"]] = start, end
            else:
                self.marks.append(record)

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def __len__(self) -> int:
        return len(self._where)

    def get(self, key: str) -> Report:
        """The report kept under `key`. Raises KeyError."""
        return Report.from_json(self._file.read(*self._where[key])["report"])

    def put(self, key: str, report: Report) -> None:
        """Keeps a report; on return it is in the file. Raises OSError."""
        start = self._file.append([{"key": key, "report": report.to_json()}])
        self._where[key] = start, self._file.end

    def mark(self, record: dict[str, Any]) -> None:
        """Keeps a record of another kind. Raises OSError."""
        self._file.append([record])
        self.marks.append(record)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
