"""The endpoint's own pages: try it, and read how to call it. They load nothing from anywhere else."""

from importlib import resources

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.pages.openapi import document
from serving.problems import NOT_FOUND, Problem
from serving.settings import ServingSettings

_PAGES = {"/": "try.html", "/docs": "docs.html"}
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_ASSETS = ("style.css", "try.js", "docs.js", "icon.svg")

_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
}


class PagesApi:
    """Serves the files beside this module, read once."""

    def __init__(self, settings: ServingSettings) -> None:
        names = (*_PAGES.values(), *_ASSETS)
        self._files = {name: resources.files(__name__).joinpath(name).read_bytes() for name in names}
        self._openapi = document(
            settings.limits, keys_required=settings.api_keys == "required", grpc_port=settings.grpc_port
        )

    async def page(self, request: Request) -> Response:
        """Answer `GET /` and `GET /docs`."""
        return self._file(_PAGES[request.scope["route"].path])

    async def asset(self, request: Request) -> Response:
        """Answer `GET /pages/{file}`."""
        name: str = request.path_params["file"]
        if name not in _ASSETS:
            raise Problem(NOT_FOUND, f"There is no page file {name!r}.")
        return self._file(name)

    async def openapi(self, _request: Request) -> Response:
        """Answer `GET /openapi.json`."""
        return JSONResponse(self._openapi)

    def _file(self, name: str) -> Response:
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(self._files[name], media_type=kind, headers=_HEADERS)
