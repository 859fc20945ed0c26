"""The HTTP server of a scorer: its own form, vLLM's and OpenRLHF's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from importlib import resources
from typing import Any

import numpy as np
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from codeprm_jax import __version__
from codeprm_jax.data.layout import Example
from codeprm_jax.files import InputError
from codeprm_jax.scoring.batcher import BatcherClosedError, QueueFullError
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.scorer import StepScores
from codeprm_jax.scoring.serving.guard import ErrorAnswer, Guard, busy
from codeprm_jax.scoring.serving.metrics import Measured, ServerMetrics
from codeprm_jax.scoring.serving.openapi import body_of, describe
from codeprm_jax.scoring.serving.openrlhf import (
    RewardRequest,
    RewardResponse,
    reward_response,
)
from codeprm_jax.scoring.serving.service import ServerConfig, Service
from codeprm_jax.scoring.serving.vllm import (
    PoolingRequest,
    PoolingResponse,
    pooling_response,
)
from codeprm_jax.scoring.serving.wire import (
    ErrorResponse,
    ModelCard,
    ModelList,
    RequestError,
    ScoreRequest,
    ScoreResponse,
    Status,
    error_detail,
    scored_trace,
)

FEW = 1024  # results and scores, above which an answer is written in a thread
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
    router = APIRouter(tags=["scores"])

    @router.post(
        "/v1/score",
        summary="Step scores",
        responses=_SCORING,
        response_model=ScoreResponse,
        openapi_extra=body_of(ScoreRequest),
    )
    async def score(request: Request) -> Response:
        """Step scores and their aggregate for each trace; one that has none says why."""
        options, results = await _score(service, request)
        how = options["aggregate"]
        return await _written(
            results,
            lambda: ScoreResponse(
                model=service.scorer.fingerprint,
                view=options["view"],
                aggregate=how,
                results=[scored_trace(found, how) for found in results],
            ),
        )

    @router.post(
        "/pooling",
        summary="vLLM's form",
        responses=_WRITING,
        response_model=PoolingResponse,
        openapi_extra=body_of(PoolingRequest),
    )
    async def pooling(request: Request) -> Response:
        """[p_bad, p_good] at each step tag of each input, in vLLM's form."""
        options, results = await _score(service, request)
        scored = []
        for result in results:
            if isinstance(result, InputError):
                raise result
            scored.append(result)
        name = service.config.name
        return await _written(results, lambda: pooling_response(scored, name, **options))

    @router.post(
        "/get_reward",
        summary="OpenRLHF's form",
        responses=_SCORING,
        response_model=RewardResponse,
        openapi_extra=body_of(RewardRequest),
    )
    async def get_reward(request: Request) -> Response:
        """One reward for each query, in OpenRLHF's form; one without scores gets 0."""
        _, results = await _score(service, request)
        return await _written(results, lambda: reward_response(results, service.config.aggregate))

    return router


async def _score(
    service: Service, request: Request
) -> tuple[dict[str, Any], list[StepScores | InputError]]:
    """A request's options, and one result for each of its inputs; without tags it has no scores."""
    client, batcher = _client(request), service.batcher
    if service.phase == "draining":
        raise BatcherClosedError("the server is shutting down and takes no more requests")
    batcher.admit(client)  # before any work on it
    reading = await service.readers.read(request.url.path, await request.body(), client)
    wanted = [e for e in reading.examples if isinstance(e, Example) and len(e.tag_positions)]
    scored = iter(await batcher.score_examples(wanted, client))
    results: list[StepScores | InputError] = []
    for found in reading.examples:
        if isinstance(found, InputError):
            results.append(found)
        elif len(found.tag_positions):
            results.append(next(scored))
        else:
            results.append(StepScores(np.zeros(0, np.float32), found.length))
    return reading.options, results


async def _written(
    results: Sequence[StepScores | InputError], answer: Callable[[], BaseModel]
) -> Response:
    """The answer's JSON; one with many scores is written in a thread."""

    def write() -> Response:
        return Response(answer().model_dump_json(), media_type="application/json")

    steps = sum(len(found.scores) for found in results if isinstance(found, StepScores))
    return write() if len(results) + steps <= FEW else await asyncio.to_thread(write)


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

    @app.exception_handler(RequestError)
    async def turned_down(_: Request, error: RequestError) -> Response:
        return ErrorAnswer(error.status, error.kind, str(error), None, **error.details)

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
