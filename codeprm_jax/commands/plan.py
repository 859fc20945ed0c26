"""`codeprm plan configs/NAME.py --topology v5e:16x16 [--json] [--scorer] [options of train]`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from codeprm_jax.commands.output import say, table
from codeprm_jax.commands.train import load_preset
from codeprm_jax.files import InputError
from codeprm_jax.plan.planning import Plan, make_plan
from codeprm_jax.plan.work import COLLECTIVES
from codeprm_jax.training.config import TrainConfig

_GIB = 2**30


@dataclass(frozen=True)
class PlanCommand:
    """Compiles a preset's training step for TPUs that are not there.

    Says what it needs and how long it takes at best. Exit code 0: it fits; 1: it does not.

    Attributes:
      topology: the slice, such as v5e:16x16 or v5p:4x4x4.
      json: write one JSON object, in bytes, seconds and FLOPs.
      scorer: plan the scorer's forward pass instead, on batch_rows rows of row_tokens.
    """

    topology: str
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    scorer: tyro.conf.FlagCreatePairsOff[bool] = False
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def prepare(arguments: list[str], prog: str) -> int:
    """Reads the preset, lets options override it, and plans."""
    if arguments and arguments[0] in ("-h", "--help"):
        tyro.cli(
            PlanCommand,
            args=["--help"],
            prog=f"{prog} CONFIG.py",
            default=PlanCommand(tyro.MISSING),
        )
    if not arguments or arguments[0].startswith("-"):
        raise InputError(f"the preset comes first: {prog} configs/NAME.py --topology v5e:4x4")
    default = PlanCommand(tyro.MISSING, config=load_preset(Path(arguments[0])))
    return run(tyro.cli(PlanCommand, args=arguments[1:], prog=prog, default=default))


def run(command: PlanCommand) -> int:
    """Plans and says what came of it; 0 where it fits, else 1."""
    plan = make_plan(command.config, command.topology, command.scorer)
    say(json.dumps(plan.to_json()) if command.json else _text(plan))
    return 0 if plan.fits else 1


def _text(plan: Plan) -> str:
    topology, memory, work, times = plan.topology, plan.memory, plan.work, plan.roofline
    chip = topology.accelerator
    per = "chip" if chip.devices_per_chip == 1 else f"device (1/{chip.devices_per_chip} of a chip)"
    mesh = " x ".join(f"{name} {size}" for name, size in plan.mesh.items())
    parts = ("arguments", "outputs", "temporaries", "code", "peak")
    memory_rows = [(name, f"{getattr(memory, name) / _GIB:.2f}") for name in parts]
    counts, sizes = work.collective_counts(), work.collective_bytes()
    collective_rows = [
        (kind, f"{counts[kind]:,}", f"{sizes[kind] / _GIB:.2f}")
        for kind in COLLECTIVES
        if counts[kind]
    ]
    time_rows = [
        ("compute", f"{work.flops / 1e12:,.1f} TFLOP", f"{times.compute:.4f}"),
        ("HBM", f"{work.hbm_bytes / _GIB:,.1f} GiB", f"{times.hbm:.4f}"),
        ("interconnect", f"{sum(sizes.values()) / _GIB:,.1f} GiB", f"{times.interconnect:.4f}"),
    ]
    lines = [
        f"{plan.program} on {topology.name}: {topology.num_chips} chips, mesh {mesh}, "
        f"{plan.batch_rows} rows of {plan.row_tokens:,} tokens",
        "",
        table((f"memory of a {per}", "GiB"), memory_rows),
        "",
        table(("collectives of a step", "count", "GiB"), collective_rows or [("none", "", "")]),
        "",
        table((f"roofline of a {per}", "work", "seconds"), time_rows),
        "",
        f"step {times.seconds:.3f} s if all overlaps, {times.seconds_unoverlapped:.3f} s if "
        f"collectives do not; MFU {times.mfu:.2f} to {times.mfu_unoverlapped:.2f}; limited by "
        f"{times.limit}",
        *(f"note: {note}" for note in plan.notes),
        plan.verdict(),
    ]
    return "\n".join(lines)
