"""The line between the processes of one run: how they meet, and how each learns that one is gone.

Process 0 listens at the coordinator's address, the others connect to it and keep the connection.
JAX's own start-up and failure handling are not enough: in jax 0.10 a coordinator that cannot be
reached, a process that never comes and a peer that stops all end in an abort of the C++ runtime,
after a stack trace, with no word on who is missing. Here a process that dies closes its connection,
which the kernel reports at once; one that hangs, or a machine that is lost, falls silent; and one
that fails says why before it goes. What is sent is JSON, one bounded message a line; like JAX's own
ports, this one trusts the network it is in.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from codeprm_jax.files import InputError, RunError, listed

logger = logging.getLogger(__name__)

MESSAGE_BYTES = 65536
BEAT_S = 5.0  # between two signs of life, or a fifth of the time after which silence is a loss
GRACE_S = 1.0  # for the main thread to report an error of its own, before the watch ends it
LEAVE_S = 10.0  # for a process that is on its way out
RESUME = "Run the same command again on all hosts to go on from the last checkpoint"


class LostPeerError(RunError):
    """Another process of the run is gone or has failed; the message names it."""


class _Link:
    """One connection, with what has been read of the next message."""

    def __init__(self, connection: socket.socket, process: int = -1, host: str = "") -> None:
        connection.settimeout(1.0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.process, self.host = connection, process, host
        self.done = self.lost = self.closed = False
        self.heard = time.monotonic()
        self._buffer, self._sending = b"", threading.Lock()

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends, unless the other end is gone: that is noticed where its end is read."""
        with self._sending, contextlib.suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have come. Raises ConnectionError at the end or on what is none."""
        try:
            received = self.socket.recv(MESSAGE_BYTES)
        except TimeoutError:
            return []
        except OSError as error:
            raise ConnectionError(str(error)) from error
        if not received:
            raise ConnectionError("closed")
        self.heard = time.monotonic()
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        if len(self._buffer) > MESSAGE_BYTES:
            raise ConnectionError("a message without an end")
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError:
            raise ConnectionError("what answers there is none of our processes") from None
        if not all(isinstance(m, dict) and isinstance(m.get("kind"), str) for m in messages):
            raise ConnectionError("what answers there is none of our processes")
        return messages

    def close(self) -> None:
        """Closes the connection."""
        self.closed = True
        self.socket.close()


class Peers:
    """The other processes of this run, watched by a thread until `close`.

    Made by `wait_for_all` in process 0 and by `join` in the others.

    Attributes:
      service_port: port of JAX's own coordination service, on the coordinator's host.
      loss: what to say about the first process that is gone or has failed.
      program: begins that line.
    """

    def __init__(self, process: int, links: list[_Link], service_port: int, silence: float) -> None:
        self.process, self.service_port = process, service_port
        self.loss: str | None = None
        self.program = "codeprm"
        self._links, self._silence = links, silence
        self._lost, self._leaving, self._closing = (threading.Event() for _ in range(3))
        self._exit_code = 1
        self._told: dict[str, Any] = {}
        self._news = threading.Condition()
        self._speaking, self._said = threading.Lock(), False
        self._thread = threading.Thread(target=self._watch, name="peers", daemon=True)
        self._thread.start()

    def wait_for_loss(self, seconds: float) -> str | None:
        """`loss`, once there is one; None after so many seconds without."""
        self._lost.wait(seconds)
        return self.loss

    def tell(self, name: str, value: Any) -> None:
        """In process 0: what the others hear under this name. `value` is plain JSON, and small."""
        self._send({"kind": "told", "name": name, "value": value})

    def hear(self, name: str, seconds: float) -> Any:
        """In the others: what process 0 tells. Raises RunError after so many seconds without."""
        with self._news:
            if self._news.wait_for(lambda: name in self._told, seconds):
                return self._told[name]
        raise RunError(
            f"process {self.process} waited {seconds:.0f} s for process 0 to say its {name}: is "
            "process 0 at another point of the command?"
        )

    def fail(self, reason: str, exit_code: int) -> None:
        """Tells the others that this process fails; it must then end, and does within LEAVE_S."""
        self._exit_code = exit_code
        self._said = True  # whoever raised the error reports it
        self._leaving.set()
        if self.loss is None:
            text = f"process {self.process} on {socket.gethostname()} failed: {reason}"
            self._send({"kind": "failed", "text": text[:2000]})

    def done(self) -> None:
        """Tells the others that this process has nothing more to do: its end is no loss."""
        self._send({"kind": "done"})

    def close(self) -> None:
        """Ends the watch, after `done` and a barrier."""
        self._closing.set()
        self._thread.join(5.0)
        for link in self._links:
            link.close()

    def leave(self) -> None:
        """Ends a process that has failed, past any barrier that would wait for the others."""
        self._flush()
        if self.process == 0:  # JAX's service ends with this process: let the others go first
            deadline = time.monotonic() + GRACE_S + 3.0
            while time.monotonic() < deadline and not all(
                link.closed or link.lost for link in self._links
            ):
                time.sleep(0.05)
        os._exit(self._exit_code)

    def runtime_aborted(self) -> None:
        """Says who is lost, if that is known, and ends the process in place of an abort."""
        if self._leaving.is_set():
            time.sleep(GRACE_S)
        else:
            unknown = "JAX's runtime has given this run up, for the reason above"
            self._say(self.wait_for_loss(GRACE_S) or f"{unknown}. {RESUME}")
        os._exit(self._exit_code)

    def _watch(self) -> None:
        """Signs of life in both directions, until the run is over or somebody is lost."""
        next_beat, beat, leaving_since, lost_since = 0.0, min(BEAT_S, self._silence / 5), 0.0, 0.0
        with selectors.DefaultSelector() as selector:
            for link in self._links:
                selector.register(link.socket, selectors.EVENT_READ, link)
            while not self._closing.wait(0.0 if selector.get_map() else 0.2):
                now = time.monotonic()
                if now >= next_beat:
                    self._send({"kind": "alive"})
                    next_beat = now + beat
                self._read(selector, min(beat, 0.2))
                if self._leaving.is_set():
                    leaving_since = leaving_since or now
                    if now - leaving_since > LEAVE_S:  # it hangs in a thread that waits for others
                        self._flush()
                        os._exit(self._exit_code)
                elif self.loss is not None:
                    lost_since = lost_since or now
                    if now - lost_since > GRACE_S:
                        self._leaving.set()
                        threading.Thread(target=self._give_up, name="give-up", daemon=True).start()

    def _read(self, selector: selectors.BaseSelector, seconds: float) -> None:
        """Takes what has come, and notes who is gone and who has been silent for too long."""
        ready = [key.data for key, _ in selector.select(seconds)]
        for link in ready:
            try:
                for message in link.receive():
                    self._take(link, message)
            except ConnectionError:
                selector.unregister(link.socket)
                link.close()
                if not link.done:
                    self._lose(link, f"{link} is gone (killed, or out of memory?)", resume=True)
        now = time.monotonic()
        for link in self._links:
            watched = not (link in ready or link.done or link.closed)
            if watched and now - link.heard > self._silence:
                self._lose(
                    link,
                    f"{link} has not been heard of for {self._silence:.0f} s (hung, stopped, or "
                    "its network is down?)",
                    resume=True,
                )

    def _take(self, link: _Link, message: Mapping[str, Any]) -> None:
        if message["kind"] == "done":
            link.done = True
        elif message["kind"] == "told":
            with self._news:
                self._told[str(message.get("name"))] = message.get("value")
                self._news.notify_all()
        elif message["kind"] == "failed":
            link.done = True  # it has said all that there is to say
            self._lose(link, str(message.get("text")), resume=bool(message.get("resume")))

    def _lose(self, lost: _Link, text: str, resume: bool) -> None:
        lost.lost = True
        if self.loss is None and not self._leaving.is_set():
            self.loss = f"{text}; this process stops too{f'. {RESUME}' if resume else ''}"
            # Process 0 has the connections to all others.
            self._send({"kind": "failed", "text": text, "resume": resume}, but=lost)
            self._lost.set()

    def _give_up(self) -> None:
        self._say(self.loss or "")
        self.leave()

    def _say(self, text: str) -> None:
        """One line, once, past whatever lock the main thread holds."""
        with self._speaking:
            if not self._said:
                os.write(2, f"\n{self.program}: {text}\n".encode())
            self._said = True

    def _send(self, message: Mapping[str, Any], but: _Link | None = None) -> None:
        for link in self._links:
            if link is not but and not link.closed:
                link.send(message)

    @staticmethod
    def _flush() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def wait_for_all(
    port: int, num_processes: int, timeout: float, silence: float, versions: str
) -> Peers:
    """In process 0: listens at `port` until all others have come.

    Args:
      timeout: seconds in which they must.
      silence: seconds without a sign of life after which a process counts as lost.
      versions: must be the same in all processes.

    Raises:
      RunError: the port is taken, or a process has not come; names it.
      InputError: two processes have one id, or were started with different settings.
    """
    try:
        listener = _listen(port)
    except OSError as error:
        raise RunError(
            f"process 0 cannot listen at port {port} ({os.strerror(error.errno or 0)}): does "
            "another run use it? Choose another port for the coordinator's address"
        ) from error
    present: dict[int, _Link] = {}
    deadline = time.monotonic() + timeout
    try:
        with listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while len(present) < num_processes - 1:
                if time.monotonic() > deadline:
                    missing = sorted(set(range(1, num_processes)) - present.keys())
                    raise RunError(
                        f"of {num_processes} processes, {listed([str(m) for m in missing])} did "
                        f"not come to port {port} of {socket.gethostname()} within {timeout:.0f} "
                        "s: see whether they were started, with this coordinator's address, and "
                        "whether the port is open to them"
                    )
                for key, _ in selector.select(0.2):
                    if key.fileobj is listener:
                        link = _Link(listener.accept()[0])
                        selector.register(link.socket, selectors.EVENT_READ, link)
                        continue
                    link = key.data
                    try:
                        for message in link.receive():
                            _welcome(link, message, present, num_processes, versions)
                    except ConnectionError:  # a stranger, or one that will come again
                        selector.unregister(link.socket)
                        if present.get(link.process) is link:
                            del present[link.process]
                        link.close()
        service_port = _free_port()
        for link in present.values():
            go = {"kind": "go", "service_port": service_port, "host": socket.gethostname()}
            link.send(go)
            link.heard = time.monotonic()
    except (InputError, RunError) as error:
        for link in present.values():
            wrong = isinstance(error, InputError)
            link.send({"kind": "failed", "text": str(error), "wrong": wrong})
        raise
    return Peers(0, list(present.values()), service_port, silence)


def _welcome(
    link: _Link,
    message: Mapping[str, Any],
    present: dict[int, _Link],
    num_processes: int,
    versions: str,
) -> None:
    if message["kind"] != "hello" or not isinstance(message.get("process"), int):
        raise ConnectionError("no greeting")
    other = present.get(message["process"])
    link.process, link.host = message["process"], str(message.get("host"))
    if message.get("num_processes") != num_processes:
        wrong = (
            f"{link} was started as one of {message.get('num_processes')} processes, process 0 as "
            f"one of {num_processes}"
        )
    elif message.get("versions") != versions:
        wrong = f"{link} runs {message.get('versions')}, process 0 {versions}: install the same"
    elif not 0 < link.process < num_processes or other is not None:
        where = other.host if other is not None else socket.gethostname()
        wrong = f"two processes are process {link.process}: one on {where}, one on {link.host}"
    else:
        present[link.process] = link
        return
    link.send({"kind": "failed", "text": wrong, "wrong": True})
    raise InputError(wrong)


def join(
    host: str,
    port: int,
    process: int,
    num_processes: int,
    timeout: float,
    silence: float,
    versions: str,
) -> Peers:
    """In the other processes: connects to process 0 and waits until all have come.

    Raises:
      RunError: process 0 cannot be reached in `timeout` seconds, or another has not come.
      InputError: process 0 has other settings.
    """
    deadline, problem, link = time.monotonic() + timeout, "", None
    hello = {
        "kind": "hello",
        "process": process,
        "num_processes": num_processes,
        "host": socket.gethostname(),
        "versions": versions,
    }
    while time.monotonic() < deadline:
        try:
            if link is None:
                link = _Link(socket.create_connection((host, port), timeout=5.0), 0, host)
                link.send(hello)
                deadline = max(deadline, time.monotonic() + timeout) + 5.0  # it says who is missing
                problem = "it answers, but not all processes have come"
            for message in link.receive():
                if message["kind"] == "failed":
                    error = InputError if message.get("wrong") else RunError
                    raise error(str(message.get("text")))
                if message["kind"] == "go":
                    link.host = str(message.get("host"))
                    return Peers(process, [link], int(message["service_port"]), silence)
        except OSError as error:  # not there yet, or begun anew
            problem = str(error)
            if link is not None:
                link.close()
                link = None
            time.sleep(0.5)
    raise RunError(
        f"process {process} waited {timeout:.0f} s for process 0 at {host}:{port} ({problem}): see "
        "whether process 0 was started there, whether the address is right, and whether the port "
        "is open between the hosts"
    )


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True
        )
    return socket.create_server(("", port), backlog=1024)


def _free_port() -> int:
    with _listen(0) as probe:
        return probe.getsockname()[1]
