"""Answers of model servers on disk, so that a run that is started again asks nothing twice.

A folder of JSON Lines files. Every process appends to a file of its own, and reads at its start
what all have written until then: nothing is locked, so that several processes and network file
systems do no harm, and a kill costs the last line at most.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codeprm_jax.files import InputError, append_jsonl, parse_line

SCHEMA_VERSION = 1  # of the stored answers; part of every key


def cache_key(body: Mapping[str, Any]) -> str:
    """What an answer depends on: all of a request's JSON, and nothing but that.

    The server's address is not in it: jobs land on other hosts and ports, and the same model gives
    the same distribution behind each. So one name of a model must mean one set of weights.
    """
    text = json.dumps([SCHEMA_VERSION, body], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


class AnswerCache:
    """Answers by key. Holds where each lies, not the answers themselves.

    Args:
      folder: created with the first answer.

    Raises:
      InputError: the folder is a file, or a line of a file in it, other than a torn last one, is
        damaged; names the line.
    """

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"the cache {folder} is a file; name a folder")
        self._own = folder / f"answers-{uuid.uuid4().hex}.jsonl"
        self._places: dict[str, tuple[Path, int]] = {}
        for path in sorted(folder.glob("answers-*.jsonl")):
            self._read(path)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer under this key; None if there is none."""
        if (place := self._places.get(key)) is None:
            return None
        path, offset = place
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                line = file.readline()
        except FileNotFoundError:
            raise InputError(f"{path} was removed while it was in use") from None
        return _record(line, f"{path}, at byte {offset}")[1]

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keeps an answer. The first under a key stays."""
        if key in self._places:
            return
        offset = self._own.stat().st_size if self._own.exists() else 0
        append_jsonl(self._own, [{"key": key, "answer": answer}])
        self._places[key] = (self._own, offset)

    def _read(self, path: Path) -> None:
        offset = 0
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # being written right now, or torn by a kill
                key, _ = _record(line, f"{path}, line {number}")
                self._places.setdefault(key, (path, offset))
                offset += len(line)


def _record(line: bytes, where: str) -> tuple[str, dict[str, Any]]:
    try:
        record = parse_line(line.decode("utf-8"), where)
        key, answer = record["key"], record["answer"]
        if not isinstance(key, str) or not isinstance(answer, dict):
            raise TypeError("key is no text, or answer no object")
    except (InputError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(
            f"{where} of the cache is damaged ({error}); "
            "remove the file: what it held is asked again"
        ) from error
    return key, answer
