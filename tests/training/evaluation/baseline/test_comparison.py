"""The version in force is asked about the same photos, but for those that it was trained on."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imaging import perceptual_hash
from registry.channels.channel import Channel
from registry.encoding import sha256_hex
from registry.errors import HistoryBroken, StoreUnavailable
from registry.layout.data_lake import photo_key
from registry.layout.model_store import blob_key, version_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from registry.versions.catalog import Catalog
from tests.serving.park import write_model
from tests.training.conftest import REQUESTER, TINY, Built
from tests.training.evaluation.baseline.test_copies import lawn
from tests.training.evaluation.figures.test_slices import PHOTO
from training.dataset.manifest import Manifest, Photo, Split, store_manifest
from training.errors import OutOfMemory, PhotoLost, WeightsRefused
from training.evaluation.baseline.comparison import (
    FEWEST_PHOTOS,
    PROD,
    Comparison,
    Incumbent,
    NotCompared,
    compare,
    find_incumbent,
    left_out,
)
from training.evaluation.baseline.copies import grid
from training.evaluation.baseline.seen_photos import LearnedPhotos, SeenPhotos, Unknown, fair_test
from training.networks.export import ExportedModel, Pixels


def jpeg(photo: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", **options)
    return buffer.getvalue()


BODIES = [jpeg(lawn(n)) for n in range(4)]
PHOTOS = tuple(
    replace(
        PHOTO,
        key=f"{n}.jpg",
        sha256=sha256_hex(body),
        split=Split.TEST,
        label="dog" if n == 3 else "cat",
        perceptual_hash=f"{perceptual_hash(body):016x}",
    )
    for n, body in enumerate(BODIES)
)
GRIDS = {photo.key: grid(body) for photo, body in zip(PHOTOS, BODIES, strict=True)}


def pixels(size: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (4, size, size, 3), dtype=np.uint8)


def knowing(lake: MemoryStore, *learned: Photo) -> str:
    """A dataset in which these photos are learned from."""
    return store_manifest(lake, Manifest.of(replace(photo, split=Split.TRAIN) for photo in learned))


@dataclass(frozen=True, kw_only=True)
class Prod:
    """A registry, and versions for its channel."""

    store: MemoryStore
    catalog: Catalog
    channel: Channel
    lake: MemoryStore
    files: Mapping[str, Path]
    pixels: Callable[[int], Pixels] = pixels

    def publish(self, *, labels: tuple[str, ...] = ("cat", "dog"), **lineage: str | None) -> Version:
        known = {name: fact for name, fact in lineage.items() if fact}
        return self.catalog.publish(self.files, labels=labels, metrics={}, lineage=known)

    def ask(self, directory: Path, *, labels: tuple[str, ...] = ("cat", "dog"), weights: str | None = None):
        return find_incumbent(
            self.catalog, self.channel, directory, labels=labels, photos=PHOTOS, pixels=self.pixels,
            lessons=SeenPhotos(self.catalog, self.lake), picture=lambda photo: GRIDS[photo.key], tried=np.array([0, 2]),
            initial_weights=weights,
        )  # fmt: skip

    def without(self, name: str, body: bytes | None = None) -> None:
        """Lose a file of version 1, or put other bytes in its place."""
        key = blob_key("pets", next(file.sha256 for file in self.catalog.version(1).files if file.name == name))
        self.store.delete(key)
        if body is not None:
            self.store.create(key, body)


@pytest.fixture
def prod(built: Built, tmp_path: Path) -> Prod:
    store, lake = MemoryStore(), MemoryStore()
    files = built.catalog.fetch(built.catalog.version(1), tmp_path / "files")
    return Prod(
        store=store, catalog=Catalog(store, "pets"), channel=Channel(store, "pets", PROD), lake=lake, files=files
    )


def test_it_answers_photos_of_its_own_size(prod: Prod, tmp_path: Path):
    assert prod.ask(tmp_path) is None
    weights = sha256_hex(prod.files["weights.pt"].read_bytes())
    prod.channel.move(prod.publish(dataset=knowing(prod.lake, PHOTOS[1])), by=REQUESTER, why="first")
    found = prod.ask(tmp_path / "found", weights=weights)
    assert isinstance(found, Incumbent)
    assert (found.version, found.continued) == (1, True)
    expected = ExportedModel(prod.files["model.onnx"]).classify(pixels(TINY.image_size))
    assert np.array_equal(found.probabilities, expected)
    assert found.unseen.tolist() == [True, False, True, True]
    assert (found.copies, len(found.tried)) == (0, 2)
    assert found.classify is not None
    assert np.allclose(found.classify(found.tried), expected[[0, 2]], atol=1e-6)


def test_photos_that_it_learned_from_in_other_bytes_are_left_out_and_counted(prod: Prod, tmp_path: Path):
    body = jpeg(lawn(2), quality=40)
    seen = replace(PHOTOS[2], key="seen.jpg", sha256=sha256_hex(body))
    night = replace(PHOTOS[1], key="night.jpg", sha256="e" * 64, perceptual_hash=PHOTOS[2].perceptual_hash)
    prod.lake.create(photo_key(seen.sha256), body)
    prod.lake.create(photo_key(night.sha256), jpeg(Image.new("RGB", (64, 64))))
    prod.channel.move(prod.publish(dataset=knowing(prod.lake, PHOTOS[0], seen, night)), by=REQUESTER, why="first")
    found = prod.ask(tmp_path / "found")
    assert isinstance(found, Incumbent)
    assert (found.unseen.tolist(), found.copies) == ([False, True, False, True], 1)
    learned = SeenPhotos(prod.catalog, prod.lake).of_version(prod.catalog.version(1))
    assert isinstance(learned, LearnedPhotos)
    overlaps = learned.overlaps(PHOTOS, lambda place: GRIDS[PHOTOS[place].key])
    assert [overlap and overlap.reason for overlap in overlaps] == [
        "the same bytes as 0.jpg", None, "a copy, in other bytes, of seen.jpg", None,
    ]  # fmt: skip
    assert left_out(Comparison(version=1, photos=2, left_out=2, copies=1)) == (
        "2 left out, which version 1 learned from (1 as copies in other bytes)"
    )


def test_photos_that_the_weights_it_began_with_learned_from_are_left_out_too(prod: Prod, tmp_path: Path):
    prod.publish(dataset=knowing(prod.lake, PHOTOS[0]))
    began = sha256_hex(prod.files["weights.pt"].read_bytes())
    (tmp_path / "w").write_bytes(b"other weights")
    onnx = {"model.onnx": prod.files["model.onnx"], "weights.pt": tmp_path / "w"}
    second = prod.catalog.publish(
        onnx, labels=("cat", "dog"), metrics={},
        lineage={"dataset": knowing(prod.lake, PHOTOS[2]), "initial_weights": began},
    )  # fmt: skip
    prod.channel.move(second, by=REQUESTER, why="first")
    found = prod.ask(tmp_path / "found")
    assert isinstance(found, Incumbent)
    assert found.unseen.tolist() == [False, True, False, True]


@pytest.mark.parametrize("dataset", [None, "0" * 64])
def test_a_version_of_which_nobody_knows_what_it_learned_from_is_not_compared(
    prod: Prod, tmp_path: Path, dataset: str | None
):
    prod.channel.move(prod.publish(dataset=dataset), by=REQUESTER, why="first")
    found = prod.ask(tmp_path / "found")
    assert isinstance(found, NotCompared)
    assert "is not known" in found.because


def too_large(_size: int) -> Pixels:
    raise OutOfMemory("no place for so many pixels")


def damage(prod: Prod, how: str) -> Prod:
    key = version_key("pets", 1)
    match how:
        case "no such version" | "another version" | "no version":
            prod.store.delete(key)
            if how == "another version":
                prod.publish(dataset="0" * 64)
            elif how == "no version":
                prod.store.create(key, b"{}")
        case "a file is gone":
            prod.without("model.onnx")
        case "a file has other bytes":
            prod.without("weights.pt", b"x")
        case _:
            return replace(prod, pixels=too_large)
    return prod


BROKEN = {
    "no such version": "version 1 in prod cannot be read: expected version 1 of pets; found no such version",
    "another version": "found digest",
    "no version": "a version as petpark writes it",
    "a file is gone": "found no such blob",
    "a file has other bytes": "version 1 in prod cannot be read: expected file weights.pt",
    "too large here": "does not answer here: the test photos at its 32 pixels do not fit into memory",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_version_in_prod_that_is_broken_is_not_compared_and_says_why(prod: Prod, tmp_path: Path, how: str):
    prod.channel.move(prod.publish(dataset=knowing(prod.lake)), by=REQUESTER, why="first")
    found = damage(prod, how).ask(tmp_path / "found")
    assert isinstance(found, NotCompared)
    assert found.version == 1
    assert BROKEN[how] in found.because


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"no model", "does not answer here: "),
        (None, "does not answer here: it has no model.onnx"),
        (("cat", "cow"), "its file answers cat, cow"),
    ],
)
def test_a_version_in_prod_whose_file_is_no_such_model_is_not_compared(
    prod: Prod, tmp_path: Path, body: bytes | tuple[str, str] | None, said: str
):
    """What was published was never looked into."""
    files = {"model.onnx": tmp_path / "model.onnx"}
    if isinstance(body, bytes):
        files["model.onnx"].write_bytes(body)
    elif body is None:
        files = {"labels.json": prod.files["labels.json"]}
    else:
        write_model(files["model.onnx"], labels=body)
    version = prod.catalog.publish(
        files, labels=("cat", "dog"), metrics={}, lineage={"dataset": knowing(prod.lake)}
    )  # fmt: skip
    prod.channel.move(version, by=REQUESTER, why="first")
    found = prod.ask(tmp_path / "found")
    assert isinstance(found, NotCompared)
    assert (found.version, said in found.because) == (1, True), found.because


def test_a_channel_that_cannot_be_read_is_not_compared_and_a_store_that_is_away_is_asked_again(
    prod: Prod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken() -> None:
        raise HistoryBroken("channel prod", expected="one history", actual="two")

    def away() -> None:
        raise StoreUnavailable("read", "the network is down")

    monkeypatch.setattr(prod.channel, "head", broken)
    found = prod.ask(tmp_path)
    assert isinstance(found, NotCompared)
    assert (found.version, found.because.partition(":")[0]) == (None, "channel prod cannot be read")
    monkeypatch.setattr(prod.channel, "head", away)
    with pytest.raises(StoreUnavailable):
        prod.ask(tmp_path)


def test_what_is_wrong_with_the_test_photos_is_no_fault_of_prod(prod: Prod, tmp_path: Path):
    def lost(_size: int) -> Pixels:
        raise PhotoLost("0.jpg is not in the data lake")

    prod.channel.move(prod.publish(dataset=knowing(prod.lake)), by=REQUESTER, why="first")
    with pytest.raises(PhotoLost):
        replace(prod, pixels=lost).ask(tmp_path)


def test_a_damaged_version_hides_no_other_that_weights_came_from(prod: Prod, tmp_path: Path):
    first = prod.publish(dataset=knowing(prod.lake, PHOTOS[0]))
    prod.store.create(version_key("pets", 2), b"junk")
    weights = sha256_hex(prod.files["weights.pt"].read_bytes())
    lessons = SeenPhotos(prod.catalog, prod.lake)
    assert lessons.source(weights) == first
    learned = lessons.of_weights(weights)
    assert isinstance(learned, LearnedPhotos)
    assert (PHOTOS[0].sha256 in learned, PHOTOS[1].sha256 in learned) == (True, False)


def test_weights_that_went_on_from_themselves_are_followed_once(prod: Prod):
    weights = sha256_hex(prod.files["weights.pt"].read_bytes())
    prod.publish(dataset=knowing(prod.lake, PHOTOS[0]), initial_weights=weights)
    learned = SeenPhotos(prod.catalog, prod.lake).of_weights(weights)
    assert isinstance(learned, LearnedPhotos)
    assert len(learned) == 1


def test_a_version_of_other_classes_is_not_compared_and_says_which(prod: Prod, tmp_path: Path):
    prod.channel.move(prod.publish(labels=("cat", "cow")), by=REQUESTER, why="first")
    found = prod.ask(tmp_path / "found")
    assert isinstance(found, NotCompared)
    assert found.because == "version 1 in prod has other classes: only dog here, only cow there"
    told = compare(found, np.zeros(3, dtype=np.int64), np.eye(2, dtype=np.float32)[[0, 0, 1]])
    assert told.unmeasured == found.because


def test_only_photos_that_tell_them_apart_are_counted():
    theirs = np.eye(2, dtype=np.float32)[[0, 0, 1, 1, 1]]
    ours = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]]
    other = Incumbent(version=3, probabilities=theirs, unseen=np.ones(5, dtype=bool))
    found = compare(other, np.array([0, 0, 0, 1, 1]), ours)
    assert (found.only_ours, found.only_theirs) == (1, 2)
    assert found.accuracy == 0.6
    assert found.p_value == 1


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 3, st.booleans()), max_size=60))
def test_photos_that_the_other_learned_from_change_nothing(rows: list[tuple[int, int, int, bool]]):
    def compared(kept: list[tuple[int, int, int, bool]]) -> Comparison:
        truth, ours, theirs, unseen = (np.array(column, dtype=np.int64) for column in zip(*kept, strict=True))
        one_hot = np.eye(2, dtype=np.float32)
        other = Incumbent(version=3, probabilities=one_hot[theirs], unseen=unseen.astype(bool))
        return compare(other, truth, one_hot[ours])

    fair = [row for row in rows if row[3]]
    if not fair:
        return
    found, alone = compared(rows), compared(fair)
    assert found.left_out == len(rows) - len(fair)
    assert bool(found.unmeasured) == (len(fair) < FEWEST_PHOTOS)
    assert replace(found, left_out=0, unmeasured="") == replace(alone, unmeasured="")


def test_test_photos_that_initial_weights_learned_from_are_left_out_and_no_class_may_be_lost():
    manifest, lake = Manifest.of(PHOTOS), MemoryStore()

    def fair(known: LearnedPhotos | Unknown) -> tuple[Photo, ...]:
        return fair_test(manifest, known, lambda photo: GRIDS[photo.key])

    assert fair(LearnedPhotos(PHOTOS[:1], lake)) == PHOTOS[1:]
    with pytest.raises(WeightsRefused, match="3 of 4 test photos, and none of 'cat'"):
        fair(LearnedPhotos(PHOTOS[:3], lake))
    copies = [replace(PHOTOS[1], sha256="e" * 64), replace(PHOTOS[2], sha256="f" * 64)]
    with pytest.raises(WeightsRefused, match=r"3 of 4 test photos \(2 as copies in other bytes\), and none of 'cat'"):
        fair(LearnedPhotos([PHOTOS[0], *copies], lake))
    with pytest.raises(WeightsRefused, match="lost"):
        fair(Unknown(because="lost"))
