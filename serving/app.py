"""The endpoint's routes."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.clock import Clock, utc_now
from serving import problems
from serving.auth.api_key_auth import ApiKeyAuth
from serving.auth.key_record import KeyScope
from serving.http.batch import BatchApi
from serving.http.body import Bodies
from serving.http.camera_agents import AgentsApi
from serving.http.classify import ClassifyApi
from serving.http.connections import Connections
from serving.http.health import HealthApi
from serving.http.inference_protocol import InferenceProtocolApi
from serving.http.request_middleware import IndexedRequest, RequestMiddleware
from serving.http.workers import Workers
from serving.pages.models_page import ModelsApi
from serving.pages.pages_api import PagesApi
from serving.pages.registry_view import RegistryView
from serving.pages.rollback import OpensPromotionService, RollBackApi
from serving.recording.recorder import Recorder
from serving.release.live import Live
from serving.release.shadow import Shadow
from serving.release.traffic_split import TrafficSplit
from serving.settings import ServingSettings
from serving.telemetry import Metrics


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """What the APIs of one endpoint share, over HTTP and gRPC."""

    live: Live
    """Which version answers."""
    metrics: Metrics
    workers: Workers
    bodies: Bodies
    auth: ApiKeyAuth
    """Authenticates callers."""
    recorder: Recorder | None = None
    """Records predictions; None: no."""


def create_app(
    settings: ServingSettings,
    shared: Dependencies,
    *,
    shadow: Shadow | None = None,
    view: RegistryView | None = None,
    open_promotion_service: OpensPromotionService | None = None,
    connections: Connections | None = None,
    clock: Clock = utc_now,
) -> RequestMiddleware:
    """Returns the ASGI application of one endpoint.

    `view` provides the content of the page Models, on which `open_promotion_service` lets an operator move the channel;
    None: moves are not possible.
    """
    live, metrics, workers, bodies = shared.live, shared.metrics, shared.workers, shared.bodies
    auth, recorder = shared.auth, shared.recorder
    split = TrafficSplit(live=live, shadow=shadow or Shadow())
    classify = ClassifyApi(live=live, split=split, bodies=bodies, workers=workers, metrics=metrics, recorder=recorder)
    batch = BatchApi(
        live=live,
        bodies=bodies,
        workers=workers,
        metrics=metrics,
        auth=auth,
        most=settings.limits.batch,
        recorder=recorder,
    )
    health = _health(settings, shared, clock=clock)
    v2 = InferenceProtocolApi(
        live=live,
        bodies=bodies,
        workers=workers,
        name=settings.model,
        batch=settings.limits.batch,
        auth=auth,
        recorder=recorder,
    )
    photo = Route("/v1/classify", auth.guard(classify.classify), methods=["POST"])
    routes = [
        photo,
        Route("/v1/classify/batch", auth.guard(batch.classify), methods=["POST"]),
        Route("/v1/model", health.model),
        *_registry(settings, auth, bodies, view, open_promotion_service),
        *_cameras(AgentsApi(settings.cameras), auth),
        *_probes(health),
        *_inference_protocol(v2, auth),
        *_pages(PagesApi(settings)),
    ]
    return RequestMiddleware(
        ClassifyFastPath(photo, _starlette(routes)), live=live, metrics=metrics, connections=connections
    )


def create_probe_app(
    settings: ServingSettings,
    shared: Dependencies,
    *,
    connections: Connections | None = None,
    clock: Clock = utc_now,
) -> RequestMiddleware:
    """Returns the ASGI application of the health port: health checks and metrics only."""
    routes = _probes(_health(settings, shared, clock=clock))
    return RequestMiddleware(_starlette(routes), live=shared.live, metrics=shared.metrics, connections=connections)


def _health(settings: ServingSettings, shared: Dependencies, *, clock: Clock) -> HealthApi:
    return HealthApi(
        live=shared.live,
        metrics=shared.metrics,
        name=settings.model,
        channel=settings.channel,
        instance=settings.instance,
        auth=shared.auth,
        providers=settings.providers,
        clock=clock,
    )


def _probes(health: HealthApi) -> list[Route]:
    return [
        Route("/healthz/live", health.live),
        Route("/healthz/ready", health.ready),
        Route("/healthz/in-service", health.in_service),
        Route("/metrics", health.metrics),
    ]


def _registry(
    settings: ServingSettings,
    auth: ApiKeyAuth,
    bodies: Bodies,
    view: RegistryView | None,
    open_promotion_service: OpensPromotionService | None,
) -> list[Route]:
    roll_back = RollBackApi(
        bodies=bodies,
        open_promotion_service=open_promotion_service,
        moved=view.forget if view else lambda: None,
        behind_load_balancer=settings.behind_load_balancer,
    )
    models = ModelsApi(view=view, roll_back=roll_back)
    return [
        Route("/v1/registry", auth.guard(models.registry)),
        Route("/v1/versions/{number}/report.html", auth.guard(models.report)),
        Route("/v1/roll-back", auth.guard(roll_back.roll_back, KeyScope.ADMIN), methods=["POST"]),
    ]


def _cameras(agents: AgentsApi, auth: ApiKeyAuth) -> list[Route]:
    return [
        Route("/v1/cameras", auth.guard(agents.cameras)),
        Route("/v1/cameras/{agent}/{name}/thumbnail.jpg", auth.guard(agents.thumbnail)),
    ]


def _inference_protocol(v2: InferenceProtocolApi, auth: ApiKeyAuth) -> list[Route]:
    return [
        Route("/v2", v2.server),
        Route("/v2/health/live", v2.server_live),
        Route("/v2/health/ready", v2.server_ready),
        Route("/v2/models/{model}", v2.model),
        Route("/v2/models/{model}/ready", v2.model_ready),
        Route("/v2/models/{model}/infer", auth.guard(v2.infer), methods=["POST"]),
        Route("/v2/models/{model}/versions/{version}", v2.model),
        Route("/v2/models/{model}/versions/{version}/ready", v2.model_ready),
        Route("/v2/models/{model}/versions/{version}/infer", auth.guard(v2.infer), methods=["POST"]),
    ]


def _pages(pages: PagesApi) -> list[Route]:
    return [
        Route("/", pages.page),
        Route("/live", pages.page),
        Route("/models", pages.page),
        Route("/docs", pages.page),
        Route("/pages/texts/{file}", pages.texts),
        Route("/pages/{file}", pages.asset),
        Route("/openapi.json", pages.openapi),
    ]


def _starlette(routes: Sequence[Route]) -> Starlette:
    app = Starlette(
        routes=routes,
        exception_handlers={
            problems.Problem: _on_problem,
            HTTPException: _on_http_exception,
            ClientDisconnect: _on_disconnect,
            Exception: _on_failure,
        },
    )
    app.router.redirect_slashes = False
    return app


class ClassifyFastPath:
    """Sends `POST /v1/classify` directly to its route, without the overhead of Starlette's middleware and router."""

    def __init__(self, photo: Route, others: ASGIApp) -> None:
        self._photo = photo
        self.others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] != self._photo.path or scope["method"] != "POST":
            await self.others(scope, receive, send)
            return
        scope["route"] = self._photo
        request = IndexedRequest(scope, receive, send)
        try:
            response = await self._photo.endpoint(request)
        except problems.Problem as problem:
            response = await _on_problem(request, problem)
        except ClientDisconnect as error:
            response = await _on_disconnect(request, error)
        except Exception as error:
            response = await _on_failure(request, error)
            await response(scope, receive, send)
            raise
        await response(scope, receive, send)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, problems.Problem)  # noqa: S101 - registered only for Problem
    return problems.response(error.kind, error.detail, request_id=request.state.request_id, headers=error.headers)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Returns Starlette's own errors (404, 405) as problem documents."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered only for HTTPException
    detail = f"{request.method} {request.url.path}: {error.detail}. See /docs for all routes."
    kind = problems.of_status(error.status_code)
    return problems.response(kind, detail, request_id=request.state.request_id, headers=error.headers)


async def _on_disconnect(request: Request, _error: Exception) -> Response:
    """Returns the response for a body that ended early: Granian reports a closed connection and malformed HTTP alike.

    A body with a Content-Length ends early only if the client disconnects: the response is for the metrics. A chunked
    body also ends early if its encoding is malformed, and then the client waits for a response.
    """
    chunked = "transfer-encoding" in request.headers
    kind = problems.BAD_REQUEST if chunked else problems.CALLER_LEFT
    more = " Its chunks, chunk extensions or trailers are malformed or too long." if chunked else ""
    detail = f"The body ended early.{more}"
    return problems.response(kind, detail, request_id=request.state.request_id)


async def _on_failure(request: Request, _error: Exception) -> Response:
    """Returns a response that refers to the log; the error is raised again, and logged by the middleware."""
    request_id: str = request.state.request_id
    detail = f"Unexpected error; see the endpoint's log for request id {request_id}."
    return problems.response(problems.INTERNAL, detail, request_id=request_id)
