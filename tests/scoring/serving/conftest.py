"""The server in this process, shared by the tests of serving."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from codeprm_jax.commands.serve import listen, uvicorn_config
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.serving.app import create_app
from codeprm_jax.scoring.serving.service import ServerConfig, Service


class LiveServer:
    """The server in a thread, at a real socket."""

    def __init__(self, scorer: StepScorer, config: ServerConfig) -> None:
        self.app = create_app(lambda: scorer, config)
        self.listener = listen("127.0.0.1", 0)
        self.address = self.listener.getsockname()
        self.url = "http://{}:{}".format(*self.address)
        self.service: Service = self.app.state.service
        self.server = uvicorn.Server(uvicorn_config(self.app, config))
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))

    def __enter__(self) -> LiveServer:
        self.thread.start()
        deadline = time.monotonic() + 30
        while self.service.phase != "ready":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture(scope="session")
def live(scorer: StepScorer) -> Iterator[LiveServer]:
    """Small limits, so that what exceeds them is soon sent."""
    config = ServerConfig(name="tiny", warm_up=False, max_body_bytes=2**20, body_seconds=1.0)
    with LiveServer(scorer, config) as running:
        yield running
