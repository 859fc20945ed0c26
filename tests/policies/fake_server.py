"""A small model server in a thread: it answers chat completions as a test tells it to."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Reply = Callable[[dict[str, Any]], Awaitable[Response]]


def completion(text: str | None, reason: str = "stop", usage: Any = (7, 11)) -> Response:
    """A chat completion; `usage` is (completion tokens, prompt tokens), or what to send instead."""
    if isinstance(usage, tuple):
        usage = {"completion_tokens": usage[0], "prompt_tokens": usage[1]}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return JSONResponse({"object": "chat.completion", "choices": [choice], "usage": usage})


def error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": message}}, status, headers)


class FakeServer:
    """Serves in a thread until the end of a `with` block.

    Attributes:
      replies: the next answers, in order; when they are used up, `reply` answers.
      bodies, keys: of the requests for completions that arrived.
      busiest: how many were being answered at once, at most.
      abandoned: how many were given up by whoever asked.
    """

    def __init__(self) -> None:
        self.replies: list[Response] = []
        self.reply: Reply = self._hello
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.busiest = self.abandoned = self._busy = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listens on a free port, or on that of last time."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/models", self._models),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],))
        self._thread.start()

    def stop(self) -> None:
        """Closes every connection, whatever is under way."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    async def _complete(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        self.keys.append(request.headers.get("authorization"))
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        try:
            if self.replies:
                return self.replies.pop(0)
            answer = asyncio.ensure_future(self.reply(self.bodies[-1]))
            while not answer.done():
                await asyncio.wait([answer], timeout=0.01)
                if await request.is_disconnected():
                    self.abandoned += 1
                    answer.cancel()
                    return Response(status_code=499)
            return answer.result()
        finally:
            self._busy -= 1

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "small-coder"}, {"id": "other"}]})

    @staticmethod
    async def _hello(body: dict[str, Any]) -> Response:
        return completion("1. Read the numbers.\n2. Add them.\n")
