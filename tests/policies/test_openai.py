"""The policy against a small server that answers as each test tells it to."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from codeprm_jax.files import InputError, RunError
from codeprm_jax.policies import openai_client
from codeprm_jax.policies.openai import OpenAIConfig, OpenAIPolicy
from codeprm_jax.policies.policy import (
    ImplementRequest,
    LocateRequest,
    ProposeRequest,
    RefineRequest,
    ReviseRequest,
    TokenLimits,
    ValueRequest,
)
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.traces.trace import Failure, Feedback
from tests.policies.fake_server import FakeServer, completion, error

T = TypeVar("T")
PROBLEM = ENTRIES[0].problem.public
THOUGHTS = ("Read the list.", "Add it up.", "Return it.")
FAILED = Feedback(0, 1, (Failure("public-0", "WA", "f(1)", "2", "3", ""),))
PROPOSE = ProposeRequest(PROBLEM, (), 5)
IMPLEMENT = ImplementRequest(PROBLEM, THOUGHTS, 5)
REFINE = RefineRequest(PROBLEM, THOUGHTS, "print(1)", FAILED, 1, 5)
REVISE = ReviseRequest(PROBLEM, THOUGHTS, "print(1)", FAILED, 5)
LOCATE = LocateRequest(PROBLEM, THOUGHTS, "print(1)", FAILED, 5)
VALUE = ValueRequest(PROBLEM, THOUGHTS[:1], 5)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(openai_client, "FIRST_PAUSE", 0.02)
    with FakeServer() as running:
        yield running


def settings(server: FakeServer, **changes: Any) -> OpenAIConfig:
    config = OpenAIConfig(
        base_url=server.url, model="small-coder", limits=TokenLimits(90, 80, 70), patience=15
    )
    return replace(config, **changes)


def run(config: OpenAIConfig, use: Callable[[OpenAIPolicy], Awaitable[T]]) -> T:
    async def inside() -> T:
        async with OpenAIPolicy(config) as policy:
            return await use(policy)

    return asyncio.run(inside())


def test_every_kind_of_request_is_asked_and_answered(server: FakeServer) -> None:
    server.replies = [
        completion("1. Read.\n2. Add.\n3. Return.\n4. Check."),
        completion("```python\nprint(2)\n```"),
        completion("Add all but the first."),
        completion("The sum is wrong.\n1. Read.\n2. Add again.\n3. Return."),
        completion("It adds wrongly.\n\nStep: 2"),
        completion("Score: 0.25"),
    ]

    async def use(policy: OpenAIPolicy) -> None:
        proposed = await policy.propose(PROPOSE)
        assert proposed.thoughts == ("Read.", "Add.", "Return.", "Check.") and proposed.complete
        assert (proposed.tokens, proposed.prompt_tokens, proposed.failure) == (7, 11, None)
        assert (await policy.implement(IMPLEMENT)).text == "print(2)\n"
        assert (await policy.refine(REFINE)).text == "Add all but the first."
        revised = await policy.revise(REVISE)
        assert revised.thoughts == ("Read.", "Add again.", "Return.") and revised.complete
        assert (await policy.locate(LOCATE)).step == 1
        assert (await policy.value(VALUE)).value == 0.25
        assert not policy.statistics.failures and policy.statistics.answers.total() == 6
        counts = policy.statistics.to_json()
        assert (counts["requests"], counts["generated_tokens"], counts["prompt_tokens"]) == (
            6,
            42,
            66,
        )
        assert counts["server_seconds"] > 0

    run(settings(server), use)
    texts = ["\n".join(m["content"] for m in body["messages"]) for body in server.bodies]
    assert all(PROBLEM.statement.strip() in text for text in texts)
    assert all("$" not in text for text in texts)
    for text in texts[1:4]:
        assert "1. Read the list.\n2. Add it up.\n3. Return it." in text
    for text in texts[2:5]:
        assert "```python\nprint(1)\n```" in text and "WA on f(1)\nexpected 2\ngot 3" in text
    assert [b["max_tokens"] for b in server.bodies] == [90, 80, 90, 90, 70, 70]
    assert [b["temperature"] for b in server.bodies] == [0.7] * 4 + [0.0] * 2
    assert {b["model"] for b in server.bodies} == {"small-coder"}


def test_a_request_says_what_its_answer_depends_on(server: FakeServer) -> None:
    config = settings(
        server,
        temperature=0.3,
        judgement_temperature=0.1,
        top_p=0.9,
        max_tokens_parameter="max_completion_tokens",
        extra_body='{"top_k": 20}',
    )

    async def use(policy: OpenAIPolicy) -> None:
        await policy.propose(replace(PROPOSE, seed=2**62 + 12345, max_tokens=33))
        await policy.propose(replace(PROPOSE, seed=2**62 + 12346, max_tokens=1000))
        await policy.value(VALUE)

    run(config, use)
    first, second, third = server.bodies
    assert first["seed"] != second["seed"]
    assert all(0 <= b["seed"] < 2**31 for b in server.bodies)
    assert (first["max_completion_tokens"], second["max_completion_tokens"]) == (33, 90)
    assert (first["temperature"], third["temperature"]) == (0.3, 0.1)
    assert (first["top_p"], first["top_k"]) == (0.9, 20)
    assert not {"n", "max_tokens", "stream"} & set(first)


def test_the_next_thoughts_only_and_the_end_of_a_plan(server: FakeServer) -> None:
    async def use(policy: OpenAIPolicy) -> None:
        one = replace(PROPOSE, prefix=("Read.",), thoughts=1)
        server.replies = [completion("2. Add.\n3. Return.")]
        answer = await policy.propose(one)
        assert answer.thoughts == ("Add.",) and not answer.complete
        server.replies = [completion("2. Add.\nDONE")]
        assert (await policy.propose(replace(one, seed=6))).complete
        server.replies = [completion("2. Add.\n3. Return.\nDONE")]  # done, but not within one
        answer = await policy.propose(replace(one, seed=8))
        assert answer.thoughts == ("Add.",) and not answer.complete
        server.replies = [completion("DONE")]
        answer = await policy.propose(replace(one, seed=7))
        assert (answer.thoughts, answer.complete, answer.failure) == ((), True, None)
        server.replies = [completion("4. Return.")]
        last = replace(one, prefix=("Read.", "Add.", "Check."))
        assert (await policy.propose(last)).complete
        server.replies = [completion("2. Add.\n3. Return.")]  # fewer than a plan may have
        answer = await policy.propose(replace(one, thoughts=None))
        assert answer.thoughts == ("Add.", "Return.") and answer.complete
        asked = len(server.bodies)
        answer = await policy.propose(replace(one, prefix=("Read.",) * 4))
        assert (answer.thoughts, answer.complete, answer.tokens) == ((), True, 0)
        assert len(server.bodies) == asked

    run(settings(server), use)
    text = server.bodies[0]["messages"][-1]["content"]
    assert "at most 1 of them" in text and "numbered from 2" in text and "1. Read." in text
    assert "at most 3 of them" in server.bodies[5]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("request_", "text", "reason", "failure"),
    [
        (PROPOSE, "", "stop", "empty"),
        (PROPOSE, None, "tool_calls", "empty"),
        (PROPOSE, "<think>Let me see", "length", "cut off"),
        (PROPOSE, "I cannot help.", "stop", "no thoughts"),
        (PROPOSE, "DONE", "stop", "no thoughts"),
        (PROPOSE, "1. Read.\n2. Ad", "length", "cut off"),
        (IMPLEMENT, "Sorry.", "stop", "no code"),
        (IMPLEMENT, "```python\nprint(1)", "length", "cut off"),
        (IMPLEMENT, "<think>hm</think> ", "stop", "empty"),
        (REFINE, "```python\npass\n```", "stop", "no thoughts"),
        (REFINE, "Add all b", "length", "cut off"),
        (REVISE, "Nothing is wrong.", "stop", "no thoughts"),
        (REVISE, "1. Read.\n2. Ad", "length", "cut off"),
        (LOCATE, "Step: 9", "stop", "no step"),
        (LOCATE, "Step: 2", "length", "cut off"),
        (VALUE, "Rather good.", "stop", "no value"),
        (VALUE, "", "length", "cut off"),
    ],
)
def test_nonsense_is_a_failure_that_is_counted(
    server: FakeServer, request_: Any, text: str | None, reason: str, failure: str
) -> None:
    server.replies = [completion(text, reason)]
    kind = type(request_).__name__.removesuffix("Request").lower()

    async def use(policy: OpenAIPolicy) -> None:
        answer = await getattr(policy, kind)(request_)
        assert (answer.failure, answer.tokens) == (failure, 7)
        assert dict(policy.statistics.failures) == {f"{kind}: {failure}": 1}
        if kind in ("propose", "revise"):
            assert not answer.complete or (kind == "revise" and failure != "cut off")
            assert answer.thoughts == (("Read.",) if text and text.startswith("1.") else ())
        elif kind in ("implement", "refine"):
            assert answer.text == ""
        else:
            assert getattr(answer, {"locate": "step", "value": "value"}[kind]) is None

    run(settings(server), use)


def test_a_plan_that_is_whole_before_the_cut_is_no_failure(server: FakeServer) -> None:
    server.replies = [completion("1. A.\n2. B.\n3. C.\n4. D.\n5. E", "length")]
    answer = run(settings(server), lambda p: p.propose(PROPOSE))
    assert (answer.thoughts, answer.complete, answer.failure) == (
        ("A.", "B.", "C.", "D."),
        True,
        None,
    )


@pytest.mark.parametrize(
    "usage", [None, {}, "much", {"completion_tokens": 0}, {"completion_tokens": "7"}]
)
def test_without_usage_an_answer_costs_what_was_asked_for(server: FakeServer, usage: Any) -> None:
    server.replies = [completion("1. Read.", usage=usage)] * 2

    async def use(policy: OpenAIPolicy) -> None:
        assert (await policy.propose(PROPOSE)).tokens == 90
        assert (await policy.propose(replace(PROPOSE, max_tokens=31))).tokens == 31
        assert policy.statistics.client.without_usage == 2

    run(settings(server), use)


def test_a_server_that_generates_more_than_was_asked_for_is_an_error(server: FakeServer) -> None:
    server.replies = [completion("1. Read.", usage=(91, 5))]
    with pytest.raises(RunError, match="91 tokens where at most 90"):
        run(settings(server), lambda p: p.propose(PROPOSE))


def test_no_tokens_left_is_cut_off_without_a_request(server: FakeServer) -> None:
    async def use(policy: OpenAIPolicy) -> None:
        for kind, request in (("propose", PROPOSE), ("implement", IMPLEMENT), ("value", VALUE)):
            answer = await getattr(policy, kind)(replace(request, max_tokens=0))
            assert (answer.tokens, answer.failure) == (0, "cut off")

    run(settings(server), use)
    assert not server.bodies


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(server: FakeServer, status: int) -> None:
    server.replies = [error(status, "busy"), error(status, "busy")]

    async def use(policy: OpenAIPolicy) -> None:
        assert (await policy.propose(PROPOSE)).thoughts
        assert (policy.statistics.client.retries, policy.statistics.client.requests) == (2, 1)

    run(settings(server), use)
    assert len(server.bodies) == 3 and server.bodies[0] == server.bodies[2]


def _date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("headers", [{"retry-after": "0.4"}, {"retry-after-ms": "400"}])
def test_retry_after_is_honoured(server: FakeServer, headers: dict[str, str]) -> None:
    server.replies = [error(429, "slow down", headers)]
    start = time.monotonic()
    run(settings(server), lambda p: p.propose(PROPOSE))
    assert time.monotonic() - start > 0.4


def test_a_retry_after_beyond_its_patience_ends_it(server: FakeServer) -> None:
    server.replies = [error(429, "slow down", {"retry-after": _date(3600)})]
    start = time.monotonic()
    with pytest.raises(RunError, match=r"slow down.*wants a pause of 3\d\d\d"):
        run(settings(server), lambda p: p.propose(PROPOSE))
    assert time.monotonic() - start < 5  # it is no use to wait


@pytest.mark.parametrize(
    "text", ["", "soon", "nan", "inf", "-3", "Tue, 01 Jan 1980 00:00:00 GMT", "Tue, 99 Foo"]
)
def test_a_senseless_retry_after_is_none(text: str) -> None:
    assert openai_client._retry_after({"retry-after": text}) == 0


def test_patience_ends(server: FakeServer) -> None:
    async def busy(body: dict[str, Any]) -> Response:
        return error(503, "loading the model")

    server.reply = busy
    with pytest.raises(RunError, match=r"loading the model.*patience of 0\.5 s"):
        run(settings(server, patience=0.5), lambda p: p.propose(PROPOSE))
    assert len(server.bodies) > 2


def test_an_attempt_that_takes_too_long_is_made_again(server: FakeServer) -> None:
    async def slow_at_first(body: dict[str, Any]) -> Response:
        await asyncio.sleep(30 if len(server.bodies) == 1 else 0)
        return completion("1. Read.")

    server.reply = slow_at_first
    answer = run(settings(server, timeout=0.5), lambda p: p.propose(PROPOSE))
    assert answer.thoughts == ("Read.",) and len(server.bodies) == 2


def test_a_server_that_is_killed_and_started_again_is_survived(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(body: dict[str, Any]) -> Response:
        await asyncio.sleep(60)
        raise AssertionError

    server.reply = never
    requests = [replace(PROPOSE, seed=seed) for seed in range(6)]

    async def use(policy: OpenAIPolicy) -> None:
        asking = asyncio.gather(*map(policy.propose, requests))
        while len(server.bodies) < 6:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(0.3)
        assert not asking.done()
        server.reply = FakeServer._hello
        await asyncio.to_thread(server.start)
        assert all(a.thoughts == ("Read the numbers.", "Add them.") for a in await asking)
        assert policy.statistics.client.retries >= 6

    with caplog.at_level(logging.INFO):
        run(settings(server), use)
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1 and "trying again for up to 15 s" in warnings[0].message
    assert "answers again" in caplog.text


def test_no_server_at_all(server: FakeServer) -> None:
    server.stop()
    try:
        with pytest.raises(RunError, match="is the server running"):
            run(settings(server, patience=0.1), lambda p: p.propose(PROPOSE))
    finally:
        server.start()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "context of 10 tokens.*limits of tokens"),
        (401, "OPENAI_API_KEY holds no key"),
        (403, "OPENAI_API_KEY holds no key"),
        (404, "'small-codes' is unknown; it has small-coder, other"),
        (422, "context of 10 tokens"),
    ],
)
def test_what_cannot_pass_is_an_error_at_once(
    server: FakeServer, status: int, expected: str
) -> None:
    server.replies = [error(status, "context of 10 tokens")]
    with pytest.raises(InputError, match=expected):
        run(settings(server, model="small-codes"), lambda p: p.propose(PROPOSE))
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "reply",
    [
        JSONResponse({"error": {"message": "too long"}}, 400),
        JSONResponse({"error": "too long"}, 400),
        JSONResponse({"detail": "too long"}, 400),
        JSONResponse({"object": "error", "message": "too long"}, 400),
        JSONResponse({"detail": [{"msg": "too long"}]}, 400),
        JSONResponse({"why": "too long"}, 400),
        PlainTextResponse("too long", 400),
    ],
)
def test_what_a_server_says_is_repeated_in_all_its_forms(
    server: FakeServer, reply: Response
) -> None:
    server.replies = [reply]
    with pytest.raises(InputError, match=r"status 400: .*too long.*; change the setting"):
        run(settings(server), lambda p: p.propose(PROPOSE))


def test_an_address_without_the_api_is_named(server: FakeServer) -> None:
    config = settings(server, base_url=server.url.removesuffix("/v1"))
    with pytest.raises(InputError, match="ends in /v1"):
        run(config, lambda p: p.propose(PROPOSE))


@pytest.mark.parametrize(
    "reply",
    [
        PlainTextResponse("<html>Welcome</html>"),
        PlainTextResponse("[1, 2]", media_type="application/json"),
        JSONResponse({"choices": []}),
        JSONResponse({"choices": [{"message": {"content": 5}}]}),
        JSONResponse({"choices": [{"message": None}]}),
    ],
)
def test_what_is_no_completion_is_an_error(server: FakeServer, reply: Response) -> None:
    server.replies = [reply]
    with pytest.raises(RunError, match="sends no chat completions"):
        run(settings(server), lambda p: p.propose(PROPOSE))


def test_the_key_is_sent_and_shown_nowhere(
    server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OTHER_KEY", "sk-secret-1")
    config = settings(server, api_key_variable="OTHER_KEY", cache=tmp_path)
    server.replies = [
        completion("1. Read."),
        error(500, "sk-secret-1"),
        error(401, "bad sk-secret-1"),
    ]

    async def use(policy: OpenAIPolicy) -> None:
        await policy.propose(PROPOSE)
        assert "secret" not in repr(vars(policy)) + policy.name
        with pytest.raises(InputError, match=r"bad \*\*\*.*OTHER_KEY holds another key"):
            await policy.propose(replace(PROPOSE, seed=6))

    with caplog.at_level(logging.DEBUG):
        run(config, use)
    assert server.keys == ["Bearer sk-secret-1"] * 3
    assert "secret" not in caplog.text
    assert "secret" not in "".join(p.read_text() for p in tmp_path.iterdir())


def test_no_more_requests_are_in_flight_than_allowed(server: FakeServer) -> None:
    async def slow(body: dict[str, Any]) -> Response:
        await asyncio.sleep(0.05)
        return completion("1. Read.")

    server.reply = slow

    async def use(policy: OpenAIPolicy) -> None:
        await asyncio.gather(*(policy.propose(replace(PROPOSE, seed=s)) for s in range(12)))

    run(settings(server, concurrency=3), use)
    assert server.busiest == 3 and len(server.bodies) == 12


def test_equal_requests_in_flight_are_sent_once(server: FakeServer) -> None:
    async def slow(body: dict[str, Any]) -> Response:
        await asyncio.sleep(0.2)
        return completion("1. Read.")

    server.reply = slow

    async def use(policy: OpenAIPolicy) -> None:
        tasks = [asyncio.create_task(policy.propose(PROPOSE)) for _ in range(4)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()  # whoever came first may go: the others still have their answer
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert {getattr(a, "tokens", None) for a in answers[1:]} == {7}
        assert policy.statistics.client.shared == 3

    run(settings(server), use)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_request_that_nobody_waits_for_is_given_up(server: FakeServer, how: str) -> None:
    async def never(body: dict[str, Any]) -> Response:
        await asyncio.sleep(60)
        raise AssertionError

    server.reply = never

    async def use(policy: OpenAIPolicy) -> None:
        tasks = [asyncio.create_task(policy.propose(PROPOSE)) for _ in range(2)]
        while not server.bodies:
            await asyncio.sleep(0.01)
        if how == "cancel":
            for task in tasks:
                task.cancel()
        else:
            await policy.aclose()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(a, asyncio.CancelledError) for a in answers)
        for _ in range(200):
            if server.abandoned:
                break
            await asyncio.sleep(0.01)
        assert server.abandoned == 1
        server.reply = FakeServer._hello
        assert (await policy.propose(PROPOSE)).thoughts  # and may be asked for again

    run(settings(server), use)


def test_a_policy_may_be_used_in_another_loop_once_it_is_closed(server: FakeServer) -> None:
    policy = OpenAIPolicy(settings(server))

    async def use(close: bool) -> None:
        await policy.propose(PROPOSE)
        if close:
            await policy.aclose()

    asyncio.run(use(True))
    asyncio.run(use(False))
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(use(False))


def test_a_cached_answer_needs_no_server_and_costs_the_same(
    server: FakeServer, tmp_path: Path
) -> None:
    config = settings(server, cache=tmp_path / "answers")
    server.replies = [
        completion("1. Read.\n2. Ad", "length", (33, 44)),
        completion("```python\nprint(1)\n```", usage=None),
    ]

    async def use(policy: OpenAIPolicy) -> Any:
        return [await policy.propose(PROPOSE), await policy.implement(IMPLEMENT)]

    first = run(config, use)
    server.stop()
    # Neither the address nor what is only about the way there is part of an answer.
    elsewhere = replace(config, base_url="http://127.0.0.1:9/v1", patience=0, concurrency=1)
    policy = OpenAIPolicy(elsewhere)
    assert asyncio.run(use(policy)) == first
    assert policy.statistics.client.cache_hits == 2 and policy.statistics.client.requests == 0
    assert policy.statistics.failures == {"propose: cut off": 1}
    assert (first[0].tokens, first[0].prompt_tokens, first[1].tokens) == (33, 44, 80)
    server.start()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"temperature": 0.5},
        {"top_p": 0.5},
        {"thoughts": 3},
        {"limits": TokenLimits(91, 80, 70)},
        {"extra_body": '{"top_k": 5}'},
    ],
)
def test_what_changes_an_answer_changes_the_name_and_is_asked_anew(
    server: FakeServer, tmp_path: Path, change: dict[str, Any]
) -> None:
    config = settings(server, cache=tmp_path)
    run(config, lambda p: p.propose(PROPOSE))
    run(replace(config, **change), lambda p: p.propose(PROPOSE))
    run(config, lambda p: p.propose(replace(PROPOSE, seed=6)))
    assert len(server.bodies) == 3
    names = {OpenAIPolicy(c).name for c in (config, replace(config, **change))}
    assert len(names) == 2


def test_the_name_says_nothing_that_changes_no_answer(server: FakeServer, tmp_path: Path) -> None:
    config = settings(server)
    other = replace(
        config, base_url="http://x", concurrency=1, timeout=1, patience=1, cache=tmp_path
    )
    assert OpenAIPolicy(config).name == OpenAIPolicy(other).name
    assert OpenAIPolicy(config).name.startswith("openai(model=small-coder, temperature=0.7, ")


def test_errors_are_not_cached(server: FakeServer, tmp_path: Path) -> None:
    config = settings(server, cache=tmp_path)
    server.replies = [error(400, "no")]
    with pytest.raises(InputError):
        run(config, lambda p: p.propose(PROPOSE))
    assert run(config, lambda p: p.propose(PROPOSE)).thoughts
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_url": "localhost:8000"}, "base_url must begin with http"),
        ({"temperature": -1.0}, r"temperature must be in \[0, 2\]"),
        ({"judgement_temperature": 3.0}, "judgement_temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"thoughts": 0}, "thoughts must be at least 1"),
        ({"limits": TokenLimits(1, 0, 1)}, "every limit"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1001}, "concurrency"),
        ({"timeout": 0.0}, "timeout > 0"),
        ({"patience": float("nan")}, "patience >= 0"),
        ({"extra_body": "top_k: 3"}, "not valid JSON"),
        ({"extra_body": "[]"}, "must be a JSON object"),
        ({"extra_body": '{"n": 4, "seed": 1}'}, "must not set n, seed"),
        ({"model": ""}, "needs its model's name"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OpenAIPolicy(OpenAIConfig(**{"model": "m", **change}))


def test_settings_load_no_sdk() -> None:
    code = "import codeprm_jax.policies.openai_config, sys; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
