"""Error responses, as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypedDict

import msgspec
from starlette.responses import Response

from imaging import PhotoError, PhotoTooLarge


class PhotoProblem(TypedDict):
    """Fields of every problem, for a response or for one photo of a batch."""

    type: Annotated[str, msgspec.Meta(extra_json_schema={"format": "uri-reference"})]
    title: str
    status: int
    detail: Annotated[str, msgspec.Meta(description="The cause, and what to do next")]


class ProblemDetails(PhotoProblem):
    """A problem response. https://www.rfc-editor.org/rfc/rfc9457"""

    error: Annotated[str, msgspec.Meta(description="The detail again, for clients of the inference protocol")]
    request_id: str


@dataclass(frozen=True)
class Kind:
    """A type of problem: name, HTTP status and title."""

    name: str
    status: int
    title: str


UNAUTHORIZED = Kind("unauthorized", 401, "Valid API key required")
FORBIDDEN = Kind("forbidden", 403, "API key lacks the required scope")
NOT_FOUND = Kind("not-found", 404, "Not found")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "Method not allowed")
CONFLICT = Kind("conflict", 409, "Channel conflict")
BODY_TOO_SLOW = Kind("body-too-slow", 408, "Request timeout")
TOO_LARGE = Kind("too-large", 413, "Photo or body too large")
WRONG_TYPE = Kind("wrong-type", 415, "Unsupported content type")
UNREADABLE = Kind("unreadable", 422, "Body could not be processed")
TOO_MANY = Kind("too-many-requests", 429, "Rate limit exceeded")
BAD_REQUEST = Kind("bad-request", 400, "Malformed request")
CALLER_LEFT = Kind("caller-left", 499, "Client closed the connection")
INTERNAL = Kind("internal", 500, "Internal error")
UPSTREAM = Kind("upstream", 502, "Upstream service did not respond")
NOT_READY = Kind("not-ready", 503, "No model is being served")
KEYS_UNREAD = Kind("keys-unread", 503, "API keys cannot be checked")
OVERLOADED = Kind("overloaded", 503, "Overloaded")

KINDS = (
    BAD_REQUEST,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONFLICT,
    BODY_TOO_SLOW,
    TOO_LARGE,
    WRONG_TYPE,
    UNREADABLE,
    TOO_MANY,
    INTERNAL,
    UPSTREAM,
    NOT_READY,
    KEYS_UNREAD,
    OVERLOADED,
)
_BY_STATUS = {kind.status: kind for kind in KINDS if kind not in {NOT_READY, KEYS_UNREAD}}


class Problem(Exception):
    """Ends a request with a problem response. `detail` states the cause and what the caller can do."""

    def __init__(
        self, kind: Kind, detail: str, *, retry_after: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{kind.name}: {detail}")
        self.kind = kind
        self.detail = detail
        self.headers: Mapping[str, str] = dict(headers or {})
        if retry_after is not None:
            self.headers = {**self.headers, "retry-after": str(retry_after)}


def of_photo(error: PhotoError) -> Problem:
    """Returns the problem for a photo that cannot be decoded: 413 if it is too large, else 422."""
    kind = TOO_LARGE if isinstance(error, PhotoTooLarge) else UNREADABLE
    return Problem(
        kind,
        f"The photo cannot be used: {error}. Send one complete JPEG, PNG or WebP within the limits listed in /docs.",
    )


def of_status(status: int) -> Kind:
    """Returns the kind for an HTTP status."""
    return _BY_STATUS.get(status, INTERNAL if status >= 500 else BAD_REQUEST)


def members(kind: Kind, detail: str) -> PhotoProblem:
    """Returns the fields of every problem."""
    return {"type": f"/docs#{kind.name}", "title": kind.title, "status": kind.status, "detail": detail}


def response(kind: Kind, detail: str, *, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """Returns the HTTP response for a problem.

    `error` repeats the detail, because clients of the Open Inference Protocol look for that member.
    """
    document: ProblemDetails = {**members(kind, detail), "error": detail, "request_id": request_id}
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status_code=kind.status, media_type="application/problem+json", headers=headers)
