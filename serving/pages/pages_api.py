"""The routes of the endpoint's pages."""

import json
from importlib import resources

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.pages import ASSETS, CONTENT_SECURITY_POLICY, LANGUAGES, PAGES, TYPES, filled, framed, preferred
from serving.pages.openapi import document
from serving.problems import NOT_FOUND, Problem
from serving.settings import ServingSettings

_HEADERS = {"cache-control": "no-cache", "content-security-policy": CONTENT_SECURITY_POLICY}


class PagesApi:
    """Serves the files next to this module, read and rendered once."""

    def __init__(self, settings: ServingSettings) -> None:
        here = resources.files("serving.pages")
        self._files = {name: here.joinpath(name).read_bytes() for name in ASSETS}
        self._texts = {
            f"{language}.json": here.joinpath("texts", f"{language}.json").read_bytes() for language in LANGUAGES
        }
        frame = here.joinpath("frame.html").read_text("utf-8")
        templates = {name: framed(frame, name, here.joinpath(name).read_text("utf-8")) for name in PAGES.values()}
        self._pages = {
            (name, language): filled(template, json.loads(self._texts[f"{language}.json"]), language)
            for name, template in templates.items()
            for language in LANGUAGES
        }
        self._openapi = document(
            settings.limits,
            keys_required=settings.api_keys == "required",
            grpc_port=settings.grpc_port,
            behind_load_balancer=settings.behind_load_balancer,
        )

    async def page(self, request: Request) -> Response:
        """Handle `GET /`, `/live`, `/models`, `/docs`, in the browser's preferred language."""
        language = preferred(request.headers.get("accept-language", ""))
        return Response(
            self._pages[PAGES[request.scope["route"].path], language],
            media_type="text/html",
            headers={**_HEADERS, "content-language": language, "vary": "accept-language"},
        )

    async def asset(self, request: Request) -> Response:
        """Handle `GET /pages/{file}`."""
        name: str = request.path_params["file"]
        if name not in ASSETS:
            raise Problem(NOT_FOUND, f"No page file {name!r}.")
        return Response(self._files[name], media_type=TYPES[name.rpartition(".")[2]], headers=_HEADERS)

    async def texts(self, request: Request) -> Response:
        """Handle `GET /pages/texts/{file}`: all texts of one language."""
        name: str = request.path_params["file"]
        if name not in self._texts:
            raise Problem(NOT_FOUND, f"No texts {name!r}; available: {', '.join(self._texts)}.")
        return Response(self._texts[name], media_type="application/json", headers=_HEADERS)

    async def openapi(self, _request: Request) -> Response:
        """Handle `GET /openapi.json`."""
        return JSONResponse(self._openapi)
