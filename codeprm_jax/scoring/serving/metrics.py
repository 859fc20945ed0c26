"""The server's metrics, in a registry of their own, in Prometheus' form."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeprm_jax.scoring.batcher import BatcherClosedError
from codeprm_jax.scoring.serving.service import Service

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKENS = (128, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


class ServerMetrics:
    """Counters that handlers feed; what a service knows itself is read when asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "codeprm_requests", "Requests answered", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "codeprm_request_seconds",
            "From the first byte to the last of the answer",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_tokens = Histogram(
            "codeprm_batch_tokens", "Tokens in a batch", buckets=_TOKENS, registry=self.registry
        )
        self.batch_seconds = Histogram(
            "codeprm_batch_seconds", "Time of a batch", buckets=_SECONDS, registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def batch(self, tokens: int, seconds: float) -> None:
        """Counts a batch."""
        self.batch_tokens.observe(tokens)
        self.batch_seconds.observe(seconds)

    def watch(self, service: Service) -> None:
        """Exports what a service counts."""
        self.registry.register(_ServiceCollector(service))


class _ServiceCollector(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        return []  # names depend on the scorer, which is not there yet

    def collect(self) -> Iterator[Metric]:
        ready = float(self._service.phase == "ready")
        yield GaugeMetricFamily("codeprm_ready", "Whether requests are taken", ready)
        try:
            batcher, scorer = self._service.batcher, self._service.scorer
        except BatcherClosedError:
            return
        depths = {"tokens": batcher.queued_tokens, "traces": batcher.queued_traces}
        for unit, value in depths.items():
            yield GaugeMetricFamily(f"codeprm_queue_{unit}", f"Waiting {unit}", value)
        for part, counters in (("batcher", batcher.statistics), ("scorer", scorer.statistics)):
            for field in dataclasses.fields(counters):
                value = getattr(counters, field.name)
                if isinstance(value, int) and not isinstance(value, bool):
                    name = f"codeprm_{part}_{field.name}"
                    yield CounterMetricFamily(name, f"{part}: {field.name}", value)


class Measured:
    """ASGI middleware that counts answers by path and status, and their time."""

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, paths: Collection[str]) -> None:
        self.app, self.metrics, self.paths = app, metrics, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request and counts it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "other"
        status, began = "gone", time.perf_counter()

        async def tracked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, tracked)
        finally:
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - began)
