"""The decoder's shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from codeprm_jax.files import InputError


@dataclass(frozen=True)
class ModelConfig:
    """A Qwen2 decoder (pre-norm, RMSNorm, rotary positions, SwiGLU, biases on q, k and v only).

    Attributes:
      vocab_size: rows of the embedding table.
      hidden_size: width of the residual stream.
      intermediate_size: hidden units of the SwiGLU block.
      num_layers, num_heads, num_kv_heads: as they say; heads are a multiple of key/value heads.
      head_dim: width of one head.
      rope_theta: base of the rotary frequencies.
      rms_norm_eps: added to the mean square.
      dtype: of activations and matrix products; parameters, softmax, norms, head and loss are
        float32 throughout.
      remat: whether a layer's activations are computed again in the backward pass.
    """

    vocab_size: int = 4096
    hidden_size: int = 128
    intermediate_size: int = 352
    num_layers: int = 2
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 32
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False

    def __post_init__(self) -> None:
        for field in ("vocab_size", "hidden_size", "intermediate_size", "num_layers", "num_heads"):
            if getattr(self, field) < 1:
                raise InputError(f"model.{field} must be positive, not {getattr(self, field)}")
        if self.num_kv_heads < 1 or self.num_heads % self.num_kv_heads:
            raise InputError(
                f"model.num_heads ({self.num_heads}) must be a multiple of "
                f"model.num_kv_heads ({self.num_kv_heads})"
            )
        if self.head_dim % 2:
            raise InputError(f"model.head_dim must be even for rotary positions: {self.head_dim}")

    def num_params(self) -> int:
        """Parameters of the decoder and the value head."""
        q, kv = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        attention = self.hidden_size * (2 * q + 2 * kv) + q + 2 * kv
        mlp = 3 * self.hidden_size * self.intermediate_size
        layer = attention + mlp + 2 * self.hidden_size
        return self.vocab_size * self.hidden_size + self.num_layers * layer + 2 * self.hidden_size

    def flops_per_token(self, sequence_length: int) -> float:
        """Model FLOPs of forward and backward for one token of a causal sequence.

        6 for each parameter that is multiplied (the embedding is looked up, not multiplied) plus
        attention: 12 · layers · heads · head_dim · length / 2, since a token sees half the
        sequence on average (the convention of PaLM, appendix B, with the causal half).
        """
        multiplied = self.num_params() - self.vocab_size * self.hidden_size
        attention = 6 * self.num_layers * self.num_heads * self.head_dim * sequence_length
        return 6.0 * multiplied + attention

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Reads the JSON form. Raises InputError on unknown fields."""
        try:
            return cls(**data)
        except TypeError as error:
            raise InputError(f"model config: {error}") from error
