"""What reads bytes from outside, as fuzz targets: bytes in; nothing but the named errors may come out.

Each target also says what it starts from. Findings lie in `corpus/<target>/` and are played again by every test run.
"""

import gzip
import io
import json
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import rfc8785
import yaml
from PIL import Image

import imaging
from camera.settings import EXAMPLE, SettingsInvalid, parse_settings, parse_source
from imaging.errors import PhotoError
from imaging.jpeg import has_more_scans
from petpark.downloads.errors import ArchiveRefused
from petpark.downloads.unpack import unpack
from registry.certificates.certificate import PAYLOAD_TYPE, Certificate, parse_envelope
from registry.channels.channel import ChannelEntry
from registry.channels.experiment import Conclusion, Experiment, Experiments
from registry.channels.experiment_rule import Evidence, Rule
from registry.encoding import canonical
from registry.errors import RegistryError
from registry.errors.experiments import ExperimentMalformed
from registry.layout.model_store import experiment_key
from registry.store.memory_store import MemoryStore
from registry.version import StoredFile, Version
from serving.auth.key_record import ApiKey, RecordMalformed
from serving.http.content_encoding import decoder
from serving.http.multipart import photo_of, photos_of
from serving.http.tensors import read_request
from serving.problems import Problem
from tests.fuzz.mutate import Mutate, behind, documents, framed, png_checksums, tar_checksums
from training.dataset.index import read_index
from training.dataset.sources.archive import ArchiveSource
from training.errors import DatasetRefused

_SIDE = 8
_MOMENT = "2030-01-01T00:00:00.000000Z"
_LATER = "2031-01-01T00:00:00.000000Z"


@dataclass(frozen=True, kw_only=True)
class Target:
    """`play` takes any bytes; `seeds` are those to begin with; `mutate` gives changes that pass the first checks."""

    play: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    mutate: Mutate | None = None


def photo(data: bytes) -> None:
    """Decode a photo: pixels of the size that was requested, or a `PhotoError`."""
    has_more_scans(data, 3)
    with suppress(PhotoError):
        assert imaging.decode(data, _SIDE, max_pixels=10_000).shape == (_SIDE, _SIDE, 3)


def _photos() -> Iterator[bytes]:
    for mode in ("RGB", "L", "P", "RGBA", "CMYK", "1", "I;16"):
        image = Image.new(mode, (12, 9), 1 if mode in {"L", "P", "1", "I;16"} else tuple(range(40, 40 + len(mode))))
        for format, options in (("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})):
            file = io.BytesIO()
            with suppress(OSError):
                image.save(file, format, **options)
                yield file.getvalue()


def form(data: bytes) -> None:
    """Read a multipart form: the first line is its Content-Type."""
    kind, _, body = data.partition(b"\n")
    for read in (photo_of, lambda body, kind: photos_of(body, kind, most=3)):
        with suppress(Problem):
            read(body, kind.decode("latin-1"))


def _forms() -> Iterator[bytes]:
    part = b'--e\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\nxyz\r\n'
    for count in (0, 1, 2):
        yield b"multipart/form-data; boundary=e\n" + part * count + b"--e--\r\n"


def tensor(data: bytes) -> None:
    """Read a request of the Open Inference Protocol: the first byte says how much of it is JSON, 0 all."""
    header = data[0] if data and data[0] else None
    with suppress(Problem):
        request = read_request(data[1:], header, size=1, batch=2)
        assert request.images.shape[1:] == (1, 1, 3)


def _tensors() -> Iterator[bytes]:
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 3]}
    yield b"\0" + json.dumps({"id": "1", "inputs": [{**image, "data": [1, 2, 3]}]}).encode()
    yield b"\0" + json.dumps({"inputs": [{**image, "data": [[[[1, 2, 3]]]], "parameters": None}]}).encode()
    head = json.dumps(
        {
            "inputs": [{**image, "parameters": {"binary_data_size": 3}}],
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
        }
    ).encode()
    yield bytes([len(head)]) + head + b"abc"


def body(data: bytes) -> None:
    """Decode a body by its Content-Encoding, the first line, in pieces of the size that the next byte says."""
    coding, _, rest = data.partition(b"\n")
    size = 1 + (rest[0] if rest else 0)
    with suppress(Problem):
        decode = decoder(coding.decode("latin-1"))
        for start in range(1, len(rest), size):
            for piece in decode.pieces(rest[start : start + size]):
                assert len(piece) <= 256 * 1024
        decode.end()


def _bodies() -> Iterator[bytes]:
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    yield b"gzip\n\x07" + gzip.compress(b"photo" * 9, mtime=0)
    yield b"deflate\n\0" + zlib.compress(b"photo" * 9)
    yield b"deflate\n\x40" + raw.compress(b"photo" * 9) + raw.flush()
    yield b"identity\n\x03photo"


def index(data: bytes) -> None:
    """Read a table of photos: CSV, or JSON Lines where the first byte is `j`."""
    with suppress(DatasetRefused):
        found = read_index("index.jsonl" if data[:1] == b"j" else "index.csv", data[1:])
        assert not set(found.rows) & set(found.refused)


def _indexes() -> Iterator[bytes]:
    yield b"ckey,label,camera,captured_at\na.jpg,cat,gate,2026-03-01T21:04:05\nb.jpg,,,\n"
    yield b'ckey,label\n"a\nb",cat\n'
    yield b'j{"key": "a.jpg", "label": "cat", "captured_at": "2026-03-01T21:04:05+02:00"}\n{"key": "b", "label": 1}\n'


def archive(data: bytes) -> None:
    """Read an archive of photos."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        file.write(data)
        file.flush()
        with suppress(DatasetRefused):
            for item in ArchiveSource(Path(file.name)):
                item.key.encode()  # keys are written as UTF-8


def download(data: bytes) -> None:
    """Unpack a download, a `.zip` where the first byte is `z`; nothing may be written outside the folder."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        packed = root / ("a.zip" if data[:1] == b"z" else "a.tar.gz")
        packed.write_bytes(data[1:] if data[:1] == b"z" else gzip.compress(data[1:], 1))
        with suppress(ArchiveRefused):
            unpack(packed, root / "folder", limit=100_000)
        assert {path.name for path in root.iterdir()} <= {packed.name, "folder"}


def _tars() -> Iterator[bytes]:
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=format) as made:
            for name in ("cat/a.jpg", "cat/ż.jpg"):
                entry = tarfile.TarInfo(name)
                entry.size = 3
                made.addfile(entry, io.BytesIO(b"abc"))
        yield file.getvalue()[:3072]


def _downloads() -> Iterator[bytes]:
    for made in _tars():
        yield b"t" + made


def stored(data: bytes) -> None:
    """Read each kind of registry object, also from its canonical form: most mutations would end at that check."""
    readers = (Version.from_bytes, ChannelEntry.from_bytes, Certificate.from_statement, parse_envelope, _experiment)
    for spelling in {data, *_canonical(data)}:
        for read in readers:
            with suppress(RegistryError, ExperimentMalformed):
                read(spelling)


def _experiment(data: bytes) -> None:
    store = MemoryStore()
    store.create(experiment_key("pets", "prod", 1), data)
    Experiments(store, "pets", "prod").history()


def _canonical(data: bytes) -> Iterator[bytes]:
    with suppress(ValueError, RecursionError, AttributeError):
        yield rfc8785.dumps(json.loads(data))


def _stored() -> Iterator[bytes]:
    version = Version(
        model="pets",
        number=1,
        created_at=_MOMENT,
        files=(StoredFile(name="a/b", sha256="a" * 64, bytes=1),),
        labels=("cat",),
        metrics={"accuracy": 0.5},
        lineage={"run": "r"},
    )
    yield version.to_bytes()
    yield ChannelEntry(
        channel="prod",
        number=1,
        version=1,
        digest=version.digest,
        by="mia",
        why="",
        at=_MOMENT,
        write_id="0" * 32,
        previous=None,
        restores=None,
        previous_sha256=None,
    ).to_bytes()
    certificate = Certificate(
        model="pets",
        version=1,
        digest=version.digest,
        number=1,
        decision="certified",
        by="vera",
        report_sha256=None,
        at=_MOMENT,
        expires_at=_LATER,
        note="",
    )
    yield certificate.statement()
    yield canonical(
        {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": [{"keyid": "0" * 64, "sig": "MEUCIQ=="}]}
    )
    yield from _experiments(version.digest)


def _experiments(digest: str) -> Iterator[bytes]:
    own = {"channel": "prod", "by": "mia", "at": _MOMENT, "write_id": "0" * 32}
    yield Experiment(
        **own,
        number=1,
        version=2,
        digest=digest,
        champion=1,
        entry=1,
        mode="canary",
        share=0.1,
        rule=Rule(),
        why="try",
        until=_LATER,
        previous_sha256=None,
    ).to_bytes()
    yield Conclusion(
        **own,
        number=2,
        experiment=1,
        outcome="stopped",
        reasons=("enough",),
        evidence=Evidence(compared=3, endpoints=1),
        previous_sha256="a" * 64,
    ).to_bytes()


def cameras(data: bytes) -> None:
    """Read an agent's settings and a `--source`: settings, or a sentence that holds no password."""
    text = data.decode("utf-8", "replace")
    with suppress(SettingsInvalid):
        parse_settings({"home": "/h", "cameras": [parse_source(text)]}, where="x")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return  # PyYAML's own; `load_settings` gives them a sentence
    with suppress(SettingsInvalid):
        parse_settings(document, where="x")


def _cameras() -> Iterator[bytes]:
    yield EXAMPLE.encode()
    yield b"gate=rtsp://user:pa[ss@[::1]:554/x?user=a&password=b"
    yield json.dumps({"home": "/h", "cameras": [{"name": "a", "url": "x", "stay": 0.1, "background": ["b"]}]}).encode()


def key(data: bytes) -> None:
    """Read the record of an API key."""
    with suppress(RecordMalformed):
        ApiKey.from_json("edge", data.decode("utf-8", "replace")).to_dict()


def _keys() -> Iterator[bytes]:
    record = {
        "hash": "a" * 64,
        "rate": 2.5,
        "burst": 5,
        "created": "2030-01-01T00:00:00+00:00",
        "expires": None,
        "scopes": ["classify"],
    }
    yield json.dumps(record).encode()
    previous = {"hash": "b" * 64, "until": "2030-01-02T00:00:00+00:00"}
    yield json.dumps({**record, "expires": "2031-01-01T00:00:00+02:00", "previous": previous}).encode()


TARGETS = {
    "photo": Target(play=photo, seeds=_photos, mutate=png_checksums),
    "form": Target(play=form, seeds=_forms),
    "tensor": Target(play=tensor, seeds=_tensors, mutate=framed),
    "body": Target(play=body, seeds=_bodies),
    "index": Target(play=index, seeds=_indexes),
    "archive": Target(play=archive, seeds=_tars, mutate=tar_checksums),
    "download": Target(play=download, seeds=_downloads, mutate=behind(1, tar_checksums)),
    "stored": Target(play=stored, seeds=_stored, mutate=documents),
    "cameras": Target(play=cameras, seeds=_cameras, mutate=documents),
    "key": Target(play=key, seeds=_keys, mutate=documents),
}
