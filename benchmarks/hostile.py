"""`codeprm serve` under requests that are meant to stall it: how long does anybody else wait?

    python benchmarks/hostile.py RUN [--only NAME ...] [--code DIR]

Each attack runs in a process of its own. Meanwhile one thread asks for /health and another scores
one trace, each over a new connection every time. One line an attack: the longest wait of both, what
the attack was answered, and the resident memory of server and reader before and after. --code names
another checkout, whose server is attacked.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from serve import Server

TRACE = b'{"traces":[{"statement":"Add two numbers.","thoughts":["Read both.","Print."]}]}'
SETTLE_S = 3.0  # after an attack, before memory is read
HERE = Path(__file__).resolve()
Post = tuple[str, bytes]


def joined(items: Iterator[str] | list[str]) -> bytes:
    return ",".join(items).encode()


def traces(count: int, statement: str = "s", thoughts: str = '"t"') -> bytes:
    one = f'{{"statement":"{statement}","thoughts":[{thoughts}]}}'
    return b'{"traces":[' + joined([one] * count) + b"]}"


def texts(path: str, text: str, count: int) -> Post:
    if path == "/pooling":
        return path, json.dumps({"input": [text] * count}).encode()
    return path, json.dumps({"query": [text] * count, "prompts": ["a"] * count}).encode()


# What the review found, then what is like it. The same request is sent so many times at once.
POSTS: dict[str, tuple[int, Callable[[], Post]]] = {
    "100,001 names, the last twice": (
        6,
        lambda: (
            "/v1/score",
            b"{" + joined(f'"{n:05}":0' for n in range(100_000)) + b',"99999":0}',
        ),
    ),
    "1,024 x 1,024 numbers for thoughts": (
        1,
        lambda: ("/v1/score", traces(1024, thoughts=",".join("1" * 1024))),
    ),
    "31 queries of 65,535 endings": (1, lambda: texts("/get_reward", "a" + "</s>" * 65_535, 31)),
    "400,000 unknown names": (
        1,
        lambda: (
            "/v1/score",
            b'{"traces":[],' + joined(f'"{n}":0' for n in range(400_000)) + b"}",
        ),
    ),
    "7.9 MB of text to /pooling": (4, lambda: texts("/pooling", "word " * 51_000, 31)),
    "7.9 MB of step tags to /pooling": (4, lambda: texts("/pooling", "<|step|>" * 1000, 990)),
    "2 million numbers to /pooling": (
        4,
        lambda: ("/pooling", b'{"input":[' + joined(["1.5"] * 2_000_000) + b"]}"),
    ),
    "500,000 lists to /pooling": (
        4,
        lambda: ("/pooling", b'{"input":[' + joined(["[]"] * 500_000) + b"]}"),
    ),
    "8 MB of escapes": (
        4,
        lambda: ("/v1/score", traces(1, statement="\\u0041" * 1_300_000)),
    ),
    "31 statements of 255,000 digits": (2, lambda: ("/v1/score", traces(31, "1" * 255_000))),
    "32,000 steps": (4, lambda: ("/v1/score", traces(800, thoughts=",".join(['"t"'] * 40)))),
    "wrong items in 64 KiB, 64 times": (
        64,
        lambda: ("/v1/score", traces(100, thoughts=",".join("1" * 39))),
    ),
}
SOCKETS = ("520 slow bodies", "1,500 idle connections", "100 bodies in chunks of a byte")
SOCKETS += ("40 bodies of 7.9 MB that do not end", "100 times 200 kB of headers")


def post(url: str, path: str, body: bytes) -> int:
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=130)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def connections(url: str, name: str, seconds: float) -> None:
    """Opens what the name says and holds it for some seconds."""
    host, port = url.removeprefix("http://").split(":")
    head = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    sent = {
        "520 slow bodies": (520, head + b"Content-Length: 100\r\n\r\n{"),
        "1,500 idle connections": (1500, b"GET /"),
        "100 bodies in chunks of a byte": (
            100,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 40_000,
        ),
        "40 bodies of 7.9 MB that do not end": (
            40,
            head + b"Content-Length: 7900001\r\n\r\n" + b" " * 7_900_000,
        ),
        "100 times 200 kB of headers": (
            100,
            head + b"".join(b"a%d:\r\n" % n for n in range(25_000)) + b"\r\n",
        ),
    }
    count, data = sent[name]
    held = []
    for _ in range(count):
        connection = socket.create_connection((host, int(port)), timeout=5)
        held.append(connection)
        with contextlib.suppress(OSError):
            connection.sendall(data)
    time.sleep(seconds)


def attack(url: str, name: str) -> None:
    """In a process of its own: prepares, waits for a line, and prints what it was answered."""
    statuses: Counter[int] = Counter()
    if name in POSTS:
        times, make = POSTS[name]
        path, body = make()
    print("ready", flush=True)
    sys.stdin.readline()
    if name in POSTS:
        with ThreadPoolExecutor(times) as threads:
            statuses.update(threads.map(lambda _: post(url, path, body), range(times)))
    elif name in SOCKETS:
        connections(url, name, 5.0)
    else:
        time.sleep(3.0)
    print(json.dumps(statuses), flush=True)


class Waits:
    """How long a request takes, asked again and again until the block ends."""

    def __init__(self, ask: Callable[[], int], pause: float) -> None:
        self.ask, self.pause = ask, pause
        self.longest, self.failed = 0.0, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self.over.wait(self.pause):
            began = time.perf_counter()
            self.failed += self.ask() != 200
            self.longest = max(self.longest, time.perf_counter() - began)

    def __enter__(self) -> Waits:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def health(url: str) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=130)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def resident_mib(pid: int) -> float:
    """Of a process and its children."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [pid, *(int(child) for file in children for child in file.read_text().split())]
    pages = sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in pids)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def suffer(server: Server, name: str) -> dict[str, Any]:
    """One attack, and what it did to others."""
    command = [sys.executable, str(HERE), server.url, "--attack", name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    process.stdout.readline()
    before = resident_mib(server.process.pid)
    one = Waits(lambda: health(server.url), 0.005)
    other = Waits(lambda: post(server.url, "/v1/score", TRACE), 0.05)
    with one, other:
        time.sleep(0.3)
        began = time.perf_counter()
        said, _ = process.communicate("\n")
        seconds = time.perf_counter() - began
    time.sleep(SETTLE_S)
    return {
        "attack": name,
        "seconds": round(seconds, 2),
        "answers": json.loads(said),
        "health_ms": round(1000 * one.longest, 1),
        "score_ms": round(1000 * other.longest, 1),
        "failed": one.failed + other.failed,
        "mib_before": before,
        "mib_after": resident_mib(server.process.pid),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--attack")
    parser.add_argument("--code", type=Path)
    arguments = parser.parse_args()
    if arguments.attack:
        attack(arguments.model, arguments.attack)
        return
    model = Path(arguments.model).resolve()
    if arguments.code:  # Python looks for modules in the working directory first
        os.environ["PYTHONPATH"] = str(arguments.code)
        os.chdir(arguments.code)
    server = Server(model)
    try:
        post(server.url, "/v1/score", traces(800))  # the reader has begun
        time.sleep(2)
        for name in arguments.only or ("nothing", *POSTS, *SOCKETS):
            print(json.dumps({"benchmark": "hostile"} | suffer(server, name)), flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
