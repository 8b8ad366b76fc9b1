"""What an EC2 instance type needs of its machine image. Pure: names in, facts out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

type Architecture = Literal["x86_64", "arm64"]

# NVIDIA families that the Deep Learning Base OSS NVIDIA Driver image supports; the driver of older ones (P3, G3) is
# another. https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html
_NVIDIA: Mapping[str, str] = MappingProxyType(
    {
        "g4dn": "T4",
        "g5": "A10G",
        "g5g": "T4G",
        "g6": "L4",
        "gr6": "L4",
        "g6e": "L40S",
        "g7e": "RTX PRO 6000",
        "p4d": "A100",
        "p4de": "A100",
        "p5": "H100",
        "p5e": "H200",
        "p5en": "H200",
        "p6-b200": "B200",
        "p6-b300": "B300",
    }
)

# Families whose accelerators petpark cannot use: AMD GPUs, Inferentia, Trainium, Gaudi, FPGA, video.
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html
_OTHER_ACCELERATORS = frozenset({"g4ad", "g3", "g3s", "p2", "p3", "p3dn", "dl1", "dl2q", "vt1"})
_OTHER_ACCELERATOR_LETTERS = frozenset({"inf", "trn", "f"})

# https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
_TYPE = re.compile(r"(?P<family>(?P<letters>[a-z]+)(?P<generation>\d+)(?P<attributes>[a-z]*)(-[a-z0-9]+)*)\.[a-z0-9-]+")

# https://docs.aws.amazon.com/linux/al2023/ug/ec2.html and the release notes above: the GPU image's root is 75 GB.
_PLAIN_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
_GPU_PARAMETER = (
    "/aws/service/deeplearning/ami/{architecture}/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
)
_PLAIN_VOLUME_GB = 8
_GPU_VOLUME_GB = 75


class InstanceTypeUnsupported(ValueError):
    """The name is no instance type, or one whose accelerator petpark cannot use."""


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """What is known about a type: architecture, GPU if it has one, and the image that fits."""

    name: str
    architecture: Architecture
    gpu: str | None

    @property
    def image_parameter(self) -> str:
        """Public SSM parameter that holds the newest fitting machine image."""
        parameter = _GPU_PARAMETER if self.gpu else _PLAIN_PARAMETER
        return parameter.format(architecture=self.architecture)

    @property
    def smallest_volume_gb(self) -> int:
        """Size of the image's root volume; a smaller one cannot be launched."""
        return _GPU_VOLUME_GB if self.gpu else _PLAIN_VOLUME_GB


def instance_type(name: str) -> InstanceType:
    """Look a type up. Raises `InstanceTypeUnsupported`."""
    parts = _TYPE.fullmatch(name)
    if parts is None:
        raise InstanceTypeUnsupported(f"{name!r} is not an EC2 instance type; expected one like g5.xlarge or c7i.large")
    family, letters, attributes = parts["family"], parts["letters"], parts["attributes"]
    if family in _OTHER_ACCELERATORS or letters in _OTHER_ACCELERATOR_LETTERS:
        raise InstanceTypeUnsupported(
            f"{name} has an accelerator that petpark cannot use; take a CPU type or one of {', '.join(sorted(_NVIDIA))}"
        )
    gpu = _NVIDIA.get(family)
    if gpu is None and letters in {"g", "gr", "p"}:
        raise InstanceTypeUnsupported(
            f"{name} is of a GPU family that petpark does not know; it knows {', '.join(sorted(_NVIDIA))}"
        )
    # A processor letter g names AWS Graviton; the first generation, a1, has no letter.
    architecture: Architecture = "arm64" if "g" in attributes or letters == "a" else "x86_64"
    return InstanceType(name=name, architecture=architecture, gpu=gpu)
