"""What the page Models asks: the registry as it is, and whether its channel can be moved from here."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.problems import NOT_FOUND, Problem
from serving.registry_view import RegistryView
from serving.roll_back import RollBackApi


class ModelsApi:
    """`view` None: this endpoint was started without a registry to look at."""

    def __init__(self, *, view: RegistryView | None, roll_back: RollBackApi) -> None:
        self._view = view
        self._roll_back = roll_back

    async def registry(self, request: Request) -> Response:
        """Answer `GET /v1/registry`."""
        if self._view is None:
            raise Problem(NOT_FOUND, "This endpoint was started without a registry to look at.")
        document = await self._view.read()
        roll_back = {"possible": self._roll_back.possible, "confidential": self._roll_back.confidential(request)}
        return JSONResponse({**document, "roll_back": roll_back}, headers={"cache-control": "no-store"})
