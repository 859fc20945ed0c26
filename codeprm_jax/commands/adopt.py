"""`codeprm adopt`: says how the input of another project's PRM is laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from codeprm_jax.commands.output import say
from codeprm_jax.data.layout import FOREIGN_LAYOUTS, Layout, Style
from codeprm_jax.data.tokenizer import load_tokenizer
from codeprm_jax.files import InputError
from codeprm_jax.model.checkpoint import open_checkpoint
from codeprm_jax.training.model_directory import PRM_CONFIG, write_prm_config


def main(
    model: Annotated[Path, tyro.conf.Positional],
    /,
    style: Style,
    step_tag: str | None = None,
    good_token: str | None = None,
    bad_token: str | None = None,
    max_tokens: int = 4096,
) -> int:
    """Writes prm_config.json into a Hugging Face directory, after checking that it can be scored.

    Args:
      model: the directory: config.json, safetensors, tokenizer.
      style: how its authors lay an input out; trl (stepwise supervision), qwen-math-prm or
        math-shepherd.
      step_tag: closes a step, where it is not the style's own.
      good_token: of a language-model head, where it is not the style's own.
      bad_token: as good_token.
      max_tokens: of one input.
    """
    if (model / PRM_CONFIG).exists():
        raise InputError(f"{model / PRM_CONFIG} exists; remove it to write another")
    settings, tokens = FOREIGN_LAYOUTS[style]
    settings = settings.changed(max_tokens=max_tokens, step_tag=step_tag or settings.step_tag)
    if good_token or bad_token or tokens:
        given = (good_token or (tokens and tokens[0]), bad_token or (tokens and tokens[1]))
        if not given[0] or not given[1]:
            raise InputError("--good-token and --bad-token belong together")
        tokens = (given[0], given[1])
    tokenizer = load_tokenizer(model)
    layout = Layout(settings, tokenizer)
    ids = None
    if tokens:
        ids = (
            tokenizer.token_id(tokens[0], "good token"),
            tokenizer.token_id(tokens[1], "bad token"),
        )
    checkpoint = open_checkpoint(model, ids)
    if checkpoint.head == "none":
        raise InputError(
            f"{model} has no score head: it is a language model. Name two tokens of its head with "
            "--good-token and --bad-token, or train a PRM from it"
        )
    write_prm_config(model, settings, "success_rate", tokens=tokens)
    say(
        f"{checkpoint.config.family}, {checkpoint.config.num_params():,} parameters, head "
        f"{checkpoint.head}; step tag {settings.step_tag!r} is token {layout.tag}"
    )
    say(f"{model / PRM_CONFIG} written")
    return 0
