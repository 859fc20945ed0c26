"""Peak host memory and time of importing a checkpoint of 1.5 billion parameters.

    python benchmarks/import_checkpoint.py [--folder DIR] [--mesh 1,1,1]

Writes a random checkpoint of Qwen2.5-Coder-1.5B's shape in bfloat16 to several files, then imports
it in float32 in a process of its own that reads its peak resident memory (files that it mapped
included) from the kernel. On a CPU the parameters themselves are host memory: what is compared with
the largest tensor is the excess over them. The peer reads every file whole before it converts.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from codeprm_jax.files import write_json
from codeprm_jax.model.checkpoint import INDEX_FILE, decoder_paths, tensor_names
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.model.huggingface import CONFIG_FILE, to_huggingface
from codeprm_jax.model.shapes import QWEN25_CODER

SHAPE = QWEN25_CODER["1.5B"]
FILE_BYTES = 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the checkpoint is made, or was before")
    parser.add_argument("--mesh", default="1,1,1", help="data,fsdp,tensor over fake CPU devices")
    parser.add_argument("--layers", type=int, default=SHAPE.num_layers)
    parser.add_argument("--measure", choices=("ours", "whole"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.folder, options.mesh, options.measure)
        return
    config = replace(SHAPE, num_layers=options.layers)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "checkpoint"
        if not (folder / CONFIG_FILE).is_file():
            make_checkpoint(folder, config)
        results = {}
        for how in ("ours", "whole"):
            command = [sys.executable, __file__, "--measure", how, "--folder", str(folder)]
            done = subprocess.run(
                [*command, "--mesh", options.mesh], check=True, capture_output=True, text=True
            )
            results[how] = json.loads(done.stdout)
    ours, whole = results["ours"], results["whole"]
    largest = config.vocab_size * config.hidden_size * 2
    line = {
        "benchmark": "import checkpoint",
        "parameters": config.num_params(),
        "files": ours["files"],
        "mesh": options.mesh,
        "largest_tensor_mib": round(largest / 2**20),
        "parameters_mib": ours["parameters_mib"],
        "peak_mib": ours["peak_mib"],
        "excess_mib": ours["excess_mib"],
        "excess_over_largest_tensor": round(ours["excess_mib"] * 2**20 / largest, 2),
        "seconds": ours["seconds"],
        "peer": "every file read whole, then converted",
        "peer_excess_mib": whole["excess_mib"],
        "peer_seconds": whole["seconds"],
        "ratio": round(whole["excess_mib"] / max(1, ours["excess_mib"]), 1),
    }
    print(json.dumps(line))


def make_checkpoint(folder: Path, config: ModelConfig) -> None:
    """Random bfloat16 weights, in files of about FILE_BYTES; one tensor is held at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    files: list[dict[str, np.ndarray]] = [{}]
    weight_map: dict[str, str] = {}
    count = 0

    def flush() -> None:
        nonlocal count
        count += 1
        name = f"model-{count:05}.safetensors"
        weight_map.update(dict.fromkeys(files[0], name))
        save_file(files[0], folder / name, metadata={"format": "pt"})
        files[0] = {}

    for path, shape in decoder_paths(config).items():
        one = shape[1:] if path[0] == "layers" else shape
        for name in tensor_names(config, path):
            stored = one[::-1] if path[-1] == "kernel" else one
            noise = rng.standard_normal(min(math.prod(stored), 1 << 20), np.float32) * 0.02
            tensor = np.resize(noise, stored).astype(ml_dtypes.bfloat16)
            files[0]["model." + name] = tensor
            if sum(t.nbytes for t in files[0].values()) >= FILE_BYTES:
                flush()
    if files[0]:
        flush()
    write_json(folder / INDEX_FILE, {"metadata": {}, "weight_map": weight_map})
    said = to_huggingface(config, None, "bfloat16")
    write_json(folder / CONFIG_FILE, said | {"architectures": ["Qwen2ForCausalLM"]})


def measure(folder: Path, mesh_shape: str, how: str) -> None:
    """Imports in this process and prints its peak."""
    import jax

    data, fsdp, tensor = map(int, mesh_shape.split(","))
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", data * fsdp * tensor)
    from codeprm_jax.model import weights
    from codeprm_jax.model.checkpoint import open_checkpoint
    from codeprm_jax.sharding import MeshConfig, make_mesh

    mesh = make_mesh(MeshConfig(data, fsdp, tensor))
    checkpoint = open_checkpoint(folder)
    files = {info.file for info in checkpoint.tensors.values()}
    # What a first small array costs is no part of an import.
    jax.block_until_ready(jax.numpy.zeros(8) + 1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = status("VmRSS")
    began = time.perf_counter()
    if how == "ours":
        params = weights.load_params(checkpoint, mesh)
        jax.block_until_ready(params)
    else:
        params = read_whole(files)
    seconds = time.perf_counter() - began
    total = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    peak = status("VmHWM") - before
    said = {
        "files": len(files),
        "parameters_mib": round(total / 2**20),
        "peak_mib": round(peak / 2**20),
        "excess_mib": round((peak - total) / 2**20),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(said))


def read_whole(files: set[Path]) -> dict[str, object]:
    """As simple importers do: load, convert, hand over."""
    import jax
    from safetensors.numpy import load_file

    params = {}
    for file in sorted(files):
        tensors = load_file(file)
        for name, tensor in tensors.items():
            params[name] = jax.device_put(tensor.astype(np.float32))
    return params


def status(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{field}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
