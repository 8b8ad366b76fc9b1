"""The five characteristics: what is found, what is not, and which photos are named."""

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.encoding import sha256_hex
from registry.store.memory_store import MemoryStore
from tests.examples import examples
from tests.training.dataset.splits.test_split_assignment import SCENE, flipped
from tests.training.dataset.test_manifest import photo
from tests.training.photos import jpeg, write_photos
from training.dataset.ingest import ingest
from training.dataset.manifest import Manifest, Photo, Split
from training.quality.characteristics import similarity
from training.quality.characteristics.accuracy import accuracy, doubt
from training.quality.characteristics.appearance import Appearance, small_of
from training.quality.characteristics.bias import camera_bias
from training.quality.characteristics.completeness import completeness
from training.quality.characteristics.relevance import relevance
from training.quality.characteristics.reliability import UNUSABLE, kind_of, reliability
from training.quality.characteristics.similarity import alike_across_splits, strangeness, strangers
from training.quality.characteristics.timeliness import timeliness
from training.quality.findings import Characteristic
from training.quality.folds import folds_of

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
LOOK = np.random.default_rng(0).integers(0, 2**63, 10_000)


def shot(number: int, **facts: object) -> Photo:
    """A photo that looks like no other."""
    sha256 = sha256_hex(str(number).encode())
    facts = {"group": sha256, "perceptual_hash": f"{int(LOOK[number]):016x}", "width": 640, "height": 480, **facts}
    return photo(f"{number:05}.jpg", sha256=sha256, **{"brightness": 0.5, "sharpness": 0.01, **facts})


def table(part: Characteristic, caption: str) -> dict[object, tuple[object, ...]]:
    return {row[0]: row[1:] for each in part.tables if each.caption.startswith(caption) for row in each.rows}


def names(part: Characteristic) -> dict[str, list[str]]:
    return {each.name: [concern.key for concern in each.photos] for each in part.findings}


# --- accuracy ----------------------------------------------------------------------------------------------------


def test_a_label_that_an_able_network_contradicts_is_doubted_and_the_class_it_sees_is_proposed() -> None:
    targets = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]], np.float32)
    found = doubt(targets, probabilities)
    assert found.doubtful.tolist() == [2]
    assert found.seen_as[2] == 1
    part = accuracy([shot(n, label="cat" if n < 3 else "dog") for n in range(6)], ["cat", "dog"], probabilities)
    (concern,) = part.findings[0].photos
    assert (concern.key, concern.label, concern.becomes) == ("00002.jpg", "cat", "dog")
    assert part.measures["label_noise"] == pytest.approx(1 / 6, abs=1e-6)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(50))
def test_whose_label_is_the_likeliest_class_is_never_doubted_and_order_does_not_matter(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.5] * classes, 60).astype(np.float32)
    targets = np.concatenate([np.arange(classes), rng.integers(0, classes, 60 - classes)])
    found = doubt(targets, probabilities)
    assert not set(found.doubtful.tolist()) & set(np.flatnonzero(probabilities.argmax(axis=1) == targets).tolist())
    order = rng.permutation(60)
    again = doubt(targets[order], probabilities[order])
    assert {int(order[place]) for place in again.doubtful} == set(found.doubtful.tolist())
    assert again.joint.tolist() == found.joint.tolist()


@given(st.integers(0, 2**32 - 1), st.integers(5, 12), st.integers(0, 6))
@settings(max_examples=examples(40))
def test_look_alikes_share_a_fold_and_cameras_do_where_they_can(seed: int, cameras: int, bridges: int) -> None:
    """`bridges` photos look alike, whatever their cameras: these cameras are one, or no camera is whole."""
    rng = np.random.default_rng(seed)
    photos = [
        shot(
            n,
            label="cat" if n % 2 else "dog",
            group=f"cam {rng.integers(cameras)}",
            **({"perceptual_hash": f"{flipped(n):016x}"} if n < bridges else {}),
        )
        for n in range(60)
    ]
    folds = folds_of(photos, 3)
    assert len(set(folds[:bridges].tolist())) <= 1
    placed = {(each.group, fold) for each, fold in zip(photos, folds.tolist(), strict=True)}
    assert len(placed) == len({group for group, _ in placed}) or bridges > 1
    for label in ("cat", "dog"):
        have = np.bincount([fold for p, fold in zip(photos, folds, strict=True) if p.label == label], minlength=3)
        assert have.max() <= 0.6 * have.sum()


def test_a_single_camera_does_not_become_a_single_fold() -> None:
    photos = [shot(n, label="cat" if n % 2 else "dog", group="gate") for n in range(30)]
    assert sorted(np.bincount(folds_of(photos, 3)).tolist()) == [10, 10, 10]


# --- completeness, timeliness ------------------------------------------------------------------------------------


def test_gaps_of_hours_days_and_cameras_are_named() -> None:
    photos = [
        shot(1, label="cat", group="gate", captured_at="2026-03-01T08:00:00"),
        shot(2, label="dog", group="gate", captured_at="2026-03-01T09:30:00"),
        shot(3, label="dog", group="pond", captured_at="2026-03-04T09:00:00"),
        shot(4, label="dog"),
    ]
    part = completeness(Manifest.of(photos))
    gaps = table(part, "What is missing")
    assert gaps["cameras that never saw “cat”"] == ("pond",)
    assert gaps["days without a photo, between the first and the last"] == ("2026-03-02, 2026-03-03",)
    assert str(gaps["hours of the day that no camera saw"][0]).startswith("00, 01")
    assert part.measures == {"rarest_class": 0.5, "hours": 2, "without_camera": 0.25, "without_time": 0.25}
    assert names(part) == {"without_camera": ["00004.jpg"], "without_time": ["00004.jpg"]}


def test_age_is_that_of_the_camera_that_fell_silent_as_of_the_stated_moment() -> None:
    photos = [
        shot(1, group="gate", captured_at="2026-03-30T12:00:00"),
        shot(2, group="gate", captured_at="2026-01-01T12:00:00"),
        shot(3, group="pond", captured_at="2026-03-11T12:00:00"),
    ]
    part = timeliness(Manifest.of(photos), as_of=NOW)
    assert part.measures == {"days": 20}
    assert table(part, "Age") == {"pond": (20.0, 20.0), "gate": (1.0, 45.0)}
    assert timeliness(Manifest.of([shot(1)]), as_of=NOW).measures == {}


# --- reliability ---------------------------------------------------------------------------------------------------


def test_look_alikes_with_different_labels_are_shown_side_by_side() -> None:
    photos = [
        shot(1, label="cat", perceptual_hash=f"{SCENE:016x}"),
        shot(2, label="dog", perceptual_hash=f"{flipped(3):016x}"),
        shot(3, label="dog"),
    ]
    part = reliability(photos, skipped=None)
    assert part.measures["contradictions"] == part.measures["near_duplicates"] == pytest.approx(2 / 3, abs=1e-6)
    assert "unusable" not in part.measures
    finding = next(each for each in part.findings if each.name == "contradictions")
    assert finding.photos[0].beside == ("00002.jpg", photos[1].sha256)


def test_what_ingestion_left_out_is_counted_by_kind(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, per_class=24)
    (folder / "cat" / "cut.jpg").write_bytes(jpeg(7)[:400])
    (folder / "cat" / "empty.jpg").write_bytes(b"")
    (folder / "cat" / "twice.jpg").write_bytes((folder / "cat" / "0003.jpg").read_bytes())
    found = ingest(folder, MemoryStore(), seed=1)
    part = reliability(found.manifest.photos, skipped=found.skipped)
    assert table(part, "Left out") == {UNUSABLE: (2,), "same bytes as another": (1,)}
    assert part.measures["unusable"] == pytest.approx(2 / 50)
    assert kind_of("excluded by ana: a dirty lens") == "excluded by a person"


def test_a_camera_that_tells_the_class_has_all_of_cramers_v_and_one_that_does_not_has_none() -> None:
    told = [shot(n, label="cat" if n % 2 else "dog", group="gate" if n % 2 else "pond") for n in range(200)]
    value, drivers = camera_bias(told)
    assert value == pytest.approx(1, abs=0.01)
    assert ("gate", "dog", 0, 50.0) in drivers
    mixed = [shot(n, label="cat" if n % 2 else "dog", group=f"cam {n // 2 % 2}") for n in range(200)]
    assert camera_bias(mixed)[0] == 0
    assert camera_bias([shot(n) for n in range(9)]) == (0.0, [])


# --- relevance, likeness ---------------------------------------------------------------------------------------------


def test_photos_that_show_little_are_named_by_what_is_the_matter() -> None:
    photos = [
        shot(1, sharpness=0.0001),
        shot(2, brightness=0.02),
        shot(3, brightness=0.97),
        shot(4, width=40),
        shot(5),
        shot(6, sharpness=0.0, brightness=0.0),
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (6, 48, 48, 3)).astype(np.uint8)
    pixels[4] = pixels[4, :, :, :1]
    part = relevance(photos, appearance=Appearance.of([pixels]))
    assert names(part) == {
        "blurred": ["00006.jpg", "00001.jpg"],
        "dark": ["00006.jpg", "00002.jpg"],
        "overexposed": ["00003.jpg"],
        "tiny": ["00004.jpg"],
        "greyscale": ["00005.jpg"],
    }
    assert part.measures == {"unclear": pytest.approx(5 / 6, abs=1e-6), "greyscale": pytest.approx(1 / 6, abs=1e-6)}


def clustered(count: int) -> np.ndarray:
    """Embeddings as networks make them: near a few centres."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(3, 32))
    vectors = centres[rng.integers(0, 3, count)] + rng.normal(size=(count, 32)) * 0.2
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_photo_far_from_all_others_is_the_strangest_and_ordinary_ones_are_not_strange() -> None:
    embeddings = clustered(300)
    assert len(strangers(strangeness(embeddings))) == 0
    embeddings[17] = -embeddings.mean(axis=0) / np.linalg.norm(embeddings.mean(axis=0))
    assert strangers(strangeness(embeddings)).tolist() == [17]
    part = relevance([shot(n) for n in range(300)], embeddings=embeddings)
    assert names(part)["unlike"] == ["00017.jpg"]


def test_without_strangers_the_least_like_are_shown_and_blamed_for_nothing() -> None:
    part = relevance([shot(n) for n in range(300)], embeddings=clustered(300))
    assert len(names(part)["strangest"]) == 12
    assert part.measures["unlike"] == 0


def scenes(count: int) -> np.ndarray:
    """Pictures with detail at every scale, less of it the finer, as photos have."""
    rng = np.random.default_rng(5)
    layers = [
        np.kron(rng.normal(size=(count, 48 // side, 48 // side, 3)), np.ones((1, side, side, 1))) * side**0.7
        for side in (1, 2, 4, 8, 16, 48)
    ]
    contrast = rng.uniform(1, 3, size=(count, 1, 1, 1))
    return (128 + contrast * sum(layers)).clip(0, 255).astype(np.uint8)


NOTHING = {
    "stripes": np.repeat(np.random.default_rng(1).integers(0, 256, (48, 1, 3)), 48, axis=1),
    "a dead sensor": np.full((48, 48, 3), 128),
    "noise": np.random.default_rng(2).integers(0, 256, (48, 48, 3)),
    "a page of text": np.where((np.arange(48) % 4 < 1)[:, None, None], 0, np.full((48, 48, 3), 255)),
}


@pytest.mark.parametrize("nothing", NOTHING)
def test_what_is_built_like_no_photo_is_like_no_others_without_any_network(nothing: str) -> None:
    pixels = scenes(200)
    pixels[17] = NOTHING[nothing]
    part = relevance([shot(n) for n in range(200)], appearance=Appearance.of([pixels]))
    assert names(part)["unlike"][0] == "00017.jpg"
    assert 1 / 200 <= part.measures["unlike"] <= 4 / 200


def test_even_a_tenth_of_pictures_of_nothing_does_not_make_itself_usual() -> None:
    pixels = scenes(200)
    pixels[:19] = NOTHING["stripes"]
    part = relevance([shot(n) for n in range(200)], appearance=Appearance.of([pixels]))
    assert set(names(part)["unlike"][:19]) == {f"{n:05}.jpg" for n in range(19)}
    assert len(names(part)["unlike"]) <= 23


@given(st.integers(1, 30))
@settings(max_examples=examples(10))
def test_a_photo_looks_the_same_whichever_others_are_read_with_it(batch: int) -> None:
    pixels = scenes(30)
    whole = Appearance.of([pixels], small=True)
    parts = Appearance.of([pixels[start : start + batch] for start in range(0, 30, batch)], small=True)
    for one, other in ((whole.colour, parts.colour), (whole.texture, parts.texture), (whole.small, parts.small)):
        assert one is not None
        assert other is not None
        assert one.tobytes() == other.tobytes()
    assert Appearance.of([pixels]).small is None


def test_of_too_few_photos_nothing_is_said_about_what_is_usual() -> None:
    assert "unlike" not in relevance([shot(n) for n in range(99)], appearance=Appearance.of([scenes(99)])).measures


def test_a_mirrored_copy_in_another_split_is_found_and_what_only_embeds_alike_is_not() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (6, 48, 48, 3)).astype(np.uint8)
    pixels[1], pixels[2] = pixels[0, :, ::-1], pixels[0]
    splits = [Split.TRAIN, Split.TEST, Split.TRAIN, Split.VALIDATION, Split.TEST, Split.TRAIN]
    photos = [shot(n, split=split) for n, split in enumerate(splits)]
    same = np.tile(clustered(1), (6, 1))
    found = alike_across_splits(photos, same, small_of(pixels))
    assert {(each.one, each.other) for each in found} == {(1, 0), (1, 2)}
    assert alike_across_splits(photos, clustered(6), small_of(pixels), alike=1.01) == []


def nearest_of_all(embeddings: np.ndarray, splits: list[Split], alike: float) -> set[tuple[int, int]]:
    """The three nearest of earlier splits, comparing all with all at once; of equals the first."""
    found: set[tuple[int, int]] = set()
    for one, split in enumerate(splits):
        there = [n for n, other in enumerate(splits) if list(Split).index(other) < list(Split).index(split)]
        cosines = {n: float(embeddings[one] @ embeddings[n]) for n in there}
        near = sorted((n for n in there if cosines[n] >= alike), key=lambda n: (-cosines[n], n))
        found |= {(one, n) for n in near[:3]}
    return found


@given(
    st.lists(st.tuples(st.sampled_from(Split), st.tuples(*[st.integers(-2, 2)] * 2)), min_size=1, max_size=30),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(-8, 8),
)
def test_the_nearest_of_other_splits_are_those_of_comparing_all_whatever_the_tiles(
    album: list[tuple[Split, tuple[int, int]]], rows: int, columns: int, alike: int
) -> None:
    """Small integers: their products are exact, so that equally near ones are exactly so."""
    splits = [split for split, _ in album]
    embeddings = np.array([each for _, each in album], dtype=np.float32)
    pixels = np.broadcast_to(np.random.default_rng(4).integers(0, 256, (1, 16, 16, 3)), (len(album), 16, 16, 3))
    photos = [shot(n, split=split) for n, split in enumerate(splits)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "_ROWS", rows)
        patch.setattr(similarity, "_COLUMNS", columns)
        found = alike_across_splits(photos, embeddings, small_of(pixels.astype(np.uint8)), alike=alike)
    assert {(each.one, each.other) for each in found} == nearest_of_all(embeddings, splits, alike)
    assert [each.cosine for each in found] == sorted((each.cosine for each in found), reverse=True)


def test_comparing_many_embeddings_takes_no_more_memory_than_comparing_some() -> None:
    embeddings = np.random.default_rng(6).normal(size=(40_000, 2)).astype(np.float32)
    photos = [shot(n % 100, split=Split.TEST if n < 1_500 else Split.TRAIN) for n in range(len(embeddings))]
    small = np.zeros((1, 16, 16), dtype=np.float32)
    tracemalloc.start()
    try:
        assert alike_across_splits(photos, embeddings, small, alike=1_000) == []
        strangeness(embeddings[:3_000])
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
