"""Who is near is found without comparing all, and never missed: every quick way gives what comparing all gives."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training import photo_by_photo
from tests.training.dataset.splits.test_split_assignment import SCENE, taken
from training.dataset.duplicates.hamming import NEAR, components, near_lists, near_pairs
from training.dataset.duplicates.near_duplicates import Hashes
from training.dataset.manifest import Manifest, Photo, Split
from training.dataset.splits.leakage import NAMED, find_leaks
from training.quality.characteristics.reliability import _look_alikes

bits = st.sets(st.integers(0, 63), max_size=5)
looks = st.integers(0, 2**64 - 1)
variants = st.lists(st.tuples(st.integers(0, 3), bits), max_size=20)


def near_scenes(scenes: list[int], variants: list[tuple[int, set[int]]]) -> list[int]:
    return scenes + [scenes[which % len(scenes)] ^ sum(1 << bit for bit in flips) for which, flips in variants]


@st.composite
def albums(draw: st.DrawFn) -> list[Photo]:
    """Photos that look alike or equal, plain ones among them, of three labels in three splits."""
    every = near_scenes(draw(st.lists(looks | st.just(0), min_size=1, max_size=4)), draw(variants))
    every += draw(st.lists(st.sampled_from(every), max_size=8))
    return [
        replace(taken(n, look), key=f"{n:03}", label=draw(st.sampled_from("abc")), split=draw(st.sampled_from(Split)))
        for n, look in enumerate(every)
    ]


@given(albums())
def test_near_photos_components_and_look_alikes_are_those_of_comparing_all(album: list[Photo]):
    hashes = Hashes([shot.perceptual_hash for shot in album])
    assert [hashes.near(n).tolist() for n in range(len(album))] == [
        photo_by_photo.near(album, n) for n in range(len(album))
    ]
    assert hashes.first.tolist() == photo_by_photo.firsts(album)
    assert _look_alikes(album) == photo_by_photo.look_alikes(album)


@given(albums())
def test_leaks_are_those_of_comparing_all_the_first_named(album: list[Photo]):
    found, wanted = find_leaks(Manifest.of(album)), photo_by_photo.leaks(album)
    assert (found.pairs, found.examples) == (len(wanted), tuple(wanted[:NAMED]))


def cube(dimensions: int, count: int, seed: int) -> np.ndarray:
    """Hashes that differ in `dimensions` bits only, as those of a fixed camera do."""
    rng = np.random.default_rng(seed)
    places = rng.choice(64, dimensions, replace=False)
    chosen = rng.choice(2**dimensions, count, replace=False)
    flips = [sum(1 << int(place) for n, place in enumerate(places) if value >> n & 1) for value in chosen.tolist()]
    return np.array([SCENE ^ flip for flip in flips], dtype=np.uint64)


def one_band(seed: int) -> np.ndarray:
    """Hashes that agree in 16 bits, and by chance in no more."""
    rng = np.random.default_rng(seed)
    return np.unique(rng.integers(0, 2**48, 2_500, dtype=np.uint64) | np.uint64(0xABCD << 48))


def ball(seed: int) -> np.ndarray:
    """All that is near to one hash, or some of it: no band tells most of these apart."""
    flips = [sum(1 << bit for bit in each) for times in range(4) for each in combinations(range(64), times)]
    chosen = np.random.default_rng(seed).choice(len(flips), 3_000, replace=False)
    return np.array([SCENE ^ flips[n] for n in chosen], dtype=np.uint64)


CROWDS = {
    "a fixed camera": lambda: cube(12, 3_000, 1),
    "every picture of a camera": lambda: cube(11, 2_048, 2),
    "two cameras": lambda: np.concatenate([cube(14, 1_500, 3), ~cube(14, 1_500, 4)]),
    "a shared band": lambda: one_band(5),
    "a ball": lambda: ball(6),
    "a camera among others": lambda: np.concatenate([one_band(7), cube(13, 1_500, 8)]),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_every_near_pair_of_a_crowd_is_found_once(crowd: str):
    """More hashes than are compared all with all, so that buckets are cut into buckets."""
    hashes = CROWDS[crowd]()
    hashes = np.unique(hashes)
    wanted = np.triu(np.bitwise_count(hashes[:, None] ^ hashes) <= NEAR, k=1)
    found = np.zeros_like(wanted, dtype=np.int64)
    for ones, others in near_pairs(hashes):
        np.add.at(found, (np.minimum(ones, others), np.maximum(ones, others)), 1)
    assert np.array_equal(found, wanted)
    lists = near_lists(hashes, most=len(hashes) ** 2)
    assert lists is not None
    starts, others = lists
    rows = wanted | wanted.T | np.eye(len(hashes), dtype=bool)
    assert all(
        np.array_equal(np.sort(others[start:stop]), np.flatnonzero(row))
        for row, start, stop in zip(rows, starts[:-1], starts[1:], strict=True)
    )
    assert near_lists(hashes, most=len(others) - 1) is None
    lowest = components(hashes)
    assert (lowest[lowest] == lowest).all()
    assert (lowest <= np.arange(len(hashes))).all()
    ones, others = np.nonzero(wanted)
    assert np.array_equal(lowest[ones], lowest[others])


def test_the_distance_counts_bits():
    assert Hashes(["000000000000000f", "00000000000000f0"]).distance(0, 1) == 8
