"""Options of commands that score: how a model in this process is computed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeprm_jax.model.config import Dtype, Implementation

if TYPE_CHECKING:
    from codeprm_jax.scoring.engine import StepScorer


@dataclass(frozen=True)
class EngineOptions:
    """How a model in this process is computed, as `scoring.engine.StepScorer` takes it.

    Attributes:
      tokens_per_batch: in a full forward pass.
      cache_mib: of each device's memory for the keys and values of shared beginnings.
      reuse: compute shared beginnings once, and remember scores.
      dtype: in which the model computes; default its own, float32 on a CPU.
      attention: implementation of rows without reuse, see docs/attention.md.
    """

    tokens_per_batch: int = 4096
    cache_mib: int = 512
    reuse: bool = True
    dtype: Dtype | None = None
    attention: Implementation = "auto"

    def chosen(self) -> dict[str, Any]:
        """Those that are not the default, by name: arguments of a StepScorer."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: v for name, v in found.items() if v != getattr(EngineOptions, name)}

    def load(self, model: Path | str, **more: Any) -> StepScorer:
        """The scorer. Raises what StepScorer does."""
        from codeprm_jax.scoring.engine import StepScorer

        return StepScorer(model, **self.chosen(), **more)
