"""API of the page Models: the registry, and whether its channel can be rolled back from here."""

from typing import TypedDict, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry.errors import ObjectMissing, RegistryError, VersionMissing
from serving.auth.api_key_auth import Caller
from serving.auth.public_view import without_personal_fields
from serving.pages.registry_view import RegistryContents, RegistryView
from serving.pages.rollback import RollBackApi
from serving.problems import NOT_FOUND, UPSTREAM, Problem

REPORT_HEADERS = {
    # The file contains its styles and pictures, and no script. A training instance made it, so scripts are forbidden,
    # https://developer.mozilla.org/docs/Web/HTTP/Headers/Content-Security-Policy/sandbox
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; sandbox",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
_DIGITS = 8
"""Maximum digits of a version's number, as in the registry's keys."""


class RollBackState(TypedDict):
    """Whether the channel can be rolled back from here, and whether credentials may be sent over this connection."""

    possible: bool
    confidential: bool


class Registry(RegistryContents):
    """The registry, for the page Models."""

    roll_back: RollBackState


class ModelsApi:
    """`view` None: this endpoint was started without access to the registry."""

    def __init__(self, *, view: RegistryView | None, roll_back: RollBackApi) -> None:
        self._view = view
        self._roll_back = roll_back

    async def registry(self, request: Request) -> Response:
        """Handle `GET /v1/registry`; without an API key, the response has no names or notes of people."""
        if self._view is None:
            raise Problem(NOT_FOUND, "This endpoint has no access to the registry.")
        contents = await self._view.read()
        caller: Caller = request.state.caller
        if caller.key is None:
            contents = cast("RegistryContents", without_personal_fields(contents))
        document: Registry = {
            **contents,
            "roll_back": {
                "possible": self._roll_back.possible,
                "confidential": self._roll_back.confidential(request),
            },
        }
        return JSONResponse(document, headers={"cache-control": "no-store"})

    async def report(self, request: Request) -> Response:
        """Handle `GET /v1/versions/{number}/report.html`: the version's file, as published."""
        text: str = request.path_params["number"]
        if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
            raise Problem(NOT_FOUND, "The version must be a number.")
        number = int(text)
        if self._view is None:
            raise Problem(NOT_FOUND, "This endpoint has no access to the registry.")
        try:
            body = await self._view.report(number)
        except (VersionMissing, ObjectMissing) as error:
            raise Problem(NOT_FOUND, f"Version {number} does not exist.") from error
        except RegistryError as error:
            raise Problem(UPSTREAM, str(error)) from error
        if body is None:
            raise Problem(NOT_FOUND, f"Version {number} was published without a report.")
        return Response(body, media_type="text/html", headers=REPORT_HEADERS)
