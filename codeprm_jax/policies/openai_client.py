"""Chat completions over HTTP: patient with the server, sparing with what is asked of it.

What may pass (no connection, a timeout, 408, 409, 429, 5xx) is tried again with growing pauses,
until `patience` seconds after a request's first failed attempt, so that a server may be killed and
started again in the middle of a run. What cannot pass (400, 401, 403, 404) is an error at once.

One request asks for one completion, never for `n`: each carries its own seed, and an answer must
depend on its request alone. The n completions of one request share a seed, so that the k-th of them
would depend on who else asked at the same moment; and not every server knows `n`. A server that
keeps common beginnings of prompts reads a prompt that is sent n times little more than once.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import math
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError, Timeout

from codeprm_jax.files import InputError, RunError, listed
from codeprm_jax.policies.openai_cache import AnswerCache, cache_key
from codeprm_jax.policies.openai_config import NO_KEY, OpenAIConfig

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0  # a host that does not even refuse
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0  # seconds between two attempts
PASSING = (408, 409, 429)  # and 5xx: what another attempt may mend
MESSAGE_CHARACTERS = 500  # of what a server says, in an error


@dataclass(frozen=True)
class Completion:
    """What the server said.

    Attributes:
      text: of the answer, without what a server sets apart as reasoning.
      cut: whether the limit of tokens ended it.
      tokens: generated, reasoning included; None where the server does not say.
      prompt_tokens: read; None where the server does not say.
    """

    text: str
    cut: bool
    tokens: int | None
    prompt_tokens: int | None


@dataclass
class ClientStatistics:
    """What went over the wire, in this process.

    Attributes:
      requests: answered by the server.
      retries: attempts beyond the first.
      cache_hits: answers found on disk.
      shared: answers that an equal request, in flight already, gave to another.
      without_usage: answers of the server that did not say what they cost.
      generated_tokens, prompt_tokens: as the server counts them; cached answers add nothing.
      server_seconds: the sum over all attempts, so that concurrent ones add up.
    """

    requests: int = 0
    retries: int = 0
    cache_hits: int = 0
    shared: int = 0
    without_usage: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    server_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The counts."""
        return asdict(self)


@dataclass
class _Flight:
    """A request under way and how many wait for it."""

    task: asyncio.Task[Completion]
    waiting: int = 0


@dataclass
class _Connection:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    sdk: AsyncOpenAI
    slots: asyncio.Semaphore
    flights: dict[str, _Flight] = field(default_factory=dict)


class ChatClient:
    """Asks a server for completions; opened by the first request, in its event loop.

    After `close` it may be used again, in another event loop too. Raises InputError if the cache
    is damaged.
    """

    def __init__(self, config: OpenAIConfig) -> None:
        self.config = config
        self.statistics = ClientStatistics()
        self._cache = AnswerCache(config.cache) if config.cache is not None else None
        self._connection: _Connection | None = None
        self._down = False

    async def close(self) -> None:
        """Ends the requests in flight and closes the connections."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        tasks = [f.task for f in connection.flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connection.sdk.close()

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        """The answer to a request, from the cache, from an equal one in flight, or from the server.

        Args:
          body: the JSON of the request; an answer depends on nothing else.

        Raises:
          InputError: the server refuses the request, the key or the model.
          RunError: no answer in `patience` seconds, or one that is no chat completion, or that is
            longer than was asked for.
        """
        key = cache_key(body)
        if self._cache is not None and (found := self._cache.get(key)) is not None:
            self.statistics.cache_hits += 1
            return Completion(**found)
        connection = self._open()
        flight = connection.flights.get(key)
        if flight is None:
            task = asyncio.create_task(self._fetch(connection, key, body))
            flight = connection.flights[key] = _Flight(task)
            task.add_done_callback(lambda done: _forget(connection, key, done))
        else:
            self.statistics.shared += 1
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                # Nobody wants it any more. A later equal request starts afresh.
                connection.flights.pop(key, None)
                flight.task.cancel()

    def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if self._connection is None:
            config = self.config
            sdk = AsyncOpenAI(
                api_key=config.api_key(),
                base_url=config.base_url,
                timeout=Timeout(config.timeout, connect=min(CONNECT_SECONDS, config.timeout)),
                max_retries=0,  # ours go on for longer
            )
            self._connection = _Connection(loop, sdk, asyncio.Semaphore(config.concurrency))
        elif self._connection.loop is not loop:
            raise RuntimeError("the policy was used in another event loop; close it there first")
        return self._connection

    async def _fetch(
        self, connection: _Connection, key: str, body: Mapping[str, Any]
    ) -> Completion:
        # Held through pauses too: a server that is overloaded or away is asked by few.
        async with connection.slots:
            answer = await self._ask(connection.sdk, body)
        completion = self._read(answer, body)
        self.statistics.requests += 1
        self.statistics.without_usage += completion.tokens is None
        self.statistics.generated_tokens += completion.tokens or 0
        self.statistics.prompt_tokens += completion.prompt_tokens or 0
        if self._cache is not None:
            self._cache.put(key, asdict(completion))
        return completion

    async def _ask(self, sdk: AsyncOpenAI, body: Mapping[str, Any]) -> Any:
        """The JSON of an answer. Tries again where that may help."""
        rest = {k: v for k, v in body.items() if k not in ("model", "messages")}
        deadline: float | None = None
        pause = FIRST_PAUSE
        while True:
            start = time.monotonic()
            try:
                # The limit of tokens has several names, and the user may add members: the SDK
                # passes `extra_body` on as it is.
                raw = await sdk.chat.completions.with_raw_response.create(
                    model=body["model"], messages=body["messages"], extra_body=rest
                )
                self._answers_again()
                return self._json(raw.http_response)
            except APIStatusError as error:
                if error.status_code not in PASSING and error.status_code < 500:
                    await self._refuse(sdk, error)
                problem = f"status {error.status_code}: {self._clean(_words(error))}"
                wanted = _retry_after(error.response.headers)
            except APIConnectionError as error:
                problem = self._clean(f"{error} {error.__cause__ or ''}".strip())
                wanted = 0.0
            finally:
                self.statistics.server_seconds += time.monotonic() - start
            now = time.monotonic()
            deadline = now + self.config.patience if deadline is None else deadline
            # Not all at once: those who failed together come back apart.
            wait = max(wanted, pause * random.uniform(0.5, 1.0))
            if now + wait > deadline:
                raise RunError(
                    f"{self.config.base_url} gave no answer ({problem}), and "
                    f"{self._how_long(wanted)}: is the server running, and can this machine reach "
                    "it? What a command of ours was answered until now is kept beside its output: "
                    "run it again to go on"
                )
            self._failed(problem)
            self.statistics.retries += 1
            await asyncio.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _how_long(self, wanted: float) -> str:
        patience = f"its patience of {self.config.patience:g} s is at an end"
        return f"wants a pause of {wanted:g} s where {patience}" if wanted else patience

    def _failed(self, problem: str) -> None:
        level = logging.DEBUG if self._down else logging.WARNING
        logger.log(
            level,
            "%s: %s; trying again for up to %g s",
            self.config.base_url,
            problem,
            self.config.patience,
        )
        self._down = True

    def _answers_again(self) -> None:
        if self._down:
            logger.info("%s answers again", self.config.base_url)
        self._down = False

    def _json(self, response: Any) -> Any:
        try:
            return response.json()
        except ValueError:  # of JSON, or of a text's encoding
            self._no_completion(response.text)

    def _read(self, answer: Any, body: Mapping[str, Any]) -> Completion:
        try:
            choice = answer["choices"][0]
            text = choice["message"].get("content")
            reason = choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, AttributeError):
            self._no_completion(answer)
        if not isinstance(text, str | None):
            self._no_completion(answer)
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        tokens = _count(usage.get("completion_tokens"))
        limit = body[self.config.max_tokens_parameter]
        if tokens is not None and tokens > limit:
            raise RunError(
                f"{self.config.base_url} generated {tokens} tokens where at most {limit} were "
                f"asked for, so it does not heed {self.config.max_tokens_parameter} and no budget "
                "could be kept; use the other max_tokens_parameter, or another server"
            )
        return Completion(
            text or "", reason == "length", tokens, _count(usage.get("prompt_tokens"))
        )

    def _no_completion(self, answer: Any) -> NoReturn:
        raise RunError(
            f"what answers at {self.config.base_url} sends no chat completions: "
            f"{self._clean(str(answer))!r}; is base_url the address of an OpenAI-compatible API?"
        )

    async def _refuse(self, sdk: AsyncOpenAI, error: APIStatusError) -> NoReturn:
        """Raises InputError with the server's words and what to do."""
        config = self.config
        match error.status_code:
            case 401 | 403:
                held = "holds no key" if config.api_key() == NO_KEY else "holds another key"
                remedy = f"the variable {config.api_key_variable} {held} than the server wants"
                if config.api_key() == NO_KEY:
                    remedy = f"the variable {config.api_key_variable} {held}"
            case 404:
                remedy = await self._models(sdk)
            case _:
                remedy = (
                    "change the setting that it names; where the prompt is too long, start the "
                    "server with a longer context or lower the limits of tokens"
                )
        raise InputError(
            f"{config.base_url} refuses the request with status {error.status_code}: "
            f"{self._clean(_words(error))}; {remedy}"
        ) from None

    async def _models(self, sdk: AsyncOpenAI) -> str:
        try:
            names = [m.id for m in (await sdk.models.list(timeout=CONNECT_SECONDS)).data]
        except (OpenAIError, AttributeError, TypeError, ValueError):
            names = []
        if names:
            return f"the model {self.config.model!r} is unknown; it has {listed(names)}"
        return "is base_url right? Most servers have their API at an address that ends in /v1"

    def _clean(self, message: str) -> str:
        """What a server says, shortened, without the key that it may repeat."""
        key = self.config.api_key()
        if key != NO_KEY:
            message = message.replace(key, "***")
        return message[:MESSAGE_CHARACTERS]


def _forget(connection: _Connection, key: str, task: asyncio.Task[Completion]) -> None:
    flight = connection.flights.get(key)
    if flight is not None and flight.task is task:
        del connection.flights[key]
    if not task.cancelled():
        task.exception()  # seen, even where nobody waits any more


def _words(error: APIStatusError) -> str:
    """What a server says is wrong, in any of the usual forms, or all that it sent."""
    try:
        said: Any = error.response.json()
        while isinstance(said, dict):
            said = next(said[k] for k in ("error", "message", "detail") if said.get(k))
        return str(said)
    except (ValueError, StopIteration):
        return error.response.text or "no reason given"


def _count(value: Any) -> int | None:
    """A number of tokens; None for what cannot be one, as no answer is free."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return None
    return value


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server wants to be left alone; 0 where it does not say."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) * unit
        except ValueError:
            continue
        return max(seconds, 0.0) if math.isfinite(seconds) else 0.0
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, TypeError):
        return 0.0
    return max(date.timestamp() - time.time(), 0.0)
