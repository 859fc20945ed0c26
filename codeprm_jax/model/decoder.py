"""The process reward model: a decoder with a score head, in Flax NNX.

NNX defines the modules and their initial values; `create` splits them once into a graph definition
and a nested dict of arrays, and all later code is plain JAX on that dict. Layers are stacked along
a leading axis and scanned: one layer is compiled, however many there are. On a CPU the few layers
of a small model are written out in training: what a scan keeps for its backward pass is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import get_abstract_mesh

from codeprm_jax.model.attention import attend, platform
from codeprm_jax.model.attention_tree import Visible, attend_tree
from codeprm_jax.model.config import PROJECTIONS, ModelConfig
from codeprm_jax.model.embedding import look_up
from codeprm_jax.model.rope import rotate
from codeprm_jax.sharding import constrain

Params = dict[str, Any]
UNROLLED_LAYERS = 8  # at most, on a CPU; docs/training_speed.md has times of steps and compiling
Keys = Callable[[str], jax.Array | None]  # the dropout key of a projection, None for no dropout


Mix = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class Context(NamedTuple):
    """What every layer reads beside the residual stream.

    Attributes:
      positions: int32[batch, length], from 0 in each example.
      mix: attention: rotated queries and keys, and values, to what the output projection reads.
      queries: int32[batch, queries]: the tokens whose result is wanted; None for all.
    """

    positions: jax.Array
    mix: Mix
    queries: jax.Array | None = None

    def wanted(self, x: jax.Array) -> jax.Array:
        """[batch, length, ...] -> [batch, queries, ...]."""
        if self.queries is None:
            return x
        return jax.vmap(lambda row, at: row[at])(x, self.queries)


class Prefix(NamedTuple):
    """Keys and values of tokens that were computed before, and who sees them.

    Attributes:
      keys, values: [layers, batch, tokens, kv_heads, head_dim], keys rotated.
      first, until: int32[batch, tokens]: seen by the row's tokens [first, until); see
        `model.attention_tree`.
      positions: int32[batch, tokens], from the start of the trace.
    """

    keys: jax.Array
    values: jax.Array
    first: jax.Array
    until: jax.Array
    positions: jax.Array


# Logical axes of inputs and outputs of each matrix; see codeprm_jax.sharding.
_MATRICES: dict[str, tuple[str, str]] = {
    "embed_tokens": ("vocab", "table"),
    "q_proj": ("embed", "heads"),
    "k_proj": ("embed", "heads"),
    "v_proj": ("embed", "heads"),
    "o_proj": ("heads", "embed"),
    "gate_proj": ("embed", "mlp"),
    "up_proj": ("embed", "mlp"),
    "down_proj": ("mlp", "embed"),
    "dense": ("embed", "norm"),
    "out": ("embed", "norm"),
}


def logical_axes(path: tuple[str, ...]) -> tuple[str, ...]:
    """The logical axes of the parameter at `path` of the dict that `create` returns.

    Raises KeyError on a path that is no parameter's.
    """
    module, kind = path[-2:]
    if kind == "scale":
        axes: tuple[str, ...] = ("norm",)
    else:
        inputs, outputs = _MATRICES[module]
        axes = {
            "embedding": (inputs, outputs),
            "kernel": (inputs, outputs),
            "bias": (outputs,),
            "lora_a": (inputs, "lora_rank"),
            "lora_b": ("lora_rank", outputs),
        }[kind]
    return ("layers", *axes) if "layers" in path else axes


class Linear(nnx.Module):
    """x W + b, and the low-rank adapter of a frozen W where the config asks for one.

    Products are in the config's dtype; parameters are kept as they are given. The adapter's B
    starts at zero, so that a new adapter changes nothing.
    """

    def __init__(
        self, name: str, config: ModelConfig, rngs: nnx.Rngs, use_bias: bool = False
    ) -> None:
        inputs, outputs = config.projection_shape(name)
        self.dtype = jnp.dtype(config.dtype)
        self.lora = config.lora if config.lora.rank and name in config.lora.targets else None
        normal = nnx.initializers.normal(inputs**-0.5)
        self.kernel = nnx.Param(normal(rngs.params(), (inputs, outputs), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32)) if use_bias else None
        if self.lora:
            shape = (inputs, self.lora.rank)
            self.lora_a = nnx.Param(normal(rngs.params(), shape, jnp.float32))
            self.lora_b = nnx.Param(jnp.zeros((self.lora.rank, outputs), jnp.float32))

    def __call__(self, x: jax.Array, dropout_key: jax.Array | None = None) -> jax.Array:
        """[..., inputs] -> [..., outputs]; without a key nothing is dropped."""
        # As one matrix: XLA's CPU code copies a transposed [batch, length, inputs] for the kernel's
        # gradient, which took longer than the products themselves.
        rows, x = x.shape[:-1], x.astype(self.dtype).reshape(-1, x.shape[-1])
        y = x @ self.kernel[...].astype(self.dtype)
        if self.bias is not None:
            y = y + self.bias[...].astype(self.dtype)
        if self.lora:
            if dropout_key is not None and self.lora.dropout:
                kept = jax.random.bernoulli(dropout_key, 1 - self.lora.dropout, x.shape)
                x = jnp.where(kept, x / (1 - self.lora.dropout), 0)
            low = x @ self.lora_a[...].astype(self.dtype)
            y = y + low @ self.lora_b[...].astype(self.dtype) * self.lora.scale
        return y.reshape(*rows, -1)


class Attention(nnx.Module):
    """Grouped-query self-attention."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        self.q_proj = Linear("q_proj", config, rngs, use_bias=config.qkv_bias)
        self.k_proj = Linear("k_proj", config, rngs, use_bias=config.qkv_bias)
        self.v_proj = Linear("v_proj", config, rngs, use_bias=config.qkv_bias)
        self.o_proj = Linear("o_proj", config, rngs)
        if config.qk_norm:
            self.q_norm = _norm(config.head_dim, config, rngs)
            self.k_norm = _norm(config.head_dim, config, rngs)

    def __call__(
        self, x: jax.Array, context: Context, keys: Keys
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """[batch, length, embed] -> [batch, queries, embed], and all keys and values."""
        config = self.config
        heads = (*x.shape[:2], -1, config.head_dim)
        asking = context.wanted(x)
        query = self.q_proj(asking, keys("q_proj"))
        query = query.reshape(*asking.shape[:2], -1, config.head_dim)
        key = self.k_proj(x, keys("k_proj")).reshape(heads)
        value = self.v_proj(x, keys("v_proj")).reshape(heads)
        if config.qk_norm:
            query, key = self.q_norm(query), self.k_norm(key)
        query = rotate(query, context.wanted(context.positions), config.rope)
        key = rotate(key, context.positions, config.rope)
        query, key, value = (
            constrain(a, "batch", "length", "activation_heads", None) for a in (query, key, value)
        )
        mixed = context.mix(query, key, value)
        mixed = mixed.reshape(*asking.shape[:2], -1)
        return self.o_proj(mixed, keys("o_proj")), (key, value)


class MLP(nnx.Module):
    """SwiGLU."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.gate_proj = Linear("gate_proj", config, rngs)
        self.up_proj = Linear("up_proj", config, rngs)
        self.down_proj = Linear("down_proj", config, rngs)

    def __call__(self, x: jax.Array, keys: Keys) -> jax.Array:
        """[batch, length, embed] -> the same shape."""
        gate = jax.nn.silu(self.gate_proj(x, keys("gate_proj")))
        return self.down_proj(gate * self.up_proj(x, keys("up_proj")), keys("down_proj"))


class DecoderLayer(nnx.Module):
    """One pre-norm block."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.input_layernorm = _norm(config.hidden_size, config, rngs)
        self.self_attn = Attention(config, rngs)
        self.post_attention_layernorm = _norm(config.hidden_size, config, rngs)
        self.mlp = MLP(config, rngs)

    def __call__(
        self, x: jax.Array, context: Context, dropout_key: jax.Array | None = None
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """[batch, length, embed] -> [batch, queries, embed], and attention's keys and values."""

        def keys(name: str) -> jax.Array | None:
            number = PROJECTIONS.index(name)
            return None if dropout_key is None else jax.random.fold_in(dropout_key, number)

        mixed, kept = self.self_attn(self.input_layernorm(x), context, keys)
        x = constrain(context.wanted(x) + mixed, "batch", "length", "activation_embed")
        x = x + self.mlp(self.post_attention_layernorm(x), keys)
        return constrain(x, "batch", "length", "activation_embed"), kept


class ScoreHead(nnx.Module):
    """The hidden state of a step tag to one logit, in float32."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        def linear(inputs: int, outputs: int, scale: float, use_bias: bool) -> nnx.Linear:
            return nnx.Linear(
                inputs,
                outputs,
                use_bias=use_bias,
                dtype=jnp.float32,
                param_dtype=jnp.float32,
                kernel_init=nnx.initializers.normal(scale),
                rngs=rngs,
            )

        hidden = config.hidden_size
        self.two_layers = config.head == "mlp"
        if self.two_layers:
            self.dense = linear(hidden, hidden, hidden**-0.5, use_bias=True)
        # As in the authors' release: a first score is close to one half, whatever the hidden state.
        self.out = linear(hidden, 1, 1 / (hidden + 1), use_bias=config.head != "value")

    def __call__(self, hidden: jax.Array) -> jax.Array:
        """[batch, length, embed] -> float32[batch, length]."""
        hidden = hidden.astype(jnp.float32)
        if self.two_layers:
            hidden = jax.nn.relu(self.dense(hidden))
        return self.out(hidden)[..., 0]


class ProcessRewardModel(nnx.Module):
    """Decoder and score head: one logit a token, read at step tags only."""

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
        self.norm = _norm(config.hidden_size, config, rngs)
        self.score = ScoreHead(config, rngs)

    def hidden_states(
        self,
        tokens: jax.Array,
        segment_ids: jax.Array,
        positions: jax.Array,
        dropout_key: jax.Array | None = None,
        packed: bool = True,
        derived: bool = False,
    ) -> jax.Array:
        """The normalised last hidden states, [batch, length, embed] in the compute dtype."""
        config = self.config

        def mix(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
            return attend(
                query,
                key,
                value,
                segment_ids,
                implementation=config.attention,
                sliding_window=config.sliding_window,
                packed=packed,
            )

        context = Context(positions, mix)
        x = look_up(self.embed_tokens.embedding[...], tokens, jnp.dtype(config.dtype))
        graph, stacked = nnx.split(self.layers)

        def layer(x: jax.Array, inputs: Any) -> tuple[jax.Array, None]:
            params, key = inputs
            return nnx.merge(graph, params)(x, context, key)[0], None

        if config.remat != "none":
            policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
            layer = jax.checkpoint(layer, policy=policy if config.remat == "dots" else None)
        keys = None if dropout_key is None else jax.random.split(dropout_key, config.num_layers)
        if derived and _written_out(config):
            # Split, not indexed: the derivative is one concatenation, not a sum of padded layers.
            leaves, tree = jax.tree.flatten(stacked)
            columns = [jax.lax.split(leaf, [1] * config.num_layers) for leaf in leaves]
            for number, row in enumerate(zip(*columns, strict=True)):
                params = jax.tree.unflatten(tree, [leaf[0] for leaf in row])
                x, _ = layer(x, (params, None if keys is None else keys[number]))
        else:
            x, _ = jax.lax.scan(layer, x, (stacked, keys))
        return self.norm(x)

    def score_tree(
        self,
        tokens: jax.Array,
        until: jax.Array,
        positions: jax.Array,
        tags: jax.Array,
        prefix: Prefix,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Value logits of step tags in a tree of tokens, and the tokens' keys and values.

        The last layer computes the keys and values of all tokens, but the rest for the tags alone.

        Args:
          tokens: int32[batch, length], in depth-first order.
          until: int32[batch, length]: the tokens [i, until[i]) of a row see its token i: itself and
            all that hangs below it.
          positions: int32[batch, length], from the start of the trace.
          tags: int32[batch, tags], ascending: where the step tags stand in the row.
          prefix: computed before, and seen by the tokens; may be of no tokens.

        Returns:
          float32[batch, tags] logits, and keys and values, both [layers, batch, length, kv_heads,
          head_dim] in the compute dtype.
        """
        config, (batch, length) = self.config, tokens.shape
        x = look_up(self.embed_tokens.embedding[...], tokens, jnp.dtype(config.dtype))
        graph, stacked = nnx.split(self.layers)
        at = jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), (batch, length))
        first = jnp.concatenate([prefix.first, at], axis=1)
        ends = jnp.concatenate([prefix.until, until], axis=1)
        key_positions = jnp.concatenate([prefix.positions, positions], axis=1)

        def layer(x: jax.Array, number: Any, queries: jax.Array | None = None) -> Any:
            params, keys, values = jax.tree.map(
                lambda leaf: jax.lax.dynamic_index_in_dim(leaf, number, keepdims=False),
                (stacked, prefix.keys, prefix.values),
            )

            def mix(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
                key, value = (
                    jnp.concatenate([old.astype(new.dtype), new], axis=1)
                    for old, new in ((keys, key), (values, value))
                )
                asking = (context.wanted(at), context.wanted(positions))
                visible = Visible(asking[0], first, ends, asking[1], key_positions)
                return attend_tree(query, key, value, visible, config.sliding_window)

            context = Context(positions, mix, queries)
            return nnx.merge(graph, params)(x, context)

        last = config.num_layers - 1
        x, before = jax.lax.scan(layer, x, jnp.arange(last))
        x, end = layer(x, last, tags)
        keys, values = (
            jnp.concatenate([some, one[None]]) for some, one in zip(before, end, strict=True)
        )
        return self.score(self.norm(x)), keys, values

    def __call__(
        self,
        tokens: jax.Array,
        segment_ids: jax.Array,
        positions: jax.Array,
        dropout_key: jax.Array | None = None,
        packed: bool = True,
        derived: bool = False,
    ) -> jax.Array:
        """Value logits, float32[batch, length]; sigmoid gives a score in [0, 1].

        Args:
          tokens: int32[batch, length].
          segment_ids: int32[batch, length]; 0 is padding, equal ids are one example.
          positions: int32[batch, length], from 0 in each example.
          dropout_key: a PRNG key in training with adapters; without it nothing is dropped.
          packed: False promises one example a row, with padding at its end.
          derived: whether a derivative will be taken; it changes speed alone.
        """
        hidden = self.hidden_states(tokens, segment_ids, positions, dropout_key, packed, derived)
        return self.score(hidden)


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
    dropout_key: jax.Array | None = None,
    packed: bool = True,
    derived: bool = False,
) -> jax.Array:
    """`ProcessRewardModel` with these parameters: value logits, float32[batch, length]."""
    return bind(config, params)(tokens, segment_ids, positions, dropout_key, packed, derived)


def apply_tree(
    config: ModelConfig,
    params: Params,
    tokens: jax.Array,
    until: jax.Array,
    positions: jax.Array,
    tags: jax.Array,
    prefix: Prefix,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`ProcessRewardModel.score_tree` with these parameters."""
    return bind(config, params).score_tree(tokens, until, positions, tags, prefix)


def bind(config: ModelConfig, params: Params) -> ProcessRewardModel:
    """The module with these parameters; costs nothing under `jax.jit`, where it is traced once."""
    abstract = nnx.eval_shape(lambda: ProcessRewardModel(config, nnx.Rngs(0)))
    graph, state, rest = nnx.split(abstract, nnx.Param, ...)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graph, state, rest)


def _written_out(config: ModelConfig) -> bool:
    """Whether layers are written out for the backward pass: few of them, on one CPU device.

    On more devices, which on a CPU stand for accelerators in tests, the program is theirs.
    """
    mesh = get_abstract_mesh()
    alone = mesh.empty or mesh.size == 1
    return alone and config.num_layers <= UNROLLED_LAYERS and platform(mesh) == "cpu"


def _norm(width: int, config: ModelConfig, rngs: nnx.Rngs) -> nnx.RMSNorm:
    # Computed in float32 whatever the input; the result goes back to the compute dtype.
    return nnx.RMSNorm(
        width,
        epsilon=config.rms_norm_eps,
        dtype=jnp.dtype(config.dtype),
        param_dtype=jnp.float32,
        rngs=rngs,
    )
