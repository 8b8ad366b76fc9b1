"""The agent's status, for its own machine only: http://127.0.0.1:8090/v1/cameras."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from camera.agent import Agent
from camera.delivery.spool import SpoolClosed
from serving import problems

_FRESH = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_ENDED = problems.Kind("ended", 503, "The camera agent has ended")
_HOSTS = ["127.0.0.1", "localhost"]
"""Refuses other Host headers, against DNS rebinding."""


class StatusApi:
    """Read-only handlers. No response allows other origins to read it (no CORS)."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def cameras(self, _request: Request) -> Response:
        """Handle `GET /v1/cameras`."""
        return JSONResponse(await run_in_threadpool(self._agent.to_dict), headers=_FRESH)

    async def thumbnail(self, request: Request) -> Response:
        """Handle `GET /v1/cameras/{name}/thumbnail.jpg`: the last classified frame, as it would be stored."""
        name = request.path_params["name"]
        camera = next((camera for camera in self._agent.cameras if camera.settings.name == name), None)
        picture = None if camera is None else await run_in_threadpool(camera.thumbnail)
        if picture is None:
            raise HTTPException(
                404, f"No frame of camera {name!r} has been classified yet. /v1/cameras lists the cameras"
            )
        return Response(picture, media_type="image/jpeg", headers=_FRESH)

    async def metrics(self, _request: Request) -> Response:
        """Handle `GET /metrics`."""
        text = await run_in_threadpool(self._agent.measure)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def live(self, _request: Request) -> Response:
        """Handle `GET /healthz/live`."""
        return JSONResponse({"live": True})


def create_status_app(agent: Agent) -> Starlette:
    """Returns the ASGI application."""
    api = StatusApi(agent)
    return Starlette(
        routes=[
            Route("/v1/cameras", api.cameras),
            Route("/v1/cameras/{name}/thumbnail.jpg", api.thumbnail),
            Route("/metrics", api.metrics),
            Route("/healthz/live", api.live),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)],
        exception_handlers={HTTPException: _on_http_exception, SpoolClosed: _on_spool_closed},
    )


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return problems.response(problems.of_status(error.status_code), f"{error.detail}.", request_id="")


async def _on_spool_closed(_request: Request, error: Exception) -> Response:
    return problems.response(_ENDED, str(error), request_id="")
