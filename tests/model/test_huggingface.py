"""config.json: read exactly, or refused with the field that differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from codeprm_jax.files import InputError, write_json
from codeprm_jax.model.config import Family, ModelConfig, RopeConfig
from codeprm_jax.model.huggingface import (
    FAMILIES,
    from_huggingface,
    read_config,
    same_shape,
    to_huggingface,
)
from codeprm_jax.model.rope import frequencies
from codeprm_jax.model.shapes import QWEN25_CODER

QWEN25_CODER_7B: dict[str, Any] = {  # as published
    "architectures": ["Qwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "hidden_act": "silu",
    "hidden_size": 3584,
    "initializer_range": 0.02,
    "intermediate_size": 18944,
    "max_position_embeddings": 32768,
    "max_window_layers": 28,
    "model_type": "qwen2",
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 131072,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.44.0",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 152064,
}
LLAMA31: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "max_position_embeddings": 131072,
}


def test_a_published_config_gives_its_shape() -> None:
    config = from_huggingface(QWEN25_CODER_7B)
    assert config == QWEN25_CODER["7B"]
    # 7.61 billion as published, of which the language-model head's 0.54 are not ours.
    assert config.num_params() + 152064 * 3584 == 7_615_616_512 + 3584
    llama = from_huggingface(LLAMA31)
    assert llama.rope.kind == "llama3" and llama.rope.factor == 8.0
    # 8,030,261,248 as published, with a head of its own.
    assert llama.num_params() - 4096 + 128256 * 4096 == 8_030_261_248


def test_old_and_new_forms_of_rope_are_one() -> None:
    new = {k: v for k, v in LLAMA31.items() if k not in ("rope_theta", "rope_scaling")}
    new["rope_parameters"] = {"rope_theta": 500000.0, **LLAMA31["rope_scaling"]}
    old = LLAMA31 | {"rope_scaling": LLAMA31["rope_scaling"] | {"type": "llama3"}}
    del old["rope_scaling"]["rope_type"]
    assert from_huggingface(new) == from_huggingface(old) == from_huggingface(LLAMA31)


@pytest.mark.parametrize("data", [QWEN25_CODER_7B, LLAMA31])
def test_what_is_written_reads_as_the_same(data: dict[str, Any]) -> None:
    config = from_huggingface(data)
    for original in (data, None):
        written = json.loads(json.dumps(to_huggingface(config, original, "bfloat16")))
        assert from_huggingface(written) == config
        assert written["dtype"] == "bfloat16" and written["num_labels"] == 2
    assert to_huggingface(config, QWEN25_CODER_7B, "float32")["eos_token_id"] == 151645


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "gemma2"}, "model_type"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"architectures": ["Qwen2MoeForCausalLM"]}, "architectures"),
        ({"use_sliding_window": True, "max_window_layers": 10}, "layer_types"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "dynamic"),
        ({"rope_scaling": {"type": "longrope", "factor": 2.0}}, "longrope"),
        ({"rope_scaling": {"type": "linear"}}, "factor"),
        (
            {
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 2.0,
                    "original_max_position_embeddings": 8,
                    "truncate": False,
                }
            },
            "truncate",
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0, "surprise": 3}}, "surprise"),
        ({"num_key_value_heads": 3}, "num_kv_heads"),
        ({"hidden_size": "many"}, "hidden_size"),
        ({"architectures": 5}, "damaged"),
        ({"model_type": ["qwen2"]}, "damaged"),
        ({"rope_scaling": {"type": "linear", "factor": "two"}}, "damaged"),
    ],
)
def test_what_cannot_be_represented_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        from_huggingface(QWEN25_CODER_7B | changes)


def test_fields_nobody_knows_are_named(caplog: pytest.LogCaptureFixture) -> None:
    from_huggingface(QWEN25_CODER_7B | {"logit_softcap": 30.0, "nothing": None})
    assert "logit_softcap" in caplog.text and "nothing" not in caplog.text
    caplog.clear()
    from_huggingface(QWEN25_CODER_7B)
    assert not caplog.text


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no config"):
        read_config(tmp_path)
    write_json(tmp_path / "config.json", QWEN25_CODER_7B)
    assert read_config(tmp_path)[1] == QWEN25_CODER_7B


def test_differences_of_shape_are_listed() -> None:
    config = from_huggingface(QWEN25_CODER_7B)
    other = replace(config, num_layers=27, dtype="bfloat16", rope=RopeConfig(theta=1e4))
    assert [d.partition(":")[0] for d in same_shape(config, other)] == [
        "model.num_layers",
        "model.rope",
    ]
    assert set(FAMILIES) == set(get_args(Family))


def test_a_family_without_windows_has_none() -> None:
    with pytest.raises(InputError, match="sliding_window"):
        ModelConfig(family="llama", sliding_window=8)


@pytest.mark.parametrize("family", get_args(Family))
def test_a_head_wider_than_its_share_survives(family: Family) -> None:
    config = ModelConfig(family=family, hidden_size=96, num_heads=4, head_dim=32)
    assert from_huggingface(to_huggingface(config, None, "float32")) == config


@pytest.mark.parametrize(
    ("rope", "ends"),
    [
        # Fast dimensions turn as before, slow ones `factor` times slower.
        (RopeConfig(5e5, "llama3", factor=8.0, original_length=8192), (1.0, 8.0)),
        (RopeConfig(1e6, "yarn", factor=4.0, original_length=32768), (1.0, 4.0)),
        (RopeConfig(1e4, "linear", factor=4.0), (4.0, 4.0)),
    ],
)
def test_long_contexts_stretch_slow_dimensions(rope: RopeConfig, ends: tuple[float, float]) -> None:
    stretch = frequencies(RopeConfig(rope.theta), 128) / frequencies(rope, 128)
    np.testing.assert_allclose([stretch[0], stretch[-1]], ends, rtol=1e-5)
    assert (np.diff(stretch) >= -1e-5).all()
