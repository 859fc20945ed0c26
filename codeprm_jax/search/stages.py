"""How busy the three stages of a search are: the policy, the sandbox and the scorer."""

from __future__ import annotations

import threading
import time
from typing import Any, Self


class Stage:
    """Counts what a stage does: `with stage:` around each piece of work, from any thread.

    Attributes:
      name: of the stage.
      capacity: pieces that it can do at once.
    """

    def __init__(self, name: str, capacity: int) -> None:
        self.name, self.capacity = name, capacity
        self._lock = threading.Lock()
        self._running = self._done = 0
        self._changed = time.perf_counter()
        self._worked = self._busy = 0.0

    def __enter__(self) -> Self:
        self._change(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._change(-1)

    def add(self, seconds: float) -> None:
        """Counts a piece of work that was done alone and took this long."""
        with self._lock:
            self._worked += seconds
            self._busy += seconds
            self._done += 1

    def _change(self, by: int) -> None:
        with self._lock:
            now = time.perf_counter()
            elapsed, self._changed = now - self._changed, now
            self._worked += elapsed * self._running
            self._busy += elapsed * (self._running > 0)
            self._running += by
            self._done += by < 0

    def to_json(self) -> dict[str, Any]:
        """Pieces done; seconds of work, added up; seconds in which anything was done."""
        return {
            "capacity": self.capacity,
            "done": self._done,
            "worked_seconds": round(self._worked, 3),
            "busy_seconds": round(self._busy, 3),
        }
