"""Rotary position embedding (Su et al. 2021) and its variants for longer contexts."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from codeprm_jax.model.config import RopeConfig


def frequencies(config: RopeConfig, head_dim: int) -> np.ndarray:
    """Radians a position, float32[head_dim / 2], from the fastest to the slowest.

    Computed in float32 in the order of transformers' code, so that they agree to the last bits:
    at position 30,000 one unit in the last place of a frequency is 2e-3 radians.
    """
    exponents = np.arange(0, head_dim, 2).astype(np.float32) / np.float32(head_dim)
    periods = np.float32(config.theta) ** exponents
    plain = np.float32(1.0) / periods
    if config.kind == "linear":
        return plain / np.float32(config.factor)
    if config.kind == "llama3":
        return _llama3(config, plain)
    if config.kind == "yarn":
        return _yarn(config, periods)
    return plain


def rotate(x: jax.Array, positions: jax.Array, config: RopeConfig) -> jax.Array:
    """Rotates each head by its position, halves paired as in the Qwen2 and Llama code.

    Args:
      x: [batch, length, heads, head_dim].
      positions: int32[batch, length], counted from each example's start.

    Returns:
      The shape and dtype of x; angles are float32.
    """
    speeds = jnp.asarray(frequencies(config, x.shape[-1]))
    angles = positions[..., None, None].astype(jnp.float32) * speeds
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    if config.kind == "yarn":
        cos, sin = cos * config.attention_factor, sin * config.attention_factor
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x.dtype)


def _llama3(config: RopeConfig, plain: np.ndarray) -> np.ndarray:
    """Llama 3.1: waves longer than the old context are stretched, short ones are kept."""
    rotations = config.original_length * plain / (2 * math.pi)  # over the old context
    kept = (rotations - config.low_freq_factor) / (config.high_freq_factor - config.low_freq_factor)
    kept = np.clip(kept, 0.0, 1.0)
    return ((1 - kept) * plain / config.factor + kept * plain).astype(np.float32)


def _yarn(config: RopeConfig, periods: np.ndarray) -> np.ndarray:
    """YaRN (Peng et al. 2023, section 3.2): a ramp over dimensions, by rotations."""
    head_dim = 2 * len(periods)

    def dimension(rotations: float) -> float:
        wave = config.original_length / (rotations * 2 * math.pi)
        return head_dim * math.log(wave) / (2 * math.log(config.theta))

    low = max(math.floor(dimension(config.beta_fast)), 0)
    high = min(math.ceil(dimension(config.beta_slow)), head_dim - 1)
    ramp = (np.arange(len(periods), dtype=np.float32) - low) / max(high - low, 0.001)
    kept = 1 - np.clip(ramp, 0, 1)
    stretched = 1.0 / (np.float32(config.factor) * periods)
    return (stretched * (1 - kept) + 1.0 / periods * kept).astype(np.float32)
