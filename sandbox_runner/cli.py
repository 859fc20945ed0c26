"""sandbox-runner run | label | doctor. Exit status: 0 done, 1 failed or interrupted, 2 wrong input.

The line that says what was done goes to stdout, all else to stderr; a progress bar is drawn only
where stderr is a terminal.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sandbox_runner import batch, landlock, pool
from sandbox_runner import label as labelling
from sandbox_runner.engine import EngineError, EngineSetupError
from sandbox_runner.engine_ray import BATCH, MAX_BATCH, RayEngine
from sandbox_runner.jail import IsolationError
from sandbox_runner.store import StoreError
from sandbox_runner.types import JobFormatError
from sandbox_runner.worker import packages

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv`, sys.argv's by default; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if getattr(options, "engine", "") == "local" and (options.ray_address or options.batch):
        parser.error("--ray-address and --batch need --engine ray")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except KeyboardInterrupt:
        _say("interrupted; run the same command again to go on")
        return FAILED
    except (labelling.LabelError, JobFormatError, StoreError, EngineSetupError) as error:
        _say(str(error))
        return WRONG_USAGE
    except IsolationError as error:
        _say(str(error))
        return FAILED
    except EngineError as error:
        _say(f"{error}; what was finished is kept, run it again to go on")
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}{error.strerror or error}; what was finished is kept, run it again to go on")
        return FAILED


def _label(options: argparse.Namespace) -> int:
    with _engine(options) as engine, _Bar("traces") as bar:
        summary = labelling.label(
            options.traces,
            options.problems,
            options.out,
            **engine,
            progress=bar.show,
        )
    sys.stdout.write(
        f"{summary.traces} traces labelled in {options.out} ({summary.tier}): "
        f"{summary.programs_run} programs run in this run, {summary.programs_reused} reused, "
        f"{summary.excluded} traces excluded; {_counts(summary.verdicts)}\n"
    )
    return DONE


def _run(options: argparse.Namespace) -> int:
    with _engine(options) as engine, _Bar("jobs") as bar:
        summary = batch.run(
            options.jobs,
            options.out,
            **engine,
            progress=bar.show,
        )
    sys.stdout.write(
        f"{summary.judged} jobs judged into {options.out} ({summary.tier}), {summary.reused} were "
        f"there; {_counts(summary.verdicts)}\n"
    )
    if summary.unjudged:
        _say(f"{summary.unjudged} jobs could not be judged; run the same command again")
        return FAILED
    return DONE


@contextmanager
def _engine(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The arguments of `label` and `run` that say what judges."""
    if options.engine == "local":
        # Opened by them, once the inputs are known to be good.
        yield {
            "workers": options.workers,
            "allow_weak_isolation": options.allow_weak_isolation,
        }
        return
    with RayEngine(
        options.ray_address,
        options.workers,
        options.allow_weak_isolation,
        batch=options.batch or BATCH,
    ) as engine:
        yield {"engine": engine}


def _doctor(options: argparse.Namespace) -> int:
    best: str | None = None
    sys.stdout.write(f"{os.uname().sysname} {os.uname().release} {os.uname().machine}, ")
    sys.stdout.write(f"Python {sys.version.split()[0]}, uid {os.getuid()}\n")
    for tier, meaning in (
        ("T1", "namespaces, read-only root, no capabilities, seccomp, resource limits"),
        ("T2", "Landlock, seccomp, no new processes, resource limits"),
        ("T3", "resource limits only; needs --allow-weak-isolation"),
    ):
        start = time.monotonic()
        try:
            pool.probe(tier)  # type: ignore[arg-type]
        except IsolationError as error:
            sys.stdout.write(f"{tier}: not available. {error}\n")
        else:
            best = best or tier
            took = (time.monotonic() - start) * 1000
            sys.stdout.write(f"{tier}: available ({meaning}); probed in {took:.0f} ms\n")
    version = landlock.version()
    second = f"version {version}, a second wall in T1" if version else "none, T1 goes without"
    sys.stdout.write(f"Landlock: {second}\n")
    numpy = " ".join(packages("numpy")) or "not installed here, programs that import it get RE"
    sys.stdout.write(f"image with numpy: {numpy}\n")
    chosen = best if best != "T3" else "no tier without --allow-weak-isolation"
    workers = len(os.sched_getaffinity(0))
    sys.stdout.write(f"programs will run in {chosen or 'no tier'}, {workers} at once\n")
    return DONE if best in ("T1", "T2") else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sandbox-runner",
        description="Judge untrusted Python programs in a jail.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = _command(commands, "run", "judge jobs.jsonl into reports.jsonl", _run)
    run.add_argument("jobs", help="JSON Lines, one job a line")
    label = _command(commands, "label", "turn rollouts into labels for every step", _label)
    label.add_argument("traces", help="JSON Lines, one trace a line")
    label.add_argument("--problems", required=True, help="problems.jsonl with the tests")
    for command in (run, label):
        command.add_argument("--out", required=True, help="appended to; a restart goes on there")
        command.add_argument(
            "--workers",
            type=_positive,
            help="programs at once, with --engine ray on each node (default: one a core)",
        )
        command.add_argument(
            "--allow-weak-isolation",
            action="store_true",
            help="where full isolation is missing, run under resource limits only "
            "(default: refuse)",
        )
        command.add_argument(
            "--engine",
            choices=("local", "ray"),
            default="local",
            help="this machine, or all nodes of a Ray cluster (default: local)",
        )
        command.add_argument(
            "--ray-address",
            metavar="A",
            help="auto, HOST:PORT or ray://HOST:PORT (default: RAY_ADDRESS, or else a cluster of "
            "its own on this machine)",
        )
        command.add_argument(
            "--batch",
            type=_batch,
            metavar="N",
            help=f"jobs that travel together to a node, 1 to {MAX_BATCH} (default: {BATCH})",
        )
    _command(commands, "doctor", "say which isolation this machine offers, and why", _doctor)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    function: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(command=function)
    return command


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def _batch(text: str) -> int:
    if (number := _positive(text)) > MAX_BATCH:
        raise argparse.ArgumentTypeError(f"{text} is more than {MAX_BATCH}")
    return number


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stderr.write(f"sandbox-runner: {text}\n")


def _counts(verdicts: Counter[str]) -> str:
    return ", ".join(f"{v} {n}" for v, n in sorted(verdicts.items())) or "no tests run"


class _Bar:
    """A progress bar on stderr, redrawn at most ten times a second; nothing where it is no tty."""

    def __init__(self, unit: str, width: int = 30) -> None:
        self.unit, self.width = unit, width
        self.start = time.monotonic()
        self.next, self.drawn = 0.0, False

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.drawn:
            sys.stderr.write("\n")

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not sys.stderr.isatty() or (now < self.next and done < total):
            return
        self.next, self.drawn = now + 0.1, True
        full = self.width * done // max(total, 1)
        rate = done / max(now - self.start, 1e-9)
        bar = "█" * full + " " * (self.width - full)
        sys.stderr.write(f"\r|{bar}| {done}/{total} {self.unit}, {rate:.1f}/s ")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
