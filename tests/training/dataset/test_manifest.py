"""Manifests: canonical, strict, named by their bytes."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.encoding import sha256_hex
from registry.layout.data_lake import manifest_key
from registry.store.memory_store import MemoryStore
from training.dataset.manifest import Manifest, Photo, Split, count_photos, load_manifest, store_manifest
from training.errors import DatasetMissing, ManifestMalformed

hexadecimal = st.text("0123456789abcdef", min_size=64, max_size=64)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
photos = st.builds(
    Photo,
    key=names,
    sha256=hexadecimal,
    width=st.integers(1, 10_000),
    height=st.integers(1, 10_000),
    label=names,
    split=st.sampled_from(Split),
    group=names,
    captured_at=st.none() | st.just("2026-03-01T21:04:05"),
    perceptual_hash=hexadecimal.map(lambda text: text[:16]),
    brightness=st.integers(0, 10_000).map(lambda value: value / 10_000),
    sharpness=st.integers(0, 10_000).map(lambda value: value / 1_000_000),
)
manifests = st.lists(photos, max_size=8, unique_by=lambda photo: photo.key).map(Manifest.of)


def photo(key: str = "cat/1.jpg", **changes: object) -> Photo:
    base = Photo(
        key=key,
        sha256="0" * 64,
        width=4,
        height=3,
        label="cat",
        split=Split.TRAIN,
        group="g",
        captured_at=None,
        perceptual_hash="0" * 16,
        brightness=0.5,
        sharpness=0.1,
    )
    return dataclasses.replace(base, **changes)


@given(manifests)
def test_a_manifest_survives_being_written_and_read(manifest: Manifest):
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@given(manifests, st.randoms())
def test_the_order_of_photos_does_not_matter(manifest: Manifest, random):
    shuffled = list(manifest.photos)
    random.shuffle(shuffled)
    assert Manifest.of(shuffled).sha256 == manifest.sha256


@given(manifests, manifests)
def test_different_photos_have_different_names(one: Manifest, other: Manifest):
    assert (one.sha256 == other.sha256) == (one == other)


def test_a_manifest_is_loaded_by_its_hash_or_the_beginning_of_it():
    store = MemoryStore()
    sha256 = store_manifest(store, Manifest.of([photo()]))
    assert store_manifest(store, Manifest.of([photo()])) == sha256
    assert load_manifest(store, sha256) == Manifest.of([photo()])
    assert load_manifest(store, sha256[:6]) == Manifest.of([photo()])


def test_an_unknown_or_ambiguous_name_is_refused():
    store = MemoryStore()
    with pytest.raises(DatasetMissing, match="petpark data list"):
        load_manifest(store, "ab" * 32)
    known = {store_manifest(store, Manifest.of([photo(f"cat/{number}.jpg")])) for number in range(17)}
    shared = next(digit for digit in "0123456789abcdef" if sum(name.startswith(digit) for name in known) > 1)
    with pytest.raises(DatasetMissing, match=r"\d datasets"):
        load_manifest(store, shared)
    with pytest.raises(DatasetMissing, match="is empty"):
        load_manifest(store, "")


def test_bytes_that_are_not_what_the_name_promises_are_refused():
    store = MemoryStore()
    store.create(manifest_key("0" * 64), Manifest.of([photo()]).to_bytes())
    with pytest.raises(ManifestMalformed, match="other bytes"):
        load_manifest(store, "0" * 64)


LINE = Manifest.of([photo()]).to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        LINE[:-1],
        LINE.replace(b'"cat"', b'"cat","extra":1'),
        LINE.replace(b'"width":4', b'"width":-4'),
        LINE.replace(b'"width":4', b'"width": 4'),
        LINE.replace(b'"train"', b'"training"'),
        LINE.replace(b'"brightness":0.5,', b""),
        b"\n",
        b"[]\n",
        b"\xff\n",
        LINE + LINE,
    ],
)
def test_a_manifest_is_read_strictly(data: bytes):
    with pytest.raises(ManifestMalformed):
        Manifest.from_bytes(data)


def test_a_photo_without_groups_has_the_line_that_it_always_had() -> None:
    plain = photo("a.jpg")
    assert b"groups" not in Manifest.of([plain]).to_bytes()
    grouped = dataclasses.replace(plain, groups=(("breed", "Bengal"),))
    assert Manifest.from_bytes(Manifest.of([grouped]).to_bytes()).photos == (grouped,)


@given(manifests)
def test_counting_a_stored_dataset_needs_no_more_than_its_lines(manifest: Manifest):
    store = MemoryStore()
    counted = count_photos(store, store_manifest(store, manifest))
    counts = manifest.counts()
    assert {(label, str(split)): photos for (label, split), photos in counted.items()} == {
        (label, split): photos for label, each in counts.items() for split, photos in each.items() if photos
    }


def test_counting_refuses_other_bytes_than_the_name_promises_and_what_is_no_photo():
    store = MemoryStore()
    store.create(manifest_key("0" * 64), Manifest.of([photo()]).to_bytes())
    with pytest.raises(ManifestMalformed, match="other bytes"):
        count_photos(store, "0" * 64)
    body = b'{"label":"cat"}\n'
    store.create(manifest_key(sha256_hex(body)), body)
    with pytest.raises(ManifestMalformed, match="line 1"):
        count_photos(store, sha256_hex(body))
    with pytest.raises(DatasetMissing):
        count_photos(store, "1" * 64)
