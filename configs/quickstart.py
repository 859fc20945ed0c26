"""The quickstart's training run: a PRM of half a million parameters, from scratch, on a CPU.

    codeprm train configs/quickstart.py

needs the dataset that `codeprm quickstart` leaves in runs/quickstart-bank/data. Expect about one
minute on two cores and an AUROC near 0.95 on unseen traces of seen problems.
"""

from pathlib import Path

from codeprm_jax.data.targets import LabelConfig
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.training.config import DataConfig, TrainConfig, TrainingConfig, ViewConfig

config = TrainConfig(
    data=DataConfig(
        data_dir=Path("runs/quickstart-bank/data"),
        vocab_size=4096,
        views=ViewConfig(thoughts=1.0, feedback=0.0),
        label=LabelConfig(target="success_rate"),
        row_tokens=1024,
    ),
    model=ModelConfig(
        hidden_size=96,
        intermediate_size=256,
        num_layers=2,
        num_heads=3,
        num_kv_heads=3,
        head_dim=32,
    ),
    training=TrainingConfig(
        out=Path("runs/train"),
        epochs=10,
        batch_rows=4,
        learning_rate=3e-3,
        loss="bce",
        evaluate_every=50,
        checkpoint_every=100,
    ),
)
