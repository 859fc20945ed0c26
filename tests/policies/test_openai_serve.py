"""The policy against the model server that comes with transformers, killed in the middle of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from codeprm_jax.files import InputError
from codeprm_jax.policies.openai import OpenAIConfig, OpenAIPolicy
from codeprm_jax.policies.policy import (
    ImplementRequest,
    LocateRequest,
    ProposeRequest,
    RefineRequest,
    ReviseRequest,
    Thoughts,
    ValueRequest,
)
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.traces.trace import Feedback
from sandbox_runner.types import FunctionTest
from tests.policies.serve import ANSWERS, TransformersServe, save_chat_model

PROBLEM = PublicProblem(
    id="total",
    source="test",
    statement="Return the sum of a list of numbers.",
    kind="function",
    entry_point="total",
    starter_code="",
    tests=(FunctionTest("a", ([1, 2],), 3),),
)


@pytest.mark.slow
def test_a_real_server_is_asked_killed_started_again_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = save_chat_model(tmp_path / "model")
    with TransformersServe(model, tmp_path / "log") as server:
        config = OpenAIConfig(
            base_url=server.url,
            model=server.model,
            patience=120,
            concurrency=4,
            cache=tmp_path / "cache",
        )
        first = asyncio.run(_ask_and_kill(config, server))
        with pytest.raises(InputError, match="pinned"):
            asyncio.run(_one(replace(config, model="another")))
    # The server is gone: all answers are known.
    again, hits = asyncio.run(_proposals(replace(config, patience=0), range(12)))
    assert again == first and hits == 12


async def _ask_and_kill(config: OpenAIConfig, server: TransformersServe) -> list[Thoughts]:
    async with OpenAIPolicy(config) as policy:
        proposed = await policy.propose(ProposeRequest(PROBLEM, (), 0))
        assert proposed.complete and len(proposed.thoughts) == 4 and proposed.failure is None
        assert proposed.tokens == len(ANSWERS) + 1 and proposed.prompt_tokens > 500
        thoughts, program = proposed.thoughts, "def total(values):\n    return max(values)\n"
        said = Feedback(0, 1)
        text = (await policy.implement(ImplementRequest(PROBLEM, thoughts, 0))).text
        assert text.startswith("def total(values):\n    return ")
        request = RefineRequest(PROBLEM, thoughts, program, said, 1, 0)
        assert (await policy.refine(request)).text in (
            "Add them up.",
            "Multiply them.",
            "Find the largest.",
        )
        revised = await policy.revise(ReviseRequest(PROBLEM, thoughts, program, said, 0))
        assert len(revised.thoughts) == 4 and revised.complete
        located = await policy.locate(LocateRequest(PROBLEM, thoughts, program, said, 0))
        assert located.step in (0, 1, 2)
        assert (await policy.value(ValueRequest(PROBLEM, thoughts[:1], 0))).value in (0.25, 0.75)
        cut = await policy.implement(ImplementRequest(PROBLEM, thoughts, 1, max_tokens=6))
        assert (cut.failure, cut.tokens, cut.text) == ("cut off", 6, "")
        assert policy.statistics.failures == {"implement: cut off": 1}

        asking = [
            asyncio.create_task(policy.propose(ProposeRequest(PROBLEM, (), seed)))
            for seed in range(12)
        ]
        await asyncio.sleep(0.05)  # some are in flight
        server.kill()
        await asyncio.to_thread(server.start)
        answers = await asyncio.gather(*asking)
        assert policy.statistics.client.retries > 0
        # Seeds are heeded: draws differ, and not only in their cost.
        assert len({a.thoughts for a in answers}) > 2
        return answers


async def _one(config: OpenAIConfig) -> None:
    async with OpenAIPolicy(config) as policy:
        await policy.propose(ProposeRequest(PROBLEM, (), 99))


async def _proposals(config: OpenAIConfig, seeds: range) -> tuple[list[Thoughts], int]:
    async with OpenAIPolicy(config) as policy:
        answers = [await policy.propose(ProposeRequest(PROBLEM, (), s)) for s in seeds]
        return answers, policy.statistics.client.cache_hits
