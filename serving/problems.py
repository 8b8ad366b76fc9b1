"""What can go wrong for a caller, as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypedDict

import msgspec
from starlette.responses import Response

from imaging import PhotoError, PhotoTooLarge


class PhotoProblem(TypedDict):
    """What every problem says, be it a whole answer or one photo's of many."""

    type: Annotated[str, msgspec.Meta(extra_json_schema={"format": "uri-reference"})]
    title: str
    status: int
    detail: Annotated[str, msgspec.Meta(description="What was met, and what to do next")]


class ProblemDetails(PhotoProblem):
    """A problem that is a whole answer. https://www.rfc-editor.org/rfc/rfc9457"""

    error: Annotated[str, msgspec.Meta(description="The detail again, for clients of the inference protocol")]
    request_id: str


@dataclass(frozen=True)
class Kind:
    """One sort of problem: its name, its HTTP status, and what it means."""

    name: str
    status: int
    title: str


UNAUTHORIZED = Kind("unauthorized", 401, "This takes an API key that is known here")
FORBIDDEN = Kind("forbidden", 403, "The API key does not open this")
NOT_FOUND = Kind("not-found", 404, "There is nothing at this address")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This address does not do that")
CONFLICT = Kind("conflict", 409, "The channel cannot be moved like this")
BODY_TOO_SLOW = Kind("body-too-slow", 408, "The body did not arrive in time")
TOO_LARGE = Kind("too-large", 413, "The photo or the body is too large")
WRONG_TYPE = Kind("wrong-type", 415, "The body is of a type that this address does not take")
UNREADABLE = Kind("unreadable", 422, "The body cannot be understood")
TOO_MANY = Kind("too-many-requests", 429, "The API key has asked too often")
BAD_REQUEST = Kind("bad-request", 400, "The request is not well-formed")
CALLER_LEFT = Kind("caller-left", 499, "The caller closed the connection")
INTERNAL = Kind("internal", 500, "The endpoint failed")
UPSTREAM = Kind("upstream", 502, "What the endpoint had to ask for this did not answer")
NOT_READY = Kind("not-ready", 503, "The endpoint serves no model yet")
KEYS_UNREAD = Kind("keys-unread", 503, "The endpoint cannot check API keys now")
OVERLOADED = Kind("overloaded", 503, "The endpoint has more work than it can take on")

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
    """Ends a request with a problem document. `detail` is for the caller: what was met, what to do next."""

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
    """Say what is wrong with a photo that cannot be decoded."""
    kind = TOO_LARGE if isinstance(error, PhotoTooLarge) else UNREADABLE
    return Problem(
        kind,
        f"The photo cannot be used: {error}. Send one whole JPEG, PNG or WebP within the limits that /docs states.",
    )


def of_status(status: int) -> Kind:
    """Choose the kind that stands for a bare HTTP status."""
    return _BY_STATUS.get(status, INTERNAL if status >= 500 else BAD_REQUEST)


def members(kind: Kind, detail: str) -> PhotoProblem:
    """Return what every problem says."""
    return {"type": f"/docs#{kind.name}", "title": kind.title, "status": kind.status, "detail": detail}


def response(kind: Kind, detail: str, *, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """Render a problem.

    `error` repeats the detail, because clients of the Open Inference Protocol look for that member.
    """
    document: ProblemDetails = {**members(kind, detail), "error": detail, "request_id": request_id}
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status_code=kind.status, media_type="application/problem+json", headers=headers)
