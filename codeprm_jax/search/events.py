"""What has happened on a problem, on disk as it happens: nothing that was paid for is paid twice.

A search is a function of its seed and of the answers it gets. Every answer (thoughts, a program,
an opinion, feedback, scores) is appended to the problem's log under a key that is the whole
question. After a kill, the searches of the problem run again from their start; what is in the log
is answered from there, and only what is missing is asked. Searches that ask the same question, as
arms with equal samples do, share the answer; each of their ledgers is charged for it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from codeprm_jax.files import append_jsonl, read_valid_prefix

Json = Any


class EventLog:
    """The log of one problem; for one event loop and one process at a time.

    Args:
      path: JSON Lines, one event a line; read now, appended to later. None keeps it in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        events = [] if path is None else read_valid_prefix(path)
        self._known: dict[str, Json] = {e["key"]: e["answer"] for e in events}
        self._under_way: dict[str, asyncio.Task[Json]] = {}

    async def once(self, kind: str, question: Json, answer: Callable[[], Awaitable[Json]]) -> Json:
        """The logged answer to a question, or what `answer` gives, after it has been logged.

        Args:
          kind: of event: "propose", "execute", "score" and so on.
          question: JSON that decides the answer.
          answer: asked at most once, whoever asks at the same time; gives JSON. Its errors are
            not logged.
        """
        key = digest(kind, question)
        if key in self._known:
            return self._known[key]
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(kind, key, answer))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        # Shielded: who gives up waiting must not take the answer away from others.
        return await asyncio.shield(task)

    def _forget(self, key: str, task: asyncio.Task[Json]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even where nobody waits any more: no traceback for it

    async def _ask(self, kind: str, key: str, answer: Callable[[], Awaitable[Json]]) -> Json:
        found = await answer()
        if self._path is not None:
            append_jsonl(self._path, [{"key": key, "kind": kind, "answer": found}])
        self._known[key] = found
        return found


def digest(kind: str, question: Json) -> str:
    """The key of an event: the same in every process."""
    text = json.dumps([kind, question], sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: object) -> Json:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
