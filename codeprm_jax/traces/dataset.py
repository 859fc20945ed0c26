"""Labelled traces as a TFDS dataset: ArrayRecord files, no TensorFlow.

Four splits. `train`, `validation` and `test` never share a problem; `test_seen` holds traces of
training problems whose thoughts occur in no training trace.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codeprm_jax.files import InputError, RunError, read_json, stable_seed, write_json
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.traces.trace import TARGETS, Failure, Feedback, StepCounts, Trace

DATASET = "codeprm_traces"
VERSION = "1.0.0"
SPLITS = ("train", "validation", "test", "test_seen")
_STATISTICS = "statistics.json"
_FAILURE_FIELDS = ("id", "verdict", "input", "expected", "actual", "stderr")


@dataclass(frozen=True)
class SplitConfig:
    """How traces are divided.

    Attributes:
      validation, test: share of the problems.
      test_seen: share of the training problems' distinct lists of thoughts.
      min_trials: rollouts that every step but the last must have; other traces are left out.
      seed: of the division.
    """

    validation: float = 0.12
    test: float = 0.2
    test_seen: float = 0.15
    min_trials: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.validation, self.test, self.test_seen)
        if any(not 0 < s < 1 for s in shares) or self.validation + self.test >= 1:
            raise InputError(f"split shares must lie in (0, 1) and leave a training part: {shares}")


@dataclass(frozen=True)
class Record:
    """A labelled trace with the text of its problem, as the dataset holds it."""

    trace: Trace
    statement: str


def split_problems(problem_ids: Sequence[str], config: SplitConfig) -> dict[str, str]:
    """Problem id -> "train" | "validation" | "test", at least one problem in each.

    Raises InputError on fewer than three problems.
    """
    ids = sorted(set(problem_ids))
    if len(ids) < 3:
        raise InputError(
            f"{len(ids)} problems cannot be split into train, validation and test: use at least 3"
        )
    ids.sort(key=lambda i: stable_seed("split", config.seed, i))
    tests = max(1, round(config.test * len(ids)))
    validations = max(1, round(config.validation * len(ids)))
    names = ["test"] * tests + ["validation"] * validations
    names += ["train"] * (len(ids) - len(names))
    return dict(zip(ids, names, strict=False))


def assign_splits(
    traces: Sequence[Trace], config: SplitConfig
) -> tuple[dict[str, list[Trace]], Counter[str]]:
    """Traces by split, and why others were left out: "duplicate" or "too few trials".

    Raises InputError on an unlabelled trace, and where a split ends up empty.
    """
    by_problem = split_problems([t.problem_id for t in traces], config)
    splits: dict[str, list[Trace]] = {name: [] for name in SPLITS}
    left_out: Counter[str] = Counter()
    seen: set[tuple[str, tuple[str, ...], str]] = set()
    ids: set[str] = set()
    for trace in traces:
        if trace.id in ids:
            raise InputError(f"two traces have the id {trace.id!r}; was a file joined to itself?")
        ids.add(trace.id)
        if trace.steps is None or trace.public is None or trace.outcome is None:
            raise InputError(
                f"trace {trace.id!r} carries no labels; run sandbox-runner label on it first"
            )
        key = (trace.problem_id, trace.thoughts, trace.program)
        if key in seen:
            left_out["duplicate"] += 1
            continue
        seen.add(key)
        if any(s.trials < config.min_trials for s in trace.steps[:-1]):
            left_out["too few trials"] += 1
            continue
        split = by_problem[trace.problem_id]
        if split == "train":
            draw = stable_seed("seen", config.seed, trace.problem_id, *trace.thoughts) / 2**63
            split = "test_seen" if draw < config.test_seen else "train"
        splits[split].append(trace)
    for name, members in splits.items():
        if not members:
            raise InputError(
                f"split {name!r} would be empty ({len(traces)} traces, left out: "
                f"{dict(left_out)}); collect more traces or lower min_trials"
            )
    return splits, left_out


def build_dataset(
    traces: Sequence[Trace],
    problems: Mapping[str, PublicProblem],
    data_dir: Path,
    config: SplitConfig = SplitConfig(),
) -> dict[str, Any]:
    """Writes the dataset under `data_dir` and returns its statistics (also in statistics.json).

    An existing dataset there is replaced only when the new one is complete.

    Raises:
      InputError: traces without labels, an unknown problem, or a split that would be empty.
    """
    import tensorflow_datasets as tfds

    splits, left_out = assign_splits(traces, config)
    for trace in traces:
        if trace.problem_id not in problems:
            raise InputError(f"trace {trace.id!r}: unknown problem {trace.problem_id!r}")
    text = tfds.features.Text()
    features = tfds.features.FeaturesDict(
        {
            "id": text,
            "problem_id": text,
            "statement": text,
            "thoughts": tfds.features.Sequence(text),
            "program": text,
            "public_passed": np.int32,
            "public_total": np.int32,
            "failures": tfds.features.Sequence(dict.fromkeys(_FAILURE_FIELDS, text)),
            "passes": tfds.features.Sequence(np.int32),
            "trials": tfds.features.Sequence(np.int32),
            # As bytes: a float feature would be cut to 32 bits.
            "pass_rate_sum": tfds.features.Tensor(
                shape=(None,), dtype=np.float64, encoding="bytes"
            ),
            "outcome": tfds.features.Sequence(np.int32),
            "policy": text,
        }
    )

    with tfds.core.registered.skip_registration():

        class CodeprmTraces(tfds.core.GeneratorBasedBuilder):
            """Execution-labelled thought traces."""

            name = DATASET
            VERSION = tfds.core.Version(VERSION)

            def _info(self) -> Any:
                description = "Execution-labelled thought traces of programs."
                return self.dataset_info_from_configs(features=features, description=description)

            def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
                del dl_manager
                return {name: self._generate_examples(splits[name]) for name in SPLITS}

            def _generate_examples(self, members: Sequence[Trace]) -> Iterator[Any]:
                for trace in members:
                    yield trace.id, _to_features(trace, problems[trace.problem_id].statement)

    statistics = {
        "left_out": dict(left_out),
        "splits": {name: _statistics(members) for name, members in splits.items()},
    }
    data_dir = Path(data_dir).resolve()
    if (
        data_dir.exists()
        and not (data_dir / _STATISTICS).is_file()
        and (not data_dir.is_dir() or any(data_dir.iterdir()))
    ):
        raise InputError(
            f"{data_dir} is there already and is no dataset of ours; name another --data-dir"
        )
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{data_dir.name}.", dir=data_dir.parent))
    replaced = unfinished.with_name(unfinished.name + ".old")
    try:
        builder = CodeprmTraces(data_dir=str(unfinished), file_format="array_record")
        # It prints where it writes, which is a temporary folder: nothing for a reader.
        with contextlib.redirect_stdout(io.StringIO()):
            tfds.disable_progress_bar()
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False)
            )
        write_json(unfinished / _STATISTICS, statistics)
        if data_dir.exists():
            data_dir.rename(replaced)
        unfinished.rename(data_dir)
    except RuntimeError as error:  # how ArrayRecord says that it could not write
        raise RunError(f"the dataset could not be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
    return statistics


def open_split(data_dir: Path | str, split: str) -> Sequence[Any]:
    """Random access to a split's raw feature dicts; `to_record` reads one.

    Raises InputError if there is no complete dataset under `data_dir`.
    """
    import tensorflow_datasets as tfds

    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
    directory = Path(data_dir) / DATASET / VERSION
    if not (Path(data_dir) / _STATISTICS).is_file() or not directory.is_dir():
        raise InputError(f"{data_dir} holds no complete dataset; write one with codeprm build")
    return tfds.builder_from_directory(str(directory)).as_data_source(split)


def read_split(data_dir: Path | str, split: str) -> list[Record]:
    """All records of a split, in stored order."""
    return [to_record(features) for features in open_split(data_dir, split)]


def read_statistics(data_dir: Path | str) -> dict[str, Any]:
    """The statistics that `build_dataset` wrote."""
    return read_json(Path(data_dir) / _STATISTICS)


def to_record(features: Mapping[str, Any]) -> Record:
    """The record of one raw feature dict."""
    columns = features["failures"]
    count = len(columns["id"])
    failures = tuple(
        Failure(*(_text(columns[name][i]) for name in _FAILURE_FIELDS)) for i in range(count)
    )
    counts = zip(features["passes"], features["trials"], features["pass_rate_sum"], strict=True)
    trace = Trace(
        id=_text(features["id"]),
        problem_id=_text(features["problem_id"]),
        thoughts=tuple(_text(t) for t in features["thoughts"]),
        program=_text(features["program"]),
        public=Feedback(int(features["public_passed"]), int(features["public_total"]), failures),
        steps=tuple(StepCounts(int(p), int(n), float(s)) for p, n, s in counts),
        outcome=(int(features["outcome"][0]), int(features["outcome"][1])),
        provenance={"policy": _text(features["policy"])},
    )
    return Record(trace, _text(features["statement"]))


def _to_features(trace: Trace, statement: str) -> dict[str, Any]:
    assert trace.public is not None and trace.steps is not None and trace.outcome is not None
    return {
        "id": trace.id,
        "problem_id": trace.problem_id,
        "statement": statement,
        "thoughts": list(trace.thoughts),
        "program": trace.program,
        "public_passed": trace.public.passed,
        "public_total": trace.public.total,
        "failures": {
            name: [getattr(f, name) for f in trace.public.failures] for name in _FAILURE_FIELDS
        },
        "passes": [s.passes for s in trace.steps],
        "trials": [s.trials for s in trace.steps],
        "pass_rate_sum": np.array([s.pass_rate_sum for s in trace.steps], np.float64),
        "outcome": list(trace.outcome),
        "policy": str(trace.provenance.get("policy", "")),
    }


def _statistics(traces: Sequence[Trace]) -> dict[str, Any]:
    steps = [s for t in traces for s in t.steps or ()]
    by_problem: dict[str, int] = defaultdict(int)
    for trace in traces:
        by_problem[trace.problem_id] += 1
    return {
        "traces": len(traces),
        "problems": len(by_problem),
        "problem_ids": sorted(by_problem),
        "steps": len(steps),
        "mean_label": {t: float(np.mean([s.label(t) for s in steps])) for t in TARGETS},
        "mean_trials": float(np.mean([s.trials for s in steps])),
        "reachable_share": float(np.mean([s.reachable for s in steps])),
        "solved_share": float(np.mean([t.solved for t in traces])),
    }


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
