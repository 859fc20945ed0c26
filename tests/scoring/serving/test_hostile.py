"""Requests that are meant to stall the server, to fill it, or to keep others out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given

from codeprm_jax.data.layout import Example, ExampleTooLongError, StepInput
from codeprm_jax.data.tokenizer import Tokenizer
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.serving import guard
from codeprm_jax.scoring.serving.body_readers import BodyReaders
from codeprm_jax.scoring.serving.client import ScorerClient
from codeprm_jax.scoring.serving.connections import TURN_SECONDS, Connections, Turns
from codeprm_jax.scoring.serving.guard import Guard
from codeprm_jax.scoring.serving.reading import REPORTED, Reading, RequestReader
from codeprm_jax.scoring.serving.service import ServerConfig, Service
from codeprm_jax.scoring.serving.wire import MAX_STEPS, RequestError, count_values, parse_json
from tests.scoring.serving.conftest import LiveServer
from tests.scoring.serving.test_app import JSON, TRACE, talk
from tests.scoring.serving.test_forms import json_values

HEAD = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def reader(scorer: StepScorer) -> RequestReader:
    return RequestReader(scorer.layout, scorer.view, ["tiny"])


def feedback(passed: Any, total: Any, failures: int = 0) -> dict[str, Any]:
    found = {"passed": passed, "total": total, "failures": [{"id": "1"}] * failures}
    return {"traces": [TRACE | {"feedback": found}]}


def labels(values: int) -> bytes:
    return b'{"query":["a"],"prompts":["a"],"labels":[[' + b"1," * values + b"1]]}"


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/v1/score", {str(n): 0 for n in range(65)}, 422, "65 names"),
        ("/get_reward", labels(524_288), 413, "values"),
        ("/v1/score", {"traces": [{"thoughts": [1] * 1024}] * 33}, 413, f"limit is {MAX_STEPS}"),
        ("/v1/score", {"traces": [{"thoughts": [""] * 1024}] * 33}, 413, f"limit is {MAX_STEPS}"),
        ("/pooling", {"input": [[1] * 1000] * 33}, 413, f"limit is {MAX_STEPS}"),
        ("/pooling", {"input": ["<|step|>" * 1000] * 33}, 413, f"limit is {MAX_STEPS}"),
        (
            "/get_reward",
            {"query": ["a" + "\n\nb" * 1000] * 33, "prompts": ["a"] * 33},
            413,
            "steps",
        ),
        ("/v1/score", feedback(3, 2), 409, "total of 2"),
        ("/v1/score", feedback(2, 2, 1), 409, "total of 2"),
        ("/v1/score", feedback(-1, 2), 422, "greater than or equal to 0"),
        ("/v1/score", feedback(True, 2), 422, "valid integer"),
        ("/v1/score", feedback(1.0, 2), 422, "valid integer"),
        ("/pooling", {"input": "a", "truncate_prompt_tokens": -1.0}, 422, "truncate"),
        ("/pooling", {"input": ["a", 1]}, 422, "input"),
        ("/pooling", {"input": [1, True]}, 422, "input"),
        ("/pooling", {"input": "a" * 200_000}, 409, "tokens or more"),
    ],
)
def test_what_is_too_much_or_contradicts_itself_is_refused(
    reader: RequestReader, path: str, body: Any, status: int, reason: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestError) as refused:
        reader.read(path, content)
    assert refused.value.status == status and reason in str(refused.value)


def test_feedback_that_adds_up_is_read(reader: RequestReader) -> None:
    for found in (feedback(0, 0), feedback(2, 2), feedback(1, 2, 1), feedback(0, 9, 2)):
        assert len(reader.read("/v1/score", json.dumps(found).encode()).examples) == 1


def test_the_first_errors_are_reported(reader: RequestReader) -> None:
    names = {f"unknown {n}": 0 for n in range(60)}
    bad = {"statement": 1, "thoughts": [1] * 1000}
    for body in (names, {"traces": [bad] * 30} | dict(list(names.items())[:20])):
        with pytest.raises(RequestError) as refused:
            reader.read("/v1/score", json.dumps(body).encode())
        assert str(refused.value).count("; ") == REPORTED - 1


@given(json_values)
def test_no_value_is_left_out_of_the_count(value: object) -> None:
    def count(found: Any) -> int:
        inner = found.values() if isinstance(found, dict) else found
        return 1 + (sum(map(count, inner)) if isinstance(found, dict | list) else 0)

    body = json.dumps(value).encode()
    assert count(value) <= count_values(body)


def test_names_and_texts_are_looked_at_once() -> None:
    began = time.process_time()
    names = ",".join(f'"{n}":0' for n in range(100_000))
    with pytest.raises(RequestError, match="names"):
        parse_json(f'{{{names},"99999":0}}'.encode())
    for text in (b',"' + b'\\"' * 1_000_000, b'"' + b"," * 1_000_000 + b'"', b'"\\' * 1_000_000):
        with contextlib.suppress(RequestError):
            assert count_values(b"[" * 600_000 + text) >= 600_000
    assert count_values(b'["' + b"," * 1_000_000 + b'"]') == 2
    assert time.process_time() - began < 2.0


def test_texts_that_cannot_fit_are_not_tokenised(
    reader: RequestReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is one that no text within the limit exceeds."""
    tokenizer = reader.layout.tokenizer
    longest = max(tokenizer.backend.get_vocab(), key=len)
    for text in (longest * 50, "word " * 50, "\U0001f600" * 50, "", "\n" * 50, "<|step|>" * 50):
        assert tokenizer.fewest_tokens(text) <= len(tokenizer.encode_marked(text))

    def fail(self: Tokenizer, texts: Any, *_: Any) -> list[list[int]]:
        assert not texts
        return []

    monkeypatch.setattr(Tokenizer, "encode", fail)
    monkeypatch.setattr(Tokenizer, "encode_marked", fail)
    with pytest.raises(RequestError, match="limit is 1024"):
        reader.read("/pooling", json.dumps({"input": ["word " * 40_000] * 3}).encode())
    for thoughts in (["word " * 40_000], [""] * 1025):
        (found,) = reader.layout.lay_out_each([StepInput("s", tuple(thoughts))], ["feedback"])
        assert isinstance(found, ExampleTooLongError) and found.tokens > found.limit


def test_a_process_reads_what_is_large_and_ends_when_nobody_waits(reader: RequestReader) -> None:
    """And what it reads is what a thread reads."""
    slow = json.dumps({"traces": [{"statement": "1" * 250_000, "thoughts": ["a"]}] * 30}).encode()
    traces = [TRACE | {"statement": f"{n}, " * 100} for n in range(200)]
    traces += [TRACE | {"thoughts": ["word " * 3000]}]
    large = json.dumps({"traces": traces, "aggregate": "max"}).encode()
    wrong = json.dumps({"traces": [*traces, 1]}).encode()
    readers = BodyReaders(reader)

    async def main() -> None:
        found = await readers.read("/v1/score", large, "a")
        same(found, reader.read("/v1/score", large))
        with pytest.raises(RequestError, match=r"traces\.201") as refused:
            await readers.read("/v1/score", wrong, "a")
        assert refused.value.status == 422
        child = readers._process._process
        assert child is not None
        began = time.monotonic()
        for seconds in (0.3, 0.1):  # while it is read, and while it waits behind another
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await asyncio.gather(*(readers.read("/v1/score", slow, c) for c in "abc"))
        assert child.wait(10) != 0
        same(await readers.read("/v1/score", large, "a"), found)
        assert time.monotonic() - began < 15  # reading one of the slow ones takes as long
        child = readers._process._process
        assert child is not None
        child.kill()
        child.wait(10)
        same(await readers.read("/v1/score", large, "a"), found)  # one that ended is replaced

    try:
        asyncio.run(main())
    finally:
        readers.close()


def same(mine: Reading, theirs: Reading) -> None:
    assert mine.options == theirs.options and len(mine.examples) == len(theirs.examples)
    for a, b in zip(mine.examples, theirs.examples, strict=True):
        if isinstance(a, Example) and isinstance(b, Example):
            np.testing.assert_array_equal(a.tokens, b.tokens)
            np.testing.assert_array_equal(a.tag_positions, b.tag_positions)
            assert a.cuts == b.cuts and a.tokens.dtype == b.tokens.dtype == np.int32
        else:
            assert isinstance(a, ExampleTooLongError) and isinstance(b, ExampleTooLongError)
            assert (str(a), a.tokens, a.limit) == (str(b), b.tokens, b.limit)


def test_the_client_sends_less_at_once_when_it_is_told(live: LiveServer) -> None:
    many = [StepInput(f"statement {n}", ("t",) * 300) for n in range(128)]
    with ScorerClient(live.url) as client:
        found = client.score_each(many)
    assert len(found) == 128 and all(isinstance(f, ExampleTooLongError) for f in found)


def test_a_message_has_one_end(live: LiveServer) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n"
    for lines in (b"Content-Length: 5\r\n" + chunked, chunked + b"Content-Length: 0\r\n"):
        said = talk(live, HEAD + lines + b"\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 400") and said.count(b"date:") == 1
        assert b"Transfer-Encoding" in said
    old = HEAD.replace(b"1.1", b"1.0") + chunked + b"\r\n0\r\n\r\n"
    assert talk(live, old).startswith(b"HTTP/1.1 400")
    assert b" 400 " in talk(live, HEAD + chunked + b"\r\n" + b"1\r\n \r\n" * 1000)
    assert b" 422 " in talk(live, HEAD + chunked + b"\r\n2\r\n{}\r\n0\r\n\r\n", 1.0)


def open_connection(live: LiveServer, sent: bytes = b"", host: str = "") -> socket.socket:
    connection = socket.create_connection(live.address, 10, (host, 0) if host else None)
    connection.sendall(sent)
    return connection


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.3)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


@pytest.fixture
def protocol(live: LiveServer) -> tuple[Connections, Turns]:
    http: Any = live.server.config.http
    room, turns = http.args
    return room, turns


def test_slow_bodies_keep_nobody_out(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_REQUESTS", 2)
    monkeypatch.setattr(guard, "MAX_BODY_MEMORY", 300_000)
    slow = [open_connection(live, HEAD + b"Content-Length: 9\r\n\r\n{") for _ in range(5)]
    large = open_connection(live, HEAD + b"Content-Length: 250001\r\n\r\n" + b" " * 250_000)
    time.sleep(0.1)
    body = json.dumps({"traces": [TRACE]}).encode() + b" " * 100_000
    assert httpx.post(f"{live.url}/v1/score", content=body, headers=JSON).status_code == 200
    large.settimeout(5)
    assert b" 503 " in large.recv(1000)  # it began first, and gave way
    for connection in (*slow, large):
        connection.close()


def test_work_is_shared_by_address(scorer: StepScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_REQUESTS", 4)
    service = Service(lambda: scorer, ServerConfig())
    watched = Guard(lambda *_: None, service)  # type: ignore[arg-type, return-value]
    with contextlib.ExitStack() as stack:

        def begins(host: str, path: str = "/v1/score") -> bool:
            scope = {"client": (host, 1), "path": path}
            try:
                stack.enter_context(watched._working(scope))
            except guard._RefusedError as refused:
                assert refused.answer.status_code == 503
                return False
            return True

        assert [begins("a") for _ in range(5)] == [True] * 4 + [False]
        assert [begins("b") for _ in range(3)] == [True] * 2 + [False]
        assert begins("c") and not begins("a") and begins("a", "/health")
    assert not watched.requests


def test_a_connection_too_many_closes_the_oldest_of_who_has_most(
    live: LiveServer, protocol: tuple[Connections, Turns], monkeypatch: pytest.MonkeyPatch
) -> None:
    room, _ = protocol
    time.sleep(0.1)  # those of other tests have ended
    monkeypatch.setattr(room, "limit", 4)
    other = open_connection(live, b"GET /", "127.0.0.2")
    many = []
    for _ in range(5):
        many.append(open_connection(live, b"GET /"))
        time.sleep(0.02)
    assert httpx.get(f"{live.url}/ready").status_code == 200
    assert not is_closed(other)
    assert [is_closed(c) for c in many] == [True] * 3 + [False] * 2
    for connection in (other, *many):
        connection.close()


class Heavy:
    """What takes the event loop 20 ms to look at."""

    def __init__(self, loop: Any) -> None:
        self.loop, self.seen = loop, 0

    def look_at(self, _: bytes) -> None:
        time.sleep(0.02)
        self.seen += 1

    late = look_at


@pytest.fixture
def crowd(live: LiveServer, protocol: tuple[Connections, Turns]) -> Iterator[Heavy]:
    loop = live.service.batcher._task.get_loop()  # type: ignore[union-attr]
    heavy: Any = Heavy(loop)
    for _ in range(50):
        loop.call_soon_threadsafe(protocol[1].take, heavy, b"")
    yield heavy
    while heavy.seen < 50:
        time.sleep(0.05)


def test_health_is_answered_first(live: LiveServer, crowd: Heavy) -> None:
    assert TURN_SECONDS < 0.02
    assert httpx.get(f"{live.url}/health").status_code == 200
    assert crowd.seen < 40
    assert httpx.get(f"{live.url}/v1/models").status_code == 200
    assert crowd.seen == 50
