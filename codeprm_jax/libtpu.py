"""libtpu where there is no TPU: installed for its compiler (`codeprm plan`), and kept quiet."""

from __future__ import annotations

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

    JAX loads it in every process if it is installed; it then asks which machine this is and
    complains when none answers. Only that is silenced, and nothing that the environment says is
    overwritten: JAX chooses among what there is, CPU or GPU, as it does without libtpu.
    """
    if not [*Path("/dev").glob("accel*"), *Path("/dev/vfio").glob("[0-9]*")]:
        answer()


def answer() -> None:
    """Answers libtpu's questions for this process, whatever devices there are."""
    for variable, value in _ANSWERS.items():
        os.environ.setdefault(variable, value)
