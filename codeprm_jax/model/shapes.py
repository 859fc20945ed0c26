"""Shapes of published checkpoints, for presets; `codeprm train` compares them with config.json."""

from __future__ import annotations

from collections.abc import Mapping

from codeprm_jax.model.config import ModelConfig, RopeConfig


def _qwen25(
    hidden: int, mlp: int, layers: int, heads: int, kv_heads: int, vocab: int, head_dim: int = 128
) -> ModelConfig:
    return ModelConfig(
        family="qwen2",
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
        rope=RopeConfig(theta=1e6),
    )


# Qwen2.5-Coder-*-Instruct, by size.
QWEN25_CODER: Mapping[str, ModelConfig] = {
    "0.5B": _qwen25(896, 4864, 24, 14, 2, 151936, head_dim=64),
    "1.5B": _qwen25(1536, 8960, 28, 12, 2, 151936),
    "3B": _qwen25(2048, 11008, 36, 16, 2, 151936),
    "7B": _qwen25(3584, 18944, 28, 28, 4, 152064),
    "14B": _qwen25(5120, 13824, 48, 40, 8, 152064),
    "32B": _qwen25(5120, 27648, 64, 40, 8, 152064),
}
