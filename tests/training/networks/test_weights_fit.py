"""What is said of networks without torch, held against the networks."""

from contextlib import suppress

import pytest

from training.errors import WeightsRefused
from training.networks.model import build_model, load_initial_weights
from training.networks.pretrained import PACKAGED
from training.networks.weights_fit import fits

SMALL = (
    *("resnet8", "resnet10", "resnet18", "mobilenet_v3_small"),
    *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
)


@pytest.mark.parametrize("architecture", SMALL)
def test_a_network_starts_from_just_those_weights_that_are_said_to_fit(architecture: str):
    model = build_model(architecture, 2)
    took: set[str] = set()
    for other in SMALL:
        try:
            load_initial_weights(model, build_model(other, 2).state_dict())
        except WeightsRefused:
            continue
        took.add(other)
    assert took == {other for other in SMALL if fits(architecture, weights_of=other)}


@pytest.mark.parametrize("architecture", PACKAGED)
def test_a_packages_file_fits_its_own_network_alone(architecture: str):
    """Its names are its own, and the order of its tensors is that of one network."""
    tensors = list(build_model(architecture, 1000).state_dict().values())
    file = {"_conv_stem.weight" if place == 0 else f"_{place}": tensor for place, tensor in enumerate(tensors)}
    took: set[str] = set()
    for other in PACKAGED:
        with suppress(WeightsRefused):
            load_initial_weights(build_model(other, 2), file)
            took.add(other)
    assert (
        took == {other for other in PACKAGED if fits(other, weights_of=architecture, packaged=True)} == {architecture}
    )
