"""A park in memory: a registry, a signer, tiny models to the contract, and endpoints that follow a channel."""

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from registry.catalog import Catalog
from registry.certificate import Certificate, Certificates, Decision
from registry.channel import Channel, Move
from registry.errors import StoreUnavailable
from registry.layout import blob_key
from registry.object_store import MemoryStore
from registry.signing import MemorySigner, MemoryVerifier
from registry.version import Version
from serving.admission import Admission
from serving.app import create_app
from serving.live import Live
from serving.rollout import Rollout
from serving.session import Session
from serving.settings import Limits, ServingSettings
from serving.telemetry import Metrics
from serving.workers import Workers

LABELS = ("cat", "dog")
SIZE = 32
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def photo(colour: str = "red", *, format: str = "JPEG", size: tuple[int, int] = (80, 60)) -> bytes:
    """A photo of one colour: red ones are cats, blue ones dogs."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, format)
    return file.getvalue()


def write_model(path: Path, *, sharpness: float = 4.0, labels: tuple[str, ...] = LABELS, size: int = SIZE) -> Path:
    """A classifier of 6 weights to the contract; `sharpness` makes versions differ."""
    weights = np.array([[sharpness, 0.0, -sharpness], [-sharpness, 0.0, sharpness]], dtype=np.float32)
    constants = {
        "scale": np.array(1 / 255, dtype=np.float32),
        "flat_weights": weights.T.copy(),
        "map_weights": weights.reshape(2, 3, 1, 1),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["planes"], ["means"]),
        helper.make_node("Flatten", ["means"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "flat_weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("AveragePool", ["planes"], ["grid"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["grid", "map_weights"], ["activation_map"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", size, size, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("activation_map", TensorProto.FLOAT, ["n", 2, size // 8, size // 8]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"labels": json.dumps(labels), "size": str(size)})
    onnx.save(model, path)
    return path


def version_files(directory: Path, *, sharpness: float = 4.0, labels: tuple[str, ...] = LABELS) -> dict[str, Path]:
    """The files of a version whose probes were computed by its own model."""
    import imaging

    directory.mkdir(parents=True, exist_ok=True)
    model = write_model(directory / "model.onnx", sharpness=sharpness, labels=labels)
    session = Session(model)
    files = {"model.onnx": model}
    probes: list[dict[str, object]] = []
    for index, colour in enumerate(("red", "blue", "purple")):
        path = directory / f"{index}.jpg"
        path.write_bytes(photo(colour))
        files[f"probes/{index}.jpg"] = path
        scores = session.probabilities(imaging.decode(path.read_bytes(), SIZE)[np.newaxis])[0]
        probes.append({"photo": f"probes/{index}.jpg", "probabilities": scores.tolist()})
    files["probes.json"] = directory / "probes.json"
    files["probes.json"].write_text(json.dumps(probes))
    return files


class FaultyStore(MemoryStore):
    """A memory store that can be cut off, and in which objects can be damaged."""

    away = False

    def get(self, key: str) -> bytes:
        self._check(key)
        return super().get(key)

    def download(self, key: str, path: Path) -> None:
        self._check(key)
        super().download(key, path)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        self._check(prefix)
        return super().keys(prefix, after=after)

    def damage(self, key: str, body: bytes) -> None:
        self._objects[key] = body

    def lose(self, key: str) -> bytes:
        return self._objects.pop(key)

    def _check(self, key: str) -> None:
        if self.away:
            raise StoreUnavailable(f"read {key}", "the network is down")


@dataclass
class Park:
    """Everything around an endpoint."""

    directory: Path
    store: FaultyStore = field(default_factory=FaultyStore)
    signer: MemorySigner = field(default_factory=MemorySigner)
    now: datetime = NOW
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.catalog = Catalog(self.store, "pets")
        self.certificates = Certificates(self.store, "pets")
        self.channel = Channel(self.store, "pets", "prod")

    def publish(
        self,
        *,
        sharpness: float = 4.0,
        change: Callable[[dict[str, Path]], object] | None = None,
        labels=LABELS,
        model_labels=None,
    ) -> Version:
        directory = self.directory / f"{len(list(self.directory.iterdir()))}"
        files = version_files(directory, sharpness=sharpness, labels=model_labels or labels)
        if change:
            change(files)
        return self.catalog.publish(
            files, labels=labels, metrics={"sharpness": sharpness}, lineage={"run": directory.name}
        )

    def certify(self, version: Version, *, decision: Decision = "certified", days: float = 30) -> Certificate:
        return self.certificates.sign(
            version,
            decision=decision,
            signer=self.signer,
            by="quinn",
            report_sha256=None,
            expires_at=self.now + timedelta(days=days) if decision == "certified" else None,
            note="",
        )

    def release(self, version: Version) -> Move:
        return self.channel.move(version, by="otto", why="test")

    def certified(self, *, sharpness: float = 4.0) -> Version:
        version = self.publish(sharpness=sharpness)
        self.certify(version)
        return version

    def spoil(self, version: Version, name: str, body: bytes | None) -> None:
        """Damage a blob of a version, or lose it."""
        file = version.file(name)
        assert file is not None
        key = blob_key("pets", file.sha256)
        if body is None:
            self.store.lose(key)
        else:
            self.store.damage(key, body)


class Http:
    """httpx over the application itself, no socket between."""

    def __init__(self, app) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

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
    """One endpoint of the park, its follower stepped by hand."""

    def __init__(self, park: Park, *, require_certificate: bool = True, limits: Limits | None = None, threads: int = 2):
        self.live, self.metrics = Live(), Metrics()
        self.settings = ServingSettings(
            model_store="store",
            model="pets",
            channel="prod",
            signing_key="key",
            require_certificate=require_certificate,
            threads=threads,
            limits=limits or Limits(),
        )
        admission = Admission(
            catalog=park.catalog,
            certificates=park.certificates,
            verifier=MemoryVerifier(park.signer) if require_certificate else None,
            clock=lambda: park.now,
            max_pixels=self.settings.limits.pixels,
        )
        self.rollout = Rollout(
            channel=park.channel,
            admission=admission,
            live=self.live,
            metrics=self.metrics,
            monotonic=lambda: park.seconds,
        )
        self.workers = Workers(threads=threads, queue=self.settings.limits.queue)
        self.app = create_app(self.settings, live=self.live, metrics=self.metrics, workers=self.workers)
        self.routes = cast(Any, self.app.app).routes
        self.http = Http(self.app)
        self.photo = photo()

    def follow(self) -> bool:
        return self.rollout.step()

    def model(self) -> dict[str, object]:
        return self.http.get("/v1/model").json()

    def classify(self, body: bytes | None = None, content_type: str = "image/jpeg", **parameters: str):
        content = self.photo if body is None else body
        return self.http.post(
            "/v1/classify", params=parameters, content=content, headers={"content-type": content_type}
        )

    def metric(self, name: str, /, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def close(self) -> None:
        self.workers.close()


@pytest.fixture
def park(tmp_path: Path) -> Park:
    directory = tmp_path / "versions"
    directory.mkdir()
    return Park(directory)


@pytest.fixture
def open_endpoint(park: Park) -> Iterator[Callable[..., Endpoint]]:
    opened: list[Endpoint] = []

    def open_one(**options) -> Endpoint:
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
def make_photo() -> Callable[..., bytes]:
    return photo


@pytest.fixture
def make_model() -> Callable[..., Path]:
    return write_model


@pytest.fixture
def make_version_files() -> Callable[..., dict[str, Path]]:
    return version_files
