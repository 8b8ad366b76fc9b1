"""What is left of a figure for groups that were never seen, and that it is not told where nobody can know."""

from dataclasses import replace

import numpy as np
import pytest

from registry.encoding import sha256_hex
from tests.training.test_slices import PHOTO
from training.dataset.manifest import Photo
from training.evaluation.unseen_groups import LEAST_GROUPS, clustered_interval, grouping, measure_unseen_groups

SIDE = 8
EACH = 30


def breeds(count: int, *, alike: bool, camera: bool = False) -> tuple[list[Photo], np.ndarray, np.ndarray]:
    """Photos of `count` breeds of two classes; the class shows in all breeds, or in each in its own way."""
    rng = np.random.default_rng(1)
    photos: list[Photo] = []
    rows: list[np.ndarray] = []
    for breed in range(count):
        kind = breed % 2
        middle = np.zeros(SIDE)
        middle[0] = 4 * kind if alike else 0
        if not alike:
            middle[breed % SIDE] = 6
        for n in range(EACH):
            group = f"breed {breed}" if camera else sha256_hex(f"{breed} {n}".encode())
            told = () if camera else (("breed", f"breed {breed}"),)
            photos.append(replace(PHOTO, key=f"{breed}/{n}", label=["cat", "dog"][kind], group=group, groups=told))
            rows.append(middle + rng.normal(size=SIDE))
    truth = np.array([int(photo.label == "dog") for photo in photos])
    return photos, np.array(rows, dtype=np.float32), truth


@pytest.mark.parametrize("camera", [False, True])
def test_what_shows_in_all_breeds_holds_for_new_ones(camera: bool):
    (found,) = measure_unseen_groups(*breeds(8, alike=True, camera=camera))
    assert (found.column, found.groups, found.photos) == ("camera" if camera else "breed", 8, 8 * EACH)
    assert found.accuracy > 0.9
    assert abs(found.cost) < 0.03


def test_what_each_breed_shows_in_its_own_way_is_lost_for_new_ones():
    (found,) = measure_unseen_groups(*breeds(8, alike=False))
    assert found.usual > 0.9
    assert found.cost > 0.3
    assert found.worst.startswith("breed")
    assert found.worst_accuracy <= found.accuracy


def test_a_column_that_names_each_photo_apart_groups_nothing():
    """As a camera column does where every photo came from another camera: its groups left out are photos left out."""
    photos, embedding, truth = breeds(8, alike=True)
    photos = [replace(photo, group=f"camera {n}") for n, photo in enumerate(photos)]
    assert [found.column for found in measure_unseen_groups(photos, embedding, truth)] == ["breed"]
    assert list(grouping(photos)) == ["breed"]
    assert list(grouping([replace(photo, groups=()) for photo in photos])) == []
    mostly_alone = [replace(photo, groups=()) if n % EACH > EACH // 3 else photo for n, photo in enumerate(photos)]
    assert list(grouping(mostly_alone)) == []


def test_nothing_is_told_of_few_groups_of_none_or_of_a_class_in_one_group():
    assert measure_unseen_groups(*breeds(LEAST_GROUPS - 1, alike=True)) == ()
    photos, embedding, truth = breeds(8, alike=True)
    assert measure_unseen_groups([replace(photo, groups=()) for photo in photos], embedding, truth) == ()
    assert measure_unseen_groups(photos, embedding, (np.arange(len(photos)) < EACH).astype(np.int64)) == ()


def test_photos_of_a_group_that_vary_together_widen_the_interval():
    groups = np.repeat(np.arange(10), 30)
    together = groups < 8
    apart = np.tile(np.arange(10) < 8, 30)
    (low, high), (least, most) = clustered_interval(together, groups), clustered_interval(apart, groups)
    assert high - low > 3 * (most - least)
    assert low <= 0.8 <= high
