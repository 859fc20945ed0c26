"""`codeprm plan` with the compiler for TPUs: what fits, what does not, what cannot be asked."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pytest

from codeprm_jax import cli
from codeprm_jax.accelerators import ACCELERATORS, TPUS, accelerator_of
from codeprm_jax.commands.train import load_preset
from codeprm_jax.model.attention_splash import kernel_flops
from codeprm_jax.plan.advice import about_the_mesh, to_make_it_fit
from codeprm_jax.plan.compilation import Memory, out_of_memory
from codeprm_jax.plan.estimate import collective_seconds, roofline
from codeprm_jax.plan.topology import open_topology
from codeprm_jax.plan.work import Collective, Work
from codeprm_jax.sharding import MeshConfig, make_mesh

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SMALL = str(CONFIGS / "qwen25_coder_0_5b.py")


def plan(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["plan", *arguments])
    out, err = capfd.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def fitting(pytestconfig: pytest.Config) -> dict[str, Any]:
    """The plan of the 0.5B preset on four v5e chips; one JSON object is all that is on stdout."""
    assert importlib.util.find_spec("libtpu"), "libtpu is missing: pip install -e '.[dev]'"
    import contextlib
    import io

    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        assert cli.run(["plan", SMALL, "--topology", "v5e:2x2", "--json"]) == 0
    return json.loads(written.getvalue())


@pytest.mark.slow
def test_a_preset_that_fits(fitting: dict[str, Any]) -> None:
    assert fitting["fits"] and fitting["verdict"].startswith("fits")
    assert fitting["mesh"] == {"data": 1, "fsdp": 4, "tensor": 1} and fitting["chips"] == 4
    memory = fitting["memory_bytes"]
    parts = ("arguments", "outputs", "temporaries", "code")
    assert memory["peak"] == sum(memory[p] for p in parts) <= memory["limit"] == 16 * 2**30
    model = load_preset(Path(SMALL)).model
    # Parameters and two moments in float32, a quarter on each chip; biases and norms are whole.
    assert memory["arguments"] == pytest.approx(12 * model.num_params() / 4, rel=0.02)
    assert memory["outputs"] < 2**20  # the state is given back in its place


@pytest.mark.slow
def test_flops_are_the_formula(fitting: dict[str, Any]) -> None:
    """Forward, backward twice that, and the forward again but for each layer's last product."""
    preset = load_preset(Path(SMALL))
    model, length = preset.model, preset.data.row_tokens
    tokens = preset.training.batch_rows * length
    last = model.num_layers * model.hidden_size * model.intermediate_size
    multiplied = model.num_params() - model.vocab_size * model.hidden_size
    query = (preset.training.batch_rows, model.num_heads, length, model.head_dim)
    kernels = sum(kernel_flops(f"splash_mha_{k}", query) for k in ("fwd", "fwd", "dq", "dkv"))
    expected = tokens * (8 * multiplied - 2 * last) + model.num_layers * kernels
    assert fitting["flops"] * 4 == pytest.approx(expected, rel=0.005)
    # What recomputation adds, and the halves of blocks on the diagonal, are no model FLOPs.
    assert fitting["model_flops"] == pytest.approx(tokens * model.flops_per_token(length))
    assert 0.65 < fitting["model_flops"] / (fitting["flops"] * 4) < 0.75


@pytest.mark.slow
def test_the_step_time_is_the_longest_of_three(fitting: dict[str, Any]) -> None:
    times = fitting["seconds"]
    three = {"compute": "compute", "HBM bandwidth": "hbm", "interconnect": "interconnect"}
    assert times["step"] == max(times[name] for name in three.values())
    assert times["step"] == times[three[fitting["limited_by"]]]
    assert times["step"] < times["step_unoverlapped"] < 2 * times["step"]
    assert fitting["mfu"] == pytest.approx(
        fitting["model_flops"] / (times["step"] * 4 * TPUS["v5e"].peak_flops)
    )
    assert times["compute"] == pytest.approx(fitting["flops"] / 197e12)
    assert fitting["collectives"]["all-to-all"]["count"] == 2  # embeddings, there and back


@pytest.mark.slow
def test_matrices_are_moved_in_bfloat16(fitting: dict[str, Any]) -> None:
    """Gathered twice and their gradients scattered once, 2 bytes each; the table is not moved."""
    model = load_preset(Path(SMALL)).model
    multiplied = model.num_params() - model.vocab_size * model.hidden_size
    moved = sum(
        fitting["collectives"].get(kind, {"bytes": 0})["bytes"]
        for kind in ("all-gather", "reduce-scatter", "collective-permute")
    )
    assert 3 * 2 * multiplied * 0.7 < moved < 3 * 2 * multiplied * 1.2


@pytest.mark.slow
def test_a_preset_that_does_not_fit(capfd: pytest.CaptureFixture[str]) -> None:
    """One chip, nothing recomputed: the compiler's refusal becomes a verdict with its number."""
    code, out, err = plan(capfd, SMALL, "--topology", "v5e:1x1", "--model.remat", "none")
    assert code == 1 and "Traceback" not in err
    verdict = out.strip().splitlines()[-1]
    assert verdict.startswith("does not fit: ") and "GiB over; try --model.remat full" in verdict
    assert "--training.batch-rows" in verdict


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((SMALL, "--topology", "v9:2x2"), "known are v4, v5e, v5p, v6e, tpu7x"),
        ((SMALL, "--topology", "v5e"), "v5p:4x4x4"),
        ((SMALL, "--topology", "v5e:3x5"), "not divisible"),
        ((SMALL, "--topology", "v5e:4x4", "--mesh.fsdp", "3"), "needs 3 devices"),
        ((SMALL, "--topology", "v5e:8x8", "--training.batch-rows", "32"), "batch-rows 64"),
        (("configs/none.py", "--topology", "v5e:2x2"), "does not exist"),
        (("--topology", "v5e:2x2"), "the preset comes first"),
    ],
)
def test_wrong_usage_is_said(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = plan(capfd, *arguments)
    assert code == 2 and message in err and not out


def test_without_libtpu_it_says_how_to_install_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "libtpu" else real(name)
    )
    code, _, err = plan(capfd, SMALL, "--topology", "v5e:2x2")
    assert code == 2 and "pip install 'codeprm-jax[plan]'" in err


@pytest.mark.parametrize(
    "name, devices",
    [("v4:2x2x1", 4), ("v5e:2x2", 4), ("v5p:2x2x1", 4), ("v6e:2x2", 4), ("tpu7x:2x2x1", 8)],
)
def test_topologies_have_the_devices_of_the_table(name: str, devices: int) -> None:
    topology = open_topology(name)
    assert len(topology.devices) == devices
    assert topology.num_chips * topology.accelerator.devices_per_chip == devices
    assert accelerator_of(topology.devices[0]) is topology.accelerator
    coordinates = [d.coords for d in topology.devices]
    assert tuple(max(c) + 1 for c in zip(*coordinates, strict=True)) == (*topology.axes, 1)[:3]


def test_mesh_axes_lie_along_the_torus() -> None:
    """Neighbours of a mesh axis are neighbours of the machine; axes that do not fit are divided."""
    cube = open_topology("v5p:4x4x4").devices
    mesh = make_mesh(MeshConfig(4, 16, 1), cube)
    for group in mesh.devices[:, :, 0]:
        used = [len({d.coords[axis] for d in group}) for axis in range(3)]
        assert sorted(used) == [1, 4, 4]
    divided = make_mesh(MeshConfig(2, 32, 1), cube)
    assert divided.devices.shape == (2, 32, 1) and set(divided.devices.flat) == set(cube)
    for group in divided.devices[:, :, 0]:
        assert sorted(len({d.coords[axis] for d in group}) for axis in range(3)) == [2, 4, 4]


def test_accelerators() -> None:
    assert accelerator_of(jax.devices()[0]) is None
    kinds = [kind for a in ACCELERATORS for kind in a.device_kinds]
    assert len(kinds) == len(set(kinds))
    assert TPUS["tpu7x"].peak_flops_per_device * 2 == TPUS["tpu7x"].peak_flops
    assert TPUS["v5p"].peak_flops_per_device == 459e12 and TPUS["v5e"].link_bandwidth == 50e9


@pytest.mark.parametrize(
    "message, peak, limit",
    [
        (
            "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total "
            "memory required for HLO temporaries (40.16G) exceeds available HBM (15.75G).",
            40.16,
            15.75,
        ),
        (
            "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.5G of 15.75G hbm. "
            "Exceeded hbm capacity by 4.75G.",
            20.5,
            15.75,
        ),
    ],
)
def test_the_compilers_messages_are_read(message: str, peak: float, limit: float) -> None:
    memory = out_of_memory(message, 2**30)
    assert memory is not None and not memory.fits
    assert memory.peak == pytest.approx(peak * 2**30) and memory.arguments == 2**30
    assert memory.limit == pytest.approx(limit * 2**30)
    assert out_of_memory("INTERNAL: something else", 0) is None


def test_collectives_take_the_time_of_their_links() -> None:
    """v5e: links of 50 GB/s each way; rings close along axes of 16 chips only."""
    ring = open_topology("v5e:16x16")
    mesh = make_mesh(MeshConfig(16, 16, 1), ring.devices)
    row = tuple(range(16))
    gather = Collective("all-gather", row, 16 * 10**9, 1)
    assert collective_seconds(gather, ring, mesh) == pytest.approx(15 / 100)
    reduce = replace(gather, kind="all-reduce")
    assert collective_seconds(reduce, ring, mesh) == pytest.approx(2 * 15 / 100)
    all_chips = replace(gather, group=tuple(range(256)), bytes=256 * 10**9)
    assert collective_seconds(all_chips, ring, mesh) == pytest.approx(255 / 200)
    exchange = Collective("all-to-all", row, 10**9, 1)
    assert collective_seconds(exchange, ring, mesh) == pytest.approx(16 / 8 / 50)
    line = open_topology("v5e:4x4")
    mesh = make_mesh(MeshConfig(4, 4, 1), line.devices)
    gather = Collective("all-gather", tuple(range(4)), 4 * 10**9, 2)
    assert collective_seconds(gather, line, mesh) == pytest.approx(3 / 50)
    times = roofline(
        Work(flops=197e12, hbm_bytes=819e9 / 2, collectives=[gather]), line, mesh, 1e15
    )
    assert (times.compute, times.hbm, times.interconnect) == pytest.approx((1, 0.5, 0.12))
    assert times.seconds == pytest.approx(1) and times.limit == "compute"
    assert times.seconds_unoverlapped == pytest.approx(1.12)


def test_advice_follows_from_the_case() -> None:
    preset = load_preset(CONFIGS / "qwen25_coder_7b.py")
    topology = open_topology("v5e:4x4")
    full = Memory(40 * 2**30, 16 * 2**30, 20 * 2**30, 0, 20 * 2**30, 0)
    mesh = make_mesh(MeshConfig(4, 4, 1), topology.devices)
    tries = " | ".join(to_make_it_fit(full, preset, topology, mesh, scorer=False))
    assert "--mesh.data 1 --mesh.fsdp 16" in tries and "5.0 GiB instead of 20.0" in tries
    assert "LoRA" in tries and "64 chips instead of 16" in tries
    assert "remat" not in tries and "bfloat16" not in tries  # both are set already
    rows = Memory(20 * 2**30, 16 * 2**30, 5 * 2**30, 0, 15 * 2**30, 0)
    mesh = make_mesh(MeshConfig(1, 16, 1), topology.devices)
    tries = " | ".join(to_make_it_fit(rows, preset, topology, mesh, scorer=True))
    assert "--training.batch-rows 16 (1 a shard)" in tries and "LoRA" not in tries


def test_shards_that_are_no_whole_tiles_are_noted() -> None:
    model = load_preset(CONFIGS / "qwen25_coder_7b.py").model
    topology = open_topology("v5e:8x8")
    (note,) = about_the_mesh(model, make_mesh(MeshConfig(1, 64, 1), topology.devices))
    assert "shards of 56 rows" in note and "--mesh.fsdp 32" in note
    assert not about_the_mesh(model, make_mesh(MeshConfig(2, 32, 1), topology.devices))
    small = load_preset(Path(SMALL)).model
    (note,) = about_the_mesh(
        small, make_mesh(MeshConfig(1, 256, 1), open_topology("v5e:16x16").devices)
    )
    assert "stay whole" in note


def test_a_profile_can_be_taken_with_libtpu_and_no_tpu(tmp_path: Path) -> None:
    """libtpu leaves a profiler behind that crashes the process, unless it was kept out of it."""
    code = (
        "from codeprm_jax import libtpu; libtpu.quiet()\n"
        "import jax\n"
        f"jax.profiler.start_trace({str(tmp_path)!r})\n"
        "jax.numpy.ones(3).block_until_ready()\n"
        "jax.profiler.stop_trace()\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "TPU_"))}
    result = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert list(tmp_path.rglob("*.xplane.pb"))
