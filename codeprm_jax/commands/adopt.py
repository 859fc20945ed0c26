"""`codeprm adopt`: says how the input of another project's PRM is laid out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from codeprm_jax.commands.output import say
from codeprm_jax.data.layout import FOREIGN_LAYOUTS, Layout, Style
from codeprm_jax.data.tokenizer import has_tokenizer, load_tokenizer
from codeprm_jax.files import InputError, read_json
from codeprm_jax.model import peft
from codeprm_jax.model.checkpoint import open_checkpoint
from codeprm_jax.model.huggingface import CONFIG_FILE
from codeprm_jax.traces.trace import Target
from codeprm_jax.training.model_directory import PRM_CONFIG, Base, token_ids, write_prm_config


def main(
    model: Annotated[Path, tyro.conf.Positional],
    /,
    style: Style,
    base: Path | None = None,
    step_tag: str | None = None,
    good_token: str | None = None,
    bad_token: str | None = None,
    max_tokens: int = 4096,
) -> int:
    """Writes prm_config.json into a Hugging Face directory, after checking that it can be scored.

    Args:
      model: the directory: config.json, safetensors, tokenizer; or a PEFT adapter.
      style: how its authors lay an input out: trl (stepwise supervision), qwen-math-prm,
        math-shepherd, or codeprm-release (with program and feedback).
      base: the checkpoint that an adapter belongs to, where adapter_config.json does not say.
      step_tag: closes a step, where it is not the style's own.
      good_token: of a language-model head, where it is not the style's own.
      bad_token: as good_token.
      max_tokens: of one input.
    """
    if (model / PRM_CONFIG).exists():
        raise InputError(f"{model / PRM_CONFIG} exists; remove it to write another")
    settings, tokens = FOREIGN_LAYOUTS[style]
    tag = settings.step_tag if step_tag is None else step_tag
    settings = replace(settings, max_tokens=max_tokens, step_tag=tag)
    if good_token or bad_token or tokens:
        given = (good_token or (tokens and tokens[0]), bad_token or (tokens and tokens[1]))
        if not given[0] or not given[1]:
            raise InputError("--good-token and --bad-token belong together")
        if given[0] == given[1]:
            raise InputError(f"--good-token and --bad-token are the same, {given[0]!r}")
        tokens = (given[0], given[1])
    adapter = (model / peft.CONFIG_FILE).is_file()
    base = _base_of(model, base) if adapter else None
    tokenizer = load_tokenizer(base if base and not has_tokenizer(model) else model)
    if style == "trl":
        settings = replace(settings, problem=tokenizer.beginning + settings.problem)
    layout = Layout(settings, tokenizer)
    checkpoint = open_checkpoint(base or model, token_ids(tokenizer, tokens))
    config, head = checkpoint.config, str(checkpoint.head)
    if base:
        config, _ = peft.read_adapter(model, config)
        head = f"{config.head} of an adapter"
    elif checkpoint.head == "none":
        raise InputError(
            f"{model} has no score head: it is a language model. Name two tokens of its head with "
            "--good-token and --bad-token, or train a PRM from it"
        )
    if not has_tokenizer(model):
        tokenizer.save(model)
    target: Target = "pass_rate" if style == "codeprm-release" else "success_rate"
    known = Base.of(base) if base else None
    write_prm_config(model, settings, target, base=known, tokens=tokens)
    say(
        f"{config.family}, {config.num_params():,} parameters, head {head}; "
        f"step tag {settings.step_tag!r} is token {layout.tag}"
    )
    say(f"{model / PRM_CONFIG} written")
    return 0


def _base_of(adapter: Path, named: Path | None) -> Path:
    """The checkpoint of an adapter: as named, or as its config says, beside it or from here."""
    config = read_json(adapter / peft.CONFIG_FILE)
    said = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    said = said if isinstance(said, str) and said else None
    candidates = [named] if named else [adapter / said, Path(said)] if said else []
    for folder in candidates:
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise InputError(
        f"{adapter}: its base checkpoint is not at {named or said}; name its folder with --base"
    )
