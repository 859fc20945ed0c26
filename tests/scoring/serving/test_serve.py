"""`codeprm serve` as a process: it starts, drains, and says what is wrong."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from codeprm_jax import cli
from codeprm_jax.commands.serve import _Server, listen, read_token, uvicorn_config
from codeprm_jax.files import InputError
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.serving.app import create_app
from codeprm_jax.scoring.serving.service import ServerConfig

TRACE = {"statement": "Add two numbers.", "thoughts": ["Read both.", "Print the sum."]}


def start(model: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "codeprm_jax.cli", "serve", "--model", str(model)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--no-warm-up", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r"http://[0-9.:]+", process.stdout.readline())
    assert found is not None, process.communicate()[1]
    return process, found.group()


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_sigterm_answers_what_is_queued_and_ends_with_0(model: Path) -> None:
    process, url = start(model, "--max-batch-tokens", "400")
    try:
        assert httpx.get(f"{url}/health").status_code == 200  # while it loads
        wait_until_ready(url)
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps({"traces": [TRACE] * 400}).encode()
        head = "POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        killed = socket.create_connection((host, int(port)))  # goes away with a request under way
        killed.sendall(request)
        killed.close()
        with httpx.stream("POST", f"{url}/v1/score", content=iter([b"x" * 2**20] * 100)) as big:
            assert big.status_code in (413, 415)
        answers: list[int] = []

        def post() -> None:
            answer = httpx.post(f"{url}/v1/score", json={"traces": [TRACE] * 400}, timeout=60)
            answers.append(len(answer.json()["results"]))

        threads = [threading.Thread(target=post) for _ in range(6)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 30
        queued = 0.0
        while not queued and time.monotonic() < deadline:
            text = httpx.get(f"{url}/metrics").text
            found = re.search(r"^codeprm_queue_traces (\S+)", text, re.MULTILINE)
            queued = float(found.group(1)) if found else 0.0
        assert queued > 0
        time.sleep(0.3)  # the other requests are in
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
        assert process.wait(60) == 0
        assert answers == [400] * 6
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health")
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    finally:
        process.kill()


def test_engine_options_count_and_a_second_signal_waits_for_nobody(model: Path) -> None:
    process, url = start(model, "--no-reuse", "--tokens-per-batch", "512")
    try:
        wait_until_ready(url)
        for _ in range(2):
            assert httpx.post(f"{url}/v1/score", json={"traces": [TRACE]}, timeout=60).is_success
        counters = httpx.get(f"{url}/metrics").text
        assert "codeprm_scorer_traces_total 2.0" in counters
        assert "codeprm_scorer_remembered_traces_total 0.0" in counters
        host, port = url.removeprefix("http://").split(":")
        head = "POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(1.0)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_loads_ends_it_at_once(model: Path, number: int) -> None:
    process, _ = start(model)
    try:
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == 0 and time.monotonic() - began < 10
    finally:
        process.kill()


def test_what_is_wrong_is_said_and_ends_with_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "token"
    short.write_text("short\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for options, message in (
            (["--port", str(taken.getsockname()[1])], "in use"),
            (["--port", "70000"], "0 to 65535"),
            (["--port", "-1"], "0 to 65535"),
            (["--host", "no.such.host.invalid"], "cannot listen"),
            (["--token-file", str(tmp_path / "none")], "cannot be read"),
            (["--token-file", str(short)], "16 or more"),
            (["--max-batch-tokens", "0"], "max_batch_tokens"),
            (["--tokens-per-batch", "0"], "tokens_per_batch"),
            (["--request-seconds", "nan"], "request_seconds"),
            (["--port", "0"], "does not exist"),  # nothing wrong but the model
        ):
            code = cli.run(["serve", "--model", str(tmp_path / "nothing"), *options])
            said = capfd.readouterr().err
            assert code == 2 and message in said, (options, said)
            assert "Traceback" not in said
    monkeypatch.setenv("CODEPRM_SERVER_TOKEN", "a b")
    assert cli.run(["serve", "--model", str(tmp_path)]) == 2


def test_token_is_read_from_file_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    monkeypatch.delenv("CODEPRM_SERVER_TOKEN", raising=False)
    assert read_token(None) is None and read_token(file) == "0123456789abcdef"
    monkeypatch.setenv("CODEPRM_SERVER_TOKEN", "fedcba9876543210")
    assert read_token(None) == "fedcba9876543210" and read_token(file) == "0123456789abcdef"
    for bad in ("", "0123456789abcdef 0123456789abcdef", "é" * 20):
        file.write_text(bad)
        with pytest.raises(InputError, match="16 or more"):
            read_token(file)


def test_an_open_server_without_a_token_is_warned_of(
    model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uvicorn

    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    for host, warned in (("127.0.0.1", False), ("0.0.0.0", True)):
        caplog.clear()
        assert cli.run(["serve", "--model", str(model), "--host", host, "--port", "0"]) == 0
        assert ("without a token" in caplog.text) is warned
    with listen("::1", 0) as listener:
        assert listener.family is socket.AF_INET6


def test_signal_handlers_are_put_back(model: Path) -> None:
    config = ServerConfig()
    app = create_app(lambda: StepScorer(model), config)
    server = _Server(uvicorn_config(app, config), app.state.service)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    with server.capture_signals():
        assert [signal.getsignal(number) for number in numbers] == [server._on_signal] * 2
    assert [signal.getsignal(number) for number in numbers] == before
