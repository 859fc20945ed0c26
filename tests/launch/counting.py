#!/usr/bin/env python
"""The bare bones of a training run on several processes: a sum over all devices, and checkpoints.

    counting.py train OUT STEPS [--wrong P:N:HOW] [--hosts.… …]

Starts and fails as `codeprm train` does, in a second instead of many. It stops after a step at
which any process was asked to, saves, and goes on from there when started again. Process P goes
wrong after N steps: "input" and "bug" raise, "exit" leaves without a word, "hang" stops to step.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from codeprm_jax.distributed import HostsConfig, Processes, agree, session
from codeprm_jax.files import InputError, RunError


@dataclass(frozen=True)
class Options:
    """The command line."""

    out: tyro.conf.Positional[Path]
    steps: tyro.conf.Positional[int]
    wrong: str = ""
    seed: int = 0
    stopped_exit_code: int = 0
    hosts: HostsConfig = field(default_factory=HostsConfig)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def count(options: Options, processes: Processes) -> int:
    mesh = jax.make_mesh((jax.device_count(),), ("x",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("x"))
    whole = NamedSharding(mesh, PartitionSpec())
    local = jax.local_device_count()
    stop = threading.Event()
    for caught in (signal.SIGTERM, signal.SIGINT):
        signal.signal(caught, lambda *_: stop.set())

    @jax.jit
    def step(total: jax.Array, stops: jax.Array) -> tuple[jax.Array, jax.Array]:
        ones = jax.lax.with_sharding_constraint(jnp.ones(jax.device_count()), split)
        return total + ones.sum().astype(jnp.int32), stops.sum()

    wrong = options.wrong.split(":")
    total = jax.device_put(jnp.int32(0), whole)
    begin, total = restore(options.out, total)
    say(f"pid {os.getpid()}: from step {begin} on {jax.device_count()} devices")
    for number in range(begin + 1, options.steps + 1):
        flags = np.full(local, stop.is_set(), np.int32)
        total, asked_by = step(total, jax.make_array_from_process_local_data(split, flags))
        asked = int(asked_by)
        if number == begin + 1:
            say("stepping")
        if wrong[0] == str(processes.process_id) and number == int(wrong[1]):
            go_wrong(wrong[2])
        if asked or number == options.steps:
            save(options.out, number, total)
            say(f"step {number}: total {int(total)}")
            return options.stopped_exit_code if number < options.steps else 0
        time.sleep(0.02)
    return 0


# Orbax takes a second to import, and most runs fail before they need it.
def restore(out: Path, total: jax.Array) -> tuple[int, jax.Array]:
    if not (out / "checkpoints").is_dir():
        return 0, total
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(out.resolve() / "checkpoints") as manager:
        abstract = {"total": jax.ShapeDtypeStruct((), jnp.int32, sharding=total.sharding)}
        step = manager.latest_step()
        return step, manager.restore(step, args=ocp.args.StandardRestore(abstract))["total"]


def save(out: Path, step: int, total: jax.Array) -> None:
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(out.resolve() / "checkpoints") as manager:
        manager.save(step, args=ocp.args.StandardSave({"total": total}))
        manager.wait_until_finished()


def go_wrong(how: str) -> None:
    if how == "input":
        raise InputError("data/ holds another dataset here")
    if how == "bug":
        raise TypeError("a bug")
    if how == "exit":
        os._exit(9)
    time.sleep(1000)


def main(arguments: list[str]) -> int:
    options = tyro.cli(Options, args=arguments, prog="counting.py")
    with session(options.hosts, "counting.py") as processes:
        agree("settings", {"training": {"seed": options.seed, "steps": 1}})
        return count(options, processes)


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("codeprm_jax").setLevel(logging.INFO)
    try:
        sys.exit(main(sys.argv[2:]))
    except (InputError, RunError) as failure:
        sys.stderr.write(f"counting.py: {failure}\n")
        sys.exit(2 if isinstance(failure, InputError) else 1)
