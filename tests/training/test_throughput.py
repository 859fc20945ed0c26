from __future__ import annotations

import numpy as np
import pytest

from codeprm_jax.sharding import make_mesh
from codeprm_jax.training.throughput import Throughput
from tests.conftest import TINY


def test_flops_are_of_each_examples_own_length() -> None:
    """Two examples of half the length cost less attention than one."""
    speed = Throughput(TINY, make_mesh())
    figures = speed.step([100, 300], 7)
    flops = 100 * TINY.flops_per_token(100) + 300 * TINY.flops_per_token(300)
    per_device = flops / figures["seconds"] / 8 / 1e12
    assert figures["model_tflops_per_second_per_device"] == pytest.approx(per_device)
    assert figures["tokens"] == 400 and "mfu" not in figures  # a CPU has no stated peak
    assert speed.median_tokens_per_second == figures["tokens_per_second"]


def test_mfu_is_of_the_peak_of_all_devices() -> None:
    class Device:
        device_kind = "NVIDIA H100 80GB HBM3"

    class Mesh:
        size, devices = 4, np.array([Device()])

    speed = Throughput(TINY, Mesh())  # type: ignore[arg-type]
    figures = speed.step([1000], 1)
    flops = 1000 * TINY.flops_per_token(1000) / figures["seconds"]
    assert figures["mfu"] == pytest.approx(flops / (4 * 989e12))
