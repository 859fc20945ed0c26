"""A Hugging Face `config.json` to a ModelConfig and back, or a refusal that names the field.

Both forms of rotary settings are read (`rope_theta` with `rope_scaling`, and `rope_parameters`);
the first is written, which every version of transformers, TRL and vLLM reads.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codeprm_jax.files import InputError, read_json
from codeprm_jax.model.config import Family, ModelConfig, RopeConfig

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.json"

FAMILIES: Mapping[Family, str] = {
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "llama": "Llama",
    "mistral": "Mistral",
}
_TASKS = (
    *("ForCausalLM", "Model", "ForTokenClassification", "ForSequenceClassification"),
    "ForProcessRewardModel",
)

# Fields that must have these values, or be absent: what the decoder does otherwise is not known.
_FIXED: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "use_mrope": (False,),
    "partial_rotary_factor": (1.0,),
    "quantization_config": (),
    "pruned_heads": ({},),
    "scale_attn_by_inverse_layer_idx": (False,),
    "no_rope_layers": ([],),
    "num_local_experts": (),
    "num_experts": (),
}

_SHAPE = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "rms_norm_eps": "rms_norm_eps",
}
_ROPE = {
    "factor": "factor",
    "original_length": "original_max_position_embeddings",
    "low_freq_factor": "low_freq_factor",
    "high_freq_factor": "high_freq_factor",
    "beta_fast": "beta_fast",
    "beta_slow": "beta_slow",
    "attention_factor": "attention_factor",
}
_ROPE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "original_length", "low_freq_factor", "high_freq_factor"),
    "yarn": ("factor", "original_length", "beta_fast", "beta_slow", "attention_factor"),
}


def read_config(directory: Path) -> tuple[ModelConfig, dict[str, Any]]:
    """The shape that `directory/config.json` describes, and the file's content.

    The head, adapters, compute dtype and the like are the defaults.

    Raises:
      InputError: no such file, or an architecture that the decoder does not represent exactly; the
        message names the field that differs.
    """
    path = Path(directory) / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"{directory} is no checkpoint of a model: it has no {CONFIG_FILE}")
    data = read_json(path)
    return from_huggingface(data, str(path)), data


def from_huggingface(data: Mapping[str, Any], where: str = CONFIG_FILE) -> ModelConfig:
    """The ModelConfig of the content of a config.json. Raises InputError as `read_config`."""
    try:
        return _from_huggingface(data, where)
    except (TypeError, AttributeError) as error:
        raise InputError(f"{where} is damaged, a value is of a wrong kind: {error}") from error


def _from_huggingface(data: Mapping[str, Any], where: str) -> ModelConfig:
    family: Any = data.get("model_type")
    if family not in FAMILIES:
        raise InputError(
            f"{where}: model_type {family!r} is not supported; {', '.join(FAMILIES)} are"
        )
    known = {"RewardModel", *(FAMILIES[family] + task for task in _TASKS)}
    for name in data.get("architectures") or ():
        if name not in known:
            raise InputError(f"{where}: architectures names {name}, which may compute otherwise")
    for field, allowed in _FIXED.items():
        value = data.get(field)
        if value is not None and value not in allowed:
            raise InputError(
                f"{where}: {field} is {value!r}; this decoder computes as with "
                f"{allowed[0] if allowed else 'no such field'!r}"
            )
    full = _with_defaults(family, data, where)
    if unknown := sorted(k for k, v in data.items() if v and k not in full | _KNOWN):
        logger.warning("%s: not used here: %s", where, ", ".join(unknown))
    for field in _SHAPE.values():
        if not isinstance(full.get(field), int | float):
            raise InputError(f"{where}: {field} is missing or no number: {full.get(field)!r}")
    shape = {ours: full[theirs] for ours, theirs in _SHAPE.items()}
    return ModelConfig(
        family=family,
        rope=_rope(data, full, where),
        sliding_window=_sliding_window(full, where),
        **shape,
    )


def to_huggingface(
    config: ModelConfig, original: Mapping[str, Any] | None, dtype: str
) -> dict[str, Any]:
    """The content of a config.json for a token-classification model with two labels.

    Args:
      original: config.json of the checkpoint that training began from; fields that say nothing
        about the shape, such as the ids of special tokens, are taken over from it.
      dtype: of the tensors, "float32" or "bfloat16".
    """
    name = FAMILIES[config.family]
    kept = {k: v for k, v in (original or {}).items() if k not in _DROPPED}
    rope = config.rope
    scaling = {_ROPE[f]: getattr(rope, f) for f in _ROPE_FIELDS[rope.kind]}
    written = kept | {
        "architectures": [f"{name}ForTokenClassification"],
        "model_type": config.family,
        **{theirs: getattr(config, ours) for ours, theirs in _SHAPE.items()},
        "hidden_act": "silu",
        "rope_theta": rope.theta,
        "rope_scaling": {"rope_type": rope.kind, **scaling} if rope.kind != "default" else None,
        "num_labels": 2,
        "id2label": {"0": "wrong", "1": "right"},
        "label2id": {"wrong": 0, "right": 1},
        "dtype": dtype,
        "torch_dtype": dtype,
    }
    if config.family == "mistral":
        written["sliding_window"] = config.sliding_window
    elif config.family != "llama":
        windowed = config.sliding_window is not None
        written |= {
            "use_sliding_window": windowed,
            "sliding_window": config.sliding_window,
            "max_window_layers": 0 if windowed else config.num_layers,
        }
    written.setdefault("max_position_embeddings", 32768)
    # A tied table would be the language-model head's, which a classifier does not have.
    written["tie_word_embeddings"] = bool(kept.get("tie_word_embeddings", False))
    return written


def same_shape(ours: ModelConfig, theirs: ModelConfig) -> list[str]:
    """Fields of the shape in which two configs differ, each as "name: ours, theirs"."""
    fields = ("family", *_SHAPE, "rope", "sliding_window")
    return [
        f"model.{name}: {getattr(ours, name)}, {getattr(theirs, name)}"
        for name in fields
        if getattr(ours, name) != getattr(theirs, name)
    ]


_KNOWN = dict.fromkeys(
    ("rope_theta", "rope_scaling", "torch_dtype", "dtype", "auto_map", "num_labels", "use_mrope")
)
_DROPPED = (
    *("auto_map", "quantization_config", "rope_parameters", "layer_types", "transformers_version"),
    *("_name_or_path", "problem_type", "custom_pipelines"),
)


def _with_defaults(family: str, data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The config as transformers completes it, so that a field left out means the same to both."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING

    plain = {k: v for k, v in data.items() if k not in ("auto_map", "torch_dtype", "dtype")}
    known = CONFIG_MAPPING[family]().to_dict()
    plain = {k: v for k, v in plain.items() if k in known or k in ("rope_theta", "rope_scaling")}
    try:
        full = CONFIG_MAPPING[family](**plain).to_dict()
    except (TypeError, ValueError, KeyError, StrictDataclassError) as error:
        raise InputError(f"{where}: transformers cannot read it: {error}") from error
    heads = full.get("num_attention_heads") or 1
    # Qwen2's own class does not keep it, and its model reads it all the same.
    full["head_dim"] = data.get("head_dim") or full.get("head_dim") or full["hidden_size"] // heads
    return full


def _sliding_window(full: Mapping[str, Any], where: str) -> int | None:
    kinds = set(full.get("layer_types") or ())
    if not kinds <= {"full_attention", "sliding_attention"} or len(kinds) > 1:
        raise InputError(f"{where}: layer_types mixes {sorted(kinds)}; one kind is needed")
    window = full.get("sliding_window")
    return None if kinds == {"full_attention"} else window


def _rope(data: Mapping[str, Any], full: Mapping[str, Any], where: str) -> RopeConfig:
    given = dict(full.get("rope_parameters") or data.get("rope_scaling") or {})
    theta = given.pop("rope_theta", None) or data.get("rope_theta") or 10_000.0
    kind: Any = given.pop("rope_type", None) or given.get("type") or "default"
    given.pop("type", None)
    if kind not in _ROPE_FIELDS:
        raise InputError(
            f"{where}: rope_scaling of type {kind!r} is not supported; "
            f"{', '.join(_ROPE_FIELDS)} are. Frequencies that depend on the length of the whole "
            "sequence cannot be the same in a packed row and alone"
        )
    fields = {name: given.pop(_ROPE[name], None) for name in _ROPE_FIELDS[kind]}
    if given.pop("truncate", True) is not True and kind == "yarn":
        raise InputError(f"{where}: rope_scaling.truncate must be true")
    mscale = [given.pop(name, None) for name in ("mscale", "mscale_all_dim")]
    if kind == "yarn" and fields["attention_factor"] is None:
        fields["attention_factor"] = _yarn_attention(fields["factor"], *mscale)
    # What transformers adds to every kind without reading it.
    given.pop("original_max_position_embeddings", None)
    given = {k: v for k, v in given.items() if v is not None and (k, v) != _NOT_PARTIAL}
    if given:
        raise InputError(f"{where}: rope_scaling of type {kind} has unknown {sorted(given)}")
    defaults = {"beta_fast": 32.0, "beta_slow": 1.0}
    fields = {k: defaults.get(k) if v is None else v for k, v in fields.items()}
    missing = sorted(_ROPE[k] for k, v in fields.items() if v is None)
    if missing:
        raise InputError(f"{where}: rope_scaling of type {kind} lacks {', '.join(missing)}")
    return RopeConfig(theta=float(theta), kind=kind, **fields)


_NOT_PARTIAL = ("partial_rotary_factor", 1.0)


def _yarn_attention(factor: float, mscale: float | None, mscale_all_dim: float | None) -> float:
    def scaled(by: float) -> float:
        return 0.1 * by * math.log(factor) + 1.0 if factor > 1 else 1.0

    if mscale and mscale_all_dim:
        return scaled(mscale) / scaled(mscale_all_dim)
    return scaled(1.0)
