"""TPUs that are not there: their devices, from the compiler that `libtpu` brings."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import jax
from jax.experimental import topologies

from codeprm_jax import libtpu
from codeprm_jax.accelerators import TPUS, Accelerator
from codeprm_jax.files import InputError

FORMS = (
    "v4:2x2x1, v5p:4x4x4, tpu7x:2x2x1 (chips along three axes) and v5e:4x4, v6e:16x16 (along two)"
)


@dataclass(frozen=True)
class Topology:
    """A slice of TPUs.

    Attributes:
      name: as given, "v5e:4x4".
      accelerator: the chip.
      axes: chips along each axis of the torus.
      devices: as JAX would show them, to build a mesh on and to compile for.
    """

    name: str
    accelerator: Accelerator
    axes: tuple[int, ...]
    devices: tuple[jax.Device, ...]

    @property
    def num_chips(self) -> int:
        """Chips of the slice."""
        return math.prod(self.axes)


def open_topology(name: str) -> Topology:
    """The devices of a slice, such as "v5e:16x16".

    Sets JAX to the CPU for this process: the accelerators named are compiled for, not used.
    Raises InputError for an unknown name, or where libtpu is not installed.
    """
    form = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", name)
    accelerator = TPUS.get(form[1]) if form else None
    if form is None or accelerator is None:
        raise InputError(
            f"no topology {name!r}: known are {', '.join(TPUS)} with their chips along each axis, "
            f"as in {FORMS}"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "the compiler for TPUs (libtpu) is not installed: pip install 'codeprm-jax[plan]'"
        )
    jax.config.update("jax_platforms", "cpu")
    libtpu.answer()
    # As Cloud TPU shows a v4: its two cores as one device.
    options = {"chip_config_name": "megacore"} if accelerator.name == "v4" else {}
    try:
        with quiet_stderr():
            devices = topologies.get_topology_desc(name, "tpu", **options).devices
    except jax.errors.JaxRuntimeError as error:
        said = str(error).splitlines()[0]
        raise InputError(f"no topology {name!r}: {said}. Known are {FORMS}") from error
    axes = tuple(int(size) for size in form[2].split("x"))
    return Topology(name, accelerator, axes, tuple(devices))


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what the compiler writes to stderr by itself; errors are raised, not written."""
    with open(os.devnull, "wb") as dropped:
        real = os.dup(2)
        os.dup2(dropped.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
