"""`petpark test`: a version on photos of yours, beside what its report claims; and the same at an endpoint."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NoReturn

import pytest
from botocore.exceptions import NoCredentialsError
from PIL import Image

from petpark.errors import StackNotDeployed
from petpark.models.subjects import photo_type
from petpark.targets.target import Target
from registry.encoding import sha256_hex
from registry.layout.data_lake import photo_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from serving.http.classify import PHOTO_TYPES
from tests.petpark.conftest import FakeTarget, Place, Run
from tests.serving.park import photo, write_model
from tests.training.evaluation.baseline.test_copies import lawn, with_animal
from tests.training.evaluation.figures.test_slices import PHOTO
from training.dataset.index import Row
from training.dataset.ingest import describe
from training.dataset.manifest import Manifest, Split, store_manifest

CLAIM = {"accuracy": 0.95, "accuracy_low": 0.93, "accuracy_high": 0.97, "n": 400.0}
LEARNED = photo("red", size=(81, 60))


@pytest.fixture
def version(place: Place, tmp_path: Path) -> Version:
    """Red ones are cats, blue ones dogs; it learned from one photo."""
    lake = place.buckets.setdefault("lake", MemoryStore())
    learned = replace(PHOTO, sha256=sha256_hex(LEARNED), split=Split.TRAIN)
    dataset = store_manifest(lake, Manifest.of([learned]))
    model = write_model(tmp_path / "model.onnx")
    return place.catalog.publish(
        {"model.onnx": model}, labels=["cat", "dog"], metrics=CLAIM, lineage={"dataset": dataset}
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten cats of two breeds, one of which looks like dogs; six dogs; a photo that was learned from; no photo."""
    folder = tmp_path / "photos"
    for name, colour, count in (("cat/red cat", "red", 5), ("cat/blue cat", "blue", 5), ("dog", "blue", 6)):
        (folder / name).mkdir(parents=True)
        for n in range(count):
            (folder / name / f"{n}.jpg").write_bytes(photo(colour, size=(90 + n, 70 + len(name))))
    (folder / "cat" / "learned.jpg").write_bytes(LEARNED)
    (folder / "dog" / "broken.jpg").write_bytes(b"no photo")
    return folder


def test_a_version_is_tested_on_photos_of_yours_by_group_and_beside_its_claim(
    run: Run, version: Version, photos: Path
) -> None:
    told = json.loads(run("test", str(photos), "--version", str(version.number), "--json").stdout)
    assert (told["photos"], told["right"], told["learned"]) == (16, 11, 1)
    assert told["low"] < told["accuracy"] < told["high"]
    shares = {(each["column"], each["value"]): each["accuracy"] for each in told["groups"]}
    assert shares == {("subfolder", "blue cat"): 0, ("subfolder", "red cat"): 1}
    assert {each["value"]: each["accuracy"] for each in told["classes"]} == {"cat": 0.5, "dog": 1}
    assert [each["key"] for each in told["skipped"]] == ["dog/broken.jpg"]
    assert told["left_out"] == [{"key": "cat/learned.jpg", "learned_as": PHOTO.key, "copy": False}]
    assert told["unknown"] is None
    assert len(told["wrong"]) == 5
    said = run("test", str(photos), "--version", str(version.number))
    assert said.exit_code == 0
    for part in (
        "95.0 % (93.0 % to 97.0 %), 400 photos",
        "1 photo that it was trained on",
        "Left out: 1",
        "By subfolder, worst first",
    ):
        assert part in said.stdout, part
    assert "not for new breeds" in " ".join(said.stdout.split())


@pytest.fixture
def trained(place: Place, tmp_path: Path) -> Version:
    """It learned from what the camera saw, with one animal."""
    lake = place.buckets.setdefault("lake", MemoryStore())
    learned = describe("lawn.jpg", seen(0.1), seed=1, row=Row(label="cat", camera=None, captured_at=None))
    lake.create(photo_key(learned.sha256), seen(0.1))
    dataset = store_manifest(lake, Manifest.of([replace(learned, split=Split.TRAIN)]))
    model = write_model(tmp_path / "model.onnx")
    return place.catalog.publish({"model.onnx": model}, labels=["cat", "dog"], metrics={}, lineage={"dataset": dataset})


def seen(across: float, **options: object) -> bytes:
    file = io.BytesIO()
    with_animal(lawn(), across, 0.3).save(file, "JPEG", **options)
    return file.getvalue()


def test_copies_in_other_bytes_are_left_out_and_other_photos_of_the_camera_are_not(
    run: Run, trained: Version, tmp_path: Path
) -> None:
    folder = tmp_path / "given" / "cat"
    folder.mkdir(parents=True)
    for name, body in (
        ("again", seen(0.1, quality=40)),
        ("same", seen(0.1)),
        ("other", seen(0.5)),
        ("more", seen(0.7)),
    ):
        (folder / f"{name}.jpg").write_bytes(body)
    told = json.loads(run("test", str(folder.parent), "--version", "1", "--json").stdout)
    assert (told["photos"], told["learned"]) == (2, 2)
    assert {each["key"]: each["copy"] for each in told["left_out"]} == {"cat/again.jpg": True, "cat/same.jpg": False}
    assert told["unknown"] == "version 1 has no test metrics"
    said = " ".join(run("test", str(folder.parent), "--version", "1").stdout.split())
    assert "2 photos that it was trained on, 1 of them as a copy in other bytes" in said
    assert "a copy, in other bytes, of lawn.jpg" in said
    (folder / "other.jpg").unlink()
    (folder / "more.jpg").unlink()
    refused = run("test", str(folder.parent), "--version", "1")
    assert "no photo in" in refused.stderr
    assert "(2 that it was trained on, 0 skipped)" in " ".join(refused.stderr.split())


def test_columns_of_an_index_are_groups(run: Run, version: Version, photos: Path, tmp_path: Path) -> None:
    keys = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*/*.jpg"))]
    rows = [f"{key},{key.split('/')[0]},lawn,{'shy' if 'blue' in key else 'bold'}" for key in keys]
    index = tmp_path / "index.csv"
    index.write_text("\n".join(["key,label,camera,mood", *rows]))
    told = json.loads(
        run("test", str(photos), "--version", str(version.number), "--index", str(index), "--json").stdout
    )
    assert {(each["column"], each["value"]): each["photos"] for each in told["groups"]} == {
        ("camera", "lawn"): 16, ("mood", "shy"): 5, ("mood", "bold"): 11,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "outcome", "said"),
    [
        ("cow", "DatasetRefused", "which version 1 does not know; it knows: cat, dog"),
        ("", "DatasetRefused", "no photo"),
    ],
)
def test_photos_that_cannot_be_tested_are_refused_with_what_to_do(
    run: Run, version: Version, tmp_path: Path, folder: str, outcome: str, said: str
) -> None:
    place = tmp_path / "given" / folder
    place.mkdir(parents=True)
    (place / "a.jpg").write_bytes(photo())
    found = run("test", str(tmp_path / "given"), "--version", "1")
    assert found.exit_code == 1
    assert f"{outcome}: " in found.stderr
    assert said in " ".join(found.stderr.split())


def test_it_is_one_of_a_version_and_an_endpoint(run: Run, tmp_path: Path) -> None:
    assert run("test", str(tmp_path)).exit_code == 2
    assert run("test", str(tmp_path), "--version", "1", "--endpoint", "http://127.0.0.1:1").exit_code == 2


@contextmanager
def endpoint(*, labels: list[str], key: str = "", **served: object) -> Generator[str]:
    """Answers dog to every photo, to those with the key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"labels": labels, "version": 7, **served})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            allowed = not key or self.headers.get("authorization") == f"Bearer {key}"
            known = self.headers.get("content-type") in PHOTO_TYPES  # as an endpoint has it
            status = 401 if not allowed else 415 if not known else 422 if body == b"no photo" else 200
            self._answer({"label": "dog"}, status)

        def _answer(self, body: object, status: int = 200) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_photo_is_sent_as_what_it_is(kind: str) -> None:
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, kind)
    assert photo_type(written.getvalue()) == f"image/{kind}" in PHOTO_TYPES


def test_an_endpoint_is_tested_as_its_callers_see_it(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(labels=["cat", "dog"], key="pp_1") as url:
        refused = run("test", str(photos), "--endpoint", url)
        assert (refused.exit_code, refused.stderr.partition(":")[0]) == (2, "EndpointUnfit")
        assert "PETPARK_API_KEY" in refused.stderr
        monkeypatch.setenv("PETPARK_API_KEY", "pp_1")
        told = json.loads(run("test", str(photos), "--endpoint", url, "--json").stdout)
    assert (told["tested"], told["photos"], told["right"]) == (f"version 7 at {url}", 17, 6)
    assert (told["learned"], told["claim"]) == (None, None)
    assert told["unknown"] == "the endpoint does not report its version"


def test_what_an_endpoint_serves_is_looked_up_for_its_claim_and_what_it_learned_from(
    run: Run, version: Version, photos: Path
) -> None:
    with endpoint(labels=["cat", "dog"], version=version.number, digest=version.digest) as url:
        told = json.loads(run("test", str(photos), "--endpoint", url, "--json").stdout)
        said = " ".join(run("test", str(photos), "--endpoint", url).stdout.split())
    assert (told["photos"], told["right"], told["learned"], told["unknown"]) == (16, 6, 1, None)
    assert told["left_out"] == [{"key": "cat/learned.jpg", "learned_as": PHOTO.key, "copy": False}]
    assert told["claim"] == {"accuracy": 0.95, "interval": [0.93, 0.97], "photos": 400}
    assert "95.0 % (93.0 % to 97.0 %), 400 photos" in said
    assert "These photos are harder for it" in said


def unreachable(_kind: str, _stack: str) -> Target:
    raise StackNotDeployed("Stack test has no outputs.", next_step="pulumi up")


@pytest.mark.parametrize(
    ("number", "broken", "why"),
    [
        (1, "", "version 1 of this registry is not the version that the endpoint serves"),
        (9, "", "the registry cannot be read: expected version 9"),
        (1, "stack", "the registry cannot be read: Stack test has no outputs"),
        (1, "account", "the registry cannot be read: Unable to locate credentials"),
    ],
)
def test_an_endpoint_whose_version_cannot_be_looked_up_is_tested_all_the_same_and_says_why(
    place: Place, run: Run, version: Version, photos: Path, number: int, broken: str, why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def denied(*_: object, **__: object) -> NoReturn:
        raise NoCredentialsError

    if broken == "account":
        monkeypatch.setattr(FakeTarget, "store", denied)
    if broken == "stack":
        monkeypatch.setattr(Place, "target", lambda *_: unreachable("", ""))
    with endpoint(labels=["cat", "dog"], version=number, digest="sha256:" + "0" * 64) as url:
        told = json.loads(run("test", str(photos), "--endpoint", url, "--json").stdout)
        said = " ".join(run("test", str(photos), "--endpoint", url).stdout.split())
    assert (told["photos"], told["claim"], told["left_out"]) == (17, None, None)
    assert told["unknown"].startswith(why)
    assert why in said
    assert "unknown which photos it was trained on" in said


def test_an_endpoint_that_serves_nothing_or_is_not_there_is_named(run: Run, photos: Path) -> None:
    with endpoint(labels=[]) as url:
        assert "serves no model" in run("test", str(photos), "--endpoint", url).stderr
    gone = run("test", str(photos), "--endpoint", url)
    assert (gone.exit_code, gone.stderr.partition(":")[0]) == (2, "EndpointUnfit")
