"""`codeprm train configs/NAME.py [--training.learning-rate 3e-5 …]`."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path
from typing import Any

import tyro

from codeprm_jax.commands.output import say
from codeprm_jax.files import InputError
from codeprm_jax.training.config import TrainConfig
from codeprm_jax.training.loop import train


def prepare(arguments: list[str], prog: str) -> int:
    """Reads the preset, lets options override it, and trains.

    The preset is the first argument: a Python file with `config = TrainConfig(...)`.
    """
    if not arguments:
        raise InputError(f"name a preset: {prog} configs/quickstart.py [options]")
    if arguments[0] in ("-h", "--help"):
        description = (
            f"usage: {prog} CONFIG.py [options]\n\nCONFIG.py is a preset such as "
            "configs/quickstart.py; the options below override its values."
        )
        default = TrainConfig()
        tyro.cli(TrainConfig, args=["--help"], prog=prog, default=default, description=description)
    if arguments[0].startswith("-"):
        raise InputError(f"the preset comes first: {prog} configs/quickstart.py [options]")
    preset = load_preset(Path(arguments[0]))
    return run(tyro.cli(TrainConfig, args=arguments[1:], prog=prog, default=preset))


def run(config: TrainConfig) -> int:
    """Trains and says what came of it."""
    summary = train(config)
    shown = ", ".join(f"{k} {v:.4f}" for k, v in summary.metrics.items())
    say(f"{summary.steps} steps, {summary.tokens_per_second:,.0f} tokens/s; validation: {shown}")
    if summary.stopped_by is not None:
        say(f"stopped and saved; run the same command again to go on from step {summary.steps}")
    say(f"run directory {config.training.out}")
    # A scheduler's SIGTERM was obeyed; behind a Ctrl-C nothing else shall start.
    return int(summary.stopped_by == signal.SIGINT)


def load_preset(path: Path) -> TrainConfig:
    """The `config` of a preset file. Raises InputError where there is none."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; presets are in configs/")
    spec = importlib.util.spec_from_file_location("codeprm_preset", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file; a preset defines config = TrainConfig(...)")
    module: Any = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, AttributeError, TypeError, NameError) as error:
        raise InputError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    config = getattr(module, "config", None)
    if not isinstance(config, TrainConfig):
        raise InputError(f"{path} defines no config = TrainConfig(...)")
    return config
