"""Forwards the status of the camera agents next to this endpoint, read from their loopback addresses."""

import asyncio
import http.client
import json
import time
from typing import Annotated, Any, NotRequired, TypedDict, cast
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry.encoding import NAME
from serving.problems import NOT_FOUND, Problem

_SECONDS = 2.0
_STATE_BYTES = 256 * 1024
_PICTURE_BYTES = 512 * 1024
_AT_ONCE = 8
_FRESH = {"cache-control": "no-store"}


class Agent(TypedDict):
    """An agent's state, or why there is none."""

    error: Annotated[str | None, msgspec.Meta(description="Why this agent did not answer")]
    cameras: list[dict[str, Any]]
    spool: NotRequired[dict[str, Any]]
    forwarding: NotRequired[dict[str, Any]]


class Cameras(TypedDict):
    """The agents next to an endpoint, in the order of its settings."""

    agents: list[Agent]


class AgentAway(Exception):
    """An agent returned no usable answer; the message says what happened."""


class AgentsApi:
    """Asks agents at fixed addresses, once, within two seconds and a bound on bytes; the next look is the retry."""

    def __init__(self, agents: tuple[str, ...]) -> None:
        self._agents = agents
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def cameras(self, _request: Request) -> Response:
        """Answer `GET /v1/cameras`.

        An unreachable agent is reported in the answer: it is not a failure of the endpoint.
        """
        agents = await asyncio.gather(*(self._state(number) for number in range(len(self._agents))))
        body: Cameras = {"agents": agents}
        return JSONResponse(body, headers=_FRESH)

    async def thumbnail(self, request: Request) -> Response:
        """Answer `GET /v1/cameras/{agent}/{name}/thumbnail.jpg`."""
        index, name = request.path_params["agent"], request.path_params["name"]
        number = next((place for place in range(len(self._agents)) if str(place) == index), None)
        if number is None or not NAME.fullmatch(name):
            raise Problem(NOT_FOUND, "No such camera; see /v1/cameras.")
        try:
            picture = await self._ask(number, f"/v1/cameras/{name}/thumbnail.jpg", "image/jpeg", _PICTURE_BYTES)
        except AgentAway as away:
            raise Problem(NOT_FOUND, f"No picture of camera {name} available: {away}") from None
        return Response(picture, media_type="image/jpeg", headers=_FRESH)

    async def _state(self, number: int) -> Agent:
        try:
            body = await self._ask(number, "/v1/cameras", "application/json", _STATE_BYTES)
            return _state_of(body, number)
        except AgentAway as away:
            return {"error": str(away), "cameras": []}

    async def _ask(self, number: int, path: str, kind: str, most: int) -> bytes:
        async with self._places:
            return await asyncio.to_thread(_fetch, self._agents[number], path, kind, most)


def _state_of(body: bytes, number: int) -> Agent:
    """Read an agent's state, with pictures where they are found here. Raises `AgentAway`."""
    try:
        state = cast("dict[str, Any]", json.loads(body))
        for camera in state["cameras"]:
            if camera["last_frame"] is not None:
                camera["last_frame"]["thumbnail"] = f"/v1/cameras/{number}/{camera['name']}/thumbnail.jpg"
        return {
            "error": None,
            "cameras": state["cameras"],
            "spool": state["spool"],
            "forwarding": state["forwarding"],
        }
    except (ValueError, KeyError, TypeError):
        raise AgentAway("the address is not a camera agent.") from None


def _fetch(agent: str, path: str, kind: str, most: int) -> bytes:
    """GET once, follow nothing. Raises `AgentAway`."""
    split = urlsplit(agent)
    end = time.monotonic() + _SECONDS
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=_SECONDS)
    try:
        connection.request("GET", path, headers={"accept": kind})
        answer = connection.getresponse()
        if answer.status != 200 or not (answer.headers.get("content-type") or "").startswith(kind):
            raise AgentAway(f"it answers {answer.status}.")
        body = b""
        while len(body) <= most and (part := answer.read1(65536)):
            body += part
            if time.monotonic() > end:
                raise AgentAway(f"its response took more than {_SECONDS:g} s.")
    except TimeoutError:
        raise AgentAway(f"it did not respond within {_SECONDS:g} s.") from None
    except (OSError, http.client.HTTPException) as error:
        raise AgentAway(f"it does not respond ({type(error).__name__}).") from None
    finally:
        connection.close()
    if len(body) > most:
        raise AgentAway(f"its answer has more than {most:,} bytes.")
    return body
