"""The public set of pets, from a server of this machine that has archives of the same layout; and without one."""

import hashlib
import http.server
import socket
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from torchvision.datasets import OxfordIIITPet

from registry.store.memory_store import MemoryStore
from tests.training.photos import jpeg
from training.dataset import ingest_from
from training.dataset.sources import Candidate
from training.dataset.sources.oxford import OXFORD_PETS, OxfordPetsSource
from training.errors import PhotosUnreachable

BREEDS = (("Abyssinian", 1), ("great_pyrenees", 2), ("Maine_Coon", 1))
PER_BREED = 30


def archives(folder: Path) -> None:
    """What the real archives have: photos, and lines with the breed of each, and if it is a cat (1) or a dog (2)."""
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for breed, (name, species) in enumerate(BREEDS, start=1):
        for number in range(PER_BREED):
            photo = f"{name}_{number}"
            (folder / "images" / f"{photo}.jpg").write_bytes(jpeg(1000 * breed + number))
            lines[("trainval", "test")[number % 2]].append(f"{photo} {breed} {species} 1\n")
    (folder / "images" / "Abyssinian_999.jpg").write_bytes(b"in no list, as some are")
    for name, content in lines.items():
        (folder / "annotations" / f"{name}.txt").write_text("".join(content))
    for name in ("images", "annotations"):
        with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as tar:
            tar.add(folder / name, name)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("published")
    archives(folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


@pytest.fixture
def served(published: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    address, folder = published
    publish_at(monkeypatch, address, folder)
    return folder


def publish_at(monkeypatch: pytest.MonkeyPatch, address: str, folder: Path, **md5: str) -> None:
    resources = [
        (f"{address}/{name}.tar.gz", md5.get(name) or hashlib.md5((folder / f"{name}.tar.gz").read_bytes()).hexdigest())
        for name in ("images", "annotations")
    ]
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", resources)


def keys(source: OxfordPetsSource) -> set[str]:
    return {found.key for found in source}


def test_cats_and_dogs_of_both_lists_become_one_dataset(served: Path, tmp_path: Path, capsys):
    source = OxfordPetsSource.fetch(tmp_path)
    found = ingest_from(source, MemoryStore(), seed=1)
    assert len(found.manifest.photos) == source.count() == 3 * PER_BREED
    assert {label: sum(per.values()) for label, per in found.manifest.counts().items()} == {"cat": 60, "dog": 30}
    assert {"cat/Maine_Coon_3.jpg", "dog/great_pyrenees_4.jpg"} <= keys(source)
    first = next(iter(source))
    assert isinstance(first, Candidate)
    assert first.read() == (served / "images" / first.key.rpartition("/")[2]).read_bytes()
    assert capsys.readouterr() == ("", "")


def test_breeds_are_classes_where_they_are_asked_for(served: Path, tmp_path: Path):
    labels = {key.partition("/")[0] for key in keys(OxfordPetsSource.fetch(tmp_path, by_breed=True))}
    assert labels == {"abyssinian", "great-pyrenees", "maine-coon"}


def test_what_was_fetched_is_not_fetched_again_and_half_unpacked_photos_are_no_whole(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = keys(OxfordPetsSource.fetch(tmp_path))
    (tmp_path / OXFORD_PETS / "images" / "Abyssinian_0.jpg").unlink()
    publish_at(monkeypatch, "http://127.0.0.1:1", served)
    again = OxfordPetsSource.fetch(tmp_path)
    assert keys(again) == whole
    assert all(path.exists() for _, path in again.photos)


def test_other_bytes_than_torchvision_expects_are_refused(
    published: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publish_at(monkeypatch, *published, annotations="0" * 32)
    with pytest.raises(PhotosUnreachable, match="corrupted"):
        OxfordPetsSource.fetch(tmp_path)


def test_where_they_cannot_be_reached_it_is_said_how_to_bring_them(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publish_at(monkeypatch, "http://127.0.0.1:1", served)
    with pytest.raises(PhotosUnreachable, match=r"refused.*fetch http://127\.0\.0\.1:1/images\.tar\.gz and .*put both"):
        OxfordPetsSource.fetch(tmp_path)


def test_a_server_that_falls_silent_is_given_up(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publish_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}", served)
        with pytest.raises(PhotosUnreachable, match="timed out"):
            OxfordPetsSource.fetch(tmp_path, silence_seconds=0.2)
    assert socket.getdefaulttimeout() is None
