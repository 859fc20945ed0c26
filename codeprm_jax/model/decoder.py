"""The process reward model: a Qwen2 decoder with a scalar value head, in Flax NNX.

NNX defines the modules and their initial values; `create` splits them once into a graph definition
and a nested dict of arrays, and all later code is plain JAX on that dict. Layers are stacked along
a leading axis and scanned: one layer is compiled, however many there are.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from codeprm_jax.model.attention import attend
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import constrain

Params = dict[str, Any]

# Logical axes of each parameter by the last two names of its path; see codeprm_jax.sharding.
_AXES: dict[tuple[str, str], tuple[str, ...]] = {
    ("embed_tokens", "embedding"): ("vocab", "embed"),
    ("q_proj", "kernel"): ("embed", "heads"),
    ("k_proj", "kernel"): ("embed", "heads"),
    ("v_proj", "kernel"): ("embed", "heads"),
    ("o_proj", "kernel"): ("heads", "embed"),
    ("q_proj", "bias"): ("heads",),
    ("k_proj", "bias"): ("heads",),
    ("v_proj", "bias"): ("heads",),
    ("gate_proj", "kernel"): ("embed", "mlp"),
    ("up_proj", "kernel"): ("embed", "mlp"),
    ("down_proj", "kernel"): ("mlp", "embed"),
    ("input_layernorm", "scale"): ("norm",),
    ("post_attention_layernorm", "scale"): ("norm",),
    ("norm", "scale"): ("norm",),
    ("score", "kernel"): ("embed", "norm"),
}


def logical_axes(path: tuple[str, ...]) -> tuple[str, ...]:
    """The logical axes of the parameter at `path` of the dict that `create` returns.

    Raises KeyError on a path that is no parameter's.
    """
    axes = _AXES[path[-2], path[-1]]
    return ("layers", *axes) if "layers" in path else axes


def rotate(x: jax.Array, positions: jax.Array, theta: float) -> jax.Array:
    """Rotary position embedding (Su et al. 2021), halves rotated as in the Qwen2 and Llama code.

    Args:
      x: [batch, length, heads, head_dim].
      positions: int32[batch, length], counted from each example's start.
    """
    half = x.shape[-1] // 2
    frequencies = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles = positions[..., None, None].astype(jnp.float32) * frequencies
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x.dtype)


class Attention(nnx.Module):
    """Grouped-query self-attention."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        q, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        self.q_proj = _linear(config.hidden_size, q, config, rngs, use_bias=True)
        self.k_proj = _linear(config.hidden_size, kv, config, rngs, use_bias=True)
        self.v_proj = _linear(config.hidden_size, kv, config, rngs, use_bias=True)
        self.o_proj = _linear(q, config.hidden_size, config, rngs)

    def __call__(self, x: jax.Array, segment_ids: jax.Array, positions: jax.Array) -> jax.Array:
        """[batch, length, embed] -> the same shape."""
        config = self.config
        heads = (*x.shape[:2], -1, config.head_dim)
        query = rotate(self.q_proj(x).reshape(heads), positions, config.rope_theta)
        key = rotate(self.k_proj(x).reshape(heads), positions, config.rope_theta)
        value = self.v_proj(x).reshape(heads)
        query, key, value = (
            constrain(a, "batch", "length", "activation_heads", None) for a in (query, key, value)
        )
        mixed = attend(query, key, value, segment_ids)
        return self.o_proj(mixed.reshape(*x.shape[:2], -1))


class MLP(nnx.Module):
    """SwiGLU."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.gate_proj = _linear(config.hidden_size, config.intermediate_size, config, rngs)
        self.up_proj = _linear(config.hidden_size, config.intermediate_size, config, rngs)
        self.down_proj = _linear(config.intermediate_size, config.hidden_size, config, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, length, embed] -> the same shape."""
        return self.down_proj(jax.nn.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nnx.Module):
    """One pre-norm block."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.input_layernorm = _norm(config, rngs)
        self.self_attn = Attention(config, rngs)
        self.post_attention_layernorm = _norm(config, rngs)
        self.mlp = MLP(config, rngs)

    def __call__(self, x: jax.Array, segment_ids: jax.Array, positions: jax.Array) -> jax.Array:
        """[batch, length, embed] -> the same shape."""
        x = x + self.self_attn(self.input_layernorm(x), segment_ids, positions)
        x = constrain(x, "batch", "length", "activation_embed")
        x = x + self.mlp(self.post_attention_layernorm(x))
        return constrain(x, "batch", "length", "activation_embed")


class ProcessRewardModel(nnx.Module):
    """Decoder and value head: one logit a token, read at step tags only."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        self.embed_tokens = nnx.Embed(
            config.vocab_size,
            config.hidden_size,
            dtype=jnp.dtype(config.dtype),
            param_dtype=jnp.float32,
            embedding_init=nnx.initializers.normal(0.02),
            rngs=rngs,
        )
        keys = nnx.split_rngs(splits=config.num_layers)
        self.layers = keys(nnx.vmap(lambda r: DecoderLayer(config, r), in_axes=0, out_axes=0))(rngs)
        self.norm = _norm(config, rngs)
        self.score = nnx.Linear(
            config.hidden_size,
            1,
            use_bias=False,
            dtype=jnp.float32,
            param_dtype=jnp.float32,
            kernel_init=nnx.initializers.normal(0.02),
            rngs=rngs,
        )

    def hidden_states(
        self, tokens: jax.Array, segment_ids: jax.Array, positions: jax.Array
    ) -> jax.Array:
        """The normalised last hidden states, [batch, length, embed] in the compute dtype."""
        x = constrain(self.embed_tokens(tokens), "batch", "length", "activation_embed")
        graph, stacked = nnx.split(self.layers)

        def layer(x: jax.Array, params: Any) -> tuple[jax.Array, None]:
            return nnx.merge(graph, params)(x, segment_ids, positions), None

        x, _ = jax.lax.scan(jax.checkpoint(layer) if self.config.remat else layer, x, stacked)
        return self.norm(x)

    def __call__(
        self, tokens: jax.Array, segment_ids: jax.Array, positions: jax.Array
    ) -> jax.Array:
        """Value logits, float32[batch, length]; sigmoid gives a score in [0, 1].

        Args:
          tokens: int32[batch, length].
          segment_ids: int32[batch, length]; 0 is padding, equal ids are one example.
          positions: int32[batch, length], from 0 in each example.
        """
        hidden = self.hidden_states(tokens, segment_ids, positions)
        return self.score(hidden.astype(jnp.float32))[..., 0]


def create(config: ModelConfig, seed: jax.Array | int) -> Params:
    """Initial parameters as a nested dict of float32 arrays. May be called under `jax.jit`."""
    model = ProcessRewardModel(config, nnx.Rngs(seed))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def apply(
    config: ModelConfig,
    params: Params,
    tokens: jax.Array,
    segment_ids: jax.Array,
    positions: jax.Array,
) -> jax.Array:
    """Value logits, float32[batch, length], of the model with these parameters."""
    return bind(config, params)(tokens, segment_ids, positions)


def bind(config: ModelConfig, params: Params) -> ProcessRewardModel:
    """The module with these parameters; costs nothing under `jax.jit`, where it is traced once."""
    abstract = nnx.eval_shape(lambda: ProcessRewardModel(config, nnx.Rngs(0)))
    graph, state, rest = nnx.split(abstract, nnx.Param, ...)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graph, state, rest)


def _linear(
    inputs: int, outputs: int, config: ModelConfig, rngs: nnx.Rngs, use_bias: bool = False
) -> nnx.Linear:
    return nnx.Linear(
        inputs,
        outputs,
        use_bias=use_bias,
        dtype=jnp.dtype(config.dtype),
        param_dtype=jnp.float32,
        kernel_init=nnx.initializers.normal(inputs**-0.5),
        rngs=rngs,
    )


def _norm(config: ModelConfig, rngs: nnx.Rngs) -> nnx.RMSNorm:
    # Computed in float32 whatever the input; the result goes back to the compute dtype.
    return nnx.RMSNorm(
        config.hidden_size,
        epsilon=config.rms_norm_eps,
        dtype=jnp.dtype(config.dtype),
        param_dtype=jnp.float32,
        rngs=rngs,
    )
