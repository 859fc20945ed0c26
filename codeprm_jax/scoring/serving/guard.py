"""What every request passes before it reaches a handler, and how errors look.

The guard checks the token, counts requests, reads the body within its limits of size and time,
bounds the time of an answer, and cancels the work for a client that has gone.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import h11
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from codeprm_jax.scoring.serving.service import MAX_BODY_MEMORY, MAX_REQUESTS, Service

logger = logging.getLogger(__name__)

OPEN_PATHS = {"/health", "/ready"}
DISCARDED_BODIES = 16  # times the limit: a body too large is read so far, to be answered politely
HEADER_SECONDS = 10.0  # for the request line and the headers


class ErrorAnswer(Response):
    """An error in the server's form; ASCII, so that it can quote anything."""

    media_type = "application/json"

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        **details: int,
    ) -> None:
        content = {"error": {"type": kind, "message": message[:2000], **details}}
        super().__init__(json.dumps(content).encode("ascii"), status, headers)


class _RefusedError(Exception):
    """A request that gets no further, and its answer."""

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def busy(message: str, seconds: float, kind: str = "overloaded") -> ErrorAnswer:
    """503, and when to come back."""
    after = {"Retry-After": str(min(60, max(1, math.ceil(seconds))))}
    return ErrorAnswer(503, kind, message, after)


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service, self.config = app, service, service.config
        self.requests = self.body_bytes = 0  # in progress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets it pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def tracked(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        held = 0
        self.requests += 1
        try:
            headers = dict(scope["headers"])
            self._admit(scope["path"], headers)
            body = bytearray()
            async with asyncio.timeout(self.config.body_seconds):
                if not await self._read(scope["method"], headers, receive, body):
                    return
            held = len(body)
            await self._answer(scope, bytes(body), receive, tracked)
        except TimeoutError:
            text = f"the body did not come within {self.config.body_seconds:g} s"
            await ErrorAnswer(408, "timeout", text, {"Connection": "close"})(scope, receive, send)
        except _RefusedError as refused:
            if not started:
                await refused.answer(scope, receive, send)
        except Exception as error:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if not started:
                text = f"{type(error).__name__}; the server's log says more"
                await ErrorAnswer(500, "internal", text)(scope, receive, send)
        finally:
            self.requests -= 1
            self.body_bytes -= held

    def _admit(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        if path in OPEN_PATHS:
            return
        if self.config.token is not None:
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            right = hmac.compare_digest(given.strip(), self.config.token.encode())
            if not right or scheme.lower() != b"bearer":
                text = "a valid bearer token is needed: Authorization: Bearer TOKEN"
                answer = ErrorAnswer(401, "unauthorized", text, {"WWW-Authenticate": "Bearer"})
                raise _RefusedError(answer)
        if self.requests > MAX_REQUESTS:
            raise _RefusedError(busy(f"{MAX_REQUESTS} requests are in progress", 1))

    async def _read(
        self, method: str, headers: Mapping[bytes, bytes], receive: Receive, body: bytearray
    ) -> bool:
        """Reads the body; False if the client went away. Raises _RefusedError."""
        limit = self.config.max_body_bytes
        declared = headers.get(b"content-length", b"")
        large = declared.isdigit() and (len(declared) > 18 or int(declared) > limit)
        seen, polite = 0, b"expect" not in headers
        more = not (large and not polite)
        crowded = False
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            chunk = message.get("body", b"")
            seen += len(chunk)
            large = large or seen > limit
            crowded = crowded or self.body_bytes + seen > MAX_BODY_MEMORY
            if large or crowded:
                body.clear()
            else:
                body += chunk
            more = message.get("more_body", False) and seen <= DISCARDED_BODIES * limit
        if large:
            text = f"the body is larger than {limit} bytes; send fewer traces at once"
            raise _RefusedError(ErrorAnswer(413, "too_large", text, {"Connection": "close"}))
        if crowded:
            raise _RefusedError(busy("too many large requests are in progress", 1))
        self.body_bytes += len(body)
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if method == "POST" and kind != b"application/json":
            text = "send JSON, with the header Content-Type: application/json"
            raise _RefusedError(ErrorAnswer(415, "media_type", text))
        return True

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Runs the handler until it is done, out of time, or of no use to anyone."""
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await asyncio.shield(gone)
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def leave() -> Message:
            while (message := await receive())["type"] != "http.disconnect":
                pass  # the server says once more that the body has ended
            return message

        gone = asyncio.ensure_future(leave())
        work = asyncio.ensure_future(self.app(scope, replay, send))
        try:
            await asyncio.wait(
                {gone, work},
                timeout=self.config.request_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work.done():
                work.result()
            elif not gone.done():
                text = f"no answer within {self.config.request_seconds:g} s; send fewer traces"
                raise _RefusedError(ErrorAnswer(504, "timeout", text))
        finally:
            for task in (gone, work):
                task.cancel()
            await asyncio.wait({gone, work})


class PunctualProtocol(H11Protocol):
    """HTTP whose headers must come in time: a connection that says nothing is closed."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Starts the clock."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stops the clock when a request has begun; starts it if one has half begun."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    def _watch(self) -> None:
        waiting = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if waiting and self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)
        elif not waiting and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
