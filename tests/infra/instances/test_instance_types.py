import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.instances.instance_types import InstanceTypeUnsupported, instance_type


@pytest.mark.parametrize(
    ("name", "architecture", "gpu"),
    [
        ("t3.micro", "x86_64", None),
        ("c7i.large", "x86_64", None),
        ("m7i-flex.large", "x86_64", None),
        ("c7g.large", "arm64", None),
        ("m6gd.metal", "arm64", None),
        ("t4g.small", "arm64", None),
        ("a1.large", "arm64", None),
        ("x2gd.large", "arm64", None),
        ("g4dn.xlarge", "x86_64", "T4"),
        ("g5.48xlarge", "x86_64", "A10G"),
        ("g5g.xlarge", "arm64", "T4G"),
        ("g6e.xlarge", "x86_64", "L40S"),
        ("p5en.48xlarge", "x86_64", "H200"),
        ("p6-b200.48xlarge", "x86_64", "B200"),
        ("u7i-12tb.224xlarge", "x86_64", None),
    ],
)
def test_a_type_tells_its_architecture_and_its_gpu(name, architecture, gpu):
    found = instance_type(name)
    assert (found.architecture, found.gpu) == (architecture, gpu)


@pytest.mark.parametrize(
    "name", ["g4ad.xlarge", "inf2.xlarge", "trn1.32xlarge", "f1.2xlarge", "p3.2xlarge", "g9.xlarge"]
)
def test_a_type_whose_accelerator_cannot_be_used_is_refused(name):
    with pytest.raises(InstanceTypeUnsupported, match="petpark"):
        instance_type(name)


@pytest.mark.parametrize("name", ["", "large", "g5", "g5.", ".xlarge", "G5.xlarge", "g5.xlarge ", "g5.xlarge\n"])
def test_what_is_no_type_is_refused(name):
    with pytest.raises(InstanceTypeUnsupported, match="not an EC2 instance type"):
        instance_type(name)


@given(st.from_regex(r"[a-z]{1,3}\d{1,2}[a-z]{0,3}\.[a-z0-9]{1,9}", fullmatch=True))
def test_a_gpu_needs_the_gpu_image_and_room_for_it(name):
    try:
        found = instance_type(name)
    except InstanceTypeUnsupported:
        return
    assert ("gpu" in found.image_parameter) == (found.gpu is not None)
    assert found.smallest_volume_gb == (75 if found.gpu else 8)
    assert f"{found.architecture}" in found.image_parameter
