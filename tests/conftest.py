"""Fixtures shared by all tests, and eight fake devices."""

from __future__ import annotations

import functools
import os
import tempfile

# Before the first import of JAX: a real accelerator, if there is one, is not what is tested here.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests start the same training again and again, some in processes of their own: compile it once.
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share the folder of who started them
    _COMPILED = tempfile.TemporaryDirectory(prefix="codeprm-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"

import jax

jax.config.update("jax_num_cpu_devices", 8)

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from codeprm_jax.data.layout import Layout, LayoutConfig
from codeprm_jax.data.pipeline import tokenizer_for
from codeprm_jax.model import decoder
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.problems.loading import write_problems
from codeprm_jax.problems.problem import Problem
from codeprm_jax.search.collect import CollectConfig, collect
from codeprm_jax.search.uniform import UniformConfig
from codeprm_jax.traces.dataset import Record, SplitConfig, build_dataset
from codeprm_jax.traces.trace import Trace, read_traces
from sandbox_runner.label import label
from sandbox_runner.pool import Pool

# What passes once passes again: the examples follow from the tests, and no clock is held against
# them. To try new ones: pytest --hypothesis-profile=explore.
hypothesis.settings.register_profile(
    "same",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("explore", derandomize=False, deadline=None)
hypothesis.settings.load_profile("same")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

TINY = ModelConfig(
    vocab_size=640,
    hidden_size=32,
    intermediate_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
)


def shared_file(name: str) -> Path:
    """A public input file; the test is skipped, saying why, where there is none."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent: public inputs stand beside a developer's checkout only")
    return path


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with Pool(2, allow_weak_isolation=True) as running:
        yield running


@pytest.fixture(scope="session")
def some_problems() -> list[Problem]:
    """Six problems of the bank, functions and programs."""
    return [e.problem for e in ENTRIES[::5]][:6]


@pytest.fixture(scope="session")
def bank_policy() -> MutationPolicy:
    return MutationPolicy({e.chain.problem_id: e.chain for e in ENTRIES})


@pytest.fixture(scope="session")
def labelled(
    tmp_path_factory: pytest.TempPathFactory,
    some_problems: list[Problem],
    bank_policy: MutationPolicy,
) -> Path:
    """labelled.jsonl of a small collection, made by the real commands' functions."""
    folder = tmp_path_factory.mktemp("labelled")
    write_problems(some_problems, folder / "problems.jsonl")
    public = [p.public for p in some_problems]
    collect(public, bank_policy, folder / "traces.jsonl", CollectConfig(UniformConfig(10, 2)))
    label(
        folder / "traces.jsonl",
        folder / "problems.jsonl",
        folder / "labelled.jsonl",
        allow_weak_isolation=True,
    )
    return folder / "labelled.jsonl"


@pytest.fixture(scope="session")
def traces(labelled: Path) -> list[Trace]:
    return list(read_traces(labelled))


@pytest.fixture(scope="session")
def records(traces: list[Trace], some_problems: list[Problem]) -> list[Record]:
    statements = {p.id: p.public.statement for p in some_problems}
    return [Record(t, statements[t.problem_id]) for t in traces]


@pytest.fixture(scope="session")
def layout(records: list[Record]) -> Layout:
    tokenizer = tokenizer_for(records, TINY.vocab_size)
    return Layout(LayoutConfig(max_tokens=1024), tokenizer)


@pytest.fixture(scope="session")
def data_dir(
    tmp_path_factory: pytest.TempPathFactory, traces: list[Trace], some_problems: list[Problem]
) -> Path:
    """A TFDS dataset of the small collection."""
    folder = tmp_path_factory.mktemp("tfds") / "data"
    public = {p.id: p.public for p in some_problems}
    build_dataset(traces, public, folder, SplitConfig(min_trials=2))
    return folder


@functools.cache
def tiny_params() -> decoder.Params:
    """The tiny model's first parameters; nobody changes them."""
    return jax.jit(lambda: decoder.create(TINY, 0))()


def random_tokens(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """int32 token ids of the tiny model's vocabulary."""
    return rng.integers(0, TINY.vocab_size, shape, dtype=np.int32)
