"""Runs one command as several processes on this machine, which find each other and end together.

    python launch/local.py -n 2 --devices-per-process 4 -- codeprm train configs/quickstart.py

On a CPU each process has so many devices that are not there, for tests of what runs on many hosts;
on GPUs each has its share of them. Every line of output begins with the process's number. SIGTERM
and Ctrl-C go to all. When one fails the others are given a moment to say what they know of it,
then SIGTERM, then SIGKILL; the exit code is that of the first failure, 128 + n for signal n.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import math
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(
        prog="launch/local.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("-n", "--processes", type=int, required=True, help="how many processes")
    parser.add_argument(
        "--devices-per-process", type=int, help="on a CPU 1; on GPUs an even share, by default"
    )
    parser.add_argument(
        "--patience", type=float, default=10.0, help="seconds from a failure to SIGTERM (10)"
    )
    parser.add_argument(
        "--grace", type=float, default=60.0, help="seconds from SIGTERM to SIGKILL (60)"
    )
    parser.add_argument("command", nargs="+", help="after --, what each process runs")
    options = parser.parse_args()
    if options.processes < 1 or (options.devices_per_process or 1) < 1:
        parser.error("at least one process, with at least one device, is needed")
    command: list[str] = options.command
    if shutil.which(command[0]) is None:
        parser.error(f"{command[0]} is no program here: is its environment active?")
    gpus = [] if os.environ.get("JAX_PLATFORMS") == "cpu" else visible_gpus(os.environ)
    if gpus and (options.devices_per_process or 1) * options.processes > len(gpus):
        parser.error(f"{options.processes} processes cannot share {len(gpus)} GPUs")
    port = _free_port()
    environments = [
        environment_of(i, options.processes, options.devices_per_process, gpus, port)
        for i in range(options.processes)
    ]
    return run(command, environments, options.patience, options.grace)


def environment_of(
    process: int, num_processes: int, devices: int | None, gpus: Sequence[str], port: int
) -> dict[str, str]:
    """What one process needs to know beside the environment of this one."""
    found = {
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": str(num_processes),
        "JAX_PROCESS_ID": str(process),
    }
    if gpus:
        share = devices or len(gpus) // num_processes
        found["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[process * share : (process + 1) * share])
    elif devices is not None:
        found["JAX_NUM_CPU_DEVICES"] = str(devices)
    return found


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Names of the NVIDIA GPUs that a process here sees, as CUDA_VISIBLE_DEVICES has them."""
    if "CUDA_VISIBLE_DEVICES" in environment:
        names = environment["CUDA_VISIBLE_DEVICES"].split(",")
        return [n.strip() for n in names if n.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(
        ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60, check=False
    )
    count = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    return [str(i) for i in range(count)]


def run(
    command: Sequence[str],
    environments: Sequence[Mapping[str, str]],
    patience: float,
    grace: float,
) -> int:
    """Runs the command once with each environment; returns the exit code of the first failure."""
    children: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _: object) -> None:
        _signal(children, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    for environment in environments:
        children.append(
            subprocess.Popen(
                command,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C comes through `forward` only, once
                preexec_fn=_end_with_parent,
            )
        )
    writing = threading.Lock()
    readers = [
        threading.Thread(target=_copy, args=(i, source, target, writing), daemon=True)
        for i, child in enumerate(children)
        for source, target in ((child.stdout, sys.stdout), (child.stderr, sys.stderr))
    ]
    for reader in readers:
        reader.start()
    code = _wait(children, patience, grace)
    for reader in readers:
        reader.join(5.0)
    return code


def _wait(children: Sequence[subprocess.Popen[bytes]], patience: float, grace: float) -> int:
    ended: queue.Queue[int] = queue.Queue()  # exit codes in their order
    for child in children:
        threading.Thread(target=lambda c=child: ended.put(c.wait()), daemon=True).start()
    first = 0
    stages = [(patience, signal.SIGTERM), (grace, signal.SIGKILL)]
    deadline = math.inf
    for _ in children:
        while True:
            try:
                code = ended.get(timeout=min(0.2, max(0.0, deadline - time.monotonic())))
                break
            except queue.Empty:
                if time.monotonic() >= deadline:
                    _signal(children, stages.pop(0)[1])
                    deadline = time.monotonic() + stages[0][0] if stages else math.inf
        if code and not first:
            first = code
            deadline = time.monotonic() + stages[0][0]
    return first if first >= 0 else 128 - first


def _signal(children: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for child in children:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)


def _copy(process: int, source: IO[bytes] | None, target: IO[str], writing: threading.Lock) -> None:
    assert source is not None
    for line in source:
        with writing:
            target.write(f"[{process}] {line.decode(errors='replace').rstrip()}\n")
            target.flush()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
