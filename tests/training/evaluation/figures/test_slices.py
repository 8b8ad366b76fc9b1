"""Photos are parted by what the manifest knows, and a slice is called worse only beyond luck."""

from dataclasses import replace

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from training.dataset.manifest import Photo, Split
from training.evaluation.figures.slices import LEAST_PHOTOS, measure_slices, partitions, worst

PHOTO = Photo(
    key="a.jpg",
    sha256="0" * 64,
    width=640,
    height=480,
    label="cat",
    split=Split.TEST,
    group="gate",
    captured_at="2026-03-01T14:05:00",
    perceptual_hash="0" * 16,
    brightness=0.4,
    sharpness=0.01,
)


def photos(count: int) -> list[Photo]:
    return [
        replace(PHOTO, key=f"{n}.jpg", group=("gate", "lawn")[n % 2], brightness=n / count, sharpness=n % 7 / 100)
        for n in range(count)
    ]


def test_a_camera_that_sees_badly_is_found_and_the_others_are_not_blamed():
    taken = photos(400)
    right = np.array([photo.group == "gate" or n % 5 > 0 for n, photo in enumerate(taken)])
    slices = measure_slices(taken, right)
    (lawn,) = [each for each in slices if each.worse]
    assert (lawn.column, lawn.value, lawn.photos) == ("group", "lawn", 200)
    assert lawn.accuracy == right[1::2].mean()
    assert lawn.gap_interval[0] > 0
    assert worst(slices) == lawn


def test_without_a_difference_worse_is_said_no_more_often_than_promised():
    rng = np.random.default_rng(0)
    taken = photos(120)
    blamed = sum(any(each.worse for each in measure_slices(taken, rng.random(120) < 0.85)) for _ in range(300))
    assert blamed / 300 < 0.08


def test_what_tells_every_photo_apart_or_none_is_no_slice():
    taken = [replace(photo, group=photo.key) for photo in photos(100)]
    columns = {each.column for each in measure_slices(taken, np.ones(100, bool))}
    assert columns == {"brightness", "sharpness"}  # one size, one hour, a hundred groups


def test_hours_are_parted_by_three_and_unknown_ones_left_out():
    taken = [replace(PHOTO, captured_at=None), PHOTO, replace(PHOTO, captured_at="2026-03-02T23:59:59")]
    hours = {value: inside.tolist() for column, value, inside in partitions(taken) if column == "hour"}
    assert hours == {"12–15 h": [False, True, False], "21–24 h": [False, False, True]}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_thirds_hold_every_photo_once_and_equal_values_together(values: list[float]):
    taken = [replace(PHOTO, brightness=value) for value in values]
    parts = [inside for column, _, inside in partitions(taken) if column == "brightness"]
    assert np.array_equal(np.sum(parts, axis=0), np.ones(len(values)))
    assert len(parts) <= 3
    for inside in parts:
        own = {value for value, is_in in zip(values, inside, strict=True) if is_in}
        assert not own & {value for value, is_in in zip(values, inside, strict=True) if not is_in}


def test_few_photos_are_no_slice():
    assert all(each.photos >= LEAST_PHOTOS for each in measure_slices(photos(50), np.ones(50, bool)))
    assert measure_slices(photos(10), np.ones(10, bool)) == ()
    assert worst(()) is None


@given(st.integers(1, 59))
@example(19)
@example(20)
def test_twenty_photos_are_a_slice_and_nineteen_are_not(count: int):
    taken = [replace(photo, group="gate" if n < count else "lawn") for n, photo in enumerate(photos(60))]
    sizes = {each.value: each.photos for each in measure_slices(taken, np.ones(60, bool)) if each.column == "group"}
    assert sizes == {name: size for name, size in (("gate", count), ("lawn", 60 - count)) if size >= 20}


def test_a_column_of_the_index_slices_as_any_other() -> None:
    photos = [replace(PHOTO, key=str(n), groups=(("breed", ("Bengal", "pug")[n % 2]),)) for n in range(60)]
    right = np.arange(60) % 2 == 1
    found = {(each.column, each.value): each for each in measure_slices(photos, right)}
    assert found["breed", "Bengal"].worse
    assert not found["breed", "pug"].worse
