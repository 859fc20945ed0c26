"""Traces scored per second on a recorded search, against transformers with the same weights.

    python benchmarks/score.py [--shape small quickstart] [--view feedback thoughts]
                               [--workload FILE] [--problems N]

The workload is what a GVR search gave its scorer, call by call (`gvr_workload.py`): with feedback,
the attempts that failed; without, every attempt's thoughts. Weights are random, but scores spread
over (0, 1) and hang on all that stands before them.

Peers, through transformers' AutoModelForTokenClassification with the weights of the same files:
(a) one trace at a time, padded to 3,500 tokens, as the authors' release evaluates, on a sample;
(b) all traces of the workload at once, sorted by length and padded, with the best of several batch
    sizes; (c) the same after equal traces were taken out.
They get token ids ready-made; ours tokenises, and sees the calls one after another as the search
made them, or many searches side by side, each asking when it has its answer, through the batcher.
Padding stands behind a trace, so a causal model needs no mask: PyTorch's fastest path.

Ours is measured whole and with its parts turned off one after another: prefixes and memo
("reuse"), packing, length buckets. Every measurement begins with nothing remembered. Runs take
turns; medians are reported. float32 on a CPU, bfloat16 on a GPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory too
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers
from gvr_workload import Workload, read

from codeprm_jax.data.layout import VIEWS, Example, Layout, LayoutConfig, StepInput, View
from codeprm_jax.data.tokenizer import Tokenizer, load_tokenizer, train_tokenizer
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.model.shapes import QWEN25_CODER
from codeprm_jax.scoring.batcher import Batcher
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.training.model_directory import write_prm_config

HERE = Path(__file__).resolve().parent
WORKLOAD = HERE / "data" / "gvr_bank.jsonl.gz"
QWEN = HERE.parents[1] / "shared" / "data" / "tokenizers" / "qwen2.5"
GPU = jax.default_backend() == "gpu"
DEVICE = "cuda" if GPU else "cpu"
LIMIT = 3500  # tokens, of the release
PEER_BUDGETS = (2048, 4096, 8192)  # padded tokens of a batch; four times that on a GPU
TOLERANCE = 2e-2 if GPU else 1e-5


@dataclass(frozen=True)
class Shape:
    """A model, and how much of the workload suits its size on two cores."""

    model: ModelConfig
    problems: int | None  # of the workload; None for all
    padded: int  # traces that (a) is measured on
    rounds: int
    qwen: bool = True  # the tokenizer of Qwen2.5, where it is at hand


def _shape(hidden: int, mlp: int, layers: int, heads: int, kv_heads: int, head_dim: int) -> Any:
    return ModelConfig(
        hidden_size=hidden,
        intermediate_size=mlp,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
    )


SHAPES = {
    "tiny": Shape(_shape(64, 128, 2, 4, 2, 16), 4, 4, 3, qwen=False),
    "quickstart": Shape(_shape(96, 256, 2, 3, 3, 32), None, 16, 5, qwen=False),
    "small": Shape(_shape(512, 1408, 8, 8, 2, 64), 3, 2, 3),
    "1.5b": Shape(QWEN25_CODER["1.5B"], None, 64, 3),
    "7b": Shape(QWEN25_CODER["7B"], None, 32, 3),
}
DEFAULT = ("1.5b", "7b") if GPU else ("quickstart", "small")


@dataclass
class Contestant:
    """Something that scores a workload: `run()` gives the scores of each trace it was given."""

    run: Callable[[], list[np.ndarray]]
    traces: int  # of a run; the rate is in traces a second
    forget: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)

    def measure(self) -> list[np.ndarray]:
        self.forget()
        time.sleep(0.05)  # the threads of the one before go to sleep
        began = time.perf_counter()
        scores = self.run()
        self.seconds.append(time.perf_counter() - began)
        return scores

    @property
    def rate(self) -> float:
        return self.traces / statistics.median(self.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=DEFAULT)
    parser.add_argument("--view", nargs="+", choices=VIEWS, default=["feedback", "thoughts"])
    parser.add_argument("--workload", type=Path, default=WORKLOAD)
    parser.add_argument("--problems", type=int, help="of the workload; default by shape")
    parser.add_argument("--rounds", type=int, help="of measurement; default by shape")
    given = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    workload = read(given.workload)
    for name in given.shape:
        shape = SHAPES[name]
        shape = replace(
            shape,
            problems=given.problems or shape.problems,
            rounds=given.rounds or shape.rounds,
        )
        with tempfile.TemporaryDirectory() as folder:
            layout = export(Path(folder), shape, workload)
            peer = Peer(Path(folder))
            for view in given.view:
                line = measure_case(Path(folder), shape, layout, workload, view, peer)
                line = {"benchmark": "score", "shape": name, "workload": given.workload.name} | line
                print(json.dumps(line), flush=True)


def measure_case(
    path: Path, shape: Shape, layout: Layout, workload: Workload, view: View, peer: Peer
) -> dict[str, Any]:
    calls = workload.calls(view, shape.problems)
    inputs = [item for call in calls for item in call]
    examples = layout.lay_out(inputs, view)
    budget, seconds = peer.best_budget(examples)
    once = list({e.tokens.tobytes(): e for e in examples}.values())
    sample = examples[:: max(1, len(examples) // shape.padded)][: shape.padded]
    contestants = {
        "(a) padded to the limit": Contestant(lambda: peer.padded(sample), len(sample)),
        "(b) sorted batches": Contestant(lambda: peer.sorted(examples, budget), len(examples)),
        "(c) without duplicates": Contestant(lambda: peer.sorted(once, budget), len(examples)),
    }
    compilations = Compilations()
    scorers = make_scorers(path, view)
    latencies: list[float] = []
    for name, scorer in scorers.items():
        given = calls if name != "no buckets" else [[inputs[i] for i in range(len(sample))]]
        log = latencies if name == "ours" else []
        contestants[name] = Contestant(
            lambda s=scorer, g=given, log=log: score_calls(s, g, log),  # type: ignore[misc]
            sum(map(len, given)),
            lambda s=scorer: forget(s),  # type: ignore[misc]
        )
    ours = scorers["ours"]
    contestants["ours, all at once"] = Contestant(
        lambda: score_calls(ours, [inputs], []), len(inputs), lambda: forget(ours)
    )
    searches = workload.searches(view, shape.problems)
    contestants["ours, in searches"] = Contestant(
        lambda: score_searches(ours, searches, inputs), len(inputs), lambda: forget(ours)
    )
    programs = ours.warm_up()
    for contestant in contestants.values():  # once unmeasured
        contestant.measure()
        contestant.seconds.clear()
    latencies.clear()
    before, compilations.count = dict_of(ours.statistics), 0
    results: dict[str, list[np.ndarray]] = {}
    for _ in range(shape.rounds):
        for name, contestant in contestants.items():
            results[name] = contestant.measure()
    counted = {k: (v - before[k]) for k, v in dict_of(ours.statistics).items()}
    compiled = compilations.count
    expected = results["(b) sorted batches"]
    assert compiled == 0, f"{compiled} programs were compiled after warm_up"
    difference = max(
        float(np.abs(a - b).max())
        for name in (
            "ours",
            "ours, all at once",
            "ours, in searches",
            *(n for n in scorers if n != "no buckets"),
        )
        for a, b in zip(results[name], expected, strict=True)
    )
    assert difference < TOLERANCE, difference
    every = np.concatenate(expected)
    logits = np.log(every) - np.log1p(-every)
    single = single_latencies(ours, inputs, 100)
    rates = {name: c.rate for name, c in contestants.items()}
    tokens = sum(e.length for e in examples)
    return {
        "view": view,
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "dtype": peer.dtype,
        "parameters": peer.parameters,
        "vocabulary": peer.config.vocab_size,
        "problems": len({i.statement for i in inputs}),
        "calls": len(calls),
        "traces": len(examples),
        "unique_traces": len(once),
        "tokens": tokens,
        "tokens_of_unique_traces": sum(e.length for e in once),
        "prefix_tree_tokens_of_calls": sum(map(tree_tokens, per_call(calls, examples))),
        "prefix_tree_tokens": tree_tokens(examples),
        "traces_per_second": round(rates["ours"], 1),
        "all_at_once": round(rates["ours, all at once"], 1),
        "in_searches": round(rates["ours, in searches"], 1),
        "searches": len(searches),
        "ablations": {n: round(rates[n], 1) for n in scorers if n != "ours"},
        "peers": {n: round(r, 2) for n, r in rates.items() if n.startswith("(")},
        "peer_batch_tokens": budget,
        "peer_seconds_by_batch_tokens": {k: round(v, 2) for k, v in seconds.items()},
        "padded_sample": len(sample),
        "ratios": ratios(rates, "ours"),
        "ratios_in_searches": ratios(rates, "ours, in searches"),
        "ratios_all_at_once": ratios(rates, "ours, all at once"),
        "call_milliseconds": percentiles(latencies),
        "single_trace_milliseconds": percentiles(single),
        "programs": programs,
        "compiled_after_warm_up": compiled,
        "statistics_of_all_runs": counted,
        "largest_difference": float(f"{difference:.1e}"),
        "logits_std": round(float(logits.std()), 2),
    } | (gpu_figures(shape, examples, rates) if GPU else {})


def ratios(rates: Mapping[str, float], ours: str) -> dict[str, float]:
    """How many times as fast as each peer."""
    return {n[:3]: round(rates[ours] / rate, 2) for n, rate in rates.items() if n[0] == "("}


# Ours.


def make_scorers(path: Path, view: View) -> dict[str, StepScorer]:
    """The scorer, and itself with one part after another turned off."""
    options: dict[str, dict[str, Any]] = {
        "ours": {},
        "no reuse": {"reuse": False},
        "no packing": {"reuse": False, "packed": False},
        "no buckets": {"reuse": False, "packed": False},
    }
    scorers: dict[str, StepScorer] = {}
    for name, chosen in options.items():
        scorers[name] = StepScorer(path, view=view, **chosen)
        if name != "ours":  # parameters are held once
            scorers[name]._scores._params = scorers["ours"]._scores._forward._params  # type: ignore[union-attr]
    scorers["no buckets"]._scores.buckets = (LIMIT,)  # type: ignore[union-attr]
    return scorers


def forget(scorer: StepScorer) -> None:
    """Nothing is carried over from the run before."""
    scorer.forget()
    scorer.layout.forget()


def score_calls(
    scorer: StepScorer, calls: Sequence[Sequence[StepInput]], latencies: list[float]
) -> list[np.ndarray]:
    scores = []
    for call in calls:
        began = time.perf_counter()
        found = scorer.score(call)
        latencies.append(time.perf_counter() - began)
        scores += [f.scores for f in found]
    return scores


def score_searches(
    scorer: StepScorer, searches: Sequence[Sequence[StepInput]], inputs: Sequence[StepInput]
) -> list[np.ndarray]:
    """All searches side by side, as `codeprm search` runs them: each asks when it has its answer.

    Returns the scores in the order of `inputs`.
    """
    scores: dict[int, np.ndarray] = {}

    async def search(batcher: Batcher, name: str, traces: Sequence[StepInput]) -> None:
        for trace in traces:
            (found,) = await batcher.score_each([trace], name)
            scores[id(trace)] = found.scores  # type: ignore[union-attr]

    async def run() -> None:
        async with Batcher(scorer) as batcher:
            await asyncio.gather(*(search(batcher, str(i), s) for i, s in enumerate(searches)))

    asyncio.run(run())
    return [scores[id(item)] for item in inputs]


def single_latencies(scorer: StepScorer, inputs: Sequence[StepInput], count: int) -> list[float]:
    """Seconds of a trace alone, with nothing remembered."""
    found = []
    for item in inputs[:: max(1, len(inputs) // count)][:count]:
        forget(scorer)
        began = time.perf_counter()
        scorer.score([item])
        found.append(time.perf_counter() - began)
    return found


class Compilations:
    """Counts what JAX compiles, whoever asks for it."""

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._note)

    def _note(self, event: str, duration: float, **_: Any) -> None:
        self.count += event == "/jax/core/compile/backend_compile_duration"


# The peer.


class Peer:
    """transformers' model of an export; scores are those of its second label."""

    def __init__(self, path: Path) -> None:
        self.dtype = "bfloat16" if GPU else "float32"
        options = {"attn_implementation": "sdpa", "dtype": getattr(torch, self.dtype)}
        if GPU and transformers.utils.is_flash_attn_2_available():
            options["attn_implementation"] = "flash_attention_2"
        load = transformers.AutoModelForTokenClassification.from_pretrained
        self._model = load(path, **options).to(DEVICE).eval()
        self.config = self._model.config
        self.parameters = sum(p.numel() for p in self._model.parameters())

    @torch.inference_mode()
    def forward(self, examples: Sequence[Example], length: int) -> list[np.ndarray]:
        tokens = np.zeros((len(examples), length), np.int64)
        for row, example in zip(tokens, examples, strict=True):
            row[: example.length] = example.tokens
        logits = self._model(torch.from_numpy(tokens).to(DEVICE), use_cache=False).logits
        scores = logits.float().softmax(-1)[..., 1].cpu().numpy()
        return [row[e.tag_positions] for row, e in zip(scores, examples, strict=True)]

    def padded(self, examples: Sequence[Example]) -> list[np.ndarray]:
        return [self.forward([e], LIMIT)[0] for e in examples]

    def sorted(self, examples: Sequence[Example], budget: int) -> list[np.ndarray]:
        order = sorted(range(len(examples)), key=lambda i: -examples[i].length)
        scores: list[Any] = [None] * len(examples)
        while order:
            longest = examples[order[0]].length
            count = max(1, budget // longest)
            batch, order = order[:count], order[count:]
            for i, found in zip(
                batch, self.forward([examples[i] for i in batch], longest), strict=True
            ):
                scores[i] = found
        return scores

    def best_budget(self, examples: Sequence[Example]) -> tuple[int, dict[int, float]]:
        """Padded tokens of a batch that score these the fastest, and the seconds of each."""
        seconds = {}
        self.sorted(examples[:16], PEER_BUDGETS[0])
        for budget in (b * (4 if GPU else 1) for b in PEER_BUDGETS):
            began = time.perf_counter()
            self.sorted(examples, budget)
            seconds[budget] = time.perf_counter() - began
        return min(seconds, key=lambda b: seconds[b]), seconds


# The model.


def export(path: Path, shape: Shape, workload: Workload) -> Layout:
    """Writes a token classifier with random weights, its tokenizer and prm_config.json."""
    tokenizer = tokenizer_of(shape, workload)
    tokenizer.save(path)
    own = tokenizer.source is None
    config = LayoutConfig(views=VIEWS, max_tokens=LIMIT) if own else LayoutConfig.for_checkpoint()
    layout = Layout(replace(config, views=VIEWS), tokenizer)
    write_prm_config(path, layout.config, "success_rate")
    model = shape.model
    settings = transformers.Qwen2Config(
        vocab_size=-(-tokenizer.vocab_size // 64) * 64,
        hidden_size=model.hidden_size,
        intermediate_size=model.intermediate_size,
        num_hidden_layers=model.num_layers,
        num_attention_heads=model.num_heads,
        num_key_value_heads=model.num_kv_heads,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        num_labels=2,
    )
    assert model.head_dim * model.num_heads == model.hidden_size
    torch.manual_seed(0)
    with torch.device(DEVICE):
        peer = transformers.AutoModelForTokenClassification.from_config(
            settings, dtype=torch.bfloat16 if GPU else torch.float32
        )
        with torch.no_grad():
            for name, parameter in peer.named_parameters():
                enliven(name, parameter)
    peer.save_pretrained(path)
    return layout


def enliven(name: str, parameter: Any) -> None:
    """Random values at which every part of the model changes the scores."""
    if parameter.ndim == 1:
        mean = 1.0 if "norm" in name else 0.0
        parameter.normal_(mean, 0.1)
    elif "embed_tokens" in name:
        parameter.normal_(0, 0.3)
    else:
        scale = 1.5 if "score" in name else 1.0
        parameter.normal_(0, scale * parameter.shape[1] ** -0.5)


def tokenizer_of(shape: Shape, workload: Workload) -> Tokenizer:
    """Qwen2.5's where it is at hand and wanted, else one trained on the workload."""
    if shape.qwen and QWEN.is_dir():
        return load_tokenizer(QWEN)
    traces = [trace for traces in workload.rounds for trace in traces]
    texts = dict.fromkeys(x for t in traces for x in (t.statement, *t.thoughts, t.program))
    return train_tokenizer(texts, 4096)


# Counting.


def tree_tokens(examples: Sequence[Example]) -> int:
    """Nodes of the tree of all prefixes: tokens to compute if every shared prefix is shared."""
    rows = [e.tokens for e in sorted(examples, key=lambda e: e.tokens.tolist())]
    total = sum(map(len, rows))
    for before, row in pairwise(rows):
        length = min(len(before), len(row))
        other = np.flatnonzero(before[:length] != row[:length])
        total -= int(other[0]) if len(other) else length
    return total


def per_call(calls: Sequence[Sequence[Any]], examples: Sequence[Example]) -> Iterator[list[Any]]:
    start = 0
    for call in calls:
        yield list(examples[start : start + len(call)])
        start += len(call)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(np.array(seconds) * 1e3, (50, 99))
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


def dict_of(counters: Any) -> dict[str, int]:
    return {k: v for k, v in asdict(counters).items() if isinstance(v, int)}


def gpu_figures(shape: Shape, examples: Sequence[Example], rates: Any) -> dict[str, Any]:
    """Fractions of the card's peak: of the FLOPs that every trace alone, without padding, needs."""
    peak = peak_flops()
    flops = sum(shape.model.forward_flops_per_token(e.length) * e.length for e in examples)
    return {
        "peak_tflops": round(peak / 1e12),
        "fraction_of_peak": {
            name: round(flops / len(examples) * rate / peak, 3) for name, rate in rates.items()
        },
    }


def peak_flops(size: int = 8192, count: int = 20) -> float:
    """FLOPs a second of bfloat16 products of large matrices, the fastest of several runs."""

    @jax.jit
    def products(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, count, lambda _, y: (y @ x) * size**-0.5, x)

    x = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    products(x).block_until_ready()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        products(x).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 * count / min(seconds)


if __name__ == "__main__":
    main()
