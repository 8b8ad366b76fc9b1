"""Public parameters that name machine images.

AWS publishes the newest images in Parameter Store below `/aws/service/`. moto has those of Amazon Linux, of the day
moto was made, and none of the Deep Learning images. Here the Deep Learning base image has a parameter and an image of
its own in every region.
"""

from functools import wraps
from typing import Any

DEEP_LEARNING_PARAMETER = (
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
)
DEEP_LEARNING_IMAGE = "ami-0deeb1ea41260de01"


def apply() -> None:
    """Publish the Deep Learning image and its parameter."""
    _publish_parameter()
    _publish_image()


def _publish_parameter() -> None:
    from moto.ssm.models import Parameter, ParameterDict

    original = ParameterDict._check_loading_status

    @wraps(original)
    def check_loading_status(self: Any, key: Any) -> None:
        original(self, key)
        if str(key or "") == DEEP_LEARNING_PARAMETER and not dict.__contains__(self, key):
            parameter = Parameter(
                account_id=self.account_id,
                name=DEEP_LEARNING_PARAMETER,
                value=DEEP_LEARNING_IMAGE,
                parameter_type="String",
                description=None,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=0.0,
                version=1,
                data_type="aws:ec2:image",
            )
            dict.__setitem__(self, DEEP_LEARNING_PARAMETER, [parameter])

    ParameterDict._check_loading_status = check_loading_status


def _publish_image() -> None:
    from moto.ec2.models.amis import Ami, AmiBackend

    original = AmiBackend._load_amis

    @wraps(original)
    def load_amis(self: Any) -> None:
        original(self)
        self.amis[DEEP_LEARNING_IMAGE] = Ami(
            self,
            DEEP_LEARNING_IMAGE,
            name="Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023)",
            description="Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023)",
            owner_id="898082745236",
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            architecture="x86_64",
            root_device_name="/dev/xvda",
            root_device_type="ebs",
            hypervisor="xen",
            image_location="amazon/Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023)",
            region_name=f"{self.region_name}a",
        )

    AmiBackend._load_amis = load_amis
