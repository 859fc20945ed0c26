"""Full fine-tuning of Qwen2.5-Coder-7B-Instruct as a PRM.

    codeprm train configs/qwen25_coder_7b.py --checkpoint checkpoints/Qwen2.5-Coder-7B-Instruct

needs that checkpoint's folder and a dataset of `codeprm build` in data/. Float32 parameters,
gradients and two moments take 113 GB over all devices together: eight GPUs of 80 GB.
Expect validation metrics every 50 steps, and FLOPs a token in run.json; the figures of a run at
this size are not recorded yet.
"""

from dataclasses import replace
from pathlib import Path

from codeprm_jax.model.shapes import QWEN25_CODER
from codeprm_jax.sharding import MeshConfig
from codeprm_jax.training.config import DataConfig, TrainConfig, TrainingConfig

config = TrainConfig(
    checkpoint=Path("checkpoints/Qwen2.5-Coder-7B-Instruct"),
    data=DataConfig(row_tokens=3584),
    model=replace(QWEN25_CODER["7B"], dtype="bfloat16", remat="full"),
    training=TrainingConfig(
        out=Path("runs/qwen25-coder-7b"),
        epochs=1,
        batch_rows=32,
        learning_rate=1e-5,
        warmup_fraction=0.03,
        weight_decay=0.0,
    ),
    mesh=MeshConfig(data=1, fsdp=-1, tensor=1),
)
