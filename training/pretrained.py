"""Where torchvision publishes weights trained on ImageNet, for the networks that we build from its parts.

Only names, so that an operator's machine without torch can fetch them and submit them with a job, by hash: an instance
needs no way to the internet, and a job says which bytes it began with. `tests/training/test_pretrained.py` holds this
table against torchvision's own. The last part of a name is the beginning of the file's SHA-256, as torch.hub has it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_PLACE: Final = "https://download.pytorch.org/models/"

PRETRAINED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mobilenet_v3_small": f"{_PLACE}mobilenet_v3_small-047dcff4.pth",
        "resnet18": f"{_PLACE}resnet18-f37072fd.pth",
        "efficientnet_b0": f"{_PLACE}efficientnet_b0_rwightman-7f5810bc.pth",
        "convnext_tiny": f"{_PLACE}convnext_tiny-983f1562.pth",
    }
)
