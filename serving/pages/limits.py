"""The limits for callers, and the response beyond each: for the OpenAPI document and the page `/docs`."""

from collections.abc import Iterator

from imaging.decoding import MAX_DECODED_BYTES, MAX_SCANS, MAX_SIDE
from serving import problems
from serving.http.multipart import OTHER_PARTS
from serving.pages.rollback import BODY_BYTES
from serving.settings import HEADER_LINES, Limits

type Json = dict[str, object]

_LATER = f"{problems.OVERLOADED.status} `{problems.OVERLOADED.name}` with Retry-After"
_CLOSED = "the connection is closed"


def described(limits: Limits, *, addresses: bool = True, grpc: bool = False) -> list[Json]:
    """Returns the limits. `addresses`: whether callers are distinguished by address, as without a load balancer."""
    rows = [*_connections(limits, addresses), *_bodies(limits, addresses), *_photos(limits), *_work(limits)]
    rows += _grpc(limits) if grpc else ()
    return [{"limit": limit, "value": value, "beyond": beyond} for limit, value, beyond in rows]


type _Row = tuple[str, str, str]


def _connections(limits: Limits, addresses: bool) -> Iterator[_Row]:
    closed = "closed: first those without a request, last those with one in progress"
    if addresses:
        yield "connections of one address", f"{limits.peer_connections:,}", closed
    yield "connections of all callers", f"{limits.connections:,}", closed
    yield "first headers on a connection", _within(limits.header_seconds), _CLOSED
    yield "next request on a connection", _within(limits.keep_alive_seconds), _CLOSED
    yield "headers of a request", f"{limits.header_bytes:,} bytes and {HEADER_LINES} lines", "431"


def _bodies(limits: Limits, addresses: bool) -> Iterator[_Row]:
    yield "body, as sent and as decoded", f"{limits.body_bytes:,} bytes", _answer(problems.TOO_LARGE)
    yield "arrival of a body", _within(limits.body_seconds), _answer(problems.BODY_TOO_SLOW)
    if addresses:
        yield "bodies of one address in memory", f"{limits.peer_held_bytes:,} bytes", _LATER
    yield "bodies of all callers in memory", f"{limits.held_bytes:,} bytes", _LATER
    yield "photos in a form, or images in a tensor", f"{limits.batch}", _answer(problems.TOO_LARGE)
    yield "other parts of a form", f"{OTHER_PARTS}", _answer(problems.UNREADABLE)
    yield "body of a rollback", f"{BODY_BYTES:,} bytes", _answer(problems.TOO_LARGE)


def _photos(limits: Limits) -> Iterator[_Row]:
    for limit, value in (
        ("pixels of a photo", f"{limits.pixels:,}"),
        ("one side of a photo", f"{MAX_SIDE:,} pixels"),
        ("scans of a progressive JPEG", f"{MAX_SCANS}"),
        ("memory while a photo is decoded", f"{MAX_DECODED_BYTES:,} bytes"),
    ):
        yield limit, value, _answer(problems.TOO_LARGE)
    yield "data of a JPEG", "as large as its dimensions allow", _answer(problems.UNREADABLE)


def _work(limits: Limits) -> Iterator[_Row]:
    shared = f"{limits.queue}; shared fairly: the caller with the most waiting requests is refused first"
    yield "requests that wait", shared, _LATER
    yield "answer", _within(limits.answer_seconds), _LATER
    rate = "photos per second and burst, as in its RateLimit-Policy header"
    yield "API key", rate, f"{_answer(problems.TOO_MANY)} with Retry-After"


def _grpc(limits: Limits) -> Iterator[_Row]:
    yield "gRPC: a message", f"{limits.body_bytes:,} bytes", "RESOURCE_EXHAUSTED"
    yield "gRPC: arrival of a message", _within(limits.body_seconds), "DEADLINE_EXCEEDED"
    yield "gRPC: messages of all callers that arrive at once", f"{limits.messages}", "they wait"
    yield "gRPC: messages of one address that arrive at once", f"{limits.peer_messages}", "they wait"
    yield "gRPC: calls of one address", f"{limits.peer_calls}", "UNAVAILABLE"
    yield "gRPC: calls of all callers", f"{limits.calls:,}", "RESOURCE_EXHAUSTED"
    yield "gRPC: metadata", f"{limits.metadata_bytes:,} bytes", "RESOURCE_EXHAUSTED"


def _within(seconds: float) -> str:
    return f"within {seconds:g} s"


def _answer(kind: problems.Kind) -> str:
    return f"{kind.status} `{kind.name}`"
