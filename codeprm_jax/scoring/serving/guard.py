"""What every request passes before it reaches a handler, and how errors look.

The guard checks the token, counts requests, reads the body within its limits of size and time,
bounds the time of an answer, and cancels the work for a client that has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeprm_jax.scoring.serving.service import MAX_BODY_MEMORY, MAX_REQUESTS, Service

logger = logging.getLogger(__name__)

OPEN_PATHS = {"/health", "/ready"}
DISCARDED_BODIES = 16  # times the limit: a body too large is read so far, to be answered politely


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


class _Body:
    """The body of a request, as far as it has come."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self.data = bytearray()
        self.held = 0  # bytes for which it is counted
        self.timeout = timeout
        self.crowded = False  # its memory went to others


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service, self.config = app, service, service.config
        self.requests: Counter[str] = Counter()  # in progress, their bodies read, by address
        self.body_bytes = 0  # of all requests
        self.coming: dict[_Body, None] = {}  # bodies that are not complete, the oldest first

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

        body: _Body | None = None
        try:
            headers = dict(scope["headers"])
            self._admit(scope, headers)
            async with asyncio.timeout(self.config.body_seconds) as timeout:
                body = _Body(timeout)
                self.coming[body] = None
                if not await self._read(scope["method"], headers, receive, body):
                    return
            del self.coming[body]
            content, body.data = bytes(body.data), bytearray()
            with self._working(scope):
                await self._answer(scope, content, receive, tracked)
        except TimeoutError:
            answer = busy("too many large requests are in progress", 1)
            if body is None or not body.crowded:
                text = f"the body did not come within {self.config.body_seconds:g} s"
                answer = ErrorAnswer(408, "timeout", text)
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
        except _RefusedError as refused:
            if not started:
                await refused.answer(scope, receive, send)
        except Exception as error:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if not started:
                text = f"{type(error).__name__}; the server's log says more"
                await ErrorAnswer(500, "internal", text)(scope, receive, send)
        finally:
            if body is not None:
                self._drop(body)

    def _admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        if b"transfer-encoding" in headers and (
            b"content-length" in headers or scope["http_version"] == "1.0"
        ):
            text = "send either Content-Length or, in HTTP/1.1, Transfer-Encoding, not both"
            raise _RefusedError(ErrorAnswer(400, "framing", text, {"Connection": "close"}))
        if scope["path"] in OPEN_PATHS or self.config.token is None:
            return
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        right = hmac.compare_digest(given.strip(), self.config.token.encode())
        if not right or scheme.lower() != b"bearer":
            text = "a valid bearer token is needed: Authorization: Bearer TOKEN"
            answer = ErrorAnswer(401, "unauthorized", text, {"WWW-Authenticate": "Bearer"})
            raise _RefusedError(answer)

    async def _read(
        self, method: str, headers: Mapping[bytes, bytes], receive: Receive, body: _Body
    ) -> bool:
        """Reads the body; False if the client went away. Raises _RefusedError."""
        limit = self.config.max_body_bytes
        declared = headers.get(b"content-length", b"")
        large = declared.isdigit() and (len(declared) > 18 or int(declared) > limit)
        seen, polite = 0, b"expect" not in headers
        more = not (large and not polite)
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            chunk = message.get("body", b"")
            seen += len(chunk)
            large = large or seen > limit
            if large:
                self._drop(body)
            elif not body.crowded:
                self._take(body, chunk)
            more = message.get("more_body", False) and seen <= DISCARDED_BODIES * limit
        if large:
            text = f"the body is larger than {limit} bytes; send fewer traces at once"
            raise _RefusedError(ErrorAnswer(413, "too_large", text, {"Connection": "close"}))
        if body.crowded:
            raise _RefusedError(busy("too many large requests are in progress", 1))
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if method == "POST" and kind != b"application/json":
            text = "send JSON, with the header Content-Type: application/json"
            raise _RefusedError(ErrorAnswer(415, "media_type", text))
        return True

    def _take(self, body: _Body, chunk: bytes) -> None:
        """Keeps a part of a body. Where there is no room, the body gives way that began first."""
        body.data += chunk
        body.held += len(chunk)
        self.body_bytes += len(chunk)
        while self.body_bytes > MAX_BODY_MEMORY:
            oldest = next(iter(self.coming))
            self._drop(oldest)
            oldest.crowded = True
            if oldest is body:
                break
            oldest.timeout.reschedule(asyncio.get_running_loop().time())

    def _drop(self, body: _Body) -> None:
        self.coming.pop(body, None)
        self.body_bytes -= body.held
        body.held = 0
        body.data = bytearray()

    @contextlib.contextmanager
    def _working(self, scope: Scope) -> Iterator[None]:
        """Counts a request. Above the limit only an address with less than its share may begin one.

        Raises _RefusedError.
        """
        address = scope["client"][0] if scope["client"] else ""
        total = self.requests.total()
        if scope["path"] not in OPEN_PATHS and total >= MAX_REQUESTS:
            share = MAX_REQUESTS / len(self.requests.keys() | {address})
            if self.requests[address] >= share or total >= 2 * MAX_REQUESTS:
                raise _RefusedError(busy(f"{total} requests are in progress", 1))
        self.requests[address] += 1
        try:
            yield
        finally:
            self.requests[address] -= 1
            if not self.requests[address]:
                del self.requests[address]

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
