"""Many callers, one scorer: their traces share batches, fairly, and none can fail the others.

A batch is filled up to a token budget or until its first trace has waited long enough. Clients take
turns by tokens (deficit round robin, Shreedhar and Varghese 1995): between two clients that both
have traces waiting, the tokens scored never differ by more than QUANTUM and one trace, however much
either has sent. What one client sends keeps its order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

from codeprm_jax.data.layout import Example, ExampleTooLongError, StepInput, View
from codeprm_jax.files import InputError, RunError
from codeprm_jax.scoring.scorer import StepScores

logger = logging.getLogger(__name__)

QUANTUM = 512  # tokens by which a client's turn grows
SLICE_TRACES = 64  # traces laid out in one go, and characters: between two slices others have a go
SLICE_CHARACTERS = 200_000

T = TypeVar("T")
Result = StepScores | InputError


class QueueFullError(RunError):
    """The queue holds as much as it may. `retry_after`: seconds in which it may have emptied."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BatcherClosedError(RunError):
    """The batcher takes no more requests, or was closed before it could answer."""


class UnscorableError(InputError):
    """Scoring this trace, alone, fails with an error that nobody foresaw."""


class ExampleScorer(Protocol):
    """What a batcher needs of a scorer; `engine.StepScorer` is one.

    `lay_out_each` runs beside `score_examples`, in another thread.
    """

    def lay_out_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> Sequence[Example | ExampleTooLongError]:
        """Each input's example, or why it has none."""

    def score_examples(self, examples: Sequence[Example]) -> Sequence[Result]:
        """Each example's scores, or why it has none."""


@dataclass
class BatcherStatistics:
    """What a batcher has done since it was made.

    Attributes:
      batches, traces, tokens: handed to the scorer.
      refused_calls: that found the queue full.
      abandoned_traces: whose caller went away while they waited.
      failed_traces: that the scorer could not score.
    """

    batches: int = 0
    traces: int = 0
    tokens: int = 0
    refused_calls: int = 0
    abandoned_traces: int = 0
    failed_traces: int = 0


@dataclass(eq=False)
class _Call:
    """One call of score_each: what is queued of it, what is known of it, and who waits."""

    results: list[Result | None]
    done: asyncio.Future[None]
    queue: deque[tuple[int, Example]] = field(default_factory=deque)
    missing: int = 0  # results

    def put(self, index: int, result: Result) -> None:
        self.results[index] = result
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result(None)


@dataclass(eq=False)
class _Client:
    """Calls with something queued, the first first."""

    calls: OrderedDict[_Call, None] = field(default_factory=OrderedDict)
    order: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    tokens: int = 0  # queued
    deficit: int = 0


class Batcher:
    """Scores for many callers at once, in one event loop: `async with Batcher(scorer) as batcher`.

    Leaving the block answers what is queued first; leaving it by an error gives it up.

    Args:
      scorer: used by one thread for scoring and by one for layout.
      max_batch_tokens: of the traces in a batch; a longer trace has a batch of its own.
      max_wait_seconds: for others to join a batch that is not full.
      max_queue_tokens: waiting. Above it only a client that holds less than its share of the queue
        may add to it, and above twice as much nobody.
      on_batch: called with each batch's tokens and the seconds it took.
    """

    def __init__(
        self,
        scorer: ExampleScorer,
        max_batch_tokens: int = 8192,
        max_wait_seconds: float = 0.005,
        max_queue_tokens: int = 262_144,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        if max_batch_tokens < 1 or max_queue_tokens < 1 or not 0 <= max_wait_seconds < math.inf:
            raise InputError(
                "a batcher needs max_batch_tokens and max_queue_tokens of 1 or more and a finite "
                f"max_wait_seconds, not {max_batch_tokens}, {max_queue_tokens}, {max_wait_seconds}"
            )
        self.scorer = scorer
        self.max_batch_tokens = max_batch_tokens
        self.max_wait_seconds = max_wait_seconds
        self.max_queue_tokens = max_queue_tokens
        self.queued_tokens = self.queued_traces = 0
        self.statistics = BatcherStatistics()
        self._on_batch = on_batch or (lambda tokens, seconds: None)
        self._clients: dict[str, _Client] = {}
        self._turns: OrderedDict[_Client, None] = OrderedDict()
        self._calls: set[_Call] = set()
        self._waiting_since = 0.0
        self._tokens_per_second = 0.0
        self._closing = self._closed = False
        self._changed, self._space, self._idle = (asyncio.Event() for _ in range(3))
        self._idle.set()
        self._scoring = ThreadPoolExecutor(1, "scoring")
        self._layout = ThreadPoolExecutor(1, "layout")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="batcher")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.close(None if kind is None else 0.0)

    @property
    def alive(self) -> bool:
        """Whether it still makes batches."""
        return self._task is not None and not self._task.done()

    def admit(self, client: str = "", wait: bool = False) -> None:
        """Raises QueueFullError (unless `wait`) or BatcherClosedError if a call would do so now."""
        if self._closing:
            raise BatcherClosedError("the scorer is shutting down and takes no more requests")
        if not wait and self._is_full(self._clients.get(client) or _Client()):
            self.statistics.refused_calls += 1
            raise QueueFullError(
                f"{self.queued_tokens} tokens are waiting to be scored, the limit is "
                f"{self.max_queue_tokens}; try again later",
                self.seconds_queued,
            )

    async def score_each(
        self,
        inputs: Sequence[StepInput],
        client: str = "",
        view: View | None = None,
        wait: bool = True,
    ) -> list[Result]:
        """One result for each input, in order; an input's error spares the others.

        A caller that is cancelled (or times out) takes what is queued of it with it.

        Args:
          client: who asks, such as the name of a search; clients share the scorer equally.
          view: as in `scorer.Scorer`.
          wait: for room in the queue; otherwise a full one is an error.

        Raises:
          InputError: a view that the model was not trained to read.
          QueueFullError: if `wait` is false.
          BatcherClosedError: it is closing.
        """

        async def lay_out(part: Sequence[StepInput]) -> Sequence[Example | InputError]:
            loop = asyncio.get_running_loop()
            lay_out_each = self.scorer.lay_out_each
            return await loop.run_in_executor(
                self._layout, lay_out_safely, lay_out_each, part, view
            )

        return await self._submit(list(slices(inputs)), lay_out, client, wait)

    async def score_examples(
        self, examples: Sequence[Example], client: str = "", wait: bool = True
    ) -> list[Result]:
        """`score_each` of inputs that are laid out already."""

        async def as_they_are(part: Sequence[Example]) -> Sequence[Example]:
            return part

        return await self._submit([examples], as_they_are, client, wait)

    async def close(self, drain_seconds: float | None = None) -> bool:
        """Takes no more calls, answers those it has, and ends; within `drain_seconds` if given.

        Calls that are not answered by then raise BatcherClosedError. Returns whether all were, and
        no batch is left running.
        """
        self._closing = True
        self._changed.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                if self.alive:
                    await self._idle.wait()
        drained, self._closed = not self._calls, True
        self._space.set()
        for call in self._calls:
            if not call.done.done():
                call.done.set_exception(BatcherClosedError("closed before it could be scored"))
                call.done.exception()  # its caller may be elsewhere: not "never retrieved"
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        # What waits for the layout thread is not cancelled: its callers are told when it is done.
        self._scoring.shutdown(wait=drained)
        self._layout.shutdown(wait=drained)
        return drained

    async def _submit(
        self,
        parts: Sequence[Sequence[T]],
        lay_out: Callable[[Sequence[T]], Awaitable[Sequence[Example | InputError]]],
        name: str,
        wait: bool,
    ) -> list[Result]:
        if not self.alive and not self._closing:
            raise RuntimeError("a Batcher scores inside `async with` only")
        self.admit(name, wait)
        client = self._clients.setdefault(name, _Client())
        client.users += 1
        count = sum(map(len, parts))
        call = _Call([None] * count, asyncio.get_running_loop().create_future(), missing=count)
        self._calls.add(call)
        self._idle.clear()
        try:
            async with client.order:
                index = 0
                for part in parts:
                    for found in await lay_out(part):
                        if isinstance(found, Example):
                            await self._enqueue(client, call, index, found)
                        else:
                            call.put(index, found)
                        index += 1
            if count:
                await call.done
            return [result for result in call.results if result is not None]
        finally:
            self._leave(name, client, call)

    async def _enqueue(self, client: _Client, call: _Call, index: int, example: Example) -> None:
        while not self._closed and self._is_full(client):
            self._space.clear()
            await self._space.wait()
        if self._closed:
            raise BatcherClosedError("closed before it could be scored")
        if not self.queued_traces:
            self._waiting_since = asyncio.get_running_loop().time()
        call.queue.append((index, example))
        client.calls[call] = None
        self._turns.setdefault(client)
        self._count(client, 1, example.length)
        self._changed.set()

    def _is_full(self, client: _Client) -> bool:
        if self.queued_tokens < self.max_queue_tokens:
            return False
        clients = len(self._turns) + (client not in self._turns)
        over_share = client.tokens >= self.max_queue_tokens / clients
        return over_share or self.queued_tokens >= 2 * self.max_queue_tokens

    @property
    def seconds_queued(self) -> float:
        """About how long what is queued will take."""
        return self.queued_tokens / self._tokens_per_second if self._tokens_per_second else 1.0

    def _count(self, client: _Client, traces: int, tokens: int) -> None:
        client.tokens += tokens
        self.queued_traces += traces
        self.queued_tokens += tokens

    def _leave(self, name: str, client: _Client, call: _Call) -> None:
        """Forgets a call, whatever became of it."""
        if call.queue:
            self.statistics.abandoned_traces += len(call.queue)
            self._count(client, -len(call.queue), -sum(e.length for _, e in call.queue))
            call.queue.clear()
            self._drop(client, call)
            self._space.set()
        client.users -= 1
        if not client.users:
            del self._clients[name]
        self._calls.discard(call)
        if not self._calls:
            self._idle.set()

    def _drop(self, client: _Client, call: _Call) -> None:
        """Takes a call with an empty queue out of its client's turn."""
        del client.calls[call]
        if not client.calls:
            client.deficit = 0
            del self._turns[client]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_for_batch(loop)
            batch = self._next_batch()
            if not batch:  # those who filled it have gone
                continue
            self._space.set()
            examples = [example for _, _, example in batch]
            began = self._waiting_since = loop.time()
            results = await loop.run_in_executor(self._scoring, self._score, examples)
            seconds, tokens = loop.time() - began, sum(e.length for e in examples)
            for (call, index, _), result in zip(batch, results, strict=True):
                if call in self._calls:
                    call.put(index, result)
            self.statistics.batches += 1
            self.statistics.traces += len(batch)
            self.statistics.tokens += tokens
            self.statistics.failed_traces += sum(isinstance(r, InputError) for r in results)
            rate = tokens / max(seconds, 1e-6)
            self._tokens_per_second += (rate - self._tokens_per_second) * (
                0.2 if self._tokens_per_second else 1.0
            )
            self._on_batch(tokens, seconds)

    async def _wait_for_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            seconds: float | None = None
            if self.queued_traces:
                seconds = self._waiting_since + self.max_wait_seconds - loop.time()
                full = self.queued_tokens >= self.max_batch_tokens
                if full or seconds <= 0 or self._closing:
                    return
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()

    def _next_batch(self) -> list[tuple[_Call, int, Example]]:
        batch: list[tuple[_Call, int, Example]] = []
        room = self.max_batch_tokens
        while self._turns:
            client = next(iter(self._turns))
            call = next(iter(client.calls))
            index, example = call.queue[0]
            if example.length > client.deficit:
                client.deficit += QUANTUM
                self._turns.move_to_end(client)
                continue
            if batch and example.length > room:
                break
            call.queue.popleft()
            batch.append((call, index, example))
            room -= example.length
            client.deficit -= example.length
            self._count(client, -1, -example.length)
            if not call.queue:
                self._drop(client, call)
        return batch

    def _score(self, examples: Sequence[Example]) -> list[Result]:
        """In the scoring thread. A batch that fails is halved until only the guilty fail."""
        try:
            results = list(self.scorer.score_examples(examples))
            if len(results) != len(examples):
                raise RuntimeError(f"{len(results)} scores for {len(examples)} examples")
            return results
        except Exception as error:
            if len(examples) > 1:
                half = len(examples) // 2
                return self._score(examples[:half]) + self._score(examples[half:])
            if isinstance(error, InputError):
                return [error]
            logger.exception("a trace of %d tokens cannot be scored", examples[0].length)
            return [UnscorableError(f"this trace cannot be scored: {type(error).__name__}")]


def lay_out_safely(
    lay_out_each: Callable[[Sequence[StepInput], View | None], Sequence[Example | InputError]],
    inputs: Sequence[StepInput],
    view: View | None,
) -> Sequence[Example | InputError]:
    """Each input's example. If one fails with an error that nobody foresaw, only that one has none.

    Raises InputError on a view that the model was not trained to read.
    """
    try:
        return lay_out_each(inputs, view)
    except InputError:  # the view, for all of them
        raise
    except Exception as error:
        if len(inputs) > 1:
            return [found for i in inputs for found in lay_out_safely(lay_out_each, [i], view)]
        logger.exception("a trace of %d thoughts cannot be laid out", len(inputs[0].thoughts))
        return [UnscorableError(f"this trace cannot be read: {type(error).__name__}")]


def slices(inputs: Sequence[StepInput]) -> Iterator[list[StepInput]]:
    """Runs of inputs that are laid out in one go; one, perhaps empty, at least."""
    part: list[StepInput] = []
    characters = 0
    for item in inputs:
        size = len(item.statement) + len(item.program) + sum(map(len, item.thoughts))
        if part and (len(part) == SLICE_TRACES or characters + size > SLICE_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(item)
        characters += size
    yield part
