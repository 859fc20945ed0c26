"""An import holds pieces of tensors on the host, not tensors, and not files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from codeprm_jax.files import write_json
from codeprm_jax.model.checkpoint import INDEX_FILE, decoder_paths, tensor_names
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.model.huggingface import to_huggingface

WIDE = ModelConfig(
    vocab_size=65536,
    hidden_size=1024,
    intermediate_size=2816,
    num_layers=4,
    num_heads=8,
    num_kv_heads=2,
    head_dim=128,
)
MIB = 1 << 20

# In a process of its own, whose peak (files that it mapped included) the kernel keeps.
IMPORT = """
import json, sys
from pathlib import Path
import jax
devices = int(sys.argv[2])
jax.config.update("jax_num_cpu_devices", devices)
from codeprm_jax.model.checkpoint import open_checkpoint
from codeprm_jax.model.weights import load_params
from codeprm_jax.sharding import MeshConfig, make_mesh

def status(field):
    text = Path("/proc/self/status").read_text()
    return int(text.partition(field + ":")[2].split()[0]) * 1024

mesh = make_mesh(MeshConfig(1, devices, 1))
checkpoint = open_checkpoint(sys.argv[1])
jax.block_until_ready(jax.numpy.zeros(8) + 1)
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
params = jax.block_until_ready(load_params(checkpoint, mesh))
peak = status("VmHWM") - before
print(json.dumps([peak, sum(leaf.nbytes for leaf in jax.tree.leaves(params))]))
"""


@pytest.mark.parametrize("devices", [1, 4])
def test_host_memory_is_bounded_by_the_largest_tensor(devices: int, tmp_path: Path) -> None:
    tensors = {}
    for path, shape in decoder_paths(WIDE).items():
        one = shape[1:] if path[0] == "layers" else shape
        for name in tensor_names(WIDE, path):
            stored = one[::-1] if path[-1] == "kernel" else one
            tensors["model." + name] = np.full(stored, 0.5, ml_dtypes.bfloat16)
    half = len(tensors) // 2
    weight_map = {}
    for number, names in enumerate((list(tensors)[:half], list(tensors)[half:])):
        save_file({n: tensors[n] for n in names}, tmp_path / f"{number}.safetensors")
        weight_map |= dict.fromkeys(names, f"{number}.safetensors")
    write_json(tmp_path / INDEX_FILE, {"weight_map": weight_map})
    write_json(tmp_path / "config.json", to_huggingface(WIDE, None, "bfloat16"))
    largest = max(t.nbytes for t in tensors.values())
    assert largest == 128 * MIB
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(tmp_path), str(devices)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak, held = json.loads(done.stdout)
    assert held == 4 * WIDE.num_params() - 4 * WIDE.hidden_size  # float32, without a score head
    assert peak - held < 1.5 * largest, f"{(peak - held) / MIB:.0f} MiB beyond the parameters"
