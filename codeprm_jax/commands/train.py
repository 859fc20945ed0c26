"""`codeprm train configs/NAME.py [--training.learning-rate 3e-5 …]`, in one process or several."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from codeprm_jax.commands.output import say
from codeprm_jax.commands.presets import read_preset
from codeprm_jax.distributed import HostsConfig, agree, session
from codeprm_jax.files import InputError
from codeprm_jax.training.config import TrainConfig
from codeprm_jax.training.loop import TrainSummary, train


@dataclass(frozen=True)
class TrainCommand:
    """What the command line says: what to train, and where this process stands among others.

    Attributes:
      config: of the run.
      hosts: of this process only.
      stopped_exit_code: after a SIGTERM that was obeyed. A scheduler that takes 0 for a run that is
        done, as Kubernetes does, needs another one.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    hosts: HostsConfig = HostsConfig()
    stopped_exit_code: int = 0


@dataclass(frozen=True)
class _HostsOnly:
    hosts: HostsConfig = HostsConfig()


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
        default = TrainCommand(TrainConfig())
        tyro.cli(TrainCommand, args=["--help"], prog=prog, default=default, description=description)
    if arguments[0].startswith("-"):
        raise InputError(f"the preset comes first: {prog} configs/quickstart.py [options]")
    # The rest is read among the others already: what is wrong here alone then ends all of them.
    hosts = _hosts(arguments[1:], prog)
    with session(hosts, prog) as processes:
        preset = TrainCommand(load_preset(Path(arguments[0])), hosts)
        command = tyro.cli(TrainCommand, args=arguments[1:], prog=prog, default=preset)
        config = command.config
        agree("settings", _settings(config))
        summary = train(config)
        if processes.process_id == 0:  # what all of them know alike, one tells
            _tell(config, summary)
        if summary.stopped_by == signal.SIGINT:
            return 1  # nothing behind `&&` shall start
        return 0 if summary.stopped_by is None else command.stopped_exit_code


def _hosts(arguments: list[str], prog: str) -> HostsConfig:
    if {"-h", "--help"} & set(arguments):
        return HostsConfig()
    found, _ = tyro.cli(_HostsOnly, args=arguments, prog=prog, return_unknown_args=True)
    return found.hosts


def _settings(config: TrainConfig) -> dict[str, Any]:
    """What must be the same everywhere; what is only read may lie elsewhere on another host."""
    elsewhere = replace(config.data, data_dir=Path(), tokenizer=None)
    read = None if config.checkpoint is None else Path()
    return replace(config, data=elsewhere, checkpoint=read).to_json()


def _tell(config: TrainConfig, summary: TrainSummary) -> None:
    shown = ", ".join(f"{k} {v:.4f}" for k, v in summary.metrics.items())
    say(f"{summary.steps} steps, {summary.tokens_per_second:,.0f} tokens/s; validation: {shown}")
    if summary.stopped_by is not None:
        say(f"stopped and saved; run the same command again to go on from step {summary.steps}")
    say(f"run directory {config.training.out}")


def load_preset(path: Path) -> TrainConfig:
    """The preset of a training. Raises InputError where there is none."""
    return read_preset(path, TrainConfig)
