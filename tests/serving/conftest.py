"""Endpoints of a park in memory that follow a channel, and talk HTTP without a socket."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import pytest

from registry.channels.channel import Channel
from registry.channels.experiment import Experiments
from registry.store.blob_cache import BlobCache
from registry.telemetry import TelemetryPolicy
from registry.version import Version
from registry.versions.catalog import Catalog
from serving.app import Dependencies, create_app
from serving.auth.api_key_auth import ApiKeyAuth
from serving.auth.key_log import KeyLog
from serving.auth.key_polling import KeyRing
from serving.auth.rate_limit import Rates
from serving.http.body import Bodies
from serving.http.request_middleware import RequestMiddleware
from serving.http.workers import Workers
from serving.pages.registry_view import RegistryView
from serving.pages.rollback import OpensPromotionService
from serving.recording.recorder import Recorder
from serving.release.admission import Admission
from serving.release.challenger import Challenger
from serving.release.experiment_counters import ExperimentCollector
from serving.release.live import Live
from serving.release.rollout import Rollout
from serving.release.shadow import Shadow
from serving.settings import Limits, ServingSettings
from serving.telemetry import Metrics
from tests.registry.memory_keys import MemoryVerifier
from tests.serving.eager import EagerTransport
from tests.serving.parameters import Parameters
from tests.serving.park import Park, photo, version_files, write_model


class Http:
    """httpx over the application itself, no socket between."""

    def __init__(self, app) -> None:
        self._transport = EagerTransport(app, raise_app_exceptions=False)

    def get(self, path: str, **options) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options) -> httpx.Response:
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://park") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())


class Endpoint:
    """One endpoint of the park, whose follower the test steps."""

    def __init__(
        self,
        park: Park,
        *,
        require_certificate: bool = True,
        two_people: bool = True,
        limits: Limits | None = None,
        threads: int = 2,
        cache: Path | None = None,
        api_keys: Literal["required", "open"] = "open",
        parameters: Parameters | None = None,
        open_promotion_service: OpensPromotionService | None = None,
        cameras: tuple[str, ...] = (),
        telemetry: TelemetryPolicy | None = None,
        channel: str = "prod",
    ):
        self.live, self.metrics = Live(), Metrics()
        self._park, self._store = park, park.store
        self.settings = ServingSettings(
            model_store="store",
            model="pets",
            channel=channel,
            signing_key="key",
            require_certificate=require_certificate,
            threads=threads,
            api_keys=api_keys,
            cameras=cameras,
            limits=limits or Limits(),
        )
        self.catalog = Catalog(park.store, "pets", cache=BlobCache(cache) if cache else None)
        admission = Admission(
            catalog=self.catalog,
            certificates=park.certificates,
            verifier=MemoryVerifier(park.signer) if require_certificate else None,
            clock=lambda: park.now,
            max_pixels=self.settings.limits.pixels,
            two_people=two_people,
        )
        self.rollout = Rollout(
            channel=Channel(park.store, "pets", channel),  # its own: what the writer remembers is not known here
            admission=admission,
            live=self.live,
            metrics=self.metrics,
            monotonic=lambda: park.seconds,
        )
        self.ring = None if parameters is None else self._create_key_ring(parameters)
        self.auth = self._create_auth(required=api_keys == "required")
        self.bodies = Bodies(self.settings.limits)
        self.challenger = self._create_challenger(admission, channel)
        self.workers = Workers(threads=threads, queue=self.settings.limits.queue)
        self.shadow = Shadow()
        self.recorder = None if telemetry is None else self._create_recorder(telemetry, channel)
        self.app = self._create_app(channel, open_promotion_service)
        self.routes = cast(Any, self.app.app).others.routes
        self.http = Http(self.app)
        self.photo = photo()

    def follow(self) -> bool:
        return self.rollout.step()

    def requests(self) -> list[str]:
        """Poll once. Returns the requests to the store."""
        before = len(self._store.asked)
        self.follow()
        return self._store.asked[before:]

    def model(self) -> dict[str, Any]:
        return self.http.get("/v1/model").json()

    @property
    def in_force(self) -> int | None:
        return self.model()["version"]

    @property
    def refusal(self) -> tuple[int, str] | None:
        refused = self.model()["refused"]
        return refused and (refused["version"], refused["reason"])

    @property
    def answers(self) -> int | None:
        """The version that serves a request; None for a 503."""
        answer = self.classify()
        assert answer.status_code in {200, 503}
        return answer.json()["model"]["version"] if answer.status_code == 200 else None

    @property
    def ready(self) -> bool:
        return self.http.get("/healthz/ready").status_code == 200

    def classify(self, body: bytes | None = None, content_type: str = "image/jpeg", **parameters: str):
        content = self.photo if body is None else body
        return self.http.post(
            "/v1/classify", params=parameters, content=content, headers={"content-type": content_type}
        )

    def metric(self, name: str, /, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def close(self) -> None:
        self.workers.close()

    def _create_auth(self, *, required: bool) -> ApiKeyAuth:
        return ApiKeyAuth(
            self.ring,
            required=required,
            metrics=self.metrics,
            rates=Rates(lambda: self._park.seconds),
            clock=lambda: self._park.now,
        )

    def _create_challenger(self, admission: Admission, channel: str) -> Challenger:
        return Challenger(
            experiments=Experiments(self._park.store, "pets", channel, clock=lambda: self._park.now),
            admission=admission,
            live=self.live,
            collector=ExperimentCollector(self.metrics.registry),
            clock=lambda: self._park.now,
            monotonic=lambda: self._park.seconds,
        )

    def _create_key_ring(self, parameters: Parameters) -> KeyRing:
        ring = KeyRing(
            KeyLog(parameters.store, parameters.prefix),
            metrics=self.metrics,
            clock=lambda: self._park.now,
            monotonic=lambda: self._park.seconds,
        )
        ring.refresh()
        return ring

    def _create_recorder(self, policy: TelemetryPolicy, channel: str) -> Recorder:
        return Recorder(
            policy,
            self._park.store,
            stack=channel,
            channel=channel,
            instance="host",
            metrics=self.metrics,
            clock=lambda: self._park.seconds,
        )

    def _create_app(self, channel: str, open_promotion_service: OpensPromotionService | None) -> RequestMiddleware:
        return create_app(
            self.settings,
            Dependencies(
                live=self.live,
                metrics=self.metrics,
                workers=self.workers,
                bodies=self.bodies,
                auth=self.auth,
                recorder=self.recorder,
            ),
            shadow=self.shadow,
            view=RegistryView(
                self._park.store,
                "pets",
                follows=channel,
                verifier=MemoryVerifier(self._park.signer),
                memory=None,
                clock=lambda: self._park.now,
                monotonic=lambda: self._park.seconds,
            ),
            open_promotion_service=open_promotion_service,
            clock=lambda: self._park.now,
        )


@pytest.fixture
def park(tmp_path: Path) -> Park:
    directory = tmp_path / "versions"
    directory.mkdir()
    return Park(directory)


@pytest.fixture
def open_endpoint(park: Park) -> Iterator[Callable[..., Endpoint]]:
    opened: list[Endpoint] = []

    def open_one(*, park: Park = park, **options) -> Endpoint:
        opened.append(Endpoint(park, **options))
        return opened[-1]

    yield open_one
    for endpoint in opened:
        endpoint.close()


@pytest.fixture
def endpoint(park: Park, open_endpoint: Callable[..., Endpoint]) -> Endpoint:
    """An endpoint that answers from certified version 1."""
    park.release(park.certified())
    opened = open_endpoint()
    assert opened.follow()
    return opened


@pytest.fixture
def parameters() -> Parameters:
    return Parameters()


@pytest.fixture
def guarded(park: Park, parameters: Parameters, open_endpoint: Callable[..., Endpoint]) -> Endpoint:
    """An endpoint that serves version 1 to callers with a key."""
    park.release(park.certified())
    opened = open_endpoint(api_keys="required", parameters=parameters)
    assert opened.follow()
    return opened


@pytest.fixture
def second(endpoint: Endpoint, park: Park) -> Version:
    """Version 2, in force at an endpoint that answered from version 1 before."""
    version = park.certified(sharpness=2.0)
    park.release(version)
    endpoint.follow()
    assert endpoint.answers == 2
    return version


@pytest.fixture
def make_photo() -> Callable[..., bytes]:
    return photo


@pytest.fixture
def make_model() -> Callable[..., Path]:
    return write_model


@pytest.fixture
def make_version_files() -> Callable[..., dict[str, Path]]:
    return version_files


@pytest.fixture
def answering_by(park: Any, open_endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Open an endpoint that serves a certified version whose files were changed before it was published."""

    def open_one(change: Callable[..., Any]) -> Any:
        version = park.publish(change=change)
        park.certify(version)
        park.release(version)
        endpoint = open_endpoint()
        endpoint.follow()
        return endpoint

    return open_one
