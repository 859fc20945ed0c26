"""`codeprm export`: a trained model as a directory that other programs load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from codeprm_jax.commands.output import say
from codeprm_jax.model.config import Dtype
from codeprm_jax.training.export import Format, export


def main(
    model: Annotated[Path, tyro.conf.Positional],
    /,
    out: Path,
    format: Format = "hf",
    dtype: Dtype = "float32",
    max_file_mib: int = 2048,
    evaluation: Path | None = None,
    licence: str = "other",
) -> int:
    """Writes a new directory with weights, tokenizer, prm_config.json and a model card.

    Args:
      model: run directory of a training (RUN@best, RUN@300: another checkpoint than the newest), or
        a model directory.
      out: directory to make.
      format: hf, a token classifier for transformers and TRL, adapters merged; peft, the adapters
        alone; orbax, the parameters as they are.
      dtype: of the tensors in format hf; float32 gives the run's scores.
      max_file_mib: size of one file of tensors in format hf.
      evaluation: JSON that `codeprm evaluate --out` wrote, quoted in the model card.
      licence: named in the model card.
    """
    export(model, out, format, dtype, max_file_mib << 20, evaluation, licence)
    say(f"{format} export written to {out}")
    return 0
