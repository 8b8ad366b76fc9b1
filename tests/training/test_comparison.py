"""The version in force is asked about the same photos, but for those that it learned from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.catalog import Catalog
from registry.channel import Channel
from registry.encoding import sha256_hex
from registry.object_store import MemoryStore
from registry.version import Version
from tests.training.conftest import ASKER, TINY, Built
from tests.training.test_slices import PHOTO
from training.dataset.manifest import Manifest, Photo, store_manifest
from training.dataset.split import Split
from training.errors import WeightsRefused
from training.evaluation.comparison import (
    FEWEST_PHOTOS,
    PROD,
    Comparison,
    Incumbent,
    NotCompared,
    compare,
    find_incumbent,
)
from training.evaluation.lessons import Lessons, Unknown, fair_test
from training.export import ExportedModel, Pixels

PHOTOS = tuple(
    replace(PHOTO, key=f"{n}.jpg", sha256=sha256_hex(bytes([n])), split=Split.TEST, label="dog" if n == 3 else "cat")
    for n in range(4)
)


def pixels(size: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (4, size, size, 3), dtype=np.uint8)


def knowing(lake: MemoryStore, *learned: Photo) -> str:
    """A dataset in which these photos are learned from."""
    return store_manifest(lake, Manifest.of(replace(photo, split=Split.TRAIN) for photo in learned))


@dataclass(frozen=True, kw_only=True)
class Prod:
    """A registry, and versions for its channel."""

    catalog: Catalog
    channel: Channel
    lake: MemoryStore
    files: Mapping[str, Path]

    def publish(self, *, labels: tuple[str, ...] = ("cat", "dog"), **lineage: str | None) -> Version:
        known = {name: fact for name, fact in lineage.items() if fact}
        return self.catalog.publish(self.files, labels=labels, metrics={}, lineage=known)

    def ask(self, directory: Path, *, labels: tuple[str, ...] = ("cat", "dog"), weights: str | None = None):
        return find_incumbent(
            self.catalog, self.channel, directory, labels=labels, photos=PHOTOS, pixels=pixels,
            lessons=Lessons(self.catalog, self.lake), initial_weights=weights,
        )  # fmt: skip


@pytest.fixture
def prod(built: Built, tmp_path: Path) -> Prod:
    store, lake = MemoryStore(), MemoryStore()
    files = built.catalog.fetch(built.catalog.version(1), tmp_path / "files")
    return Prod(catalog=Catalog(store, "pets"), channel=Channel(store, "pets", PROD), lake=lake, files=files)


def test_it_answers_photos_of_its_own_size(prod: Prod, tmp_path: Path):
    assert prod.ask(tmp_path) is None
    weights = sha256_hex(prod.files["weights.pt"].read_bytes())
    prod.channel.move(prod.publish(dataset=knowing(prod.lake, PHOTOS[1])), by=ASKER, why="first")
    found = prod.ask(tmp_path / "found", weights=weights)
    assert isinstance(found, Incumbent)
    assert (found.version, found.continued) == (1, True)
    expected = ExportedModel(prod.files["model.onnx"]).classify(pixels(TINY.image_size))
    assert np.array_equal(found.probabilities, expected)
    assert found.unseen.tolist() == [True, False, True, True]


def test_photos_that_the_weights_it_began_with_learned_from_are_left_out_too(prod: Prod, tmp_path: Path):
    prod.publish(dataset=knowing(prod.lake, PHOTOS[0]))
    began = sha256_hex(prod.files["weights.pt"].read_bytes())
    (tmp_path / "w").write_bytes(b"other weights")
    onnx = {"model.onnx": prod.files["model.onnx"], "weights.pt": tmp_path / "w"}
    second = prod.catalog.publish(
        onnx, labels=("cat", "dog"), metrics={},
        lineage={"dataset": knowing(prod.lake, PHOTOS[2]), "initial_weights": began},
    )  # fmt: skip
    prod.channel.move(second, by=ASKER, why="first")
    found = prod.ask(tmp_path / "found")
    assert isinstance(found, Incumbent)
    assert found.unseen.tolist() == [False, True, False, True]


@pytest.mark.parametrize("dataset", [None, "0" * 64])
def test_a_version_of_which_nobody_knows_what_it_learned_from_is_not_compared(
    prod: Prod, tmp_path: Path, dataset: str | None
):
    prod.channel.move(prod.publish(dataset=dataset), by=ASKER, why="first")
    found = prod.ask(tmp_path / "found")
    assert isinstance(found, NotCompared)
    assert "is not known" in found.because


def test_a_version_of_other_classes_is_not_compared_and_says_which(prod: Prod, tmp_path: Path):
    prod.channel.move(prod.publish(labels=("cat", "cow")), by=ASKER, why="first")
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
    assert (found.accuracy, found.accuracy_theirs) == (0.6, 0.8)
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
    manifest = Manifest.of(PHOTOS)
    assert fair_test(manifest, frozenset({PHOTOS[0].sha256})) == PHOTOS[1:]
    with pytest.raises(WeightsRefused, match="3 of 4 test photos, and none of 'cat'"):
        fair_test(manifest, frozenset(photo.sha256 for photo in PHOTOS[:3]))
    with pytest.raises(WeightsRefused, match="lost"):
        fair_test(manifest, Unknown(because="lost"))
