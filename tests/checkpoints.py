"""Tiny Hugging Face checkpoints with random weights, made by transformers itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHAPE: dict[str, Any] = {
    "vocab_size": 640,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

# Name -> (model_type, what its config says beside SHAPE). Each differs in what it computes.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen2, tied, one kv head": (
        "qwen2",
        {"tie_word_embeddings": True, "num_key_value_heads": 1},
    ),
    "qwen2, yarn": (
        "qwen2",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1e6,
                "factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "qwen2, all layers windowed": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 11, "max_window_layers": 0},
    ),
    "qwen3, wide heads": ("qwen3", {"head_dim": 16}),
    "llama": ("llama", {"num_key_value_heads": 4}),
    "llama, linear": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    ),
    "llama 3.1": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 5e5,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "mistral": ("mistral", {"sliding_window": 7, "head_dim": 8}),
}


def make_model(architecture: str, task: str = "ForTokenClassification", seed: int = 0) -> Any:
    """A transformers model in evaluation mode, every parameter of it random."""
    torch = pytest.importorskip("torch", reason="parity with transformers needs the dev extra")
    import transformers

    kind, extra = ARCHITECTURES[architecture]
    config = transformers.CONFIG_MAPPING[kind](**SHAPE | extra)
    config.num_labels = 2
    name = {"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama", "mistral": "Mistral"}[kind]
    torch.manual_seed(seed)
    model = getattr(transformers, name + task)(config).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where they would prove nothing
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def logits_of(model: Any, tokens: np.ndarray) -> np.ndarray:
    """The logits, float32[batch, length, labels], of a transformers model."""
    import torch

    with torch.no_grad():
        return model(torch.tensor(tokens, dtype=torch.long)).logits.float().numpy()


def make_checkpoint(
    directory: Path,
    architecture: str = "qwen2",
    task: str = "ForTokenClassification",
    seed: int = 0,
    **options: Any,
) -> Any:
    """Saves such a model, with options of save_pretrained, and returns it."""
    model = make_model(architecture, task, seed)
    model.save_pretrained(directory, **options)
    return model
