"""What a run leaves beside its checkpoints: run.json, and the batch of a step that diverged."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from codeprm_jax.data.pipeline import BatchStream, PackedData
from codeprm_jax.files import write_json
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.training.config import TrainConfig

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "codeprm-jax")


def write_run_record(
    run: Path,
    config: TrainConfig,
    dataset: int,
    model: ModelConfig,
    stream: BatchStream,
    validation: PackedData,
    mesh: Mesh,
) -> None:
    """Writes run.json: settings, data, model, hardware, versions and source revision."""
    device = jax.devices()[0]
    write_json(
        run / "run.json",
        {
            "config": config.to_json(),
            "data": dataset,
            "model": model.to_json(),
            "num_params": model.num_params(),
            "num_trainable_params": model.num_trainable_params(),
            "flops_per_token": model.flops_per_token(config.data.row_tokens),
            "total_steps": stream.num_batches,
            "mesh": dict(mesh.shape),
            "train": _packed_facts(stream.first_epoch),
            "validation": _packed_facts(validation),
            "hardware": {
                "platform": device.platform,
                "device": device.device_kind,
                "devices": jax.device_count(),
                "processes": jax.process_count(),
                "machine": platform.machine(),
            },
            "versions": {
                "python": sys.version.split()[0],
                **{name: importlib.metadata.version(name) for name in _PACKAGES},
            },
            "revision": source_revision(),
        },
    )


def write_diverged(
    run: Path, step: int, figures: Mapping[str, float], stream: BatchStream, checkpoint: int | None
) -> Path:
    """Writes which traces a step had whose loss is not finite, and returns the file."""
    path = run / "diverged" / f"step-{step}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "step": step,
            "figures": {k: repr(v) for k, v in figures.items()},  # JSON has no NaN
            "last_checkpoint": checkpoint,
            "rows": [
                [{"trace": i, "view": view} for i, view in row] for row in stream.traces(step - 1)
            ],
        },
    )
    return path


def source_revision() -> str | None:
    """The commit of the checkout that runs, with "+changes" where files differ; None elsewhere."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--abbrev=40", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()


def _packed_facts(packed: PackedData) -> dict[str, Any]:
    return {
        "traces": len(packed.examples),
        "refused": packed.data.refused,
        "tokens": packed.num_tokens,
        "rows": len(packed.plan.rows),
        "utilisation": round(packed.plan.utilisation, 4),
    }
