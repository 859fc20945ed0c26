"""The HTTP server of a scorer: its own form, vLLM's and OpenRLHF's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib import resources
from typing import Any

import numpy as np
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException

from codeprm_jax import __version__
from codeprm_jax.files import InputError
from codeprm_jax.scoring.batcher import BatcherClosedError, QueueFullError
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.scorer import StepScores
from codeprm_jax.scoring.serving.guard import ErrorAnswer, Guard, busy
from codeprm_jax.scoring.serving.metrics import Measured, ServerMetrics
from codeprm_jax.scoring.serving.openapi import describe
from codeprm_jax.scoring.serving.openrlhf import (
    RewardRequest,
    RewardResponse,
    read_query,
    reward_response,
)
from codeprm_jax.scoring.serving.service import ServerConfig, Service
from codeprm_jax.scoring.serving.vllm import (
    PoolingRequest,
    PoolingResponse,
    pooling_response,
    read_inputs,
)
from codeprm_jax.scoring.serving.wire import (
    ErrorResponse,
    ModelCard,
    ModelList,
    ScoreRequest,
    ScoreResponse,
    Status,
    error_detail,
    parse_json,
    scored_trace,
)

LARGE_BODY = 65_536  # bytes, above which JSON is read in a thread
_ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")

_READING: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "No valid bearer token"},
    503: {"model": ErrorResponse, "description": "Loading, overloaded or shutting down"},
}
_WRITING: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "The body is not valid JSON in UTF-8"},
    404: {"model": ErrorResponse, "description": "No such model"},
    408: {"model": ErrorResponse, "description": "The body did not come in time"},
    409: {
        "model": ErrorResponse,
        "description": "Well-formed, but it does not fit the model, or its parts each other",
    },
    413: {"model": ErrorResponse, "description": "The body is too large"},
    415: {"model": ErrorResponse, "description": "The body is not application/json"},
    422: {"model": ErrorResponse, "description": "The body has not the form described here"},
    504: {"model": ErrorResponse, "description": "No answer in time"},
    **_READING,
}
_SCORING = {k: v for k, v in _WRITING.items() if k != 404}


class _StrictRequest(Request):
    """A request whose JSON is read by `parse_json`."""

    async def json(self) -> Any:
        """The body. Raises HTTPException with the reason."""
        body = await self.body()
        try:
            if len(body) > LARGE_BODY:
                return await asyncio.to_thread(parse_json, body)
            return parse_json(body)
        except InputError as error:
            raise HTTPException(400, str(error)) from error


class _StrictRoute(APIRoute):
    """A route that reads its body strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return strict


def create_app(load: Callable[[], StepScorer], config: ServerConfig) -> FastAPI:
    """The ASGI application; its `state.service` is the scorer's life, begun with the lifespan.

    Args:
      load: makes the scorer, in a thread, while the server already says that it is not ready.
    """
    metrics = ServerMetrics()
    service = Service(load, config, metrics.batch)
    metrics.watch(service)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.close()

    app = FastAPI(
        title="CodePRM",
        version=__version__,
        description="Step scores of code-reasoning traces.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.openapi_version = "3.0.3"  # what the bundled page renders
    app.state.service = service
    routers = _scoring_routes(service), _status_routes(service, metrics), _page_routes()
    for router in routers:
        app.include_router(router)
    app.openapi = lambda: describe(app, secured=config.token is not None)  # type: ignore[method-assign]
    _handle_errors(app)
    paths = [r.path for router in routers for r in router.routes if isinstance(r, APIRoute)]
    app.add_middleware(Guard, service=service)
    app.add_middleware(Measured, metrics=metrics, paths=paths)
    return app


def _scoring_routes(service: Service) -> APIRouter:
    router = APIRouter(route_class=_StrictRoute, tags=["scores"])

    @router.post("/v1/score", summary="Step scores", responses=_SCORING)
    async def score(body: ScoreRequest, request: Request) -> ScoreResponse:
        """Step scores and their aggregate for each trace; one that has none says why."""
        scorer = service.scorer
        inputs = [trace.step_input() for trace in body.traces]
        results = await service.batcher.score_each(inputs, _client(request), body.view, wait=False)
        return ScoreResponse(
            model=scorer.fingerprint,
            view=body.view or scorer.view,
            aggregate=body.aggregate,
            results=[scored_trace(found, body.aggregate) for found in results],
        )

    @router.post("/pooling", summary="vLLM's form", responses=_WRITING)
    async def pooling(body: PoolingRequest, request: Request) -> PoolingResponse:
        """[p_bad, p_good] at each step tag of each input, in vLLM's form."""
        scorer = service.scorer
        if body.model not in (None, service.config.name, scorer.fingerprint):
            raise HTTPException(404, f"this server has the model {service.config.name!r} only")
        examples = await asyncio.to_thread(read_inputs, body, scorer.layout)
        tagged = [example for example in examples if len(example.tag_positions)]
        found = await service.batcher.score_examples(tagged, _client(request), wait=False)
        scored = []
        for result in found:
            if isinstance(result, InputError):
                raise result
            scored.append(result)
        left = iter(scored)
        none = StepScores(np.zeros(0, np.float32), 0)
        results = [next(left) if len(e.tag_positions) else none for e in examples]
        return pooling_response(body, service.config.name, examples, results)

    @router.post("/get_reward", summary="OpenRLHF's form", responses=_SCORING)
    async def get_reward(body: RewardRequest, request: Request) -> RewardResponse:
        """One reward for each query, in OpenRLHF's form; one without scores gets 0."""
        tag = service.scorer.layout.config.step_tag
        traces = [read_query(q, p, tag) for q, p in zip(body.query, body.prompts, strict=True)]
        inputs = [trace for trace in traces if not isinstance(trace, InputError)]
        found = await service.batcher.score_each(inputs, _client(request), wait=False)
        left = iter(found)
        results = [t if isinstance(t, InputError) else next(left) for t in traces]
        return reward_response(results, service.config.aggregate)

    return router


def _status_routes(service: Service, metrics: ServerMetrics) -> APIRouter:
    router = APIRouter(tags=["server"])
    open_only: dict[int | str, dict[str, Any]] = {503: _READING[503]}

    @router.get("/health", summary="Does it live?", responses=open_only)
    async def health() -> Status:
        """Whether the process lives and scores, or will."""
        if not service.healthy:
            raise HTTPException(503, "the scoring thread has ended; start the server again")
        return Status(status="ok")

    @router.get("/ready", summary="Does it take requests?", responses=open_only)
    async def ready() -> Status:
        """Whether requests are taken: the model is loaded and its programs are compiled."""
        if service.phase != "ready":
            raise HTTPException(503, f"not ready: {service.phase}")
        return Status(status="ready")

    @router.get("/v1/models", summary="The model", responses=_READING)
    async def models() -> ModelList:
        """The one model, and what it reads."""
        layout = service.scorer.layout.config
        card = ModelCard(
            id=service.config.name,
            created=service.created,
            max_model_len=layout.max_tokens,
            fingerprint=service.scorer.fingerprint,
            views=list(layout.views),
            view=service.scorer.view,
        )
        return ModelList(data=[card])

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        responses={401: _READING[401]},
        response_class=PlainTextResponse,
    )
    async def exposition() -> Response:
        """Metrics in Prometheus' form."""
        text = await asyncio.to_thread(generate_latest, metrics.registry)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def _page_routes() -> APIRouter:
    """The page about the API, with no file from elsewhere."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files("swagger_ui_bundle") / "vendor"
    (folder,) = [f for f in folder.iterdir() if f.name.startswith("swagger-ui-")]

    @router.get("/docs")
    async def page() -> HTMLResponse:
        script, style, icon = (f"/docs/{name}" for name in _ASSETS)
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="CodePRM",
            swagger_js_url=script,
            swagger_css_url=style,
            swagger_favicon_url=icon,
        )

    @router.get("/docs/{name}")
    async def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise HTTPException(404, "Not Found")
        kinds = {"js": "text/javascript", "css": "text/css", "png": "image/png"}
        content = await asyncio.to_thread((folder / name).read_bytes)
        return Response(content, media_type=kinds[name.rpartition(".")[2]])

    return router


def _client(request: Request) -> str:
    """Who takes turns: the X-Client-Id if one is given, otherwise the connection."""
    if name := request.headers.get("x-client-id"):
        return f"id {name[:128]}"
    return f"{request.client.host}:{request.client.port}" if request.client else "unknown"


def _handle_errors(app: FastAPI) -> None:
    """Gives every error its status and the form {"error": {"type", "message"}}."""
    kinds = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed", 503: "not_ready"}

    @app.exception_handler(StarletteHTTPException)
    async def http(_: Request, error: StarletteHTTPException) -> Response:
        kind = kinds.get(error.status_code, "error")
        return ErrorAnswer(error.status_code, kind, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = [
            ".".join(str(part)[:100] for part in e["loc"]) + ": " + e["msg"]
            for e in error.errors()[:5]
        ]
        # What the description cannot say: that lists have one length, how long all texts may be.
        beyond = all(e["type"] == "value_error" for e in error.errors())
        return ErrorAnswer(409 if beyond else 422, "invalid_request", "; ".join(found))

    @app.exception_handler(InputError)
    async def refused(_: Request, error: InputError) -> Response:
        detail = error_detail(error).model_dump(exclude_none=True)
        return ErrorAnswer(409, detail.pop("type"), detail.pop("message"), **detail)

    @app.exception_handler(QueueFullError)
    async def full(_: Request, error: QueueFullError) -> Response:
        return busy(str(error), error.retry_after)

    @app.exception_handler(BatcherClosedError)
    async def closed(_: Request, error: BatcherClosedError) -> Response:
        return busy(str(error), 5, "not_ready")
