"""`codeprm quickstart`: the whole pipeline, from problems to a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from codeprm_jax.commands import build, evaluate, judging, search
from codeprm_jax.commands.judging import open_pool
from codeprm_jax.commands.output import progress_bar, say, table
from codeprm_jax.data.targets import LabelConfig
from codeprm_jax.evaluation.benchmark import SUMMARY, BenchmarkConfig, run_benchmark
from codeprm_jax.evaluation.report import write_report
from codeprm_jax.files import InputError, read_json, write_json
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.loading import load_chains, load_problems, write_problems
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.search.arms import CORE_ARMS
from codeprm_jax.search.collect import CollectConfig, collect
from codeprm_jax.search.uniform import UniformConfig
from codeprm_jax.traces.dataset import SplitConfig, build_dataset
from codeprm_jax.traces.trace import read_traces
from codeprm_jax.training.config import DataConfig, TrainConfig, TrainingConfig, ViewConfig
from codeprm_jax.training.loop import train

STATE = "quickstart.json"


@dataclass(frozen=True)
class Sizes:
    """How much of everything, chosen so that two CPU cores need minutes."""

    rollouts: int
    min_trials: int
    repeats: int
    epochs: int


# The bank's thirty problems are drawn deeply; larger sets are drawn thinly.
BANK = Sizes(rollouts=48, min_trials=4, repeats=8, epochs=10)
MANY = Sizes(rollouts=12, min_trials=2, repeats=1, epochs=6)


def training_config(data_dir: Path, out: Path, epochs: int, seed: int) -> TrainConfig:
    """The training preset of the quickstart, as in configs/quickstart.py."""
    return TrainConfig(
        data=DataConfig(
            data_dir=data_dir,
            vocab_size=4096,
            views=ViewConfig(thoughts=1.0, feedback=0.0),
            label=LabelConfig(target="success_rate"),
            row_tokens=1024,
        ),
        model=ModelConfig(
            hidden_size=96,
            intermediate_size=256,
            num_layers=2,
            num_heads=3,
            num_kv_heads=3,
            head_dim=32,
        ),
        training=TrainingConfig(
            out=out,
            epochs=epochs,
            batch_rows=4,
            learning_rate=3e-3,
            loss="bce",
            evaluate_every=50,
            checkpoint_every=100,
            seed=seed,
        ),
    )


def main(
    problems: str = "bank",
    out: Path | None = None,
    rollouts: int | None = None,
    epochs: int | None = None,
    repeats: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    allow_weak_isolation: bool = False,
) -> int:
    """Collects, labels, builds, trains, evaluates, searches and reports; run it again to go on.

    Args:
      problems: bank, or SOURCE:PATH of humaneval, humanevalplus, mbpp, mbppplus, apps,
        code_contests, codeforces, livecodebench, or file; after it may stand which ones, as in
        apps:PATH?difficulty=interview&limit=100; docs/problems.md has all.
      out: run directory; default runs/quickstart-SOURCE.
      rollouts: complete traces a problem; default by the source.
      epochs: of training; default by the source.
      repeats: searches a problem and arm; default by the source.
      seed: of everything.
      workers: processes that judge; default all cores.
      allow_weak_isolation: run on a machine without user namespaces. The bank may always: its
        programs are this project's own.
    """
    default = BANK if problems == "bank" else MANY
    sizes = Sizes(
        default.rollouts if rollouts is None else rollouts,
        default.min_trials,
        default.repeats if repeats is None else repeats,
        default.epochs if epochs is None else epochs,
    )
    loaded = load_problems(problems)
    run = out or Path("runs") / f"quickstart-{problems.partition(':')[0]}"
    weak = allow_weak_isolation or problems == "bank"
    # All settings are made, and so checked, before the run directory remembers them.
    drawing = CollectConfig(UniformConfig(sizes.rollouts, sizes.min_trials), seed)
    comparing = BenchmarkConfig(repeats=sizes.repeats, seed=seed + 1)
    training = training_config(run / "data", run / "train", sizes.epochs, seed)
    stages = Stages(run, problems, {**asdict(sizes), "seed": seed})
    policy = MutationPolicy(load_chains(problems, loaded))
    exported, traces, labelled = (
        run / name for name in ("problems.jsonl", "traces.jsonl", "labelled.jsonl")
    )
    trained, data = run / "train", run / "data"

    def export_problems() -> str:
        write_problems(loaded, exported)
        return f"{len(loaded)} problems"

    def collect_traces() -> str:
        with progress_bar(len(loaded), "problem", "collect") as bar:
            drawn = collect([p.public for p in loaded], policy, traces, drawing, bar.update)
        return f"{drawn.traces} traces from {policy.name}"

    def label_traces() -> str:
        summary = judging.label_traces(traces, exported, labelled, workers, weak)
        stages.note_tier(summary.tier)
        judged = f"{summary.programs_run} programs judged"
        return f"{summary.traces} traces, {judged}, tier {summary.tier}"

    def build_data() -> str:
        public = {p.id: p.public for p in loaded}
        config = SplitConfig(min_trials=sizes.min_trials, seed=seed)
        statistics = build_dataset(list(read_traces(labelled)), public, data, config)
        return ", ".join(f"{k} {v['traces']}" for k, v in statistics["splits"].items())

    def train_model() -> str:
        summary = train(on_all_devices(training))
        if summary.stopped_by is not None:
            raise KeyboardInterrupt
        return (
            f"{summary.steps} steps, {summary.tokens_per_second:,.0f} tokens/s, "
            f"validation MSE {summary.metrics['mse']:.4f}"
        )

    def evaluate_model() -> str:
        result = evaluate.evaluate(trained, data)
        write_json(run / "evaluation.json", result)
        seen, unseen = (result["splits"][s]["prm"]["auroc"] for s in evaluate.TEST_SPLITS)
        return f"AUROC {seen:.3f} on seen problems, {unseen:.3f} on unseen"

    def search_all() -> str:
        groups = search.group_problems([p.id for p in loaded], data)
        searches = comparing.repeats * len(CORE_ARMS) * len(loaded)
        with (
            open_pool(workers, weak) as pool,
            progress_bar(searches, "search", "search") as bar,
        ):
            run_benchmark(
                loaded,
                groups,
                policy,
                pool,
                StepScorer(trained),
                run / "search",
                config=comparing,
                progress=bar.update,
            )
        return f"{comparing.repeats} searches x {len(CORE_ARMS)} arms x {len(loaded)} problems"

    stages.run("problems", export_problems)
    stages.run("collect", collect_traces)
    stages.run("label", label_traces)
    stages.run("build", build_data)
    stages.run("train", train_model)
    stages.run("evaluate", evaluate_model)
    stages.run("search", search_all)
    page = write_report(run)
    say("")
    say(build.describe(read_json(data / "statistics.json")))
    say("")
    say(evaluate.describe(read_json(run / "evaluation.json")))
    say(search.describe(read_json(run / "search" / SUMMARY)))
    rows = [(name, f"{s['seconds']:.1f}") for name, s in stages.finished.items()]
    say(table(("stage", "seconds"), [*rows, ("all", f"{stages.seconds:.1f}")]))
    say(f"\nreport: {page}")
    return 0


def on_all_devices(config: TrainConfig) -> TrainConfig:
    """The config with as many rows a step as the devices here need at least: one each."""
    import jax

    devices = jax.device_count()
    rows = -(-config.training.batch_rows // devices) * devices
    return replace(config, training=replace(config.training, batch_rows=rows))


class Stages:
    """The finished stages of a run directory, with their times.

    Raises InputError if the directory was begun with other settings.
    """

    def __init__(self, run: Path, problems: str, settings: dict[str, Any]) -> None:
        self._path = run / STATE
        self._state: dict[str, Any] = {
            "problems": problems,
            "settings": settings,
            "tier": "unknown",
            "stages": {},
        }
        if self._path.is_file():
            before = read_json(self._path)
            for key in ("problems", "settings"):
                if before.get(key) != self._state[key]:
                    raise InputError(
                        f"{run} was begun with {key} {before.get(key)}, not {self._state[key]}; "
                        "name another --out, or remove that folder"
                    )
            self._state = before
        write_json(self._path, self._state)

    @property
    def finished(self) -> dict[str, Any]:
        """Stage -> seconds and note."""
        return self._state["stages"]

    @property
    def seconds(self) -> float:
        """Of all finished stages together."""
        return sum(s["seconds"] for s in self.finished.values())

    def note_tier(self, tier: str) -> None:
        """Remembers the isolation under which labels were made."""
        self._state["tier"] = tier

    def run(self, name: str, stage: Callable[[], str]) -> None:
        """Runs a stage that is not finished yet; an interrupted one goes on where it stopped."""
        if name in self.finished:
            say(f"{name:<10} done before: {self.finished[name]['note']}")
            return
        began = time.perf_counter()
        spent = self._state.setdefault("spent", {}).get(name, 0.0)
        try:
            note = stage()
        except BaseException:
            # Time of an interrupted stage counts, or a resumed run would look too fast.
            self._state["spent"][name] = spent + time.perf_counter() - began
            write_json(self._path, self._state)
            raise
        seconds = spent + time.perf_counter() - began
        self.finished[name] = {"seconds": seconds, "note": note}
        write_json(self._path, self._state)
        say(f"{name:<10} {seconds:7.1f} s  {note}")
