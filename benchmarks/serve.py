"""The server under load: 64 clients at once, one greedy client, and clients that are killed.

    python benchmarks/serve.py RUN [--clients 64] [--seconds 120]

RUN is a run or model directory. The clients each send one request after another, of one to four
traces; the greedy client sends 128 traces at a time; every two seconds a client closes its
connection with a request under way. The peer is the same server and the same clients with one trace
a batch. Server and clients share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from codeprm_jax.problems.bank import ENTRIES

GREEDY_TRACES = 128
KILL_EVERY_S = 2.0


def some_traces(count: int, rng: random.Random) -> list[dict[str, Any]]:
    traces = []
    for _ in range(count):
        statement = rng.choice(ENTRIES).problem.public.statement
        words = statement.split()
        thoughts = [" ".join(rng.choices(words, k=12)) for _ in range(rng.randint(1, 6))]
        traces.append({"statement": statement, "thoughts": thoughts})
    return traces


class Server:
    """`codeprm serve` in a process of its own."""

    def __init__(self, model: Path, *options: str) -> None:
        command = [sys.executable, "-m", "codeprm_jax.cli", "serve", "--model", str(model)]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"http://[0-9.:]+", self.process.stdout.readline())
        assert found is not None
        self.url = found.group()
        while httpx.get(f"{self.url}/ready").status_code != 200:
            time.sleep(0.5)

    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


async def client(url: str, name: str, seed: int, until: float, sizes: tuple[int, int]) -> Any:
    """Seconds of each request, the traces scored, and what went wrong."""
    rng, seconds, traces, errors = random.Random(seed), [], 0, []
    async with httpx.AsyncClient(timeout=130, headers={"X-Client-Id": name}) as http:
        while time.monotonic() < until:
            sent = some_traces(rng.randint(*sizes), rng)
            began = time.monotonic()
            try:
                answer = await http.post(f"{url}/v1/score", json={"traces": sent})
                results = answer.json().get("results", [])
                if [len(r.get("scores", [])) for r in results] != [
                    len(t["thoughts"]) for t in sent
                ]:
                    errors.append(f"{answer.status_code} {answer.text[:200]}")
            except httpx.HTTPError as error:
                errors.append(repr(error))
            seconds.append(time.monotonic() - began)
            traces += len(sent)
    return seconds, traces, errors


async def killed(url: str, until: float) -> int:
    """Clients that go away with a request half sent, or sent and not answered."""
    rng, count = random.Random(1), 0
    host, port = url.removeprefix("http://").split(":")
    while time.monotonic() < until:
        body = json.dumps({"traces": some_traces(64, rng)}).encode()
        _, writer = await asyncio.open_connection(host, int(port))
        head = "POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        writer.write(body if count % 2 else body[: len(body) // 2])
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.transport.abort()
        count += 1
        await asyncio.sleep(KILL_EVERY_S)
    return count


async def load(url: str, clients: int, seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds
    greedy = asyncio.create_task(client(url, "greedy", 99, until, (GREEDY_TRACES, GREEDY_TRACES)))
    gone = asyncio.create_task(killed(url, until))
    found = await asyncio.gather(
        *(client(url, f"client {n}", n, until, (1, 4)) for n in range(clients))
    )
    greedy_seconds, greedy_traces, greedy_errors = await greedy
    medians = [statistics.median(s) for s, _, _ in found]
    p99 = [float(np.quantile(s, 0.99)) for s, _, _ in found]
    errors = [e for _, _, es in found for e in es] + greedy_errors
    return {
        "requests": sum(len(s) for s, _, _ in found),
        "errors": len(errors),
        "first_errors": errors[:3],
        "traces_per_second": round((sum(t for _, t, _ in found) + greedy_traces) / seconds, 1),
        "p50_ms": round(1000 * statistics.median(medians), 1),
        "p99_ms": round(1000 * statistics.median(p99), 1),
        "worst_client_p99_ms": round(1000 * max(p99), 1),
        "fairness": round(max(medians) / min(medians), 3),
        "greedy_requests": len(greedy_seconds),
        "greedy_p50_ms": round(1000 * statistics.median(greedy_seconds), 1),
        "killed_clients": await gone,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    line: dict[str, Any] = {"benchmark": "serve", "clients": arguments.clients}
    server = Server(arguments.model)
    asyncio.run(load(server.url, arguments.clients, min(5, arguments.seconds)))  # warms up
    line["rss_mib_at_start"] = server.rss_mib()
    line |= asyncio.run(load(server.url, arguments.clients, arguments.seconds))
    line["rss_mib_at_end"] = server.rss_mib()
    metrics = httpx.get(f"{server.url}/metrics").text
    for name in ("batcher_batches", "batcher_traces", "batcher_abandoned_traces"):
        value = re.search(rf"^codeprm_{name}_total (\S+)", metrics, re.MULTILINE)
        line[name] = int(float(value.group(1))) if value else None
    line["exit_code"] = server.stop()
    peer = Server(arguments.model, "--max-batch-tokens", "1")
    found = asyncio.run(load(peer.url, arguments.clients, min(30, arguments.seconds)))
    peer.stop()
    line["peer"] = "one trace a batch"
    line["peer_traces_per_second"] = found["traces_per_second"]
    line["peer_p50_ms"] = found["p50_ms"]
    line["ratio"] = round(line["traces_per_second"] / found["traces_per_second"], 2)
    print(json.dumps(line))
    sys.exit(bool(line["errors"] or line["exit_code"]))


if __name__ == "__main__":
    main()
