"""The addresses that we give are torchvision's own, and weights of these names fit our networks."""

import pytest
from torchvision import models

from training.networks.model import build_model, load_initial_weights
from training.networks.pretrained import PUBLISHED


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_an_address_is_that_of_torchvision(architecture: str):
    published = models.get_model_weights(architecture)["DEFAULT"]
    assert PUBLISHED[architecture] == published.url


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_torchvisions_weights_fit_our_network_of_that_name(architecture: str):
    theirs = models.get_model(architecture).state_dict()
    ours = build_model(architecture, 2)
    load_initial_weights(ours, theirs)
    first = next(name for name in theirs if name.endswith("weight"))
    assert ours.state_dict()[first if first.startswith("features.") else f"features.{first}"].equal(theirs[first])
