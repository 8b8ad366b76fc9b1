"""What is left of a figure for groups that were never seen, and that it is not told where nobody can know."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from registry.encoding import sha256_hex
from tests.training.evaluation.figures.test_slices import PHOTO
from training.dataset.manifest import Photo
from training.evaluation.figures.temperature import at_temperature
from training.evaluation.selective.unseen_groups import (
    LEAST_GROUPS,
    clustered_interval,
    grouping,
    measure_unseen_groups,
)
from training.networks.head import learn_head

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


def test_a_linear_layer_on_frozen_embeddings_is_learned_again_without_each_group():
    """By hand: the job's own layer, learned without the group that is asked about."""
    photos, embedding, truth = breeds(6, alike=True)
    (found,) = measure_unseen_groups(photos, embedding, truth, penalty=0.1, temperature=2.0)
    named = np.array([dict(photo.groups)["breed"] for photo in photos])
    right, confidence = np.zeros(len(photos), dtype=bool), np.zeros(len(photos))
    for group in np.unique(named):
        inside = named == group
        head = learn_head(torch.from_numpy(embedding[~inside]), torch.from_numpy(truth[~inside]), 2, penalty=0.1)
        logits = head.logits(torch.from_numpy(embedding[inside])).numpy()
        right[inside] = logits.argmax(axis=1) == truth[inside]
        confidence[inside] = at_temperature(logits, 2.0).max(axis=1)
    assert found.exact
    assert found.accuracy == right.mean()
    assert found.balanced == pytest.approx(np.mean([right[truth == kind].mean() for kind in (0, 1)]))
    assert {(each.name, each.photos, each.right) for each in found.table} == {
        (str(group), EACH, int(right[named == group].sum())) for group in np.unique(named)
    }
    assert [each.accuracy for each in found.table] == sorted(each.accuracy for each in found.table)
    assert found.calibration_error is not None
    assert abs(confidence.mean() - right.mean()) <= found.calibration_error + 1e-6  # its bins' mean is no less


def test_the_estimate_by_embeddings_that_were_trained_says_nothing_of_calibration():
    (found,) = measure_unseen_groups(*breeds(6, alike=True))
    assert (found.exact, found.calibration_error) == (False, None)
