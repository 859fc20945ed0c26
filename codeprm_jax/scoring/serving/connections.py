"""Connections of the HTTP server: punctual, in a bounded number, and each for a short time.

The event loop looks at what connections send for a few milliseconds at once, and at the requests
for /health and /ready first, so that those are answered whatever else comes in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 1024
HEADER_SECONDS = 10.0  # for the request line and the headers
READ_BYTES = 16_384  # of a connection, looked at together; the most that headers may have
FREE_PIECES = 64  # in which a body may come, and
PIECE_BYTES = 64  # one more for each so many bytes
TURN_SECONDS = 0.005  # for looking at what has come, before others run
_URGENT = (b"GET /health ", b"GET /ready ")


class _Connection(h11.Connection):
    """One whose bodies come in pieces of some size: each costs the event loop its time."""

    _pieces = _bytes = 0

    def next_event(self) -> Any:
        """As in h11. Raises h11.RemoteProtocolError."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > FREE_PIECES + self._bytes // PIECE_BYTES:
                raise h11.RemoteProtocolError("the body comes in too many small chunks")
        return event


class Connections:
    """The connections of a server, at most `limit`: one too many, and another is closed for it.

    That is the one, of the address that has most connections, which has waited longest.
    """

    def __init__(self, limit: int = MAX_CONNECTIONS) -> None:
        self.limit, self.count = limit, 0
        # By address; those first that have waited longest, or would have.
        self._addresses: dict[str, dict[PunctualProtocol, None]] = {}

    def add(self, connection: PunctualProtocol) -> None:
        """A new one, or one that begins to wait again."""
        self.remove(connection)
        self._addresses.setdefault(connection.address, {})[connection] = None
        self.count += 1
        if self.count > self.limit:
            most = max(self._addresses.values(), key=len)
            oldest = next((c for c in most if c.waits), connection)
            self.remove(oldest)
            oldest.transport.abort()

    def remove(self, connection: PunctualProtocol) -> None:
        """One that has ended."""
        found = self._addresses.get(connection.address, {})
        if connection in found:
            del found[connection]
            self.count -= 1
            if not found:
                del self._addresses[connection.address]


class Turns:
    """Looks at what has come until a turn is over; at the rest, in order, when others have run."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[PunctualProtocol, bytes]] = deque()
        self._end: float | None = None  # of this turn

    def take(self, connection: PunctualProtocol, data: bytes) -> bool:
        """Looks at what a connection has sent; False if that has to wait."""
        loop = connection.loop
        if self._end is None:
            self._end = loop.time() + TURN_SECONDS
            loop.call_soon(self._next, loop)
        if self._waiting or loop.time() > self._end:
            self._waiting.append((connection, data))
            return False
        connection.look_at(data)
        return True

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        end = self._end = loop.time() + TURN_SECONDS
        while self._waiting and loop.time() <= end:
            connection, data = self._waiting.popleft()
            connection.late(data)
        if self._waiting:
            loop.call_soon(self._next, loop)
        else:
            self._end = None


class PunctualProtocol(H11Protocol):
    """HTTP whose headers must come in time, and which makes room for others while it waits."""

    _deadline: asyncio.TimerHandle | None = None
    _late = 0  # pieces of what it sent, not looked at yet

    def __init__(self, room: Connections, turns: Turns, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Connection(h11.SERVER, READ_BYTES)
        self.room, self.turns = room, turns

    @property
    def address(self) -> str:
        """Of the client."""
        return self.client[0] if self.client else ""

    @property
    def waits(self) -> bool:
        """Whether its request has not come, or its answer is not fetched."""
        cycle = self.cycle
        idle = cycle is None or cycle.response_complete or cycle.more_body
        return idle or self.flow.write_paused

    def connection_made(self, transport: Any) -> None:
        """Starts the clock."""
        super().connection_made(transport)
        self.room.add(self)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Has it looked at, in its turn; until then no more is read."""
        self._unset_keepalive_if_required()
        if not self._late and data.startswith(_URGENT) and len(data) <= READ_BYTES:
            self.look_at(data)
            return
        for begin in range(0, len(data), READ_BYTES):
            if not self.turns.take(self, data[begin : begin + READ_BYTES]):
                self._late += 1
        if self._late and not self.transport.is_closing():
            self.transport.pause_reading()

    def late(self, data: bytes) -> None:
        """Looks at what had to wait, and reads on if that was all."""
        self._late -= 1
        self.look_at(data)
        if not self._late and not self.flow.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def look_at(self, data: bytes) -> None:
        """Stops the clock when a request has begun; starts it if one has half begun."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        """It waits again."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self.room.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        super().connection_lost(exc)
        self.room.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def _watch(self) -> None:
        waiting = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if waiting and self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)
        elif not waiting and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
