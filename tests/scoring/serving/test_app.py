"""The server: three forms, and a reason for everything that it refuses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import numpy as np
import pytest

from codeprm_jax.data.layout import Example, StepInput
from codeprm_jax.data.pipeline import step_input
from codeprm_jax.scoring.aggregate import AGGREGATES, aggregate
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.serving.app import create_app
from codeprm_jax.scoring.serving.service import ServerConfig, Service
from codeprm_jax.scoring.serving.wire import MAX_CHARACTERS, TraceForm
from codeprm_jax.traces.dataset import Record
from tests.scoring.serving.conftest import LiveServer

TRACE = {"statement": "Add two numbers.", "thoughts": ["Read both.", "Print the sum."]}
JSON = {"Content-Type": "application/json"}


@contextlib.asynccontextmanager
async def served(scorer: Any, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The application without a socket; `client.service` is its service."""
    app = create_app(lambda: scorer, ServerConfig(name="tiny", warm_up=False, **settings))
    service: Service = app.state.service
    service.start()
    await service.wait_until_loaded()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        client.service = service  # type: ignore[attr-defined]
        yield client
    await service.close()


def ask(
    scorer: Any, work: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]], **s: Any
) -> Any:
    async def main() -> Any:
        async with served(scorer, **s) as client:
            return await work(client)

    return asyncio.run(main())


def test_scores_are_the_scorers_own(scorer: StepScorer, records: list[Record]) -> None:
    inputs = [step_input(r) for r in records[:20]]
    forms = [TraceForm.of(item) for item in inputs]

    async def work(client: httpx.AsyncClient) -> None:
        for how in AGGREGATES:
            answer = await client.post("/v1/score", json={"traces": forms, "aggregate": how})
            found = answer.json()
            assert answer.status_code == 200 and found["model"] == scorer.fingerprint
            for mine, theirs in zip(scorer.score(inputs), found["results"], strict=True):
                np.testing.assert_allclose(theirs["scores"], mine.scores, atol=1e-6)
                assert theirs["aggregate"] == pytest.approx(aggregate(mine.scores, how), abs=1e-6)
                assert theirs["tokens"] == mine.tokens

    ask(scorer, work)


def test_a_trace_that_is_too_long_spares_the_others(scorer: StepScorer) -> None:
    long = {"statement": "s", "thoughts": ["word " * 3000]}

    async def work(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/score", json={"traces": [TRACE, long, TRACE]})
        first, refused, last = answer.json()["results"]
        assert answer.status_code == 200 and first == last and len(first["scores"]) == 2
        error = refused["error"]
        assert error["type"] == "too_long" and error["tokens"] > error["limit"] == 1024

    ask(scorer, work)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 422, "required"),
        (b"{", 400, "not valid JSON"),
        (b'{"traces": NaN}', 400, "NaN"),
        (b'{"traces": [' + b"9" * 5000 + b"]}", 400, "not valid JSON"),
        (b'{"traces": [], "traces": []}', 400, "twice"),
        (b'{"traces": ["\xff"]}', 400, "UTF-8"),
        (b"\xef\xbb\xbf{}", 400, "not valid JSON"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'{"a":' * 100_000, 400, "nested too deeply"),
        (b'{"traces": []}', 422, "at least 1"),
        (b'{"traces": [{"statement": "s", "thoughts": []}]}', 422, "at least 1"),
        (b'{"traces": [{"statement": "s", "thoughts": [1]}]}', 422, "valid string"),
        (b'{"traces": [{"statement": "\\ud800", "thoughts": [""]}]}', 422, "unicode"),
        (b'{"traces": [{"statement": "s", "thoughts": [""], "\\ud800": 1}]}', 422, "string"),
        (b'{"traces": [{"statement": "s", "thoughts": [""], "extra": 1}]}', 422, "extra"),
        (b'{"traces": [{"statement": "s", "thoughts": [""]}], "view": "program"}', 409, "view"),
        (b'{"traces": [{"statement": "s", "thoughts": [""]}], "aggregate": "sum"}', 422, "min"),
        (json.dumps({"traces": [TRACE] * 1025}).encode(), 422, "1024"),
        (
            json.dumps({"traces": [{"statement": "s", "thoughts": ["t"] * 10_000}]}).encode(),
            422,
            "1024",
        ),
        (
            json.dumps(
                {"traces": [{"statement": "s" * MAX_CHARACTERS, "thoughts": ["t"]}]}
            ).encode(),
            409,
            f"{MAX_CHARACTERS} characters",
        ),
    ],
)
def test_bad_bodies_get_a_4xx_with_a_reason(
    live: LiveServer, body: bytes, status: int, reason: str
) -> None:
    answer = httpx.post(f"{live.url}/v1/score", content=body, headers=JSON)
    assert answer.status_code == status
    assert reason in answer.json()["error"]["message"]


def test_unusual_text_is_text(scorer: StepScorer) -> None:
    texts = ["\0", "", "a\0b", "<|step|>", "\u2028", "\U0001f600", "e\u0301", "x" * 100]

    async def work(client: httpx.AsyncClient) -> None:
        trace = {"statement": "\0", "thoughts": texts, "program": "<|step|>\0"}
        answer = await client.post("/v1/score", json={"traces": [trace]})
        assert len(answer.json()["results"][0]["scores"]) == len(texts)

    ask(scorer, work)


def test_errors_have_one_form(live: LiveServer) -> None:
    for method, path, status, headers in (
        ("GET", "/nowhere", 404, {}),
        ("GET", "/v1/score", 405, {}),
        ("OPTIONS", "/v1/score", 405, {}),
        ("POST", "/health", 405, JSON),
        ("POST", "/v1/score", 415, {"Content-Type": "text/plain"}),
        ("POST", "/v1/score/", 404, JSON),
        ("GET", "/docs/../../secret", 404, {}),
    ):
        answer = httpx.request(method, live.url + path, headers=headers, content=b"")
        assert (answer.status_code, sorted(answer.json())) == (status, ["error"]), (method, path)
        assert {"type", "message"} <= answer.json()["error"].keys()
        assert status != 405 or answer.headers["allow"]
    assert httpx.head(f"{live.url}/v1/score").status_code == 405


def test_vllm_form(scorer: StepScorer) -> None:
    layout = scorer.layout
    text = "<|problem|>Add.<|thoughts|>Read both.<|step|>Print.<|step|>"
    ids = layout.tokenizer.backend.encode(text).ids
    at = np.flatnonzero(np.array(ids) == layout.tag)
    (expected,) = scorer.score_examples([Example(np.array(ids, np.int32), at)])

    async def work(client: httpx.AsyncClient) -> None:
        for given in (text, [text], ids, [ids]):
            answer = (await client.post("/pooling", json={"input": given})).json()
            rows = np.array(answer["data"][0]["data"])
            assert rows.shape == (2, 2) and answer["object"] == "list" and answer["model"] == "tiny"
            np.testing.assert_allclose(rows[:, 1], expected.scores, atol=1e-6)
            np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
            assert answer["usage"]["prompt_tokens"] == len(ids)
        body = {"input": [text, "no tag"], "encoding_format": "base64", "model": "tiny"}
        first, none = (await client.post("/pooling", json=body)).json()["data"]
        packed = np.frombuffer(base64.b64decode(first["data"]), "<f4").reshape(-1, 2)
        np.testing.assert_allclose(packed, rows, atol=1e-6)
        assert none["data"] == ""
        for wrong, status in (
            ({"input": text, "model": "other"}, 404),
            ({"messages": [{"role": "user", "content": "x"}]}, 422),
            ({"input": [10**6]}, 409),
            ({"input": [1] * 2000}, 409),
            ({"input": text, "truncate_prompt_tokens": 5}, 422),
            ({"input": text, "use_activation": False}, 422),
            ({"input": []}, 422),
            ({"input": [True]}, 422),
        ):
            answer = await client.post("/pooling", json=wrong)
            assert answer.status_code == status and answer.json()["error"]["message"]
        models = (await client.get("/v1/models")).json()["data"]
        assert [m["id"] for m in models] == ["tiny"] and models[0]["max_model_len"] == 1024

    ask(scorer, work)


def test_openrlhf_form(scorer: StepScorer) -> None:
    item = StepInput("Add.", ("Read both.", "Print."), "print(1)\n")
    (expected,) = scorer.score([item])

    async def work(client: httpx.AsyncClient) -> None:
        query = "<s>Add.\n\nRead both.\n\nPrint.\n```python\nprint(1)\n```\n<|im_end|>"
        body = {"query": [query, "something else", "Q " + "w " * 3000], "labels": ["", None, 3]}
        body["prompts"] = ["Add.", "Add.", "Q"]
        answer = (await client.post("/get_reward", json=body)).json()
        reward = pytest.approx(float(expected.scores.mean()), abs=1e-6)
        assert answer["rewards"] == answer["scores"] == [reward, 0.0, 0.0]
        assert answer["extra_logs"]["refused"] == [0.0, 1.0, 1.0]
        assert answer["extra_logs"]["steps"] == [2.0, 0.0, 0.0]
        del body["prompts"]
        assert (await client.post("/get_reward", json=body)).status_code == 422

    ask(scorer, work, aggregate="mean")


def test_token_is_needed_where_one_is_set(scorer: StepScorer) -> None:
    token = "0123456789abcdef"

    async def work(client: httpx.AsyncClient) -> None:
        for given in (
            None,
            "Bearer wrong",
            f"Basic {token}",
            token,
            f"Bearer {token}x",
            "Bearer é",
        ):
            headers = {"Authorization": given.encode()} if given else {}
            for path in ("/v1/models", "/metrics", "/docs", "/openapi.json", "/nowhere"):
                answer = await client.get(path, headers=headers)
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/v1/models", headers=headers)).status_code == 200
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).status_code == 200

    ask(scorer, work, token=token)


class Gated:
    """A scorer whose batches wait until `gate` is set."""

    def __init__(self, scorer: StepScorer) -> None:
        self.gate = threading.Event()
        self.scorer = scorer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scorer, name)

    def score_examples(self, examples: Any) -> Any:
        self.gate.wait(20)
        return self.scorer.score_examples(examples)


def test_overload_and_time_out(scorer: StepScorer) -> None:
    gated = Gated(scorer)

    async def work(client: httpx.AsyncClient) -> None:
        async def post() -> httpx.Response:
            return await client.post(
                "/v1/score", json={"traces": [TRACE] * 20}, headers={"X-Client-Id": "one"}
            )

        if client.service.config.request_seconds < 1:  # type: ignore[attr-defined]
            answers = await asyncio.gather(*(post() for _ in range(8)))
            assert {a.status_code for a in answers} == {504}
            assert client.service.batcher.queued_tokens == 0  # type: ignore[attr-defined]
            gated.gate.set()
            return
        gated.gate.clear()
        waiting = [asyncio.create_task(post()) for _ in range(8)]
        await asyncio.sleep(0.1)
        refused = await post()
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        gated.gate.set()
        assert {a.status_code for a in await asyncio.gather(*waiting)} == {200}

    for seconds in (0.4, 60.0):
        ask(gated, work, request_seconds=seconds, max_batch_tokens=500, max_queue_tokens=1000)


def test_loading_ready_draining(scorer: StepScorer) -> None:
    begin = threading.Event()

    def load() -> StepScorer:
        begin.wait(20)
        return scorer

    async def main() -> None:
        app = create_app(load, ServerConfig(warm_up=False))
        service: Service = app.state.service
        service.start()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            assert (await client.get("/health")).status_code == 200
            assert (await client.get("/ready")).status_code == 503
            refused = await client.post("/v1/score", json={"traces": [TRACE]})
            assert refused.status_code == 503 and refused.json()["error"]["type"] == "not_ready"
            begin.set()
            await service.wait_until_loaded()
            assert (await client.get("/ready")).status_code == 200
            await service.close()
            assert (await client.get("/ready")).status_code == 503
            assert (await client.get("/health")).status_code == 200
            refused = await client.post("/v1/score", json={"traces": [TRACE]})
            assert refused.status_code == 503

    asyncio.run(main())


def test_metrics_count(scorer: StepScorer) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        await client.post("/v1/score", json={"traces": [TRACE, TRACE]})
        await client.get("/nowhere")
        text = (await client.get("/metrics")).text
        for line in (
            'codeprm_requests_total{path="/v1/score",status="200"} 1.0',
            'codeprm_requests_total{path="other",status="404"} 1.0',
            "codeprm_batcher_traces_total 2.0",
            "codeprm_batch_tokens_count 1.0",
            "codeprm_queue_tokens 0.0",
            "codeprm_ready 1.0",
            "process_resident_memory_bytes",
            "codeprm_scorer_computed_tokens_total",
        ):
            assert line in text, line

    ask(scorer, work)


def test_page_needs_nothing_from_elsewhere(live: LiveServer) -> None:
    page = httpx.get(f"{live.url}/docs").text
    assert "http://" not in page and "https://" not in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
        assert f"/docs/{name}" in page
        assert len(httpx.get(f"{live.url}/docs/{name}").content) > 500


def test_huge_bodies_are_refused_and_cost_no_memory(live: LiveServer) -> None:
    def chunks(count: int) -> Any:
        yield from (b" " * 2**20 for _ in range(count))

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    before = resident()
    sized = {"Content-Length": str(100 * 2**20)} | JSON
    for headers in (JSON, sized):
        try:
            answer = httpx.post(f"{live.url}/v1/score", content=chunks(100), headers=headers)
        except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
            continue  # beyond what is read to be polite
        assert answer.status_code == 413
    answer = httpx.post(f"{live.url}/v1/score", content=chunks(8), headers=JSON)
    assert answer.status_code == 413 and "larger than 1048576" in answer.text
    assert resident() - before < 40 * 2**20
    assert httpx.get(f"{live.url}/ready").status_code == 200


def talk(live: LiveServer, sent: bytes, seconds: float = 5.0) -> bytes:
    with socket.create_connection(live.address) as connection:
        connection.settimeout(seconds)
        connection.sendall(sent)
        received = b""
        with contextlib.suppress(TimeoutError):
            while chunk := connection.recv(65536):
                received += chunk
        return received


def test_slow_and_lying_clients(live: LiveServer) -> None:
    head = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert b" 408 " in talk(live, head + b"Content-Length: 100\r\n\r\n{")
    assert b" 413 " in talk(
        live, head + b"Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"
    )
    assert b" 400 " in talk(live, head + b"Content-Length: -1\r\n\r\n")
    assert b" 400 " in talk(live, b"\0\1\2\r\n\r\n")
    assert b" 400 " in talk(live, b"GET /" + b"a" * 100_000)
    assert httpx.get(f"{live.url}/ready").status_code == 200


def test_a_client_that_goes_away_takes_its_work_along(scorer: StepScorer) -> None:
    gated = Gated(scorer)
    body = json.dumps({"traces": [TRACE] * 500}).encode()
    with LiveServer(gated, ServerConfig(warm_up=False, max_batch_tokens=500)) as live:  # type: ignore[arg-type]
        batcher = live.service.batcher
        connection = socket.create_connection(live.address)
        head = "POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        deadline = time.monotonic() + 10
        while batcher.queued_traces < 400 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert batcher.queued_traces >= 400
        connection.close()
        while batcher.queued_traces and time.monotonic() < deadline:
            time.sleep(0.01)
        assert batcher.queued_traces == 0 and batcher.statistics.abandoned_traces >= 400
        gated.gate.set()
        answer = httpx.post(f"{live.url}/v1/score", json={"traces": [TRACE]})
        assert answer.status_code == 200


def test_what_nobody_foresaw_is_an_error_in_the_same_form(
    scorer: StepScorer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        batcher = client.service.batcher  # type: ignore[attr-defined]
        monkeypatch.setattr(batcher, "score_examples", None)
        answer = await client.post("/v1/score", json={"traces": [TRACE]})
        assert answer.status_code == 500 and answer.json()["error"]["type"] == "internal"

    ask(scorer, work)
    assert "POST /v1/score failed" in caplog.text
