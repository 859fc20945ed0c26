"""Where bodies are read: small ones in a thread, others in a process. The event loop moves bytes.

A thread that parses or checks holds Python's lock, and whoever else wants to run waits: it reads
only what takes it a few milliseconds. All else is read by a process of its own, one body at a time,
which is ended when nobody waits for its answer any more, when it takes too long, or when it has
grown; a new one then takes its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO

import tokenizers

from codeprm_jax.data.layout import Layout, LayoutConfig
from codeprm_jax.data.tokenizer import Tokenizer
from codeprm_jax.scoring.serving.reading import Reading, RequestReader, encode_refusal
from codeprm_jax.scoring.serving.wire import RequestError, count_separators

logger = logging.getLogger(__name__)

SMALL_BODY = 131_072  # bytes
SMALL_SEPARATORS = 4_096  # commas, brackets and braces
READ_SECONDS = 20  # for a body, in the process
MAX_GROWTH = 67_108_864  # bytes that the process may grow by before another takes its place

_LENGTH = struct.Struct("<Q")
_MORE, _LAST = b"+", b"."  # before a reply: whether the process reads another body


class BodyReaders:
    """Reads bodies in a thread or a process, and each client's in their order.

    Args:
      reader: reads in this process; another is made like it.
    """

    def __init__(self, reader: RequestReader) -> None:
        self._reader = reader
        self._small, self._large = (
            ThreadPoolExecutor(1, f"{n} bodies") for n in ("small", "large")
        )
        self._process = _ReaderProcess(reader)
        self._orders: dict[str, _Order] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Starts the process, which otherwise waits for the first body; does not wait for it."""
        self._large.submit(self._process.start)

    async def read(self, path: str, body: bytes, client: str) -> Reading:
        """What a request wants. Work that is cancelled stops. Raises RequestError."""
        async with self._turn(client):
            loop = asyncio.get_running_loop()
            if len(body) <= SMALL_BODY and count_separators(body) <= SMALL_SEPARATORS:
                return await loop.run_in_executor(self._small, self._reader.read, path, body)
            job = _Job(path, body)
            try:
                return await loop.run_in_executor(self._large, self._process.read, job)
            except asyncio.CancelledError:
                self._process.abandon(job)
                raise

    @contextlib.asynccontextmanager
    async def _turn(self, client: str) -> AsyncIterator[None]:
        """One body at a time of each client is read or waits to be: clients take turns."""
        order = self._orders.setdefault(client, _Order())
        order.users += 1
        self._idle.clear()
        try:
            async with order.lock:
                yield
        finally:
            order.users -= 1
            if not order.users:
                del self._orders[client]
            if not self._orders:
                self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Returns when every body has been read, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    def close(self) -> None:
        """Ends the process and what it reads."""
        self._process.close()
        self._small.shutdown(wait=False, cancel_futures=True)
        self._large.shutdown(wait=False, cancel_futures=True)


@dataclass
class _Order:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


@dataclass(eq=False)
class _Job:
    path: str
    body: bytes
    abandoned: bool = False


class _ReaderProcess:
    """A process that reads one body at a time, started by the first. One thread uses it.

    It is ended from any thread.
    """

    def __init__(self, reader: RequestReader) -> None:
        layout = reader.layout
        setup = {
            "layout": layout.config.to_json(),
            "tokenizer": layout.tokenizer.backend.to_str(),
            "view": reader.view,
            "names": reader.names,
        }
        self._setup = json.dumps(setup).encode()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of what follows
        self._job: _Job | None = None
        self._closed = False

    def start(self) -> None:
        """Starts it, if it does not run."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._end()
        # What it logs goes where this process logs; it ends with its input.
        process = subprocess.Popen(
            [sys.executable, "-m", "codeprm_jax.scoring.serving.body_readers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
        )
        with self._lock:
            self._process = process
            if self._closed:
                process.kill()
        with contextlib.suppress(BrokenPipeError):  # the next body finds out
            _send(process.stdin, self._setup)

    def read(self, job: _Job) -> Reading:
        """What a request wants. Raises RequestError."""
        if job.abandoned:
            raise RequestError(503, "not_ready", "the client is gone")
        self.start()
        assert self._process is not None
        with self._lock:
            self._job = job
            if job.abandoned:
                self._process.kill()
        try:
            _send(self._process.stdin, job.path.encode() + b"\n", job.body)
            reply = _receive(self._process.stdout)
        except (BrokenPipeError, EOFError):
            self._end()
            text = f"the body took more than {READ_SECONDS} s to read, or too much memory"
            raise RequestError(413, "too_large", f"{text}; send fewer traces at once") from None
        finally:
            with self._lock:
                self._job = None
        if reply.startswith(_LAST):
            self._end()
            self.start()
        return Reading.decode(reply[1:])

    def abandon(self, job: _Job) -> None:
        """Nobody waits for this job any more."""
        with self._lock:
            job.abandoned = True
            if self._job is job and self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Ends it for good."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _end(self) -> None:
        process = self._process
        assert process is not None
        process.kill()
        with self._lock:
            self._process = None
        with contextlib.suppress(BrokenPipeError):
            process.communicate()


def _send(stream: IO[bytes] | None, *parts: bytes) -> None:
    assert stream is not None
    stream.write(_LENGTH.pack(sum(map(len, parts))))
    for part in parts:
        stream.write(part)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> bytes:
    """Raises EOFError where the other end has gone."""
    assert stream is not None
    head = stream.read(_LENGTH.size)
    if len(head) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        data = stream.read(length)
        if len(data) == length:
            return data
    raise EOFError("the other process has ended")


def _resident() -> int:
    """Bytes that this process had at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _read_for_another_process() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # while the server drains, it reads
        signal.signal(number, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # so that nothing else is written among them
    try:
        setup = json.loads(_receive(sys.stdin.buffer))
        tokenizer = Tokenizer(tokenizers.Tokenizer.from_str(setup["tokenizer"]))
        layout = Layout(LayoutConfig.from_json(setup["layout"]), tokenizer)
        reader = RequestReader(layout, setup["view"], setup["names"])
        limit = _resident() + MAX_GROWTH
        while True:
            request = _receive(sys.stdin.buffer)
            signal.alarm(READ_SECONDS)  # ends this process, whatever it is doing
            reply = _reply(reader, request)
            signal.alarm(0)
            _send(replies, _LAST if _resident() > limit else _MORE, reply)
    except (EOFError, BrokenPipeError):
        return


def _reply(reader: RequestReader, request: bytes) -> bytes:
    at = request.index(b"\n")
    path = request[:at].decode()
    try:
        return reader.read(path, request[at + 1 :]).encode()
    except RequestError as error:
        return encode_refusal(error)
    except Exception as error:
        logger.exception("POST %s failed", path)
        text = f"{type(error).__name__}; the server's log says more"
        return encode_refusal(RequestError(500, "internal", text))


if __name__ == "__main__":
    _read_for_another_process()
