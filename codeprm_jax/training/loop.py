"""The training run: one linear story from a dataset to the last checkpoint."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import math
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from codeprm_jax.data.packing import unpack_row
from codeprm_jax.data.pipeline import BatchStream, PackedData, pack_records, tokenizer_for
from codeprm_jax.files import (
    InputError,
    RunError,
    append_jsonl,
    read_valid_prefix,
    stable_seed,
    write_json,
    write_jsonl,
)
from codeprm_jax.model import attention, decoder, lora
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import batch_divisor, make_mesh
from codeprm_jax.traces.dataset import read_split, read_statistics
from codeprm_jax.training.checkpoints import Checkpoints
from codeprm_jax.training.config import TrainConfig
from codeprm_jax.training.metrics import regression_metrics
from codeprm_jax.training.model_directory import load_frozen
from codeprm_jax.training.start import first_state, prepare_run
from codeprm_jax.training.step import (
    abstract_state,
    make_optimizer,
    make_train_step,
    put_batch,
)

logger = logging.getLogger(__name__)


class TrainingError(RunError):
    """The run cannot go on; the message says where it stopped and what was saved."""


@dataclass(frozen=True)
class TrainSummary:
    """What a run came to.

    Attributes:
      steps: steps done in all.
      metrics: of the last validation.
      tokens_per_second: useful (unpadded) tokens, median over this call's steps.
      interrupted: whether SIGTERM or Ctrl-C ended it before its last step.
    """

    steps: int
    metrics: dict[str, float]
    tokens_per_second: float
    interrupted: bool


def train(config: TrainConfig) -> TrainSummary:
    """Trains, or goes on from the newest checkpoint in `config.training.out`.

    Raises:
      InputError: no dataset, a mesh that does not fit, or a run directory of another config.
      TrainingError: the loss is not finite.
    """
    run, training = Path(config.training.out), config.training

    # Data: read once, tokenised once, packed by a plan.
    mesh = make_mesh(config.mesh)
    if training.batch_rows % batch_divisor(mesh):
        raise InputError(
            f"training.batch_rows ({training.batch_rows}) must be a multiple of "
            f"data x fsdp = {batch_divisor(mesh)}"
        )
    # Rows are packed: an attention that cannot keep their examples apart is refused here.
    attention.check_config(config.model, mesh, packed=True)
    train_records = read_split(config.data.data_dir, "train")
    dataset = stable_seed(read_statistics(config.data.data_dir))  # tells one from another
    layout, model, base = prepare_run(
        run, config, dataset, lambda: tokenizer_for(train_records, config.data.vocab_size)
    )
    data = pack_records(train_records, layout, config.data.row_tokens, config.data.target)
    validation = pack_records(
        read_split(config.data.data_dir, "validation"),
        layout,
        config.data.row_tokens,
        config.data.target,
    )
    stream = BatchStream(data, training.batch_rows, training.epochs, training.seed)
    total = stream.num_batches

    # State: fresh, or the newest checkpoint.
    optimizer = make_optimizer(training, total)
    checkpoints = Checkpoints(run, training.keep_checkpoints)
    if checkpoints.latest_step is not None:
        state = checkpoints.restore(abstract_state(mesh, model, optimizer))
        logger.info("going on from step %d", int(state.step))
    else:
        state = first_state(base, model, optimizer, training.seed, mesh)
    frozen = load_frozen(model, base, mesh)
    start = int(state.step)
    train_step = make_train_step(mesh, model, training, optimizer)
    forward = make_forward(model)
    _write_run_json(run, config, dataset, model, data, validation, total, mesh)

    # The loop.
    metrics: dict[str, float] = {}
    rates: list[float] = []
    with (
        contextlib.closing(checkpoints),
        contextlib.closing(MetricsLog(run, start)) as log,
        jax.set_mesh(mesh),
        stop_requested() as stop,
        tqdm(total=total, initial=start, unit="step", desc="train", disable=None) as bar,
    ):
        for step, batch in enumerate(stream.starting_at(start), start + 1):
            began = time.perf_counter()
            state, measured = train_step(state, frozen, put_batch(mesh, batch))
            values = {k: float(v) for k, v in jax.device_get(measured).items()}
            seconds = time.perf_counter() - began
            tokens = int((batch["segment_ids"] > 0).sum())
            if not math.isfinite(values["loss"]):
                raise TrainingError(
                    f"loss is {values['loss']} at step {step}; the last checkpoint is of step "
                    f"{checkpoints.latest_step}. Lower training.learning_rate and start again"
                )
            log.write(step, "train", values | {"seconds": seconds, "tokens": tokens})
            if step > start + 1:  # the first step compiles
                rates.append(tokens / seconds)
            bar.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)
            bar.update()
            last = step == total or stop.is_set()
            if last or step % training.evaluate_every == 0:
                params = lora.join(frozen, state.params)
                metrics = evaluate(forward, params, validation, mesh, training.batch_rows)
                log.write(step, "validation", metrics)
            if last or step % training.checkpoint_every == 0:
                checkpoints.save(state, metrics)
            if last:
                break
    metrics = metrics or log.last_validation
    rate = float(np.median(rates)) if rates else float("nan")
    return TrainSummary(int(state.step), metrics, rate, int(state.step) < total)


def make_forward(model: ModelConfig, packed: bool = True) -> Callable[..., jax.Array]:
    """Jitted (params, tokens, segment_ids, positions) -> scores: float32[batch, length].

    `packed=False` promises rows of one example each.
    """

    @jax.jit
    def forward(
        params: decoder.Params, tokens: jax.Array, segment_ids: jax.Array, positions: jax.Array
    ) -> jax.Array:
        return jax.nn.sigmoid(
            decoder.apply(model, params, tokens, segment_ids, positions, packed=packed)
        )

    return forward


def evaluate(
    forward: Callable[..., jax.Array],
    params: decoder.Params,
    data: PackedData,
    mesh: Mesh,
    batch_rows: int,
) -> dict[str, float]:
    """`regression_metrics` of the scores of all steps of `data`.

    Raises TrainingError if a score is not finite.
    """
    scores: dict[int, np.ndarray] = {}
    rows = data.plan.rows
    for begin in range(0, len(rows), batch_rows):
        # The last batch is filled up with the first rows, so that one shape is compiled.
        indices = [i % len(rows) for i in range(begin, begin + batch_rows)]
        batch = [data.row(i) for i in indices]
        stacked = {
            k: np.stack([b[k] for b in batch]) for k in ("tokens", "segment_ids", "positions")
        }
        values = np.asarray(forward(params, **put_batch(mesh, stacked)))
        for row, index in zip(values, indices, strict=True):
            members = rows[index]
            steps = unpack_row(row, [data.examples[i] for i in members])
            scores.update(zip(members, steps, strict=True))
    order = range(len(data.examples))
    values = np.concatenate([scores[i] for i in order])
    if not np.isfinite(values).all():
        raise TrainingError(
            "validation scores are not finite: the parameters have diverged. Nothing was saved of "
            "this step; lower training.learning_rate and start again"
        )
    return regression_metrics(
        np.concatenate([data.targets[i] for i in order]),
        values,
        np.concatenate([data.reachable[i] for i in order]),
    )


class MetricsLog:
    """metrics.jsonl and TensorBoard; records of steps after `start` from an earlier try are cut."""

    def __init__(self, run: Path, start: int) -> None:
        from tensorboardX import SummaryWriter

        self._path = Path(run) / "metrics.jsonl"
        kept = [r for r in read_valid_prefix(self._path) if r["step"] <= start]
        write_jsonl(self._path, kept)
        self._board = SummaryWriter(str(Path(run) / "tensorboard"), purge_step=start + 1)
        validations = [r for r in kept if r["split"] == "validation"]
        self.last_validation: dict[str, float] = (
            {k: v for k, v in validations[-1].items() if k not in ("step", "split")}
            if validations
            else {}
        )

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Appends one record and the same scalars to TensorBoard."""
        append_jsonl(self._path, [{"step": step, "split": split, **values}])
        for name, value in values.items():
            self._board.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Flushes TensorBoard."""
        self._board.close()


@contextlib.contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """An event that SIGTERM and the first Ctrl-C set, so that a loop can end after its step."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = {
        number: signal.signal(number, lambda *_: event.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _write_run_json(
    run: Path,
    config: TrainConfig,
    dataset: int,
    model: ModelConfig,
    data: PackedData,
    validation: PackedData,
    total: int,
    mesh: Mesh,
) -> None:
    device = jax.devices()[0]
    write_json(
        run / "run.json",
        {
            "config": config.to_json(),
            "data": dataset,
            "model": model.to_json(),
            "num_params": model.num_params(),
            "num_trainable_params": model.num_trainable_params(),
            "flops_per_token": model.flops_per_token(config.data.row_tokens),
            "total_steps": total,
            "mesh": dict(mesh.shape),
            "train": _packed_facts(data),
            "validation": _packed_facts(validation),
            "hardware": {
                "platform": device.platform,
                "device": device.device_kind,
                "devices": jax.device_count(),
                "machine": platform.machine(),
            },
            "versions": {
                "python": sys.version.split()[0],
                **{
                    name: importlib.metadata.version(name)
                    for name in ("jax", "flax", "optax", "orbax-checkpoint", "codeprm-jax")
                },
            },
        },
    )


def _packed_facts(data: PackedData) -> dict[str, Any]:
    return {
        "traces": len(data.examples),
        "refused": data.refused,
        "tokens": data.num_tokens,
        "rows": len(data.plan.rows),
        "utilisation": round(data.plan.utilisation, 4),
    }
