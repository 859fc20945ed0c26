"""Low-rank adapters as trees: which parameters are trained, and adapters folded into matrices.

The adapters' arithmetic is in `decoder.Linear`. Here parameters are divided into what is trained
and what is frozen, so that gradients, optimizer state and checkpoints exist for the former alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from codeprm_jax.model.config import LoraConfig, ModelConfig

Tree = dict[str, Any]

ADAPTER = ("lora_a", "lora_b")


def is_trained(config: ModelConfig, path: tuple[str, ...]) -> bool:
    """Whether training changes the parameter at `path`: with LoRA adapters and score head only."""
    return not config.lora.rank or path[-1] in ADAPTER or path[0] == "score"


def divide(config: ModelConfig, params: Tree) -> tuple[Tree, Tree]:
    """(trained, frozen): two trees that `join` puts together again. Leaves may be anything."""

    def pick(tree: Tree, wanted: bool, path: tuple[str, ...] = ()) -> Tree:
        picked: Tree = {}
        for name, value in tree.items():
            here = (*path, name)
            if isinstance(value, dict):
                if inner := pick(value, wanted, here):
                    picked[name] = inner
            elif is_trained(config, here) == wanted:
                picked[name] = value
        return picked

    return pick(params, True), pick(params, False)


def join(first: Tree, second: Tree) -> Tree:
    """The union of two trees that share no leaf. Raises ValueError where they do."""
    joined = dict(first)
    for name, value in second.items():
        if name not in joined:
            joined[name] = value
        elif isinstance(value, dict) and isinstance(joined[name], dict):
            joined[name] = join(joined[name], value)
        else:
            raise ValueError(f"both trees hold {name!r}")
    return joined


def frozen_dtype(config: ModelConfig, path: tuple[str, ...]) -> jnp.dtype:
    """The dtype in which a frozen parameter is kept.

    A matrix is converted to the compute dtype before each product, so keeping it there changes no
    result. Norms are computed in float32 and stay so.
    """
    return jnp.dtype("float32" if path[-1] == "scale" else config.dtype)


def merge(config: ModelConfig, params: Tree) -> tuple[ModelConfig, Tree]:
    """The same model without adapters: W + (alpha / rank) · A B for every adapted W.

    Products are float32, results in W's dtype. Returns the config with rank 0 beside the params.
    """
    if not config.lora.rank:
        return config, params
    merge_all = jax.jit(lambda tree: _merge(tree, config.lora.scale))
    return replace(config, lora=LoraConfig(rank=0)), merge_all(params)


def _merge(tree: Tree, scale: float) -> Tree:
    if "lora_a" in tree:
        a, b, kernel = tree["lora_a"], tree["lora_b"], tree["kernel"]
        update = jnp.einsum("lir,lro->lio", a, b, precision="highest") * scale
        merged = (kernel.astype(jnp.float32) + update).astype(kernel.dtype)
        rest = {k: v for k, v in tree.items() if k not in ADAPTER}
        return rest | {"kernel": merged}
    return {k: _merge(v, scale) if isinstance(v, dict) else v for k, v in tree.items()}
