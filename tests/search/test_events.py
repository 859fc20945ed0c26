from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax.files import InputError
from codeprm_jax.search.events import EventLog, digest


class Counting:
    def __init__(self, answer: object) -> None:
        self.answer, self.calls = answer, 0

    async def __call__(self) -> object:
        self.calls += 1
        await asyncio.sleep(0.01)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_who_asks_at_the_same_time_shares_an_answer(tmp_path: Path) -> None:
    answer = Counting({"text": "ü\u2028"})

    async def run() -> list[object]:
        log = EventLog(tmp_path / "log.jsonl")
        return await asyncio.gather(*(log.once("k", [1], answer) for _ in range(5)))

    assert asyncio.run(run()) == [{"text": "ü\u2028"}] * 5
    assert answer.calls == 1


def test_an_answer_outlives_the_process_and_an_error_does_not(tmp_path: Path) -> None:
    path, good, bad = tmp_path / "log.jsonl", Counting(7), Counting(ValueError("no"))

    async def ask(answer: Counting, question: int) -> object:
        return await EventLog(path).once("k", question, answer)

    for _ in range(3):
        assert asyncio.run(ask(good, 1)) == 7
        with pytest.raises(ValueError, match="no"):
            asyncio.run(ask(bad, 2))
    assert (good.calls, bad.calls) == (1, 3)


def test_who_gives_up_does_not_take_the_answer_from_others(tmp_path: Path) -> None:
    answer = Counting(1)

    async def run() -> object:
        log = EventLog(tmp_path / "log.jsonl")
        first = asyncio.create_task(log.once("k", 0, answer))
        second = asyncio.create_task(log.once("k", 0, answer))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(run()) == 1 and answer.calls == 1


def test_an_error_that_nobody_waits_for_any_more_is_not_reported() -> None:
    """After the first error a run ends with one message, not with a traceback for each request."""
    reported: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: reported.append(said))
        log, failing = EventLog(), Counting(ValueError("no"))
        waiting = asyncio.create_task(log.once("k", 0, failing))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0.02)
        assert failing.calls == 1
        gc.collect()

    asyncio.run(run())
    assert not reported


def test_a_torn_line_costs_one_answer(tmp_path: Path) -> None:
    path, answers = tmp_path / "log.jsonl", [Counting(i) for i in range(3)]

    async def run() -> list[object]:
        log = EventLog(path)
        return [await log.once("k", i, a) for i, a in enumerate(answers)]

    asyncio.run(run())
    path.write_bytes(path.read_bytes()[:-5])
    assert asyncio.run(run()) == [0, 1, 2]
    assert [a.calls for a in answers] == [1, 1, 2]
    path.write_text('{"key": broken}\n' + path.read_text())
    with pytest.raises(InputError, match="line 1"):
        EventLog(path)


def test_keys_tell_questions_apart() -> None:
    questions = [["a", "b"], ["ab"], {"a": "b"}, {"b": "a"}, "a", None]
    keys = {digest(kind, q) for kind in ("x", "y") for q in questions}
    assert len(keys) == 2 * len(questions)
    assert digest("x", {"a": 1, "b": 2}) == digest("x", {"b": 2, "a": 1})
