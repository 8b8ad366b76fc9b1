"""What a step shows is a function of seed and step: how large photos are, and what is blended with what."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.training.training_process import some_pixels
from training.augment import cut
from training.batches import Batches, box, resolution
from training.group import Group
from training.hyper_parameters import HyperParameters

ALONE = Group(rank=0, size=1, device=torch.device("cpu"))
PLAIN = HyperParameters(image_size=16, batch_size=8, epochs=4)


def shown(parameters: HyperParameters, step: int = 1) -> tuple[Tensor, Tensor]:
    return Batches(some_pixels(), classes=2, parameters=parameters, seed=1, group=ALONE).at(step)


@settings(deadline=None)
@given(start=st.integers(1, 16), end=st.integers(1, 16), steps=st.integers(4, 400))
def test_photos_grow_from_the_first_size_to_the_last_and_stay_there(start: int, end: int, steps: int):
    parameters = HyperParameters(image_size=200, start_size=8 * start, end_size=8 * end)
    sizes = [resolution(parameters, step=step, steps=steps) for step in range(steps)]
    assert sizes[0] == 8 * start
    assert sizes == sorted(sizes, reverse=end < start)
    assert {8 * end} >= set(sizes[-(steps // 4) :])
    assert all(size % 8 == 0 for size in sizes)


def test_without_a_schedule_photos_are_as_decoded():
    assert {resolution(PLAIN, step=step, steps=10) for step in range(10)} == {16}
    assert resolution(replace(PLAIN, end_size=12), step=9, steps=10) == 12


def test_a_step_shows_photos_at_its_size():
    growing = replace(PLAIN, start_size=8)
    assert [shown(growing, step)[0].shape[2:] for step in (0, 11)] == [(8, 8), (16, 16)]


@settings(deadline=None)
@given(side=st.integers(2, 200), seed=st.integers(0, 2**32))
def test_a_box_lies_within_the_photo(side: int, seed: int):
    top, bottom, left, right = box(side, np.random.default_rng(seed))
    assert 0 <= top <= bottom <= side
    assert 0 <= left <= right <= side


def test_boxes_leave_half_of_the_photo_or_more_on_average():
    chance = np.random.default_rng(1)
    boxes = [box(64, chance) for _ in range(2_000)]
    share = np.mean([(bottom - top) * (right - left) for top, bottom, left, right in boxes]) / 64**2
    assert 0.25 < share < 0.5


def test_a_box_is_pasted_and_the_target_follows_its_area():
    photos = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    pasted, targets = cut(photos, torch.eye(2), (0, 4, 2, 8))
    assert pasted[0].sum() == 3 * 4 * 6
    assert pasted[0, :, 0:4, 2:8].all()
    assert torch.allclose(targets, torch.tensor([[0.625, 0.375], [0.375, 0.625]]))
    assert photos[0].sum() == 0  # the photos that came in stay as they were


@pytest.mark.parametrize("setting", ["mixup", "cutmix"])
def test_blending_changes_targets_and_keeps_them_distributions(setting: str):
    plain, blended = shown(PLAIN)[1], shown(replace(PLAIN, **{setting: 1.0}))[1]
    assert not torch.equal(plain, blended)
    assert torch.allclose(blended.sum(dim=1), torch.ones(8))


def test_a_step_shows_the_same_again():
    parameters = replace(PLAIN, mixup=0.2, cutmix=0.5, stretch=0.3, colour=0.1, start_size=8)
    first, again = shown(parameters, 5), shown(parameters, 5)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
