"""Checkpoints of a run: Orbax, written in the background.

`checkpoints/STEP/` of a run directory holds the trained parameters and the rest of the state as two
items, so that a scorer reads the parameters alone. What adapters freeze is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orbax.checkpoint as ocp
from flax import serialization

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.training.step import TrainState


class Checkpoints:
    """Saves and restores TrainStates of one run; saving goes on in the background.

    Args:
      run: run directory.
      keep: newest checkpoints kept.
    """

    def __init__(self, run: Path, keep: int) -> None:
        self._manager = ocp.CheckpointManager(
            _folder(run),
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
        )

    @property
    def latest_step(self) -> int | None:
        """The newest complete checkpoint's step."""
        return self._manager.latest_step()

    def save(self, state: TrainState, metrics: Mapping[str, float]) -> None:
        """Starts to save; the state may be donated as soon as this returns."""
        rest = {"opt_state": state.opt_state, "rng": state.rng, "step": state.step}
        self._manager.save(
            int(state.step),
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(state.params),
                # Optax states are tuples; as nested dicts with string keys they restore anywhere.
                training=ocp.args.StandardSave(serialization.to_state_dict(rest)),
                metrics=ocp.args.JsonSave(dict(metrics)),
            ),
        )

    def restore(self, abstract: TrainState) -> TrainState:
        """The newest checkpoint, placed as `abstract` (ShapeDtypeStructs with shardings) says."""
        rest = {"opt_state": abstract.opt_state, "rng": abstract.rng, "step": abstract.step}
        restored = self._manager.restore(
            self._manager.latest_step(),
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(abstract.params),
                training=ocp.args.StandardRestore(serialization.to_state_dict(rest)),
            ),
        )
        rest = serialization.from_state_dict(rest, restored["training"])
        return TrainState(rest["step"], restored["params"], rest["opt_state"], rest["rng"])

    def close(self) -> None:
        """Waits for what is being saved."""
        self._manager.wait_until_finished()
        self._manager.close()


def restore_params(run: Path, abstract: decoder.Params) -> tuple[decoder.Params, int]:
    """The trained parameters of the newest checkpoint, placed as `abstract` says, and its step.

    Raises InputError if there is no complete checkpoint.
    """
    if not _folder(run).is_dir():
        raise InputError(f"{run} has no checkpoints; train it first")
    with ocp.CheckpointManager(_folder(run)) as manager:
        step = manager.latest_step()
        if step is None:
            raise InputError(f"{run} has no complete checkpoint; train it first")
        try:
            restored = manager.restore(
                step, args=ocp.args.Composite(params=ocp.args.StandardRestore(abstract))
            )
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise InputError(
                f"checkpoint {step} of {run} is damaged, or not of the shape that its "
                f"prm_config.json says: {error}"
            ) from error
    return restored["params"], step


def _folder(run: Path) -> Path:
    return Path(run).resolve() / "checkpoints"
