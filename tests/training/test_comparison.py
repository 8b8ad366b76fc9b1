"""The version in force is asked about the same photos, if it answers the same question."""

from pathlib import Path

import numpy as np
import pytest

from registry.catalog import Catalog
from registry.channel import Channel
from registry.object_store import MemoryStore
from tests.training.conftest import ASKER, TINY, Built
from training.evaluation.comparison import PROD, Incumbent, compare, find_incumbent
from training.export import ExportedModel, Pixels


def pixels(size: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (4, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("labels", [("cat", "dog"), ("cat", "cow")])
def test_it_answers_photos_of_its_own_size_unless_its_classes_are_others(
    built: Built, tmp_path: Path, labels: tuple[str, str]
):
    store = MemoryStore()
    catalog, channel = Catalog(store, "pets"), Channel(store, "pets", PROD)
    assert find_incumbent(catalog, channel, tmp_path, labels=labels, pixels=pixels) is None
    files = built.catalog.fetch(built.catalog.version(1), tmp_path / "files")
    version = catalog.publish(files, labels=("cat", "dog"), metrics={}, lineage={})
    channel.move(version, by=ASKER, why="first")
    found = find_incumbent(catalog, channel, tmp_path / "found", labels=labels, pixels=pixels)
    if labels != version.labels:
        assert found is None
        return
    assert found is not None
    assert found.version == 1
    expected = ExportedModel(files["model.onnx"]).classify(pixels(TINY.image_size))
    assert np.array_equal(found.probabilities, expected)


def test_only_photos_that_tell_them_apart_are_counted():
    theirs = np.eye(2, dtype=np.float32)[[0, 0, 1, 1, 1]]
    ours = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]]
    found = compare(Incumbent(version=3, probabilities=theirs), np.array([0, 0, 0, 1, 1]), ours)
    assert (found.only_ours, found.only_theirs) == (1, 2)
    assert (found.accuracy, found.accuracy_theirs) == (0.6, 0.8)
    assert found.p_value == 1
