"""Where a run's figures go: metrics.jsonl, TensorBoard, and Weights & Biases if installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codeprm_jax.files import append_jsonl, read_valid_prefix, stable_seed, write_jsonl


def validations(run: Path) -> dict[int, dict[str, float]]:
    """The metrics of each step that was validated, in the fullest view; changes nothing."""
    return {
        record["step"]: {k: v for k, v in record.items() if k not in ("step", "split")}
        for record in read_valid_prefix(_file(run), cut=False)
        if record["split"] == "validation"
    }


class MetricsLog:
    """metrics.jsonl, one record a step and split, and the same scalars elsewhere.

    Records of steps after `start`, from an earlier try, are cut: they are computed again.

    Args:
      run: run directory.
      start: step from which the run goes on.
      config: settings that Weights & Biases shows.
      writes: False in all processes of a job but one; their logs write nothing.
    """

    def __init__(self, run: Path, start: int, config: Mapping[str, Any], writes: bool) -> None:
        self._path = _file(run)
        self._board: Any = None
        self._wandb: Any = None
        if writes:
            from tensorboardX import SummaryWriter

            kept = [r for r in read_valid_prefix(self._path) if r["step"] <= start]
            write_jsonl(self._path, kept)
            self._board = SummaryWriter(str(Path(run) / "tensorboard"), purge_step=start + 1)
            self._wandb = _start_wandb(Path(run), config)

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Appends one record and the same scalars to TensorBoard and Weights & Biases."""
        if self._board is None:
            return
        append_jsonl(self._path, [{"step": step, "split": split, **values}])
        for name, value in values.items():
            self._board.add_scalar(f"{split}/{name}", value, step)
        if self._wandb is not None:
            self._wandb.log({f"{split}/{k}": v for k, v in values.items()}, step=step)

    def close(self) -> None:
        """Flushes what is not written yet."""
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _start_wandb(run: Path, config: Mapping[str, Any]) -> Any:
    """A run of Weights & Biases, or None where it is not installed.

    Without a login it is kept offline, in the run directory, for `wandb sync`; nothing is asked.
    WANDB_MODE and WANDB_PROJECT are obeyed.
    """
    if importlib.util.find_spec("wandb") is None:
        return None
    wandb: Any = importlib.import_module("wandb")
    mode = os.environ.get("WANDB_MODE") or ("online" if wandb.api.api_key else "offline")
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT", "codeprm"),
        name=run.name,
        id=f"{run.name}-{stable_seed(run.resolve()):x}",
        resume="allow",
        dir=str(run),
        config=dict(config),
        mode=mode,
    )


def _file(run: Path) -> Path:
    return Path(run) / "metrics.jsonl"
