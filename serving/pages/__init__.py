"""The endpoint's own pages: try it, cameras, models, how to call it. They load nothing from elsewhere."""

import html
import json
import re
from collections.abc import Mapping
from importlib import resources

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.pages.openapi import document
from serving.problems import NOT_FOUND, Problem
from serving.settings import ServingSettings

LANGUAGES = ("en", "es", "ca")
"""The first is the default."""
PAGES = {"/": "try.html", "/live": "live.html", "/models": "models.html", "/docs": "docs.html"}
ASSETS = ("style.css", "common.js", "try.js", "live.js", "models.js", "docs.js", "icon.svg")

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_POLICY = (
    "default-src 'self'; img-src 'self' blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "object-src 'none'"
)
_HEADERS = {"cache-control": "no-cache", "content-security-policy": _POLICY}

TEXT = re.compile(r'(<[a-z0-9]+\b[^>]*?\bdata-text="([\w.-]+)"[^>]*>)')
"""An element whose content is a text, by its name."""
ATTRIBUTE = re.compile(r'\bdata-(aria-label|placeholder|alt)="([\w.-]+)"')
_RANGE = re.compile(r"([a-z]{2})(?:-[a-z0-9-]+)?(?:\s*;\s*q=([01](?:\.\d{1,3})?))?", re.IGNORECASE)


class PagesApi:
    """Serves the files next to this module, read and filled once."""

    def __init__(self, settings: ServingSettings) -> None:
        here = resources.files(__name__)
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
        """Answer `GET /`, `/live`, `/models`, `/docs`, in the language that the browser prefers."""
        language = preferred(request.headers.get("accept-language", ""))
        return Response(
            self._pages[PAGES[request.scope["route"].path], language],
            media_type="text/html",
            headers={**_HEADERS, "content-language": language, "vary": "accept-language"},
        )

    async def asset(self, request: Request) -> Response:
        """Answer `GET /pages/{file}`."""
        name: str = request.path_params["file"]
        if name not in ASSETS:
            raise Problem(NOT_FOUND, f"No page file {name!r}.")
        return Response(self._files[name], media_type=_TYPES[name.rpartition(".")[2]], headers=_HEADERS)

    async def texts(self, request: Request) -> Response:
        """Answer `GET /pages/texts/{file}`: all texts of one language."""
        name: str = request.path_params["file"]
        if name not in self._texts:
            raise Problem(NOT_FOUND, f"No texts {name!r}; available: {', '.join(self._texts)}.")
        return Response(self._texts[name], media_type="application/json", headers=_HEADERS)

    async def openapi(self, _request: Request) -> Response:
        """Answer `GET /openapi.json`."""
        return JSONResponse(self._openapi)


def framed(frame: str, name: str, content: str) -> str:
    """Put a page's content into what all pages share."""
    return frame.replace("@page@", name.removesuffix(".html")).replace("@content@", content)


def filled(template: str, texts: Mapping[str, str], language: str) -> bytes:
    """Put the texts where the template names them; the names stay, so that the page can change its language.

    All texts are in the page as well: its script has words from its first line on, and before a second request.
    """

    def attribute(match: re.Match[str]) -> str:
        return f'{match[0]} {match[1]}="{html.escape(texts[match[2]])}"'

    page = ATTRIBUTE.sub(attribute, TEXT.sub(lambda match: match[1] + html.escape(texts[match[2]]), template))
    data = json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")
    return page.replace('<html lang="en">', f'<html lang="{language}">').replace("@texts@", data).encode()


def preferred(accept_language: str) -> str:
    """Choose the language that is wanted most. https://www.rfc-editor.org/rfc/rfc9110#field.accept-language"""
    wanted: dict[str, float] = {}
    for part in accept_language[:500].split(","):
        if found := _RANGE.fullmatch(part.strip()):
            language, quality = found[1].lower(), float(found[2] or 1)
            wanted[language] = max(quality, wanted.get(language, 0.0))
    return max(LANGUAGES, key=lambda language: wanted.get(language, 0.0))
