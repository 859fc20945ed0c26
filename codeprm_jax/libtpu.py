"""libtpu where there is no TPU: installed for its compiler (`codeprm plan`), and kept quiet."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from pathlib import Path

# What it would ask the cloud's metadata server, and how much it says.
_ANSWERS = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # its lock keeps processes off each other's TPU
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
}


def quiet() -> None:
    """Keeps libtpu from looking for a TPU where no device node of one exists.

    JAX loads it in every process if it is installed; it then asks which machine this is, complains
    when none answers, and leaves a profiler behind that crashes when it is started. So where JAX
    has no other plugin it is told to use the CPU, and where it has one, for GPUs, libtpu's
    questions are answered and JAX chooses as it does without it. Nothing that the environment says
    is overwritten.
    """
    if [*Path("/dev").glob("accel*"), *Path("/dev/vfio").glob("[0-9]*")]:
        return
    answer()
    installed = importlib.util.find_spec("libtpu") is not None
    if installed and not importlib.metadata.entry_points(group="jax_plugins"):
        os.environ.setdefault("JAX_PLATFORMS", "cpu")


def answer() -> None:
    """Answers libtpu's questions for this process, whatever devices there are."""
    for variable, value in _ANSWERS.items():
        os.environ.setdefault(variable, value)
