"""Forwards the state of the camera agents on this machine, read from their loopback addresses."""

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
_PARALLEL = 8
_NO_STORE = {"cache-control": "no-store"}


class Agent(TypedDict):
    """An agent's state, or why it is unavailable."""

    error: Annotated[str | None, msgspec.Meta(description="Why this agent's state is unavailable")]
    cameras: list[dict[str, Any]]
    spool: NotRequired[dict[str, Any]]
    forwarding: NotRequired[dict[str, Any]]


class Cameras(TypedDict):
    """The agents on the endpoint's machine, in the order of its settings."""

    agents: list[Agent]


class AgentUnavailable(Exception):
    """An agent returned no valid response; the message completes a sentence about the agent."""


class AgentsApi:
    """Requests agents' state and pictures, with limits on time and size and without retries: pages poll anyway."""

    def __init__(self, agents: tuple[str, ...]) -> None:
        self._agents = agents
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def cameras(self, _request: Request) -> Response:
        """Answer `GET /v1/cameras`.

        An unavailable agent is reported in the response, with status 200: it is not a failure of the endpoint.
        """
        agents = await asyncio.gather(*(self._state(number) for number in range(len(self._agents))))
        body: Cameras = {"agents": agents}
        return JSONResponse(body, headers=_NO_STORE)

    async def thumbnail(self, request: Request) -> Response:
        """Answer `GET /v1/cameras/{agent}/{name}/thumbnail.jpg`."""
        index, name = request.path_params["agent"], request.path_params["name"]
        number = next((each for each in range(len(self._agents)) if str(each) == index), None)
        if number is None or not NAME.fullmatch(name):
            raise Problem(NOT_FOUND, "No such camera; see /v1/cameras.")
        try:
            picture = await self._request(number, f"/v1/cameras/{name}/thumbnail.jpg", "image/jpeg", _PICTURE_BYTES)
        except AgentUnavailable as error:
            raise Problem(NOT_FOUND, f"No picture of camera {name} is available: {error}") from None
        return Response(picture, media_type="image/jpeg", headers=_NO_STORE)

    async def _state(self, number: int) -> Agent:
        try:
            body = await self._request(number, "/v1/cameras", "application/json", _STATE_BYTES)
            return _state_of(body, number)
        except AgentUnavailable as error:
            return {"error": str(error), "cameras": []}

    async def _request(self, number: int, path: str, kind: str, most: int) -> bytes:
        async with self._slots:
            return await asyncio.to_thread(_fetch, self._agents[number], path, kind, most)


def _state_of(body: bytes, number: int) -> Agent:
    """Returns an agent's state, with URLs of this endpoint for its pictures. Raises `AgentUnavailable`."""
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
        raise AgentUnavailable("its response is not that of a camera agent.") from None


def _fetch(agent: str, path: str, kind: str, most: int) -> bytes:
    """Returns the body of one GET request, without following redirects. Raises `AgentUnavailable`."""
    split = urlsplit(agent)
    end = time.monotonic() + _SECONDS
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=_SECONDS)
    try:
        connection.request("GET", path, headers={"accept": kind})
        response = connection.getresponse()
        if response.status != 200 or not (response.headers.get("content-type") or "").startswith(kind):
            raise AgentUnavailable(f"it responded with status {response.status}.")
        body = b""
        while len(body) <= most and (part := response.read1(65536)):
            body += part
            if time.monotonic() > end:
                raise AgentUnavailable(f"its response took more than {_SECONDS:g} s.")
    except TimeoutError:
        raise AgentUnavailable(f"it did not respond within {_SECONDS:g} s.") from None
    except (OSError, http.client.HTTPException) as error:
        raise AgentUnavailable(f"it does not respond ({type(error).__name__}).") from None
    finally:
        connection.close()
    if len(body) > most:
        raise AgentUnavailable(f"its response has more than {most:,} bytes.")
    return body
