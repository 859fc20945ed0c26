"""Checkpoints of a run: Orbax, written in the background.

`checkpoints/STEP/` of a run directory holds `params`, the trained parameters that are scored with
(their moving average where one is kept); `training`, the rest of the state: step (which is also
the position in the data), moments, RNG key, and the parameters themselves where `params` are an
average; and `digests` of both, by which numbers that were changed on the disk are noticed. A scorer
reads the parameters alone. What adapters freeze is not in it.
Which of them is the best follows from the validations in metrics.jsonl.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import serialization
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.training.digest import digests
from codeprm_jax.training.metrics_log import validations
from codeprm_jax.training.step import TrainState

logger = logging.getLogger(__name__)

Which = int | Literal["last", "best"]

_HIGHER_IS_BETTER = ("r2", "auroc")


class Checkpoints:
    """Saves and restores TrainStates of one run; saving goes on in the background.

    Every process of a job calls every method; each writes and reads what its devices hold, in a
    directory that all of them see.

    Args:
      run: run directory.
      keep: newest checkpoints kept, beside the best.
      metric: validation metric by which a checkpoint is the best.

    Attributes:
      validated: metrics of the checkpoints' steps, where there was a validation.
    """

    def __init__(self, run: Path, keep: int, metric: str) -> None:
        self._run, self._metric = Path(run), metric
        self._manager = ocp.CheckpointManager(
            _folder(run),
            options=ocp.CheckpointManagerOptions(
                create=True,
                cleanup_tmp_directories=True,  # of saves that a kill cut short
                preservation_policy=_NewestAndBest(keep, self),
            ),
        )
        self.validated = {
            step: metrics
            for step, metrics in validations(self._run).items()
            if step in self._manager.all_steps()
        }

    @property
    def latest_step(self) -> int | None:
        """The newest complete checkpoint's step."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step with the best validation; None where no checkpoint has one."""
        return _best(self.validated, self._metric)

    def save(self, state: TrainState) -> None:
        """Starts to save; the state may be donated as soon as this returns."""
        step = int(state.step)
        if step == self.latest_step:
            return
        items = _items(state)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **{name: ocp.args.StandardSave(tree) for name, tree in items.items()},
                digests=ocp.args.JsonSave({n: digests(tree) for n, tree in items.items()}),
            ),
        )

    def restore(self, abstract: TrainState) -> TrainState | None:
        """The newest checkpoint that can be read; None where there is none at all.

        A damaged one is moved to `damaged/` of the run directory, with a warning.

        Args:
          abstract: ShapeDtypeStructs with the shardings that the state shall have.

        Raises InputError if there are checkpoints and none can be read.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            found, problem = None, "another process cannot read its part"
            try:
                found = _read(self._manager, step, _items(abstract))
            except Exception as error:  # noqa: BLE001 - Orbax raises Exception itself, too
                problem = _damage(error)
            # All have read, or none goes on: digests are computed by all processes together.
            if _everywhere(found is not None) and found is not None:
                problem = _changed(found, _items(abstract))
                if not problem:
                    self._set_aside([s for s in steps if s > step])
                    return _state(found, abstract)
            logger.warning(
                "checkpoint %d of %s is damaged (%s); trying the one before it",
                step,
                self._run,
                problem,
            )
        if not steps:
            return None
        raise InputError(
            f"none of the checkpoints {steps} of {self._run} can be read; restore one from a copy, "
            f"or remove {_folder(self._run)} to begin anew"
        )

    def close(self) -> None:
        """Waits for what is being saved."""
        self._manager.wait_until_finished()
        self._manager.close()

    def _set_aside(self, steps: Sequence[int]) -> None:
        if not steps:
            return
        if jax.process_index() == 0:
            for step in steps:
                aside = self._run / "damaged" / str(step)
                while aside.exists():
                    aside = aside.with_name(aside.name + ".again")
                aside.parent.mkdir(exist_ok=True)
                (_folder(self._run) / str(step)).rename(aside)
        _everywhere(True)  # no process looks before all of them are moved
        self._manager.reload()
        self.validated = {s: m for s, m in self.validated.items() if s not in steps}


class _NewestAndBest(checkpoint_managers.PreservationPolicy):
    """What Orbax keeps when it has saved another checkpoint."""

    def __init__(self, keep: int, checkpoints: Checkpoints) -> None:
        self._keep, self._checkpoints = keep, checkpoints

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        steps = [c.step for c in checkpoints]
        newest = set(sorted(steps)[-self._keep :])
        return [s in newest or s == self._checkpoints.best_step for s in steps]


def restore_params(
    run: Path, abstract: decoder.Params, which: Which, metric: str
) -> tuple[decoder.Params, int]:
    """The parameters to score with of one checkpoint, placed as `abstract` says, and its step.

    Args:
      which: the newest, the best by `metric`, or that of a step.

    Raises InputError if there is no such checkpoint, or it is damaged.
    """
    if not _folder(run).is_dir():
        raise InputError(f"{run} has no checkpoints; train it first")
    with ocp.CheckpointManager(_folder(run)) as manager:
        steps = sorted(manager.all_steps())
        if not steps:
            raise InputError(f"{run} has no complete checkpoint; train it first")
        step = steps[-1] if which == "last" else which
        if which == "best":
            found = validations(run)
            step = _best({s: found[s] for s in steps if s in found}, metric)
            if step is None:
                raise InputError(f"no checkpoint of {run} was validated; name one of {steps}")
        if not isinstance(step, int) or step not in steps:
            raise InputError(f"{run} has no checkpoint of step {step}, it has {steps}")
        try:
            restored, problem = _read(manager, step, {"params": abstract}), ""
        except Exception as error:  # noqa: BLE001 - Orbax raises Exception itself, too
            restored, problem = {}, _damage(error)
        problem = problem or _changed(restored, {"params": abstract})
        if problem:
            others = ", ".join(f"{run}@{s}" for s in steps if s != step)
            raise InputError(
                f"checkpoint {step} of {run} is damaged, or not of the shape that its "
                f"prm_config.json says{f'; name another: {others}' if others else ''}: {problem}"
            )
    return restored["params"], int(step)


def _best(validated: Mapping[int, Mapping[str, float]], metric: str) -> int | None:
    """The step with the best metric, the first of equals; NaN is none."""
    sign = 1 if metric in _HIGHER_IS_BETTER else -1
    values = {step: sign * metrics.get(metric, math.nan) for step, metrics in validated.items()}
    known = sorted(step for step, value in values.items() if not math.isnan(value))
    return max(known, key=lambda step: values[step], default=None)


def _items(state: TrainState) -> dict[str, Any]:
    """The items of a checkpoint of this state, or of an abstract one."""
    # Optax states are tuples; as nested dicts with string keys they restore anywhere.
    return {"params": state.scored, "training": serialization.to_state_dict(_rest(state))}


def _state(found: Mapping[str, Any], abstract: TrainState) -> TrainState:
    """The inverse of `_items`."""
    rest = serialization.from_state_dict(_rest(abstract), found["training"])
    return TrainState(
        rest["step"],
        rest.get("params", found["params"]),
        found["params"] if abstract.ema else {},
        rest["opt_state"],
        rest["rng"],
    )


def _read(manager: ocp.CheckpointManager, step: int, wanted: Mapping[str, Any]) -> Any:
    """Items of a checkpoint, placed as the abstract trees say, and their digests."""
    items = {name: ocp.args.StandardRestore(tree) for name, tree in wanted.items()}
    args = ocp.args.Composite(**items, digests=ocp.args.JsonRestore())
    return manager.restore(step, args=args)


def _changed(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What of the items is not the numbers that were saved; "" if all are."""
    names = [n for n in wanted if digests(found[n]) != found["digests"][n]]
    return f"its {' and '.join(names)} are not the numbers that were saved" if names else ""


def _damage(error: Exception) -> str:
    """What is wrong with a checkpoint; raises the error again if that is not the matter."""
    if isinstance(error, MemoryError | jax.errors.JaxRuntimeError):
        raise error
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        raise error  # the file system's trouble, such as a missing right
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _rest(state: TrainState) -> dict[str, Any]:
    """The state without what stands in the item `params`."""
    rest = {"opt_state": state.opt_state, "rng": state.rng, "step": state.step}
    return rest | ({"params": state.params} if state.ema else {})


def _everywhere(here: bool) -> bool:
    """Whether it is so in every process; waits for all of them."""
    if jax.process_count() == 1:
        return here
    return bool(np.all(multihost_utils.process_allgather(np.array(here))))


def _folder(run: Path) -> Path:
    return Path(run).resolve() / "checkpoints"
