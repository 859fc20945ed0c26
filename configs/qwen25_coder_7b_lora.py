"""The paper's recipe: LoRA on Qwen2.5-Coder-7B-Instruct, value head, MSE to the pass rate.

    codeprm train configs/qwen25_coder_7b_lora.py --checkpoint checkpoints/Qwen2.5-Coder-7B-Instruct

needs that checkpoint's folder and a dataset of `codeprm build` in data/. The frozen base takes
14 GB in bfloat16, adapters and moments 30 MB: one GPU of 40 GB or more. On about 91,000 traces of
their own the authors report MSE 0.037, MAE 0.151 and R2 0.587 on held-out traces after 250 steps;
a run of this preset is not recorded yet. A batch of 16 packed rows holds about 32 traces.
"""

from dataclasses import replace
from pathlib import Path

from codeprm_jax.data.targets import LabelConfig
from codeprm_jax.model.config import LoraConfig
from codeprm_jax.model.shapes import QWEN25_CODER
from codeprm_jax.sharding import MeshConfig
from codeprm_jax.training.config import DataConfig, TrainConfig, TrainingConfig

config = TrainConfig(
    checkpoint=Path("checkpoints/Qwen2.5-Coder-7B-Instruct"),
    data=DataConfig(label=LabelConfig(target="pass_rate"), row_tokens=3584),
    model=replace(
        QWEN25_CODER["7B"],
        lora=LoraConfig(rank=8, alpha=32.0, dropout=0.1, targets=("q_proj", "v_proj")),
        dtype="bfloat16",
        remat="full",
    ),
    training=TrainingConfig(
        out=Path("runs/qwen25-coder-7b-lora"),
        epochs=1,
        batch_rows=16,
        learning_rate=1e-4,
        warmup_fraction=0.0,
        weight_decay=0.0,
        adam_b2=0.999,
        loss="mse",
    ),
    mesh=MeshConfig(data=-1, fsdp=1, tensor=1),
)
