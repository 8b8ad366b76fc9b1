"""What a step shows is a function of seed and step: which photos, how large, and how they are mixed."""

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.training.training_process import some_pixels
from training.distributed.group import Group
from training.fitting.batches import Batches, resolution
from training.hyper_parameters import HyperParameters

SINGLE = Group(rank=0, size=1, device=torch.device("cpu"))
PLAIN = HyperParameters(image_size=16, batch_size=8, epochs=4)


def shown(parameters: HyperParameters, step: int = 1) -> tuple[Tensor, Tensor]:
    return Batches(some_pixels(), classes=2, parameters=parameters, seed=1, group=SINGLE).at(step)


@given(start=st.integers(1, 16), end=st.integers(1, 16), steps=st.integers(4, 400))
def test_photos_grow_from_the_first_size_to_the_last_and_stay_there(start: int, end: int, steps: int):
    start, end = sorted((start, end))
    parameters = HyperParameters(image_size=8 * end, start_size=8 * start)
    sizes = [resolution(parameters, step=step, steps=steps) for step in range(steps)]
    assert sizes[0] == 8 * start
    assert sizes == sorted(sizes)
    assert {8 * end} >= set(sizes[-(steps // 4) :])
    assert all(size % 8 == 0 for size in sizes)


def test_without_a_schedule_photos_are_as_decoded():
    assert {resolution(PLAIN, step=step, steps=10) for step in range(10)} == {16}


def test_a_step_shows_photos_at_its_size():
    growing = replace(PLAIN, start_size=8)
    assert [shown(growing, step)[0].shape[2:] for step in (0, 11)] == [(8, 8), (16, 16)]


def test_mixing_changes_targets_and_keeps_them_distributions():
    plain, mixed = shown(PLAIN)[1], shown(replace(PLAIN, mixup=1.0))[1]
    assert not torch.equal(plain, mixed)
    assert torch.allclose(mixed.sum(dim=1), torch.ones(8))


def test_a_step_shows_the_same_again():
    parameters = replace(PLAIN, mixup=0.2, start_size=8)
    first, again = shown(parameters, 5), shown(parameters, 5)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
