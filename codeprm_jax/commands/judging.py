"""The sandbox as commands use it: its errors become ours, so that they end in a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codeprm_jax.commands.output import progress_bar
from codeprm_jax.files import InputError, RunError
from sandbox_runner.jail import IsolationError
from sandbox_runner.label import LabelError, LabelSummary, label
from sandbox_runner.pool import Pool
from sandbox_runner.store import StoreError


@contextmanager
def open_pool(workers: int | None, allow_weak_isolation: bool) -> Iterator[Pool]:
    """A pool of judges, closed at the end.

    Raises:
      InputError: `workers` is below 1.
      RunError: the machine offers no isolation; says what is missing.
    """
    _check(workers)
    try:
        pool = Pool(workers, allow_weak_isolation=allow_weak_isolation)
    except IsolationError as error:
        raise RunError(str(error)) from error
    with pool:
        yield pool


def label_traces(
    traces: Path, problems: Path, out: Path, workers: int | None, allow_weak_isolation: bool
) -> LabelSummary:
    """`sandbox_runner.label.label`, with the errors of `open_pool`."""
    _check(workers)
    try:
        with progress_bar(0, "trace", "label") as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return label(
                traces,
                problems,
                out,
                workers=workers,
                allow_weak_isolation=allow_weak_isolation,
                progress=progress,
            )
    except (LabelError, StoreError) as error:
        raise InputError(str(error)) from error
    except IsolationError as error:
        raise RunError(str(error)) from error


def _check(workers: int | None) -> None:
    if workers is not None and workers < 1:
        raise InputError(f"--workers must be at least 1, not {workers}")
