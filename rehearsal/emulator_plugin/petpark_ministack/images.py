"""The public parameter and image of the Deep Learning base AMI, which petpark's training instances start from.

Source: https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html
"""

PARAMETER = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
IMAGE = "ami-0d1ea2a1e2023cafe"
NAME = "Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023)"


def apply() -> None:
    """Add both to MiniStack's own."""
    from ministack.services import ec2, ssm

    ssm._PUBLIC_AMI_PARAMETERS[PARAMETER] = IMAGE
    ec2._STUB_AMIS.append((IMAGE, NAME, NAME, "", "/dev/xvda", "898082745236", "amazon"))
