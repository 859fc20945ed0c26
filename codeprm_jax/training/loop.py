"""The training run: one linear story from a dataset to the last checkpoint."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from codeprm_jax.data.pipeline import BatchStream, PackedData, lay_out_records, tokenizer_for
from codeprm_jax.distributed import agree
from codeprm_jax.files import stable_seed
from codeprm_jax.model import attention, lora
from codeprm_jax.sharding import make_mesh
from codeprm_jax.traces.dataset import read_split, read_statistics
from codeprm_jax.training.checkpoints import Checkpoints
from codeprm_jax.training.config import TrainConfig
from codeprm_jax.training.digest import all_finite
from codeprm_jax.training.metrics_log import MetricsLog
from codeprm_jax.training.model_directory import load_frozen
from codeprm_jax.training.run_record import write_diverged, write_run_record
from codeprm_jax.training.start import first_state, prepare_run
from codeprm_jax.training.step import (
    abstract_batch,
    abstract_state,
    check_batch_rows,
    local_rows,
    make_optimizer,
    make_train_step,
    put_batch,
)
from codeprm_jax.training.stopping import Stop, stop_requested
from codeprm_jax.training.throughput import Profile, Throughput
from codeprm_jax.training.validation import TrainingError, make_forward, validate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSummary:
    """What a run came to.

    Attributes:
      steps: steps done in all.
      metrics: of the last validation, in the fullest view.
      tokens_per_second: useful (unpadded) tokens, median over this call's steps.
      stopped_by: the signal that ended it before its end; None if it is finished.
    """

    steps: int
    metrics: dict[str, float]
    tokens_per_second: float
    stopped_by: signal.Signals | None


def train(config: TrainConfig) -> TrainSummary:
    """Trains, or goes on from the newest checkpoint in `config.training.out`.

    In a job of several processes each of them calls it, on one shared file system; each reads the
    rows that its devices hold, and process 0 alone writes logs.

    Raises:
      InputError: no dataset, a mesh that does not fit, or a run directory of another config.
      TrainingError: the loss or the parameters are not finite.
    """
    with stop_requested() as stop:
        return _train(config, stop)


def _train(config: TrainConfig, stop: Stop) -> TrainSummary:
    run, training = Path(config.training.out), config.training
    writes, alone = jax.process_index() == 0, jax.process_count() == 1

    # Data: read once, tokenised once, packed by a plan.
    mesh = make_mesh(config.mesh)
    check_batch_rows(mesh, training.batch_rows, training.accumulate)
    # Rows are packed: an attention that cannot keep their examples apart is refused here.
    attention.check_config(config.model, mesh, packed=True)
    train_records = read_split(config.data.data_dir, "train")
    dataset = stable_seed(read_statistics(config.data.data_dir))  # tells one from another
    agree("data", dataset)
    layout, model, base = prepare_run(
        run, config, dataset, lambda: tokenizer_for(train_records, config.data.vocab_size)
    )
    shared = {"checkpoint": base and base.fingerprint, "tokenizer": layout.tokenizer.fingerprint}
    agree("checkpoint and tokenizer", shared)
    row_tokens = config.data.row_tokens
    data = lay_out_records(train_records, layout, config.data.label)
    stream = BatchStream(
        data,
        config.data.views.by_name,
        row_tokens,
        training.batch_rows,
        training.epochs,
        training.seed,
        pairs=training.loss == "pairwise",
        local_rows=local_rows(mesh, training.batch_rows),
    )
    held_out = lay_out_records(
        read_split(config.data.data_dir, "validation"), layout, config.data.label
    )
    _say_how_packed(stream, row_tokens)
    validation = {v: PackedData(held_out, v, row_tokens) for v in layout.config.views}
    fullest = layout.config.fullest
    total = stream.num_batches

    # State: fresh, or the newest checkpoint that can be read.
    ema = bool(training.ema_decay)
    optimizer = make_optimizer(training, total)
    checkpoints = Checkpoints(run, training.keep_checkpoints, training.best_metric)
    restored = checkpoints.restore(abstract_state(mesh, model, optimizer, ema))
    state = restored or first_state(base, model, optimizer, training.seed, mesh, ema)
    start = int(state.step)
    if start:
        logger.info("going on from step %d", start)
    if alone and stop.signal is not None:  # several processes agree on it in their first step
        checkpoints.close()
        return TrainSummary(start, {}, float("nan"), stop.signal)
    frozen = load_frozen(model, base, mesh)
    if writes:
        write_run_record(run, config, dataset, model, stream, validation[fullest], mesh)

    # The program: compiled before the first step, so that its time is known and no step's.
    rate = Throughput(model, mesh)
    forward = make_forward(model)
    with jax.set_mesh(mesh), rate.compiling():
        batch = abstract_batch(mesh, training.batch_rows, row_tokens, stream.max_pairs)
        step_function: Any = make_train_step(mesh, model, training, optimizer)
        train_step = step_function.lower(state, frozen, batch).compile()

    with (
        contextlib.closing(checkpoints),
        contextlib.closing(MetricsLog(run, start, config.to_json(), writes)) as log,
        jax.set_mesh(mesh),
        Profile(run / "profile", training.profile_steps) as profile,
        tqdm(total=total, initial=start, unit="step", disable=None if writes else True) as bar,
        # Copies between host and device are named: put_batch, device_get, and what says "allow".
        jax.transfer_guard("disallow"),
    ):

        def validate_and_log(step: int) -> dict[str, float]:
            params = lora.join(frozen, state.scored)
            with jax.transfer_guard("allow"):
                found = validate(forward, params, validation, mesh, training.batch_rows)
            for view, metrics in found.items():
                log.write(step, "validation" + ("" if view == fullest else f" {view}"), metrics)
            checkpoints.validated[step] = found[fullest]
            return found[fullest]

        def finish(step: int, measured: Mapping[str, jax.Array]) -> bool:
            """Logs a step as soon as it is done; returns whether a process asked to stop."""
            values = jax.device_get(measured)
            stopping = bool(values.pop("stop"))
            figures = {name: float(value) for name, value in values.items()}
            figures |= rate.step(stream.trace_lengths(step - 1), figures["steps"])
            if not math.isfinite(figures["loss"] + figures["grad_norm"]):
                raise _diverged(run, step, figures, stream, checkpoints.latest_step, writes)
            log.write(step, "train", figures)
            bar.set_postfix(loss=f"{figures['loss']:.4f}", refresh=False)
            bar.update()
            return stopping

        # A stop saves without the validation that may have been due: it is made up for here.
        step, stopping, metrics = start, False, checkpoints.validated.get(start, {})
        if start and not metrics and (start == total or start % training.evaluate_every == 0):
            metrics = validate_and_log(start)

        # The loop. Step n + 1 is under way when the figures of step n are read.
        unread: list[tuple[int, Mapping[str, jax.Array]]] = []
        rate.resume()
        for step, host_batch in enumerate(stream.starting_at(start), start + 1):
            profile.before(step, state)
            placed = put_batch(mesh, host_batch, training.batch_rows, stop.signal is not None)
            state, measured = train_step(state, frozen, placed)
            unread.append((step, measured))
            last = step == total
            due = last or step % training.evaluate_every == 0
            saved = last or step % training.checkpoint_every == 0
            if alone:  # nobody has to agree
                stopping |= stop.signal is not None
            while len(unread) > (0 if due or saved or stopping else 1):
                stopping |= finish(*unread.pop(0))
            if due and not stopping:
                metrics = validate_and_log(step)
                saved |= checkpoints.best_step == step
            if saved or stopping:
                with jax.transfer_guard("allow"):
                    if not all_finite(state.params):  # which the next step's loss would show
                        raise _diverged(run, step, {}, stream, checkpoints.latest_step, writes)
                    checkpoints.save(state)
            if due or saved:
                rate.resume()
            if stopping:
                break
        while unread:
            finish(*unread.pop(0))
    # Another process may have been asked, as a scheduler asks: by SIGTERM.
    stopped_by = (stop.signal or signal.SIGTERM) if stopping else None
    return TrainSummary(step, metrics, rate.median_tokens_per_second, stopped_by)


def _say_how_packed(stream: BatchStream, row_tokens: int) -> None:
    plan = stream.first_epoch.plan
    padding = 100 * (1 - plan.utilisation)
    traces, rows = len(plan.lengths), len(plan.rows)
    logger.info("%d traces in %d rows, %.1f %% padding", traces, rows, padding)
    if padding > 10 and traces < 4 * rows:
        logger.warning(
            "rows of %d tokens hold %.1f traces each and waste %.0f %%: a larger data.row_tokens "
            "with fewer training.batch_rows trains faster",
            row_tokens,
            traces / rows,
            padding,
        )


def _diverged(
    run: Path,
    step: int,
    figures: Mapping[str, float],
    stream: BatchStream,
    checkpoint: int | None,
    writes: bool,
) -> TrainingError:
    said = ""
    if writes:
        said = f" Its traces are in {write_diverged(run, step, figures, stream, checkpoint)}."
    what = ", ".join(f"{name} {figures[name]}" for name in ("loss", "grad_norm") if figures)
    return TrainingError(
        f"step {step} diverged ({what or 'parameters that are not finite'}); the last checkpoint "
        f"is of step {checkpoint}.{said} Started again, the run meets the same batch; lower "
        "training.learning_rate for a new one"
    )
