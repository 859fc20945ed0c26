"""One process of a training job: python -m tests.training.process ADDRESS COUNT NUMBER DATA OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import jax

from codeprm_jax.training.loop import train
from tests.training.test_processes import settings


def main(address: str, count: int, number: int, data_dir: Path, out: Path) -> None:
    jax.config.update("jax_num_cpu_devices", 8 // count)  # the tests' own process has eight
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, count, number, initialization_timeout=60)
    summary = train(settings(data_dir, out))
    ended = summary.stopped_by.name if summary.stopped_by else "at its end"
    sys.stdout.write(f"{summary.steps} steps, stopped {ended}\n")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(arguments[0], int(arguments[1]), int(arguments[2]), Path(arguments[3]), Path(arguments[4]))
