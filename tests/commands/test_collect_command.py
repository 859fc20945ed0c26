"""`codeprm collect`: kills and interrupts that leave no mark, and programs that are run once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax import cli
from codeprm_jax.commands.oracle import digest_of_tests
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.problems.loading import write_problems
from codeprm_jax.traces.trace import read_traces
from sandbox_runner.label import label
from sandbox_runner.pool import Pool

ROOT = Path(__file__).resolve().parents[2]
TREE = ["--method", "tree", "--tree.searches", "3", "--workers", "2", "--allow-weak-isolation"]


def options(folder: Path) -> list[str]:
    source = f"file:{folder / 'problems.jsonl'}"
    return ["collect", "--problems", source, "--out", str(folder / "traces.jsonl"), *TREE]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_problems([e.problem for e in ENTRIES[:4]], tmp_path / "problems.jsonl")
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted collection by the tree method."""
    folder = tmp_path_factory.mktemp("whole")
    write_problems([e.problem for e in ENTRIES[:4]], folder / "problems.jsonl")
    assert cli.run(options(folder)) == 0
    return folder


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "codeprm_jax.cli", *options(folder)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_bytes(folder: Path, size: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        logs = (folder / "traces.jsonl.collection").glob("*.jsonl")
        if sum(p.stat().st_size for p in logs) >= size:
            return
        time.sleep(0.002)


def test_kills_and_interrupts_leave_no_mark(
    whole: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    total = sum(p.stat().st_size for p in (whole / "traces.jsonl.collection").glob("*.jsonl"))
    for number, share in ((signal.SIGKILL, 0.1), (signal.SIGINT, 0.4), (signal.SIGTERM, 0.7)):
        process = start(folder)
        wait_for_bytes(folder, int(total * share), process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors, errors
        assert process.returncode != 0  # it was under way
        assert number == signal.SIGKILL or "run the same command again" in errors
    capfd.readouterr()
    assert cli.run(options(folder)) == 0
    assert (folder / "traces.jsonl").read_bytes() == (whole / "traces.jsonl").read_bytes()
    stored = Counter(
        line.split('"', 4)[3] for line in (folder / "traces.jsonl.results").open() if line[2] == "k"
    )
    assert set(stored.values()) == {1}, "a program was run twice"
    assert cli.run(options(folder)) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0] == said[2] and "traces of 4 problems" in said[0]


def test_labelling_runs_nothing_that_collection_ran(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Any] = []
    real = Pool.run
    monkeypatch.setattr(
        Pool, "run", lambda pool, jobs: real(pool, (ran.append(j) or j for j in jobs))
    )
    files = (whole / "traces.jsonl", whole / "problems.jsonl")
    summary = label(*files, tmp_path / "labelled.jsonl", workers=2, allow_weak_isolation=True)
    assert not ran and summary.programs_run == 0 < summary.programs_reused
    labelled = {t.id: t for t in read_traces(tmp_path / "labelled.jsonl")}
    collected = list(read_traces(whole / "traces.jsonl"))
    assert len(labelled) == len(collected) == summary.traces
    for trace in collected:
        assert labelled[trace.id].outcome == trace.outcome
        assert labelled[trace.id].public == trace.public
    # A rollout counts for every prefix that it runs through, whatever it was drawn for.
    through = Counter(t.thoughts[:d] for t in collected for d in range(1, len(t.thoughts) + 1))
    for trace in labelled.values():
        counts = [through[trace.thoughts[: d + 1]] for d in range(len(trace.thoughts))]
        assert [s.trials for s in trace.steps or ()] == counts

    # Other tests make other jobs: what was run for these is of no use then.
    changed = (
        (whole / "problems.jsonl").read_text().replace('"output_kib": 256', '"output_kib": 300')
    )
    (tmp_path / "problems.jsonl").write_text(changed)
    other = label(
        files[0], tmp_path / "problems.jsonl", tmp_path / "l2.jsonl", allow_weak_isolation=True
    )
    assert other.programs_run == summary.programs_reused and other.programs_reused == 0


def test_other_private_tests_are_another_collection(
    whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    problems = [e.problem for e in ENTRIES[:4]]
    assert digest_of_tests(problems) != digest_of_tests(problems[:3])
    before = (whole / "problems.jsonl").read_bytes()
    try:
        text = before.decode().replace('"output_kib": 256', '"output_kib": 300')
        (whole / "problems.jsonl").write_text(text)
        assert cli.run(options(whole)) == 2
        assert "tests" in capfd.readouterr().err
    finally:
        (whole / "problems.jsonl").write_bytes(before)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--uniform.rollouts", "0"], "at least 1"),
        (["--tree.alpha", "2"], "alpha"),
        (["--budget.total-rollouts", "5"], "fewer problems"),
        (["--budget.tokens", "10"], "do not cover one rollout"),
        (["--problems-at-once", "0"], "problems_at_once"),
        (["--method", "tree", "--workers", "0"], "--workers"),
    ],
)
def test_wrong_usage(
    more: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        code = cli.run(["collect", "--out", str(tmp_path / "t.jsonl"), *more])
    except SystemExit as stop:
        code = stop.code  # type: ignore[assignment]
    assert code == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
