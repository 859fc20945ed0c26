"""The batcher: everyone gets their own scores, in turn, whatever others do."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.data.layout import ExampleTooLongError
from codeprm_jax.files import InputError
from codeprm_jax.scoring.batcher import (
    QUANTUM,
    Batcher,
    BatcherClosedError,
    QueueFullError,
    Result,
    UnscorableError,
)
from codeprm_jax.scoring.scorer import StepScores
from tests.scoring.fake import FakeScorer, trace


def numbers(results: list[Result]) -> list[float]:
    return [float(r.scores[0]) if isinstance(r, StepScores) else -1.0 for r in results]


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


calls = st.tuples(
    st.sampled_from("abc"),
    st.lists(st.integers(1, 60), max_size=8),  # tokens of each trace
    st.integers(0, 3),  # ticks of the loop before the call
    st.sampled_from([None, None, 0, 1, 2, 5]),  # ticks after which it is cancelled
)


@given(st.lists(calls, min_size=1, max_size=12), st.integers(1, 200), st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_everyone_gets_their_own_scores(
    plan: list[tuple[str, list[int], int, int | None]], batch: int, queue: int
) -> None:
    """Any interleaving of callers and cancellations, any limits; what is left over is nothing."""

    async def caller(
        batcher: Batcher, first: int, client: str, lengths: list[int], before: int
    ) -> None:
        for _ in range(before):
            await asyncio.sleep(0)
        inputs = [trace(first + i, n) for i, n in enumerate(lengths)]
        results = await batcher.score_each(inputs, client)
        assert numbers(results) == [first + i for i in range(len(lengths))]
        assert [r.tokens for r in results if isinstance(r, StepScores)] == lengths

    async def main() -> None:
        async with Batcher(FakeScorer(), batch, 0.0, queue) as batcher:
            tasks = []
            for number, (client, lengths, before, cancelled) in enumerate(plan):
                work = caller(batcher, 100 * number, client, lengths, before)
                task = asyncio.create_task(work)
                tasks.append(task)
                if cancelled is not None:
                    for _ in range(cancelled):
                        await asyncio.sleep(0)
                    task.cancel()
            for task, (*_, cancelled) in zip(tasks, plan, strict=True):
                try:
                    await task
                except asyncio.CancelledError:
                    assert cancelled is not None
        assert (batcher.queued_tokens, batcher.queued_traces) == (0, 0)
        assert not batcher._clients and not batcher._turns and not batcher._calls

    asyncio.run(main())


@given(
    st.lists(st.integers(1, 900), min_size=20, max_size=60),
    st.lists(st.integers(1, 900), min_size=20, max_size=60),
    st.integers(1, 3000),
)
@settings(max_examples=40, deadline=None)
def test_two_clients_share_by_tokens(mine: list[int], theirs: list[int], batch: int) -> None:
    async def main() -> list[int]:
        scorer = FakeScorer()
        scorer.gate.clear()
        async with Batcher(scorer, batch, 0.0, 10**6) as batcher:
            first = asyncio.create_task(batcher.score_each([trace(9999, 1)], "first"))
            await until(lambda: batcher.queued_traces == 0 and batcher._calls)
            tasks = [
                asyncio.create_task(
                    batcher.score_each([trace(o + i, n) for i, n in enumerate(lengths)], str(o))
                )
                for o, lengths in ((0, mine), (1000, theirs))
            ]
            await until(lambda: batcher.queued_traces == len(mine) + len(theirs))
            scorer.gate.set()
            await asyncio.gather(first, *tasks)
        return scorer.scored[1:]

    got: Counter[bool] = Counter()
    order = asyncio.run(main())
    left = Counter({False: len(mine), True: len(theirs)})
    for number in order:
        they = number >= 1000
        got[they] += (theirs if they else mine)[number % 1000]
        left[they] -= 1
        if not all(left.values()):
            break
        assert abs(got[True] - got[False]) <= QUANTUM + max(mine + theirs)
    assert [n for n in order if n < 1000] == sorted(n for n in order if n < 1000)


def test_ten_thousand_traces_do_not_delay_one() -> None:
    async def main() -> None:
        scorer = FakeScorer()
        scorer.gate.clear()
        async with Batcher(scorer, 1000, 0.0, 20_000) as batcher:
            greedy = asyncio.create_task(
                batcher.score_each([trace(i) for i in range(10_000)], "greedy")
            )
            await until(lambda: batcher.queued_tokens >= 20_000)  # it fills the queue and waits
            other = asyncio.create_task(batcher.score_each([trace(-7)], "other"))
            await until(lambda: batcher.queued_tokens >= 20_010)
            scorer.gate.set()
            assert numbers(await other) == [-7.0]
            waited = [n for n, batch in enumerate(scorer.batches) if -7 in batch]
            assert waited and waited[0] <= 2  # after the one under way
            assert not greedy.done()
            assert batcher.queued_tokens <= 20_010
            assert numbers(await greedy) == list(range(10_000))

    asyncio.run(main())


def test_cancelled_requests_leave_the_queue_and_are_never_scored() -> None:
    async def main() -> None:
        scorer = FakeScorer()
        scorer.gate.clear()
        async with Batcher(scorer, 100, 0.0) as batcher:
            running = asyncio.create_task(batcher.score_each([trace(1)], "a"))
            await until(lambda: batcher.queued_traces == 0 and batcher._calls)
            with pytest.raises(TimeoutError):  # a deadline is a cancellation
                async with asyncio.timeout(0.05):
                    await batcher.score_each([trace(i) for i in range(10, 60)], "b")
            assert batcher.queued_tokens == 0
            assert batcher.statistics.abandoned_traces == 50
            running.cancel()  # while it is scored: the result goes nowhere
            scorer.gate.set()
            assert numbers(await batcher.score_each([trace(2)], "a")) == [2.0]
        assert scorer.scored == [1, 2]

    asyncio.run(main())


def test_one_bad_trace_spares_its_neighbours(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        scorer = FakeScorer(limit=500)
        scorer.poison = {5: RuntimeError("boom"), 6: InputError("not finite")}
        async with Batcher(scorer, 10_000, 0.02) as batcher:
            mine, theirs = await asyncio.gather(
                batcher.score_each([trace(n) for n in range(8)] + [trace(9, 501)], "a"),
                batcher.score_each([trace(n) for n in range(20, 30)], "b"),
            )
            assert numbers(mine) == [0, 1, 2, 3, 4, -1, -1, 7, -1]
            assert numbers(theirs) == list(range(20, 30))
            assert isinstance(mine[5], UnscorableError) and "RuntimeError" in str(mine[5])
            assert str(mine[6]) == "not finite"
            long = mine[8]
            assert isinstance(long, ExampleTooLongError) and (long.tokens, long.limit) == (501, 500)
            assert batcher.statistics.failed_traces == 2
            broken = trace(1)
            object.__setattr__(broken, "statement", "unreadable")
            read = await batcher.score_each([trace(3), broken], "a")
            assert numbers(read) == [3, -1] and isinstance(read[1], UnscorableError)
            with pytest.raises(InputError, match="no view"):
                await batcher.score_each([trace(1)], "a", view="program")
            assert batcher.alive

    with caplog.at_level(logging.CRITICAL, "codeprm_jax"):
        asyncio.run(main())


def test_a_full_queue_refuses_or_lets_wait() -> None:
    async def main() -> None:
        scorer = FakeScorer()
        scorer.gate.clear()
        async with Batcher(scorer, 100, 0.0, 200) as batcher:
            many = asyncio.create_task(batcher.score_each([trace(i) for i in range(100)], "a"))
            await until(lambda: batcher.queued_tokens >= 200)
            with pytest.raises(QueueFullError, match="limit is 200") as full:
                await batcher.score_each([trace(1)], "a", wait=False)
            assert full.value.retry_after > 0 and batcher.statistics.refused_calls == 1
            # Others are let in, until they too have their share, and never beyond twice the limit.
            others = [
                asyncio.create_task(
                    batcher.score_each([trace(1000 * n + i) for i in range(100)], f"other {n}")
                )
                for n in range(1, 20)
            ]
            await asyncio.sleep(0.1)
            assert 300 <= batcher.queued_tokens <= 400
            with pytest.raises(QueueFullError):
                await batcher.score_each([trace(1)], "a new one", wait=False)
            scorer.gate.set()
            assert numbers(await many) == list(range(100))
            for n, task in enumerate(others, 1):
                assert numbers(await task) == [1000 * n + i for i in range(100)]

    asyncio.run(main())


def test_batches_fill_to_the_budget_or_the_deadline() -> None:
    async def main() -> None:
        scorer = FakeScorer()
        async with Batcher(scorer, 100, 0.5) as batcher:
            began = time.monotonic()
            await batcher.score_each([trace(i) for i in range(20)], "a")  # two full ones: at once
            assert time.monotonic() - began < 0.49 and [len(b) for b in scorer.batches] == [10, 10]
            began = time.monotonic()
            await asyncio.gather(*(batcher.score_each([trace(i)], str(i)) for i in range(3)))
            assert time.monotonic() - began >= 0.49 and len(scorer.batches[-1]) == 3
            await batcher.score_each([trace(1, 700)], "a")  # longer than a batch: alone
            assert scorer.batches[-1] == [1]

    asyncio.run(main())


def test_the_loop_goes_on_while_a_batch_is_scored() -> None:
    async def main() -> None:
        async with Batcher(FakeScorer(seconds=0.2), 100, 0.0) as batcher:
            work = asyncio.create_task(batcher.score_each([trace(1)], "a"))
            longest, last = 0.0, time.monotonic()
            while not work.done():
                await asyncio.sleep(0.001)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
            assert longest < 0.1

    asyncio.run(main())


def test_closing_answers_what_is_queued_within_its_time() -> None:
    async def main() -> None:
        scorer = FakeScorer(seconds=0.01)
        batcher = await Batcher(scorer, 100, 5.0).__aenter__()
        work = asyncio.create_task(batcher.score_each([trace(i) for i in range(55)], "a"))
        await until(lambda: batcher.queued_traces > 0 or scorer.batches)
        closing = asyncio.create_task(batcher.close(5.0))
        await asyncio.sleep(0)
        with pytest.raises(BatcherClosedError):
            await batcher.score_each([trace(1)], "b")
        assert await closing and numbers(await work) == list(range(55))

        scorer.gate.clear()
        batcher = await Batcher(scorer, 100, 0.0, 100).__aenter__()
        tasks = [  # one is scored, one waits to be, one waits for room
            asyncio.create_task(batcher.score_each([trace(i) for i in range(20)], name))
            for name in "aab"
        ]
        await asyncio.sleep(0.05)
        assert not await batcher.close(0.05)
        for task in tasks:
            with pytest.raises(BatcherClosedError):
                await task
        scorer.gate.set()

    asyncio.run(main())


def test_nonsense_settings_are_refused() -> None:
    for settings_ in ({"max_batch_tokens": 0}, {"max_wait_seconds": -1}, {"max_queue_tokens": 0}):
        with pytest.raises(InputError, match="a batcher needs"):
            Batcher(FakeScorer(), **settings_)  # type: ignore[arg-type]
