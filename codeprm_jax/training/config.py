"""What a training run is told; a preset in configs/ is one `TrainConfig` named `config`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codeprm_jax.data.layout import QWEN_STEP_TAG
from codeprm_jax.files import InputError
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import MeshConfig
from codeprm_jax.traces.trace import Target


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from and how they are laid out.

    Attributes:
      data_dir: folder that `codeprm build` wrote.
      tokenizer: folder of a checkpoint's tokenizer; None is that of `checkpoint`, or, without
        one, a tokenizer trained on the training split.
      vocab_size: of a tokenizer that is trained.
      feedback: whether the PRM reads program and feedback.
      target: "pass_rate", the paper's label (mean share of passed tests over the rollouts through a
        step), or "success_rate" (share of those rollouts that pass everything).
      row_tokens: length of a packed row, and the limit of one example.
      step_tag: closes a step in a checkpoint's vocabulary, in which it must be one token; a
        tokenizer that is trained has a tag of its own.
    """

    data_dir: Path = Path("data")
    tokenizer: Path | None = None
    vocab_size: int = 4096
    feedback: bool = True
    target: Target = "pass_rate"
    row_tokens: int = 1024
    step_tag: str = QWEN_STEP_TAG


@dataclass(frozen=True)
class TrainingConfig:
    """The optimisation.

    Attributes:
      out: run directory.
      epochs: passes over the training split.
      batch_rows: packed rows a step, over all devices.
      learning_rate: peak of the schedule.
      warmup_fraction: share of the steps in which the rate rises linearly from 0.
      weight_decay: AdamW's, on matrices only.
      adam_b2: AdamW's decay of the second moment.
      grad_clip: global norm.
      loss: "mse" or "bce" of the sigmoid against the soft label.
      evaluate_every: steps between validations; the last step is always followed by one.
      checkpoint_every: steps between checkpoints; the last step always has one.
      keep_checkpoints: newest ones kept.
      seed: of initial values and data order.
    """

    out: Path = Path("runs/train")
    epochs: int = 3
    batch_rows: int = 8
    learning_rate: float = 1e-3
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    adam_b2: float = 0.98
    grad_clip: float = 1.0
    loss: Literal["mse", "bce"] = "mse"
    evaluate_every: int = 50
    checkpoint_every: int = 50
    keep_checkpoints: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_rows", "evaluate_every", "checkpoint_every", "keep_checkpoints")
        for name in counts:
            if getattr(self, name) < 1:
                raise InputError(f"training.{name} must be at least 1: {getattr(self, name)}")
        if not self.learning_rate > 0 or not 0 <= self.warmup_fraction < 1:
            raise InputError("training.learning_rate > 0 and 0 <= warmup_fraction < 1 are needed")
        if not 0 <= self.adam_b2 < 1:
            raise InputError(f"training.adam_b2 must be in [0, 1): {self.adam_b2}")


@dataclass(frozen=True)
class TrainConfig:
    """Everything about a run.

    Attributes:
      checkpoint: folder of a Hugging Face checkpoint whose weights training starts from; its
        config.json must agree with `model`. None draws initial weights, and `model.vocab_size`
        then follows the tokenizer.
    """

    checkpoint: Path | None = None
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)

    def __post_init__(self) -> None:
        if self.model.lora.rank and self.checkpoint is None:
            raise InputError(
                "model.lora adapts the weights of a checkpoint: name its folder with --checkpoint, "
                "or set model.lora.rank to 0"
            )

    def to_json(self) -> dict[str, Any]:
        """The JSON form, paths as strings."""
        return _plain(dataclasses.asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return list(value)  # as JSON gives it back
    return str(value) if isinstance(value, Path) else value
