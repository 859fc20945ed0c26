"""What a training run is told; a preset in configs/ is one `TrainConfig` named `config`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codeprm_jax.data.layout import QWEN_STEP_TAG, VIEWS, View
from codeprm_jax.data.targets import LabelConfig
from codeprm_jax.files import InputError
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import MeshConfig


@dataclass(frozen=True)
class ViewConfig:
    """Feedback dropout: with which probability an example is presented in each view, every epoch.

    A model scores in those views that had a probability; see `codeprm_jax.data.layout`.

    Attributes:
      thoughts: problem and thoughts alone.
      program: the program too.
      feedback: program and feedback too.
    """

    thoughts: float = 0.0
    program: float = 0.0
    feedback: float = 1.0

    def __post_init__(self) -> None:
        if min(self.by_name.values()) < 0 or abs(sum(self.by_name.values()) - 1) > 1e-6:
            raise InputError(f"data.views {self.by_name}: probabilities that sum to 1 are needed")

    @property
    def by_name(self) -> dict[View, float]:
        """Probability of each view."""
        return {view: float(getattr(self, view)) for view in VIEWS}

    @property
    def trained(self) -> tuple[View, ...]:
        """Views with a probability, the least first."""
        return tuple(view for view, probability in self.by_name.items() if probability > 0)


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from, how they are laid out, and what is learned from them.

    Attributes:
      data_dir: folder that `codeprm build` wrote.
      tokenizer: folder of a checkpoint's tokenizer; None is that of `checkpoint`, or, without
        one, a tokenizer trained on the training split.
      vocab_size: of a tokenizer that is trained.
      views: what the PRM reads.
      label: what it learns.
      row_tokens: length of a packed row, and the limit of one example. Rows that hold five or more
        examples waste less than 5 % on padding.
      step_tag: closes a step in a checkpoint's vocabulary, in which it must be one token; a
        tokenizer that is trained has a tag of its own.
    """

    data_dir: Path = Path("data")
    tokenizer: Path | None = None
    vocab_size: int = 4096
    views: ViewConfig = ViewConfig()
    label: LabelConfig = LabelConfig()
    row_tokens: int = 2048
    step_tag: str = QWEN_STEP_TAG


@dataclass(frozen=True)
class TrainingConfig:
    """The optimisation.

    Attributes:
      out: run directory.
      epochs: passes over the training split.
      batch_rows: packed rows a step, over all devices.
      accumulate: parts in which a step computes its batch, one after another, for less memory. The
        result is that of the whole batch.
      learning_rate: peak of the schedule.
      warmup_fraction: share of the steps in which the rate rises linearly from 0.
      schedule: after warm-up: "linear" or "cosine" to 0 at the last step, or "constant".
      weight_decay: AdamW's, on matrices only.
      adam_b2: AdamW's decay of the second moment.
      grad_clip: global norm.
      ema_decay: of a moving average of the parameters, which is then what is evaluated, exported
        and scored with; 0 keeps none.
      loss: "mse" or "bce" of the sigmoid against the label; "pairwise", the log-likelihood that of
        two steps that continue the same thoughts the better one scores higher.
      evaluate_every: steps between validations; the last step is always followed by one.
      checkpoint_every: steps between checkpoints; the last step always has one.
      keep_checkpoints: newest ones kept, beside the best.
      best_metric: validation metric of the best checkpoint, which is kept too.
      profile_steps: first and last step of a profile that TensorBoard and xprof read, in
        `out`/profile.
      seed: of initial values, data order, dropout and views.
    """

    out: Path = Path("runs/train")
    epochs: int = 3
    batch_rows: int = 8
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup_fraction: float = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = 0.01
    adam_b2: float = 0.98
    grad_clip: float = 1.0
    ema_decay: float = 0.0
    loss: Literal["mse", "bce", "pairwise"] = "mse"
    evaluate_every: int = 50
    checkpoint_every: int = 50
    keep_checkpoints: int = 2
    best_metric: Literal["mse", "mae", "bce", "r2", "auroc"] = "mse"
    profile_steps: tuple[int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_rows",
            "accumulate",
            "evaluate_every",
            "checkpoint_every",
            "keep_checkpoints",
        ):
            if getattr(self, name) < 1:
                raise InputError(f"training.{name} must be at least 1: {getattr(self, name)}")
        if self.batch_rows % self.accumulate:
            raise InputError(
                f"training.batch_rows ({self.batch_rows}) must be a multiple of "
                f"training.accumulate ({self.accumulate})"
            )
        if not self.learning_rate > 0 or not 0 <= self.warmup_fraction < 1:
            raise InputError("training.learning_rate > 0 and 0 <= warmup_fraction < 1 are needed")
        for name in ("adam_b2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"training.{name} must be in [0, 1): {getattr(self, name)}")
        if not self.grad_clip > 0 or self.weight_decay < 0 or self.seed < 0:
            raise InputError("training: grad_clip > 0, weight_decay >= 0 and seed >= 0 are needed")
        first, last = self.profile_steps or (1, 1)
        if not 1 <= first <= last:
            raise InputError(f"training.profile_steps {first} {last}: 1 <= first <= last needed")


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
        if self.training.loss == "pairwise" and self.data.label.kind == "first_error":
            raise InputError(
                "training.loss pairwise compares rates; data.label.kind first_error leaves most of "
                "them out: use soft or hard"
            )
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
