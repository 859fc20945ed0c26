"""What judges jobs: a `Pool` on this machine, or a `RayEngine` over many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from sandbox_runner.pool import Pool
from sandbox_runner.types import Job, Report


class EngineError(RuntimeError):
    """An engine that cannot go on; what was judged until then is kept."""


class EngineSetupError(EngineError):
    """An engine that was asked for in a way that cannot work: a package or a cluster is missing."""


class Engine(Protocol):
    """Judges jobs; `sandbox_runner.pool.Pool` says what each method promises."""

    @property
    def tier(self) -> str:
        """The isolation that all programs run under, such as "T1"."""

    @property
    def workers(self) -> int:
        """How many jobs run at once."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Report]:
        """One Report for each job, in completion order; `jobs` may be endless."""

    def close(self) -> None:
        """Ends all that is running; `run` must not be called again."""


def given_or_pool(
    engine: Engine | None, workers: int | None, allow_weak_isolation: bool
) -> AbstractContextManager[Engine]:
    """`engine`, which stays its owner's to close, or a new Pool, closed at the end.

    Raises:
      ValueError: `workers` or `allow_weak_isolation` beside an engine, which has its own.
      jail.IsolationError: see `Pool`.
    """
    if engine is None:
        return Pool(workers, allow_weak_isolation)
    if workers is not None or allow_weak_isolation:
        raise ValueError("workers and allow_weak_isolation are set where the engine is opened")
    return nullcontext(engine)
