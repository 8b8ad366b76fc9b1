"""A park in memory: a registry, a signer, and tiny models to the contract."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import imaging
from registry.certificates.certificate import Certificate, Certificates, Decision
from registry.channels.channel import Channel, ChannelEntry
from registry.errors import StoreUnavailable
from registry.layout.model_store import blob_key, certificate_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from registry.versions.catalog import Catalog
from serving.inference.session import Session
from tests.registry.memory_keys import MemorySigner

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
    """A memory store that records requests, can be unreachable, and in which objects can be damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.away_for: Callable[[str], bool] = lambda _: False
        self.asked: list[str] = []
        self.listed: Callable[[list[str]], list[str]] = lambda keys: keys
        """The keys that a listing shows."""

    def get(self, key: str) -> bytes:
        self._check(key)
        return super().get(key)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        self._check(prefix)
        return iter(self.listed(list(super().keys(prefix, after=after))))

    def damage(self, key: str, body: bytes) -> None:
        self.lose(key)
        self.create(key, body)

    def lose(self, key: str) -> None:
        self.delete(key)

    def _check(self, key: str) -> None:
        self.asked.append(key)
        if self.away or self.away_for(key):
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
        lineage: Mapping[str, str] = MappingProxyType({}),
    ) -> Version:
        directory = self.directory / f"{len(list(self.directory.iterdir()))}"
        files = version_files(directory, sharpness=sharpness, labels=model_labels or labels)
        if change:
            change(files)
        return self.catalog.publish(
            files, labels=labels, metrics={"sharpness": sharpness}, lineage={"run": directory.name, **lineage}
        )

    def certify(
        self, version: Version, *, decision: Decision = "certified", days: float = 30, by: str = "quinn", note: str = ""
    ) -> Certificate:
        return self.certificates.sign(
            version,
            decision=decision,
            signer=self.signer,
            by=by,
            report_sha256=None,
            expires_at=self.now + timedelta(days=days) if decision == "certified" else None,
            note=note,
        )

    def pass_days(self, days: int) -> None:
        self.now += timedelta(days=days)

    def revoke(self, version: Version | int) -> Certificate:
        return self.certify(self.catalog.version(version) if isinstance(version, int) else version, decision="revoked")

    def litter(self, version: int, body: bytes = b"junk") -> None:
        """Append to a version's decisions, as anyone with write access but without the key could."""
        number = max(self.certificates.numbers(self.catalog.version(version)), default=0) + 1
        self.store.create(certificate_key("pets", version, number), body)

    def release(self, version: Version, *, by: str = "otto") -> ChannelEntry:
        return self.channel.move(version, by=by, why="test")

    def roll_back(self, *, by: str = "otto") -> ChannelEntry:
        return self.channel.roll_back(by=by, why="test")

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
