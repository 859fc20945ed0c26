"""`codeprm score`: bounded memory, no trace twice, and a kill that leaves no mark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codeprm_jax import cli
from codeprm_jax.commands import score as command
from codeprm_jax.data.layout import Layout, LayoutConfig
from codeprm_jax.files import read_jsonl, write_jsonl
from codeprm_jax.traces import trace as trace_module
from tests.scoring.models import save_random_model


@pytest.fixture(scope="module")
def model(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("score") / "model"
    views = LayoutConfig(views=("thoughts", "program", "feedback"), max_tokens=1024)
    return save_random_model(folder, layout.tokenizer, layout=views)


@pytest.fixture
def some(labelled: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(labelled))[:40]


def score(traces: Path, model: Path, out: Path, *options: str) -> int:
    return cli.run(["score", str(traces), "--model", str(model), "--out", str(out), *options])


@pytest.mark.slow
def test_a_kill_leaves_no_mark(model: Path, labelled: Path, tmp_path: Path) -> None:
    """Killed in the middle and with a torn line, it ends in the bytes of an undisturbed run."""
    records = list(read_jsonl(labelled))
    many = [
        record
        | {"id": f"{record['id']} {n}", "thoughts": [f"{n}. {t}" for t in record["thoughts"]]}
        for n in range(2)
        for record in records
    ]
    traces, whole, killed = (tmp_path / f"{name}.jsonl" for name in ("traces", "whole", "killed"))
    write_jsonl(traces, many)
    code = (
        "import sys; from codeprm_jax import cli; from codeprm_jax.commands import score\n"
        "score.CHUNK = 16; sys.exit(cli.run(sys.argv[1:]))"
    )

    def start(out: Path) -> subprocess.Popen[bytes]:
        options = ["score", str(traces), "--model", str(model), "--out", str(out)]
        return subprocess.Popen([sys.executable, "-c", code, *options])

    assert start(whole).wait(120) == 0
    assert [r["id"] for r in read_jsonl(whole) if r["scores"]] == [r["id"] for r in many]
    process = start(killed)
    while not killed.exists():
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = killed.read_bytes()
    assert 0 < kept.count(b"\n") < len(many)
    killed.write_bytes(kept[:-300])  # what a machine that loses power may leave
    assert start(killed).wait(120) == 0
    assert killed.read_bytes() == whole.read_bytes()


def test_no_more_than_a_chunk_is_held(
    model: Path, some: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chunk is written before the next is read."""
    traces, out = tmp_path / "traces.jsonl", tmp_path / "scores.jsonl"
    write_jsonl(traces, some)
    unwritten = []
    read = trace_module.Trace.from_json

    def counted(data: Any) -> Any:
        written = out.read_bytes().count(b"\n") if out.exists() else 0
        unwritten.append(len(unwritten) + 1 - written)
        return read(data)

    monkeypatch.setattr(trace_module.Trace, "from_json", counted)
    monkeypatch.setattr(command, "CHUNK", 8)
    assert score(traces, model, out) == 0
    assert len(unwritten) == 40 and max(unwritten) == 8


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("same", "line 13: a trace before it has the id"),
        ("{", "line 13: not valid JSON"),
        ("unknown", "line 13: bank has no problem 'bank/none'"),
        ('{"id": "x", "schema": 9}', "line 13: trace 'x': schema 9"),
    ],
)
def test_a_bad_line_is_named_and_costs_nothing_before_it(
    line: str,
    message: str,
    model: Path,
    some: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [json.dumps(record) for record in some]
    given = {
        "same": lines[3],
        "unknown": json.dumps(some[20] | {"id": "y", "problem_id": "bank/none"}),
    }.get(line, line)
    traces, out = tmp_path / "traces.jsonl", tmp_path / "scores.jsonl"
    traces.write_text("\n".join([*lines[:12], given, *lines[12:]]) + "\n")
    assert score(traces, model, out) == 2
    assert f"traces.jsonl, {message}" in capsys.readouterr().err
    assert [r["id"] for r in read_jsonl(out)] == [r["id"] for r in some[:12]]
    traces.write_text("\n".join(lines) + "\n")
    assert score(traces, model, out) == 0
    assert [r["id"] for r in read_jsonl(out)] == [r["id"] for r in some]
    assert "40 of 40 traces scored, 0 refused" in capsys.readouterr().out


def test_options_reach_the_engine(
    model: Path,
    some: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    traces = tmp_path / "traces.jsonl"
    write_jsonl(traces, some[:10])
    found = []
    for n, options in enumerate((["--tokens-per-batch", "512"], ["--no-reuse"])):
        assert score(traces, model, tmp_path / f"{n}.jsonl", *options) == 0
        found.append([s for r in read_jsonl(tmp_path / f"{n}.jsonl") for s in r["scores"]])
    np.testing.assert_allclose(found[0], found[1], atol=2e-5)
    out = tmp_path / "half.jsonl"
    assert score(traces, model, out, "--dtype", "bfloat16", "--view", "thoughts") == 0
    assert next(iter(read_jsonl(out)))["model"].endswith(", view thoughts")
    capsys.readouterr()
    assert score(traces, model, out, "--tokens-per-batch", "0") == 2
    assert score(traces, model, out, "--no-reuse", "--attention", "cudnn") in (1, 2)
    assert score(traces, "http://127.0.0.1:9", out, "--no-reuse") == 2  # type: ignore[arg-type]
    assert "reuse: a server computes as it was told" in capsys.readouterr().err
