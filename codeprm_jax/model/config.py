"""The decoder's shape: one dataclass for every architecture that it can represent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import tyro

from codeprm_jax.files import InputError
from codeprm_jax.json_dataclass import read_dataclass

Family = Literal["qwen2", "qwen3", "llama", "mistral"]
Head = Literal["value", "classifier", "mlp"]
Remat = Literal["none", "dots", "full"]
RopeKind = Literal["default", "linear", "llama3", "yarn"]
Dtype = Literal["float32", "bfloat16"]
Implementation = Literal["auto", "blockwise", "splash", "pallas_gpu", "cudnn"]

# Every matrix of a layer that LoRA can adapt, in the order in which a layer uses them.
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class RopeConfig:
    """Rotary position embedding and how its frequencies are stretched to longer contexts.

    Attributes:
      theta: base of the frequencies.
      kind: "default"; "linear" (positions divided by `factor`); "llama3" (Llama 3.1: low
        frequencies divided, high ones kept, a ramp between); "yarn" (Peng et al. 2023).
      factor: by which the context is stretched.
      original_length: tokens of the context that was trained before stretching; llama3 and yarn.
      low_freq_factor, high_freq_factor: ends of llama3's ramp.
      beta_fast, beta_slow: ends of yarn's ramp, in rotations over the original context.
      attention_factor: yarn's factor on cosines and sines.
    """

    theta: float = 10_000.0
    kind: RopeKind = "default"
    factor: float = 1.0
    original_length: int = 8192
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(RopeKind):
            raise InputError(f"model.rope.kind {self.kind!r} is none of {get_args(RopeKind)}")
        if self.theta <= 0 or self.factor < 1 or self.original_length < 1:
            raise InputError("model.rope: theta > 0, factor >= 1 and original_length >= 1 needed")


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters (Hu et al. 2021): W x + (alpha / rank) · B A dropout(x), W frozen.

    Attributes:
      rank: of A and B; 0 trains all parameters and has no adapters.
      alpha: scale of the adapters' output, divided by the rank.
      dropout: probability that an input of A is dropped, in training only.
      targets: projections that are adapted. The score head is always trained in full.
    """

    rank: int = 0
    alpha: float = 32.0
    dropout: float = 0.1
    targets: tuple[str, ...] = ("q_proj", "v_proj")

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if self.rank < 0 or not 0 <= self.dropout < 1:
            raise InputError("model.lora: rank >= 0 and 0 <= dropout < 1 are needed")
        unknown = sorted(set(self.targets) - set(PROJECTIONS))
        if unknown or (self.rank and not self.targets):
            raise InputError(
                f"model.lora.targets {unknown or 'is empty'}: name some of {', '.join(PROJECTIONS)}"
            )

    @property
    def scale(self) -> float:
        """The factor on the adapters' output."""
        return self.alpha / self.rank

    @property
    def drops(self) -> bool:
        """Whether training draws at random what the adapters read."""
        return bool(self.rank and self.dropout)


@dataclass(frozen=True)
class ModelConfig:
    """A pre-norm decoder with RMSNorm, rotary positions, grouped-query attention and SwiGLU.

    Attributes:
      family: "qwen2" (biases on q, k, v), "qwen3" (RMSNorm on the heads of q and k), "llama" or
        "mistral" (neither; they differ in their Hugging Face form only).
      vocab_size: rows of the embedding table. The PRM looks embeddings up and never multiplies by
        them, so whether a checkpoint tied them to its language-model head does not matter.
      hidden_size: width of the residual stream.
      intermediate_size: hidden units of the SwiGLU block.
      num_layers, num_heads, num_kv_heads: as they say; heads are a multiple of key/value heads.
      head_dim: width of one head.
      rope: rotary positions.
      rms_norm_eps: added to the mean square.
      sliding_window: tokens that a token sees, itself included; None is all before it.
      head: "value", a linear map to one logit without bias, the method's; "classifier", with bias;
        "mlp", two layers with a ReLU between (Qwen2.5-Math-PRM).
      lora: adapters on frozen projections.
      dtype: of activations and matrix products; parameters, softmax, norms, head and loss are
        float32 throughout. Matrices that LoRA freezes are kept in it.
      remat: what the backward pass computes again: "none"; "full", each layer from its input;
        "dots", all but the results of matrix products.
      attention: implementation, see `codeprm_jax.model.attention`; "auto" suits the platform.
    """

    family: Family = "qwen2"
    vocab_size: int = 4096
    hidden_size: int = 128
    intermediate_size: int = 352
    num_layers: int = 2
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 32
    # No command line options: a preset or a checkpoint's config.json sets them.
    rope: Annotated[RopeConfig, tyro.conf.Suppress] = RopeConfig()
    rms_norm_eps: float = 1e-6
    sliding_window: int | None = None
    head: Head = "value"
    lora: LoraConfig = LoraConfig()
    dtype: Dtype = "float32"
    remat: Remat = "none"
    attention: Implementation = "auto"

    def __post_init__(self) -> None:
        for field in ("vocab_size", "hidden_size", "intermediate_size", "num_layers", "num_heads"):
            if getattr(self, field) < 1:
                raise InputError(f"model.{field} must be positive, not {getattr(self, field)}")
        if self.num_kv_heads < 1 or self.num_heads % self.num_kv_heads:
            raise InputError(
                f"model.num_heads ({self.num_heads}) must be a multiple of "
                f"model.num_kv_heads ({self.num_kv_heads})"
            )
        if self.head_dim < 2 or self.head_dim % 2:
            raise InputError(f"model.head_dim must be even for rotary positions: {self.head_dim}")
        if self.sliding_window is not None and self.sliding_window < 1:
            raise InputError(f"model.sliding_window must be positive: {self.sliding_window}")
        if self.family == "llama" and self.sliding_window is not None:
            raise InputError("model.sliding_window: Llama has none; its twin 'mistral' does")
        choices = {
            "family": Family,
            "head": Head,
            "remat": Remat,
            "attention": Implementation,
            "dtype": Dtype,
        }
        for field, values in choices.items():
            if getattr(self, field) not in get_args(values):
                raise InputError(
                    f"model.{field} {getattr(self, field)!r} is none of "
                    f"{', '.join(get_args(values))}"
                )

    @property
    def qkv_bias(self) -> bool:
        """Whether q, k and v have biases."""
        return self.family == "qwen2"

    @property
    def qk_norm(self) -> bool:
        """Whether the heads of q and k are normalised before they are rotated."""
        return self.family == "qwen3"

    def projection_shape(self, name: str) -> tuple[int, int]:
        """(inputs, outputs) of one of PROJECTIONS."""
        q, kv = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        hidden, mlp = self.hidden_size, self.intermediate_size
        return {
            "q_proj": (hidden, q),
            "k_proj": (hidden, kv),
            "v_proj": (hidden, kv),
            "o_proj": (q, hidden),
            "gate_proj": (hidden, mlp),
            "up_proj": (hidden, mlp),
            "down_proj": (mlp, hidden),
        }[name]

    def num_params(self) -> int:
        """Parameters of the decoder, its adapters and the score head."""
        return self._base_params() + self._lora_params() + self._head_params()

    def num_trainable_params(self) -> int:
        """Parameters that training changes: with LoRA the adapters and the head, else all."""
        frozen = self._base_params() if self.lora.rank else 0
        return self.num_params() - frozen

    def flops_per_token(self, sequence_length: int) -> float:
        """Model FLOPs of forward and backward for one token of a causal sequence.

        For each parameter that is multiplied (the embedding is looked up, not multiplied) 2 in the
        forward pass, 2 for the gradient of its input, and 2 for its own gradient unless LoRA
        freezes it. Attention: 12 · layers · heads · head_dim · tokens seen, which is half the
        sequence on average, or the sliding window where that is shorter (the convention of PaLM,
        appendix B, with the causal half).
        """
        embedding = self.vocab_size * self.hidden_size
        multiplied = self.num_params() - embedding
        learned = self.num_trainable_params() - (0 if self.lora.rank else embedding)
        attention = 3 * self._attention_flops(sequence_length)
        return 4.0 * multiplied + 2.0 * learned + attention

    def forward_flops_per_token(self, sequence_length: int) -> float:
        """The part of `flops_per_token` that scoring does: the forward pass alone."""
        multiplied = self.num_params() - self.vocab_size * self.hidden_size
        return 2.0 * multiplied + self._attention_flops(sequence_length)

    def _attention_flops(self, sequence_length: int) -> float:
        """Of the forward pass, for one token: q k and p v."""
        seen = min(sequence_length / 2, self.sliding_window or sequence_length)
        return 4 * self.num_layers * self.num_heads * self.head_dim * seen

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Reads the JSON form. Raises InputError on fields that are unknown or of another kind."""
        return read_dataclass(cls, data, "model config")

    def _base_params(self) -> int:
        matrices = sum(i * o for i, o in map(self.projection_shape, PROJECTIONS))
        q, kv = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        biases = q + 2 * kv if self.qkv_bias else 0
        norms = 2 * self.hidden_size + (2 * self.head_dim if self.qk_norm else 0)
        layers = self.num_layers * (matrices + biases + norms)
        return self.vocab_size * self.hidden_size + layers + self.hidden_size

    def _lora_params(self) -> int:
        if not self.lora.rank:
            return 0
        widths = sum(sum(self.projection_shape(name)) for name in self.lora.targets)
        return self.num_layers * self.lora.rank * widths

    def _head_params(self) -> int:
        hidden = self.hidden_size
        return {"value": hidden, "classifier": hidden + 1, "mlp": hidden * (hidden + 2) + 1}[
            self.head
        ]
