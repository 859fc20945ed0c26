"""Append-only JSON Lines that a kill cannot spoil, and results kept by the hash of their job.

A record counts once its line feed is written. Whoever opens a file for appending cuts off a torn
last line first, and holds a lock, so that two runs never write to one file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox_runner.types import Job, Report

JUDGE_VERSION = 2  # raise it when verdicts change, so that no stale result is reused


class StoreError(ValueError):
    """A file that is not what it should be: other content, or in use by another run."""


class AppendFile:
    """A JSON Lines file opened for appending after its valid prefix.

    Attributes:
      end: the length of the valid prefix, in bytes.

    Raises:
      StoreError: another process is appending to it.
      OSError: it cannot be opened, read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 (closed by close)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"{path} is being written by another run; wait for it or choose another file"
                ) from None
            self.end = 0
            for _, _, self.end in read_lines(path):
                pass
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
                if "key" in record:
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
    """

    def __init__(self, path: Path) -> None:
        self._file = AppendFile(path)
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
