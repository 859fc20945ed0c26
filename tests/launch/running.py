"""Processes that a test starts, with their output, and ends by their ids whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COUNTING = [sys.executable, str(ROOT / "tests" / "launch" / "counting.py"), "train"]
LIMIT_S = 60.0


def environment(**more: str) -> dict[str, str]:
    """This one's, without what says where a process stands."""
    own = ("JAX_", "SLURM_", "TPU_", "MEGASCALE_", "JOB_", "XLA_FLAGS", "CODEPRM")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    return kept | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | more


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Process:
    """One program and all that it has written so far."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        with open(log, "wb") as file:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=log.parent,
                start_new_session=True,
            )
        self._log = log
        self.ended_after = float("nan")

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, count: int = 1) -> re.Match[str]:
        """The first place where the output matches, once there are so many."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            found = list(re.finditer(text, self.output))
            if len(found) >= count:
                return found[0]
            assert self.popen.poll() is None, f"ended without {text!r}:\n{self.output}"
            time.sleep(0.05)
        raise AssertionError(f"no {text!r} in {LIMIT_S} s:\n{self.output}")

    def wait(self) -> int:
        """The exit code."""
        began = time.monotonic()
        code = self.popen.wait(LIMIT_S)
        self.ended_after = time.monotonic() - began
        return code


@contextlib.contextmanager
def started(*processes: Process) -> Iterator[tuple[Process, ...]]:
    try:
        yield processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.popen.pid, signal.SIGKILL)
            process.popen.wait()


@contextlib.contextmanager
def counting(
    folder: Path, steps: int, *options: Sequence[str], devices: int = 1
) -> Iterator[tuple[Process, ...]]:
    """`counting.py` in as many processes as there are options, one list for each."""
    address = f"127.0.0.1:{free_port()}"
    common = [str(folder / "run"), str(steps), "--hosts.coordinator", address]
    common += ["--hosts.num-processes", str(len(options))]
    with started(
        *(
            Process(
                [*COUNTING, *common, "--hosts.process-id", str(i), *own],
                folder / f"{i}.log",
                environment(JAX_NUM_CPU_DEVICES=str(devices)),
            )
            for i, own in enumerate(options)
        )
    ) as processes:
        yield processes
