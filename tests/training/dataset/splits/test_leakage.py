"""Near-duplicates in different splits stop a training before it begins."""

from dataclasses import replace
from pathlib import Path

import pytest

from imaging import perceptual_hash
from registry.layout.data_lake import manifest_key
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.training.dataset.splits.test_split_assignment import SCENE, flipped
from tests.training.dataset.test_manifest import photo
from tests.training.photos import jpeg
from training.dataset.ingest import Ingestion
from training.dataset.manifest import Manifest, Photo, Split, load_manifest, store_manifest
from training.dataset.splits.leakage import NAMED, find_leaks, refuse_leaks
from training.errors import SplitsLeak
from training.job import JobSpec
from training.jobs.run import run_job


def shot(name: str, look: int, split: Split) -> Photo:
    return photo(name, perceptual_hash=f"{look:016x}", split=split)


def test_a_pair_in_different_splits_is_found_once_with_its_distance():
    manifest = Manifest.of(
        [
            shot("a", SCENE, Split.TRAIN),
            shot("b", flipped(1, 2), Split.TEST),
            shot("c", flipped(9, 17, 25, 33), Split.VALIDATION),
        ]
    )
    found = find_leaks(manifest)
    assert found.pairs == 1
    assert [(leak.one.key, leak.other.key, leak.distance) for leak in found.examples] == [("b", "a", 2)]


@pytest.mark.parametrize("one", Split)
@pytest.mark.parametrize("other", Split)
def test_every_two_splits_are_compared_and_none_with_itself(one: Split, other: Split):
    manifest = Manifest.of([shot("a", SCENE, one), shot("b", SCENE, other)])
    assert find_leaks(manifest).pairs == int(one is not other)


def test_the_refusal_names_pairs_and_the_remedy():
    manifest = Manifest.of([shot("cat/1.jpg", SCENE, Split.TRAIN), shot("cat/2.jpg", SCENE, Split.TEST)])
    with pytest.raises(SplitsLeak, match=r"1 pair.*cat/2\.jpg \(test\) and cat/1\.jpg \(train\).*petpark data exclude"):
        refuse_leaks(manifest)
    refuse_leaks(Manifest.of([shot("cat/1.jpg", SCENE, Split.TRAIN)]))


def test_many_leaks_are_counted_and_some_are_named():
    photos = [shot(f"{number:02}", SCENE, Split.TEST if number % 2 else Split.TRAIN) for number in range(20)]
    found = find_leaks(Manifest.of(photos))
    assert (found.pairs, len(found.examples)) == (100, NAMED)


def test_plain_photos_leak_nothing():
    assert find_leaks(Manifest.of([shot("a", 0, Split.TRAIN), shot("b", 0, Split.TEST)])).pairs == 0


def test_the_photos_of_other_tests_are_not_near_each_other():
    looks = [perceptual_hash(jpeg(seed)) for seed in range(60)]
    assert min((a ^ b).bit_count() for i, a in enumerate(looks) for b in looks[:i]) > 3


def test_a_manifest_that_was_stored_before_this_rule_is_held_to_it():
    store = MemoryStore()
    manifest = Manifest.of([shot("a", SCENE, Split.TRAIN), shot("b", SCENE, Split.TEST)])
    store.create(manifest_key(manifest.sha256), manifest.to_bytes())
    with pytest.raises(SplitsLeak):
        refuse_leaks(load_manifest(store, manifest.sha256))


def test_a_training_on_leaking_splits_fails_by_name_before_a_photo_is_read(ingestion: Ingestion, tmp_path: Path):
    photos = [replace(each, perceptual_hash=f"{SCENE:016x}") for each in ingestion.manifest.photos]
    lake = MemoryStore()
    dataset = store_manifest(lake, Manifest.of(photos))
    result = run_job(
        "job",
        JobSpec(dataset=dataset, seed=1, requested_by="arn:aws:iam::123456789012:user/ana"),
        workspace=MemoryStore(),
        lake=lake,
        catalog=Catalog(MemoryStore(), "pets"),
        directory=tmp_path,
    )
    assert (result.status, result.error) == ("failed", "SplitsLeak")
