"""State of the endpoint for load balancers, operators and Prometheus."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypedDict

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry.identity import person
from serving.auth.api_key_auth import ApiKeyAuth, ApiKeysState
from serving.auth.public_view import without_personal_fields
from serving.inference.execution_providers import fell_back
from serving.inference.loaded_model import THRESHOLD, AbstentionRecord, DecisionRule, LoadedModel
from serving.problems import NOT_READY, Problem
from serving.release.live import Live
from serving.telemetry import Metrics

_NOT_FOR_CALLERS = frozenset({"note", "despite"})
"""Fields of a certificate with internal remarks."""


class ServedModel(TypedDict):
    """The active version of this process, and why it is not the channel's, if it is not."""

    name: str
    version: int | None
    digest: str | None
    channel: str
    entry: Annotated[int | None, msgspec.Meta(description="Number of the active channel entry")]
    refused: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(description="The channel's last entry if its version is not served here, and why"),
    ]
    experiment: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(description="The challenger of a running experiment, and what this process measured"),
    ]
    instance: str
    labels: list[str]
    decision: Annotated[
        DecisionRule | None,
        msgspec.Meta(description=f"{THRESHOLD} Null if the answer is the most probable class."),
    ]
    abstention: Annotated[
        AbstentionRecord | None, msgspec.Meta(description="When this version abstains; null if it cannot")
    ]
    certificate: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description="Until when the version is certified, whether it has expired; with an API key, also by whom"
        ),
    ]
    providers: Annotated[list[str], msgspec.Meta(description="Execution providers in use")]
    providers_wanted: Annotated[list[str], msgspec.Meta(description="Requested execution providers")]
    api_keys: ApiKeysState


class HealthApi:
    """Routes that need no worker thread, and so respond under full load too."""

    def __init__(
        self,
        *,
        live: Live,
        metrics: Metrics,
        name: str,
        channel: str,
        instance: str,
        auth: ApiKeyAuth,
        providers: tuple[str, ...],
        clock: Callable[[], datetime],
    ) -> None:
        self._live = live
        self._metrics = metrics
        self._name = name
        self._channel = channel
        self._instance = instance
        self._auth = auth
        self._providers = providers
        self._clock = clock

    async def live(self, _request: Request) -> Response:
        """Answer `GET /healthz/live`: 200 while the process runs."""
        return JSONResponse({"live": True})

    async def ready(self, _request: Request) -> Response:
        """Answer `GET /healthz/ready`: 200 if a verified version is active and the endpoint accepts requests."""
        if self._live.draining:
            raise Problem(NOT_READY, "The endpoint is shutting down: it finishes running requests.", retry_after=2)
        if self._live.deployed is None:
            raise Problem(NOT_READY, self._live.not_ready_reason, retry_after=2)
        return JSONResponse({"ready": True})

    async def in_service(self, _request: Request) -> Response:
        """Answer `GET /healthz/in-service`: 200 if load balancers should keep this instance."""
        if not self._live.in_service:
            draining = "The endpoint is shutting down: it finishes running requests."
            raise Problem(NOT_READY, draining if self._live.draining else self._live.not_ready_reason, retry_after=2)
        return JSONResponse({"in_service": True})

    async def model(self, request: Request) -> Response:
        """Answer `GET /v1/model`: the active version; personal fields only for callers with a valid key."""
        current = self._live.deployed
        refused, challenge = self._live.refused, self._live.challenge
        served: ServedModel = {
            "name": self._name,
            "version": current.model.version.number if current else None,
            "digest": current.model.identity["digest"] if current else None,
            "channel": self._channel,
            "entry": current.move.number if current else None,
            "refused": refused.to_json() if refused else None,
            "experiment": challenge.to_json() if challenge else None,
            "instance": self._instance,
            "labels": list(current.model.labels) if current else [],
            "decision": current.model.rule if current else None,
            "abstention": current.model.abstention_record if current else None,
            "certificate": self._certificate(current.model) if current else None,
            "providers": list(current.model.session.providers) if current else [],
            "providers_wanted": list(self._providers),
            "api_keys": self._auth.to_json(),
        }
        document = served if self._auth.has_valid_key(request.headers) else without_personal_fields(served)
        return JSONResponse(document, headers={"cache-control": "no-store"})

    async def metrics(self, _request: Request) -> Response:
        """Answer `GET /metrics`."""
        current = self._live.deployed
        left = current.model.certified_seconds(self._clock()) if current else None
        self._metrics.ready.set(self._live.ready)
        self._metrics.certified_seconds.set(math.nan if left is None else left)
        self._metrics.provider.clear()
        if current is not None:
            used = current.model.session.providers
            self._metrics.provider.labels(",".join(self._providers), used[0]).set(1)
            self._metrics.fell_back.set(fell_back(self._providers, used))
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    def _certificate(self, model: LoadedModel) -> dict[str, object] | None:
        if model.certificate is None:
            return None
        left = model.certified_seconds(self._clock())
        fields = {name: value for name, value in model.certificate.to_dict().items() if name not in _NOT_FOR_CALLERS}
        return {**fields, "by": person(model.certificate.by), "expired": left is not None and left <= 0}
