"""`codeprm serve`: step scores over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import ipaddress
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import tyro
import uvicorn
from fastapi import FastAPI

from codeprm_jax.commands.engine_options import EngineOptions
from codeprm_jax.commands.output import say
from codeprm_jax.data.layout import View
from codeprm_jax.files import InputError
from codeprm_jax.scoring.aggregate import Aggregate
from codeprm_jax.scoring.serving.app import create_app
from codeprm_jax.scoring.serving.connections import (
    MAX_CONNECTIONS,
    READ_BYTES,
    Connections,
    PunctualProtocol,
    Turns,
)
from codeprm_jax.scoring.serving.service import ServerConfig, Service
from codeprm_jax.scoring.serving.wire import TOKEN_VARIABLE

logger = logging.getLogger(__name__)

MIN_TOKEN = 16  # characters
OWN_DESCRIPTORS = 256  # of files and pipes, beside those of connections


def main(
    model: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str | None = None,
    view: View | None = None,
    aggregate: Aggregate = "min",
    token_file: Path | None = None,
    warm_up: bool = True,
    max_batch_tokens: int = 8192,
    max_queue_tokens: int = 262_144,
    max_wait_ms: float = 5.0,
    max_body_mib: int = 8,
    request_seconds: float = 120.0,
    drain_seconds: float = 30.0,
    log_level: Literal["info", "warning", "error"] = "warning",
    engine: Annotated[EngineOptions, tyro.conf.arg(name="")] = EngineOptions(),  # noqa: B008
) -> int:
    """Serves /v1/score, /pooling (vLLM) and /get_reward (OpenRLHF) until SIGTERM or Ctrl-C.

    Prints the address it listens at; port 0 takes a free one. /ready answers 200 once the model is
    loaded. A bearer token is read from --token-file or the variable CODEPRM_SERVER_TOKEN.

    Args:
      model: run or model directory; RUN@best or RUN@300 for another checkpoint than the newest.
      host: address to bind; anything but a loopback address lets others in.
      port: 0 to 65535.
      name: of the model in vLLM's form; default its folder's.
      view: what the model reads unless a request says otherwise; default the fullest.
      aggregate: of the step scores, the reward in /get_reward.
      token_file: holds the bearer token, of 16 characters or more, on one line.
      warm_up: compile every program before the first request.
      max_batch_tokens: of the traces handed to the scorer together.
      max_queue_tokens: waiting, above which requests are answered with 503.
      max_wait_ms: for others to join a batch that is not full.
      max_body_mib: of a request.
      request_seconds: in which a request must be answered.
      drain_seconds: for what is queued when the server is stopped.
      log_level: of the HTTP server; info logs every request.
      engine: how the model is computed.
    """
    token = read_token(token_file)
    config = ServerConfig(
        name=name or model.resolve().name,
        aggregate=aggregate,
        token=token,
        warm_up=warm_up,
        max_batch_tokens=max_batch_tokens,
        max_queue_tokens=max_queue_tokens,
        max_wait_seconds=max_wait_ms / 1000,
        max_body_bytes=max_body_mib * 2**20,
        request_seconds=request_seconds,
        drain_seconds=drain_seconds,
    )
    listener = listen(host, port)
    if token is None and not _is_loopback(listener):
        logger.warning(
            "listening at %s without a token: whoever reaches this address can use the model and "
            "read its metrics; set %s or --token-file",
            host,
            TOKEN_VARIABLE,
        )
    app = create_app(lambda: engine.load(model, view=view), config)
    service: Service = app.state.service
    server = _Server(uvicorn_config(app, config, log_level, _connection_limit()), service)
    if log_level == "info":
        logging.getLogger("uvicorn").setLevel(logging.INFO)
    say(f"listening at {_address(listener)}; see /docs")
    server.run(sockets=[listener])
    return _end(service)


def uvicorn_config(
    app: FastAPI,
    config: ServerConfig,
    log_level: str = "warning",
    connections: int = MAX_CONNECTIONS,
) -> uvicorn.Config:
    """How the HTTP server runs the application."""
    protocol: Any = functools.partial(PunctualProtocol, Connections(connections), Turns())
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=log_level,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(config.drain_seconds) + 5,
        h11_max_incomplete_event_size=READ_BYTES,
    )


class _Server(uvicorn.Server):
    """Ends well: a signal drains it, a second one ends it, and neither is raised again."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        service.on_failure, service.on_ready = self._stop, self._settle

    def _stop(self) -> None:
        self.should_exit = True

    def _settle(self) -> None:
        """Spares the garbage collector what stays; to look at it all takes 0.3 s."""
        gc.collect()
        gc.freeze()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles SIGTERM and SIGINT while the server runs."""
        before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening and, at the same time, answers what is queued."""
        draining = asyncio.create_task(self.service.close())
        await super().shutdown(sockets)
        if self.force_exit:
            self.service.stuck = True
            draining.cancel()
        else:
            await draining


def read_token(file: Path | None) -> str | None:
    """The bearer token from a file or the environment. Raises InputError on one that is no good."""
    where = TOKEN_VARIABLE if file is None else str(file)
    try:
        text = os.environ.get(TOKEN_VARIABLE) if file is None else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"token file {file} cannot be read: {error}") from error
    if text is None:
        return None
    token = text.strip()
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"{where} must hold one token of {MIN_TOKEN} or more printable ASCII characters "
            "without spaces, such as `openssl rand -hex 32` writes"
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises InputError if it cannot."""
    if not 0 <= port <= 65535:
        raise InputError(f"port {port} is none: choose one from 0 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"cannot listen at {host}:{port} ({getattr(error, 'strerror', None) or error}); choose "
            "another --port or --host"
        ) from error


def _connection_limit() -> int:
    """Connections for which there are descriptors, MAX_CONNECTIONS where the system lets us."""
    wanted = MAX_CONNECTIONS + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        logger.warning(
            "this process may open %d files only (ulimit -n), so that it serves fewer "
            "than %d connections at once",
            soft,
            MAX_CONNECTIONS,
        )
    return max(1, min(MAX_CONNECTIONS, soft - OWN_DESCRIPTORS))


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _end(service: Service) -> int:
    """The exit code; raises what kept the model from loading."""
    if service.error is not None:
        raise service.error
    if service.stuck:  # Python would wait for the thread
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    return 0
