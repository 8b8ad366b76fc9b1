"""Every variation can be had alone, changes what it is for, and depends on nothing but seed and place."""

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from training.fitting.augment import Variations, augment, draw
from training.hyper_parameters import HyperParameters

NOTHING = HyperParameters(crop_scale=1.0, rotation=0.0, light=0.0, greyscale=0.0, blur=0.0)
SWITCHES = ("greyscale", "blur", "infrared", "jpeg", "glare", "bars")


def photos(count: int = 6, size: int = 36) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(count))


def drawn(parameters: HyperParameters, count: int = 6, seed: int = 1) -> Variations:
    return draw(count, parameters, torch.Generator().manual_seed(seed))


def straight(variations: Variations) -> Variations:
    """Without mirroring, cropping and turning."""
    return replace(variations, matrix=torch.eye(2, 3).expand(len(variations.matrix), 2, 3))


def varied(parameters: HyperParameters) -> Tensor:
    return augment(photos(), straight(drawn(parameters)))


def test_photos_are_framed_as_torch_would_frame_them():
    variations = drawn(replace(NOTHING, crop_scale=0.5, rotation=20.0))
    grid = affine_grid(variations.matrix, [6, 3, 36, 36], align_corners=False)
    expected = grid_sample(photos(), grid, padding_mode="reflection", align_corners=False)
    assert torch.allclose(augment(photos(), variations), expected, atol=1e-4)


def test_a_photo_leaves_smaller_where_it_shall():
    variations = drawn(replace(NOTHING, crop_scale=0.5))
    grid = affine_grid(variations.matrix, [6, 3, 20, 20], align_corners=False)
    expected = grid_sample(photos(), grid, padding_mode="reflection", align_corners=False)
    assert torch.allclose(augment(photos(), variations, 20), expected, atol=1e-4)


def test_with_everything_off_a_photo_stays_as_it_is():
    assert torch.allclose(varied(NOTHING), photos(), atol=1e-5)


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_switch_changes_every_photo_and_nothing_else(switch: str):
    on = replace(NOTHING, **{switch: 1.0})
    changed = (varied(on) - photos()).abs().amax(dim=(1, 2, 3)) > 0.05
    assert changed.all()
    plain, switched = drawn(NOTHING), drawn(on)
    others = [field.name for field in fields(Variations) if field.name != switch]
    assert all(torch.equal(getattr(plain, name), getattr(switched, name)) for name in others)


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_share_is_that_share_of_the_photos(switch: str):
    chosen = getattr(drawn(replace(NOTHING, **{switch: 0.25}), count=4_000), switch)
    assert 0.2 < float(chosen.float().mean()) < 0.3


def test_a_photo_varies_alike_whoever_else_is_in_the_batch():
    parameters = replace(HyperParameters(), **dict.fromkeys(SWITCHES, 0.5))
    variations, places = drawn(parameters, count=8), torch.tensor([1, 4, 6])
    whole, part = augment(photos(8), variations), augment(photos(8)[places], variations.at(places))
    assert torch.allclose(whole[places], part, atol=1e-6)


@pytest.mark.parametrize("switch", ["greyscale", "infrared"])
def test_a_night_has_no_colour(switch: str):
    red, green, blue = varied(replace(NOTHING, **{switch: 1.0})).unbind(1)
    assert torch.equal(red, green)
    assert torch.equal(green, blue)


def test_glare_only_adds_light():
    assert (varied(replace(NOTHING, glare=1.0)) >= photos() - 1e-5).all()


def test_a_fence_hides_some_of_every_photo_and_leaves_the_rest():
    hidden = (varied(replace(NOTHING, bars=1.0)) - photos()).abs().amax(dim=1) > 1e-4
    share = hidden.float().mean(dim=(1, 2))
    assert ((share > 0.02) & (share < 0.45)).all()


@pytest.mark.parametrize("size", [32, 36, 37])
def test_compression_loses_detail_but_not_the_picture(size: int):
    variations = straight(drawn(replace(NOTHING, jpeg=1.0), count=4))
    ramp = torch.linspace(0.2, 0.8, size).expand(4, 3, size, size)
    assert (augment(ramp, variations) - ramp).abs().mean() < 0.03
    coarse = replace(variations, coarseness=variations.coarseness * 4)
    busy = photos(4, size)
    losses = [(augment(busy, how) - busy).abs().mean() for how in (variations, coarse)]
    assert 0.02 < losses[0] < losses[1]
