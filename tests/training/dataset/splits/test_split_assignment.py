"""Every photo finds its split: near-duplicates the same one, and none of an earlier dataset moves."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.encoding import sha256_hex
from tests.examples import examples
from tests.training import photo_by_photo
from tests.training.dataset.test_manifest import photo
from training.dataset.fitness import MIN_PHOTOS_PER_CLASS, refuse_unfit
from training.dataset.manifest import Manifest, Photo, Split
from training.dataset.splits.balance import least_photos
from training.dataset.splits.leakage import find_leaks
from training.dataset.splits.split import SplitBy, camera_of, split_of, unit_of
from training.dataset.splits.split_assignment import _Placing, place
from training.errors import DatasetRefused

SCENE = 0x0F0F_3C3C_55AA_9966
"""A perceptual hash that says something: half of its bits are set."""


def taken(number: int, look: int, *, camera: str | None = None, day: int | None = None) -> Photo:
    """A photo of its own bytes that looks like `look`."""
    sha256 = sha256_hex(str(number).encode())
    return photo(
        f"{number}.jpg",
        sha256=sha256,
        group=camera or sha256,
        captured_at=None if day is None else f"2026-03-{day:02d}T10:00:00",
        perceptual_hash=f"{look:016x}",
    )


def flipped(*bits: int) -> int:
    look = SCENE
    for bit in bits:
        look ^= 1 << bit
    return look


# Looks from a narrow neighbourhood, so that chains and bridges between photos happen all the time.
looks = st.lists(st.integers(0, 15), max_size=7).map(lambda bits: flipped(*bits))
shots = st.builds(
    taken,
    st.integers(0, 10_000),
    looks,
    camera=st.sampled_from([None, None, "gate", "pond", "hill"]),
    day=st.none() | st.integers(1, 3),
)
albums = st.lists(shots, max_size=14, unique_by=lambda shot: shot.sha256)
seeds = st.integers(0, 50)
ways = st.sampled_from(SplitBy)


@given(albums, albums, seeds, ways, ways)
def test_added_photos_move_no_old_one(old: list[Photo], new: list[Photo], seed: int, by: SplitBy, later_by: SplitBy):
    before = place(old, seed=seed, by=by).photos
    both = {shot.sha256: shot for shot in (*new, *old)}
    after = {shot.sha256: shot for shot in place(both.values(), seed=seed + 1, by=later_by, base=before).photos}
    assert [(shot.sha256, shot.split) for shot in before] == [(s.sha256, after[s.sha256].split) for s in before]


@given(albums, albums, seeds, ways)
def test_nothing_leaks_between_splits_whatever_was_added(old: list[Photo], new: list[Photo], seed: int, by: SplitBy):
    before = place(old, seed=seed, by=by).photos
    assert find_leaks(Manifest.of(before)).pairs == 0
    both = {shot.sha256: shot for shot in (*new, *old)}.values()
    assert find_leaks(Manifest.of(place(both, seed=seed, by=by, base=before).photos)).pairs == 0


in_splits = st.lists(
    st.builds(lambda shot, split: replace(shot, split=split), shots, st.sampled_from(Split)), max_size=14
)


@given(in_splits, albums, seeds, ways, st.sampled_from([0, 10_000]))
def test_photos_go_where_the_rule_puts_them_one_by_one(
    old: list[Photo], new: list[Photo], seed: int, by: SplitBy, listed: int
):
    base = list({shot.sha256: shot for shot in old}.values())
    given = list({shot.sha256: shot for shot in (*new, *base)}.values())
    work = _Placing(given, seed=seed, by=by, base=base, listed=listed)
    work.place_all()
    done = work.result(given)
    assert (list(done.photos), list(done.excluded)) == photo_by_photo.place(given, seed=seed, by=by, base=base)


@given(albums, seeds, ways)
def test_every_photo_is_placed_or_excluded_with_a_reason(album: list[Photo], seed: int, by: SplitBy):
    done = place(album, seed=seed, by=by)
    assert sorted([*(s.sha256 for s in done.photos), *(s.sha256 for s, _ in done.excluded)]) == sorted(
        s.sha256 for s in album
    )
    assert all("looks like" in reason for _, reason in done.excluded)


@given(albums, seeds, ways, st.randoms())
def test_the_order_of_photos_does_not_matter(album: list[Photo], seed: int, by: SplitBy, random):
    shuffled = list(album)
    random.shuffle(shuffled)
    assert set(place(album, seed=seed, by=by).photos) == set(place(shuffled, seed=seed, by=by).photos)


@given(albums, seeds, ways)
def test_the_photos_of_a_unit_share_a_split(album: list[Photo], seed: int, by: SplitBy):
    splits: dict[str, set[Split]] = {}
    for shot in place(album, seed=seed, by=by).photos:
        if by is not SplitBy.PHOTO or camera_of(shot) is None:
            splits.setdefault(unit_of(shot, by) or shot.group, set()).add(shot.split)
    assert all(len(found) == 1 for found in splits.values())


def photos_of(classes: int, each: int, *, cameras: int = 0, salt: int = 0) -> list[Photo]:
    """Photos that do not look alike; of each class, `cameras` cameras took as many (0: nobody knows which)."""
    shots: list[Photo] = []
    for n in range(classes * each):
        sha256 = sha256_hex(f"{salt}:{n}".encode())
        kind, of_class = divmod(n, each)
        group = f"camera {kind}-{of_class % cameras}" if cameras else sha256
        shots.append(photo(f"{n}.jpg", sha256=sha256, group=group, label=f"{kind:02d}", perceptual_hash=sha256[:16]))
    return shots


@settings(max_examples=examples(25))
@given(st.integers(0, 2**32), st.integers(0, 1000), st.sampled_from([0, 3, 4, 20]))
def test_the_least_photos_of_a_class_are_enough_for_any_seed(seed: int, salt: int, cameras: int):
    album = photos_of(30, MIN_PHOTOS_PER_CLASS, cameras=cameras, salt=salt)
    done = Manifest.of(place(album, seed=seed).photos)
    refuse_unfit(done)
    if cameras in (0, 20):
        for per_split in done.counts().values():
            assert all(per_split[split] >= least_photos(split, MIN_PHOTOS_PER_CLASS) for split in Split)


@settings(max_examples=examples(25))
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_rare_class_gets_its_photos_in_every_split_and_no_old_one_moves(seed: int, later: int):
    before = place(photos_of(3, 60), seed=seed).photos
    new = [replace(shot, label="rare") for shot in photos_of(1, MIN_PHOTOS_PER_CLASS, salt=1)]
    after = Manifest.of(place([*before, *renamed(new)], seed=later, base=before).photos)
    assert all(after.counts()["rare"].values())
    assert {(shot.sha256, shot.split) for shot in before} < {(shot.sha256, shot.split) for shot in after.photos}


def renamed(shots: list[Photo]) -> list[Photo]:
    return [replace(shot, key=f"new/{shot.key}") for shot in shots]


def test_photos_of_which_no_class_lacks_any_are_where_their_hashes_put_them():
    album = photos_of(2, 400)
    assert {s.sha256: s.split for s in place(album, seed=3).photos} == {s.sha256: split_of(3, s.sha256) for s in album}


def test_a_class_of_one_camera_stays_together_and_is_refused_with_what_to_do():
    album = photos_of(2, MIN_PHOTOS_PER_CLASS, cameras=1)
    with pytest.raises(DatasetRefused, match=r"its cameras .* in one split each: --split-by day"):
        refuse_unfit(Manifest.of(place(album, seed=1).photos))


def in_split(split: Split, look: int) -> Photo:
    """A photo that falls into `split` by itself under seed 1."""
    return next(shot for n in range(1000) if split_of(1, (shot := taken(n, look)).sha256) is split)


def test_a_burst_without_a_camera_is_one_group():
    burst = [taken(number, flipped(*range(number))) for number in range(4)]
    done = place(burst, seed=1).photos
    assert {shot.group for shot in done} == {min(shot.sha256 for shot in burst)}
    assert len({shot.split for shot in done}) == 1


def test_a_new_near_duplicate_joins_its_old_photos_group():
    old = place([in_split(Split.TEST, SCENE)], seed=1).photos
    new = in_split(Split.TRAIN, flipped(3))
    joined = next(s for s in place([*old, new], seed=1, base=old).photos if s.sha256 == new.sha256)
    assert (joined.split, joined.group) == (Split.TEST, old[0].group)


def test_a_photo_between_two_old_ones_of_different_splits_is_left_out_and_says_of_whom():
    far = flipped(0, 1, 2, 3, 4, 5)
    old = place([in_split(Split.TEST, SCENE), in_split(Split.TRAIN, far)], seed=1).photos
    bridge = taken(5000, flipped(0, 1, 2))
    done = place([*old, bridge], seed=1, base=old)
    assert set(done.photos) == set(old)
    assert [shot.sha256 for shot, _ in done.excluded] == [bridge.sha256]
    assert "looks like" in done.excluded[0][1]


def test_a_camera_goes_into_one_split_and_its_days_can_be_split():
    days = [taken(n, int(sha256_hex(bytes([n]))[:16], 16), camera="gate", day=1 + n % 28) for n in range(56)]
    assert len({s.split for s in place(days, seed=1).photos}) == 1
    by_day = place(days, seed=1, by=SplitBy.DAY).photos
    assert len({s.split for s in by_day}) > 1
    assert len({(s.captured_at, s.split) for s in by_day}) == 28
    assert {s.group for s in by_day} == {"gate"}


def test_black_photos_are_no_near_duplicates_of_each_other():
    black = [taken(number, 0) for number in range(40)]
    assert len({shot.split for shot in place(black, seed=1).photos}) > 1


@pytest.mark.parametrize("by", SplitBy)
def test_no_photos_are_placed_nowhere(by: SplitBy):
    assert place([], seed=1, by=by).photos == ()
