"""Attention, forward and forward + backward, against PyTorch's scaled_dot_product_attention.

    python benchmarks/attention.py [length ...]

One line a case: shape, rows (one example each, or packed with four), pass. On a CPU "auto" in
float32 meets PyTorch in float32 with as many threads as cores; on a GPU every implementation that
takes the case meets PyTorch's kernels in bfloat16. Packed rows need a mask in PyTorch, which then
cannot skip the future; one example a row is its best case. Runs alternate; medians are reported.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from codeprm_jax.files import InputError
from codeprm_jax.model.attention import attend, check, resolve

# rows, heads, key heads, head_dim: Qwen2.5-1.5B's, and the embedded quickstart's scale.
SHAPES = {"qwen2.5-1.5b": (4, 12, 2, 128), "small": (8, 4, 4, 32)}
LENGTHS = (512, 1536, 4096)
EXAMPLES = 4
GPU = jax.default_backend() == "gpu"
DTYPE = "bfloat16" if GPU else "float32"
DEVICE = "cuda" if GPU else "cpu"


def main() -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    lengths = [int(a) for a in sys.argv[1:]] or LENGTHS
    for shape in SHAPES:
        for length in lengths:
            for packed in (False, True):
                for line in case(shape, length, packed):
                    print(json.dumps(line), flush=True)


def case(shape: str, length: int, packed: bool) -> Iterator[dict[str, Any]]:
    rows, heads, kv_heads, head_dim = SHAPES[shape]
    rng = np.random.default_rng(0)
    sizes = [(rows, length, h, head_dim) for h in (heads, kv_heads, kv_heads, heads)]
    arrays = [rng.normal(size=s).astype(np.float32) for s in sizes]
    at = np.arange(length)
    segments = np.tile(at * EXAMPLES // length + 1 if packed else at * 0 + 1, (rows, 1))
    ours = {n: jax_runs(n, arrays, segments, packed) for n in implementations(packed, head_dim)}
    theirs = torch_runs(arrays, segments if packed else None)
    for direction in ("forward", "forward+backward"):
        runs = {name: found[direction] for name, found in ours.items()}
        peer: Callable[[], Any] = theirs[direction]
        results = [x.detach().float().cpu().numpy() for x in peer()]
        times = medians({**{n: run for n, (run, _) in runs.items()}, "torch": peer})
        for name, (run, memory) in runs.items():
            difference = max(
                float(np.abs(np.asarray(a, np.float32) - b).max() / np.abs(b).max())
                for a, b in zip(run(), results, strict=True)
            )
            assert difference < (3e-2 if GPU else 1e-4), (name, direction, difference)
            yield {
                "benchmark": "attention",
                "device": jax.devices()[0].device_kind,
                "implementation": name,
                "shape": shape,
                "rows": rows,
                "heads": [heads, kv_heads],
                "head_dim": head_dim,
                "length": length,
                "examples_a_row": EXAMPLES if packed else 1,
                "dtype": DTYPE,
                "pass": direction,
                "milliseconds": round(times[name] * 1e3, 2),
                "temporary_mib": round(memory / 2**20, 1),
                "peer": "torch scaled_dot_product_attention, "
                + ("segment mask" if packed else "is_causal"),
                "peer_milliseconds": round(times["torch"] * 1e3, 2),
                "ratio": round(times["torch"] / times[name], 2),
                "largest_difference": float(f"{difference:.1e}"),
            }


def implementations(packed: bool, head_dim: int) -> list[str]:
    """Those that run here and take the case."""
    if not GPU:
        return [resolve("auto", jax.default_backend())]
    found = []
    for name in ("pallas_gpu", "cudnn", "blockwise"):
        try:
            check(name, packed=packed, sliding_window=None, head_dim=head_dim, dtype=DTYPE)
        except InputError:
            continue
        found.append(name)
    return found


def jax_runs(name: Any, arrays: list[np.ndarray], segments: np.ndarray, packed: bool) -> Any:
    *inputs, cotangent = (jnp.asarray(a, DTYPE) for a in arrays)
    ids = jnp.asarray(segments, jnp.int32)

    def forward(*qkv: jax.Array) -> tuple[jax.Array]:
        return (attend(*qkv, ids, implementation=name, packed=packed),)

    def both(*qkv: jax.Array) -> tuple[jax.Array, ...]:
        (out,), pull = jax.vjp(forward, *qkv)
        return out, *pull((cotangent,))

    runs = {}
    for direction, function in (("forward", forward), ("forward+backward", both)):
        compiled = jax.jit(function).lower(*inputs).compile()
        memory = compiled.memory_analysis().temp_size_in_bytes
        runs[direction] = (lambda c=compiled: jax.block_until_ready(c(*inputs)), memory)
    return runs


def torch_runs(arrays: list[np.ndarray], segments: np.ndarray | None) -> Any:
    tensors = [torch.tensor(a, device=DEVICE, dtype=getattr(torch, DTYPE)) for a in arrays]
    *inputs, cotangent = tensors
    mask = None
    if segments is not None:
        ids, at = torch.tensor(segments, device=DEVICE), torch.arange(segments.shape[1])
        causal = (at[:, None] >= at).to(DEVICE)
        mask = ((ids[:, :, None] == ids[:, None]) & causal)[:, None]

    def attention(q: Any, k: Any, v: Any) -> Any:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        mixed = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=q.shape[1] != k.shape[1]
        )
        return mixed.transpose(1, 2)

    def finish(tensors: list[Any]) -> list[Any]:
        if GPU:
            torch.cuda.synchronize()
        return tensors

    def forward() -> list[Any]:
        with torch.no_grad():
            return finish([attention(*inputs)])

    def both() -> list[Any]:
        qkv = [x.detach().requires_grad_() for x in inputs]
        out = attention(*qkv)
        return finish([out, *torch.autograd.grad(out, qkv, cotangent)])

    return {"forward": forward, "forward+backward": both}


def medians(runs: dict[str, Callable[[], Any]], repeats: int = 5) -> dict[str, float]:
    """Seconds of each, alternated; PyTorch's threads are given time to go to sleep between."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            time.sleep(0.005)
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in times.items()}


if __name__ == "__main__":
    main()
