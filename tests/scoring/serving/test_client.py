"""Scoring through a server is scoring."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from codeprm_jax import cli
from codeprm_jax.data.layout import ExampleTooLongError, StepInput
from codeprm_jax.data.pipeline import step_input
from codeprm_jax.files import InputError, RunError, read_jsonl
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.scorer import Scorer, StepScores
from codeprm_jax.scoring.serving import client as client_module
from codeprm_jax.scoring.serving.client import ScorerClient, open_scorer
from codeprm_jax.scoring.serving.service import ServerConfig
from codeprm_jax.traces.dataset import Record
from tests.scoring.serving.conftest import LiveServer


def test_it_is_the_same_scorer(
    live: LiveServer, scorer: StepScorer, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "REQUEST_BYTES", 8_000)  # several requests
    inputs = [step_input(r) for r in records[:24]]
    remote: Scorer = open_scorer(live.url)
    assert (remote.fingerprint, remote.view) == (scorer.fingerprint, scorer.view)
    for mine, theirs in zip(scorer.score(inputs), remote.score(inputs), strict=True):
        np.testing.assert_allclose(theirs.scores, mine.scores, atol=1e-6)
        assert theirs.scores.dtype == np.float32 and theirs.tokens == mine.tokens
    assert remote.score([]) == []


def test_a_client_needs_no_jax() -> None:
    code = "import sys, codeprm_jax.scoring.serving.client; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_commands_take_an_address_for_a_model(
    live: LiveServer, model: Path, labelled: Path, tmp_path: Path
) -> None:
    """And go on with the model itself where they stopped with its server: it is the same one."""
    score = ["score", str(labelled), "--out", str(tmp_path / "scores.jsonl")]
    assert cli.run([*score, "--model", live.url]) == 0
    scores = (tmp_path / "scores.jsonl").read_bytes()
    (tmp_path / "scores.jsonl").write_bytes(scores[: len(scores) // 2])
    assert cli.run([*score, "--model", str(model)]) == 0
    again = list(read_jsonl(tmp_path / "scores.jsonl"))
    for line, record in zip(scores.splitlines(), again, strict=True):
        before = json.loads(line)
        np.testing.assert_allclose(record.pop("scores"), before.pop("scores"), atol=3e-6)
        assert record == before

    search = ["search", "--out", str(tmp_path / "search"), "--benchmark.repeats", "1"]
    search += ["--benchmark.budget.amount", "2", "--allow-weak-isolation"]
    assert cli.run([*search, "--model", live.url]) == 0
    names = ("settings.json", "results.jsonl", "summary.json")
    files = [(tmp_path / "search" / name).read_bytes() for name in names]
    assert cli.run([*search, "--model", str(model)]) == 0
    assert [(tmp_path / "search" / name).read_bytes() for name in names] == files


def test_each_input_has_its_own_error(live: LiveServer) -> None:
    good, long = StepInput("s", ("a", "b")), StepInput("s", ("word " * 3000,))
    with ScorerClient(live.url) as remote:
        found = remote.score_each(
            [good, long, StepInput("s", ()), StepInput("\ud800", ("a",)), good]
        )
        assert isinstance(found[0], StepScores) and isinstance(found[4], StepScores)
        assert isinstance(found[1], ExampleTooLongError) and found[1].limit == 1024
        assert isinstance(found[2], InputError) and "thoughts" in str(found[2])
        assert isinstance(found[3], InputError) and "statement" in str(found[3])
        with pytest.raises(ExampleTooLongError):
            remote.score([good, long])
        with pytest.raises(InputError, match="program"):
            remote.score([good], view="program")


def test_requests_that_the_server_finds_too_large_are_halved(live: LiveServer) -> None:
    """`live` takes 1 MiB: less than what the client sends at once, escaped."""
    inputs = [StepInput("s", ("é" * 60_000,)) for _ in range(5)]
    with ScorerClient(live.url) as remote:
        client_module_bytes = client_module.REQUEST_BYTES
        client_module.REQUEST_BYTES = 10**7
        try:
            found = remote.score_each(inputs)
        finally:
            client_module.REQUEST_BYTES = client_module_bytes
    assert len(found) == 5 and all(isinstance(f, ExampleTooLongError) for f in found)


def test_wrong_servers_are_told_apart(
    live: LiveServer, scorer: StepScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match="is the server running"):
        ScorerClient("http://127.0.0.1:9", retries=1)
    with pytest.raises(RunError, match="404"):
        ScorerClient(f"{live.url}/v2")
    with pytest.raises(InputError, match="no address"):
        ScorerClient("ftp://x")
    with pytest.raises(InputError, match="no run directory"):
        open_scorer(tmp_path)
    with pytest.raises(InputError, match="not trained to read"):
        ScorerClient(live.url, view="program")
    token = "0123456789abcdef"
    with LiveServer(scorer, ServerConfig(token=token, warm_up=False)) as secured:
        with pytest.raises(InputError, match="token"):
            ScorerClient(secured.url)
        assert ScorerClient(secured.url, token=token).fingerprint == scorer.fingerprint
        monkeypatch.setenv("CODEPRM_SERVER_TOKEN", token)
        assert open_scorer(secured.url).fingerprint == scorer.fingerprint


class Flaky(BaseHTTPRequestHandler):
    """Busy, then gone in the middle of an answer, then there."""

    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        if self.calls == 1:
            self.send_response(503)
            self.end_headers()
        elif self.calls > 2:
            self.send_response(200)
            self.end_headers()
            card = b'{"fingerprint": "f, view thoughts", "views": ["thoughts", "program"], '
            card += b'"view": "thoughts", "max_model_len": 1024}'
            self.wfile.write(b'{"data": [' + card + b"]}")

    def log_message(self, *_: object) -> None:
        pass


def test_a_busy_server_is_asked_again() -> None:
    with HTTPServer(("127.0.0.1", 0), Flaky) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert ScorerClient(url).fingerprint == "f, view thoughts"
        assert Flaky.calls == 3
        assert ScorerClient(url, view="program").fingerprint == "f"
        server.shutdown()


@pytest.mark.parametrize("answer", [{"data": [{"id": "Qwen", "max_model_len": 4096}]}, {}, []])
def test_another_kind_of_server_is_named(answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScorerClient, "_call", lambda *_, **__: answer)
    with pytest.raises(RunError, match="no server of codeprm serve"):
        ScorerClient("http://127.0.0.1:1")
