"""Training: useful tokens a second of a whole optimizer step, against PyTorch and transformers.

    python benchmarks/train.py [case ...]

On a CPU the cases are "quickstart" (its model and its lengths) and "larger" (with feedback, rows of
1,536 tokens), in float32. On a GPU they are "1.5B" (all parameters) and "7B-lora", in bfloat16,
with the share of the card's measured 790 TFLOP/s (H100, H200) that the model's FLOPs come to.
"tiny" and "tiny-lora" take the GPU's path on any machine.

Examples have the lengths of the quickstart's training split, random tokens and labels, four steps
each. The peer is transformers' Qwen2 with the same initial weights, a linear score head, sdpa,
AdamW (fused) and clipping, fed as Trainer does: random batches padded to their longest example
("padded"), the same grouped by length ("grouped"), and grouped with no attention mask, which
right-padded rows of a causal model can do without ("grouped, causal"). Steps see the same number
of useful tokens on average, and their batches are prepared beforehand. The first loss must agree.
Runs alternate on a CPU; rates are medians over rounds and ratios medians of the rounds' ratios.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory too
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from codeprm_jax.data.layout import Example
from codeprm_jax.data.packing import pack_row, plan_packing
from codeprm_jax.model import decoder, lora
from codeprm_jax.model.config import LoraConfig, ModelConfig
from codeprm_jax.model.shapes import QWEN25_CODER
from codeprm_jax.model.weights import write_params
from codeprm_jax.sharding import make_mesh
from codeprm_jax.training.config import TrainingConfig
from codeprm_jax.training.step import (
    TrainState,
    batch_loss,
    init_state,
    make_optimizer,
    make_train_step,
    put_batch,
)

PEAK_FLOPS = 790e12  # a second, measured in bfloat16 products on an H100
GPU = jax.default_backend() == "gpu"
STEPS = 4  # of each example; all of the quickstart's have four

# Every twentieth part of the lengths of the quickstart's 739 training examples, in tokens.
PLAIN = (
    *(137, 141, 145, 159, 163, 166, 169, 173, 175, 177, 180),
    *(183, 187, 191, 195, 198, 200, 203, 205, 219, 232),
)
FEEDBACK = (
    *(287, 328, 348, 358, 370, 379, 387, 400, 415, 421, 426),
    *(433, 441, 452, 464, 473, 485, 499, 517, 530, 567),
)


@dataclass(frozen=True)
class Case:
    """A model, its rows, and how often it is measured.

    `accelerator` leaves the naive forms out, and measures one contestant after the other, so that
    only one of them holds memory.
    """

    model: ModelConfig
    lengths: tuple[int, ...]
    row_tokens: int
    rows: int
    rounds: int
    steps: int  # of a round
    accelerator: bool = False
    tolerance: float = 1e-4  # of the first loss


_SMALL = ModelConfig(
    hidden_size=96, intermediate_size=256, num_layers=2, num_heads=3, num_kv_heads=3, head_dim=32
)
_LARGER = ModelConfig(
    hidden_size=384, intermediate_size=1024, num_layers=4, num_heads=6, num_kv_heads=2, head_dim=64
)
_HALF = {"dtype": "bfloat16", "remat": "dots"}
_LORA = LoraConfig(rank=16, dropout=0.0)
_TINY = replace(ModelConfig(), vocab_size=512, hidden_size=64, intermediate_size=128, **_HALF)
CASES = {
    "quickstart": Case(_SMALL, PLAIN, 1024, 4, rounds=9, steps=4),
    "larger": Case(_LARGER, FEEDBACK, 1536, 2, rounds=7, steps=1),
    "1.5B": Case(
        replace(QWEN25_CODER["1.5B"], **_HALF), FEEDBACK, 2048, 8, 3, 4, True, tolerance=2e-2
    ),
    "7B-lora": Case(
        replace(QWEN25_CODER["7B"], **(_HALF | {"remat": "full"}), lora=_LORA),
        *(FEEDBACK, 2048, 8, 3, 4, True),
        tolerance=2e-2,
    ),
    "tiny": Case(_TINY, PLAIN, 512, 2, 2, 2, True, tolerance=2e-2),
    "tiny-lora": Case(replace(_TINY, lora=_LORA), PLAIN, 512, 2, 2, 2, True, tolerance=2e-2),
}
DEFAULT = ("1.5B", "7B-lora") if GPU else ("quickstart", "larger")
PEERS = {"padded": (False, True), "grouped": (True, True), "grouped, causal": (True, False)}


@dataclass
class Contestant:
    """Something that trains: `run(n)` does one step on batch n; its loss and gradient's norm."""

    run: Callable[[int], tuple[float, float]]
    useful: list[int]  # tokens of each batch
    computed: list[int]  # the same with padding
    facts: dict[str, Any]
    first: tuple[float, float] | None = None
    rates: list[float] = field(default_factory=list)

    def measure(self, steps: int, at: int) -> None:
        """One round, from batch `at` on."""
        numbers = [(at + n) % len(self.useful) for n in range(steps)]
        began = time.perf_counter()
        for n in numbers:
            self.run(n)
        seconds = time.perf_counter() - began
        self.rates.append(sum(self.useful[n] for n in numbers) / seconds)


def main() -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    for name in sys.argv[1:] or DEFAULT:
        for line in measure_case(name, CASES[name]):
            print(json.dumps(line), flush=True)


def measure_case(name: str, case: Case) -> Iterator[dict[str, Any]]:
    examples = make_examples(case)
    batches = case.rounds * case.steps
    packed = packed_batches(case, examples, batches)
    per_step = sum(count_tokens(b)[0] for b in packed) / len(packed)
    size = round(per_step / statistics.mean(e.length for e, _ in examples))
    shuffled = [
        [examples[i] for i in chosen] for chosen in batches_of(examples, size, batches, False)
    ]
    grouped = [
        [examples[i] for i in chosen] for chosen in batches_of(examples, size, batches, True)
    ]
    ours: dict[str, Callable[[], Contestant]] = {"packed": lambda: jax_training(case, packed)}
    if not case.accelerator:
        longest = max(e.length for e, _ in examples)
        one_shape = [pad(batch, longest + -longest % 64) for batch in shuffled]
        ours |= {
            "padded, blockwise": lambda: jax_training(case, one_shape),
            "padded, naive attention": lambda: jax_training(case, one_shape, naive_attention),
        }
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder)
        first = export_weights(case, checkpoint, shuffled[0])
        theirs: dict[str, Callable[[], Contestant]] = {
            f"torch: {peer}": lambda by=by, mask=mask: torch_training(  # type: ignore[misc]
                case, grouped if by else shuffled, mask, checkpoint
            )
            for peer, (by, mask) in PEERS.items()
        }
        if case.accelerator:
            finished = one_by_one(case, theirs | ours)
        else:
            finished = alternating(case, theirs | ours)
    check_first_step(case, finished, first)
    for variant in ours:
        yield describe(name, case, variant, finished)


def describe(
    name: str, case: Case, variant: str, finished: Mapping[str, Contestant]
) -> dict[str, Any]:
    mine = finished[variant]
    peers = {k.removeprefix("torch: "): c for k, c in finished.items() if k.startswith("torch")}
    measured = {k: c for k, c in peers.items() if c.rates}

    def rate(c: Contestant) -> int:
        return round(statistics.median(c.rates))

    def computed_rate(c: Contestant) -> int:
        return round(statistics.median(c.rates) * sum(c.computed) / sum(c.useful))

    def ratio(c: Contestant) -> float:
        pairs = zip(mine.rates, c.rates, strict=True)
        return round(statistics.median(a / b for a, b in pairs), 2)

    line = {
        "benchmark": "train",
        "case": name,
        "variant": variant,
        "device": jax.devices()[0].device_kind,
        "dtype": case.model.dtype,
        "parameters": case.model.num_params(),
        "trained_parameters": case.model.num_trainable_params(),
        "useful_tokens_a_step": round(sum(mine.useful) / len(mine.useful)),
        "utilisation": round(sum(mine.useful) / sum(mine.computed), 3),
        "tokens_per_second": rate(mine),
        "computed_tokens_per_second": computed_rate(mine),
        "peer": f"torch {torch.__version__}, transformers' Qwen2, sdpa, fused AdamW",
        "peer_tokens_per_second": {k: rate(c) for k, c in measured.items()},
        "peer_computed_tokens_per_second": {k: computed_rate(c) for k, c in measured.items()},
        "ratio": {k: ratio(c) for k, c in measured.items()},
        **mine.facts,
    }
    if notes := {k: c.facts["note"] for k, c in peers.items() if "note" in c.facts}:
        line["peer_notes"] = notes
    if case.accelerator:
        flops = flops_per_useful_token(case)
        line["mfu"] = round(statistics.median(mine.rates) * flops / PEAK_FLOPS, 4)
        line["peer_mfu"] = {
            k: round(statistics.median(c.rates) * flops / PEAK_FLOPS, 4)
            for k, c in measured.items()
        }
    return line


def flops_per_useful_token(case: Case) -> float:
    """Mean of `flops_per_token` over the tokens of the examples: each sees its own example."""
    return sum(n * case.model.flops_per_token(n) for n in case.lengths) / sum(case.lengths)


# Data.


def make_examples(case: Case) -> list[tuple[Example, np.ndarray]]:
    """739 examples with the case's lengths, and a soft label for each step."""
    rng = np.random.default_rng(0)
    grid = np.linspace(0, 1, len(case.lengths))
    examples = []
    for at in rng.random(739):
        length = round(float(np.interp(at, grid, case.lengths)))
        tags = np.linspace(length // 2, length - 1, STEPS).round().astype(np.int32)
        tokens = rng.integers(0, case.model.vocab_size, length).astype(np.int32)
        examples.append((Example(tokens, tags), rng.random(STEPS).astype(np.float32)))
    return examples


def packed_batches(
    case: Case, examples: Sequence[tuple[Example, np.ndarray]], count: int
) -> list[dict[str, np.ndarray]]:
    """Rows of the plan in random order, as `codeprm train` has them."""
    plan = plan_packing([e.length for e, _ in examples], case.row_tokens)
    order = batches_of(plan.rows, case.rows, count, grouped=False)
    return [
        stack([pack([examples[i] for i in plan.rows[r]], case.row_tokens) for r in chosen])
        for chosen in order
    ]


def batches_of(items: Sequence[Any], size: int, count: int, grouped: bool) -> list[list[int]]:
    """`count` batches of indices in random order; grouped as transformers' LengthGroupedSampler.

    That sorts by length within stretches of fifty batches.
    """
    rng = np.random.default_rng(1)
    order: list[int] = []
    while len(order) < size * count:
        epoch = rng.permutation(len(items)).tolist()
        if grouped:
            stretch = 50 * size
            parts = [epoch[i : i + stretch] for i in range(0, len(epoch), stretch)]
            epoch = [i for part in parts for i in sorted(part, key=lambda i: -items[i][0].length)]
        order += epoch[: len(epoch) // size * size]
    found = [order[n * size : (n + 1) * size] for n in range(max(count, len(order) // size))]
    return [found[i] for i in rng.permutation(len(found))[:count]]


def pack(members: Sequence[tuple[Example, np.ndarray]], length: int) -> dict[str, np.ndarray]:
    return pack_row([e for e, _ in members], length, [t for _, t in members])


def pad(members: Sequence[tuple[Example, np.ndarray]], length: int) -> dict[str, np.ndarray]:
    """One example a row."""
    return stack([pack([member], length) for member in members])


def stack(rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {k: np.stack([row[k] for row in rows]) for k in rows[0]}


def count_tokens(batch: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """(useful, computed)."""
    return int((batch["segment_ids"] > 0).sum()), batch["segment_ids"].size


# This project.


def training_config(case: Case) -> TrainingConfig:
    return TrainingConfig(batch_rows=case.rows, learning_rate=1e-4, loss="bce")


def first_params(case: Case) -> tuple[decoder.Params, decoder.Params]:
    """(trained, frozen) initial parameters on the mesh, as `codeprm train` keeps them."""

    def make() -> tuple[decoder.Params, decoder.Params]:
        trained, frozen = lora.divide(case.model, decoder.create(case.model, 0))
        kept = jax.tree_util.tree_map_with_path(
            lambda path, x: x.astype(lora.frozen_dtype(case.model, tuple(k.key for k in path))),
            frozen,
        )
        return trained, kept

    with jax.set_mesh(make_mesh()):
        return jax.jit(make)()


def export_weights(
    case: Case, folder: Path, batch: Sequence[tuple[Example, np.ndarray]]
) -> tuple[float, float]:
    """Writes the checkpoint from which the peer starts; loss and gradient's norm of `batch`."""
    mesh = make_mesh()
    trained, frozen = first_params(case)
    plan = plan_packing([e.length for e, _ in batch], case.row_tokens)
    rows = stack([pack([batch[i] for i in row], case.row_tokens) for row in plan.rows])
    with jax.set_mesh(mesh):
        both = jax.value_and_grad(lambda p, f, b: batch_loss(p, f, b, case.model, "bce"))
        loss, gradients = jax.jit(both)(trained, frozen, jax.device_put(rows))
        first = float(loss), float(optax.tree.norm(gradients))
        del gradients
    plain, merged = lora.merge(case.model, lora.join(frozen, trained))
    write_params(folder, plain, merged, mesh, dtype="bfloat16" if frozen else "float32")
    return first


def jax_training(
    case: Case,
    batches: Sequence[dict[str, np.ndarray]],
    attention: Callable[..., jax.Array] | None = None,
) -> Contestant:
    mesh, training = make_mesh(), training_config(case)
    optimizer = make_optimizer(training, 1000)
    trained, frozen = first_params(case)
    state = init_state(mesh, case.model, optimizer, 0, trained)
    on_device = [put_batch(mesh, batch) for batch in batches]
    changed = mock.patch.object(decoder, "attend", attention)
    began = time.perf_counter()
    with jax.set_mesh(mesh), changed if attention else contextlib.nullcontext():
        step = make_train_step(mesh, case.model, training, optimizer)
        compiled = step.lower(state, frozen, on_device[0]).compile()  # type: ignore[attr-defined]
    facts = {
        "compile_seconds": round(time.perf_counter() - began, 1),
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes >> 20,
    }
    holder: list[TrainState] = [state]
    del state

    def run(n: int) -> tuple[float, float]:
        holder[0], metrics = compiled(holder[0], frozen, on_device[n])
        return float(metrics["loss"]), float(metrics["grad_norm"])

    counts = [count_tokens(b) for b in batches]
    return Contestant(run, [c[0] for c in counts], [c[1] for c in counts], facts)


def naive_attention(
    query: jax.Array, key: jax.Array, value: jax.Array, segment_ids: jax.Array, **_: Any
) -> jax.Array:
    """The textbook's form: scores of all pairs, a mask, a softmax."""
    length, groups = query.shape[1], query.shape[2] // key.shape[2]
    key, value = (x.repeat(groups, axis=2) for x in (key, value))
    at = jnp.arange(length)
    seen = (segment_ids[:, :, None] == segment_ids[:, None]) & (at[:, None] >= at)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) * query.shape[-1] ** -0.5
    weights = jax.nn.softmax(jnp.where(seen[:, None], scores, -jnp.inf), axis=-1)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value)


# PyTorch.


class TorchModel(torch.nn.Module):
    """transformers' Qwen2 and a linear map to one logit."""

    def __init__(self, case: Case, checkpoint: Path) -> None:
        from transformers import AutoModelForTokenClassification

        super().__init__()
        loaded = AutoModelForTokenClassification.from_pretrained(
            checkpoint,
            attn_implementation="sdpa",
            dtype=torch.bfloat16 if case.model.lora.rank else torch.float32,
        )
        self.decoder = loaded.model
        wrong, right = loaded.score.weight.detach().float()
        self.score = torch.nn.Linear(len(right), 1, bias=False)
        self.score.weight.data = (right - wrong)[None].clone()
        if case.model.remat == "full":
            self.decoder.gradient_checkpointing_enable({"use_reentrant": False})
        if settings := case.model.lora.rank and case.model.lora:
            import peft

            adapters = peft.LoraConfig(
                r=settings.rank,
                lora_alpha=int(settings.alpha),
                lora_dropout=settings.dropout,
                target_modules=list(settings.targets),
            )
            self.decoder = peft.get_peft_model(self.decoder, adapters)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        hidden = self.decoder(input_ids=tokens, attention_mask=mask, use_cache=False)
        return self.score(hidden.last_hidden_state.float())[..., 0]


def torch_training(
    case: Case,
    batches: Sequence[Sequence[tuple[Example, np.ndarray]]],
    with_mask: bool,
    checkpoint: Path,
) -> Contestant:
    useful = [sum(e.length for e, _ in batch) for batch in batches]
    computed = [len(batch) * max(e.length for e, _ in batch) for batch in batches]
    if GPU and not torch.cuda.is_available():
        return Contestant(idle, useful, computed, {"note": "this torch has no CUDA"})
    device = "cuda" if GPU else "cpu"
    model = TorchModel(case, checkpoint).to(device).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    training = training_config(case)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=training.learning_rate,
        betas=(0.9, training.adam_b2),
        weight_decay=training.weight_decay,
        fused=True,
    )
    half = torch.autocast(device, torch.bfloat16, enabled=case.model.dtype == "bfloat16")
    prepared = []
    for batch in batches:
        padded = pad(batch, max(e.length for e, _ in batch))
        prepared.append(
            {
                "tokens": torch.tensor(padded["tokens"], dtype=torch.long, device=device),
                "mask": torch.tensor(padded["segment_ids"], dtype=torch.long, device=device),
                "targets": torch.tensor(padded["targets"], device=device),
                "weights": torch.tensor(padded["weights"], device=device),
            }
        )

    def run(n: int) -> tuple[float, float]:
        batch = prepared[n]
        with half:
            logits = model(batch["tokens"], batch["mask"] if with_mask else None)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, batch["targets"], batch["weights"], reduction="sum"
        )
        loss = losses / batch["weights"].sum()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, training.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item(), norm.item()

    return Contestant(run, useful, computed, {})


# Measuring.


def alternating(case: Case, makers: Mapping[str, Callable[[], Contestant]]) -> Any:
    """All contestants, warm, a round of each in turn."""
    contestants = {name: make() for name, make in makers.items()}
    for contestant in contestants.values():
        warm_up(contestant)
    for number in range(case.rounds):
        for contestant in contestants.values():
            time.sleep(0.05)  # the threads of the one before go to sleep
            contestant.measure(case.steps, number * case.steps)
    return contestants


def one_by_one(case: Case, makers: Mapping[str, Callable[[], Contestant]]) -> Any:
    """One contestant at a time; what it held is freed."""
    finished = {}
    for name, make in makers.items():
        try:
            contestant = make()
            if "note" not in contestant.facts:
                warm_up(contestant)
                for number in range(case.rounds):
                    contestant.measure(case.steps, number * case.steps)
        except (torch.OutOfMemoryError, ImportError) as error:
            if not name.startswith("torch"):
                raise
            text = str(error).splitlines()[0]
            contestant = Contestant(idle, [1], [1], {"note": text})
        contestant.run = idle
        finished[name] = contestant
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return finished


def idle(number: int) -> tuple[float, float]:
    return np.nan, np.nan


def warm_up(contestant: Contestant) -> None:
    contestant.first = contestant.run(0)
    contestant.run(1)


def check_first_step(
    case: Case, finished: Mapping[str, Contestant], packed: tuple[float, float]
) -> None:
    """What saw the shuffled first batch must agree with the same examples, packed."""
    for name, contestant in finished.items():
        if contestant.first and name not in ("packed", "torch: grouped", "torch: grouped, causal"):
            loss, norm = contestant.first
            assert abs(loss - packed[0]) < case.tolerance, (name, contestant.first, packed)
            assert abs(norm / packed[1] - 1) < 10 * case.tolerance, (name, contestant.first, packed)


if __name__ == "__main__":
    main()
